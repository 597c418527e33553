package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.TransactionDetail.RowSample;
import dev.holdfast.operations.TransactionDetail.TableSample;
import java.sql.Connection;
import java.sql.Statement;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code holdfast show} tells of rows, against servers that held them. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ShowTest {

  /**
   * One transaction that hurt tables in every way, its locks held while others wrote: what it
   * changed is shown as it was at its commit, what it took away as it was when it locked it.
   */
  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void rows_are_shown_as_they_were_just_before_and_just_after(int major) throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            major,
            "CREATE TABLE users (id int PRIMARY KEY, data jsonb NOT NULL)",
            "INSERT INTO users SELECT n, jsonb_build_object('phone', 'old', 'city', 'c' || n) FROM"
                + " generate_series(1, 50) n",
            "CREATE TABLE orders (id int PRIMARY KEY, state text)",
            "INSERT INTO orders SELECT n, 'open' FROM generate_series(1, 20) n",
            "CREATE TABLE visits (at int)",
            "INSERT INTO visits SELECT generate_series(1, 1500)",
            "CREATE TABLE prices (id int PRIMARY KEY, amount numeric)",
            "INSERT INTO prices VALUES (1, 1.50), (2, 2.50), (3, 3.50)",
            "CREATE TABLE notes (id int PRIMARY KEY, body text)",
            "INSERT INTO notes VALUES (1, 'one'), (2, 'two')",
            "CREATE TABLE things (id int PRIMARY KEY, note text)",
            "INSERT INTO things VALUES (1, 'kept'), (2, 'gone')",
            "CREATE UNLOGGED TABLE cache (id int)",
            "INSERT INTO cache SELECT generate_series(1, 5)")) {
      acme.server.execute(
          "DELETE FROM visits WHERE at > 1400", "UPDATE prices SET amount = 9 WHERE id = 3");
      String xid;
      try (Connection bad = acme.server.connect();
          Statement sql = bad.createStatement()) {
        bad.setAutoCommit(false);
        sql.execute("DROP TABLE prices");
        acme.server.execute("UPDATE users SET data = data || '{\"phone\": \"good\"}' WHERE id = 2");
        sql.execute("TRUNCATE visits");
        sql.execute("INSERT INTO visits VALUES (7)");
        sql.execute("ALTER TABLE notes RENAME TO remarks");
        sql.execute("ALTER TABLE things DROP COLUMN note");
        sql.execute("DROP TABLE cache");
        acme.server.execute("UPDATE orders SET state = 'paid' WHERE id = 20");
        sql.execute("UPDATE users SET data = data - 'phone' WHERE id = 1");
        sql.execute("SAVEPOINT s");
        sql.execute("UPDATE users SET data = '{\"phone\": \"new\"}' WHERE id IN (1, 2)");
        sql.execute("SAVEPOINT t");
        sql.execute("UPDATE users SET data = '{}' WHERE id = 3");
        sql.execute("ROLLBACK TO t");
        sql.execute("DELETE FROM orders WHERE id = 20");
        sql.execute("INSERT INTO orders VALUES (21, 'made'), (22, 'made and taken back')");
        sql.execute("DELETE FROM orders WHERE id = 22");
        sql.execute("UPDATE remarks SET body = 'none' WHERE id = 1");
        sql.execute("DELETE FROM things WHERE id = 2");
        sql.execute("CREATE TABLE made AS SELECT 1 AS a");
        xid = value(sql, "SELECT pg_current_xact_id()::text");
        bad.commit();
      }
      acme.server.execute(
          "UPDATE users SET data = '{\"phone\": \"later\"}' WHERE id = 2",
          "DELETE FROM orders WHERE id = 21",
          "VACUUM users",
          "ALTER TABLE users RENAME TO people",
          "DROP TABLE remarks");
      acme.caughtUp();

      TransactionDetail detail = show(acme, xid, 2);

      assertThat(detail.forkSeconds()).isPositive();
      assertThat(detail.transaction().xid()).isEqualTo(xid);
      Map<String, TableSample> samples = byTable(detail);
      assertThat(samples)
          .as("of a table that is not logged nothing is known")
          .containsOnlyKeys(
              "users", "orders", "visits", "prices", renamed(samples), "things", "made");

      TableSample users = sample(samples, "users");
      assertThat(users.rows()).isEqualTo(2);
      assertThat(users.jsonKeysLost()).isEqualTo(Map.of("city", 2L));
      assertThat(users.sample())
          .containsExactlyInAnyOrder(
              row(
                  of("id", "1", "data", "{\"city\": \"c1\", \"phone\": \"old\"}"),
                  of("id", "1", "data", "{\"phone\": \"new\"}")),
              row(
                  of("id", "2", "data", "{\"city\": \"c2\", \"phone\": \"good\"}"),
                  of("id", "2", "data", "{\"phone\": \"new\"}")));

      TableSample orders = sample(samples, "orders");
      assertThat(orders.rows()).as("the row put in and taken out is none").isEqualTo(2);
      assertThat(orders.sample())
          .containsExactlyInAnyOrder(
              row(of("id", "20", "state", "paid"), null),
              row(null, of("id", "21", "state", "made")));

      TableSample visits = sample(samples, "visits");
      assertThat(visits.rows()).isEqualTo(1400);
      assertThat(visits.sample())
          .containsExactly(row(of("at", "1"), null), row(of("at", "2"), null));

      TableSample prices = sample(samples, "prices");
      assertThat(prices.rows()).isEqualTo(3);
      assertThat(prices.sample())
          .containsExactly(
              row(of("id", "1", "amount", "1.50"), null),
              row(of("id", "2", "amount", "2.50"), null));
      assertThat(show(acme, xid, 3).samples().stream().filter(t -> t.table().equals("prices")))
          .singleElement()
          .satisfies(
              all -> assertThat(all.sample()).contains(row(of("id", "3", "amount", "9"), null)));

      assertThat(sample(samples, renamed(samples)).sample())
          .containsExactly(row(of("id", "1", "body", "one"), of("id", "1", "body", "none")));
      assertThat(sample(samples, "things").sample())
          .as("with the column it dropped")
          .containsExactly(row(of("id", "2", "note", "gone"), null));
      assertThat(sample(samples, "made").sample()).containsExactly(row(null, of("a", "1")));
    }
  }

  @Test
  void many_rows_are_counted_and_without_samples_no_fork_is_made() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            17,
            "CREATE TABLE t (id int PRIMARY KEY, d json)",
            "INSERT INTO t SELECT n, '{\"a\": 1, \"b\": 2}' FROM generate_series(1, 3000) n")) {
      acme.server.execute("UPDATE t SET d = '{\"a\": 1}' WHERE id <= 2500");
      acme.caughtUp();
      String xid = acme.log(Log.Filter.ALL).getLast().xid();
      TableSample table = show(acme, xid, 1).samples().getFirst();
      assertThat(table.rows()).isEqualTo(2500);
      assertThat(table.jsonKeysLost()).isEqualTo(Map.of("b", 1000L));
      assertThat(table.sample()).hasSize(1);
      TransactionDetail without = show(acme, xid, 0);
      assertThat(without.samples()).isEmpty();
      assertThat(without.forkSeconds()).isNull();
    }
  }

  /** It acts before its commit; the name had belonged to another database before. */
  @Test
  void a_dropped_database_is_shown_with_its_rows() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE DATABASE shop")) {
      acme.server.executeIn("shop", "CREATE TABLE older (id int)");
      acme.awaitRecorded("older");
      acme.server.execute("DROP DATABASE shop", "CREATE DATABASE shop");
      acme.server.executeIn(
          "shop",
          "CREATE TABLE items (id int PRIMARY KEY, name text)",
          "INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 10) n");
      acme.awaitRecorded("items");
      new Backup(acme.repository, ProtectedServer.NAME, null, 2, Backup.Wanted.AUTOMATIC)
          .run(Progress.SILENT);
      acme.server.execute("DROP DATABASE shop");
      acme.caughtUp();
      LogEntry dropped = acme.log(new Log.Filter(true, "items", null, null, null, null)).getLast();
      TransactionDetail detail = show(acme, dropped.xid(), 1);
      assertThat(detail.target()).isNotEqualTo(dropped.commitLsn());
      assertThat(detail.samples())
          .containsExactly(
              new TableSample(
                  "public",
                  "items",
                  10,
                  Map.of(),
                  List.of(row(of("id", "1", "name", "item 1"), null))));
    }
  }

  private static TransactionDetail show(ProtectedServer acme, String xid, int samples) {
    return new Show(acme.repository, ProtectedServer.NAME).run(xid, samples, Progress.SILENT);
  }

  private static Map<String, TableSample> byTable(TransactionDetail detail) {
    Map<String, TableSample> samples = new LinkedHashMap<>();
    detail.samples().forEach(sample -> samples.put(sample.table(), sample));
    return samples;
  }

  private static TableSample sample(Map<String, TableSample> samples, String table) {
    return Objects.requireNonNull(samples.get(table), table);
  }

  /** The catalog that was recorded first after the change says which name the log tells. */
  private static String renamed(Map<String, TableSample> samples) {
    return samples.containsKey("notes") ? "notes" : "remarks";
  }

  private static RowSample row(
      @Nullable Map<String, @Nullable String> before,
      @Nullable Map<String, @Nullable String> after) {
    return new RowSample(before, after);
  }

  private static Map<String, @Nullable String> of(String... namesAndValues) {
    Map<String, @Nullable String> values = new LinkedHashMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      values.put(namesAndValues[i], namesAndValues[i + 1]);
    }
    return values;
  }

  private static String value(Statement sql, String query) throws Exception {
    try (var row = sql.executeQuery(query)) {
      row.next();
      return row.getString(1);
    }
  }
}
