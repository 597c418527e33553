package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * {@code holdfast.yaml}. An unknown key is an error: a misspelt setting that is silently ignored is
 * found on the worst day.
 *
 * @param repository where everything recorded lives; null when the file does not say
 * @param expire what {@code holdfast expire} keeps; null when the file does not say
 * @param passphraseFile holds the passphrase of the repository; null when the file does not say
 * @param keyCommand asks a service for the repository's key; null when the file does not say
 * @param record how {@code holdfast record} records; null when the file does not say
 */
public record Configuration(
    @Nullable String repository,
    @Nullable Expiry expire,
    @Nullable String passphraseFile,
    @Nullable String keyCommand,
    @Nullable Recording record) {
  private static final Configuration NONE = new Configuration(null, null, null, null, null);

  /**
   * How {@code holdfast record} records; null where the file does not say. See {@link
   * RecordOptions}.
   */
  public record Recording(
      @Nullable Double flushIntervalSeconds,
      @Nullable Boolean synchronous,
      @Nullable Double degradeAfterSeconds) {}

  /**
   * How to record.
   *
   * @param url the recorder's connection; null: what {@code protect} kept
   * @param flushSeconds what {@code --flush-interval} said; null when it was not given
   * @param synchronous what {@code --synchronous} said; null when it was not given
   * @param degradeSeconds what {@code --degrade-after} said; null when it was not given
   * @param backupAfterGap whether a base backup is taken by itself when WAL was lost
   * @throws OperatorException USAGE when a duration is none
   */
  public RecordOptions recording(
      @Nullable String url,
      @Nullable Double flushSeconds,
      @Nullable Boolean synchronous,
      @Nullable Double degradeSeconds,
      boolean backupAfterGap) {
    RecordOptions usual = RecordOptions.DEFAULT;
    RecordOptions options = usual.withUrl(url);
    Recording said = record == null ? new Recording(null, null, null) : record;
    Double flush = flushSeconds == null ? said.flushIntervalSeconds : flushSeconds;
    if (flush != null) {
      options = options.withFlushSeconds(flush);
    }
    Boolean waited = synchronous == null ? said.synchronous : synchronous;
    if (Boolean.TRUE.equals(waited)) {
      Double degrade = degradeSeconds == null ? said.degradeAfterSeconds : degradeSeconds;
      options =
          options.synchronously(degrade == null ? usual.degradeAfter().toNanos() / 1e9 : degrade);
    }
    return backupAfterGap ? options : options.tellingGaps();
  }

  /**
   * What {@code holdfast expire} keeps; null where the file does not say. See {@link
   * RetentionRules}.
   *
   * @param keepWindow such as {@code 28d}
   * @param keepSummaries such as {@code 400d}
   */
  public record Expiry(
      @Nullable String keepWindow, @Nullable Integer keepFull, @Nullable String keepSummaries) {}

  /**
   * The rules to expire by.
   *
   * @param keepWindow what {@code --keep-window} said; null when it was not given
   * @param keepFull likewise
   * @throws OperatorException USAGE when a duration is none
   */
  public RetentionRules retention(@Nullable String keepWindow, @Nullable Integer keepFull) {
    String window = keepWindow != null || expire == null ? keepWindow : expire.keepWindow;
    Integer full = keepFull != null || expire == null ? keepFull : expire.keepFull;
    String summaries = expire == null ? null : expire.keepSummaries;
    RetentionRules usual = RetentionRules.DEFAULT;
    return new RetentionRules(
        window == null ? usual.keepWindow() : RetentionRules.duration(window),
        full == null ? usual.keepFull() : full,
        summaries == null ? usual.keepSummaries() : RetentionRules.duration(summaries));
  }

  private static final YAMLMapper MAPPER =
      YAMLMapper.builder().enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES).build();

  /**
   * The configuration that applies: the named file, else {@code HOLDFAST_CONFIG}, else {@code
   * holdfast.yaml} in the working directory, the user's and the system's configuration folder.
   *
   * @param named what {@code --config} said; null when it was not given
   */
  public static Configuration find(@Nullable Path named, Map<String, String> environment) {
    String fromEnvironment = environment.get("HOLDFAST_CONFIG");
    Path explicit =
        named != null
            ? named
            : fromEnvironment == null || fromEnvironment.isBlank()
                ? null
                : Path.of(fromEnvironment);
    if (explicit != null) {
      if (!Files.isReadable(explicit)) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot read the configuration " + explicit,
            "there is no such file, or it may not be read",
            "correct --config or HOLDFAST_CONFIG");
      }
      return read(explicit);
    }
    for (Path candidate : usual(environment)) {
      if (Files.isReadable(candidate)) {
        return read(candidate);
      }
    }
    return NONE;
  }

  /**
   * The repository to use, for what can do without.
   *
   * @param named what {@code --repository} said; null when it was not given
   * @return null when nothing names one
   */
  public @Nullable String repositoryIfNamed(
      @Nullable String named, Map<String, String> environment) {
    String fromEnvironment = environment.get("HOLDFAST_REPOSITORY");
    String chosen =
        named != null
            ? named
            : fromEnvironment != null && !fromEnvironment.isBlank() ? fromEnvironment : repository;
    return chosen == null || chosen.isBlank() ? null : chosen;
  }

  /**
   * The repository to use.
   *
   * @param named what {@code --repository} said; null when it was not given
   * @throws OperatorException USAGE when nothing names one
   */
  public String repository(@Nullable String named, Map<String, String> environment) {
    String chosen = repositoryIfNamed(named, environment);
    if (chosen == null) {
      throw new OperatorException(
          Kind.USAGE,
          "no repository named",
          "neither --repository, nor HOLDFAST_REPOSITORY, nor holdfast.yaml says where it is",
          "add --repository /path/to/a/folder (best on another machine's disk) or s3://BUCKET/PREFIX,"
              + " or set HOLDFAST_REPOSITORY");
    }
    return chosen;
  }

  private static List<Path> usual(Map<String, String> environment) {
    List<Path> candidates = new ArrayList<>();
    candidates.add(Path.of("holdfast.yaml"));
    String configHome = environment.get("XDG_CONFIG_HOME");
    candidates.add(
        (configHome == null || configHome.isBlank()
                ? Path.of(System.getProperty("user.home"), ".config")
                : Path.of(configHome))
            .resolve("holdfast")
            .resolve("holdfast.yaml"));
    candidates.add(Path.of("/etc/holdfast/holdfast.yaml"));
    return candidates;
  }

  private static Configuration read(Path file) {
    try {
      if (Files.size(file) == 0) {
        return NONE;
      }
      return MAPPER.readValue(file, Configuration.class);
    } catch (UnrecognizedPropertyException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot use the configuration " + file,
          "\"" + e.getPropertyName() + "\" is not a setting",
          "did you mean \"" + nearest(e.getPropertyName(), e) + "\"? Correct or remove the line",
          e);
    } catch (JacksonException | java.io.IOException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot use the configuration " + file,
          String.valueOf(e.getMessage()).lines().findFirst().orElse("it is not YAML"),
          "correct the file; it looks like \"repository: /backups\"",
          e);
    }
  }

  private static String nearest(String unknown, UnrecognizedPropertyException e) {
    return NearestNames.of(unknown, e.getKnownPropertyIds().stream().map(String::valueOf).toList())
        .stream()
        .findFirst()
        .orElse("repository");
  }
}
