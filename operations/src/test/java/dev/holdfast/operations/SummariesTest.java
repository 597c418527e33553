package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Instant;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What was destroyed is told the same, whether summaries say it or the log itself. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SummariesTest {
  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void the_log_is_the_same_with_any_summaries_missing_or_damaged(int major) throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            major,
            "CREATE TABLE t (id int PRIMARY KEY, v int)",
            "INSERT INTO t SELECT g, 0 FROM generate_series(1, 2000) g",
            "CREATE TABLE other (a int)",
            "INSERT INTO other SELECT generate_series(1, 100)",
            "ANALYZE")) {
      Instant[] middle = new Instant[1];
      history(acme, middle);
      ClusterStore cluster = Repository.open(acme.repository).cluster(ProtectedServer.NAME);
      List<String> segments = awaitSummaries(cluster);
      acme.stopRecording();
      assertThat(segments).hasSizeGreaterThan(6);

      Log.Filter destructive = new Log.Filter(true, null, null, null, null, null);
      List<LogEntry> summarised = log(acme, destructive);
      List<List<LogEntry>> filtered = filters(middle[0]).map(filter -> log(acme, filter)).toList();
      assertThat(summarised).hasSizeGreaterThan(10);
      filtered.forEach(entries -> assertThat(entries).isNotEmpty());

      Random random = new Random(major);
      for (int round = 0; round < 4; round++) {
        for (String segment : segments) {
          if (random.nextInt(3) == 0) {
            cluster.summaries().delete(segment);
          }
        }
        damageOne(Path.of(acme.repository), random);
        assertThat(log(acme, destructive)).as("round %d", round).isEqualTo(summarised);
      }

      segments.forEach(cluster.summaries()::delete);
      assertThat(log(acme, destructive)).isEqualTo(summarised);
      assertThat(filters(middle[0]).map(filter -> log(acme, filter)).toList()).isEqualTo(filtered);

      acme.record(); // makes them all again
      assertThat(awaitSummaries(cluster)).containsAll(segments);
      assertThat(log(acme, destructive)).startsWith(summarised.toArray(LogEntry[]::new));
    }
  }

  /** What the log itself no longer holds is still known. */
  @Test
  void summaries_outlive_the_log() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            16,
            "CREATE TABLE t (id int PRIMARY KEY, v int)",
            "INSERT INTO t SELECT g, 0 FROM generate_series(1, 2000) g",
            "CREATE TABLE other (a int)",
            "INSERT INTO other SELECT generate_series(1, 100)")) {
      history(acme, new Instant[1]);
      ClusterStore cluster = Repository.open(acme.repository).cluster(ProtectedServer.NAME);
      List<String> segments = awaitSummaries(cluster);
      acme.stopRecording();
      Log.Filter destructive = new Log.Filter(true, null, null, null, null, null);
      List<LogEntry> before = log(acme, destructive);
      for (String segment : segments.subList(0, segments.size() / 2)) {
        Files.delete(
            Path.of(
                acme.repository,
                "clusters",
                ProtectedServer.NAME,
                "wal",
                segment.substring(0, 8),
                segment));
      }

      assertThat(log(acme, destructive)).isEqualTo(before);
      assertThatThrownBy(() ->
              new Show(acme.repository, ProtectedServer.NAME)
                  .run(before.getFirst().xid(), 3, Progress.SILENT))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
          .hasMessageContaining("row by row");
    }
  }

  /** A repository from before there were summaries: more segments than one thread makes. */
  @Test
  void a_backlog_made_on_all_processors_says_the_same() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE t (id int PRIMARY KEY, v int)",
            "INSERT INTO t SELECT g, 0 FROM generate_series(1, 5000) g")) {
      for (int i = 1; i <= 40; i++) {
        acme.server.execute("DELETE FROM t WHERE id = " + i, "SELECT pg_switch_wal()");
      }
      acme.caughtUp();
      ClusterStore cluster = Repository.open(acme.repository).cluster(ProtectedServer.NAME);
      List<String> segments = awaitSummaries(cluster);
      acme.stopRecording();
      Log.Filter destructive = new Log.Filter(true, null, null, null, null, null);
      List<LogEntry> before = log(acme, destructive);
      List<byte[]> blocks = segments.stream().map(cluster.summaries()::readBlocks).toList();
      segments.forEach(cluster.summaries()::delete);

      int made =
          new SummaryMaker(cluster)
              .make(() -> true, Progress.SILENT.begin("", 0, Progress.Unit.BYTES));

      assertThat(made).isEqualTo(segments.size()).isGreaterThanOrEqualTo(40);
      assertThat(cluster.summaries().list()).isEqualTo(segments);
      assertThat(segments.stream().map(cluster.summaries()::readBlocks))
          .containsExactlyElementsOf(blocks);
      assertThat(log(acme, destructive)).isEqualTo(before).hasSize(40);
    }
  }

  /** One bad segment must not keep the ones behind it without summaries. */
  @Test
  void a_damaged_segment_is_told_once_and_passed_over() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            17,
            "CREATE TABLE t (id int PRIMARY KEY, v int)",
            "INSERT INTO t SELECT g, 0 FROM generate_series(1, 2000) g",
            "CREATE TABLE other (a int)",
            "INSERT INTO other SELECT generate_series(1, 100)")) {
      history(acme, new Instant[1]);
      ClusterStore cluster = Repository.open(acme.repository).cluster(ProtectedServer.NAME);
      List<String> segments = awaitSummaries(cluster);
      acme.stopRecording();
      segments.forEach(cluster.summaries()::delete);
      String bad = segments.get(2);
      flip(
          Path.of(
              acme.repository, "clusters", ProtectedServer.NAME, "wal", bad.substring(0, 8), bad),
          new Random(1));

      SummaryMaker maker = new SummaryMaker(cluster);
      Progress.Phase silent = Progress.SILENT.begin("", 0, Progress.Unit.BYTES);
      assertThatThrownBy(() -> maker.make(() -> true, silent))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DAMAGED_DATA))
          .hasMessageContaining(bad);
      assertThat(maker.make(() -> true, silent)).isEqualTo(segments.size() - 3);
      assertThat(maker.make(() -> true, silent)).isZero();
      assertThat(cluster.summaries().list()).hasSize(segments.size() - 1).doesNotContain(bad);
    }
  }

  private static Stream<Log.Filter> filters(Instant middle) {
    return Stream.of(
        new Log.Filter(false, null, middle, null, null, null),
        new Log.Filter(false, null, null, middle, null, null),
        new Log.Filter(false, "other", null, null, null, null),
        new Log.Filter(false, "public.t", middle, null, null, null),
        new Log.Filter(true, "t", null, middle, null, null),
        Log.Filter.ALL);
  }

  /** Without what the planner estimates: which catalog was read last is chance. */
  private static List<LogEntry> log(ProtectedServer acme, Log.Filter filter) {
    return acme.log(filter).stream()
        .map(entry ->
            new LogEntry(
                entry.xid(),
                entry.commitLsn(),
                entry.committedAt(),
                "",
                entry.user(),
                entry.application(),
                entry.address(),
                entry.statement(),
                entry.moreStatements(),
                entry.permit(),
                entry.notes(),
                entry.guardSettings(),
                entry.database(),
                entry.tables().stream().map(SummariesTest::withoutEstimate).toList()))
        .toList();
  }

  private static LogEntry.Table withoutEstimate(LogEntry.Table table) {
    return new LogEntry.Table(
        table.schema(),
        table.table(),
        table.action(),
        table.rowsInserted(),
        table.rowsUpdated(),
        table.rowsDeleted(),
        null,
        table.jsonKeysLost(),
        table.jsonLosses(),
        table.columnsDropped());
  }

  private static void history(ProtectedServer acme, Instant[] middle) throws Exception {
    try (Connection slow = acme.server.connect();
        Statement sql = slow.createStatement()) {
      slow.setAutoCommit(false);
      sql.execute("INSERT INTO t SELECT g, 0 FROM generate_series(3001, 3300) g");
      for (int i = 0; i < 8; i++) {
        acme.server.execute(
            "DELETE FROM t WHERE id BETWEEN " + 100 * i + " AND " + (100 * i + 20),
            "UPDATE t SET v = v + 1 WHERE id > 100 AND id <= 2000",
            "CREATE TABLE made_" + i + " AS SELECT * FROM t",
            "UPDATE t SET v = 7 WHERE id = 1999");
        sql.execute("DELETE FROM t WHERE id = " + (3001 + i));
        if (i == 4) {
          middle[0] = Instant.parse(instant(acme));
        }
        if (i == 5) {
          acme.server.execute("DELETE FROM other", "TRUNCATE made_1");
        }
        if (i > 2) {
          acme.server.execute("DROP TABLE made_" + (i - 1));
        }
        acme.server.execute("SELECT pg_switch_wal()");
      }
      slow.commit();
    }
    acme.server.execute(
        "INSERT INTO t VALUES (9000, 1)",
        "DELETE FROM t WHERE id = 9000",
        "SELECT pg_switch_wal()");
    acme.server.execute("DELETE FROM t WHERE id = 1998"); // in a segment that is not complete
    acme.caughtUp();
  }

  private static String instant(ProtectedServer acme) {
    return acme.server.value(
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
  }

  private static List<String> awaitSummaries(ClusterStore cluster) throws InterruptedException {
    for (int attempt = 0; attempt < 600; attempt++) {
      List<String> complete =
          cluster.wal().list().stream()
              .filter(segment -> segment.complete())
              .map(segment -> segment.name())
              .toList();
      List<String> summarised = cluster.summaries().list();
      if (!complete.isEmpty() && summarised.containsAll(complete)) {
        return summarised;
      }
      Thread.sleep(100); // the recorder works in its own time
    }
    throw new AssertionError("segments without a summary: " + cluster.summaries().list());
  }

  private static void damageOne(Path repository, Random random) throws IOException {
    Path folder = repository.resolve("clusters/" + ProtectedServer.NAME + "/summaries");
    List<Path> files;
    try (Stream<Path> found = Files.walk(folder)) {
      files = found.filter(Files::isRegularFile).sorted().toList();
    }
    if (!files.isEmpty()) {
      flip(files.get(random.nextInt(files.size())), random);
    }
  }

  private static void flip(Path file, Random random) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[random.nextInt(bytes.length)] ^= 1;
    Files.delete(file);
    Files.write(file, bytes);
  }
}
