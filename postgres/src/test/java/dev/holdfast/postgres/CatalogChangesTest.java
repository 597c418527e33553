package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a server really logs when files change hands, and when they do not. */
@Timeout(120)
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class CatalogChangesTest {
  private static final int SEGMENT = 1 << 20;

  /** Longer than two of the stretches that positions are kept to. */
  private static final String PADDING =
      "SELECT pg_logical_emit_message(false, 'padding', repeat('x', 200000))";

  /** What ran between two paddings. */
  private record Stretch(String what, Lsn from, Lsn to) {}

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 18})
  void every_change_of_files_is_noted_and_ordinary_work_is_not(int major) throws Exception {
    try (TestServer server =
        TestServer.start(
            PostgresBinaries.embedded(major),
            Map.of(
                "wal_keep_size", "1GB",
                "autovacuum", "off",
                "checkpoint_timeout", "1h",
                "bgwriter_lru_maxpages", "0",
                "max_prepared_transactions", "4"),
            List.of("--wal-segsize=1"))) {
      server.execute(
          "CREATE DATABASE source",
          "CREATE TABLE t (id int PRIMARY KEY, v text)",
          "CREATE TABLE other (id int PRIMARY KEY, v text)",
          "CREATE TABLE parent (id int, v text) PARTITION BY RANGE (id)",
          "CREATE TABLE part (id int, v text)",
          "CREATE TABLE elder (id int)",
          "CREATE TABLE heir (id int)",
          "CREATE TABLE narrow (id int)",
          "CREATE SEQUENCE s",
          "CREATE TABLE gone (id int)",
          "CREATE TABLESPACE space LOCATION '" + folder(server) + "'",
          "INSERT INTO t SELECT g, repeat('v', 100) FROM generate_series(1, 2000) g",
          "INSERT INTO t SELECT -1, string_agg(md5(g::text), '') FROM generate_series(1, 5000) g",
          "SELECT nextval('s')",
          "CHECKPOINT");
      List<Stretch> changes = new ArrayList<>();
      for (List<String> statements : changing(major)) {
        changes.add(run(server, statements));
      }
      List<Stretch> ordinary = new ArrayList<>();
      for (List<String> statements : ordinary()) {
        // Once before: what the session and the catalogs remember of a table is then up to date.
        server.execute(statements.toArray(String[]::new));
        ordinary.add(run(server, statements));
      }
      CatalogChanges noted = note(server, changes.getFirst().from());
      assertThat(changes)
          .allSatisfy(stretch ->
              assertThat(noted.between(stretch.from(), stretch.to())).as(stretch.what()).isTrue());
      assertThat(ordinary)
          .allSatisfy(stretch ->
              assertThat(noted.between(stretch.from(), stretch.to())).as(stretch.what()).isFalse());
    }
  }

  private static List<List<String>> changing(int major) {
    List<List<String>> all = new ArrayList<>();
    for (String alone :
        List.of(
            "CREATE TABLE fresh (id int)",
            "CREATE INDEX ON other (v)",
            "CREATE INDEX CONCURRENTLY ON other (v)",
            "ALTER TABLE other ALTER v TYPE varchar(9)",
            "ALTER TABLE narrow ADD v text", // a TOAST table
            "ALTER TABLE other SET TABLESPACE space",
            "ALTER TABLE fresh RENAME TO renamed",
            "TRUNCATE other",
            "CLUSTER t USING t_pkey",
            "VACUUM FULL t",
            "VACUUM FULL pg_class", // a mapped catalog: its number is in no row
            "REINDEX TABLE t",
            "REINDEX TABLE CONCURRENTLY t",
            "REINDEX INDEX pg_class_oid_index",
            "ALTER TABLE parent ATTACH PARTITION part FOR VALUES FROM (1) TO (9)",
            "ALTER TABLE parent DETACH PARTITION part",
            "ALTER TABLE heir INHERIT elder",
            "ALTER TABLE heir NO INHERIT elder",
            "DROP TABLE gone",
            "CREATE DATABASE copy TEMPLATE source",
            "ALTER DATABASE copy RENAME TO copied",
            "DROP DATABASE copied")) {
      all.add(List.of(alone));
    }
    if (major >= 15) {
      all.add(List.of("CREATE DATABASE files TEMPLATE source STRATEGY file_copy"));
    }
    all.add(List.of("BEGIN", "SAVEPOINT a", "TRUNCATE heir", "RELEASE a", "COMMIT"));
    all.add(List.of("BEGIN", "CREATE TABLE prepared (id int)", "PREPARE TRANSACTION 'p'"));
    all.add(List.of("COMMIT PREPARED 'p'"));
    all.add(
        List.of(
            "SET allow_system_table_mods = on",
            // As pg_repack does it: two rows of pg_class change places.
            "UPDATE pg_class c SET relfilenode = d.relfilenode FROM pg_class d"
                + " WHERE c.relname IN ('elder', 'heir') AND d.relname IN ('elder', 'heir')"
                + " AND c.oid <> d.oid",
            "RESET allow_system_table_mods"));
    return all;
  }

  private static List<List<String>> ordinary() {
    return List.of(
        List.of("UPDATE t SET v = 'w' || v WHERE id BETWEEN 1 AND 500"),
        List.of(
            "INSERT INTO t SELECT g, repeat('v', 100) FROM generate_series(10001, 12000) g"
                + " ON CONFLICT DO NOTHING"),
        List.of("UPDATE t SET v = v || 'x' WHERE id = -1"), // out of line
        List.of("BEGIN", "SAVEPOINT a", "DELETE FROM t WHERE id = 7", "ROLLBACK TO a", "COMMIT"),
        List.of("DELETE FROM t WHERE id % 3 = 0"),
        List.of(
            "BEGIN",
            "UPDATE t SET v = '' WHERE id = 1",
            "PREPARE TRANSACTION 'q'",
            "COMMIT PREPARED 'q'"),
        List.of("SELECT nextval('s') FROM generate_series(1, 100)"),
        List.of("BEGIN", "SELECT * FROM t FOR UPDATE", "COMMIT"),
        List.of("BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "COMMIT"),
        List.of("SELECT pg_logical_emit_message(true, 'app', 'text')"),
        List.of("CHECKPOINT"));
  }

  private static Stretch run(TestServer server, List<String> statements) {
    server.execute(PADDING);
    Lsn from = position(server);
    server.execute(statements.toArray(String[]::new));
    Lsn to = position(server);
    server.execute(PADDING);
    return new Stretch(String.join("; ", statements), from, to);
  }

  private static Lsn position(TestServer server) {
    return Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
  }

  private static CatalogChanges note(TestServer server, Lsn from) throws IOException {
    Lsn end = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
    CatalogChanges changes = new CatalogChanges();
    SegmentName name = SegmentName.containing(from, 1, SEGMENT);
    WalReader reader = new WalReader(name.start(), SEGMENT);
    for (; name.start().isBefore(end); name = name.next()) {
      byte[] bytes =
          Files.readAllBytes(server.server().data().resolve("pg_wal").resolve(name.toString()));
      reader.feed(bytes, 0, (int) Math.min(SEGMENT, end.minus(name.start())));
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        changes.note(record);
      }
    }
    return changes;
  }

  private static Path folder(TestServer server) throws IOException {
    Path folder = Files.createDirectory(server.folder().resolve("space"));
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
    return folder;
  }
}
