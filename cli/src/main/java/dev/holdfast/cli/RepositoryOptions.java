package dev.holdfast.cli;

import dev.holdfast.operations.Configuration;
import java.nio.file.Path;
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

  /**
   * @param general what was given before the command
   */
  String location(RepositoryOptions general, Map<String, String> environment) {
    return configuration(general, environment)
        .repository(repository != null ? repository : general.repository, environment);
  }

  /**
   * For a command that can do without.
   *
   * @param general what was given before the command
   */
  @Nullable String locationIfNamed(RepositoryOptions general, Map<String, String> environment) {
    return configuration(general, environment)
        .repositoryIfNamed(repository != null ? repository : general.repository, environment);
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
