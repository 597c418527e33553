package dev.holdfast.wal;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;

/**
 * Makes a server write, once, what an ordinary application seldom causes: every other kind of
 * record a running server can be brought to write.
 */
final class RareWorkload {
  private final TestServer server;
  private final int major;
  private final boolean logical;

  RareWorkload(TestServer server) {
    this.server = server;
    this.major = server.server().binaries().major();
    this.logical = server.value("SHOW wal_level").equals("logical");
  }

  void write() throws SQLException, IOException {
    parameters();
    try (Connection connection = server.connect();
        Connection other = server.connect();
        Statement sql = connection.createStatement();
        Statement otherSql = other.createStatement()) {
      prepare(sql);
      rowLocks(connection, sql, other, otherSql);
      lostRace(sql, otherSql);
      origins(connection, sql);
      transactions(connection, sql);
      tablespaces(sql);
      files(connection, sql);
      objects(sql);
      backups(sql);
      concurrently(sql);
      catalogs(sql);
    }
  }

  /** Settings a standby must match, and those that change what is logged. */
  private void parameters() {
    server.execute(
        "ALTER SYSTEM SET max_connections = 120",
        "ALTER SYSTEM SET max_locks_per_transaction = 80",
        "ALTER SYSTEM SET wal_log_hints = on",
        "ALTER SYSTEM SET track_commit_timestamp = on");
    server.restart(PostgresServer.Stop.FAST);
    server.execute("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()");
    server.execute("CHECKPOINT");
    server.execute("ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()");
    server.execute("CHECKPOINT");
  }

  private static void prepare(Statement sql) throws SQLException {
    sql.execute("CREATE TABLE held (id int PRIMARY KEY, n int)");
    sql.execute("INSERT INTO held SELECT g, 0 FROM generate_series(1, 200) g");
    sql.execute("CREATE SEQUENCE checked");
    sql.execute("SELECT setval('checked', 4711, false)");
    sql.execute("CREATE SEQUENCE steps INCREMENT -7 MAXVALUE 1000 START 900");
    sql.execute("SELECT nextval('steps') FROM generate_series(1, 5)");
  }

  /** Rows held by several at once, and a row held whose newer version is held with it. */
  private static void rowLocks(
      Connection connection, Statement sql, Connection other, Statement otherSql)
      throws SQLException {
    connection.setAutoCommit(false);
    other.setAutoCommit(false);
    sql.execute("SELECT * FROM held WHERE id <= 60 FOR SHARE");
    otherSql.execute("SELECT * FROM held WHERE id <= 40 FOR SHARE");
    otherSql.execute("SELECT * FROM held WHERE id BETWEEN 41 AND 60 FOR KEY SHARE");
    connection.commit();
    sql.execute("UPDATE held SET n = n + 1 WHERE id BETWEEN 41 AND 60");
    sql.execute("SELECT * FROM held WHERE id = 60 FOR NO KEY UPDATE");
    other.commit();
    connection.commit();
    sql.execute("UPDATE held SET n = n + 1 WHERE id > 150");
    otherSql.execute("SELECT * FROM held WHERE id > 150 FOR KEY SHARE");
    connection.commit();
    other.commit();
    connection.setAutoCommit(true);
    other.setAutoCommit(true);
  }

  /**
   * INSERT … ON CONFLICT that finds no conflict, puts its row into the table, and then loses to one
   * that was faster: an index function waits the second time it is asked.
   */
  private void lostRace(Statement sql, Statement otherSql) throws SQLException {
    sql.execute("CREATE TABLE raced (k text, v text)");
    sql.execute(
        "CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN"
            + " IF current_setting('race.calls', true) <> '' THEN"
            + " PERFORM set_config('race.calls', (current_setting('race.calls')::int + 1)::text,"
            + " false); IF current_setting('race.calls') = '2' THEN"
            + " PERFORM pg_advisory_lock(7); END IF; END IF; RETURN $1; END $$");
    sql.execute("CREATE UNIQUE INDEX ON raced (slow(k))");
    otherSql.execute("SELECT pg_advisory_lock(7)");
    sql.execute("SET race.calls = '0'");
    CompletableFuture<Void> loser =
        CompletableFuture.runAsync(() -> {
          try {
            sql.execute("INSERT INTO raced VALUES ('same', 'late') ON CONFLICT DO NOTHING");
          } catch (SQLException e) {
            throw new IllegalStateException(e);
          }
        });
    while (server.value("SELECT count(*) FROM pg_locks WHERE NOT granted").equals("0")) {
      Thread.onSpinWait();
    }
    otherSql.execute("INSERT INTO raced VALUES ('same', 'early')");
    otherSql.execute("SELECT pg_advisory_unlock(7)");
    loser.join();
    sql.execute("SELECT pg_advisory_unlock_all()");
    sql.execute("RESET race.calls");
  }

