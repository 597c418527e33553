package dev.holdfast.bench;

import dev.holdfast.guard.Guard;
import dev.holdfast.guard.Permits;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * What the guard costs: pairs of a guarded and an unguarded database on one server, taking turns,
 * each going first in every other pair. pgbench's TPC-B, prepared, 4 clients, with durable commits
 * and with {@code synchronous_commit=off}; a DELETE of a million rows under a permit; an UPDATE of
 * 100,000 JSON documents that loses no key.
 */
public final class GuardBench {
  private static final int SCALE = 20;
  private static final int DELETED = 1_000_000;
  private static final int DOCUMENTS = 100_000;
  private static final List<String> DATABASES = List.of("unguarded", "guarded");

  private final Production production;
  private final int pairs;
  private final int seconds;

  private GuardBench(Production production, int pairs, int seconds) {
    this.production = production;
    this.pairs = pairs;
    this.seconds = seconds;
  }

  /**
   * Prints the figures.
   *
   * @param arguments pairs, seconds of each run of pgbench
   */
  public static void main(String[] arguments) throws Exception {
    Production.printMachine();
    try (Production production =
        Production.start(Map.of("autovacuum", "off", "max_wal_size", "8GB"))) {
      GuardBench bench =
          new GuardBench(
              production, Integer.parseInt(arguments[0]), Integer.parseInt(arguments[1]));
      bench.create();
      bench.transactions("on", "durable commits", 0.97);
      bench.transactions("off", "synchronous_commit=off", 0.92);
      bench.statements();
    }
  }

  private void create() throws Exception {
    for (String database : DATABASES) {
      production.run("CREATE DATABASE " + database);
      production.program("pgbench", "-i", "-q", "-s", Integer.toString(SCALE), url(database));
      run(
          database,
          "CREATE TABLE documents (id int PRIMARY KEY, name text, data jsonb, updated timestamptz DEFAULT now())",
          "INSERT INTO documents SELECT i, 'user ' || i, jsonb_build_object('phone', '+49 ' || i, 'address', i || ' Main"
              + " Street', 'country', 'DE', 'postal', (10000 + i)::text) FROM generate_series(1, "
              + DOCUMENTS
              + ") i",
          "VACUUM ANALYZE");
    }
    try (Connection connection = connect("guarded")) {
      Guard.Installed installed =
          Guard.install(connection, new Guard.Installation("bench", "production"));
      if (!installed.uncovered().isEmpty() || !installed.eventTriggers()) {
        throw new IllegalStateException(installed.toString());
      }
    }
    for (String rule : List.of("mass-delete", "mass-update", "json-keys-lost")) {
      run("guarded", "SELECT holdfast.set_mode('" + rule + "', 'enforce')");
    }
    // The bench's own UPDATE of every document is meant.
    run(
        "guarded",
        "INSERT INTO holdfast.exception (rule, table_like, mode, reason) VALUES ('mass-update',"
            + " 'public.documents', 'observe', 'the bench')");
  }

  private void transactions(String durable, String what, double wanted) throws Exception {
    Figures guarded = new Figures("guarded, transactions/s");
    Figures unguarded = new Figures("unguarded, transactions/s");
    for (int pair = 0; pair < pairs; pair++) {
      for (String database : inTurn(pair)) {
        run(database, "VACUUM pgbench_branches, pgbench_tellers");
        run("postgres", "CHECKPOINT");
        String said =
            production.program(
                "pgbench",
                "-n",
                "-M",
                "prepared",
                "-c",
                "4",
                "-j",
                "2",
                "-T",
                Integer.toString(seconds),
                url(database) + "?options=-c%20synchronous_commit%3D" + durable);
        double rate =
            said.lines()
                .filter(line -> line.startsWith("tps = "))
                .mapToDouble(line -> Double.parseDouble(line.split(" ", -1)[2]))
                .findFirst()
                .orElseThrow(() -> new IllegalStateException(said));
        (database.equals("guarded") ? guarded : unguarded).add(rate);
      }
    }
    System.out.printf(
        "%nTPC-B, prepared, 4 clients, %s, %d pairs of %d s (wanted: at least %.2f)%n",
        what, pairs, seconds, wanted);
    unguarded.print();
    guarded.print();
    Figures.ratio("guarded / unguarded", guarded, unguarded).print();
  }

  private void statements() throws Exception {
    Figures deleted = new Figures("guarded, s");
    Figures freely = new Figures("unguarded, s");
    Figures changed = new Figures("guarded, s");
    Figures changedFreely = new Figures("unguarded, s");
    for (int pair = 0; pair < pairs; pair++) {
      for (String database : inTurn(pair)) {
        boolean guarded = database.equals("guarded");
        run(database, "VACUUM pgbench_accounts, documents");
        run("postgres", "CHECKPOINT");
        String code = "";
        if (guarded) {
          try (Connection connection = connect(database)) {
            code =
                Permits.issue(
                        connection,
                        new Permits.Request(
                            List.of("mass-delete"),
                            null,
                            null,
                            null,
                            Duration.ofMinutes(10),
                            "the bench",
                            false,
                            false))
                    .code();
          }
        }
        (guarded ? deleted : freely)
            .add(
                timed(
                    database,
                    "SET LOCAL holdfast.permit = '" + code + "'",
                    "DELETE FROM pgbench_accounts WHERE aid <= " + DELETED));
        (guarded ? changed : changedFreely)
            .add(
                timed(
                    database,
                    "SET LOCAL synchronous_commit = on",
                    "UPDATE documents SET data = jsonb_set(data, '{phone}', '\"+1 555 1\"')"));
      }
    }
    System.out.printf(
        "%nDELETE of %,d rows under a permit, rolled back, %d pairs (wanted: at most 1.25)%n",
        DELETED, pairs);
    freely.print();
    deleted.print();
    Figures.ratio("guarded / unguarded", deleted, freely).print();
    System.out.printf(
        "%nUPDATE of %,d JSON documents, no key lost, rolled back, %d pairs (wanted: at most 1.3)%n",
        DOCUMENTS, pairs);
    changedFreely.print();
    changed.print();
    Figures.ratio("guarded / unguarded", changed, changedFreely).print();
  }

  /**
   * Seconds of the second statement; both are rolled back, so that every pair meets the same rows.
   */
  private double timed(String database, String before, String sql) throws SQLException {
    try (Connection connection = connect(database);
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute(before);
      long begun = System.nanoTime();
      statement.execute(sql);
      double took = (System.nanoTime() - begun) / 1e9;
      connection.rollback();
      return took;
    }
  }

  private static List<String> inTurn(int pair) {
    return pair % 2 == 0 ? DATABASES : DATABASES.reversed();
  }

  private String url(String database) {
    return production.server().url(database);
  }

  private Connection connect(String database) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + production.server().port() + "/" + database,
        "postgres",
        "");
  }

  private void run(String database, String... statements) throws SQLException {
    try (Connection connection = connect(database);
        Statement statement = connection.createStatement()) {
      for (String sql : statements) {
        statement.execute(sql);
      }
    }
  }
}
