package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.UserPrincipal;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The operating system's user that a server which stays is to run as, and that owns its files:
 * ourselves, or for root somebody else, since PostgreSQL refuses to run as root.
 */
public final class ServerUser {
  private static final String ROOT = "root";
  private static final String USUAL = "postgres";

  private final String name;

  /** Null when it is ourselves. */
  private final @Nullable String group;

  private ServerUser(String name, @Nullable String group) {
    this.name = name;
    this.group = group;
  }

  /**
   * Ourselves, be it root: for files in a {@link ScratchFolder}, which its own server is given
   * later.
   */
  public static ServerUser ourselves() {
    return new ServerUser(System.getProperty("user.name"), null);
  }

  /**
   * The user of this name.
   *
   * @param wanted null: for root {@code postgres}, for everybody else themselves
   * @param what the operation that needs it
   * @throws OperatorException USAGE when there is no such user, or we may not become it
   */
  public static ServerUser of(@Nullable String wanted, String what) {
    String self = System.getProperty("user.name");
    if (!ROOT.equals(self)) {
      if (wanted != null && !wanted.equals(self)) {
        throw new OperatorException(
            Kind.USAGE,
            what,
            "only root can give files to " + wanted + ", and this is " + self,
            "leave --owner out, or run the same command as root");
      }
      return new ServerUser(self, null);
    }
    String name = wanted == null ? USUAL : wanted;
    ProcessResult user = Processes.run(List.of("id", "-u", name));
    ProcessResult group = Processes.run(List.of("id", "-gn", name));
    if (user.exitCode() != 0 || group.exitCode() != 0) {
      throw new OperatorException(
          Kind.USAGE,
          what,
          "this is root, as which PostgreSQL refuses to run, and the operating system knows no user "
              + name,
          "name the user that is to run the server: --owner USER");
    }
    if (user.output().strip().equals("0")) {
      throw new OperatorException(
          Kind.USAGE,
          what,
          "PostgreSQL refuses to run as root",
          "name the user that is to run the server: --owner USER");
    }
    return new ServerUser(name, group.output().strip());
  }

  /**
   * The user of this name; without one, for root the one that a data directory belongs to.
   *
   * @param wanted null: for root who the data directory belongs to, or else its files, and {@code
   *     postgres} where that is root; for everybody else themselves
   * @param data the data directory, which may not be there
   * @param what the operation that needs it
   * @throws OperatorException as {@link #of}; FAILED when the directory cannot be looked at
   */
  public static ServerUser ofData(@Nullable String wanted, Path data, String what) {
    if (wanted == null && ROOT.equals(System.getProperty("user.name"))) {
      try {
        for (String name : List.of("", "PG_VERSION", "global/pg_control")) {
          Path path = data.resolve(name);
          String its = Files.exists(path) ? Files.getOwner(path).getName() : ROOT;
          if (!its.equals(ROOT)) {
            return of(its, what);
          }
        }
      } catch (IOException e) {
        throw new OperatorException(
            Kind.FAILED,
            what,
            "cannot tell whom " + data + " belongs to: " + e.getMessage(),
            "name the user that is to run the server: --owner USER",
            e);
      }
    }
    return of(wanted, what);
  }

  /** Its name. */
  public String name() {
    return name;
  }

  /** Whether it is another one than who we are. */
  public boolean isAnother() {
    return group != null;
  }

  /** The command line that runs this program as that user; paths in it are absolute. */
  public List<String> command(List<String> program) {
    List<String> command = new ArrayList<>();
    if (group != null) {
      command.addAll(
          List.of("setpriv", "--reuid=" + name, "--regid=" + group, "--init-groups", "--"));
      // It may not be able to look at where we are, which PostgreSQL's programs do.
      command.addAll(List.of("sh", "-c", "cd / && exec \"$@\"", "holdfast"));
    }
    command.addAll(program);
    return command;
  }

  /** Whether it can go into this folder, which exists. */
  public boolean canEnter(Path folder) {
    return Processes.run(command(List.of("test", "-x", folder.toString()))).exitCode() == 0;
  }

  /** Whether it can make files in this folder, which may not be there. */
  public boolean canWrite(Path folder) {
    return Processes.run(command(List.of("test", "-w", folder.toString()))).exitCode() == 0;
  }

  /** Gives it everything under this path, symbolic links too and not what they point at. */
  public void own(Path path) {
    if (group == null) {
      return;
    }
    List<Path> paths = new ArrayList<>();
    try (Stream<Path> inside = Files.walk(path)) {
      inside.forEach(paths::add);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot give " + path + " to " + name, e);
    }
    own(paths);
  }

  /** Gives it these, and of folders not what is in them; symbolic links themselves. */
  public void own(Collection<Path> paths) {
    if (group == null) {
      return;
    }
    try {
      UserPrincipalLookupService lookup = FileSystems.getDefault().getUserPrincipalLookupService();
      UserPrincipal user = lookup.lookupPrincipalByName(name);
      GroupPrincipal its = lookup.lookupPrincipalByGroupName(group);
      for (Path path : paths) {
        PosixFileAttributeView view =
            Objects.requireNonNull(
                Files.getFileAttributeView(
                    path, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS));
        view.setOwner(user);
        view.setGroup(its);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot give files to " + name, e);
    }
  }
}
