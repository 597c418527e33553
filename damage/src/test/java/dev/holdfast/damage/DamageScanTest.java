package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class DamageScanTest {
  private static final Map<String, String> SETTINGS =
      Map.of("max_prepared_transactions", "10", "autovacuum", "off");

  /** One statement and, when it does damage, what the report must say. */
  private record Case(String expected, List<String> statements) {}

  private final List<Case> cases = new ArrayList<>();

  /**
   * @param places whether rows of pg_class from before can be understood; else what became of a
   *     table is inferred
   */
  @ParameterizedTest
  @CsvSource({
    "14,true", "15,true", "16,true", "17,true", "18,true",
    "14,false", "15,false", "16,false", "17,false", "18,false"
  })
  void every_kind_of_statement_is_reported_with_its_exact_counts(int major, boolean places)
      throws Exception {
    try (TestServer server = TestServer.start(major, SETTINGS)) {
      prepare(server);
      RecordedNames names = new RecordedNames(places);
      Lsn start = ServerLog.begin(server);
      names.record(server); // once: of files created from here on only the log tells
      describe(major, places);

      for (Case one : cases) {
        server.execute(one.statements().toArray(String[]::new));
      }
      List<TransactionDamage> found = new ArrayList<>();
      DamageScan scan = new DamageScan(names, found::add);
      Map<Lsn, WalRecord> records = new HashMap<>();
      ServerLog.read(
          server,
          start,
          record -> {
            records.put(new Lsn(record.lsn()), record.decode());
            scan.accept(record);
          });

      assertThat(found.stream().map(DamageScanTest::text).collect(Collectors.joining("\n")))
          .isEqualTo(
              cases.stream()
                  .map(Case::expected)
                  .filter(expected -> !expected.isEmpty())
                  .collect(Collectors.joining("\n")));
      for (TransactionDamage damage : found) {
        assertThat(records.get(damage.commitLsn())).isInstanceOf(WalRecord.Commit.class);
        boolean databaseDropped = damage.tables().getFirst().database().equals("other");
        assertThat(records.get(damage.targetLsn()))
            .as("where to stop before %s", text(damage))
            .isInstanceOf(databaseDropped ? WalRecord.HeapInplace.class : WalRecord.Commit.class);
      }
    }
  }

  private void prepare(TestServer server) {
    for (String table :
        List.of(
            "plain", "d1", "d2", "d3", "d4", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "v1",
            "v2", "v3", "v4", "v5", "v6", "big", "r1", "r2")) {
      server.execute(
          "CREATE TABLE " + table + " (id serial PRIMARY KEY, a int, b text)",
          "INSERT INTO " + table + " (a, b) SELECT g, 'row' FROM generate_series(1, 10) g");
    }
    server.execute(
        "INSERT INTO big (a, b) SELECT g, 'row' FROM generate_series(1, 990) g",
        "CREATE TABLE empty (a int)",
        "CREATE TABLE keyed (k int PRIMARY KEY, n int)",
        "INSERT INTO keyed VALUES (1, 1)",
        "CREATE TABLE parted (at int, b text) PARTITION BY RANGE (at)",
        "CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (1000)",
        "INSERT INTO parted SELECT g, repeat('x', 10) FROM generate_series(1, 20) g",
        "CREATE TABLE gone (at int) PARTITION BY RANGE (at)",
        "CREATE TABLE gone_low PARTITION OF gone FOR VALUES FROM (0) TO (100)",
        "INSERT INTO gone SELECT generate_series(1, 9)",
        "CREATE SCHEMA s",
        "CREATE TABLE s.one (a int)",
        "CREATE TABLE s.\"Two two\" (a int)",
        "INSERT INTO s.one VALUES (1)",
        "INSERT INTO s.\"Two two\" SELECT generate_series(1, 3)",
        "CREATE MATERIALIZED VIEW m1 AS SELECT count(*) FROM plain",
        "CREATE DATABASE other");
    server.executeIn(
        "other", "CREATE TABLE precious (a int)", "INSERT INTO precious VALUES (1)", "ANALYZE");
    server.execute("VACUUM ANALYZE");
  }

  private void describe(int major, boolean places) {
    expect("LOW plain CHANGED +3 of 10", "INSERT INTO plain (a) SELECT generate_series(1, 3)");
    expect("LOW plain CHANGED ~2 of 10", "UPDATE plain SET a = 0 WHERE id <= 2");
    expect("LOW plain CHANGED -1 of 10", "DELETE FROM plain WHERE id = 3");
    expect(
        "LOW plain CHANGED +1 of 10",
        "INSERT INTO plain (b) SELECT string_agg(md5(g::text), '') FROM generate_series(1, 900) g");
    expect("", "SELECT * FROM plain FOR UPDATE");
    expect("CRITICAL d1 DROPPED of 10", "DROP TABLE d1");
    expect("CRITICAL d2 DROPPED of 10", "DROP TABLE d2 CASCADE");
    expect("CRITICAL t1 TRUNCATED of 10", "TRUNCATE t1");
    expect("CRITICAL t2 TRUNCATED of 10; t3 TRUNCATED of 10", "TRUNCATE t2, t3");
    expect(
        "CRITICAL t4 TRUNCATED +5 of 10",
        "BEGIN; TRUNCATE t4; INSERT INTO t4 (a) SELECT generate_series(1, 5); COMMIT");
    expect("", "VACUUM FULL v1");
    expect("", "CLUSTER v2 USING v2_pkey");
    expect("", "ALTER TABLE v3 ALTER a TYPE bigint");
    expect("", "REFRESH MATERIALIZED VIEW m1");
    expect("", "REINDEX TABLE v4");
    expect(
        "CRITICAL t5 TRUNCATED of 10",
        "BEGIN; TRUNCATE t5; ALTER TABLE v5 ALTER a TYPE bigint; COMMIT");
    expect(
        "CRITICAL t6 TRUNCATED of 10",
        "BEGIN; ALTER TABLE v6 ALTER a TYPE bigint; TRUNCATE t6; COMMIT");
    expect(
        "CRITICAL d3 CHANGED +1 of 0; d3 DROPPED of 10",
        "BEGIN; DROP TABLE d3; CREATE TABLE d3 (a int); INSERT INTO d3 VALUES (1); COMMIT");
    expect(
        "CRITICAL d4 CHANGED +10 of 0; d4 DROPPED of 10",
        "BEGIN; CREATE TABLE d4new AS SELECT * FROM d4; DROP TABLE d4;"
            + " ALTER TABLE d4new RENAME TO d4; COMMIT");
    expect(
        "LOW plain CHANGED +1 ~2 of 10",
        "BEGIN; INSERT INTO plain (a) VALUES (1); SAVEPOINT one; DELETE FROM plain;"
            + " ROLLBACK TO one; SAVEPOINT two; UPDATE plain SET a = 5 WHERE id IN (1, 2);"
            + " RELEASE two; COMMIT");
    expect("", "BEGIN; DELETE FROM plain WHERE id < 4; PREPARE TRANSACTION 'later'");
    expect(
        "LOW keyed CHANGED +2 ~1 of 1",
        "INSERT INTO keyed VALUES (1, 1), (2, 1), (3, 1) ON CONFLICT (k) DO UPDATE SET n = 2");
    expect("LOW plain CHANGED -2 of 10 prepared", "COMMIT PREPARED 'later'");
    expect("", "BEGIN; DELETE FROM plain; PREPARE TRANSACTION 'never'");
    expect("", "ROLLBACK PREPARED 'never'");
    expect("LOW parted_low CHANGED ~4 of 20", "UPDATE parted SET at = at + 100 WHERE at <= 4");
    expect("", "CREATE TEMP TABLE x AS SELECT 1 AS a; DELETE FROM x; DROP TABLE x");
    expect(
        major == 14 && !places // there no record holds the OID of what has no file
            ? "CRITICAL gone_low DROPPED of 9"
            : "CRITICAL gone DROPPED of 0; gone_low DROPPED of 9",
        "DROP TABLE gone");
    // Rows were moved into the other partition, which was empty when the catalog was recorded.
    expect("CRITICAL parted_high TRUNCATED of -1; parted_low TRUNCATED of 20", "TRUNCATE parted");
    expect("", "TRUNCATE empty");
    expect("", "BEGIN; DROP TABLE plain CASCADE; ROLLBACK");
    expect("", "BEGIN; CREATE TABLE n (a int); INSERT INTO n VALUES (1); TRUNCATE n; COMMIT");
    expect("CRITICAL t7 TRUNCATED of 10", "TRUNCATE t7 RESTART IDENTITY");
    expect("", "ALTER TABLE parted ALTER b TYPE varchar(20) USING b || 'y'");
    expect("CRITICAL big CHANGED -1000 of 1000", "DELETE FROM big");
    expect("CRITICAL \"Two two\" DROPPED of 3; one DROPPED of 1", "DROP SCHEMA s CASCADE");
    expect(
        "CRITICAL t8 DROPPED of 10; v4 TRUNCATED of 10",
        "BEGIN; TRUNCATE v4; DROP TABLE t8; COMMIT");
    // Whose file it is after a rewrite, the scan must have learnt by itself.
    expect("", "VACUUM FULL r1", "ALTER TABLE r2 ALTER a TYPE bigint");
    expect("LOW r1 CHANGED ~1 of 10", "UPDATE r1 SET a = 0 WHERE id = 4");
    expect("CRITICAL r1 TRUNCATED of 10", "TRUNCATE r1");
    String few = places ? "-1" : "10"; // what is inferred brings no new estimate
    expect("LOW r1 CHANGED +1 of " + few, "INSERT INTO r1 (a) VALUES (7)");
    expect("CRITICAL r1 DROPPED of " + few + "; r2 DROPPED of 10", "DROP TABLE r1, r2");
    expect(
        "LOW young CHANGED +1 of -1\nCRITICAL young DROPPED of -1",
        "CREATE TABLE young (a int)",
        "INSERT INTO young VALUES (1)",
        "DROP TABLE young");
    expect("CRITICAL precious DROPPED of 1", "DROP DATABASE other");
  }

  private void expect(String expected, String... statements) {
    cases.add(new Case(expected, List.of(statements)));
  }

  private static String text(TransactionDamage damage) {
    return damage.severity()
        + damage.tables().stream()
            .map(table ->
                " "
                    + name(table)
                    + " "
                    + table.action()
                    + (table.rowsInserted() == 0 ? "" : " +" + table.rowsInserted())
                    + (table.rowsUpdated() == 0 ? "" : " ~" + table.rowsUpdated())
                    + (table.rowsDeleted() == 0 ? "" : " -" + table.rowsDeleted())
                    + " of "
                    + table.rowsBefore())
            .sorted()
            .collect(Collectors.joining(";"))
        + (damage.prepared() ? " prepared" : "");
  }

  private static String name(TableDamage damage) {
    if (damage.table().schema().equals(TableDamage.UNKNOWN_SCHEMA)) {
      return "FILE";
    }
    String name = damage.table().table();
    return name.contains(" ") ? '"' + name + '"' : name;
  }
}
