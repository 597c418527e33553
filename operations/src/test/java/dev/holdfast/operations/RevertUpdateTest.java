package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.junit.jupiter.api.Test;

class RevertUpdateTest {
  private static final Revert.Options PLAIN = new Revert.Options(false, false, false);
  private static final Revert.Options LOST_KEYS = new Revert.Options(true, false, false);

  @Test
  void an_update_of_50000_rows_is_undone_but_for_rows_written_again_since() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE accounts (id int PRIMARY KEY, balance numeric NOT NULL, note text)",
            "INSERT INTO accounts SELECT n, n * 1.50, 'note ' || n FROM generate_series(1, 60000) n")) {
      acme.server.execute("UPDATE accounts SET balance = 0 WHERE id <= 50000");
      acme.server.execute(
          "UPDATE accounts SET balance = 7 WHERE id <= 500",
          "UPDATE accounts SET note = 'good' WHERE id BETWEEN 501 AND 1000",
          "UPDATE accounts SET balance = 0 WHERE id BETWEEN 1001 AND 1100",
          "UPDATE accounts SET note = 'other' WHERE id > 50000");
      acme.caughtUp();
      LogEntry bad =
          acme.log(Log.Filter.ALL).stream()
              .filter(e -> updated(e) == 50_000)
              .findFirst()
              .orElseThrow();
      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(Revert.Selection.of(bad.xid()), Progress.SILENT)) {
        RevertPlan plan = planned.plan();
        assertThat(plan.counts())
            .containsEntry("restored", 49_400L)
            .containsEntry("touchedSince", 600L);
        RevertResult result = planned.apply(plan.digest(), Progress.SILENT);
        assertThat(result.rowsRestored()).isEqualTo(49_400);
        assertThat(result.rowsKept()).isEqualTo(600);
        assertThat(result.rowsInConflict()).isZero();
      }
      assertThat(
              acme.server.value(
                  "SELECT count(*) FROM accounts WHERE balance::text = (id * 1.50)::text AND id"
                      + " BETWEEN 501 AND 50000 AND id NOT BETWEEN 1001 AND 1100"))
          .isEqualTo("49400");
      assertThat(acme.server.value("SELECT count(*) FROM accounts WHERE balance = 7"))
          .isEqualTo("500");
      assertThat(acme.server.value("SELECT count(*) FROM accounts WHERE balance = 0"))
          .isEqualTo("100");
      assertThat(acme.server.value("SELECT count(*) FROM accounts WHERE note = 'good'"))
          .isEqualTo("500");
      assertThat(acme.server.value("SELECT count(*) FROM accounts WHERE note = 'other'"))
          .isEqualTo("10000");

      acme.caughtUp();
      RevertResult again = acme.undo(bad.xid(), PLAIN);
      assertThat(again.rowsRestored()).as("undoing twice changes nothing").isZero();
    }
  }

  @Test
  void rows_and_columns_that_came_while_the_transaction_was_open_are_undone_with_the_others()
      throws Exception {
    try (ProtectedServer acme =
            ProtectedServer.start(
                16,
                "CREATE TABLE one (id int PRIMARY KEY, v text)",
                "INSERT INTO one SELECT n, 'good' FROM generate_series(1, 100) n",
                "CREATE TABLE two (id int PRIMARY KEY, v text)",
                "INSERT INTO two SELECT n, 'good' FROM generate_series(1, 100) n");
        Connection open = acme.server.connect();
        Connection bad = acme.server.connect()) {
      open.setAutoCommit(false);
      bad.setAutoCommit(false);
      try (Statement others = open.createStatement();
          Statement hits = bad.createStatement()) {
        others.execute("INSERT INTO one VALUES (101, 'good')");
        hits.execute("UPDATE one SET v = 'bad' WHERE id <= 50");
        open.commit(); // not yet to be seen where the bad one began to write
        acme.server.execute(
            "UPDATE one SET v = 'better' WHERE id = 100",
            "ALTER TABLE two ADD COLUMN extra text DEFAULT 'new'",
            "UPDATE two SET extra = 'good ' || id WHERE id > 50");
        hits.execute("UPDATE one SET v = 'bad' WHERE id >= 100");
        hits.execute("UPDATE two SET extra = 'bad'");
        String xid = value(hits, "SELECT pg_current_xact_id()");
        bad.commit();
        acme.caughtUp();
        RevertResult result = acme.undo(xid, PLAIN);
        assertThat(result.rowsRestored()).isEqualTo(152);
      }
      assertThat(acme.server.query("SELECT v, count(*) FROM one GROUP BY v ORDER BY v"))
          .containsExactly("better|1", "good|100");
      assertThat(
              acme.server.value(
                  "SELECT count(*) FROM two WHERE extra = CASE WHEN id > 50 THEN 'good ' || id"
                      + " ELSE 'new' END"))
          .isEqualTo("100");
    }
  }

  private static String value(Statement statement, String sql) throws SQLException {
    try (ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }

  @Test
  void lost_json_keys_come_back_and_the_new_phone_number_stays() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            17,
            "CREATE TABLE users (id int PRIMARY KEY, data jsonb NOT NULL)",
            "INSERT INTO users SELECT n, jsonb_build_object('phone', 'old', 'address', 'street ' ||"
                + " n, 'country', 'DE', 'postal', 1.50) FROM generate_series(1, 100) n")) {
      acme.server.execute(
          "UPDATE users SET data = '{\"phone\": \"new\"}' WHERE id <= 20",
          "UPDATE users SET data = data || '{\"country\": \"FR\"}' WHERE id = 1");
      acme.caughtUp();
      LogEntry bad =
          acme.log(Log.Filter.ALL).stream().filter(e -> updated(e) == 20).findFirst().orElseThrow();
      acme.undo(bad.xid(), LOST_KEYS);
      assertThat(acme.server.query("SELECT data FROM users WHERE id IN (1, 2, 21) ORDER BY id"))
          .containsExactly(
              "{\"phone\": \"new\", \"postal\": 1.50, \"address\": \"street 1\", \"country\": \"FR\"}",
              "{\"phone\": \"new\", \"postal\": 1.50, \"address\": \"street 2\", \"country\": \"DE\"}",
              "{\"phone\": \"old\", \"postal\": 1.50, \"address\": \"street 21\", \"country\": \"DE\"}");
    }
  }

  @Test
  void deleted_truncated_and_inserted_rows_are_undone_on_the_oldest_supported_server()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            14,
            "CREATE TABLE kinds (name text PRIMARY KEY)",
            "INSERT INTO kinds VALUES ('a'), ('b'), ('c')",
            "CREATE TABLE things (id serial PRIMARY KEY, kind text REFERENCES kinds)",
            "INSERT INTO things (kind) SELECT 'a' FROM generate_series(1, 1000)",
            "CREATE TABLE keyless (v int)",
            "INSERT INTO keyless SELECT n % 3 FROM generate_series(1, 30) n")) {
      acme.server.execute(
          "DELETE FROM things WHERE id > 900",
          "TRUNCATE keyless",
          "INSERT INTO kinds SELECT 'x' || n FROM generate_series(1, 50) n");
      acme.caughtUp();
      List<LogEntry> log = acme.log(Log.Filter.ALL);
      for (String wanted : List.of("things", "keyless", "kinds")) {
        LogEntry bad =
            log.stream()
                .filter(e -> e.tables().stream().anyMatch(t -> t.table().equals(wanted)))
                .reduce((_, last) -> last)
                .orElseThrow();
        acme.undo(bad.xid(), PLAIN);
      }
      assertThat(acme.server.value("SELECT count(*) FROM things")).isEqualTo("1000");
      assertThat(acme.server.value("SELECT count(*) FROM kinds")).isEqualTo("3");
      assertThat(acme.server.query("SELECT v, count(*) FROM keyless GROUP BY v ORDER BY v"))
          .containsExactly("0|10", "1|10", "2|10");
    }
  }

  @Test
  void rows_deleted_and_put_in_again_by_one_transaction_get_their_old_values_back()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            15,
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 20) n")) {
      acme.server.execute(
          "BEGIN; DELETE FROM t; INSERT INTO t SELECT n, 'new' FROM generate_series(1, 15) n;"
              + " INSERT INTO t VALUES (99, 'new'); COMMIT",
          "UPDATE t SET v = 'later' WHERE id = 3");
      acme.caughtUp();
      LogEntry bad =
          acme.log(Log.Filter.ALL).stream()
              .filter(e -> e.tables().stream().anyMatch(t -> t.rowsDeleted() == 20))
              .findFirst()
              .orElseThrow();
      acme.undo(bad.xid(), PLAIN);
      assertThat(acme.server.query("SELECT v, count(*) FROM t GROUP BY v ORDER BY v"))
          .containsExactly("later|1", "old|19");
      assertThat(acme.server.value("SELECT count(*) FROM t WHERE id = 99")).isEqualTo("0");
    }
  }

  @Test
  void a_transaction_that_dropped_a_column_is_refused_with_the_way_to_the_column()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE t (id int PRIMARY KEY, v int, note text)",
            "INSERT INTO t SELECT n, n, 'note' FROM generate_series(1, 100) n")) {
      acme.server.execute("BEGIN; DELETE FROM t WHERE id = 1; ALTER TABLE t DROP note; COMMIT");
      acme.caughtUp();
      LogEntry bad = acme.log(new Log.Filter(true, "t", null, null, null, null)).getFirst();
      assertThat(bad.severity()).isEqualTo("high");
      assertThat(bad.tables().getFirst().action()).isEqualTo("changed");
      assertThat(bad.tables().getFirst().rowsDeleted()).isEqualTo(1);
      assertThat(bad.tables().getFirst().columnsDropped()).containsExactly("note");
      assertThatThrownBy(
              () -> acme.revert(PLAIN).plan(Revert.Selection.of(bad.xid()), Progress.SILENT))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.what())
                    .isEqualTo("transaction " + bad.xid() + " dropped note of public.t");
                assertThat(e.why())
                    .isEqualTo(
                        "the table is still there without it: its rows can be put back only into"
                            + " columns that exist");
                assertThat(e.next())
                    .isEqualTo(
                        "holdfast fork acme --before "
                            + bad.xid()
                            + " holds the column as it was: add the column and copy the values from"
                            + " there");
              });
    }
  }

  @Test
  void a_planned_row_changed_before_applying_refuses_the_whole_and_other_traffic_does_not()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            16,
            "CREATE TABLE t (id int PRIMARY KEY, v int)",
            "INSERT INTO t SELECT n, n FROM generate_series(1, 100) n")) {
      acme.server.execute("DELETE FROM t WHERE id <= 10");
      acme.caughtUp();
      LogEntry bad = acme.log(new Log.Filter(true, "t", null, null, null, null)).getFirst();
      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(Revert.Selection.of(bad.xid()), Progress.SILENT)) {
        acme.server.execute("INSERT INTO t VALUES (3, 33)", "UPDATE t SET v = 0 WHERE id = 50");
        assertThatThrownBy(() -> planned.apply(planned.plan().digest(), Progress.SILENT))
            .isInstanceOfSatisfying(
                OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED));
      }
      assertThat(acme.server.value("SELECT count(*) FROM t")).isEqualTo("91");
      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(Revert.Selection.of(bad.xid()), Progress.SILENT)) {
        acme.server.execute("UPDATE t SET v = 1 WHERE id = 60");
        RevertResult result = planned.apply(planned.plan().digest(), Progress.SILENT);
        assertThat(result.rowsRestored()).isEqualTo(9);
        assertThat(result.rowsInConflict()).isEqualTo(1);
      }
      assertThat(acme.server.value("SELECT v FROM t WHERE id = 3")).isEqualTo("33");
    }
  }

  @Test
  void damage_from_before_a_drop_that_was_undone_can_still_be_undone() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            15,
            "CREATE TABLE pets (gone int, id int PRIMARY KEY, data jsonb)",
            "ALTER TABLE pets DROP COLUMN gone",
            "INSERT INTO pets SELECT n, '{\"a\": 1, \"b\": 2}' FROM generate_series(1, 50) n")) {
      acme.server.execute("UPDATE pets SET data = '{\"a\": 9}'", "DROP TABLE pets");
      acme.caughtUp();
      List<LogEntry> log = acme.log(Log.Filter.ALL);
      LogEntry dropped = log.getLast();
      LogEntry eaten = log.stream().filter(e -> updated(e) == 50).findFirst().orElseThrow();
      acme.undo(dropped.xid(), PLAIN);
      acme.caughtUp();
      RevertResult result = acme.undo(eaten.xid(), LOST_KEYS);
      assertThat(result.rowsRestored()).isEqualTo(50);
      assertThat(acme.server.query("SELECT DISTINCT data FROM pets"))
          .containsExactly("{\"a\": 9, \"b\": 2}");
    }
  }

  private static long updated(LogEntry entry) {
    return entry.tables().stream().mapToLong(LogEntry.Table::rowsUpdated).sum();
  }
}
