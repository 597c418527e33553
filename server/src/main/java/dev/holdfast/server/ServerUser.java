package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.UserPrincipal;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
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
    try {
      UserPrincipalLookupService lookup = path.getFileSystem().getUserPrincipalLookupService();
      UserPrincipal user = lookup.lookupPrincipalByName(name);
      GroupPrincipal its = lookup.lookupPrincipalByGroupName(group);
      Files.walkFileTree(
          path,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes)
                throws IOException {
              return give(dir);
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                throws IOException {
              return give(file);
            }

            private FileVisitResult give(Path one) throws IOException {
              PosixFileAttributeView view =
                  Objects.requireNonNull(
                      Files.getFileAttributeView(
                          one, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS));
              view.setOwner(user);
              view.setGroup(its);
              return FileVisitResult.CONTINUE;
            }
          });
    } catch (IOException e) {
      throw new UncheckedIOException("cannot give " + path + " to " + name, e);
    }
  }
}
