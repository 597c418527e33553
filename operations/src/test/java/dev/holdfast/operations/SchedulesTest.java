package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
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
            "verifyReadData: 5%");
    List<String> runs =
        run(new Clock("2026-11-29T00:00:00Z", "2026-12-01T13:00:00Z"), schedule, _ -> WELL);
    assertThat(runs)
        .containsExactly(
            "2026-11-29T03:00:00Z backup acme --full",
            "2026-11-29T06:00:00Z expire acme --unattended",
            "2026-11-29T08:00:00Z prove acme",
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
                "acme", List.of(state("prove")), Instant.parse("2026-11-21T04:00:00Z")))
        .singleElement()
        .satisfies(advice -> {
          assertThat(advice.level()).isEqualTo("danger");
          assertThat(advice.what())
              .startsWith("prove of acme found something wrong at 2026-11-21T");
        });
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
    assertThat(runs).containsExactly("2026-11-20T03:20:00Z backup acme --full");
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
  void other_times_count_from_when_they_are_given_and_jobs_that_are_gone_are_forgotten() {
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
    assertThat(cluster().schedules(ScheduleState.class)).containsOnlyKeys("full");
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
    assertThat(ScheduleAdvice.of("acme", List.of(never), since)).isEmpty();
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
    assertThat(ScheduleAdvice.of("acme", List.of(), since))
        .singleElement()
        .satisfies(advice -> {
          assertThat(advice.level()).isEqualTo("note");
          assertThat(advice.next()).contains("schedule:\n  acme:\n    backup:\n      full: \"0 3");
        });
  }

  private static String advice(ScheduleState state, String now) {
    return ScheduleAdvice.of("acme", List.of(state), Instant.parse(now)).getFirst().what();
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
    assertThatThrownBy(() -> schedule("backups: {full: '@daily'}"))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> assertThat(e.next()).contains("did you mean \"backup\"?"));
    assertThatThrownBy(() -> schedule("prove: ['@daily']")).isInstanceOf(OperatorException.class);
    assertThat(configured("schedule:", "  other:", "    prove: '@daily'").schedule("acme"))
        .isNull();
  }
}