  /** Transactions that say that they came from elsewhere. */
  private static void origins(Connection connection, Statement sql) throws SQLException {
    sql.execute("SELECT pg_replication_origin_create('elsewhere')");
    sql.execute("SELECT pg_replication_origin_create('forgotten')");
    sql.execute("SELECT pg_replication_origin_advance('forgotten', '0/ABCDEF')");
    sql.execute("SELECT pg_replication_origin_session_setup('elsewhere')");
    String[] ends = {"COMMIT", "PREPARE TRANSACTION 'from elsewhere'"};
    for (String end : ends) {
      connection.setAutoCommit(false);
      sql.execute(
          "SELECT pg_replication_origin_xact_setup('1/23456789', '2024-02-29 12:34:56.789')");
      sql.execute("INSERT INTO raced VALUES ('" + end.charAt(0) + "', 'from elsewhere')");
      sql.execute(end);
      connection.setAutoCommit(true);
    }
    connection.setAutoCommit(false);
    sql.execute("SELECT pg_replication_origin_xact_setup('1/2345678A', '2024-02-29 12:35:00')");
    connection.setAutoCommit(true);
    sql.execute("COMMIT PREPARED 'from elsewhere'");
    sql.execute("SELECT pg_replication_origin_session_reset()");
    sql.execute("SELECT pg_replication_origin_drop('forgotten')");
  }

  /** Every part a commit, an abort, and a prepared transaction can have. */
  private static void transactions(Connection connection, Statement sql) throws SQLException {
    for (String end : new String[] {"COMMIT", "ROLLBACK"}) {
      sql.execute("CREATE TABLE going (a int PRIMARY KEY)");
      connection.setAutoCommit(false);
      sql.execute("DROP TABLE going");
      sql.execute("CREATE TABLE coming_" + end + " (a int PRIMARY KEY, b text)");
      for (int i = 0; i < 3; i++) {
        Savepoint savepoint = connection.setSavepoint();
        sql.execute("INSERT INTO coming_" + end + " VALUES (" + i + ")");
        connection.releaseSavepoint(savepoint);
      }
      sql.execute("ALTER ROLE postgres SET work_mem = '5MB'");
      sql.execute("PREPARE TRANSACTION 'all parts: " + end + "'");
      connection.setAutoCommit(true);
      sql.execute(end + " PREPARED 'all parts: " + end + "'");
      sql.execute("DROP TABLE IF EXISTS going");
    }
    connection.setAutoCommit(false);
    sql.execute("CREATE TABLE never (a int PRIMARY KEY, b text)");
    Savepoint savepoint = connection.setSavepoint();
    sql.execute("INSERT INTO never VALUES (1)");
    connection.releaseSavepoint(savepoint);
    connection.rollback();
    connection.setAutoCommit(true);
    sql.execute("SET synchronous_commit = remote_apply");
    sql.execute("UPDATE held SET n = 5 WHERE id = 1");
    sql.execute("RESET synchronous_commit");
  }

  private void tablespaces(Statement sql) throws SQLException {
    sql.execute("SET allow_in_place_tablespaces = on");
    sql.execute("CREATE TABLESPACE aside LOCATION ''");
    sql.execute("CREATE TABLE away (a int PRIMARY KEY) TABLESPACE aside");
    sql.execute("INSERT INTO away SELECT generate_series(1, 100)");
    sql.execute("ALTER TABLE held SET TABLESPACE aside");
    sql.execute("ALTER TABLE held SET TABLESPACE pg_default");
    sql.execute("DROP TABLE away");
    sql.execute(
        "CREATE DATABASE far TABLESPACE aside" + (major >= 15 ? " STRATEGY file_copy" : ""));
    sql.execute("ALTER DATABASE far SET TABLESPACE pg_default");
    sql.execute("DROP DATABASE far");
    sql.execute("CHECKPOINT"); // or files that are to be removed are still there
    sql.execute("DROP TABLESPACE aside");
  }

