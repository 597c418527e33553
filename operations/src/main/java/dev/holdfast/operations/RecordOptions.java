package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * How to record.
 *
 * @param url the recorder's connection; null: what {@code protect} kept
 * @param flushInterval how old WAL may get before it is durable in the repository
 * @param synchronous whether commits are to wait for the repository
 * @param degradeAfter how long they may, when the repository takes no WAL
 * @param backupAfterGap whether a base backup is taken by itself when WAL was lost
 * @param standBy whether to wait while another recorder of the same cluster is at work; else it is
 *     refused
 * @param takeoverAfter how long this recorder may stay silent before one that stands by takes over
 */
public record RecordOptions(
    @Nullable String url,
    Duration flushInterval,
    boolean synchronous,
    Duration degradeAfter,
    boolean backupAfterGap,
    boolean standBy,
    Duration takeoverAfter) {
  private static final double TAKEOVER_SECONDS_MIN = 3;
  private static final double TAKEOVER_SECONDS_MAX = 3600;
  private static final double FLUSH_SECONDS_MIN = 0.01;
  private static final double FLUSH_SECONDS_MAX = 3600;
  private static final double DEGRADE_SECONDS_MIN = 1;
  private static final double DEGRADE_SECONDS_MAX = 3600;

  /** Every second; nobody waits; a gap is healed; half a minute of silence is enough. */
  public static final RecordOptions DEFAULT =
      new RecordOptions(
          null,
          Duration.ofSeconds(1),
          false,
          Duration.ofSeconds(10),
          true,
          true,
          Duration.ofSeconds(30));

  /** With the recorder's connection. */
  public RecordOptions withUrl(@Nullable String given) {
    return new RecordOptions(
        given, flushInterval, synchronous, degradeAfter, backupAfterGap, standBy, takeoverAfter);
  }

  /**
   * With this flush interval.
   *
   * @throws OperatorException USAGE for what is none
   */
  public RecordOptions withFlushSeconds(double seconds) {
    return new RecordOptions(
        url,
        duration("flush interval", seconds, FLUSH_SECONDS_MIN, FLUSH_SECONDS_MAX),
        synchronous,
        degradeAfter,
        backupAfterGap,
        standBy,
        takeoverAfter);
  }

  /**
   * With commits that wait for the repository, as long as it takes WAL.
   *
   * @param degradeSeconds how long it may take none
   * @throws OperatorException USAGE for what is none
   */
  public RecordOptions synchronously(double degradeSeconds) {
    return new RecordOptions(
        url,
        flushInterval,
        true,
        duration(
            "time after which commits wait no longer",
            degradeSeconds,
            DEGRADE_SECONDS_MIN,
            DEGRADE_SECONDS_MAX),
        backupAfterGap,
        standBy,
        takeoverAfter);
  }

  /** Only tells that a base backup is needed when WAL was lost. */
  public RecordOptions tellingGaps() {
    return new RecordOptions(
        url, flushInterval, synchronous, degradeAfter, false, standBy, takeoverAfter);
  }

  /** Leaves when another recorder of the same cluster is at work. */
  public RecordOptions notStandingBy() {
    return new RecordOptions(
        url, flushInterval, synchronous, degradeAfter, backupAfterGap, false, takeoverAfter);
  }

  /**
   * With this time after which a silent recorder is taken for gone.
   *
   * @throws OperatorException USAGE for what is none
   */
  public RecordOptions withTakeoverAfterSeconds(double seconds) {
    return withTakeoverAfter(
        duration(
            "time after which a silent recorder is taken for gone",
            seconds,
            TAKEOVER_SECONDS_MIN,
            TAKEOVER_SECONDS_MAX));
  }

  RecordOptions withTakeoverAfter(Duration after) {
    return new RecordOptions(
        url, flushInterval, synchronous, degradeAfter, backupAfterGap, standBy, after);
  }

  private static Duration duration(String what, double seconds, double min, double max) {
    if (!(seconds >= min && seconds <= max)) {
      throw new OperatorException(
          Kind.USAGE,
          "%s s cannot be the %s".formatted(seconds, what),
          "%s to %s s are sensible".formatted(min, max),
          "leave it out for the usual one");
    }
    return Duration.ofNanos(Math.round(seconds * 1e9));
  }
}
