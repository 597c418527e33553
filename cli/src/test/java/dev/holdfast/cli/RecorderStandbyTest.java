package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.ScheduleState;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Recorders as processes: paused, killed, and taken over from; and the jobs that one of them runs.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class RecorderStandbyTest {
  /** A recorder that is paused leaves the server waiting for it, and its slot taken. */
  private static final Map<String, String> SETTINGS =
      Map.of("wal_sender_timeout", "2s", "max_slot_wal_keep_size", "1GB");

  @Test
  void in_a_directory_one_records_and_the_other_takes_over() throws Exception {
    takesOver(null);
  }

  @Test
  void in_a_bucket_one_records_and_the_other_takes_over() throws Exception {
    try (S3Server bucket = S3Server.start("acme-backups")) {
      takesOver(bucket);
    }
  }

  private static void takesOver(@Nullable S3Server bucket) throws Exception {
    try (TestServer server = TestServer.start(18, SETTINGS)) {
      Path home = server.folder();
      Map<String, String> environment = HoldfastProcess.environment(bucket);
      protect(server, environment);
      Path config = home.resolve("holdfast.yaml");
      Files.writeString(config, "record: {takeoverAfterSeconds: 3}\n");
      String[] record = {"record", "acme", "--json", "--config", config.toString()};
      try (HoldfastProcess first = HoldfastProcess.start(home, environment, record)) {
        HoldfastProcess.until(() -> first.err().contains("receiving WAL"));
        try (HoldfastProcess second = HoldfastProcess.start(home, environment, record)) {
          HoldfastProcess.until(() -> second.out().contains("this one stands by"));
          assertThat(second.out()).contains("process " + first.pid());
          assertThat(second.err()).doesNotContain("receiving WAL");
          assertThat(status(home, environment).get("recorder").get("pid").asLong())
              .isEqualTo(first.pid());
          Ended third = run(home, environment, "record", "acme", "--no-standby");
          assertThat(third.exitCode()).isEqualTo(3);
          assertThat(third.err())
              .contains("another recorder is at work", "process " + first.pid(), "--no-standby");

          signal("STOP", first);
          HoldfastProcess.until(() -> second.err().contains("receiving WAL"));
          server.execute("CREATE TABLE meanwhile (n int)", "INSERT INTO meanwhile VALUES (1)");
          recorded(server, home, environment);
          signal("CONT", first);
          HoldfastProcess.until(() -> first.out().contains("has stopped: holdfast record acme ("));
          HoldfastProcess.until(() -> first.out().contains("this one stands by"));
          assertThat(first.isAlive()).isTrue();
          server.execute("INSERT INTO meanwhile VALUES (2)");
          recorded(server, home, environment);
          assertThat(status(home, environment).get("recorder").get("pid").asLong())
              .isEqualTo(second.pid());
          assertThat(run(home, environment, "verify").exitCode()).isZero();

          second.kill();
          HoldfastProcess.until(() -> first.out().contains("this one takes over"));
          server.execute("INSERT INTO meanwhile VALUES (3)");
          recorded(server, home, environment);
        }
        assertThat(first.terminate().exitCode()).isIn(0, 143);
      }
      JsonNode after = status(home, environment);
      assertThat(after.get("recorder").isNull()).as("it was given back").isTrue();
      assertThat(run(home, environment, "verify", "--read-data", "100%").exitCode()).isZero();
    }
  }

  @Test
  void what_was_missed_is_done_when_recording_begins_and_ends_with_the_recorder() throws Exception {
    try (TestServer server = TestServer.start(18, SETTINGS)) {
      Path home = server.folder();
      protect(server, Map.of(), "--no-encryption");
      Path config = home.resolve("holdfast.yaml");
      Files.writeString(config, "schedule: {acme: {backup: {full: '0 3 * *'}}}\n");
      Ended wrong = HoldfastProcess.run(home, "record", "acme", "--config", config.toString());
      assertThat(wrong.exitCode()).isEqualTo(2);
      assertThat(wrong.err()).contains(config + ", line 1", "it has 4 fields, and five are needed");

      Files.writeString(config, "schedule: {acme: {timeZone: UTC, backup: {full: '0 3 * * *'}}}\n");
      String[] record = {"record", "acme", "--json", "--config", config.toString()};
      int before = status(home, Map.of()).get("bases").size();
      missed(home);
      try (HoldfastProcess recorder = HoldfastProcess.start(home, record)) {
        HoldfastProcess.until(() -> recorder.err().contains("backup.full of acme has succeeded"));
        assertThat(recorder.err()).contains("scheduled: backup.full at 0 3 * * * (UTC), next ");
        JsonNode status = status(home, Map.of());
        assertThat(status.get("bases").size()).isEqualTo(before + 1);
        JsonNode job = status.get("schedules").get(0);
        assertThat(job.get("job").asString()).isEqualTo("backup.full");
        assertThat(job.get("lastResult").asString()).isEqualTo("succeeded");
        assertThat(Instant.parse(job.get("nextAt").asString())).isAfter(Instant.now());
        assertThat(HoldfastProcess.run(home, "status").out())
            .contains("backup.full at 0 3 * * * (UTC); next ", "last succeeded ");
        recorder.terminate();
      }

      missed(home);
      try (HoldfastProcess recorder = HoldfastProcess.start(home, record)) {
        HoldfastProcess.until(() -> job(home).isPresent());
        job(home).ifPresent(ProcessHandle::destroyForcibly);
        HoldfastProcess.until(() -> recorder.out().contains("ended by signal 9"));
        JsonNode alarm = alarm(recorder, "schedule");
        assertThat(alarm.get("level").asString()).isEqualTo("warning");
        assertThat(alarm.get("what").asString()).contains("it is tried again at ");
        assertThat(HoldfastProcess.run(home, "status").out())
            .contains("has not succeeded since ", ": its process was ended by signal 9");
        recorder.kill();
      }

      missed(home);
      ProcessHandle cut;
      try (HoldfastProcess recorder = HoldfastProcess.start(home, record)) {
        HoldfastProcess.until(() -> job(home).isPresent());
        cut = job(home).orElseThrow();
        recorder.kill();
      }
      HoldfastProcess.until(() -> !cut.isAlive());
      try (HoldfastProcess recorder = HoldfastProcess.start(home, record)) {
        HoldfastProcess.until(() -> recorder.out().contains("it was cut off: "));
        recorder.terminate();
      }
      assertThat(HoldfastProcess.run(home, "verify").exitCode()).isZero();

      // production goes down under a job, or before it
      missed(home);
      server.stop(PostgresServer.Stop.KILL);
      try (HoldfastProcess recorder = HoldfastProcess.start(home, record)) {
        HoldfastProcess.until(() -> recorder.out().contains("\"alarm\":\"schedule\""));
        assertThat(alarm(recorder, "schedule").get("what").asString())
            .startsWith("backup.full of acme failed: ");
        assertThat(recorder.isAlive()).isTrue();
        recorder.terminate();
      }
    }
  }

  /** As if the machine had been off for two days. */
  private static void missed(Path home) {
    Instant then = Instant.now().minus(Duration.ofDays(2));
    Repository.open(home.resolve("repository").toString())
        .cluster("acme")
        .putSchedule(
            "full",
            new ScheduleState(
                "backup.full",
                "0 3 * * *",
                "UTC",
                then,
                then,
                then,
                "succeeded",
                null,
                then,
                0,
                null,
                null,
                null,
                null));
  }

  private static JsonNode alarm(HoldfastProcess recorder, String about) {
    return recorder
        .out()
        .lines()
        .map(JsonMapper.shared()::readTree)
        .filter(line -> line.path("alarm").asString("").equals(about))
        .findFirst()
        .orElseThrow();
  }

  /** A process that takes a backup of this test's server. */
  private static Optional<ProcessHandle> job(Path home) {
    try (var processes = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
      return StreamSupport.stream(processes.spliterator(), false)
          .filter(process -> isJob(process, home))
          .findFirst()
          .flatMap(process -> ProcessHandle.of(Long.parseLong(process.getFileName().toString())));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean isJob(Path process, Path home) {
    try {
      List<String> words = List.of(Files.readString(process.resolve("cmdline")).split("\0", -1));
      return words.getFirst().endsWith("/java")
          && words.contains("backup")
          && words.contains(home.resolve("repository").toString());
    } catch (IOException e) {
      return false; // it has ended
    }
  }

  private static void protect(TestServer server, Map<String, String> environment, String... more) {
    List<String> line =
        new ArrayList<>(
            List.of("protect", "acme", server.url("postgres"), "--environment", "staging"));
    line.addAll(List.of(more));
    Ended made = run(server.folder(), environment, line.toArray(String[]::new));
    assertThat(made.exitCode()).as(made.err()).isZero();
  }

  private static void recorded(TestServer server, Path home, Map<String, String> environment) {
    String written = server.value("SELECT pg_current_wal_flush_lsn()");
    HoldfastProcess.until(() -> {
      JsonNode through = status(home, environment).get("recordedThrough");
      return server
          .value("SELECT '" + through.asString() + "'::pg_lsn >= '" + written + "'::pg_lsn")
          .equals("t");
    });
  }

  private static JsonNode status(Path home, Map<String, String> environment) {
    Ended ended = run(home, environment, "status", "acme", "--json");
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    return ended.json();
  }

  private static void signal(String signal, HoldfastProcess process) {
    assertThat(
            Processes.run(List.of("kill", "-" + signal, Long.toString(process.pid()))).exitCode())
        .isZero();
  }

  private static Ended run(Path home, Map<String, String> environment, String... arguments) {
    try (HoldfastProcess process = HoldfastProcess.start(home, environment, arguments)) {
      return process.await();
    }
  }
}
