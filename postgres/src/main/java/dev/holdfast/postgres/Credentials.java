package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Passwords of the roles Holdfast made for itself: {@code $XDG_CONFIG_HOME/holdfast/pgpass}, in the
 * format of {@code ~/.pgpass}, readable by its owner only. The repository never holds one.
 */
public final class Credentials {
  private final Path file;

  private Credentials(Path file) {
    this.file = file;
  }

  /** The user's own file, whether it exists yet or not. */
  public static Credentials ofUser() {
    return of(System.getenv(), Path.of(System.getProperty("user.home")));
  }

  static Credentials of(Map<String, String> environment, Path home) {
    String xdg = environment.getOrDefault("XDG_CONFIG_HOME", "");
    Path folder = xdg.isBlank() ? home.resolve(".config") : Path.of(xdg);
    return new Credentials(folder.resolve("holdfast").resolve("pgpass"));
  }

  /** Where the passwords are. */
  public Path file() {
    return file;
  }

  /**
   * Keeps a password, replacing the one this user had on this server.
   *
   * @throws OperatorException when the file cannot be written
   */
  public synchronized void save(String host, int port, String user, String password) {
    try {
      Path folder = file.toAbsolutePath().getParent();
      Files.createDirectories(folder);
      String key = PasswordFile.escape(host) + ":" + port + ":*:" + PasswordFile.escape(user) + ":";
      List<String> lines =
          new ArrayList<>(Files.exists(file) ? Files.readAllLines(file) : List.of());
      lines.removeIf(line -> line.startsWith(key));
      lines.add(key + PasswordFile.escape(password));
      // Created with its final permissions, so that the password is at no moment readable by
      // others.
      Path partial =
          Files.createTempFile(
              folder,
              "pgpass",
              ".new",
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      try {
        Files.write(partial, lines);
        Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(partial);
      }
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot keep the password of role " + user,
          "cannot write " + file + ": " + e.getMessage(),
          "make the folder writable, or point XDG_CONFIG_HOME at one that is, and run the same"
              + " command again",
          e);
    }
  }

  Optional<String> find(String host, int port, String database, String user) {
    return PasswordFile.find(file, host, port, database, user);
  }
}
