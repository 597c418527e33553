package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.WrappedKey.Secret;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Where this process has the keys of repositories from: what it was told, else the repository's key
 * file in the user's folder, {@code $XDG_CONFIG_HOME/holdfast/keys/ID.key}, which is made with a
 * repository that is created without being told anything. Immutable.
 */
public final class KeySources {
  private static volatile KeySources ofProcess = of(System.getenv());

  private final Path folder;
  private final @Nullable Given given;

  private KeySources(Path folder, @Nullable Given given) {
    this.folder = folder.toAbsolutePath();
    this.given = given;
  }

  /** What was told, looked at when a key is needed. */
  private interface Given {
    Secret secret();
  }

  /**
   * From the environment: {@code HOLDFAST_PASSPHRASE_FILE}, else {@code HOLDFAST_PASSPHRASE}, and
   * where the user's folder is.
   */
  public static KeySources of(Map<String, String> environment) {
    String xdg = environment.getOrDefault("XDG_CONFIG_HOME", "");
    Path configuration =
        xdg.isBlank() ? Path.of(System.getProperty("user.home"), ".config") : Path.of(xdg);
    var sources = new KeySources(configuration.resolve("holdfast").resolve("keys"), null);
    String file = environment.getOrDefault("HOLDFAST_PASSPHRASE_FILE", "");
    String text = environment.getOrDefault("HOLDFAST_PASSPHRASE", "");
    if (!file.isBlank()) {
      return sources.withPassphraseFile(Path.of(file), "HOLDFAST_PASSPHRASE_FILE");
    }
    return text.isEmpty() ? sources : sources.withPassphrase(text, "HOLDFAST_PASSPHRASE");
  }

  /** These, and what a file holds. */
  public KeySources withPassphraseFile(Path file, String toldBy) {
    String origin = file + " (" + toldBy + ")";
    return new KeySources(folder, () -> new Secret.Text(read(file, origin), origin));
  }

  /** These, and a text. */
  public KeySources withPassphrase(String text, String toldBy) {
    return new KeySources(folder, () -> new Secret.Text(Passphrase.parse(text, toldBy), toldBy));
  }

  /** These, and a service. */
  public KeySources withCommand(KeyCommand command, String toldBy) {
    return new KeySources(
        folder, () -> new Secret.Service(command, command.name() + " (" + toldBy + ")"));
  }

  /** Whether it was told where a key is. */
  public boolean isTold() {
    return given != null;
  }

  /**
   * What {@link Repository} asks where no other sources are named. A process has one environment,
   * and so one of these.
   */
  public static KeySources ofProcess() {
    return ofProcess;
  }

  /** Has this process ask these from now on: for the command line, before it opens anything. */
  public static void useInProcess(KeySources sources) {
    ofProcess = sources;
  }

  /** Where the key file of a repository is, or would be. */
  public Path keyFile(String repositoryId) {
    return folder.resolve(repositoryId + ".key");
  }

  /** The secret of an existing repository; null when nothing gives one. */
  @Nullable Secret find(String repositoryId) {
    if (given != null) {
      return given.secret();
    }
    Path file = keyFile(repositoryId);
    return Files.exists(file)
        ? new Secret.Text(read(file, file.toString()), file.toString())
        : null;
  }

  /** The secret that it was told of. */
  Secret told() {
    if (given == null) {
      throw new IllegalStateException("told of no key");
    }
    return given.secret();
  }

  /** The secret for a new repository, and whether its key file was made for it. */
  record ForNew(Secret secret, @Nullable Path made) {}

  /** Finds or makes the secret of a repository that is about to be created; durable on return. */
  ForNew forNew(String repositoryId, String location) {
    if (given != null) {
      return new ForNew(given.secret(), null);
    }
    Path file = keyFile(repositoryId);
    Passphrase key = Passphrase.generate();
    write(file, key, repositoryId, location);
    return new ForNew(new Secret.Text(key, file.toString()), file);
  }

  /**
   * Makes a new random key and keeps it in a new file that only its owner reads; durable on return.
   *
   * @throws OperatorException REFUSED when there is such a file; FAILED when it cannot be written
   */
  public static void writeNewKey(Path file, String repositoryId, String location) {
    write(file, Passphrase.generate(), repositoryId, location);
  }

  /**
   * Keeps a secret in a new file that only its owner reads; durable on return.
   *
   * @throws OperatorException REFUSED when there is such a file; FAILED when it cannot be written
   */
  static void write(Path file, Passphrase key, String repositoryId, String location) {
    Path folder = file.toAbsolutePath().getParent();
    byte[] content =
        key.keyFile(
            repositoryId, location, Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    try {
      if (folder != null && !Files.isDirectory(folder)) {
        Files.createDirectories(
            folder,
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      }
      // Created with its final permissions: at no moment can others read it.
      try (var channel =
          FileChannel.open(
              file,
              Set.<OpenOption>of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
        ByteBuffer bytes = ByteBuffer.wrap(content);
        while (bytes.hasRemaining()) {
          channel.write(bytes);
        }
        channel.force(true);
      }
      if (folder != null) {
        try (var entries = FileChannel.open(folder)) {
          entries.force(true);
        }
      }
    } catch (FileAlreadyExistsException e) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot write the key to " + file,
          "there is such a file already, and it may be the only copy of another key",
          "name a new file",
          e);
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot write the key to " + file,
          String.valueOf(e.getMessage()),
          "make its folder writable, or give a passphrase of your own with --passphrase-file",
          e);
    }
  }

  private static Passphrase read(Path file, String origin) {
    try {
      return Passphrase.parse(Files.readString(file, StandardCharsets.UTF_8), origin);
    } catch (NoSuchFileException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read the passphrase from " + origin,
          "there is no such file",
          "correct its name, or fetch the copy that was kept elsewhere",
          e);
    } catch (IOException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read the passphrase from " + origin,
          "it cannot be read as text: " + e.getMessage(),
          "check the file and who may read it",
          e);
    }
  }
}
