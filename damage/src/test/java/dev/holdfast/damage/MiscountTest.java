package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Statements whose order or company in a transaction makes them easy to count wrong. The catalog is
 * recorded once, before all of them.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class MiscountTest {
  private static final String LONG = "repeat('x', 9000)";

  private record Case(String expected, List<String> statements) {}

  private final List<Case> cases = new ArrayList<>();
  private int tables;

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void what_else_a_transaction_does_changes_no_count(int major) throws Exception {
    describe();
    try (TestServer server =
        TestServer.start(
            major,
            Map.of(
                "autovacuum", "off", "allow_in_place_tablespaces", "on", "wal_keep_size", "1GB"))) {
      prepare(server);
      RecordedNames names = new RecordedNames();
      Lsn start = ServerLog.begin(server);
      names.record(server);
      List<Lsn> ends = new ArrayList<>();
      for (Case one : cases) {
        server.execute(one.statements().toArray(String[]::new));
        ends.add(ServerLog.end(server));
      }
      List<TransactionDamage> found = new ArrayList<>();
      DamageScan scan = new DamageScan(names, found::add);
      ServerLog.read(server, start, scan::accept);

      StringBuilder expected = new StringBuilder();
      StringBuilder reported = new StringBuilder();
      for (int i = 0; i < cases.size(); i++) {
        String statements = String.join("; ", cases.get(i).statements()) + "\n  ";
        expected.append(statements).append(cases.get(i).expected()).append('\n');
        Lsn from = i == 0 ? start : ends.get(i - 1);
        Lsn to = ends.get(i);
        reported
            .append(statements)
            .append(
                found.stream()
                    .filter(one -> !one.commitLsn().isBefore(from) && one.commitLsn().isBefore(to))
                    .map(MiscountTest::text)
                    .collect(Collectors.joining(" | ")))
            .append('\n');
      }
      assertThat(reported.toString()).isEqualTo(expected.toString());
    }
  }

  private void prepare(TestServer server) {
    for (int table = 1; table <= tables; table++) {
      String name = "t" + table;
      server.execute(
          "CREATE TABLE " + name + " (id int PRIMARY KEY, a int, doc text)",
          "ALTER TABLE " + name + " ALTER doc SET STORAGE EXTERNAL",
          "INSERT INTO " + name + " SELECT g, g, " + LONG + " FROM generate_series(1, 10) g");
    }
    server.execute(
        "CREATE UNLOGGED TABLE fleeting (a int)",
        "INSERT INTO fleeting SELECT generate_series(1, 10)",
        "CREATE TABLE lasting (a int)",
        "INSERT INTO lasting SELECT generate_series(1, 10)",
        "CREATE TABLE audit (a int)",
        "CREATE TABLE parted (id int, at int, doc text) PARTITION BY RANGE (at)",
        "ALTER TABLE parted ALTER doc SET STORAGE EXTERNAL",
        "CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE high PARTITION OF parted FOR VALUES FROM (100) TO (200)",
        "CREATE TABLE watched PARTITION OF parted FOR VALUES FROM (200) TO (300)",
        "CREATE TABLE refusing PARTITION OF parted FOR VALUES FROM (300) TO (400)",
        "INSERT INTO parted SELECT g, g, " + LONG + " FROM generate_series(1, 20) g",
        "INSERT INTO parted SELECT g, 150, 'x' FROM generate_series(101, 105) g",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            + " 'BEGIN INSERT INTO audit VALUES (1); RETURN NEW; END'",
        "CREATE TRIGGER note BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note()",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER refuse BEFORE INSERT ON refusing FOR EACH ROW EXECUTE FUNCTION refuse()",
        "CREATE TABLESPACE elsewhere LOCATION ''",
        "CREATE ROLE owner",
        "CREATE TABLE owned (a int)",
        "ALTER TABLE owned OWNER TO owner",
        "INSERT INTO owned VALUES (1)",
        "VACUUM ANALYZE");
  }

  private void describe() {
    // Long values of a table whose storage was replaced since the catalog was recorded.
    String t = table();
    expect(t + " TRUNCATED | " + t + " +1", "TRUNCATE " + t, insert(t, 11));
    t = table();
    expect(t + " -2", "VACUUM FULL " + t, "DELETE FROM " + t + " WHERE id <= 2");
    t = table();
    expect(t + " TRUNCATED", "VACUUM FULL " + t, "TRUNCATE " + t);
    t = table();
    expect(t + " TRUNCATED", "CLUSTER " + t + " USING " + t + "_pkey", "TRUNCATE " + t);
    t = table();
    expect(
        t + " TRUNCATED | " + t + " +1",
        "ALTER TABLE " + t + " ALTER a TYPE bigint",
        "TRUNCATE " + t,
        insert(t, 11));
    t = table();
    expect(
        "",
        "ALTER TABLE " + t + " ALTER a TYPE bigint",
        "ALTER TABLE " + t + " ALTER a TYPE int",
        "VACUUM FULL " + t,
        "CLUSTER " + t + " USING " + t + "_pkey");

    // Rows changed in the transaction that replaced the table's storage.
    t = table();
    expect(
        t + " TRUNCATED +1",
        "BEGIN; " + insert(t, 11) + "; TRUNCATE " + t + "; " + insert(t, 12) + "; COMMIT");
    t = table();
    expect(
        t + " TRUNCATED +2",
        "BEGIN; TRUNCATE "
            + t
            + "; "
            + insert(t, 11)
            + "; SAVEPOINT a; TRUNCATE "
            + t
            + "; "
            + insert(t, 12)
            + "; RELEASE a; "
            + insert(t, 13)
            + "; COMMIT");
    t = table();
    expect(
        t + " +1 ~2 -1",
        "BEGIN; "
            + insert(t, 11)
            + "; ALTER TABLE "
            + t
            + " ALTER a TYPE bigint; UPDATE "
            + t
            + " SET a = 0 WHERE id <= 2; DELETE FROM "
            + t
            + " WHERE id = 3; COMMIT");
    t = table();
    expect(
        t + " ~2",
        "BEGIN; CLUSTER "
            + t
            + " USING "
            + t
            + "_pkey; UPDATE "
            + t
            + " SET a = 0 WHERE id <= 2; COMMIT");

    // Unlogged tables: what is carried over is nobody's insert, what stays behind no loss.
    expect("", "ALTER TABLE fleeting SET LOGGED");
    expect("fleeting +1", "INSERT INTO fleeting VALUES (1)");
    expect("", "ALTER TABLE lasting SET UNLOGGED");
    expect("", "INSERT INTO lasting VALUES (1)", "ALTER TABLE lasting SET LOGGED");

    // Tables locked, altered or indexed in the company of one that is emptied or rewritten.
    String other = table();
    t = table();
    expect(t + " TRUNCATED", "BEGIN; LOCK TABLE " + other + "; TRUNCATE " + t + "; COMMIT");
    other = table();
    t = table();
    expect(
        t + " TRUNCATED", "BEGIN; ALTER TABLE " + other + " ADD b int; TRUNCATE " + t + "; COMMIT");
    expect(t + " +1 | " + other + " +1", insert(t, 11), "INSERT INTO " + other + " VALUES (11)");
    other = table();
    t = table();
    expect(
        "",
        "BEGIN; ALTER TABLE "
            + other
            + " ADD b int; ALTER TABLE "
            + t
            + " ALTER a TYPE bigint; COMMIT");
    other = table();
    t = table();
    expect(
        t + " TRUNCATED",
        "BEGIN; CREATE INDEX i1 ON " + other + " (a); DROP INDEX i1; TRUNCATE " + t + "; COMMIT");
    t = table();
    expect(
        t + " TRUNCATED +1",
        "BEGIN; CREATE INDEX i1 ON "
            + t
            + " (a); DROP INDEX i1; TRUNCATE "
            + t
            + "; "
            + insert(t, 11)
            + "; COMMIT");
    t = table();
    expect(
        "",
        "BEGIN; CREATE INDEX i1 ON "
            + t
            + " (a); DROP INDEX i1; ALTER TABLE "
            + t
            + " ALTER a TYPE bigint; COMMIT");
    other = table();
    t = table();
    expect(
        other + " DROPPED; " + t + " TRUNCATED",
        "BEGIN; TRUNCATE " + t + "; DROP TABLE " + other + "; COMMIT");
    other = table();
    t = table();
    expect(
        other + " DROPPED",
        "BEGIN; DROP TABLE " + other + "; ALTER TABLE " + t + " ALTER a TYPE bigint; COMMIT");

    // The other half of a row's move to another partition is not always the next insert.
    expect("low ~1", "UPDATE parted SET at = 150 WHERE id = 1");
    expect("audit +2; low ~2", "UPDATE parted SET at = 250 WHERE id IN (2, 3)");
    expect(
        "audit +1; low -1",
        "BEGIN; UPDATE parted SET at = 350 WHERE id = 4; INSERT INTO audit VALUES (2); COMMIT");
    expect(
        "high TRUNCATED | low ~2 | high +1",
        "TRUNCATE high",
        "UPDATE parted SET at = 150 WHERE id IN (5, 6)",
        "INSERT INTO parted SELECT 200, 150, " + LONG);
    expect(
        "extra +1 | low ~1",
        "CREATE TABLE extra PARTITION OF parted FOR VALUES FROM (400) TO (500)",
        "INSERT INTO parted VALUES (300, 450, NULL)",
        "UPDATE parted SET at = 451 WHERE id = 7");
    t = table();
    expect(
        "",
        "BEGIN; ALTER TABLE parted DETACH PARTITION high; ALTER TABLE parted ATTACH PARTITION high"
            + " FOR VALUES FROM (100) TO (200); ALTER TABLE "
            + t
            + " ALTER a TYPE bigint; COMMIT");

    // Other ways to move and to drop.
    t = table();
    expect(
        t + " +1",
        "BEGIN; " + insert(t, 11) + "; ALTER TABLE " + t + " SET TABLESPACE elsewhere; COMMIT");
    expect(t + " TRUNCATED", "TRUNCATE " + t);
    expect("owned DROPPED", "DROP OWNED BY owner");
    t = table();
    expect(
        "young +1 | young DROPPED",
        "CREATE TABLE young (a int)",
        "INSERT INTO young VALUES (1)",
        "BEGIN; DROP TABLE young; ALTER TABLE " + t + " ALTER a TYPE bigint; COMMIT");

    // What happens to a table in the transaction that makes it happens to nobody.
    expect(
        "made +3",
        "BEGIN; CREATE TABLE made (a int, b int); INSERT INTO made SELECT g FROM generate_series(1,"
            + " 5) g; DELETE FROM made WHERE a < 3; UPDATE made SET b = 1; ALTER TABLE made DROP b;"
            + " COMMIT");
    expect(
        "again +1",
        "BEGIN; CREATE TABLE again (a int); INSERT INTO again SELECT g FROM generate_series(1, 5)"
            + " g; DELETE FROM again WHERE a < 3; TRUNCATE again; INSERT INTO again VALUES (1), (2);"
            + " ALTER TABLE again ALTER a TYPE bigint; DELETE FROM again WHERE a = 1; COMMIT");
    expect(
        "",
        "BEGIN; CREATE TABLE gone (a int); INSERT INTO gone VALUES (1); DROP TABLE gone; COMMIT");
    expect("", "CREATE TEMP TABLE brief (a int, b int); ALTER TABLE brief DROP b; TRUNCATE brief");

    // Columns.
    t = table();
    expect(t + " without doc", "ALTER TABLE " + t + " DROP doc");
    t = table();
    expect(
        t + " ~1 without a, doc",
        "BEGIN; UPDATE "
            + t
            + " SET a = 0 WHERE id = 1; ALTER TABLE "
            + t
            + " DROP a, DROP doc; COMMIT");
    t = table();
    expect(
        t + " without a",
        "BEGIN; ALTER TABLE "
            + t
            + " DROP a; SAVEPOINT s; ALTER TABLE "
            + t
            + " DROP doc; ROLLBACK TO s; ALTER TABLE "
            + t
            + " ALTER id TYPE bigint; COMMIT");
    t = table();
    expect(t + " DROPPED", "BEGIN; ALTER TABLE " + t + " DROP a; DROP TABLE " + t + "; COMMIT");
    expect(
        "extra without doc; high without doc; low without doc; parted without doc; refusing without"
            + " doc; watched without doc",
        "ALTER TABLE parted DROP doc");
  }

  private String table() {
    return "t" + ++tables;
  }

  private static String insert(String table, int id) {
    return "INSERT INTO " + table + " VALUES (" + id + ", 0, " + LONG + ")";
  }

  private void expect(String expected, String... statements) {
    cases.add(new Case(expected, List.of(statements)));
  }

  private static String text(TransactionDamage damage) {
    return damage.tables().stream()
        .map(table ->
            (table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA)
                    ? "FILE"
                    : table.table().table())
                + (table.action() == TableDamage.Action.CHANGED ? "" : " " + table.action())
                + (table.rowsInserted() == 0 ? "" : " +" + table.rowsInserted())
                + (table.rowsUpdated() == 0 ? "" : " ~" + table.rowsUpdated())
                + (table.rowsDeleted() == 0 ? "" : " -" + table.rowsDeleted())
                + (table.columnsDropped().isEmpty()
                    ? ""
                    : " without " + String.join(", ", table.columnsDropped())))
        .sorted()
        .collect(Collectors.joining("; "));
  }
}
