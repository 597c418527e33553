package dev.holdfast.bench;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.BitSet;
import java.util.Locale;
import java.util.Random;

/**
 * Incident B as it was: an endpoint that should change a phone number replaces the whole JSON
 * document, of 20 users in each of thousands of transactions. Between them good writes go on, two
 * for each: to documents of any user, to be hit, hit, or both.
 */
final class LostKeys implements RevertBench.Scenario {
  private static final int USERS_EACH = 20;

  private final RevertBench bench;
  private final Production production;
  private final int transactions;
  private final BitSet visited = new BitSet();
  private final BitSet calledAfter = new BitSet();

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
        visited.clear();
        calledAfter.clear();
        Instant since = Instant.now();
        Thread.sleep(10); // commit times are measured by another clock reading
        happen();
        Thread.sleep(10); // likewise
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
      Random random = new Random(20261121);
      for (int index = 0; index < transactions; index++) {
        int first = index * USERS_EACH + 1;
        int visitor = 1 + random.nextInt(users());
        visited.set(visitor);
        visit.setLong(1, visitor);
        visit.executeUpdate();
        bad.setLong(1, first);
        bad.setLong(2, first + USERS_EACH - 1);
        bad.executeUpdate();
        int caller = 1 + random.nextInt(users());
        if ((caller - 1) / USERS_EACH <= index) {
          calledAfter.set(caller);
        }
        phone.setLong(1, caller);
        phone.executeUpdate();
      }
    }
  }

  /** What was lost is back, visits of before included; all phone numbers are the newest. */
  private String wrong() throws SQLException {
    try (Connection connection = production.connect();
        Statement statement = connection.createStatement()) {
      statement.execute("DROP TABLE IF EXISTS expected");
      statement.execute("CREATE TABLE expected (id bigint PRIMARY KEY, data jsonb NOT NULL)");
      statement.execute("INSERT INTO expected SELECT id, " + document() + " FROM users");
      statement.execute("CREATE TEMPORARY TABLE told (id bigint, visited boolean, called boolean)");
      connection.setAutoCommit(false);
      try (PreparedStatement told =
          connection.prepareStatement("INSERT INTO told VALUES (?, ?, ?)")) {
        for (int id = 1; id <= users(); id++) {
          told.setLong(1, id);
          told.setBoolean(2, visited.get(id));
          told.setBoolean(3, calledAfter.get(id));
          told.addBatch();
          if (id % 5_000 == 0 || id == users()) {
            told.executeBatch();
          }
        }
      }
      connection.commit();
      statement.execute(
          "UPDATE expected e SET data = e.data || jsonb_build_object('phone', CASE WHEN called THEN"
              + " '+1 777 ' ELSE '+1 555 ' END || e.id) || CASE WHEN visited THEN"
              + " jsonb_build_object('visits', e.id) ELSE '{}' END FROM told WHERE told.id = e.id");
      connection.commit();
    }
    return production.ask(
        "SELECT count(*) FROM users u FULL JOIN expected e USING (id) WHERE u.data IS DISTINCT FROM"
            + " e.data");
  }
}
