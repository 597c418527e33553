package dev.holdfast.guard;

import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** A server on which each test has a database of its own, with and without a guard. */
final class GuardedServer implements AutoCloseable {
  private static final AtomicInteger NUMBERS = new AtomicInteger();
  private static final Duration SESSIONS_END_WITHIN = Duration.ofSeconds(30);
  private static final Duration POLL = Duration.ofMillis(5);

  private final TestServer server;
  private int errorsSeen;

  GuardedServer(int major) {
    this.server =
        TestServer.start(
            major,
            Map.of(
                "max_connections",
                "50",
                "wal_level",
                "logical",
                "max_replication_slots",
                "50",
                "max_prepared_transactions",
                "5"));
  }

  TestServer server() {
    return server;
  }

  /** An empty database with a name of its own. */
  Database database() {
    String name = "shop" + NUMBERS.incrementAndGet();
    server.execute("CREATE DATABASE " + name);
    return new Database(server, name, "postgres");
  }

  /** A database with tables that hold something, guarded as this environment. */
  Database guarded(String environment) throws SQLException {
    Database database = database();
    database.execute(
        "CREATE TABLE users (id int PRIMARY KEY, name text, data jsonb, plain json)",
        """
        INSERT INTO users SELECT i, 'user ' || i,
          jsonb_build_object('phone', i, 'address', 'Main Street', 'country', 'DE', 'postal', 10115),
          json_build_object('a', i, 'b', 2, 'c', 3) FROM generate_series(1, 3000) i\
        """,
        "CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE, total numeric)",
        "INSERT INTO orders SELECT i, 1 + i % 2000, 10 FROM generate_series(1, 4000) i",
        "CREATE INDEX ON orders (user_id)",
        "CREATE TABLE nothing (id int)",
        "CREATE TABLE events (id int, day date) PARTITION BY RANGE (id)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (1000)",
        "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (1000) TO (5000)",
        "INSERT INTO events SELECT i, '2026-11-21' FROM generate_series(0, 3999) i");
    // By another session, when the first one has ended and handed its counters over: or what it
    // inserted would be counted a second time afterwards.
    database.awaitNobodyElse();
    database.execute("ANALYZE");
    try (Connection connection = database.connect()) {
      Guard.Installed installed =
          Guard.install(connection, new Guard.Installation("acme", environment));
      if (!installed.uncovered().isEmpty()) {
        throw new IllegalStateException(installed.toString());
      }
    }
    return database;
  }

  @Override
  public void close() {
    server.close();
  }

  /** One database, reached as one role. */
  record Database(TestServer server, String name, String role) {
    Connection connect() throws SQLException {
      return DriverManager.getConnection(
          "jdbc:postgresql://127.0.0.1:"
              + server.server().port()
              + "/"
              + name
              + "?ApplicationName=api",
          role,
          "");
    }

    Database as(String other) {
      return new Database(server, name, other);
    }

    /** In autocommit mode, one by one. */
    void execute(String... statements) throws SQLException {
      try (Connection connection = connect();
          Statement statement = connection.createStatement()) {
        for (String sql : statements) {
          statement.execute(sql);
        }
      }
    }

    /** In one transaction, one by one; rolled back when one fails. */
    void transaction(String... statements) throws SQLException {
      try (Connection connection = connect();
          Statement statement = connection.createStatement()) {
        connection.setAutoCommit(false);
        for (String sql : statements) {
          statement.execute(sql);
        }
        connection.commit();
      }
    }

    List<String> query(String sql) {
      return server.queryIn(name, sql);
    }

    String value(String sql) {
      return query(sql).getFirst();
    }

    /** What the guard says to a transaction that it refuses. */
    Refusal refusal(String... statements) {
      try {
        transaction(statements);
      } catch (PSQLException e) {
        ServerErrorMessage said = e.getServerErrorMessage();
        if (said != null && Guard.REFUSED_STATE.equals(e.getSQLState())) {
          return new Refusal(
              String.valueOf(said.getMessage()),
              String.valueOf(said.getDetail()),
              String.valueOf(said.getHint()));
        }
        throw new AssertionError(
            "failed, but not by the guard: " + String.join("; ", statements), e);
      } catch (SQLException e) {
        throw new AssertionError(e);
      }
      throw new AssertionError("was not refused: " + String.join("; ", statements));
    }

    /** A checksum of everything in the tables of schema public. */
    List<String> contents() {
      List<String> sums = new ArrayList<>();
      for (String table :
          query(
              "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                  + " WHERE nspname = 'public' AND relkind = 'r' ORDER BY 1")) {
        sums.add(
            table
                + " "
                + value(
                    "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM "
                        + table
                        + " t"));
      }
      return sums;
    }

    /** Follows what the guard writes to the log. */
    Messages messages() {
      query("SELECT pg_create_logical_replication_slot('" + name + "', 'test_decoding')");
      return new Messages(this, name);
    }

    /** A closed connection's session ends a moment later, and nothing tells when. */
    void awaitNobodyElse() {
      long deadline = System.nanoTime() + SESSIONS_END_WITHIN.toNanos();
      while (!value(
              "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                  + " AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
          .equals("0")) {
        if (System.nanoTime() > deadline) {
          throw new IllegalStateException("a session of " + name + " does not end");
        }
        LockSupport.parkNanos(POLL.toNanos());
      }
    }

    void set(String rule, String mode) throws SQLException {
      execute("SELECT holdfast.set_mode('" + rule + "', '" + mode + "')");
    }
  }

  /** What is written to the log from here on, read as PostgreSQL itself reads it. */
  record Messages(Database database, String slot) {
    /** The guard's, of committed transactions. */
    List<String> read() {
      return database.query(
          "SELECT substr(data, position('content:' IN data) + 8) FROM pg_logical_slot_get_changes('"
              + slot
              + "', NULL, NULL) WHERE data LIKE 'message: transactional: 1 prefix: holdfast,%'");
    }
  }

  record Refusal(String message, String detail, String hint) {}

  /** What the guard has told of errors of its own since it was last asked. */
  List<String> guardErrors() {
    List<String> all =
        server
            .server()
            .logTail(1_000_000)
            .lines()
            .filter(l -> l.contains("error of its own"))
            .toList();
    List<String> since = all.subList(Math.min(errorsSeen, all.size()), all.size());
    errorsSeen = all.size();
    return since;
  }
}
