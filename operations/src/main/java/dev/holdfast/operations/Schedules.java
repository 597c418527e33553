package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.LeaseCandidate;
import dev.holdfast.store.LeaseDocument;
import dev.holdfast.store.LeaseLostException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Does for one cluster what {@code holdfast.yaml} has scheduled: one job at a time, each missed one
 * once, on one machine: whoever holds the lease. How the jobs stand is kept in the repository, so
 * that a restart, or another machine, goes on from there.
 */
final class Schedules {
  static final String ROLE = "schedule";

  /** What stopping takes at most: a job is given up, and killed when it does not hear. */
  static final Duration STOP_MAX = Duration.ofSeconds(8);

  private static final Duration STOP_LOOK = Duration.ofMillis(200);
  private static final Logger LOG = LoggerFactory.getLogger(Schedules.class);
  private static final Duration TERM = Duration.ofSeconds(60);

  /** Clocks are set, machines sleep: looks again before long, however far off the next job is. */
  private static final Duration LOOK_MAX = Duration.ofSeconds(30);

  private static final Duration LEASE_LOOK = Duration.ofSeconds(10);
  private static final Duration STOPPED_PAUSE = Duration.ofMinutes(1);
  private static final int FAILURES_CRITICAL = 3;

  private final ClusterStore cluster;
  private final ClusterSchedule schedule;
  private final JobRunner runner;
  private final Consumer<RecordingAlarm> alarms;
  private final Consumer<String> say;
  private final Time time;
  private final CountDownLatch stopping = new CountDownLatch(1);
  private @Nullable Thread thread;

  /** What time it is, and how it passes. */
  interface Time extends InstantSource {
    /** Waits, until told to stop at the longest; returns whether it was. */
    boolean pass(Duration duration, CountDownLatch stopping) throws InterruptedException;

    /** The machine's. */
    Time REAL =
        new Time() {
          @Override
          public Instant instant() {
            return Instant.now();
          }

          @Override
          public boolean pass(Duration duration, CountDownLatch stopping)
              throws InterruptedException {
            return stopping.await(duration.toMillis(), TimeUnit.MILLISECONDS);
          }
        };
  }

  Schedules(
      ClusterStore cluster,
      ClusterSchedule schedule,
      JobRunner runner,
      Consumer<RecordingAlarm> alarms,
      Consumer<String> say,
      Time time) {
    this.cluster = cluster;
    this.schedule = schedule;
    this.runner = runner;
    this.alarms = alarms;
    this.say = say;
    this.time = time;
  }

  void begin() {
    thread = Thread.ofPlatform().daemon().name("schedule").start(this::run);
  }

