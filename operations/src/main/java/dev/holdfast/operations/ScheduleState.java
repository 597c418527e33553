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
 *     looked at is damaged), {@code gaps} (it did its work, all that is stored holds, and WAL is
 *     missing between) or {@code interrupted}; null: it has not ended yet
 * @param lastWhy what a failure said; null without one
 * @param lastSucceededAt when it last ended well; null: never
 * @param failures in a row, up to now
 * @param retryAt when it is tried again; null when it waits for its time
 * @param runningBy the host and process that run it; null when none does
 * @param nextAt when it runs next, as far as is known
 * @param unscheduledAt since when no line of the recording machine's holdfast.yaml schedules it;
 *     null: it is scheduled
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
    @Nullable Instant nextAt,
    @Nullable Instant unscheduledAt) {
  static final String SUCCEEDED = "succeeded";
  static final String FAILED = "failed";
  static final String FOUND = "found";
  static final String GAPS = "gaps";
  static final String INTERRUPTED = "interrupted";

  private static final Duration RETRY_FIRST = Duration.ofMinutes(1);
  private static final Duration RETRY_MAX = Duration.ofHours(1);
  private static final Duration JITTER_MAX = Duration.ofMinutes(1);
  private static final int JITTER_PART = 10;
  private static final int FAILURES_COUNTED = 20;

  /** Each takes the room and the time of a whole restore. */
  private static final int UNDECIDED_RETRIES = 2;

  /** No two machines' clocks are the same. */
  private static final Duration AHEAD_MAX = Duration.ofMinutes(1);

  /** How long it is told that a job is not scheduled any more. */
  private static final Duration UNSCHEDULED_MAX = Duration.ofDays(30);

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
        null,
        null);
  }

  /**
   * The same under the times that hold now; other ones than before count from now on. Where it was
   * not scheduled for a while, it has missed what it has missed: another machine may have recorded.
   */
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
        nextAt,
        null);
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
        at,
        unscheduledAt);
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
        null,
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

  /** It did its work: what is stored holds, and not every moment can be reached. */
  ScheduleState gaps(Instant at, String why) {
    return ended(at, GAPS, why, at, 0, null);
  }

  /** It came to no verdict: after an hour it may come to one, twice; then it waits for its time. */
  ScheduleState undecided(Instant at, String why) {
    return ended(
        at,
        FAILED,
        why,
        lastSucceededAt,
        failures + 1,
        failures < UNDECIDED_RETRIES ? at.plus(RETRY_MAX) : null);
  }

  /** No line of holdfast.yaml schedules it; how it stood stays known. */
  ScheduleState unscheduled(Instant at) {
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
        null,
        null,
        null,
        unscheduledAt == null ? at : unscheduledAt);
  }

  /** Whether nobody needs to hear any more that it is not scheduled. */
  boolean isForgotten(Instant now) {
    return unscheduledAt != null && unscheduledAt.plus(UNSCHEDULED_MAX).isBefore(now);
  }

  /** Whether a clock that was ahead has left times that would keep it from running. */
  boolean isAheadOf(Instant now) {
    return !notAfter(now).equals(this);
  }

  /** The same with no time that lies ahead. */
  ScheduleState notAfter(Instant now) {
    return new ScheduleState(
        job,
        when,
        timeZone,
        bounded(since, now),
        lastStartedAt == null ? null : bounded(lastStartedAt, now),
        lastFinishedAt == null ? null : bounded(lastFinishedAt, now),
        lastResult,
        lastWhy,
        lastSucceededAt == null ? null : bounded(lastSucceededAt, now),
        failures,
        retryAt != null && retryAt.isAfter(now.plus(RETRY_MAX).plus(AHEAD_MAX)) ? now : retryAt,
        runningBy,
        nextAt,
        unscheduledAt == null ? null : bounded(unscheduledAt, now));
  }

  private static Instant bounded(Instant time, Instant now) {
    return time.isAfter(now.plus(AHEAD_MAX)) ? now : time;
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
        nextAt,
        null);
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
