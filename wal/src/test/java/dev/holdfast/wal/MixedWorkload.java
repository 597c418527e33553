package dev.holdfast.wal;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import org.postgresql.PGConnection;

/**
 * Makes a server write every kind of record an ordinary application and its migrations cause, and
 * the rare ones of {@link RareWorkload} before.
 */
final class MixedWorkload {
  /** What the workload needs a server to be started with. */
  static final Map<String, String> SETTINGS =
      Map.of(
          "max_prepared_transactions", "10",
          "wal_keep_size", "8GB",
          "max_wal_size", "1GB",
          "autovacuum_naptime", "1s",
          "wal_compression", "on",
          "synchronous_commit", "off");

  private final TestServer server;
  private final int major;
  private int rounds;

  MixedWorkload(TestServer server) {
    this.server = server;
    this.major = server.server().binaries().major();
  }

  /** Goes on until at least this much more WAL was written. */
  void write(int megabytes) throws SQLException, IOException {
    if (rounds == 0) {
      new RareWorkload(server).write();
    }
    Lsn start = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
    if (rounds == 0) {
      prepare();
    }
    while (true) {
      int round = rounds++;
      round(round);
      Lsn now = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      if (now.minus(start) >= megabytes * 1024L * 1024L) {
        return;
      }
      pgbench();
    }
  }

  private void prepare() {
    server.execute(
        "CREATE TABLE account (id serial PRIMARY KEY, owner text, document jsonb, tags text[],"
            + " spot point, span int4range, at timestamptz DEFAULT now())",
        "CREATE INDEX account_hash ON account USING hash (owner)",
        "CREATE INDEX account_gin ON account USING gin (document)",
        "CREATE INDEX account_tags ON account USING gin (tags)",
        "CREATE INDEX account_gist ON account USING gist (span)",
        "CREATE INDEX account_spgist ON account USING spgist (spot)",
        "CREATE INDEX account_brin ON account USING brin (at)",
        "CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY, at int, what text)"
            + " PARTITION BY RANGE (at)",
        "CREATE TABLE event_low PARTITION OF event FOR VALUES FROM (0) TO (1000)",
        "CREATE TABLE event_high PARTITION OF event FOR VALUES FROM (1000) TO (1000000)",
        "CREATE MATERIALIZED VIEW owners AS SELECT owner, count(*) AS n FROM account GROUP BY 1",
        "CREATE UNIQUE INDEX ON owners (owner)",
        "CREATE UNLOGGED TABLE scratch (a int)",
        "CREATE SEQUENCE ticket");
  }

  private void round(int round) throws SQLException, IOException {
    try (Connection connection = server.connect();
        Statement sql = connection.createStatement()) {
      sql.execute(
          "INSERT INTO account (owner, document, tags, spot, span) SELECT 'owner' || g % 50,"
              + " jsonb_build_object('n', g, 'text', repeat(md5(g::text), g % 40)),"
              + " ARRAY['t' || g % 7, 't' || g % 11], point(g % 100, g / 100),"
              + " int4range(g, g + 10) FROM generate_series(1, 1500) g");
      sql.execute( // too large for a page: TOAST
          "INSERT INTO account (owner, document) SELECT 'large', (SELECT jsonb_object_agg('k' || i,"
              + " md5(random()::text)) FROM generate_series(1, 1200 + g) i)"
              + " FROM generate_series(1, 8) g");
      sql.execute(
          "UPDATE account SET document = document || '{\"seen\": true}' WHERE id % 3 = "
              + round % 3);
      sql.execute("UPDATE account SET owner = owner || 'x' WHERE id % 50 = 0");
      sql.execute("SELECT * FROM account WHERE id % 20 = 0 FOR UPDATE");
      sql.execute("DELETE FROM account WHERE id % 4 = " + round % 4);
      sql.execute(
          "INSERT INTO event (at, what) SELECT g, 'something' FROM generate_series(1, 1500) g");
      sql.execute("UPDATE event SET at = at + 600 WHERE at BETWEEN 500 AND 700");
      sql.execute("INSERT INTO scratch SELECT generate_series(1, 100)");
      sql.execute("SELECT nextval('ticket') FROM generate_series(1, 200)");
      sql.execute("SELECT pg_logical_emit_message(true, 'holdfast', '{\"user\": \"ann\"}')");
      sql.execute("SELECT pg_logical_emit_message(false, 'other', repeat('x', 20000))");
      copy(connection, sql);
      savepoints(connection, sql);
      twoPhase(connection, sql, round);
      conflicts(sql);
      definitions(sql, round);
      if (round % 4 == 0) {
        databases(sql, round);
      }
      sql.execute("CHECKPOINT");
    }
  }

