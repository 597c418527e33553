package dev.holdfast.scenarios;

import dev.holdfast.guard.Guard;
import dev.holdfast.guard.Permits;
import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;

/**
 * A database of an application of its own, whose owner is no superuser, with the guard inside or
 * without. All that this module knows of installing and setting the guard is here.
 */
final class GuardedDatabase {
  private static final String OWNER = "shop";

  /** What kind of database it is said to be. */
  enum Guarded {
    /** No guard is installed. */
    NOT,
    /** As the guard is on the first day: mass changes and lost JSON keys are observed. */
    PRODUCTION_AS_INSTALLED,
    /** After the days of observing: every rule is enforced. */
    PRODUCTION,
    DEVELOPMENT
  }

  private final TestServer server;
  private final String name;

  private GuardedDatabase(TestServer server, String name) {
    this.server = server;
    this.name = name;
  }

  /** Makes an empty database. */
  static GuardedDatabase create(TestServer server, String name, Guarded guarded) {
    if (server.query("SELECT FROM pg_roles WHERE rolname = '" + OWNER + "'").isEmpty()) {
      server.execute("CREATE ROLE " + OWNER + " LOGIN");
    }
    server.execute("CREATE DATABASE " + name + " OWNER " + OWNER);
    // Up to PostgreSQL 14 the bootstrap superuser owns it, and no application could drop it.
    server.executeIn(name, "ALTER SCHEMA public OWNER TO " + OWNER);
    GuardedDatabase database = new GuardedDatabase(server, name);
    database.guard(guarded);
    return database;
  }

  /** One that is there already, however it came about. */
  static GuardedDatabase existing(TestServer server, String name) {
    return new GuardedDatabase(server, name);
  }

  private void guard(Guarded guarded) {
    switch (guarded) {
      case NOT -> {}
      case DEVELOPMENT -> install("development");
      case PRODUCTION_AS_INSTALLED -> install("production");
      case PRODUCTION -> {
        install("production");
        server.executeIn(
            name,
            "SELECT holdfast.set_mode('mass-delete', 'enforce')",
            "SELECT holdfast.set_mode('mass-update', 'enforce')",
            "SELECT holdfast.set_mode('json-keys-lost', 'enforce')");
      }
    }
  }

  private void install(String environment) {
    try (Connection connection = server.connect(name)) {
      Guard.install(connection, new Guard.Installation("shop", environment));
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * The code of a permit that lifts these rules.
   *
   * @param forRun for all transactions of the first session that shows it, not for one transaction
   */
  String permit(boolean forRun, String... rules) {
    return ask(connection ->
        Permits.issue(
                connection,
                new Permits.Request(
                    List.of(rules),
                    null,
                    null,
                    null,
                    Duration.ofMinutes(10),
                    "the old tables go",
                    forRun,
                    false))
            .code());
  }

  /** What a rule that observes has found, one text each. */
  List<String> observations(String rule) {
    return query("SELECT o::text FROM holdfast.observation o WHERE o.rule = '" + rule + "'")
        .stream()
        .map(List::getFirst)
        .toList();
  }

  /**
   * What autovacuum would do within a minute: before, PostgreSQL itself does not know how many rows
   * a table has, and no share of them can be too many.
   */
  void analyze() {
    server.executeIn(name, "ANALYZE");
  }

  /** Where its owner finds it. */
  Address address() {
    return as(OWNER);
  }

  /** Where another role finds it. */
  Address as(String role) {
    return new Address(server.server().port(), name, role);
  }

  /** Where a superuser finds it. */
  Address superuser() {
    return as("postgres");
  }

  boolean exists() {
    return !server.query("SELECT 1 FROM pg_database WHERE datname = '" + name + "'").isEmpty();
  }

  /** What is in its tables. */
  Contents contents() {
    return exists() ? ask(Contents::of) : Contents.NONE;
  }

  /** Asks as a superuser; the columns' texts of each row. */
  List<List<String>> query(String sql) {
    return ask(connection -> Contents.rows(connection, sql));
  }

  /** As a superuser, each in a transaction of its own. */
  void execute(String... statements) {
    server.executeIn(name, statements);
  }

  private interface Question<T> {
    T of(Connection connection) throws SQLException;
  }

  private <T> T ask(Question<T> question) {
    try (Connection connection = server.connect(name)) {
      return question.of(connection);
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }
}
