package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RevertSetTest {
  private static final String PARTITIONED =
      "CREATE TABLE p (id int, part int, v text, PRIMARY KEY (id, part)) PARTITION BY LIST (part)";

  private static final Revert.Options PLAIN = new Revert.Options(false, false, false);
  private static final Revert.Options LOST_KEYS = new Revert.Options(true, false, false);

  /** Runs statements as one transaction and says its number. */
  private static String bad(ProtectedServer acme, String... statements) throws Exception {
    acme.server.execute(
        "BEGIN; "
            + String.join("; ", statements)
            + "; INSERT INTO bad VALUES (txid_current()); COMMIT");
    return acme.server.value("SELECT max(x) FROM bad");
  }

  private static RevertResult undo(ProtectedServer acme, Revert.Selection selection)
      throws Exception {
    return undo(acme, selection, PLAIN);
  }

  private static RevertResult undo(
      ProtectedServer acme, Revert.Selection selection, Revert.Options options) throws Exception {
    acme.caughtUp();
    try (Revert.Planned planned = acme.revert(options).plan(selection, Progress.SILENT)) {
      return planned.apply(planned.plan().digest(), Progress.SILENT);
    }
  }

  private static Revert.Selection only(String table, String... xids) {
    return new Revert.Selection(List.of(xids), null, null, List.of(table));
  }

  private static List<String> rows(ProtectedServer acme, String sql) {
    return acme.server.query(sql);
  }

  @Test
  void a_row_put_in_by_an_upsert_is_taken_out_again() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (1, 'a')")) {
      acme.server.execute("INSERT INTO t VALUES (2, 'bad') ON CONFLICT (id) DO NOTHING");
      acme.caughtUp();
      String one = acme.log(Log.Filter.ALL).getLast().xid();
      String two =
          bad(
              acme,
              "INSERT INTO t VALUES (3, 'bad') ON CONFLICT (id) DO UPDATE SET v = 'no'",
              "INSERT INTO t VALUES (1, 'bad') ON CONFLICT (id) DO UPDATE SET v = 'bad'");
      String three = bad(acme, "UPDATE t SET v = 'worse' WHERE id = 2");

      RevertResult result = undo(acme, only("t", one, two, three));

      assertThat(result.rowsRestored()).isEqualTo(3);
      assertThat(rows(acme, "SELECT id, v FROM t ORDER BY id")).containsExactly("1|a");
    }
  }

  @Test
  void a_table_rewritten_between_two_hits_on_a_row_gives_back_what_was_before_both()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            15,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text, w text, good text)",
            "INSERT INTO t SELECT g, 'v', 'w', '' FROM generate_series(1, 20) g")) {
      String one = bad(acme, "UPDATE t SET v = 'bad' WHERE id <= 10");
      acme.server.execute("UPDATE t SET good = 'before' WHERE id = 1", "VACUUM FULL t");
      acme.server.execute("UPDATE t SET good = 'between' WHERE id = 2");
      String two = bad(acme, "UPDATE t SET v = 'worse' WHERE id IN (1, 2, 3)");
      String three = bad(acme, "UPDATE t SET w = 'bad' WHERE id IN (4, 5)");
      acme.server.execute("CLUSTER t USING t_pkey");
      String four = bad(acme, "DELETE FROM t WHERE id IN (5, 6, 7)");

      RevertResult result = undo(acme, only("t", one, two, three, four));

      assertThat(result.rowsInConflict()).isZero();
      assertThat(rows(acme, "SELECT id, v, w FROM t WHERE v <> 'v' OR w <> 'w' ORDER BY id"))
          .isEmpty();
      assertThat(rows(acme, "SELECT count(*) FROM t")).containsExactly("20");
      assertThat(rows(acme, "SELECT id, good FROM t WHERE good <> '' ORDER BY id"))
          .containsExactly("1|before", "2|between");
    }
  }

  @Test
  void a_row_moved_to_another_partition_and_written_there_is_not_there_twice() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            PARTITIONED,
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
            "INSERT INTO p SELECT g, 1, 'v' FROM generate_series(1, 6) g")) {
      String one = bad(acme, "UPDATE p SET part = 2 WHERE id <= 4");
      acme.server.execute("UPDATE p SET v = 'good' WHERE id = 1", "DELETE FROM p WHERE id = 2");

      RevertResult result = undo(acme, only("p", one));

      assertThat(rows(acme, "SELECT id, part, v FROM p ORDER BY id, part"))
          .containsExactly("1|2|good", "3|1|v", "4|1|v", "5|1|v", "6|1|v");
      assertThat(result.rowsInConflict() + result.rowsKept()).isGreaterThanOrEqualTo(2);
    }
  }

  @Test
  void a_row_moved_by_one_hit_again_by_another_and_deleted_by_others_stays_deleted()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE p (id int, part int, v text, w date, PRIMARY KEY (id, part))"
                + " PARTITION BY LIST (part)",
            "CREATE TABLE p0 PARTITION OF p DEFAULT",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "INSERT INTO p SELECT g, 3, 'v', NULL FROM generate_series(1, 6) g",
            "INSERT INTO p SELECT g, 1, 'v', NULL FROM generate_series(11, 16) g")) {
      acme.server.execute("UPDATE p SET v = 'first' WHERE id = 4");
      String one =
          bad(
              acme,
              "UPDATE p AS t SET id = n.id, part = n.part, w = '2034-07-14'"
                  + " FROM (VALUES (4, 1), (5, 1), (11, 3), (12, 2)) AS n (id, part)"
                  + " WHERE t.id = n.id");
      String two = bad(acme, "UPDATE p SET v = 'worse' WHERE id = 4 AND part = 1");
      acme.server.execute("DELETE FROM p WHERE (id, part) IN ((4, 1), (1, 3))");

      undo(acme, only("p", one, two));

      assertThat(rows(acme, "SELECT id, part, v FROM p WHERE id IN (4, 5, 11, 12) ORDER BY id"))
          .containsExactly("5|3|v", "11|1|v", "12|1|v");
    }
  }

  @Test
  void a_row_moved_on_and_on_by_the_set_and_written_at_the_end_is_not_there_twice()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            PARTITIONED,
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
            "CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3)",
            "INSERT INTO p SELECT g, 1, 'v' FROM generate_series(1, 3) g")) {
      String one = bad(acme, "UPDATE p SET part = 2");
      String two = bad(acme, "UPDATE p SET part = 3 WHERE id < 3");
      acme.server.execute("UPDATE p SET v = 'good' WHERE id = 1");

      undo(acme, only("p", one, two));

      assertThat(rows(acme, "SELECT id, part, v FROM p ORDER BY id, part"))
          .containsExactly("1|3|good", "2|1|v", "3|1|v");
    }
  }

  @Test
  void a_row_moved_to_a_partition_that_was_rewritten_since_comes_back_unless_others_wrote_it()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            15,
            "CREATE TABLE bad (x int8)",
            PARTITIONED,
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
            "INSERT INTO p SELECT g, 1, 'v' FROM generate_series(1, 7) g")) {
      String one = bad(acme, "UPDATE p SET part = 2 WHERE id < 7");
      acme.server.execute("VACUUM FULL p", "UPDATE p SET v = 'good' WHERE id IN (2, 4)");
      String two = bad(acme, "UPDATE p SET v = 'bad' WHERE id IN (3, 4, 5)");
      acme.server.execute("UPDATE p SET v = 'good' WHERE id = 5", "DELETE FROM p WHERE id = 6");

      undo(acme, only("p", one, two));

      assertThat(rows(acme, "SELECT id, part, v FROM p ORDER BY id, part"))
          .containsExactly("1|1|v", "2|2|good", "3|1|v", "4|2|good", "5|2|good", "7|1|v");
    }
  }

  @Test
  void a_row_moved_to_a_partition_that_was_rewritten_and_then_truncated_by_the_set_comes_back()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            PARTITIONED,
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
            "INSERT INTO p SELECT g, 1 + g % 2, 'v' FROM generate_series(1, 6) g")) {
      String one = bad(acme, "UPDATE p SET part = 2 WHERE id IN (2, 4)");
      acme.server.execute("VACUUM FULL p2", "UPDATE p SET v = 'good' WHERE id = 4");
      String two = bad(acme, "TRUNCATE p2");

      undo(acme, only("p", one, two));

      assertThat(rows(acme, "SELECT id, part FROM p WHERE id <> 4 ORDER BY id, part"))
          .containsExactly("1|2", "2|1", "3|2", "5|2", "6|1");
      assertThat(rows(acme, "SELECT v FROM p WHERE id = 4")).containsExactly("good");
    }
  }

  @Test
  void a_row_whose_former_key_another_one_has_now_is_a_conflict_and_no_more() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            17,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 20) g")) {
      String one =
          bad(
              acme,
              "UPDATE t SET id = 101 WHERE id = 1",
              // Two that change places, and three in a row: a hole, and rows moved into it.
              "UPDATE t SET id = 102 WHERE id = 2",
              "UPDATE t SET id = 2 WHERE id = 3",
              "UPDATE t SET id = 3 WHERE id = 102",
              "DELETE FROM t WHERE id = 4",
              "UPDATE t SET id = 4 WHERE id = 5",
              "UPDATE t SET id = 5 WHERE id = 6",
              // One that wants the key of a row that cannot have its own.
              "UPDATE t SET id = 107 WHERE id = 7",
              "UPDATE t SET id = 7 WHERE id = 8",
              "UPDATE t SET v = 'bad' WHERE id = 20");
      acme.server.execute("INSERT INTO t VALUES (1, 'new'), (8, 'new')");
      acme.caughtUp();

      RevertResult result;
      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(Revert.Selection.of(one), Progress.SILENT)) {
        assertThat(planned.plan().conflicts())
            .containsExactly(
                "public.t id=101 cannot come back: another row has its key now",
                "public.t id=107 cannot come back: another row has its key now",
                "public.t id=7 cannot come back: another row has its key now");
        result = planned.apply(planned.plan().digest(), Progress.SILENT);
      }

      assertThat(result.rowsInConflict()).isEqualTo(3);
      assertThat(rows(acme, "SELECT id, v FROM t WHERE id < 9 OR id > 18 ORDER BY id"))
          .containsExactly(
              "1|new", "2|v2", "3|v3", "4|v4", "5|v5", "6|v6", "7|v8", "8|new", "19|v19", "20|v20",
              "101|v1", "107|v7");
    }
  }

  @Test
  void a_deleted_row_is_not_taken_for_one_that_the_set_made_just_like_it() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (1, 'same'), (2, 'same'), (3, 'other')")) {
      String one = bad(acme, "DELETE FROM t WHERE id = 1", "UPDATE t SET id = 1 WHERE id = 2");
      String two =
          bad(
              acme,
              "UPDATE t SET v = 'same' WHERE id = 3",
              "DELETE FROM t WHERE id = 1",
              "UPDATE t SET id = 1 WHERE id = 3");

      RevertResult result = undo(acme, only("t", one, two));

      assertThat(rows(acme, "SELECT id, v FROM t ORDER BY id"))
          .containsExactly("1|same", "2|same", "3|other");
      assertThat(result.rowsInConflict()).isZero();
    }
  }

  @Test
  void a_row_the_set_put_in_and_others_moved_to_another_partition_is_told_of() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            15,
            "CREATE TABLE bad (x int8)",
            PARTITIONED,
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)")) {
      String one = bad(acme, "INSERT INTO p SELECT g, 1, 'bad' FROM generate_series(1, 3) g");
      acme.server.execute("UPDATE p SET part = 2 WHERE id = 1", "DELETE FROM p WHERE id = 2");
      acme.caughtUp();

      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(Revert.Selection.of(one), Progress.SILENT)) {
        assertThat(planned.plan().conflicts())
            .containsExactly("public.p1 id=1, part=1 was deleted since, or has another key");
        planned.apply(planned.plan().digest(), Progress.SILENT);
      }

      assertThat(rows(acme, "SELECT id, part, v FROM p")).containsExactly("1|2|bad");
    }
  }

  @Test
  void a_row_that_may_be_another_one_since_its_table_was_rewritten_is_not_undone_in_part()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            15,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, d jsonb)",
            "INSERT INTO t SELECT g, '{\"a\": 0, \"b\": 0}' FROM generate_series(1, 3) g")) {
      String one = bad(acme, "UPDATE t SET d = '{\"a\": 1, \"b\": 1}'");
      acme.server.execute(
          "VACUUM FULL t",
          "DELETE FROM t WHERE id = 1",
          "INSERT INTO t VALUES (1, '{\"a\": 1, \"b\": 2}')",
          "UPDATE t SET d = d || '{\"c\": 3}' WHERE id = 2");

      undo(acme, only("t", one));

      assertThat(rows(acme, "SELECT id, d FROM t ORDER BY id"))
          .containsExactly(
              "1|{\"a\": 1, \"b\": 2}",
              "2|{\"a\": 0, \"b\": 0, \"c\": 3}",
              "3|{\"a\": 0, \"b\": 0}");
    }
  }

  @Test
  void rows_hit_before_their_table_was_rewritten_and_truncated_after_go_back_to_before_both()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "CREATE TABLE w (v text)",
            "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 4) g",
            "INSERT INTO w VALUES ('a'), ('b')")) {
      String one =
          bad(
              acme,
              "UPDATE t SET v = 'bad' WHERE id = 1",
              "UPDATE t SET id = 12 WHERE id = 2",
              "INSERT INTO t VALUES (5, 'bad')",
              "UPDATE w SET v = 'bad' WHERE v = 'a'",
              "INSERT INTO w VALUES ('new')");
      acme.server.execute("VACUUM FULL t", "VACUUM FULL w");
      String two = bad(acme, "TRUNCATE t, w");
      Revert.Selection both = new Revert.Selection(List.of(one, two), null, null, List.of());

      assertThat(undo(acme, both).rowsInConflict()).isZero();

      assertThat(rows(acme, "SELECT id, v FROM t ORDER BY id"))
          .containsExactly("1|v", "2|v", "3|v", "4|v");
      assertThat(rows(acme, "SELECT v FROM w ORDER BY v")).containsExactly("a", "b");
      assertThat(undo(acme, both).rowsRestored()).as("undoing twice").isZero();
    }
  }

  @Test
  void rows_without_a_key_of_a_table_rewritten_between_two_hits_come_back() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (v text, w text)",
            "INSERT INTO t VALUES ('a', ''), ('a', ''), ('a', ''), ('b', '')")) {
      String one = bad(acme, "UPDATE t SET v = 'bad' WHERE v = 'a'");
      acme.server.execute("VACUUM FULL t");
      String two =
          bad(
              acme,
              "UPDATE t SET v = 'worse' WHERE ctid = (SELECT min(ctid) FROM t WHERE v = 'bad')");
      String three = bad(acme, "UPDATE t SET w = 'bad' WHERE v = 'b'");

      assertThat(undo(acme, only("t", one, two, three)).rowsInConflict()).isZero();

      assertThat(rows(acme, "SELECT v, w FROM t ORDER BY v"))
          .containsExactly("a|", "a|", "a|", "b|");
    }
  }

  @Test
  void rows_without_a_key_that_others_put_in_since_are_not_silently_taken_for_those_lost()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (v text)",
            "INSERT INTO t VALUES ('a'), ('a'), ('b')")) {
      String one = bad(acme, "DELETE FROM t WHERE v IN ('a', 'b')");
      acme.server.execute("INSERT INTO t VALUES ('a'), ('c')");
      acme.caughtUp();

      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(Revert.Selection.of(one), Progress.SILENT)) {
        RevertPlan.TablePlan table =
            planned.plan().tables().stream()
                .filter(each -> each.table().equals("t"))
                .findFirst()
                .orElseThrow();
        assertThat(table.restored()).isEqualTo(2);
        assertThat(table.counts()).containsEntry("touchedSince", 1L);
        assertThat(planned.plan().conflicts())
            .containsExactly("public.t v=a was written again since");
        planned.apply(planned.plan().digest(), Progress.SILENT);
      }
      assertThat(rows(acme, "SELECT v FROM t ORDER BY v")).containsExactly("a", "a", "b", "c");

      acme.caughtUp();
      try (Revert.Planned again =
          acme.revert(PLAIN).plan(Revert.Selection.of(one), Progress.SILENT)) {
        assertThat(again.plan().rowsToRestore()).as("undoing twice").isZero();
        assertThat(again.plan().counts()).containsEntry("alreadyUndone", 4L);
      }
    }
  }

  @Test
  void a_move_between_partitions_is_one_though_nobody_recorded_their_catalog() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE TABLE bad (x int8)")) {
      List<Path> recorded = catalogs(acme);
      acme.server.execute(
          PARTITIONED,
          "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
          "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (id)",
          "CREATE TABLE p2d PARTITION OF p2 DEFAULT",
          "INSERT INTO p SELECT g, 1, 'v' FROM generate_series(1, 3) g");
      String one = bad(acme, "UPDATE p SET part = 2 WHERE id < 3");
      acme.server.execute("UPDATE p SET v = 'good' WHERE id = 1");
      acme.caughtUp();
      acme.stopRecording();
      for (Path file : catalogs(acme)) {
        if (!recorded.contains(file)) {
          Files.delete(file);
        }
      }

      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(Revert.Selection.of(one), Progress.SILENT)) {
        planned.apply(planned.plan().digest(), Progress.SILENT);
      }

      assertThat(rows(acme, "SELECT id, part, v FROM p ORDER BY id, part"))
          .containsExactly("1|2|good", "2|1|v", "3|1|v");
    }
  }

  @Test
  void of_two_rows_that_want_one_key_the_one_hit_last_gets_it() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (1, 'one'), (2, 'two')")) {
      String one = bad(acme, "UPDATE t SET v = 'bad' WHERE id = 2; DELETE FROM t WHERE id = 1");
      acme.server.execute("UPDATE t SET id = 1 WHERE id = 2");
      String two = bad(acme, "DELETE FROM t WHERE id = 1");

      RevertResult done = undo(acme, only("t", one, two));

      assertThat(rows(acme, "SELECT id, v FROM t")).containsExactly("1|two");
      assertThat(done.rowsInConflict()).isEqualTo(1);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"TRUNCATE t", "DELETE FROM t"})
  void of_two_rows_that_went_together_and_want_one_key_the_one_that_had_it_last_gets_it(String went)
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (4, 'four'), (5, 'five')")) {
      String one = bad(acme, "UPDATE t SET id = 6 WHERE id = 5");
      acme.server.execute("INSERT INTO t VALUES (5, 'other')");
      String two = bad(acme, went);

      RevertResult done = undo(acme, only("t", one, two));

      assertThat(rows(acme, "SELECT id, v FROM t ORDER BY id"))
          .containsExactly("4|four", "5|other");
      assertThat(done.rowsInConflict()).isEqualTo(1);
    }
  }

  @Test
  void a_row_under_the_key_that_the_set_gave_another_keeps_it_when_nothing_else_tells_which_it_is()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            14,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (1, 'one'), (2, 'two')")) {
      String one = bad(acme, "UPDATE t SET id = id * 10");
      acme.server.execute(
          "VACUUM FULL t", // from here on the log does not tell where a row went
          "DELETE FROM t WHERE id = 10",
          "INSERT INTO t VALUES (10, 'ten')");

      undo(acme, only("t", one));

      assertThat(rows(acme, "SELECT id, v FROM t ORDER BY id")).containsExactly("2|two", "10|ten");
    }
  }

  @Test
  void a_row_put_in_under_the_key_of_a_deleted_one_before_their_table_was_rewritten_comes_back()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (5, 'five')")) {
      String one = bad(acme, "DELETE FROM t WHERE id = 5");
      acme.server.execute("INSERT INTO t VALUES (5, 'other')", "CLUSTER t USING t_pkey");
      String two = bad(acme, "DELETE FROM t WHERE id = 5");

      undo(acme, only("t", one, two));

      assertThat(rows(acme, "SELECT id, v FROM t")).containsExactly("5|other");
    }
  }

  @Test
  void a_row_moved_to_another_partition_is_not_the_one_put_in_under_its_key() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            16,
            "CREATE TABLE bad (x int8)",
            PARTITIONED,
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
            "INSERT INTO p VALUES (1, 1, 'one'), (2, 1, 'two')")) {
      String one =
          bad(
              acme,
              "UPDATE p SET id = id + 10, part = 2",
              "INSERT INTO p VALUES (1, 1, 'bad'), (2, 1, 'bad')");
      acme.server.execute("DELETE FROM p WHERE id = 11", "VACUUM FULL p");
      String two = bad(acme, "DELETE FROM p WHERE v = 'bad'");

      undo(acme, only("p", one, two));

      assertThat(rows(acme, "SELECT id, part, v FROM p")).containsExactly("2|1|two");
    }
  }

  @Test
  void a_deleted_row_is_not_the_one_that_the_set_moved_to_its_key() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            17,
            "CREATE TABLE bad (x int8)",
            PARTITIONED,
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
            "INSERT INTO p VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 1, 'three'), (4, 2, 'four')")) {
      String one = bad(acme, "DELETE FROM p WHERE part = 1");
      String two = bad(acme, "UPDATE p SET id = id - 1, part = 1 WHERE part = 2");
      acme.server.execute("VACUUM FULL p", "UPDATE p SET id = 5, part = 2 WHERE v = 'two'");

      undo(acme, only("p", one, two));

      assertThat(rows(acme, "SELECT id, part, v FROM p ORDER BY id"))
          .containsExactly("1|1|one", "3|1|three", "4|2|four", "5|2|two");
    }
  }

  @Test
  void a_row_put_in_under_a_key_that_the_set_had_taken_from_another_is_in_conflict()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (5, 'five')")) {
      String one = bad(acme, "UPDATE t SET id = 6 WHERE id = 5");
      acme.server.execute("INSERT INTO t VALUES (5, 'other')");
      String two = bad(acme, "DELETE FROM t WHERE id = 5");

      RevertResult done = undo(acme, only("t", one, two));

      assertThat(rows(acme, "SELECT id, v FROM t")).containsExactly("5|five");
      assertThat(done.rowsInConflict()).isEqualTo(1);
    }
  }

  @Test
  void a_row_whose_former_key_went_with_another_one_in_a_truncation_is_in_conflict()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (1, 'one'), (2, 'two')")) {
      String one = bad(acme, "UPDATE t SET id = 9 WHERE id = 1");
      acme.server.execute(
          "UPDATE t SET v = 'good' WHERE id = 9", "UPDATE t SET id = 1 WHERE id = 2");
      String two = bad(acme, "TRUNCATE t");

      RevertResult done = undo(acme, only("t", one, two));

      assertThat(rows(acme, "SELECT id FROM t")).containsExactly("1");
      assertThat(done.rowsInConflict()).isEqualTo(1);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"ALTER TABLE t ALTER v TYPE varchar(9)", "CLUSTER t USING t_pkey"})
  void a_set_that_rewrote_a_table_it_changed_rows_of_is_refused(String rewrite) throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (1, 'one'), (2, 'two')")) {
      String one = bad(acme, rewrite + "; UPDATE t SET v = 'bad' WHERE id = 2");
      acme.caughtUp();

      assertThatThrownBy(() -> acme.undo(one, PLAIN))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("public.t")
          .hasMessageContaining("look at the data on a fork");
      assertThat(rows(acme, "SELECT id, v FROM t ORDER BY id")).containsExactly("1|one", "2|bad");
    }
  }

  @Test
  void a_truncation_of_an_empty_table_is_no_rewrite() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18, "CREATE TABLE bad (x int8)", "CREATE TABLE t (id int PRIMARY KEY, v text)")) {
      acme.server.execute("INSERT INTO t VALUES (1, 'one')", "TRUNCATE t");
      String one = bad(acme, "TRUNCATE t");
      acme.server.execute("INSERT INTO t VALUES (2, 'good')");
      String two = bad(acme, "UPDATE t SET v = 'bad'; INSERT INTO t VALUES (3, 'bad')");

      undo(acme, new Revert.Selection(List.of(one, two), null, null, List.of()));

      assertThat(rows(acme, "SELECT id, v FROM t")).containsExactly("2|good");
    }
  }

  @Test
  void rows_that_others_truncated_are_gone_and_equal_ones_put_in_since_are_theirs()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE keyless (v text)",
            "CREATE TABLE keyed (id int PRIMARY KEY, v text)",
            "INSERT INTO keyless VALUES ('a'), ('c')",
            "INSERT INTO keyed VALUES (1, 'a'), (2, 'c')")) {
      String one = bad(acme, "UPDATE keyless SET v = 'b'; UPDATE keyed SET v = 'b'");
      acme.server.execute(
          "TRUNCATE keyless, keyed",
          "INSERT INTO keyless VALUES ('b'), ('b')",
          "INSERT INTO keyed VALUES (1, 'b'), (3, 'd')");
      acme.caughtUp();

      RevertResult done = acme.undo(one, PLAIN);

      assertThat(rows(acme, "SELECT v FROM keyless")).containsExactly("b", "b");
      assertThat(rows(acme, "SELECT id, v FROM keyed ORDER BY id")).containsExactly("1|b", "3|d");
      assertThat(done.rowsRestored()).isEqualTo(1); // of the table that holds the xids
      assertThat(done.rowsInConflict()).isEqualTo(4);
    }
  }

  @Test
  @Timeout(120)
  void production_names_a_table_that_no_recorded_catalog_knows() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE TABLE bad (x int8)")) {
      List<Path> recorded = catalogs(acme);
      acme.server.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)");
      String made = acme.server.value("SELECT pg_walfile_name(pg_switch_wal())");
      while (!summarised(acme).contains(made)) { // so that nobody reads there again
        Thread.sleep(50); // the recorder tells the repository, and only that
      }
      String one = bad(acme, "DELETE FROM t WHERE id = 2");
      acme.caughtUp();
      acme.stopRecording();
      for (Path file : catalogs(acme)) {
        if (!recorded.contains(file)) {
          Files.delete(file);
        }
      }

      acme.undo(one, PLAIN);

      assertThat(rows(acme, "SELECT id FROM t ORDER BY id")).containsExactly("1", "2");
    }
  }

  @Test
  @Timeout(180)
  void a_move_to_a_partition_rewritten_before_anybody_recorded_it_is_one_as_well()
      throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE TABLE bad (x int8)")) {
      List<Path> first = catalogs(acme);
      acme.server.execute(
          "CREATE TABLE t (part int, v text) PARTITION BY LIST (part)",
          "CREATE TABLE t0 PARTITION OF t DEFAULT",
          "CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2)",
          "INSERT INTO t VALUES (0, 'a'), (0, 'b'), (2, 'c'), (3, 'moves')");
      String one = bad(acme, "UPDATE t SET part = 2 WHERE v = 'moves'");
      Lsn before = Lsn.parse(acme.server.value("SELECT pg_current_wal_insert_lsn()"));
      acme.server.execute("VACUUM FULL t2");
      long again = System.nanoTime() + TimeUnit.SECONDS.toNanos(5);
      while (catalogs(acme).stream().noneMatch(file -> position(file).isAfter(before))) {
        Thread.sleep(50); // the recorder tells nobody that it wrote a catalog
        if (System.nanoTime() > again) {
          // One that was just being read has it already, and is of a position before.
          acme.server.execute("VACUUM FULL t2");
          again = System.nanoTime() + TimeUnit.SECONDS.toNanos(5);
        }
      }
      String two = bad(acme, "UPDATE t SET v = 'worse' WHERE v = 'a'");
      acme.caughtUp();
      acme.stopRecording();
      for (Path file : catalogs(acme)) {
        if (!first.contains(file) && !position(file).isAfter(before)) {
          Files.delete(file);
        }
      }

      try (Revert.Planned planned = acme.revert(PLAIN).plan(only("t", one, two), Progress.SILENT)) {
        planned.apply(planned.plan().digest(), Progress.SILENT);
      }

      assertThat(rows(acme, "SELECT part, v FROM t ORDER BY v"))
          .containsExactly("0|a", "0|b", "2|c", "3|moves");
    }
  }

  private static List<String> summarised(ProtectedServer acme) {
    return Repository.open(acme.repository).cluster(ProtectedServer.NAME).summaries().list();
  }

  private static Lsn position(Path catalog) {
    return new Lsn(Long.parseUnsignedLong(catalog.getFileName().toString(), 16));
  }

  private static List<Path> catalogs(ProtectedServer acme) throws IOException {
    Path folder =
        Path.of(acme.repository).resolve("clusters/" + ProtectedServer.NAME + "/catalogs");
    try (Stream<Path> files = Files.list(folder)) {
      // What begins with a dot is still being written.
      return files.filter(file -> !file.getFileName().toString().startsWith(".")).toList();
    }
  }

  @Test
  void a_row_hit_twice_with_a_good_write_between_keeps_that_and_the_naive_trap_is_no_trap()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            16,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text, w text)",
            "INSERT INTO t SELECT g, 'v', 'w' FROM generate_series(1, 9) g")) {
      String one = bad(acme, "UPDATE t SET v = 'bad' WHERE id IN (1, 3)");
      acme.server.execute(
          "UPDATE t SET v = 'good' WHERE id = 2", "UPDATE t SET w = 'good' WHERE id = 3");
      String two = bad(acme, "UPDATE t SET v = 'worse' WHERE id IN (2, 3)");
      acme.server.execute("INSERT INTO t VALUES (10, 'new', 'new')");

      RevertResult result = undo(acme, only("t", one, two));

      assertThat(result.rowsRestored()).isEqualTo(3);
      assertThat(rows(acme, "SELECT id, v, w FROM t WHERE id IN (1, 2, 3, 10) ORDER BY id"))
          .containsExactly("1|v|w", "2|good|w", "3|v|good", "10|new|new");
    }
  }

  @Test
  void a_set_chosen_by_time_and_table_is_listed_first_and_never_undoes_its_own_undoing()
      throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            17,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE users (id int PRIMARY KEY, data jsonb NOT NULL)",
            "CREATE TABLE other (a int)",
            "INSERT INTO users SELECT n, jsonb_build_object('phone', 'old', 'address', 'street '"
                + " || n) FROM generate_series(1, 50) n")) {
      acme.server.execute("UPDATE users SET data = data || '{\"note\": \"early\"}' WHERE id = 7");
      acme.caughtUp();
      Thread.sleep(20); // the afternoon begins at another microsecond, by the server's clock
      Instant since = Instant.now();
      Thread.sleep(20); // and what belongs to it comes after it
      for (int id = 1; id <= 30; id++) {
        acme.server.execute("UPDATE users SET data = '{\"phone\": \"new\"}' WHERE id = " + id);
      }
      acme.server.execute(
          "INSERT INTO other VALUES (1)",
          "UPDATE users SET data = data || '{\"address\": \"moved\"}' WHERE id = 3",
          "UPDATE users SET data = '{\"phone\": \"newer\"}' WHERE id = 3",
          "UPDATE users SET data = data || '{\"address\": \"again\"}' WHERE id = 4",
          "UPDATE users SET data = data - 'phone' WHERE id = 40");
      acme.caughtUp();
      Revert.Selection afternoon = new Revert.Selection(List.of(), since, null, List.of("users"));

      try (Revert.Planned planned = acme.revert(LOST_KEYS).plan(afternoon, Progress.SILENT)) {
        assertThat(planned.plan().transactions()).hasSize(34);
        assertThat(planned.plan().transactions().getFirst().tables())
            .containsExactly("public.users: 1 updated");
        planned.apply(planned.plan().digest(), Progress.SILENT);
      }

      assertThat(
              rows(
                  acme,
                  "SELECT id, data->>'phone', data->>'address', data->>'note' FROM users"
                      + " WHERE id IN (1, 3, 4, 7, 40) ORDER BY id"))
          .containsExactly(
              "1|new|street 1|null",
              "3|newer|moved|null",
              "4|new|again|null",
              "7|new|street 7|early",
              "40|old|street 40|null");
      assertThat(rows(acme, "SELECT count(*) FROM users WHERE NOT data ? 'address'"))
          .containsExactly("0");

      acme.caughtUp();
      List<String> signed =
          acme.log(Log.Filter.ALL).stream()
              .filter(entry -> "holdfast revert".equals(entry.application()))
              .map(LogEntry::xid)
              .toList();
      assertThat(signed).hasSize(1);
      List<String> again = new ArrayList<>();
      try (Revert.Planned planned = acme.revert(LOST_KEYS).plan(afternoon, Progress.SILENT)) {
        planned.plan().transactions().forEach(each -> again.add(each.xid()));
        assertThat(planned.plan().rowsToRestore()).as("undoing twice").isZero();
      }
      assertThat(again).hasSize(34);

      String range = again.getFirst() + ".." + signed.getFirst();
      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(only("users", range), Progress.SILENT)) {
        assertThat(planned.plan().warnings())
            .anyMatch(
                told -> told.startsWith("transaction " + signed.getFirst() + " of the range"));
      }
      try (Revert.Planned planned =
          acme.revert(PLAIN).plan(only("users", signed.getFirst()), Progress.SILENT)) {
        assertThat(planned.plan().warnings()).noneMatch(told -> told.contains("of the range"));
      }
    }
  }

  @Test
  void tables_dropped_one_by_one_come_back_together_and_what_cannot_is_refused() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            15,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE a (id int PRIMARY KEY)",
            "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO a SELECT generate_series(1, 500)",
            "INSERT INTO b SELECT g, g FROM generate_series(1, 500) g",
            "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 500) g")) {
      String one = bad(acme, "DROP TABLE b");
      String two = bad(acme, "DROP TABLE a");
      acme.server.execute("UPDATE t SET v = 'good' WHERE id = 1");
      String three = bad(acme, "DROP TABLE t");
      acme.caughtUp();

      Revert.Selection all =
          new Revert.Selection(List.of(one, two, three), null, null, List.of("a", "b", "t"));
      assertThatThrownBy(() -> undo(acme, all))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("cannot be undone together");
      assertThatThrownBy(() ->
              undo(acme, new Revert.Selection(List.of(one, two), null, null, List.of("a", "tt"))))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("tt");

      undo(acme, new Revert.Selection(List.of(one, two), null, null, List.of("a", "b")));
      undo(acme, only("t", three));

      assertThat(
              rows(
                  acme,
                  "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b JOIN a ON a.id"
                      + " = b.a), (SELECT count(*) FROM t), (SELECT v FROM t WHERE id = 1)"))
          .containsExactly("500|500|500|good");
      assertThat(
              rows(
                  acme,
                  "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid ="
                      + " 'b'::regclass"))
          .containsExactly("1");
    }
  }

  @Test
  void an_owner_whose_role_asks_for_other_transactions_can_undo() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE bad (x int8)",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 9) g",
            "ALTER ROLE CURRENT_USER SET default_transaction_isolation = 'serializable'",
            "ALTER DATABASE postgres SET default_transaction_read_only = off")) {
      String one = bad(acme, "UPDATE t SET v = 'bad' WHERE id < 5");
      assertThat(undo(acme, only("t", one)).rowsRestored()).isEqualTo(4);
    }
  }
}
