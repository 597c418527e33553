package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weeks of a schedule in a moment: time passes when something waits for it. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SchedulesTest {
  private static final JobRunner.End WELL = new JobRunner.End(0, null, false);

  @TempDir private Path home;

  private String repository = "";

  private final List<RecordingAlarm> alarms = Collections.synchronizedList(new ArrayList<>());
  private final List<String> told = Collections.synchronizedList(new ArrayList<>());

  /** Stops what it is the time of at a set moment. */
  private static final class Clock implements Schedules.Time {
    private Instant now;
    private final Instant end;

    Clock(String from, String to) {
      now = Instant.parse(from);
      end = Instant.parse(to);
    }

    @Override
    public synchronized Instant instant() {
      return now;
    }

    @Override
    public synchronized boolean pass(Duration duration, CountDownLatch stopping) {
      now = now.plus(duration.isNegative() ? Duration.ZERO : duration);
      if (!now.isBefore(end)) {
        stopping.countDown();
      }
      return stopping.getCount() == 0;
    }

    synchronized void jump(Duration duration) {
      now = now.plus(duration);
    }
  }

  /** What was run, and when. */
  private static final class Runs implements JobRunner {
    private final Clock clock;
    private final Function<String, End> ends;
    private final List<String> runs = Collections.synchronizedList(new ArrayList<>());
    private int atOnce;

    Runs(Clock clock, Function<String, End> ends) {
      this.clock = clock;
      this.ends = ends;
    }

    @Override
    public End run(List<String> arguments) {
      synchronized (this) {
        assertThat(++atOnce).as("one at a time").isEqualTo(1);
      }
      runs.add(clock.instant().truncatedTo(ChronoUnit.MINUTES) + " " + String.join(" ", arguments));
      End end = ends.apply(String.join(" ", arguments));
      synchronized (this) {
        atOnce--;
      }
      return end;
    }

    @Override
    public void stopRunning() {}
  }

  @BeforeEach
  void register() {
    repository = home.resolve("repository").toString();
    Repository.create(repository)
        .register(
            new ClusterDocument(
                "acme",
                "postgresql",
                "7412345678901234567",
                18,
                "production",
                1 << 20,
                "postgresql://recorder@db.example/shop",
                null,
                Instant.parse("2026-11-21T01:39:57Z"),
                Map.of()));
  }

  private ClusterStore cluster() {
    return Repository.open(repository).cluster("acme");
  }

  private Configuration configured(String... lines) {
    Path file = home.resolve("holdfast.yaml");
    try {
      Files.writeString(file, String.join("\n", lines) + "\n");
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
    return Configuration.find(file, Map.of());
  }

  private ClusterSchedule schedule(String... jobs) {
    List<String> lines = new ArrayList<>(List.of("schedule:", "  acme:", "    timeZone: UTC"));
    for (String job : jobs) {
      lines.add("    " + job);
    }
    return Objects.requireNonNull(configured(lines.toArray(String[]::new)).schedule("acme"));
  }

  private List<String> run(
      Clock clock, ClusterSchedule schedule, Function<String, JobRunner.End> ends) {
    Runs runs = new Runs(clock, ends);
    new Schedules(cluster(), schedule, runs, alarms::add, told::add, clock).run();
    return runs.runs;
  }

  private ScheduleState state(String job) {
    return Objects.requireNonNull(cluster().schedules(ScheduleState.class).get(job));
  }

  @Test
  void each_job_runs_at_its_times_and_status_can_tell() {
    ClusterSchedule schedule =
        schedule(
            "backup: {full: '0 3 * * 0', incremental: '0 3 * * 1-6'}",
            "expire: '0 6 * * *'",
            "prove: '0 8 * * 0'",
            "rollup: '0 12 1 * *'",
            "verify: '30 9 * * 1'",
            "verifyReadData: 5%",
            "proveScratch: /big/disk");
    List<String> runs =
        run(new Clock("2026-11-29T00:00:00Z", "2026-12-01T13:00:00Z"), schedule, _ -> WELL);
    assertThat(runs)
        .containsExactly(
            "2026-11-29T03:00:00Z backup acme --full",
            "2026-11-29T06:00:00Z expire acme --unattended",
            "2026-11-29T08:00:00Z prove acme --scratch /big/disk",
            "2026-11-30T03:00:00Z backup acme",
            "2026-11-30T06:00:00Z expire acme --unattended",
            "2026-11-30T09:30:00Z verify acme --read-data 5%",
            "2026-12-01T03:00:00Z backup acme",
            "2026-12-01T06:00:00Z expire acme --unattended",
            "2026-12-01T12:00:00Z rollup acme");
    assertThat(alarms).isEmpty();
    assertThat(told)
        .anyMatch(line ->
            line.startsWith("scheduled: backup.full at 0 3 * * 0 (UTC), next 2026-11-29T03:00:"));
    ScheduleState full = state("full");
    assertThat(full.lastResult()).isEqualTo("succeeded");
    assertThat(full.runningBy()).isNull();
    assertThat(full.nextAt())
        .isBetween(Instant.parse("2026-12-06T03:00:00Z"), Instant.parse("2026-12-06T03:01:00Z"));
    assertThat(Objects.requireNonNull(cluster().leaseHolder(Schedules.ROLE)).released()).isTrue();
    assertThat(Repository.open(repository).verify()).isEmpty();
  }

  @Test
  void what_was_missed_is_made_up_for_once_and_what_takes_longer_than_its_pause_is_not_queued() {
    ClusterSchedule hourly = schedule("verify: '0 * * * *'");
    run(new Clock("2026-11-20T00:30:00Z", "2026-11-20T01:30:00Z"), hourly, _ -> WELL);
    // the machine is off for a week
    Clock clock = new Clock("2026-11-27T04:30:00Z", "2026-11-27T09:50:00Z");
    List<String> runs =
        run(
            clock,
            hourly,
            _ -> {
              if (clock.instant().isAfter(Instant.parse("2026-11-27T05:00:00Z"))
                  && clock.instant().isBefore(Instant.parse("2026-11-27T06:00:00Z"))) {
                clock.jump(Duration.ofMinutes(170));
              }
              return WELL;
            });
    assertThat(runs)
        .containsExactly(
            "2026-11-27T04:30:00Z verify acme",
            "2026-11-27T05:00:00Z verify acme", // takes until 07:50
            "2026-11-27T07:50:00Z verify acme",
            "2026-11-27T08:00:00Z verify acme",
            "2026-11-27T09:00:00Z verify acme");
  }

  @Test
  void a_failure_is_an_alarm_and_tried_again_after_growing_pauses() {
    ClusterSchedule schedule = schedule("backup: {full: '0 3 * * *'}");
    Clock clock = new Clock("2026-11-20T00:00:00Z", "2026-11-20T06:00:00Z");
    int[] left = {4};
    List<String> runs =
        run(
            clock,
            schedule,
            _ ->
                left[0]-- > 0
                    ? new JobRunner.End(7, "cannot reach acme: connection refused", false)
                    : WELL);
    assertThat(runs)
        .extracting(run -> run.substring(11, 16))
        .containsExactly("03:00", "03:01", "03:03", "03:07", "03:15");
    assertThat(alarms)
        .extracting(RecordingAlarm::alarm, RecordingAlarm::level)
        .containsExactly(
            tuple("schedule", "warning"),
            tuple("schedule", "warning"),
            tuple("schedule", "critical"),
            tuple("schedule", "critical"),
            tuple("schedule", "note"));
    assertThat(alarms.getFirst().what())
        .startsWith(
            "backup.full of acme failed: cannot reach acme: connection refused; it is tried again"
                + " at 2026-11-20T03:01:");
    assertThat(alarms.getLast().what())
        .isEqualTo("backup.full of acme has succeeded again, after 4 failures");
    assertThat(state("full").failures()).isZero();
  }

  @Test
  void what_found_damage_is_a_critical_alarm_and_waits_for_its_next_time() {
    ClusterSchedule schedule = schedule("prove: '0 3 * * *'");
    List<String> runs =
        run(
            new Clock("2026-11-20T00:00:00Z", "2026-11-21T04:00:00Z"),
            schedule,
            _ -> new JobRunner.End(4, "exit code 4", false));
    assertThat(runs)
        .containsExactly("2026-11-20T03:00:00Z prove acme", "2026-11-21T03:00:00Z prove acme");
    assertThat(alarms).extracting(RecordingAlarm::level).containsOnly("critical");
    assertThat(
            ScheduleAdvice.of(
                "acme", List.of(state("prove")), null, Instant.parse("2026-11-21T04:00:00Z")))
        .singleElement()
        .satisfies(advice -> {
          assertThat(advice.level()).isEqualTo("danger");
          assertThat(advice.what())
              .startsWith("prove of acme found something wrong at 2026-11-21T");
        });
  }

  private void proof(Clock clock, String result) {
    String label =
        clock.instant().truncatedTo(ChronoUnit.SECONDS).toString().replaceAll("[-:]", "");
    cluster().putDocument("proofs", label, ProofSample.of(label, clock.instant(), result, "x"));
  }

  @Test
  void a_proof_that_failed_is_told_with_its_reason_until_a_newer_one_is_proven() {
    ClusterSchedule schedule = schedule("prove: '0 3 * * *'");
    Clock clock = new Clock("2026-11-20T00:00:00Z", "2026-11-20T04:00:00Z");
    run(
        clock,
        schedule,
        _ -> {
          proof(clock, "failed");
          return new JobRunner.End(4, "exit code 4", false);
        });
    assertThat(alarms)
        .singleElement()
        .satisfies(alarm -> {
          assertThat(alarm.level()).isEqualTo("critical");
          assertThat(alarm.what())
              .isEqualTo("prove of acme found something wrong: the disk ate it");
        });
    Instant now = Instant.parse("2026-11-20T12:00:00Z");
    List<ScheduleState> jobs = List.of(state("prove"));
    assertThat(ScheduleAdvice.of("acme", jobs, null, now))
        .extracting(Advice::level)
        .containsExactly("danger");
    assertThat(ScheduleAdvice.of("acme", jobs, Instant.parse("2026-11-20T02:00:00Z"), now))
        .hasSize(1);
    assertThat(ScheduleAdvice.of("acme", jobs, Instant.parse("2026-11-20T10:00:00Z"), now))
        .isEmpty();
  }

  @Test
  void a_proof_that_came_to_no_verdict_is_a_warning_and_tried_again_twice() {
    ClusterSchedule schedule = schedule("prove: '0 3 * * *'");
    Clock clock = new Clock("2026-11-20T00:00:00Z", "2026-11-21T02:00:00Z");
    List<String> runs =
        run(
            clock,
            schedule,
            _ -> {
              proof(clock, "inconclusive");
              return new JobRunner.End(4, "exit code 4", false);
            });
    assertThat(runs)
        .extracting(run -> run.substring(11, 16))
        .containsExactly("03:00", "04:00", "05:00");
    assertThat(alarms).extracting(RecordingAlarm::level).containsOnly("warning").hasSize(3);
    assertThat(alarms.getFirst().what())
        .startsWith(
            "prove of acme failed: inconclusive: the disk ate it; it is tried again at 2026-11-20T04:0");
    assertThat(alarms.getLast().what()).contains("; it is tried again at 2026-11-21T03:0");
    assertThat(ScheduleAdvice.of("acme", List.of(state("prove")), null, clock.instant()))
        .extracting(Advice::level)
        .containsExactly("warning");
  }

  @Test
  void gaps_alone_are_a_warning_and_damage_is_a_danger() {
    ClusterSchedule schedule = schedule("verify: '0 3 * * *'");
    Clock first = new Clock("2026-11-20T00:00:00Z", "2026-11-20T04:00:00Z");
    run(first, schedule, _ -> new JobRunner.End(4, "wal/1/2: it is not recorded", false));
    assertThat(alarms.getFirst().level()).isEqualTo("warning");
    assertThat(alarms.getFirst().what())
        .isEqualTo(
            "verify of acme found WAL missing between what is stored, which holds: wal/1/2: it is not"
                + " recorded");
    assertThat(state("verify").lastResult()).isEqualTo("gaps");
    assertThat(state("verify").failures()).isZero();
    assertThat(ScheduleAdvice.of("acme", List.of(state("verify")), null, first.instant()))
        .singleElement()
        .satisfies(advice -> {
          assertThat(advice.level()).isEqualTo("warning");
          assertThat(advice.what()).endsWith("WAL is missing between: wal/1/2: it is not recorded");
        });
    Clock second = new Clock("2026-11-20T12:00:00Z", "2026-11-21T04:00:00Z");
    run(second, schedule, _ -> new JobRunner.End(6, "bases/x: a checksum is wrong", false));
    assertThat(alarms.getLast().level()).isEqualTo("critical");
    assertThat(ScheduleAdvice.of("acme", List.of(state("verify")), null, second.instant()))
        .extracting(Advice::level)
        .containsExactly("danger");
  }

  @Test
  void a_job_whose_recorder_was_killed_is_begun_anew_by_the_next_one() {
    ClusterSchedule schedule = schedule("backup: {full: '0 3 * * *'}");
    Clock clock = new Clock("2026-11-20T00:00:00Z", "2026-11-20T04:00:00Z");
    JobRunner dying =
        new JobRunner() {
          @Override
          public End run(List<String> arguments) throws InterruptedException {
            throw new InterruptedException(); // nothing after this is done, as after kill -9
          }

          @Override
          public void stopRunning() {}
        };
    new Schedules(cluster(), schedule, dying, alarms::add, told::add, clock).run();
    assertThat(Thread.interrupted()).isTrue();
    assertThat(state("full").runningBy()).contains("process " + ProcessHandle.current().pid());
    List<String> runs =
        run(new Clock("2026-11-20T03:20:00Z", "2026-11-20T05:00:00Z"), schedule, _ -> WELL);
    assertThat(runs).containsExactly("2026-11-20T03:21:00Z backup acme --full");
    assertThat(alarms).extracting(RecordingAlarm::level).containsExactly("warning", "note");
    assertThat(alarms.getFirst().what())
        .matches(
            "backup.full of acme failed: it was cut off: .*, process %d, which ran it, ended or was not"
                    .formatted(ProcessHandle.current().pid())
                + " heard of any more; it is tried again at 2026-11-20T03:21:00Z");
  }

  /** As where a proof makes the machine run out of memory, and takes the recorder along. */
  @Test
  void a_job_that_its_recorder_dies_of_does_not_keep_it_from_recording() {
    ClusterSchedule schedule = schedule("prove: '0 3 * * *'");
    JobRunner deadly =
        new JobRunner() {
          @Override
          public End run(List<String> arguments) throws InterruptedException {
            throw new InterruptedException(); // nothing after this is done, as after kill -9
          }

          @Override
          public void stopRunning() {}
        };
    Clock clock = new Clock("2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z");
    cluster()
        .putSchedule(
            "prove",
            ScheduleState.begun(
                ScheduledJob.PROVE,
                Objects.requireNonNull(schedule.times().get(ScheduledJob.PROVE)),
                Instant.parse("2026-11-19T12:00:00Z")));
    int deaths = 0;
    while (clock.instant().isBefore(clock.end)
        && deaths < 100) { // and each time a service manager starts it again
      new Schedules(cluster(), schedule, deadly, alarms::add, told::add, clock).run();
      deaths += Thread.interrupted() ? 1 : 0;
    }
    assertThat(deaths).as("in a day").isBetween(20, 32);
    assertThat(state("prove").failures()).isBetween(19, 32);
    assertThat(alarms.getLast().level()).isEqualTo("critical");
  }

  @Test
  void a_job_that_was_told_to_stop_and_was_faster_has_succeeded() {
    ClusterSchedule schedule = schedule("backup: {full: '0 3 * * *'}");
    run(
        new Clock("2026-11-20T00:00:00Z", "2026-11-20T03:00:30Z"),
        schedule,
        _ -> new JobRunner.End(0, null, true));
    assertThat(state("full").lastResult()).isEqualTo("succeeded");
  }

  /** In the place of a folder; as where a disk is gone, or a bucket out of reach. */
  private Path inTheWay(String of) throws IOException {
    Path folder = Path.of(repository, "clusters", "acme", of);
    if (Files.exists(folder)) {
      Files.move(folder, folder.resolveSibling(of + "-away"));
    }
    return Files.writeString(folder, "in the way");
  }

  private static void outOfTheWay(Path obstacle) {
    try {
      Path away = obstacle.resolveSibling(obstacle.getFileName() + "-away");
      if (!Files.isRegularFile(obstacle)) {
        return; // it was removed before
      }
      Files.delete(obstacle);
      if (Files.exists(away)) {
        Files.move(away, obstacle);
      }
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  /** Time that passes, and has something done at a set moment. */
  private static final class Events implements Schedules.Time {
    private final Clock clock;
    private final Instant at;
    private final Runnable event;
    private int passes;

    Events(Clock clock, String at, Runnable event) {
      this.clock = clock;
      this.at = Instant.parse(at);
      this.event = event;
    }

    @Override
    public Instant instant() {
      return clock.instant();
    }

    @Override
    public boolean pass(Duration duration, CountDownLatch stopping) {
      passes++;
      boolean over = clock.pass(duration, stopping);
      if (!clock.instant().isBefore(at)) {
        event.run();
      }
      return over;
    }
  }

  @Test
  void what_a_job_came_to_is_kept_when_the_repository_can_be_reached_again() {
    Clock clock = new Clock("2026-11-20T00:00:00Z", "2026-11-20T12:00:00Z");
    Path schedules = Path.of(repository, "clusters", "acme", "schedules");
    Events events = new Events(clock, "2026-11-20T05:00:00Z", () -> outOfTheWay(schedules));
    Runs runs =
        new Runs(
            clock,
            _ -> {
              try {
                inTheWay("schedules");
              } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
              }
              return WELL;
            });
    new Schedules(
            cluster(),
            schedule("backup: {full: '0 3 * * *'}"),
            runs,
            alarms::add,
            told::add,
            events)
        .run();
    assertThat(runs.runs).containsExactly("2026-11-20T03:00:00Z backup acme --full");
    assertThat(state("full").lastResult()).isEqualTo("succeeded");
    assertThat(alarms).isEmpty();
  }

  @Test
  void what_keeps_the_schedule_from_being_run_is_told_once_and_tried_ever_more_rarely()
      throws IOException {
    Clock clock = new Clock("2026-11-20T00:00:00Z", "2026-11-22T04:00:00Z");
    Path leases = inTheWay("leases");
    List<Integer> tries = new ArrayList<>();
    Events[] events = new Events[1];
    events[0] =
        new Events(
            clock,
            "2026-11-21T00:00:00Z",
            () -> {
              if (Files.isRegularFile(leases)) {
                tries.add(events[0].passes);
                outOfTheWay(leases);
              }
            });
    Runs runs = new Runs(clock, _ -> WELL);
    new Schedules(
            cluster(),
            schedule("backup: {full: '0 3 * * *'}"),
            runs,
            alarms::add,
            told::add,
            events[0])
        .run();
    assertThat(tries).singleElement().satisfies(before -> assertThat(before).isBetween(20, 40));
    assertThat(alarms).extracting(RecordingAlarm::level).containsExactly("warning", "note");
    assertThat(alarms.getFirst().what()).startsWith("the schedule of acme cannot be run: ");
    assertThat(alarms.getLast().what()).isEqualTo("the schedule of acme is run again");
    assertThat(runs.runs)
        .containsExactly(
            "2026-11-21T03:00:00Z backup acme --full", "2026-11-22T03:00:00Z backup acme --full");
  }

  @Test
  void a_clock_that_was_ahead_does_not_put_jobs_off_for_years() {
    ClusterSchedule schedule = schedule("backup: {full: '0 3 * * *'}");
    run(new Clock("2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"), schedule, _ -> WELL);
    List<String> runs =
        run(new Clock("2026-11-20T00:00:00Z", "2026-11-21T04:00:00Z"), schedule, _ -> WELL);
    assertThat(runs)
        .containsExactly(
            "2026-11-20T03:00:00Z backup acme --full", "2026-11-21T03:00:00Z backup acme --full");
    assertThat(alarms)
        .singleElement()
        .satisfies(alarm -> {
          assertThat(alarm.level()).isEqualTo("warning");
          assertThat(alarm.what())
              .startsWith(
                  "backup.full of acme would not have run for long: a clock was ahead when its times were"
                      + " kept (since 2030-01-01T00:00:00Z, last begun 2030-01-01T03:00:")
              .contains("and it is 2026-11-20T00:00:00Z now; it runs next at 2026-11-20T03:00:");
        });
  }

  @Test
  void a_clock_that_is_set_back_while_a_schedule_is_run_does_neither() {
    ClusterSchedule schedule = schedule("backup: {full: '0 3 * * *'}");
    Clock clock = new Clock("2026-11-20T00:00:00Z", "2026-11-21T04:00:00Z");
    boolean[] set = {false};
    List<String> runs =
        run(
            clock,
            schedule,
            _ -> {
              if (!set[0]) {
                set[0] = true;
                clock.jump(Duration.ofDays(-1000));
                clock.jump(Duration.ofDays(998));
              }
              return WELL;
            });
    assertThat(runs)
        .extracting(run -> run.substring(0, 10))
        .containsExactly("2026-11-20", "2026-11-19", "2026-11-20", "2026-11-21");
    assertThat(alarms).extracting(RecordingAlarm::level).containsExactly("warning");
  }

  @Test
  void a_job_that_was_stopped_with_its_recorder_is_no_failure() {
    ClusterSchedule schedule = schedule("backup: {full: '0 3 * * *'}");
    run(
        new Clock("2026-11-20T00:00:00Z", "2026-11-20T03:01:30Z"),
        schedule,
        _ -> new JobRunner.End(143, "ended", true));
    assertThat(alarms).isEmpty();
    assertThat(state("full").lastResult()).isEqualTo("interrupted");
    assertThat(state("full").failures()).isZero();
  }

  @Test
  void of_two_that_run_one_schedule_each_job_is_run_once() {
    ClusterSchedule schedule = schedule("verify: '*/10 * * * *'");
    // Each has a clock, and both say the same to the minute: who comes first takes the lease.
    Clock one = new Clock("2026-11-20T00:05:00Z", "2026-11-20T03:05:00Z");
    Clock other = new Clock("2026-11-20T00:05:00Z", "2026-11-20T06:05:00Z");
    Runs first = new Runs(one, _ -> WELL);
    Runs second = new Runs(other, _ -> WELL);
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch looked = new CountDownLatch(1);
    Schedules.Time waiting =
        new Schedules.Time() {
          @Override
          public Instant instant() {
            return one.instant();
          }

          @Override
          public boolean pass(Duration duration, CountDownLatch stopping)
              throws InterruptedException {
            begun.countDown();
            assertThat(looked.await(60, TimeUnit.SECONDS)).isTrue();
            return one.pass(duration, stopping);
          }
        };
    CompletableFuture<Void> running =
        CompletableFuture.runAsync(
            () -> new Schedules(cluster(), schedule, first, alarms::add, told::add, waiting).run(),
            Thread::startVirtualThread);
    CompletableFuture<Void> beside =
        CompletableFuture.runAsync(
            () -> {
              try {
                assertThat(begun.await(60, TimeUnit.SECONDS)).isTrue();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
              new Schedules(
                      cluster(),
                      schedule,
                      second,
                      alarms::add,
                      line -> {
                        told.add(line);
                        if (line.startsWith("the schedule of acme is run by ")) {
                          looked.countDown();
                          running.join(); // it looks again when the first one has ended
                          other.jump(Duration.between(other.instant(), one.instant()));
                        }
                      },
                      other)
                  .run();
            },
            Thread::startVirtualThread);
    running.orTimeout(60, TimeUnit.SECONDS).join();
    beside.orTimeout(60, TimeUnit.SECONDS).join();
    assertThat(told).anyMatch(line -> line.startsWith("the schedule of acme is run by "));
    List<String> all = new ArrayList<>(first.runs);
    all.addAll(second.runs);
    assertThat(first.runs).hasSize(18);
    assertThat(all).hasSize(36).doesNotHaveDuplicates();
  }

  @Test
  void
      other_times_count_from_when_they_are_given_and_jobs_that_are_gone_are_known_to_be_for_a_month() {
    run(
        new Clock("2026-11-20T00:00:00Z", "2026-11-20T04:00:00Z"),
        schedule("backup: {full: '0 3 * * *'}", "prove: '0 5 * * *'"),
        _ -> WELL);
    List<String> runs =
        run(
            new Clock("2026-11-24T02:00:00Z", "2026-11-24T07:00:00Z"),
            schedule("backup: {full: '0 6 * * *'}"),
            _ -> WELL);
    assertThat(runs).containsExactly("2026-11-24T06:00:00Z backup acme --full");
    ScheduleState gone = state("prove");
    assertThat(gone.unscheduledAt()).isEqualTo("2026-11-24T02:00:00Z");
    assertThat(gone.nextAt()).isNull();
    assertThat(gone.since()).isEqualTo("2026-11-20T00:00:00Z");
    Instant now = Instant.parse("2026-11-24T07:00:00Z");
    assertThat(ScheduleAdvice.of("acme", List.of(state("full"), gone), null, now))
        .singleElement()
        .satisfies(advice -> {
          assertThat(advice.level()).isEqualTo("note");
          assertThat(advice.what())
              .isEqualTo("not scheduled any more for acme, since 2026-11-24T02:00:00Z: prove");
        });
    run(
        new Clock("2026-12-25T02:00:00Z", "2026-12-25T03:00:00Z"),
        schedule("backup: {full: '0 6 * * *'}"),
        _ -> WELL);
    assertThat(cluster().schedules(ScheduleState.class)).containsOnlyKeys("full");
  }

  @Test
  void a_standby_with_part_of_the_schedule_leaves_the_rest_its_history() {
    ClusterSchedule whole = schedule("backup: {full: '0 3 * * *'}", "prove: '0 5 * * *'");
    run(new Clock("2026-11-20T00:00:00Z", "2026-11-20T06:00:00Z"), whole, _ -> WELL);
    run(
        new Clock("2026-11-20T06:00:00Z", "2026-11-22T00:00:00Z"),
        schedule("backup: {full: '0 3 * * *'}"),
        _ -> WELL);
    assertThat(state("prove").lastSucceededAt()).isNotNull();
    List<String> runs =
        run(new Clock("2026-11-22T00:00:00Z", "2026-11-22T02:00:00Z"), whole, _ -> WELL);
    assertThat(runs).containsExactly("2026-11-22T00:00:00Z prove acme");
    assertThat(state("prove").unscheduledAt()).isNull();
  }

  private void nothing(Schedules.Time time) {
    new Schedules(
            cluster(),
            ClusterSchedule.NONE,
            new Runs(new Clock("2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z"), _ -> WELL),
            alarms::add,
            told::add,
            time)
        .run();
  }

  @Test
  void where_nothing_is_scheduled_any_more_that_is_to_be_seen() {
    Clock unused = new Clock("2026-11-20T00:00:00Z", "2030-01-01T00:00:00Z");
    nothing(unused);
    assertThat(cluster().leaseHolder(Schedules.ROLE)).as("nothing to do").isNull();
    run(
        new Clock("2026-11-20T00:00:00Z", "2026-11-20T04:00:00Z"),
        schedule("backup: {full: '0 3 * * *'}"),
        _ -> WELL);
    nothing(new Clock("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"));
    assertThat(state("full").unscheduledAt()).isEqualTo("2026-11-21T00:00:00Z");
    assertThat(Objects.requireNonNull(cluster().leaseHolder(Schedules.ROLE)).released()).isTrue();
    assertThat(
            ScheduleAdvice.of(
                "acme", List.of(state("full")), null, Instant.parse("2026-11-25T00:00:00Z")))
        .extracting(Advice::what)
        .containsExactly(
            "not scheduled any more for acme, since 2026-11-21T00:00:00Z: backup.full",
            "nothing is scheduled: base backups and proofs of acme are made when somebody makes them");
    nothing(new Clock("2026-12-22T00:00:00Z", "2026-12-23T00:00:00Z"));
    assertThat(cluster().schedules(ScheduleState.class)).isEmpty();
  }

  @Test
  void a_recorder_without_a_schedule_leaves_that_of_another_one_alone() {
    run(
        new Clock("2026-11-20T00:00:00Z", "2026-11-20T04:00:00Z"),
        schedule("backup: {full: '0 3 * * *'}"),
        _ -> WELL);
    try (Lease other =
        Objects.requireNonNull(
            cluster().candidate(Schedules.ROLE, "a test", Duration.ofSeconds(3)).ask().lease())) {
      other.keep(() -> {});
      Clock clock = new Clock("2026-11-21T00:00:00Z", "2026-11-21T00:02:00Z");
      nothing(
          new Schedules.Time() {
            @Override
            public Instant instant() {
              return clock.instant();
            }

            @Override
            public boolean pass(Duration duration, CountDownLatch stopping)
                throws InterruptedException {
              Instant seen = renewed();
              long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
              while (renewed().equals(seen) && System.nanoTime() < deadline) {
                Thread.sleep(20); // until the other one has said that it is there
              }
              return clock.pass(duration, stopping);
            }

            private Instant renewed() {
              return Objects.requireNonNull(cluster().leaseHolder(Schedules.ROLE)).renewedAt();
            }
          });
      assertThat(clock.instant()).isBefore("2026-11-21T00:02:00Z");
    }
    assertThat(state("full").unscheduledAt()).isNull();
  }

  @Test
  void jobs_of_many_clusters_do_not_all_begin_in_one_second() {
    Cron daily = Cron.parse("0 3 * * *", ZoneOffset.UTC);
    Cron minutely = Cron.parse("* * * * *", ZoneOffset.UTC);
    Instant now = Instant.parse("2026-11-20T00:00:00Z");
    List<Long> waits = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      Instant at =
          Objects.requireNonNull(
              ScheduleState.begun(ScheduledJob.FULL, daily, now).runsAt(daily, "cluster " + i));
      Instant soon =
          Objects.requireNonNull(
              ScheduleState.begun(ScheduledJob.FULL, minutely, now)
                  .runsAt(minutely, "cluster " + i));
      assertThat(at)
          .isEqualTo(
              ScheduleState.begun(ScheduledJob.FULL, daily, now).runsAt(daily, "cluster " + i));
      waits.add(Duration.between(Instant.parse("2026-11-20T03:00:00Z"), at).toMillis());
      assertThat(Duration.between(Instant.parse("2026-11-20T00:01:00Z"), soon))
          .isBetween(Duration.ZERO, Duration.ofSeconds(6));
    }
    assertThat(waits).allMatch(wait -> wait >= 0 && wait < 60_000);
    assertThat(waits.stream().map(wait -> wait / 6000).distinct().count()).isGreaterThan(5);
  }

  @Test
  void status_says_what_is_late_what_failed_and_how_to_begin() {
    Instant since = Instant.parse("2026-11-20T00:00:00Z");
    Cron cron = Cron.parse("0 3 * * *", ZoneOffset.UTC);
    ScheduleState never =
        ScheduleState.begun(ScheduledJob.FULL, cron, since)
            .nextAt(Instant.parse("2026-11-20T03:00:00Z"));
    assertThat(ScheduleAdvice.of("acme", List.of(never), null, since)).isEmpty();
    assertThat(advice(never, "2026-11-20T03:20:00Z"))
        .isEqualTo("backup.full of acme was due at 2026-11-20T03:00:00Z, and nobody has begun it");
    assertThat(advice(never, "2026-11-21T04:00:01Z"))
        .isEqualTo(
            "backup.full of acme, scheduled at 0 3 * * * (Z), has not succeeded since it was"
                + " scheduled, 2026-11-20T00:00:00Z");
    ScheduleState failed =
        never
            .started(Instant.parse("2026-11-20T03:00:00Z"), "db, process 1")
            .failed(Instant.parse("2026-11-20T03:05:00Z"), "cannot reach acme: refused");
    assertThat(advice(failed, "2026-11-20T03:06:00Z"))
        .isEqualTo("backup.full of acme failed once: cannot reach acme: refused");
    assertThat(ScheduleAdvice.of("acme", List.of(), null, since))
        .singleElement()
        .satisfies(advice -> {
          assertThat(advice.level()).isEqualTo("note");
          assertThat(advice.next()).contains("schedule:\n  acme:\n    backup:\n      full: \"0 3");
        });
  }

  private static String advice(ScheduleState state, String now) {
    return ScheduleAdvice.of("acme", List.of(state), null, Instant.parse(now)).getFirst().what();
  }

  @Test
  void what_cannot_be_read_names_the_file_the_line_and_what_is_right() {
    Path file = home.resolve("holdfast.yaml");
    assertThatThrownBy(() -> schedule("backup:", "  full: '0 3 * *'"))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).isEqualTo(Kind.USAGE);
              assertThat(e.what()).isEqualTo("cannot use the configuration " + file + ", line 5");
              assertThat(e.why())
                  .isEqualTo(
                      "\"0 3 * *\" is not a time for backup.full: it has 4 fields, and five are needed");
              assertThat(e.next()).contains("\"0 3 * * *\" is every day at 03:00");
            });
    assertThatThrownBy(() ->
            configured("schedule:", "  acme:", "    timeZone: Berlin", "    prove: '@daily'")
                .schedule("acme"))
        .hasMessageContaining(file + ", line 3")
        .hasMessageContaining("\"Berlin\" is no time zone");
    assertThatThrownBy(() -> schedule("verify: '@daily'", "verifyReadData: lots"))
        .hasMessageContaining("line 5")
        .hasMessageContaining("\"lots\" is no share of the contents");
    assertThatThrownBy(() -> schedule("prove: '@daily'", "proveScratch: big"))
        .hasMessageContaining("line 5")
        .hasMessageContaining("\"big\" is no absolute path");
    assertThatThrownBy(() -> schedule("backups: {full: '@daily'}"))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> assertThat(e.next()).contains("did you mean \"backup\"?"));
    assertThatThrownBy(() -> schedule("prove: ['@daily']")).isInstanceOf(OperatorException.class);
    assertThat(configured("schedule:", "  other:", "    prove: '@daily'").schedule("acme"))
        .isNull();
  }
}
