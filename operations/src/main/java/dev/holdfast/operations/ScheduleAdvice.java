package dev.holdfast.operations;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What should be looked at about what is scheduled. */
final class ScheduleAdvice {
  /** A job may wait for another one, which takes as long as it takes; a look takes seconds. */
  private static final Duration LATE_MAX = Duration.ofMinutes(15);

  private ScheduleAdvice() {}

  /**
   * @param kept how every job stands that is or was scheduled
   * @param provenAt when the newest proof came to its end; null when it proved nothing
   */
  static List<Advice> of(
      String name, List<ScheduleState> kept, @Nullable Instant provenAt, Instant now) {
    List<Advice> advice = new ArrayList<>();
    List<ScheduleState> dropped = kept.stream().filter(job -> job.unscheduledAt() != null).toList();
    if (!dropped.isEmpty()) {
      advice.add(
          new Advice(
              "note",
              "not scheduled any more for %s, since %s: %s"
                  .formatted(
                      name,
                      dropped.getFirst().unscheduledAt(),
                      String.join(", ", dropped.stream().map(ScheduleState::job).toList())),
              "nothing, if that is meant; else put it into the holdfast.yaml of the machine that records,"
                  + " and start `holdfast record %s` again".formatted(name)));
    }
    List<ScheduleState> jobs = kept.stream().filter(job -> job.unscheduledAt() == null).toList();
    if (jobs.isEmpty()) {
      advice.add(
          new Advice(
              "note",
              "nothing is scheduled: base backups and proofs of %s are made when somebody makes them"
                  .formatted(name),
              """
              put into the holdfast.yaml of the machine that records, and start `holdfast record %s` again:
              schedule:
                %s:
                  backup:
                    full: "0 3 * * 0"
                    incremental: "0 3 * * 1-6"
                  prove: "0 8 * * 0\"\
              """
                  .formatted(name, name)));
      return advice;
    }
    boolean busy = jobs.stream().anyMatch(job -> job.runningBy() != null);
    for (ScheduleState job : jobs) {
      String failed =
          job.lastWhy() == null || ScheduleState.INTERRUPTED.equals(job.lastResult())
              ? ""
              : ": " + job.lastWhy();
      if (ScheduleState.FOUND.equals(job.lastResult())) {
        if (isProvenSince(job, provenAt)) {
          continue;
        }
        advice.add(
            new Advice(
                Advice.DANGER,
                "%s of %s found something wrong at %s%s"
                    .formatted(job.job(), name, job.lastFinishedAt(), failed),
                "holdfast %s %s, which says what it means".formatted(job.job(), name)));
      } else if (ScheduleState.GAPS.equals(job.lastResult())) {
        advice.add(
            new Advice(
                "warning",
                "%s of %s, at %s: what is stored holds, and WAL is missing between%s"
                    .formatted(job.job(), name, job.lastFinishedAt(), failed),
                "holdfast %s %s, which says what it costs".formatted(job.job(), name)));
      } else if (job.isOverdue(now)) {
        advice.add(
            new Advice(
                "warning",
                "%s of %s, scheduled at %s (%s), has not succeeded since %s%s"
                    .formatted(
                        job.job(),
                        name,
                        job.when(),
                        job.timeZone(),
                        job.lastSucceededAt() == null
                            ? "it was scheduled, " + job.since()
                            : job.lastSucceededAt(),
                        failed),
                "see what `holdfast record "
                    + name
                    + "` says on the machine that runs the schedule, or that it runs at all"));
      } else if (job.failures() > 0) {
        advice.add(
            new Advice(
                "warning",
                "%s of %s failed %s%s"
                    .formatted(
                        job.job(),
                        name,
                        job.failures() == 1 ? "once" : job.failures() + " times in a row",
                        failed),
                "nothing, if that is over: it is tried again at " + job.nextAt()));
      } else if (!busy && job.nextAt() != null && job.nextAt().plus(LATE_MAX).isBefore(now)) {
        advice.add(
            new Advice(
                "warning",
                "%s of %s was due at %s, and nobody has begun it"
                    .formatted(job.job(), name, job.nextAt()),
                "holdfast record " + name + ", which runs what is scheduled in its holdfast.yaml"));
      }
    }
    return advice;
  }

  /** Whether somebody has mended, and proven, what a proof had found. */
  private static boolean isProvenSince(ScheduleState job, @Nullable Instant provenAt) {
    return job.job().equals(ScheduledJob.PROVE.setting())
        && provenAt != null
        && job.lastFinishedAt() != null
        && provenAt.isAfter(job.lastFinishedAt());
  }
}