  private static void files(Connection connection, Statement sql) throws SQLException, IOException {
    sql.execute("CREATE TABLE tail (a int, b text)");
    sql.execute("INSERT INTO tail SELECT g, repeat('x', 300) FROM generate_series(1, 2000) g");
    sql.execute("DELETE FROM tail WHERE a > 100");
    sql.execute("VACUUM tail"); // cuts the file
    sql.execute("CREATE UNLOGGED TABLE unsafe (a int PRIMARY KEY)");
    sql.execute("INSERT INTO unsafe SELECT generate_series(1, 100)");
    sql.execute("ALTER TABLE unsafe SET LOGGED");
    sql.execute("ALTER TABLE unsafe SET UNLOGGED");
    connection.setAutoCommit(false);
    sql.execute("CREATE TABLE frozen (a int, b text)");
    sql.execute("TRUNCATE frozen");
    StringBuilder rows = new StringBuilder();
    for (int row = 0; row < 1000; row++) {
      rows.append(row).append("\tfrozen\n");
    }
    connection
        .unwrap(PGConnection.class)
        .getCopyAPI()
        .copyIn("COPY frozen FROM STDIN (FREEZE)", new StringReader(rows.toString()));
    connection.commit();
    connection.setAutoCommit(true);
    sql.execute("UPDATE frozen SET b = b WHERE a % 3 = 0");
    sql.execute("VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) frozen");
    sql.execute("VACUUM (FREEZE) held");
  }

  private static void objects(Statement sql) throws SQLException {
    sql.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')");
    sql.execute("ALTER TYPE mood ADD VALUE 'happy' AFTER 'ok'");
    sql.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)");
    sql.execute("CREATE TYPE pair AS (a positive, b mood)");
    sql.execute("CREATE TABLE moods (m mood, p pair, EXCLUDE USING hash (m WITH =))");
    sql.execute("INSERT INTO moods VALUES ('sad', (1, 'ok')), ('happy', (2, 'sad'))");
    sql.execute("CREATE VIEW happy AS SELECT * FROM moods WHERE m = 'happy'");
    sql.execute("CREATE TABLE listed (a int, b text) PARTITION BY LIST (b)");
    sql.execute("CREATE TABLE listed_x PARTITION OF listed FOR VALUES IN ('x')");
    sql.execute("CREATE TABLE listed_rest PARTITION OF listed DEFAULT");
    sql.execute("INSERT INTO listed SELECT g, chr(119 + g % 3) FROM generate_series(1, 300) g");
    sql.execute("UPDATE listed SET b = 'x' WHERE a % 7 = 0");
    sql.execute("ALTER TABLE listed DETACH PARTITION listed_x");
    sql.execute("SELECT lo_from_bytea(4242, decode(repeat('ab', 10000), 'hex'))");
    sql.execute("SELECT lo_put(4242, 5000, 'overwritten')");
    sql.execute("SELECT lo_unlink(4242)");
    sql.execute("CREATE PUBLICATION some_of_us FOR TABLE held");
    sql.execute("ALTER PUBLICATION some_of_us RENAME TO others");
    sql.execute("DROP PUBLICATION others");
    sql.execute("CREATE ROLE somebody");
    sql.execute("GRANT SELECT ON held TO somebody");
    sql.execute("DROP OWNED BY somebody");
    sql.execute("DROP ROLE somebody");
    sql.execute(
        "DO $$ BEGIN CREATE EXTENSION bloom; CREATE INDEX ON held USING bloom (n);"
            + " EXCEPTION WHEN feature_not_supported OR undefined_file THEN NULL; END $$");
    sql.execute("INSERT INTO held SELECT g, g FROM generate_series(300, 600) g");
  }

  private void backups(Statement sql) throws SQLException {
    sql.execute("SELECT pg_create_restore_point('before the change')");
    sql.execute(
        major >= 15
            ? "SELECT pg_backup_start('b', true)"
            : "SELECT pg_start_backup('b', true, false)");
    sql.execute("UPDATE held SET n = 6 WHERE id = 2");
    sql.execute(
        major >= 15 ? "SELECT pg_backup_stop(false)" : "SELECT pg_stop_backup(false, false)");
    sql.execute("SELECT pg_switch_wal()");
  }

  private static void concurrently(Statement sql) throws SQLException {
    sql.execute("CREATE INDEX CONCURRENTLY held_n ON held (n)");
    sql.execute("REINDEX INDEX CONCURRENTLY held_n");
    sql.execute("REINDEX TABLE CONCURRENTLY held");
    sql.execute("CLUSTER held USING held_pkey");
    sql.execute("DROP INDEX CONCURRENTLY held_n");
  }

  /** Catalogs that pg_class cannot tell the file of; with a slot, decoders must find old rows. */
  private void catalogs(Statement sql) throws SQLException {
    if (logical) {
      sql.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')");
      sql.execute("CREATE TABLE seen_by_reader (a int)");
      sql.execute("ALTER TABLE seen_by_reader ADD COLUMN b int");
      sql.execute("TRUNCATE held, raced CASCADE");
    }
    sql.execute("VACUUM FULL pg_class");
    sql.execute("VACUUM FULL pg_database");
    sql.execute("REINDEX INDEX pg_class_oid_index");
    if (logical) {
      sql.execute("SELECT pg_drop_replication_slot('reader')");
    }
  }
}
