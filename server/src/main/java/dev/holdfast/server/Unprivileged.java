package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.UserPrincipal;
import java.util.ArrayList;
import java.util.List;

/**
 * PostgreSQL refuses to run as root. When we are root, its programs run in a user namespace of
 * their own ({@code unshare -U}: files keep their owner, nothing needs to be given away) or, where
 * the kernel forbids that, as an unprivileged user who is given the data directory.
 */
sealed interface Unprivileged {
  /** We are not root: programs run as they are. */
  record AsWeAre() implements Unprivileged {}

  /** In a user namespace without a mapping: the process sees itself as nobody. */
  record InUserNamespace() implements Unprivileged {}

  /** As another user of the machine, who must own the data directory and reach the binaries. */
  record AsUser(String name) implements Unprivileged {}

  /** The way that works on this machine, found out once. */
  static Unprivileged way() {
    return Found.WAY;
  }

  /**
   * The command line that runs this program unprivileged; it execs, so the pid is the program's.
   */
  default List<String> command(List<String> program) {
    List<String> command = new ArrayList<>();
    switch (this) {
      case AsWeAre _ -> {}
      case InUserNamespace _ -> command.addAll(List.of("unshare", "-U"));
      case AsUser user ->
          command.addAll(
              List.of("setpriv", "--reuid=" + user.name, "--regid=" + user.name, "--clear-groups"));
    }
    command.addAll(program);
    return command;
  }

  /** Lets the unprivileged program own everything under this folder. */
  default void own(Path folder) {
    if (this instanceof AsUser user) {
      try {
        UserPrincipal owner =
            folder.getFileSystem().getUserPrincipalLookupService().lookupPrincipalByName(user.name);
        Files.walkFileTree(
            folder,
            new SimpleFileVisitor<>() {
              @Override
              public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes)
                  throws IOException {
                Files.setOwner(dir, owner);
                return FileVisitResult.CONTINUE;
              }

              @Override
              public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                  throws IOException {
                Files.setOwner(file, owner);
                return FileVisitResult.CONTINUE;
              }
            });
      } catch (IOException e) {
        throw new UncheckedIOException("cannot give " + folder + " to " + user.name, e);
      }
    }
  }

  /** Holds the answer, so that the trial runs once. */
  final class Found {
    private static final Unprivileged WAY = find();

    private Found() {}

    private static Unprivileged find() {
      if (!"root".equals(System.getProperty("user.name"))) {
        return new AsWeAre();
      }
      if (succeeds(List.of("unshare", "-U", "true"))) {
        return new InUserNamespace();
      }
      for (String user : List.of("postgres", "nobody")) {
        AsUser candidate = new AsUser(user);
        if (succeeds(candidate.command(List.of("true")))) {
          return candidate;
        }
      }
      throw new OperatorException(
          Kind.FAILED,
          "cannot start a PostgreSQL server",
          "PostgreSQL refuses to run as root, and neither a user namespace (unshare -U) nor"
              + " another user (setpriv) can be used here",
          "run Holdfast as an ordinary user, or install util-linux");
    }

    private static boolean succeeds(List<String> command) {
      try {
        return Processes.run(command).exitCode() == 0;
      } catch (UncheckedIOException e) {
        return false; // the program is not installed: not a way
      }
    }
  }
}
