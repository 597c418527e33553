package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.KeySources;
import dev.holdfast.store.Repository;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The keys of repositories: where they are found, shown, changed, exported. */
public final class RepositoryKeys {
  private final Repository repository;

  /** Of this repository, with the key that opens it. */
  public RepositoryKeys(String repository) {
    this.repository = Repository.open(repository);
  }

  /**
   * Decides where every repository that is opened from now on has its key from: the command line,
   * else the environment, else {@code holdfast.yaml}, else the key file in the user's folder.
   *
   * @param passphraseFile what {@code --passphrase-file} said; null when it was not given
   * @param keyCommand what {@code --key-command} said; null when it was not given
   * @throws OperatorException USAGE when both were given
   */
  public static void use(
      @Nullable Path passphraseFile,
      @Nullable String keyCommand,
      Configuration configuration,
      Map<String, String> environment) {
    KeySources sources = KeySources.of(environment);
    String fromEnvironment = environment.getOrDefault("HOLDFAST_KEY_COMMAND", "");
    KeySources chosen;
    if (passphraseFile != null || keyCommand != null) {
      chosen = told(sources, passphraseFile, keyCommand, "--passphrase-file", "--key-command");
    } else if (sources.isTold()) {
      chosen = sources;
    } else if (!fromEnvironment.isBlank()) {
      chosen =
          sources.withCommand(
              new ShellKeyCommand(fromEnvironment, "HOLDFAST_KEY_COMMAND"), "HOLDFAST_KEY_COMMAND");
    } else {
      String file = configuration.passphraseFile();
      chosen =
          told(
              sources,
              file == null ? null : Path.of(file),
              configuration.keyCommand(),
              "passphraseFile in holdfast.yaml",
              "keyCommand in holdfast.yaml");
    }
    KeySources.useInProcess(chosen);
  }

  private static KeySources told(
      KeySources sources,
      @Nullable Path file,
      @Nullable String command,
      String fileBy,
      String commandBy) {
    if (file != null && command != null) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot tell which key to use",
          "%s and %s are both given".formatted(fileBy, commandBy),
          "give one of them");
    }
    if (file != null) {
      return sources.withPassphraseFile(file, fileBy);
    }
    return command == null
        ? sources
        : sources.withCommand(new ShellKeyCommand(command, commandBy), commandBy);
  }

  /**
   * How a repository is encrypted. Holds no secret.
   *
   * @param repositoryId names the key
   * @param encrypted whether what is stored is encrypted
   * @param wrappedBy {@code passphrase}, {@code generatedKey} or {@code keyCommand}; null when not
   *     encrypted
   * @param keyFrom where the key was found; null when not encrypted
   * @param compressionLevel zstd's, of what is written
   */
  public record Report(
      String repository,
      String repositoryId,
      boolean encrypted,
      @Nullable String wrappedBy,
      @Nullable String keyFrom,
      int compressionLevel) {
    static Report of(Repository repository) {
      Repository.KeyInfo key = repository.keyInfo();
      return new Report(
          repository.location(),
          repository.id(),
          key != null,
          key == null ? null : key.wrappedBy(),
          key == null ? null : key.keyFrom(),
          repository.compressionLevel());
    }
  }

  /** How it is encrypted. */
  public Report show() {
    return Report.of(repository);
  }

  /**
   * What opens the repository from now on: exactly one of them.
   *
   * @param passphraseFile holds a passphrase, or a key that Holdfast made
   * @param keyCommand asks a key service
   * @param keyFile is made, with a new random key
   */
  public record Change(
      @Nullable Path passphraseFile, @Nullable String keyCommand, @Nullable Path keyFile) {
    /** Refuses none and several. */
    public Change {
      int given =
          (passphraseFile == null ? 0 : 1)
              + (keyCommand == null ? 0 : 1)
              + (keyFile == null ? 0 : 1);
      if (given != 1) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot tell what the new key is to be",
            given == 0 ? "none is named" : "several are named",
            "name one of --new-passphrase-file, --new-key-command and --new-key-file");
      }
    }
  }

  /**
   * Wraps the repository's data key with another secret. What is stored is not written anew.
   *
   * @throws OperatorException REFUSED when it is not encrypted, or the key file is there already
   */
  public Report change(Change change) {
    if (repository.keyInfo() == null) {
      Repository unencrypted =
          repository.changeKey(KeySources.ofProcess()); // says that it has none
      return Report.of(unencrypted);
    }
    Path made = change.keyFile();
    if (made != null) {
      KeySources.writeNewKey(made, repository.id(), repository.location());
    }
    KeySources told =
        told(
            KeySources.ofProcess(),
            made != null ? made : change.passphraseFile(),
            change.keyCommand(),
            made != null ? "--new-key-file" : "--new-passphrase-file",
            "--new-key-command");
    return Report.of(repository.changeKey(told));
  }

  /**
   * Writes what opens the repository to a new file that only its owner reads.
   *
   * @throws OperatorException REFUSED when there is such a file, or nothing that can be written
   *     down
   */
  public Report export(Path file) {
    repository.exportKey(file);
    return Report.of(repository);
  }
}
