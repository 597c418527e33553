package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.databind.DeserializationContext;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.ValueDeserializer;
import tools.jackson.databind.annotation.JsonDeserialize;
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
 * @param schedule what is done when, by cluster; null when the file does not say
 */
public record Configuration(
    @Nullable String repository,
    @Nullable Expiry expire,
    @Nullable String passphraseFile,
    @Nullable String keyCommand,
    @Nullable Recording record,
    @Nullable Map<String, Scheduling> schedule) {
  private static final Configuration NONE = new Configuration(null, null, null, null, null, null);

  /**
   * What is scheduled for one cluster; null where the file does not say.
   *
   * @param timeZone whose clock the times mean, such as {@code Europe/Berlin}; else the machine's
   * @param verifyReadData how much {@code verify} reads of contents: {@code 5%}
   * @param proveScratch the folder in which {@code prove} restores; else the machine's temporary
   *     one
   */
  public record Scheduling(
      @Nullable Located timeZone,
      @Nullable Backups backup,
      @Nullable Located rollup,
      @Nullable Located expire,
      @Nullable Located prove,
      @Nullable Located verify,
      @Nullable Located verifyReadData,
      @Nullable Located proveScratch) {}

  /** When base backups are taken; null where the file does not say. */
  public record Backups(@Nullable Located full, @Nullable Located incremental) {}

  /**
   * A text, and where it stands.
   *
   * @param place the file and the line
   */
  @JsonDeserialize(using = LocatedReader.class)
  public record Located(String text, String place) {}

  /** The attribute that holds the file's name. */
  private static final String FILE = "holdfast.file";

  static final class LocatedReader extends ValueDeserializer<Located> {
    @Override
    public Located deserialize(JsonParser parser, DeserializationContext context) {
      int line = parser.currentTokenLocation().getLineNr();
      String text = parser.getValueAsString();
      if (text == null) {
        return (Located) context.handleUnexpectedToken(context.constructType(String.class), parser);
      }
      return new Located(text, context.getAttribute(FILE) + ", line " + line);
    }
  }

  /**
   * What is scheduled for a cluster.
   *
   * @return null when nothing is
   * @throws OperatorException USAGE naming the line that cannot be used
   */
  @Nullable ClusterSchedule schedule(String cluster) {
    Scheduling said = schedule == null ? null : schedule.get(cluster);
    if (said == null) {
      return null;
    }
    ZoneId zone = ZoneId.systemDefault();
    if (said.timeZone != null) {
      try {
        zone = ZoneId.of(said.timeZone.text());
      } catch (DateTimeException e) {
        throw wrong(
            said.timeZone,
            "\"%s\" is no time zone".formatted(said.timeZone.text()),
            "write one such as Europe/Berlin or UTC, or leave the line out for this machine's ("
                + zone
                + ")",
            e);
      }
    }
    var times = new TreeMap<ScheduledJob, Cron>();
    if (said.backup != null) {
      add(times, ScheduledJob.FULL, said.backup.full, zone);
      add(times, ScheduledJob.INCREMENTAL, said.backup.incremental, zone);
    }
    add(times, ScheduledJob.ROLLUP, said.rollup, zone);
    add(times, ScheduledJob.EXPIRE, said.expire, zone);
    add(times, ScheduledJob.PROVE, said.prove, zone);
    add(times, ScheduledJob.VERIFY, said.verify, zone);
    List<String> verify = List.of();
    if (said.verifyReadData != null) {
      String share = said.verifyReadData.text().strip();
      if (!SHARE.matcher(share).matches()) {
        throw wrong(
            said.verifyReadData,
            "\"%s\" is no share of the contents".formatted(share),
            "write verifyReadData: 5%, or another number from 0 to 100",
            null);
      }
      verify = List.of("--read-data", share);
    }
    List<String> prove = List.of();
    if (said.proveScratch != null) {
      String folder = said.proveScratch.text().strip();
      if (!folder.startsWith("/")) {
        throw wrong(
            said.proveScratch,
            "\"%s\" is no absolute path".formatted(folder),
            "write proveScratch: /big/disk, a folder on a disk with the room of the cluster and its WAL",
            null);
      }
      prove = List.of("--scratch", folder);
    }
    return times.isEmpty() ? null : new ClusterSchedule(zone, times, verify, prove);
  }

  private static void add(
      Map<ScheduledJob, Cron> times, ScheduledJob job, @Nullable Located when, ZoneId zone) {
    if (when == null) {
      return;
    }
    try {
      times.put(job, Cron.parse(when.text(), zone));
    } catch (IllegalArgumentException e) {
      throw wrong(
          when,
          "\"%s\" is not a time for %s: %s".formatted(when.text(), job.setting(), e.getMessage()),
          "write five fields (minute, hour, day of the month, month, day of the week), in quotes:"
              + " \"0 3 * * *\" is every day at 03:00, \"0 3 * * 0\" every Sunday; or @daily, @weekly",
          e);
    }
  }

  private static OperatorException wrong(
      Located where, String why, String next, @Nullable Throwable cause) {
    return new OperatorException(
        Kind.USAGE, "cannot use the configuration " + where.place(), why, next, cause);
  }

  private static final Pattern SHARE = Pattern.compile("([0-9]{1,2}(\\.[0-9]+)?|100)%?");

  /**
   * How {@code holdfast record} records; null where the file does not say. See {@link
   * RecordOptions}.
   */
  public record Recording(
      @Nullable Double flushIntervalSeconds,
      @Nullable Boolean synchronous,
      @Nullable Double degradeAfterSeconds,
      @Nullable Double takeoverAfterSeconds) {}

  /**
   * How to record.
   *
   * @param url the recorder's connection; null: what {@code protect} kept
   * @param flushSeconds what {@code --flush-interval} said; null when it was not given
   * @param synchronous what {@code --synchronous} said; null when it was not given
   * @param degradeSeconds what {@code --degrade-after} said; null when it was not given
   * @param backupAfterGap whether a base backup is taken by itself when WAL was lost
   * @param standBy whether to wait while another recorder is at work
   * @throws OperatorException USAGE when a duration is none
   */
  public RecordOptions recording(
      @Nullable String url,
      @Nullable Double flushSeconds,
      @Nullable Boolean synchronous,
      @Nullable Double degradeSeconds,
      boolean backupAfterGap,
      boolean standBy) {
    RecordOptions usual = RecordOptions.DEFAULT;
    RecordOptions options = usual.withUrl(url);
    Recording said = record == null ? new Recording(null, null, null, null) : record;
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
    if (said.takeoverAfterSeconds != null) {
      options = options.withTakeoverAfterSeconds(said.takeoverAfterSeconds);
    }
    if (!standBy) {
      options = options.notStandingBy();
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
      return MAPPER
          .readerFor(Configuration.class)
          .withAttribute(FILE, file)
          .readValue(file.toFile());
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