  /** A job that runs is stopped, and done again by whoever takes over. */
  void end() {
    stopping.countDown();
    Thread running = thread;
    if (running != null) {
      try {
        long deadline = System.nanoTime() + STOP_MAX.toNanos();
        do {
          runner.stopRunning(); // again: one may just have been begun
        } while (!running.join(STOP_LOOK) && System.nanoTime() < deadline);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Until {@link #end}. */
  void run() {
    try {
      LeaseCandidate candidate =
          cluster.candidate(ROLE, "running the schedule of " + cluster.document().name(), TERM);
      String told = "";
      while (stopping.getCount() > 0) {
        try {
          LeaseCandidate.Answer answer = candidate.ask();
          Lease lease = answer.lease();
          LeaseDocument holder = answer.holder();
          if (lease != null) {
            told = "";
            underLease(lease);
          } else if (holder != null && !told.equals(holder.holder().token())) {
            told = holder.holder().token();
            say.accept(
                "the schedule of %s is run by %s, since %s; here nothing is done while it is"
                    .formatted(
                        cluster.document().name(), holder.holder().where(), holder.acquiredAt()));
          }
        } catch (LeaseLostException e) {
          alarms.accept(
              RecordingAlarm.of(
                  "schedule",
                  "warning",
                  "the schedule of %s is run elsewhere now: %s"
                      .formatted(cluster.document().name(), e.why()),
                  "see why this process, its machine or its way to the repository stood still"));
        } catch (OperatorException e) {
          LOG.warn("the schedule cannot be run; trying again", e);
          alarms.accept(
              RecordingAlarm.of(
                  "schedule",
                  "warning",
                  "the schedule of %s cannot be run: %s: %s; it is tried again"
                      .formatted(cluster.document().name(), e.what(), e.why()),
                  e.next()));
        } catch (RuntimeException e) {
          LOG.error("the schedule stopped; beginning anew", e);
          alarms.accept(
              RecordingAlarm.of(
                  "schedule",
                  "critical",
                  "the schedule of %s met an error of its own (%s); it begins anew"
                      .formatted(cluster.document().name(), e),
                  "please report this with the log"));
        }
        time.pass(LEASE_LOOK, stopping);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // asked to end
    }
  }

  private void underLease(Lease lease) throws InterruptedException {
    try (lease) {
      lease.keep(runner::stopRunning);
      ClusterStore fenced = cluster.fencedBy(lease);
      Map<ScheduledJob, ScheduleState> jobs = takeOver(fenced);
      jobs.forEach((_, state) ->
          say.accept(
              "scheduled: %s at %s (%s), next %s"
                  .formatted(
                      state.job(),
                      state.when(),
                      state.timeZone(),
                      state.nextAt() == null ? "never" : state.nextAt())));
      while (stopping.getCount() > 0) {
        ScheduledJob next = null;
        Instant earliest = Instant.MAX;
        for (Map.Entry<ScheduledJob, ScheduleState> job : jobs.entrySet()) {
          Instant at = runsAt(job.getKey(), job.getValue());
          if (at != null && at.isBefore(earliest)) {
            next = job.getKey();
            earliest = at;
          }
        }
        Instant now = time.instant();
        if (next != null && !earliest.isAfter(now)) {
          jobs.put(next, run(fenced, lease, next, state(jobs, next)));
        } else {
          Duration left = next == null ? LOOK_MAX : Duration.between(now, earliest);
          if (time.pass(left.compareTo(LOOK_MAX) > 0 ? LOOK_MAX : left, stopping)) {
            return;
          }
          lease.check();
        }
      }
    }
  }

  private static ScheduleState state(Map<ScheduledJob, ScheduleState> jobs, ScheduledJob job) {
    ScheduleState state = jobs.get(job);
    if (state == null) {
      throw new IllegalStateException(job + " is not scheduled");
    }
    return state;
  }

  private @Nullable Instant runsAt(ScheduledJob job, ScheduleState state) {
    Cron cron = schedule.times().get(job);
    return cron == null
        ? null
        : state.runsAt(
            cron, cluster.document().systemIdentifier() + ' ' + cluster.document().name());
  }

  /** What the last one to run it left: jobs of its that were cut off, jobs that are none now. */
  private Map<ScheduledJob, ScheduleState> takeOver(ClusterStore fenced) {
    Map<String, ScheduleState> known = fenced.schedules(ScheduleState.class);
    Map<ScheduledJob, ScheduleState> jobs = new EnumMap<>(ScheduledJob.class);
    for (ScheduledJob job : ScheduledJob.values()) {
      Cron cron = schedule.times().get(job);
      ScheduleState state = known.get(job.key());
      if (cron == null) {
        if (state != null) {
          fenced.removeSchedule(job.key());
        }
        continue;
      }
      ScheduleState now =
          state == null
              ? ScheduleState.begun(job, cron, time.instant())
              : state.under(cron, time.instant());
      if (now.runningBy() != null) {
        now =
            now.interrupted(
                time.instant(),
                time.instant(),
                "%s, which ran it, is gone".formatted(now.runningBy()));
      }
      jobs.put(job, keep(fenced, job, now));
    }
    return jobs;
  }

  private ScheduleState keep(ClusterStore fenced, ScheduledJob job, ScheduleState state) {
    ScheduleState kept = state.nextAt(runsAt(job, state));
    fenced.putSchedule(job.key(), kept);
    return kept;
  }

  private ScheduleState run(
      ClusterStore fenced, Lease lease, ScheduledJob job, ScheduleState before)
      throws InterruptedException {
    String name = cluster.document().name();
    ScheduleState running =
        keep(fenced, job, before.started(time.instant(), lease.document().holder().where()));
    say.accept("%s of %s begins, as scheduled (%s)".formatted(job.setting(), name, before.when()));
    JobRunner.End end;
    try {
      end = runner.run(schedule.arguments(job, name));
    } catch (RuntimeException e) {
      LOG.warn("a scheduled job could not be started", e);
      end = new JobRunner.End(Kind.FAILED.exitCode(), "it could not be started: " + e, false);
    }
    Instant now = time.instant();
    String why = end.why() == null ? "" : end.why();
    if (end.exitCode() == 0 && !end.stopped()) {
      if (running.failures() > 0) {
        alarms.accept(
            RecordingAlarm.of(
                "schedule",
                "note",
                "%s of %s has succeeded again, after %d failures"
                    .formatted(job.setting(), name, running.failures()),
                "nothing"));
      } else {
        say.accept("%s of %s has succeeded".formatted(job.setting(), name));
      }
      return keep(fenced, job, running.succeeded(now));
    }
    if (end.stopped()) {
      return keep(fenced, job, running.interrupted(now, now.plus(STOPPED_PAUSE), "it was stopped"));
    }
    boolean looked = job == ScheduledJob.PROVE || job == ScheduledJob.VERIFY;
    boolean found =
        looked
            && (end.exitCode() == Kind.DIFFERENT.exitCode()
                || end.exitCode() == Kind.DAMAGED_DATA.exitCode());
    ScheduleState ended = found ? running.found(now, why) : running.failed(now, why);
    ScheduleState kept = keep(fenced, job, ended);
    alarms.accept(
        RecordingAlarm.of(
            "schedule",
            found || kept.failures() >= FAILURES_CRITICAL ? "critical" : "warning",
            found
                ? "%s of %s found something wrong: %s".formatted(job.setting(), name, why)
                : "%s of %s failed: %s; it is tried again at %s"
                    .formatted(job.setting(), name, why, kept.retryAt()),
            found
                ? "holdfast %s, which says what it means"
                    .formatted(String.join(" ", schedule.arguments(job, name)))
                : "holdfast %s says more"
                    .formatted(String.join(" ", schedule.arguments(job, name)))));
    return kept;
  }
}
