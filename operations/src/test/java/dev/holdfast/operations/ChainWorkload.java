package dev.holdfast.operations;

import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * What applications, migrations and operators do to files: rows written, tables made, rewritten,
 * cut, moved and dropped, databases copied. What cannot be done at the moment is left.
 */
final class ChainWorkload implements AutoCloseable {
  private final TestServer server;
  private final Random random;
  private final boolean strategies;
  private final Connection session;
  private final List<String> tables = new ArrayList<>();
  private final List<String> databases = new ArrayList<>();
  private final List<String> failures = new ArrayList<>();
  private int names;

  ChainWorkload(TestServer server, long seed, String tablespace) throws SQLException {
    this.server = server;
    this.random = new Random(seed);
    this.strategies = server.server().binaries().major() >= 15;
    server.execute("CREATE TABLESPACE elsewhere LOCATION '" + tablespace + "'");
    this.session = server.connect("postgres");
    execute("SET lock_timeout = '2s'");
    for (int i = 0; i < 4; i++) {
      create("");
    }
    execute(
        "CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 500) a",
        "CREATE SEQUENCE numbers",
        "CREATE TABLE still AS SELECT g AS a, repeat('s', 200) AS b FROM generate_series(1, 20000) g");
  }

  List<String> failures() {
    return failures;
  }

  /** Some of each, so that every round does all kinds of things. */
  void run(int operations) {
    for (int i = 0; i < operations; i++) {
      try {
        one(random.nextInt(26));
      } catch (SQLException | IllegalStateException e) {
        failures.add(String.valueOf(e.getMessage()));
        try {
          execute("ROLLBACK");
        } catch (SQLException again) {
          throw new IllegalStateException(again);
        }
      }
    }
  }

  /** Writes in the background until the answer is closed. */
  AutoCloseable running() {
    var stop = new AtomicBoolean();
    CompletableFuture<Void> done =
        CompletableFuture.runAsync(
            () -> {
              while (!stop.get()) {
                run(1);
              }
            },
            Thread::startVirtualThread);
    return () -> {
      stop.set(true);
      done.orTimeout(60, TimeUnit.SECONDS).join();
    };
  }

  private void one(int what) throws SQLException {
    String table = tables.get(random.nextInt(tables.size()));
    int from = random.nextInt(4000);
    int to = from + random.nextInt(300);
    String some = " WHERE id BETWEEN " + from + " AND " + to;
    switch (what) {
      case 0, 1, 2 -> execute("UPDATE " + table + " SET k = k + 1" + some);
      case 3, 4 -> execute("DELETE FROM " + table + some);
      case 5, 6 -> insert(table, from, to);
      case 7, 8 -> execute("VACUUM " + table);
      case 9 -> execute("VACUUM (FREEZE) " + table);
      case 10 -> execute("VACUUM FULL " + table);
      case 11 ->
          execute(
              "DELETE FROM " + table + " WHERE id > " + from, // the end is cut off
              "VACUUM " + table);
      case 12 -> execute("TRUNCATE " + table);
      case 13 -> execute("CREATE INDEX ON " + table + " (k)");
      case 14 -> execute("CREATE INDEX ON " + table + " USING hash (k)");
      case 15 -> execute("REINDEX TABLE " + table);
      case 16 -> create(random.nextBoolean() ? " TABLESPACE elsewhere" : "");
      case 17 -> {
        if (tables.size() > 3) {
          execute("DROP TABLE " + table);
          tables.remove(table);
        }
      }
      case 18 ->
          execute(
              "ALTER TABLE %s SET TABLESPACE %s"
                  .formatted(table, random.nextBoolean() ? "elsewhere" : "pg_default"));
      case 19 -> copyDatabase();
      case 20 -> {
        if (!databases.isEmpty()) {
          String copy = databases.get(random.nextInt(databases.size()));
          server.executeIn(
              copy,
              "CREATE TABLE own%d AS SELECT generate_series(1, 300) a".formatted(names++),
              "CREATE INDEX ON own%d (a)".formatted(names - 1));
        }
      }
      case 21 -> {
        if (databases.size() > 1) {
          execute("DROP DATABASE " + databases.removeFirst());
        }
      }
      case 22 ->
          execute(
              "BEGIN",
              "INSERT INTO %s SELECT g, 0, 'gone' FROM generate_series(10000, 10900) g"
                  .formatted(table),
              "ROLLBACK");
      case 23 -> execute("SELECT nextval('numbers') FROM generate_series(1, 40)");
      case 24 -> execute("INSERT INTO unlogged SELECT generate_series(1, 50)");
      default -> execute("CHECKPOINT");
    }
  }

  private void create(String where) throws SQLException {
    String name = "t" + names++;
    execute("CREATE TABLE " + name + " (id int PRIMARY KEY, k int, body text)" + where);
    tables.add(name);
    insert(name, 1, 3000);
  }

  private void insert(String table, int from, int to) throws SQLException {
    execute(
        "INSERT INTO %s SELECT g, g %% 13, repeat(md5(g::text), CASE WHEN g %% 50 = 0 THEN 200 ELSE 2 END) FROM generate_series(%d, %d) g ON CONFLICT (id) DO UPDATE SET k = -excluded.k"
            .formatted(table, from, to));
  }

  private void copyDatabase() throws SQLException {
    String name = "copy" + names++;
    String strategy =
        strategies ? " STRATEGY " + (random.nextBoolean() ? "file_copy" : "wal_log") : "";
    execute(
        "CREATE DATABASE "
            + name
            + " TEMPLATE template0"
            + strategy
            + (random.nextInt(3) == 0 ? " TABLESPACE elsewhere" : ""));
    databases.add(name);
  }

  private void execute(String... statements) throws SQLException {
    try (Statement sql = session.createStatement()) {
      for (String statement : statements) {
        sql.execute(statement);
      }
    }
  }

  @Override
  public void close() throws SQLException {
    session.close();
  }
}
