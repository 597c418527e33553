package dev.holdfast.bench;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.Instant;
import java.util.Locale;

/**
 * Incident B as it was: an endpoint that should change a phone number replaces the whole JSON
 * document, of 20 users in each of thousands of transactions. Between them good writes go on: to
 * documents that are about to be hit, and to documents that have been.
 */
final class LostKeys implements RevertBench.Scenario {
  private static final int USERS_EACH = 20;

  private final RevertBench bench;
  private final Production production;
  private final int transactions;

  LostKeys(RevertBench bench, int transactions) {
    this.bench = bench;
    this.production = bench.production();
    this.transactions = transactions;
  }

  @Override
  public String word() {
    return "keys";
  }

  @Override
  public String title() {
    return String.format(
        Locale.ROOT, "JSON keys of %,d users lost in %,d transactions", users(), transactions);
  }

  private int users() {
    return transactions * USERS_EACH;
  }

  @Override
  public void create() throws Exception {
    production.run(
        "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, data jsonb NOT NULL)",
        "INSERT INTO users SELECT i, 'user' || i || '@example.com', '{}' FROM generate_series(1, "
            + users()
            + ") i",
        "ANALYZE users");
  }

  /** The document of a user to whom nothing has happened. */
  private static String document() {
    return "jsonb_build_object('phone', '+1 222 ' || id, 'country', 'AE', 'postal', (id % 99999)"
        + "::text, 'address', jsonb_build_object('street', md5(id::text), 'number', id % 300))";
  }

  @Override
  public void run(int rounds, double wal, int rate) throws Exception {
    RevertBench.Reverts reverts = new RevertBench.Reverts();
    for (int round = 0; round < rounds; round++) {
      production.run("UPDATE users SET data = " + document(), "VACUUM users");
      bench.backUp(wal);
      try (Traffic traffic = Traffic.start(production, rate)) {
        Instant since = Instant.now();
        Thread.sleep(10); // commit times are measured by another clock reading
        happen();
        Thread.sleep(10);
        Instant until = Instant.now();
        bench.revert(
            reverts,
            "--table",
            "public.users",
            "--since",
            since.toString(),
            "--until",
            until.toString(),
            "--restore-lost-keys");
        bench.require("users with another document than they should have", "0", wrong());
        traffic.check();
      }
    }
    reverts.print();
  }

  /** The bad endpoint at work, and the good one. */
  private void happen() throws SQLException {
    try (Connection connection = production.connect();
        PreparedStatement bad =
            connection.prepareStatement(
                "UPDATE users SET data = jsonb_build_object('phone', '+1 555 ' || id) WHERE id"
                    + " BETWEEN ? AND ?");
        PreparedStatement visit =
            connection.prepareStatement(
                "UPDATE users SET data = data || jsonb_build_object('visits', id) WHERE id = ?");
        PreparedStatement phone =
            connection.prepareStatement(
                "UPDATE users SET data = data || jsonb_build_object('phone', '+1 777 ' || id)"
                    + " WHERE id = ?")) {
      for (long index = 0; index < transactions; index++) {
        long first = index * USERS_EACH + 1;
        visit.setLong(1, first);
        visit.executeUpdate();
        bad.setLong(1, first);
        bad.setLong(2, first + USERS_EACH - 1);
        bad.executeUpdate();
        phone.setLong(1, first + 1);
        phone.executeUpdate();
      }
    }
  }

  /** What was lost is back, visits of just before included; all phone numbers are the newest. */
  private String wrong() throws SQLException {
    return production.ask(
        "SELECT count(*) FROM users WHERE data <> "
            + document()
            + " || jsonb_build_object('phone', CASE id % 20 WHEN 2 THEN '+1 777 ' ELSE '+1 555 '"
            + " END || id) || CASE id % 20 WHEN 1 THEN jsonb_build_object('visits', id) ELSE '{}'"
            + " END");
  }
}
