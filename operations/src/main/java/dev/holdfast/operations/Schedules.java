package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Retry;
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
  private static final Duration TROUBLE_PAUSE_MAX = Duration.ofHours(1);
  private static final Duration STOPPED_PAUSE = Duration.ofMinutes(1);
  private static final Duration KEEP_PAUSE = Duration.ofSeconds(1);
  private static final Duration KEEP_PAUSE_MAX = Duration.ofMinutes(1);
  private static final int FAILURES_CRITICAL = 3;

  private final ClusterStore cluster;
  private final ClusterSchedule schedule;
  private final JobRunner runner;
  private final Consumer<RecordingAlarm> alarms;
  private final Consumer<String> say;
  private final Time time;
  private final CountDownLatch stopping = new CountDownLatch(1);
  private final Retry retry = new Retry(LEASE_LOOK, TROUBLE_PAUSE_MAX);

  /** What keeps the schedule from being run, as it was told; empty: nothing does. */
  private String trouble = "";

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

  /** Until {@link #end}; where nothing is scheduled, until that can be seen in the repository. */
  void run() {
    try {
      LeaseCandidate candidate =
          cluster.candidate(ROLE, "running the schedule of " + cluster.document().name(), TERM);
      String told = "";
      Instant heardOf = null;
      while (stopping.getCount() > 0) {
        Duration pause = LEASE_LOOK;
        try {
          if (schedule.times().isEmpty() && isDropped()) {
            return;
          }
          LeaseCandidate.Answer answer = candidate.ask();
          Lease lease = answer.lease();
          LeaseDocument holder = answer.holder();
          if (lease == null) {
            troubleIsOver(); // it can be told who runs it
          }
          if (lease != null) {
            told = "";
            underLease(lease);
            if (schedule.times().isEmpty()) {
              return;
            }
          } else if (holder != null && schedule.times().isEmpty()) {
            if (heardOf != null && !heardOf.equals(holder.renewedAt())) {
              return; // somebody is there, and runs what is scheduled elsewhere
            }
            heardOf = holder.renewedAt();
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
          if (isNew(e.what() + e.why())) {
            LOG.warn("the schedule cannot be run; trying again", e);
            alarms.accept(
                RecordingAlarm.of(
                    "schedule",
                    "warning",
                    "the schedule of %s cannot be run: %s: %s; it is tried again"
                        .formatted(cluster.document().name(), e.what(), e.why()),
                    e.next()));
          }
          pause = retry.next();
        } catch (RuntimeException e) {
          if (isNew(e.toString())) {
            LOG.error("the schedule stopped; beginning anew", e);
            alarms.accept(
                RecordingAlarm.of(
                    "schedule",
                    "critical",
                    "the schedule of %s met an error of its own (%s); it begins anew"
                        .formatted(cluster.document().name(), e),
                    "please report this with the log"));
          }
          pause = retry.next();
        }
        time.pass(pause, stopping);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // asked to end
    }
  }

  /** Whether something else keeps the schedule from being run than what was told last. */
  private boolean isNew(String why) {
    boolean isNew = !why.equals(trouble);
    trouble = why;
    return isNew;
  }

  private void troubleIsOver() {
    retry.succeeded();
    if (!trouble.isEmpty()) {
      trouble = "";
      alarms.accept(
          RecordingAlarm.of(
              "schedule",
              "note",
              "the schedule of %s is run again".formatted(cluster.document().name()),
              "nothing"));
    }
  }

  /** Whether the repository says of no job that it is scheduled, and of none for too long. */
  private boolean isDropped() {
    return cluster.schedules(ScheduleState.class).values().stream()
        .allMatch(state -> state.unscheduledAt() != null && !state.isForgotten(time.instant()));
  }

  private void underLease(Lease lease) throws InterruptedException {
    try (lease) {
      lease.keep(runner::stopRunning);
      ClusterStore fenced = cluster.fencedBy(lease);
      Map<ScheduledJob, ScheduleState> jobs = takeOver(fenced);
      if (jobs.isEmpty()) {
        return;
      }
      jobs.forEach((_, state) ->
          say.accept(
              "scheduled: %s at %s (%s), next %s"
                  .formatted(
                      state.job(),
                      state.when(),
                      state.timeZone(),
                      state.nextAt() == null ? "never" : state.nextAt())));
      while (stopping.getCount() > 0) {
        jobs.replaceAll(
            (job, state) -> state.isAheadOf(time.instant()) ? setBack(fenced, job, state) : state);
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
          troubleIsOver();
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

  /** A clock that was ahead, this machine's or another one's, must not put jobs off for years. */
  private ScheduleState setBack(ClusterStore fenced, ScheduledJob job, ScheduleState state) {
    Instant now = time.instant();
    ScheduleState kept = keep(fenced, job, state.notAfter(now));
    alarms.accept(
        RecordingAlarm.of(
            "schedule",
            "warning",
            "%s of %s would not have run for long: a clock was ahead when its times were kept (since %s,"
                    .formatted(job.setting(), cluster.document().name(), state.since())
                + " last begun %s), and it is %s now; it runs next at %s"
                    .formatted(
                        state.lastStartedAt() == null ? "never" : state.lastStartedAt(),
                        now,
                        kept.nextAt() == null ? "no time" : kept.nextAt()),
            "see that the clocks of the machines that record are right"));
    return kept;
  }

  /** What the last one to run it left: jobs of its that were cut off, jobs that are none now. */
  private Map<ScheduledJob, ScheduleState> takeOver(ClusterStore fenced) {
    Map<String, ScheduleState> known = fenced.schedules(ScheduleState.class);
    Map<ScheduledJob, ScheduleState> jobs = new EnumMap<>(ScheduledJob.class);
    for (ScheduledJob job : ScheduledJob.values()) {
      Cron cron = schedule.times().get(job);
      ScheduleState state = known.get(job.key());
      if (cron == null) {
        if (state != null && state.isForgotten(time.instant())) {
          fenced.removeSchedule(job.key());
        } else if (state != null && state.unscheduledAt() == null) {
          fenced.putSchedule(job.key(), state.unscheduled(time.instant()));
        }
        continue;
      }
      ScheduleState now =
          state == null
              ? ScheduleState.begun(job, cron, time.instant())
              : state.under(cron, time.instant());
      if (now.isAheadOf(time.instant())) {
        now = setBack(fenced, job, now);
      }
      if (now.runningBy() == null) {
        jobs.put(job, keep(fenced, job, now));
        continue;
      }
      // It may be what its process died of: as a failure it is tried again ever more rarely.
      ScheduleState cutOff =
          now.failed(
              time.instant(),
              "it was cut off: %s, which ran it, ended or was not heard of any more"
                  .formatted(now.runningBy()));
      ScheduleState kept = keep(fenced, job, cutOff);
      jobs.put(job, kept);
      tellFailure(job, kept, kept.failures() >= FAILURES_CRITICAL);
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
    if (end.exitCode() == 0) { // told to stop or not: it was faster
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
      return keepEnd(fenced, job, running.succeeded(now));
    }
    boolean looked =
        (job == ScheduledJob.PROVE || job == ScheduledJob.VERIFY)
            && (end.exitCode() == Kind.DIFFERENT.exitCode()
                || end.exitCode() == Kind.DAMAGED_DATA.exitCode());
    if (end.stopped() && !looked) {
      return keepEnd(
          fenced, job, running.interrupted(now, now.plus(STOPPED_PAUSE), "it was stopped"));
    }
    if (!looked) {
      ScheduleState kept = keepEnd(fenced, job, running.failed(now, why));
      tellFailure(job, kept, kept.failures() >= FAILURES_CRITICAL);
      return kept;
    }
    if (job == ScheduledJob.VERIFY && end.exitCode() == Kind.DIFFERENT.exitCode()) {
      ScheduleState kept = keepEnd(fenced, job, running.gaps(now, why));
      tellVerdict(job, "warning", "WAL missing between what is stored, which holds: " + why);
      return kept;
    }
    ProofDocument proof = job == ScheduledJob.PROVE ? proofSince(running.lastStartedAt()) : null;
    String found = proof == null ? why : ProofAdvice.reason(proof);
    if (proof != null && proof.result().equals(ProofDocument.INCONCLUSIVE)) {
      ScheduleState kept = keepEnd(fenced, job, running.undecided(now, "inconclusive: " + found));
      tellFailure(job, kept, false);
      return kept;
    }
    ScheduleState kept = keepEnd(fenced, job, running.found(now, found));
    tellVerdict(job, "critical", "something wrong: " + found);
    return kept;
  }

  private void tellFailure(ScheduledJob job, ScheduleState state, boolean critical) {
    String name = cluster.document().name();
    alarms.accept(
        RecordingAlarm.of(
            "schedule",
            critical ? "critical" : "warning",
            "%s of %s failed: %s; it is tried again at %s"
                .formatted(
                    job.setting(),
                    name,
                    state.lastWhy(),
                    state.retryAt() == null ? state.nextAt() : state.retryAt()),
            "holdfast %s says more".formatted(String.join(" ", schedule.arguments(job, name)))));
  }

  private void tellVerdict(ScheduledJob job, String level, String found) {
    String name = cluster.document().name();
    alarms.accept(
        RecordingAlarm.of(
            "schedule",
            level,
            "%s of %s found %s".formatted(job.setting(), name, found),
            "holdfast %s, which says what it means"
                .formatted(String.join(" ", schedule.arguments(job, name)))));
  }

  /** The proof that a job has just made; null when it left none that can be read. */
  private @Nullable ProofDocument proofSince(@Nullable Instant begun) {
    try {
      return new Proofs(cluster)
          .latest()
          .filter(proof -> begun == null || !proof.startedAt().isBefore(begun))
          .orElse(null);
    } catch (OperatorException e) {
      LOG.warn("what a scheduled proof came to cannot be read", e);
      return null;
    }
  }

  /**
   * Keeps what a job came to. Where the repository is out of reach for a while it is tried again:
   * forgotten, hours of work would be done a second time.
   */
  private ScheduleState keepEnd(ClusterStore fenced, ScheduledJob job, ScheduleState ended)
      throws InterruptedException {
    Retry keeping = new Retry(KEEP_PAUSE, KEEP_PAUSE_MAX);
    while (true) {
      try {
        return keep(fenced, job, ended);
      } catch (OperatorException e) {
        if (e.kind() != Kind.REPOSITORY_UNREACHABLE || stopping.getCount() == 0) {
          throw e;
        }
        LOG.warn("what {} came to cannot be kept; trying again", job.setting(), e);
        time.pass(keeping.next(), stopping);
      }
    }
  }
}
