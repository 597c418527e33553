package dev.holdfast.operations;

import dev.holdfast.postgres.Retry;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import org.jspecify.annotations.Nullable;

/**
 * How a scheduled job stands; kept in the repository.
 *
 * @param job as holdfast.yaml names it: {@code backup.full}, {@code prove}
 * @param when as holdfast.yaml says it: {@code 0 3 * * *}
 * @param timeZone whose clock that means
 * @param since from when on these times count
 * @param lastStartedAt null: never
 * @param lastFinishedAt null: never, or it is running
 * @param lastResult {@code succeeded}, {@code failed}, {@code found} (it did its work, and what it
 *     looked at is not as it should be) or {@code interrupted}; null: it has not ended yet
 * @param lastWhy what a failure said; null without one
 * @param lastSucceededAt when it last ended well; null: never
 * @param failures in a row, up to now
 * @param retryAt when it is tried again; null when it waits for its time
 * @param runningBy the host and process that run it; null when none does
 * @param nextAt when it runs next, as far as is known
 */
public record ScheduleState(
    String job,
    String when,
    String timeZone,
    Instant since,
    @Nullable Instant lastStartedAt,
    @Nullable Instant lastFinishedAt,
    @Nullable String lastResult,
    @Nullable String lastWhy,
    @Nullable Instant lastSucceededAt,
    int failures,
    @Nullable Instant retryAt,
    @Nullable String runningBy,
    @Nullable Instant nextAt) {
  static final String SUCCEEDED = "succeeded";
  static final String FAILED = "failed";
  static final String FOUND = "found";
  static final String INTERRUPTED = "interrupted";

  private static final Duration RETRY_FIRST = Duration.ofMinutes(1);
  private static final Duration RETRY_MAX = Duration.ofHours(1);
  private static final Duration JITTER_MAX = Duration.ofMinutes(1);
  private static final int JITTER_PART = 10;
  private static final int FAILURES_COUNTED = 20;

  static ScheduleState begun(ScheduledJob job, Cron cron, Instant now) {
    return new ScheduleState(
        job.setting(),
        cron.text(),
        cron.zone().getId(),
        now,
        null,
        null,
        null,
        null,
        null,
        0,
        null,
        null,
        null);
  }

  /** The same under the times that hold now; other ones than before count from now on. */
  ScheduleState under(Cron cron, Instant now) {
    boolean same = when.equals(cron.text()) && timeZone.equals(cron.zone().getId());
    return new ScheduleState(
        job,
        cron.text(),
        cron.zone().getId(),
        same ? since : now,
        lastStartedAt,
        lastFinishedAt,
        lastResult,
        lastWhy,
        lastSucceededAt,
        failures,
        retryAt,
        runningBy,
        nextAt);
  }

  /**
   * When it is to run: once after whatever it missed, a little after its time so that not all
   * clusters' jobs begin in the same second, or when it is tried again.
   *
   * @param seed the same cluster always waits as long for the same time
   * @return null: never
   */
  @Nullable Instant runsAt(Cron cron, String seed) {
    Instant from = lastStartedAt == null || lastStartedAt.isBefore(since) ? since : lastStartedAt;
    Instant due = cron.next(from);
    Instant at = due == null ? null : due.plus(jitter(cron, seed, due));
    Instant again = retryAt;
    return again != null && (at == null || again.isBefore(at)) ? again : at;
  }

  private Duration jitter(Cron cron, String seed, Instant due) {
    Duration tenth = cron.interval(due).dividedBy(JITTER_PART);
    long max = (tenth.compareTo(JITTER_MAX) < 0 ? tenth : JITTER_MAX).toMillis();
    int drawn = (seed + ' ' + job + ' ' + due).hashCode();
    return Duration.ofMillis(max == 0 ? 0 : Integer.toUnsignedLong(drawn * 0x9E3779B9) % max);
  }

  ScheduleState nextAt(@Nullable Instant at) {
    return new ScheduleState(
        job,
        when,
        timeZone,
        since,
        lastStartedAt,
        lastFinishedAt,
        lastResult,
        lastWhy,
        lastSucceededAt,
        failures,
        retryAt,
        runningBy,
        at);
  }

  ScheduleState started(Instant at, String by) {
    return new ScheduleState(
        job,
        when,
        timeZone,
        since,
        at,
        null,
        null,
        null,
        lastSucceededAt,
        failures,
        null,
        by,
        null);
  }

  ScheduleState succeeded(Instant at) {
    return ended(at, SUCCEEDED, null, at, 0, null);
  }

  /** It did its work, and its finding stays what it is until something is done about it. */
  ScheduleState found(Instant at, String why) {
    return ended(at, FOUND, why, lastSucceededAt, failures + 1, null);
  }

  /** It is tried again after a minute, then after twice as long each time, up to an hour. */
  ScheduleState failed(Instant at, String why) {
    Retry retry = new Retry(RETRY_FIRST, RETRY_MAX);
    for (int i = 0; i < Math.min(failures, FAILURES_COUNTED); i++) {
      retry.next();
    }
    return ended(at, FAILED, why, lastSucceededAt, failures + 1, at.plus(retry.next()));
  }

  /**
   * Holdfast was stopped under it, which is nobody's failure: it is done when somebody can.
   *
   * @param again from when on
   */
  ScheduleState interrupted(Instant at, Instant again, String why) {
    return ended(at, INTERRUPTED, why, lastSucceededAt, failures, again);
  }

  private ScheduleState ended(
      Instant at,
      String result,
      @Nullable String why,
      @Nullable Instant succeededAt,
      int failed,
      @Nullable Instant again) {
    return new ScheduleState(
        job,
        when,
        timeZone,
        since,
        lastStartedAt,
        at,
        result,
        why,
        succeededAt,
        failed,
        again,
        null,
        nextAt);
  }

  /**
   * Whether it should have succeeded by now, and has not: two of its times have passed, and an
   * hour.
   */
  boolean isOverdue(Instant now) {
    Cron cron;
    try {
      cron = Cron.parse(when, ZoneId.of(timeZone));
    } catch (RuntimeException e) {
      return false; // a later Holdfast may know more
    }
    Instant from =
        lastSucceededAt == null || lastSucceededAt.isBefore(since) ? since : lastSucceededAt;
    Instant first = cron.next(from);
    Instant second = first == null ? null : cron.next(first);
    return second != null && second.plus(RETRY_MAX).isBefore(now);
  }
}
