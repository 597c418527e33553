package dev.holdfast.operations;

import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.List;
import java.util.Map;

/** WAL of many kinds, written by a real server. */
final class WrittenWal {
  static final Map<String, String> SETTINGS =
      Map.of(
          "max_prepared_transactions", "10",
          "wal_keep_size", "1GB",
          "wal_compression", "on",
          "autovacuum", "off");

  /** Small segments: many files, and records that cross from one to the next. */
  static final List<String> SMALL_SEGMENTS = List.of("--wal-segsize=1");

  private WrittenWal() {}

  static Path folder(TestServer server) {
    return server.server().data().resolve("pg_wal");
  }

  static void write(TestServer server) throws SQLException {
    server.execute(
        "CREATE TABLE account (id serial PRIMARY KEY, owner text, document jsonb, tags text[],"
            + " spot point, span int4range)",
        "CREATE INDEX ON account USING hash (owner)",
        "CREATE INDEX ON account USING gin (document)",
        "CREATE INDEX ON account USING gin (tags)",
        "CREATE INDEX ON account USING gist (span)",
        "CREATE INDEX ON account USING spgist (spot)",
        "CREATE INDEX ON account USING brin (id)",
        "INSERT INTO account (owner, document, tags, spot, span) SELECT 'owner' || g % 50,"
            + " jsonb_build_object('n', g, 'text', repeat(md5(g::text), g % 40)),"
            + " ARRAY['t' || g % 7], point(g % 100, g / 100), int4range(g, g + 10)"
            + " FROM generate_series(1, 1500) g",
        "INSERT INTO account (owner, document) SELECT 'large', (SELECT jsonb_object_agg('k' || i,"
            + " md5(random()::text)) FROM generate_series(1, 1200 + g) i)"
            + " FROM generate_series(1, 8) g",
        "CHECKPOINT",
        "UPDATE account SET document = document || '{\"seen\": true}' WHERE id % 3 = 0",
        "UPDATE account SET owner = owner WHERE id % 50 = 0",
        "SELECT * FROM account WHERE id % 20 = 0 FOR UPDATE",
        "DELETE FROM account WHERE id % 4 = 0",
        "VACUUM account",
        "CREATE TABLE keyed (k int PRIMARY KEY, n int)",
        "INSERT INTO keyed SELECT g, 0 FROM generate_series(1, 300) g ON CONFLICT (k) DO NOTHING",
        "CLUSTER keyed USING keyed_pkey",
        "TRUNCATE keyed",
        "CREATE UNLOGGED TABLE scratch AS SELECT generate_series(1, 100) AS n",
        "CREATE MATERIALIZED VIEW owners AS SELECT owner, count(*) FROM account GROUP BY 1",
        "REFRESH MATERIALIZED VIEW owners",
        "SELECT nextval('account_id_seq') FROM generate_series(1, 100)",
        "SELECT pg_logical_emit_message(false, 'other', repeat('x', 20000))",
        "CREATE DATABASE other",
        "DROP DATABASE other",
        "VACUUM FULL account",
        "VACUUM FREEZE account",
        "DROP TABLE keyed");
    try (Connection connection = server.connect();
        Statement sql = connection.createStatement()) {
      connection.setAutoCommit(false);
      for (int i = 0; i < 80; i++) { // more than 64: the server logs the assignment
        Savepoint savepoint = connection.setSavepoint();
        sql.execute("UPDATE account SET owner = 'savepoint' WHERE id = " + (4 * i + 1));
        if (i % 5 == 0) {
          connection.rollback(savepoint);
        }
      }
      connection.commit();
      for (String end : List.of("COMMIT", "ROLLBACK")) {
        connection.setAutoCommit(false);
        sql.execute("DELETE FROM account WHERE id = 9");
        sql.execute("PREPARE TRANSACTION '" + end + "'");
        connection.setAutoCommit(true);
        sql.execute(end + " PREPARED '" + end + "'");
      }
    }
    server.execute("SELECT pg_switch_wal()", "CREATE TABLE last (n int)", "CHECKPOINT");
  }
}
