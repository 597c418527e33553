package dev.holdfast.cli;

import dev.holdfast.operations.Configuration;
import dev.holdfast.operations.RepositoryKeys;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which repository a command works on. */
final class RepositoryOptions {
  @Option(
      names = "--repository",
      paramLabel = "URL",
      description =
          "Where everything recorded lives: a folder, or s3://BUCKET/PREFIX. Else HOLDFAST_REPOSITORY,"
              + " else holdfast.yaml.")
  @Nullable String repository;

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description = "The holdfast.yaml to use. Else HOLDFAST_CONFIG, else the usual places.")
  @Nullable Path config;

  @Option(
      names = "--passphrase-file",
      paramLabel = "FILE",
      description =
          "Holds the passphrase of the repository, or the key that Holdfast made. Else"
              + " HOLDFAST_PASSPHRASE_FILE, HOLDFAST_PASSPHRASE, holdfast.yaml, the key file in the"
              + " user's folder.")
  @Nullable Path passphraseFile;

  @Option(
      names = "--key-command",
      paramLabel = "COMMAND",
      description =
          "Asks a key service: run by the shell with \"wrap\" or \"unwrap\" added, bytes in, bytes out."
              + " Put no secret in it: others see command lines; let it read a file. Else"
              + " HOLDFAST_KEY_COMMAND, else holdfast.yaml.")
  @Nullable String keyCommand;

  /**
   * Where the repository is; from now on its key is looked for where this command line says.
   *
   * @param general what was given before the command
   */
  String location(RepositoryOptions general, Map<String, String> environment) {
    Configuration configuration = configuration(general, environment);
    useKeys(general, configuration, environment);
    return configuration.repository(
        repository != null ? repository : general.repository, environment);
  }

  private void useKeys(
      RepositoryOptions general, Configuration configuration, Map<String, String> environment) {
    boolean here = passphraseFile != null || keyCommand != null;
    RepositoryKeys.use(
        here ? passphraseFile : general.passphraseFile,
        here ? keyCommand : general.keyCommand,
        configuration,
        environment);
  }

  /**
   * What makes another command work on the same repository. The environment is the same.
   *
   * @param general what was given before the command
   */
  List<String> options(RepositoryOptions general, Map<String, String> environment) {
    List<String> options = new ArrayList<>(List.of("--repository", location(general, environment)));
    Path chosen = config != null ? config : general.config;
    if (chosen != null) {
      options.addAll(List.of("--config", chosen.toString()));
    }
    boolean here = passphraseFile != null || keyCommand != null;
    Path passphrase = here ? passphraseFile : general.passphraseFile;
    String key = here ? keyCommand : general.keyCommand;
    if (passphrase != null) {
      options.addAll(List.of("--passphrase-file", passphrase.toString()));
    }
    if (key != null) {
      options.addAll(List.of("--key-command", key));
    }
    return options;
  }

  /**
   * Tells a command how to connect as the recorder, where that is not as {@code protect} kept it.
   */
  static final String RECORDER_URL = "HOLDFAST_RECORDER_URL";

  /**
   * The recorder's connection.
   *
   * @param given what {@code --url} said; null when it was not given
   * @return null: what {@code protect} kept
   */
  static @Nullable String recorderUrl(@Nullable String given, Map<String, String> environment) {
    String fromEnvironment = environment.get(RECORDER_URL);
    return given != null || fromEnvironment == null || fromEnvironment.isBlank()
        ? given
        : fromEnvironment;
  }

  /**
   * For a command that can do without.
   *
   * @param general what was given before the command
   */
  @Nullable String locationIfNamed(RepositoryOptions general, Map<String, String> environment) {
    Configuration configuration = configuration(general, environment);
    useKeys(general, configuration, environment);
    return configuration.repositoryIfNamed(
        repository != null ? repository : general.repository, environment);
  }

  /**
   * What {@code holdfast.yaml} says.
   *
   * @param general what was given before the command
   */
  Configuration configuration(RepositoryOptions general, Map<String, String> environment) {
    return Configuration.find(config != null ? config : general.config, environment);
  }

  /** Whether this very command line names a repository. */
  boolean isGiven(RepositoryOptions general) {
    return repository != null || general.repository != null;
  }
}