  private static void copy(Connection connection, Statement sql) throws SQLException, IOException {
    sql.execute("CREATE TABLE IF NOT EXISTS loaded (a int, b text)");
    StringBuilder rows = new StringBuilder();
    for (int row = 0; row < 4000; row++) {
      rows.append(row).append("\tline ").append(row * 31).append('\n');
    }
    connection
        .unwrap(PGConnection.class)
        .getCopyAPI()
        .copyIn("COPY loaded FROM STDIN", new StringReader(rows.toString()));
  }

  private static void savepoints(Connection connection, Statement sql) throws SQLException {
    connection.setAutoCommit(false);
    for (int i = 0; i < 80; i++) { // more than 64: the server logs the assignment
      Savepoint savepoint = connection.setSavepoint();
      sql.execute("INSERT INTO loaded VALUES (" + i + ", 'in a savepoint')");
      if (i % 5 == 0) {
        connection.rollback(savepoint);
      }
    }
    connection.commit();
    sql.execute("DELETE FROM loaded WHERE a < 20");
    connection.rollback();
    connection.setAutoCommit(true);
  }

  private static void twoPhase(Connection connection, Statement sql, int round)
      throws SQLException {
    for (String end : List.of("COMMIT", "ROLLBACK")) {
      connection.setAutoCommit(false);
      sql.execute("CREATE TABLE prepared_" + end + "_" + round + " (a int)");
      Savepoint savepoint = connection.setSavepoint();
      sql.execute("UPDATE loaded SET b = 'prepared' WHERE a = 7");
      connection.releaseSavepoint(savepoint);
      sql.execute("PREPARE TRANSACTION 'round " + round + " " + end + "'");
      connection.setAutoCommit(true);
      sql.execute(end + " PREPARED 'round " + round + " " + end + "'");
    }
  }

  private static void conflicts(Statement sql) throws SQLException {
    sql.execute("CREATE TABLE IF NOT EXISTS keyed (k int PRIMARY KEY, n int)");
    sql.execute(
        "INSERT INTO keyed SELECT g, 0 FROM generate_series(1, 300) g"
            + " ON CONFLICT (k) DO UPDATE SET n = keyed.n + 1");
  }

  private static void definitions(Statement sql, int round) throws SQLException {
    sql.execute("CREATE TABLE made_" + round + " AS SELECT * FROM account LIMIT 500");
    sql.execute("ALTER TABLE made_" + round + " ADD COLUMN extra int DEFAULT 5");
    sql.execute("ALTER TABLE made_" + round + " ALTER COLUMN extra TYPE bigint");
    sql.execute("CREATE INDEX ON made_" + round + " (owner)");
    sql.execute("CLUSTER made_" + round + " USING made_" + round + "_owner_idx");
    sql.execute("TRUNCATE made_" + round);
    sql.execute("INSERT INTO made_" + round + " SELECT * FROM account WHERE false");
    sql.execute("DROP TABLE made_" + round);
    sql.execute("REFRESH MATERIALIZED VIEW owners");
    sql.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY owners");
    sql.execute("VACUUM account");
    sql.execute("VACUUM FULL loaded");
    sql.execute("VACUUM FREEZE event_low");
    sql.execute("REINDEX TABLE account");
    sql.execute("ANALYZE");
    sql.execute("TRUNCATE event RESTART IDENTITY");
    sql.execute("CREATE TEMPORARY TABLE t (a int)");
    sql.execute("INSERT INTO t SELECT generate_series(1, 100)");
    sql.execute("DROP TABLE t");
  }

  private void databases(Statement sql, int round) throws SQLException {
    sql.execute("CREATE DATABASE other_" + round);
    if (major >= 15) {
      sql.execute("CREATE DATABASE copied_" + round + " STRATEGY file_copy");
      sql.execute("DROP DATABASE copied_" + round);
    }
    sql.execute("DROP DATABASE other_" + round);
  }

  private void pgbench() {
    String pgbench =
        PostgresBinaries.installed(15)
            .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"))
            .program("pgbench")
            .toString();
    if (server.value("SELECT to_regclass('pgbench_accounts') IS NULL").equals("t")) {
      run(List.of(pgbench, "-i", "-q", "-s", "2", server.url("postgres")));
    }
    run(List.of(pgbench, "-n", "-c", "2", "-t", "1000", server.url("postgres")));
  }

  private static void run(List<String> command) {
    ProcessResult result = Processes.run(command);
    if (result.exitCode() != 0) {
      throw new AssertionError(result.output());
    }
  }
}
