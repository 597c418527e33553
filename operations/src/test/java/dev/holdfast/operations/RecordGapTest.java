package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ReplicationSlot;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Holdfast away for longer than the server keeps WAL for it. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecordGapTest {
  private static final String NAME = "acme";
  private static final long MEGABYTE = 1 << 20;
  private static final long SLOT_LIMIT = 24 * MEGABYTE;
  private static final long WAL_MAX = 16 * MEGABYTE;
  private static final Map<String, String> SETTINGS =
      Map.of(
          "max_slot_wal_keep_size", "24MB",
          "max_wal_size", "16MB",
          "min_wal_size", "2MB",
          "autovacuum", "off");

  private static TestServer start(int major) {
    return TestServer.start(PostgresBinaries.embedded(major), SETTINGS, List.of("--wal-segsize=1"));
  }

  private static String protect(TestServer server, boolean slot) {
    String repository = server.folder().resolve("repository").toString();
    server.execute("CREATE TABLE load (n int, filler text)");
    new Protect(repository)
        .run(
            new Protect.Request(
                NAME, server.url("postgres"), "production", server.url("postgres"), slot, false, 1),
            Progress.SILENT);
    return repository;
  }

  private static void awaitRecorded(TestServer server, String repository) {
    server.execute("SELECT pg_logical_emit_message(true, 'test', 'flush')");
    Lsn written = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
    HeardRecorder.awaitUntil(
        () -> !new RecordedWal(Repository.open(repository).cluster(NAME)).end().isBefore(written));
  }

  /** What a server under load went through. */
  private record Load(long slowestMs, long walBytesMax) {}

  private static Load load(TestServer server, int megabytes) throws Exception {
    long slowest = 0;
    long walMax = 0;
    try (Connection connection = server.connect();
        Statement statement = connection.createStatement()) {
      for (int n = 0; n < megabytes; n++) {
        long begun = System.nanoTime();
        statement.execute(
            "INSERT INTO load SELECT "
                + n
                + ", repeat(md5(i::text), 30) FROM"
                + " generate_series(1, 1000) AS i");
        slowest = Math.max(slowest, System.nanoTime() - begun);
        if (n % 4 == 3) {
          statement.execute("CHECKPOINT"); // as max_wal_size has it, without waiting for it
        }
        try (var size = statement.executeQuery("SELECT sum(size)::bigint FROM pg_ls_waldir()")) {
          size.next();
          walMax = Math.max(walMax, size.getLong(1));
        }
      }
    }
    return new Load(slowest / 1_000_000, walMax);
  }

  @ParameterizedTest
  @ValueSource(ints = {18, 14})
  void away_for_long_under_load_the_disk_is_safe_and_what_was_missed_is_told_and_healed(int major)
      throws Exception {
    try (TestServer server = start(major)) {
      String repository = protect(server, true);
      try (HeardRecorder _ =
          new HeardRecorder(repository, NAME, RecordOptions.DEFAULT.withFlushSeconds(0.1))) {
        server.execute("INSERT INTO load VALUES (-1, 'before')");
        awaitRecorded(server, repository);
      }
      Lsn before = new RecordedWal(Repository.open(repository).cluster(NAME)).end();
      Load load = load(server, 100);
      System.err.println("PostgreSQL " + major + " " + load);
      assertThat(load.walBytesMax).isLessThan(SLOT_LIMIT + 2 * WAL_MAX);
      assertThat(load.slowestMs).as("commits do not hang").isLessThan(30_000);
      ClusterStatus away = new Status(repository).of(NAME).getFirst();
      assertThat(away.slot())
          .extracting("name", "walStatus", "limitBytes")
          .containsExactly("holdfast_acme", "lost", SLOT_LIMIT);
      assertThat(away.advice())
          .extracting(Advice::what)
          .anyMatch(what -> what.contains("was given up by the server"));

      RecordingAlarm gap;
      try (HeardRecorder recording =
          new HeardRecorder(repository, NAME, RecordOptions.DEFAULT.withFlushSeconds(0.1))) {
        recording.await(() -> !recording.alarms("baseBackup").isEmpty());
        gap = recording.alarms("gap").getFirst();
        assertThat(recording.alarms("gap")).hasSize(1);
        assertThat(recording.alarms("slot"))
            .extracting(RecordingAlarm::what)
            .contains(
                "replication slot holdfast_acme was given up by the server; it was made anew");
        assertThat(recording.alarms("baseBackup"))
            .singleElement()
            .satisfies(alarm -> assertThat(alarm.level()).isEqualTo("note"));
        server.execute("INSERT INTO load VALUES (-2, 'after')");
        awaitRecorded(server, repository);
        recording.await(
            () -> "reserved".equals(server.value("SELECT wal_status FROM pg_replication_slots")));
      }
      assertThat(gap.level()).isEqualTo("critical");
      assertThat(Lsn.parse(String.valueOf(gap.fromLsn()))).isEqualTo(before);
      assertThat(Lsn.parse(String.valueOf(gap.toLsn()))).isGreaterThan(before.plus(50 * MEGABYTE));

      ClusterStatus.Gap expected =
          new ClusterStatus.Gap(String.valueOf(gap.fromLsn()), String.valueOf(gap.toLsn()));
      assertThat(new Log(repository, NAME).gaps()).containsExactly(expected);
      assertThat(new Status(repository).of(NAME).getFirst().gaps()).containsExactly(expected);
      assertThat(
              new Reach(
                      Repository.open(repository).cluster(NAME).bases().list(),
                      Repository.open(repository).cluster(NAME).wal().list(),
                      Map.of(),
                      (int) MEGABYTE)
                  .gaps())
          .singleElement()
          .satisfies(found -> assertThat(found.from()).isEqualTo(before));
      assertThatThrownBy(
              () -> restore(server, repository, at(before.plus(40 * MEGABYTE)), "in_the_gap"))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED));
      try (RunningServer back = restore(server, repository, Target.LATEST, "after")) {
        assertThat(
                back.value("SELECT string_agg(filler, ' ' ORDER BY n DESC) FROM load WHERE n < 0"))
            .isEqualTo("before after");
        assertThat(back.value("SELECT count(*) FROM load WHERE n >= 0")).isEqualTo("100000");
      }
      try (RunningServer back = restore(server, repository, at(before), "before")) {
        assertThat(back.value("SELECT string_agg(filler, ' ') FROM load")).isEqualTo("before");
      }
    }
  }

  private static Target at(Lsn lsn) {
    return new Target(null, null, null, lsn.toString(), null, null);
  }

  private static RunningServer restore(
      TestServer server, String repository, Target target, String name) {
    Path data = server.folder().resolve(name);
    new Restore(repository, NAME)
        .run(
            new Restore.Request(
                target, data, Map.of(), null, true, PostgresServer.freePort(), null),
            Progress.SILENT);
    return new RunningServer(data);
  }

  @Test
  void without_a_slot_recycled_wal_is_a_gap_too_and_told_where_no_backup_is_wanted()
      throws Exception {
    try (TestServer server = start(17)) {
      String repository = protect(server, false);
      try (HeardRecorder _ =
          new HeardRecorder(repository, NAME, RecordOptions.DEFAULT.withFlushSeconds(0.1))) {
        awaitRecorded(server, repository);
      }
      load(server, 60);
      try (HeardRecorder recording =
          new HeardRecorder(
              repository, NAME, RecordOptions.DEFAULT.tellingGaps().withFlushSeconds(0.1))) {
        recording.await(() -> !recording.alarms("baseBackup").isEmpty());
        assertThat(recording.alarms("gap")).hasSize(1);
        assertThat(recording.alarms("baseBackup"))
            .extracting(RecordingAlarm::next)
            .containsExactly("holdfast backup acme");
      }
      assertThat(GapHealing.isNeeded(Repository.open(repository).cluster(NAME))).isTrue();
      // Whoever comes after one that was told not to, or was killed, takes it.
      try (HeardRecorder recording =
          new HeardRecorder(repository, NAME, RecordOptions.DEFAULT.withFlushSeconds(0.1))) {
        recording.await(() -> !recording.alarms("baseBackup").isEmpty());
        assertThat(recording.alarms("gap")).isEmpty();
      }
      assertThat(GapHealing.isNeeded(Repository.open(repository).cluster(NAME))).isFalse();
    }
  }

  @Test
  void a_slot_that_somebody_dropped_is_made_again() throws Exception {
    try (TestServer server = start(18)) {
      String repository = protect(server, true);
      ReplicationSlot.drop(PostgresUrl.parse(server.url("postgres")), "holdfast_acme");
      try (HeardRecorder recording =
          new HeardRecorder(repository, NAME, RecordOptions.DEFAULT.withFlushSeconds(0.1))) {
        recording.await(() -> !recording.alarms("slot").isEmpty());
        awaitRecorded(server, repository);
        assertThat(server.value("SELECT active FROM pg_replication_slots")).isEqualTo("t");
        assertThat(recording.alarms("slot"))
            .extracting(RecordingAlarm::what)
            .contains("replication slot holdfast_acme was not there; it was made");
        assertThat(recording.alarms("gap")).isEmpty();
      }
    }
  }

  @Test
  void a_base_backup_that_receives_its_wal_itself_says_what_was_lost_before_it() throws Exception {
    try (TestServer server = start(18)) {
      String repository = protect(server, true);
      new Backup(repository, NAME, null, 1, Backup.Wanted.FULL).run(Progress.SILENT);
      Lsn before = new RecordedWal(Repository.open(repository).cluster(NAME)).end();
      load(server, 60);
      BackupResult result =
          new Backup(repository, NAME, null, 1, Backup.Wanted.FULL).run(Progress.SILENT);
      assertThat(result.warnings())
          .contains("replication slot holdfast_acme was given up by the server; it was made anew")
          .anyMatch(what -> what.startsWith("WAL from " + before + " to "));
    }
  }
}
