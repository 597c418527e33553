package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.RowKey;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Tid;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** Reads rows from, and applies plans to, real servers: the newest and the oldest supported. */
class RowsTest {
  @Nested
  class On18 extends Rows {
    On18() {
      super(18);
    }
  }

  @Nested
  class On14 extends Rows {
    On14() {
      super(14);
    }
  }

  @TestInstance(TestInstance.Lifecycle.PER_CLASS)
  abstract static class Rows {
    private final int major;
    private TestServer server;
    private Connection reading;
    private Connection writing;
    private RowReader reader;

    @SuppressWarnings("NullAway.Init") // by start and connect, before every test
    Rows(int major) {
      this.major = major;
    }

    @BeforeAll
    void start() {
      server = TestServer.start(major);
    }

    @AfterAll
    void stop() {
      server.close();
    }

    @BeforeEach
    void connect() {
      server.execute(
          "DROP SCHEMA IF EXISTS \"Odd \"\"Schema\" CASCADE",
          "DROP SCHEMA public CASCADE",
          "CREATE SCHEMA public",
          "GRANT ALL ON SCHEMA public TO public");
      reading = server.connect();
      writing = server.connect();
      reader = new RowReader(reading);
    }

    @AfterEach
    void disconnect() throws SQLException {
      reading.close();
      writing.close();
    }

    @Test
    void every_type_comes_back_exactly_as_it_was() {
      server.execute(
          "CREATE SCHEMA \"Odd \"\"Schema\"",
          "CREATE TYPE public.mood AS ENUM ('sad', 'o''k')",
          "CREATE TYPE public.pair AS (a int, b text)",
          "CREATE DOMAIN public.positive AS numeric(10,3) NOT NULL CHECK (VALUE > 0)",
          "CREATE DOMAIN public.doc AS jsonb",
          """
          CREATE TABLE "Odd ""Schema"."Tab le" (
            "Id col" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            n numeric, f8 float8, f4 float4, b bytea, jb jsonb, j json, ai int[], at text[],
            p public.pair, e public.mood, d public.positive, dd public.doc, ts timestamptz,
            t time, i interval, c char(5), v varchar(7), x text, u uuid, r regclass, rng int4range,
            bo bool, m money, inet inet, bits bit(3), xm xml, tsv tsvector, pt point, oid oid,
            twice numeric GENERATED ALWAYS AS (n * 2) STORED)
          """,
          """
          INSERT INTO "Odd ""Schema"."Tab le" (n, f8, f4, b, jb, j, ai, at, p, e, d, dd, ts, t, i, c, v, x, u, r, rng, bo, m, inet, bits, xm, tsv, pt, oid)
          VALUES (1.500, 0.1::float8 + 0.2, 'NaN', '\\x00ff5c', '{"b": 1.00, "a": "é\\u0041"}', '{ "b":1.0,  "a" : null }',
            '{{1,NULL},{3,4}}', ARRAY['a,b', 'NULL', NULL, '"', '\\', ''], ROW(NULL, 'x,"y'), 'o''k', 1.230, '{"k": [1, 2.50]}',
            '2024-02-29 12:34:56.789+05', '23:59:59.999999', '1 year -3 days 04:05:06.7', 'ab', 'c', E'tab\\t nl\\n cr\\r bs\\\\ dot\\\\. N\\\\N \\x7f \\b \\x0b é €',
            'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'pg_class', '[1,5)', true, 12.34, '10.0.0.1/8', '101', '<a>&lt;</a>', 'fat cat:2A', '(1.5,2)', 4294967295)
          """,
          """
          INSERT INTO "Odd ""Schema"."Tab le" (n, d, p, x, at) VALUES (1.50, 2, ROW(NULL, NULL), '', '{}')
          """,
          "INSERT INTO \"Odd \"\"Schema\".\"Tab le\" (n, d, f8) VALUES (NULL, 3, '-Infinity')");
      Table table = table("Odd \"Schema", "Tab le");
      assertThat(table.shape.generated()).containsExactly("twice");
      assertThat(table.column("dd").content()).isEqualTo(Column.Content.JSONB);
      assertThat(table.column("j").content()).isEqualTo(Column.Content.JSON);
      assertThat(table.column("d").type()).isEqualTo("numeric(10,3)");
      List<Row> rows = table.rows();
      assertThat(rows.get(0).value(table.position("n"))).isEqualTo("1.500");
      assertThat(rows.get(0).value(table.position("f8"))).isEqualTo("0.30000000000000004");
      assertThat(rows.get(0).value(table.position("x")))
          .isEqualTo("tab\t nl\n cr\r bs\\ dot\\. N\\N \u007f \b \u000b é €");
      assertThat(rows.get(1).value(table.position("p"))).isEqualTo("(,)");
      assertThat(rows.get(2).value(table.position("p"))).isNull();
      String sql =
          "SELECT q::text, q.p IS NOT DISTINCT FROM NULL FROM \"Odd \"\"Schema\".\"Tab le\" q ORDER BY 1";
      List<String> before = server.query(sql);

      List<RowChange> deletes = new ArrayList<>();
      rows.forEach(row -> deletes.add(new RowChange.Delete(row)));
      assertThat(apply(table, deletes).deleted()).isEqualTo(3);
      assertThat(table.rows()).isEmpty();

      List<RowChange> inserts = new ArrayList<>();
      rows.forEach(row -> inserts.add(new RowChange.Insert(row)));
      assertThat(apply(table, inserts).inserted()).isEqualTo(3);
      assertThat(server.query(sql)).isEqualTo(before);

      // Every value of the second row that may change becomes that of the first.
      Row wanted = table.with(rows.get(0), "Id col", "2");
      assertThat(apply(table, List.of(new RowChange.Update(rows.get(1), wanted))).updated())
          .isEqualTo(1);
      assertThat(table.rows()).contains(wanted);
      apply(table, List.of(new RowChange.Update(wanted, rows.get(1))));
      assertThat(server.query(sql)).isEqualTo(before);
    }

    @Test
    void rows_are_found_by_place_and_by_key() {
      server.execute(
          "CREATE TABLE k (a text, b int, c char(4), x text, PRIMARY KEY (b, a, c))",
          "INSERT INTO k SELECT 'it''s \"' || i || '\\', i % 2, 'c' || i, 'x' || i FROM generate_series(1, 500) i");
      Table table = table("public", "k");
      assertThat(table.shape.key()).containsExactly(2, 1, 3);
      Row one = Row.of("it's \"1\\", "1", "c1  ", "x1");
      Row two = Row.of("it's \"2\\", "0", "c2  ", "x2");
      assertThat(at(table, new Tid(0, 2), new Tid(0, 9999), new Tid(77777, 1), new Tid(0, 1)))
          .containsOnly(Map.entry(0, two), Map.entry(3, one));
      // So close together that whole pages are read: what was not asked for is left out.
      assertThat(at(table, new Tid(0, 2), new Tid(0, 1), new Tid(0, 2)))
          .containsOnly(Map.entry(0, two), Map.entry(1, one), Map.entry(2, two));
      assertThat(at(table, new Tid(0, 3), new Tid(0, 1)))
          .containsOnlyKeys(0, 1)
          .containsEntry(1, one);
      List<RowKey> keys = new ArrayList<>();
      table.rows().forEach(row -> keys.add(row.key(table.key())));
      keys.add(RowKey.copyOf(List.of("1", "none", "c1  ")));
      Map<RowKey, Row> found = reader.byKey(table.oid, table.shape.columns(), keys);
      assertThat(found).hasSize(500);
      assertThat(found.get(RowKey.copyOf(List.of("0", "it's \"2\\", "c2  "))))
          .isEqualTo(Row.of("it's \"2\\", "0", "c2  ", "x2"));
      assertThat(reader.count(table.name())).isEqualTo(500);
    }

    @Test
    void the_key_is_the_primary_one_else_any_that_is_unique_and_never_null() {
      server.execute(
          "CREATE TABLE a (x int UNIQUE, y int NOT NULL)",
          "CREATE TABLE b (x int, y int NOT NULL UNIQUE, z int NOT NULL)",
          "CREATE UNIQUE INDEX ON b (z) WHERE x > 0",
          "CREATE TABLE c (x int NOT NULL UNIQUE DEFERRABLE)");
      assertThat(table("public", "a").shape.key()).isEmpty();
      assertThat(table("public", "b").shape.key()).containsExactly(2);
      assertThat(table("public", "c").shape.key()).isEmpty();
      assertThat(reader.shape(999_999_999L)).isEmpty();
      assertThat(reader.oid(new TableName("public", "none"))).isEmpty();
    }

    @Test
    void a_row_that_differs_from_the_plan_refuses_all_of_it() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)",
          "INSERT INTO t SELECT i, 'now' FROM generate_series(1, 5) i");
      Table table = table("public", "t");
      List<RowChange> changes = new ArrayList<>();
      table
          .rows()
          .forEach(row -> changes.add(new RowChange.Update(row, table.with(row, "v", "wanted"))));
      server.execute("UPDATE t SET v = 'since' WHERE id IN (2, 3)", "DELETE FROM t WHERE id = 4");
      OperatorException refused = refused(() -> apply(table, changes));
      assertThat(refused.kind()).isEqualTo(Kind.REFUSED);
      assertThat(refused)
          .hasMessage(
              "cannot apply the plan: rows changed since the plan was made: 3 rows of public.t are not what the plan expects (id=2; id=3; id=4); next: nothing was written; run revert again to see the plan as it is now");
      assertThat(server.query("SELECT count(*) FROM t WHERE v = 'wanted'")).containsExactly("0");
    }

    @Test
    void a_row_that_somebody_is_writing_is_waited_for_and_compared_as_it_is_then()
        throws Exception {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text, n numeric)",
          "INSERT INTO t SELECT i, 'now', 1.50 FROM generate_series(1, 3) i");
      Table table = table("public", "t");
      List<RowChange> changes = new ArrayList<>();
      table
          .rows()
          .forEach(row -> changes.add(new RowChange.Update(row, table.with(row, "v", "wanted"))));
      try (Connection other = server.connect();
          Statement statement = other.createStatement()) {
        other.setAutoCommit(false);
        statement.execute("UPDATE t SET n = 1.5 WHERE id = 2"); // equal, and written otherwise
        CompletableFuture<OperatorException> applied =
            CompletableFuture.supplyAsync(() -> refused(() -> apply(table, changes)));
        awaitLockedOut(other);
        other.commit();
        assertThat(applied.get(30, TimeUnit.SECONDS).why())
            .isEqualTo(
                "rows changed since the plan was made: 1 rows of public.t are not what the plan expects (id=2)");
        assertThat(server.query("SELECT count(*) FROM t WHERE v = 'wanted'")).containsExactly("0");

        statement.execute("UPDATE t SET n = 1.50 WHERE id = 2"); // as the plan has it
        CompletableFuture<PlanApplier.Applied> again =
            CompletableFuture.supplyAsync(() -> apply(table, changes));
        awaitLockedOut(other);
        other.commit();
        assertThat(again.get(30, TimeUnit.SECONDS).updated()).isEqualTo(3);
      }
    }

    /** Until somebody waits for a transaction of this connection. */
    private void awaitLockedOut(Connection holder) throws InterruptedException {
      String waiting =
          "SELECT count(*) FROM pg_stat_activity WHERE "
              + pid(holder)
              + " = ANY (pg_blocking_pids(pid))";
      for (int attempt = 0; !server.value(waiting).equals("1"); attempt++) {
        assertThat(attempt).isLessThan(300);
        Thread.sleep(20); // a lock that is waited for wakes nobody else
      }
    }

    @Test
    void rows_moved_since_the_plan_are_found_by_their_key() {
      server.execute(
          "CREATE COLLATION public.insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
          """
          CREATE TABLE t (tenant text COLLATE public.insensitive, id int GENERATED ALWAYS AS IDENTITY,
            v text, twice text GENERATED ALWAYS AS (v || v) STORED, PRIMARY KEY (tenant, id))
            WITH (fillfactor = 50)
          """,
          "ALTER TABLE t REPLICA IDENTITY FULL",
          "INSERT INTO t (tenant, v) SELECT 'Tenant ' || i % 3, 'now ' || i FROM generate_series(1, 200) i");
      Table table = table("public", "t");
      List<RowChange> changes = new ArrayList<>();
      table
          .rows()
          .forEach(row -> changes.add(new RowChange.Update(row, table.with(row, "v", "wanted"))));
      server.execute(
          "UPDATE t SET v = v", "DELETE FROM t WHERE id = 200", "VACUUM FULL t"); // other places
      List<RowChange> left = changes.subList(0, 199);
      assertThat(apply(table, left).updated()).isEqualTo(199);
      assertThat(
              server.value("SELECT count(*) FROM t WHERE v = 'wanted' AND twice = 'wantedwanted'"))
          .isEqualTo("199");
      assertThat(refused(() -> apply(table, changes)).why())
          .isEqualTo(
              "rows changed since the plan was made: 200 rows of public.t are not what the plan expects (tenant=Tenant 1, id=1; tenant=Tenant 2, id=2; tenant=Tenant 0, id=3)");
    }

    @Test
    void long_and_awkward_values_are_compared_in_every_encoding() throws SQLException {
      server.execute(
          "DROP DATABASE IF EXISTS western",
          "CREATE DATABASE western TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
      for (String database : List.of("postgres", "western")) {
        server.executeIn(
            database,
            "CREATE TABLE t (id int PRIMARY KEY, v text, w text)",
            "INSERT INTO t VALUES (1, '\u00e9''\\', '#'), (2, NULL, repeat('\u00e9', 5000)), (3, '', E'\\t\\n')");
        try (Connection writer = server.connect(database);
            Connection readers = server.connect(database)) {
          RowReader in = new RowReader(readers);
          long oid = in.oid(new TableName("public", "t")).orElseThrow();
          TableShape shape = in.shape(oid).orElseThrow();
          List<RowChange> changes = new ArrayList<>();
          in.all(
              shape.name(),
              shape.columns(),
              row ->
                  changes.add(
                      new RowChange.Update(
                          row,
                          Row.of(
                              row.value(0),
                              "1".equals(row.value(0)) ? "x".repeat(300) : row.value(1) + "'\\",
                              row.value(2)))));
          List<TableChanges> plan =
              List.of(
                  new TableChanges(
                      oid, shape.columns(), 3, List.of(0), sink -> changes.forEach(sink::accept)));
          server.executeIn(database, "UPDATE t SET w = w || '.' WHERE id = 2");
          assertThat(refused(() -> new PlanApplier(writer).apply(plan)).why())
              .endsWith("1 rows of public.t are not what the plan expects (id=2)");
          server.executeIn(database, "UPDATE t SET w = left(w, -1) WHERE id = 2");
          assertThat(new PlanApplier(writer).apply(plan).updated()).isEqualTo(3);
        }
        assertThat(server.queryIn(database, "SELECT v FROM t ORDER BY id"))
            .containsExactly("x".repeat(300), "null'\\", "'\\");
      }
    }

    @Test
    void an_update_that_no_longer_reads_back_the_same_is_refused() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, n numeric, v text)",
          "INSERT INTO t VALUES (1, 2, 'x')");
      Table table = table("public", "t");
      // As if it had been numeric(3,1) when the plan was made: what is written is rounded.
      List<Column> columns = new ArrayList<>(table.shape.columns());
      columns.set(1, new Column(2, "n", "numeric(3,1)", Column.Content.PLAIN));
      TableShape other =
          new TableShape(table.name(), columns, table.shape.key(), table.shape.generated());
      server.execute("ALTER TABLE t ALTER n TYPE numeric(3,1)");
      assertThat(
              refused(() ->
                      new PlanApplier(writing)
                          .apply(
                              List.of(
                                  new TableChanges(
                                      table.oid,
                                      other.columns(),
                                      3,
                                      List.of(0),
                                      sink ->
                                          sink.accept(
                                              new RowChange.Update(
                                                  Row.of("1", "2.0", "x"),
                                                  Row.of("1", "1.25", "x")))))))
                  .why())
          .isEqualTo(
              "of 1 rows written to public.t, 1 do not read back as planned (1 were to be written): a column's type has changed since");
      assertThat(server.query("SELECT n FROM t")).containsExactly("2.0");
    }

    @Test
    void an_updated_row_must_still_have_its_parent() {
      server.execute(
          "CREATE TABLE parent (id int PRIMARY KEY)",
          "INSERT INTO parent VALUES (1), (2)",
          "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent)",
          "INSERT INTO child VALUES (1, 1), (2, 1)");
      Table child = table("public", "child");
      assertThat(
              refused(() ->
                      apply(
                          child,
                          List.of(
                              new RowChange.Update(Row.of("1", "1"), Row.of("1", "2")),
                              new RowChange.Update(Row.of("2", "1"), Row.of("2", "7")))))
                  .why())
          .isEqualTo(
              "foreign key child_p_fkey of public.child would not hold: rows to restore in public.child refer to rows that public.parent no longer has (1, such as p=7)");
      apply(child, List.of(new RowChange.Update(Row.of("1", "1"), Row.of("1", "2"))));
      assertThat(child.rows()).contains(Row.of("1", "2"));
    }

    @Test
    void changes_given_while_they_are_planned_are_applied_to_the_table_as_it_was() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)",
          "INSERT INTO t SELECT i, 'now' FROM generate_series(1, 3) i",
          "CREATE TABLE other (v text)",
          "INSERT INTO other VALUES ('twice'), ('twice')");
      Table table = table("public", "t");
      Table other = table("public", "other");
      List<TableChanges> plan = List.of(table.changes(List.of()), other.changes(List.of()));
      List<RowChange> wanted =
          List.of(
              new RowChange.Update(Row.of("1", "now"), Row.of("1", "wanted")),
              new RowChange.Delete(Row.of("2", "now")),
              new RowChange.Insert(Row.of("4", "wanted")));
      for (String between :
          List.of(
              "ALTER TABLE t ADD COLUMN w text",
              "CREATE UNIQUE INDEX ON t (v, id)",
              "UPDATE t SET v = 'since' WHERE id = 1")) {
        try (Connection writer = outOfAutoCommit()) {
          PlanApplier applier = new PlanApplier(writer);
          stage(applier, table, wanted);
          server.execute(between);
          assertThat(refused(() -> applier.applyInTransaction(plan)).kind())
              .as(between)
              .isEqualTo(Kind.REFUSED);
          writer.rollback();
          server.execute(
              "ALTER TABLE t DROP COLUMN IF EXISTS w", "DROP INDEX IF EXISTS t_v_id_idx");
        } catch (SQLException e) {
          throw new IllegalStateException(e);
        }
      }
      server.execute("UPDATE t SET v = 'now' WHERE id = 1");
      try (Connection writer = outOfAutoCommit()) {
        PlanApplier applier = new PlanApplier(writer);
        stage(applier, table, wanted);
        stage(applier, other, List.of(new RowChange.Delete(Row.of("twice"))));
        assertThat(server.value("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass"))
            .isEqualTo("0");
        assertThat(applier.applyInTransaction(plan).rows()).isEqualTo(4);
        writer.commit();
      } catch (SQLException e) {
        throw new IllegalStateException(e);
      }
      assertThat(table.rows())
          .containsExactlyInAnyOrder(
              Row.of("1", "wanted"), Row.of("3", "now"), Row.of("4", "wanted"));
      assertThat(other.rows()).containsExactly(Row.of("twice"));
    }

    private Connection outOfAutoCommit() throws SQLException {
      Connection made = server.connect();
      made.setAutoCommit(false);
      return made;
    }

    private void stage(PlanApplier applier, Table table, List<RowChange> changes) {
      try (PlanApplier.Ahead ahead = applier.stage(table.changes(List.of()))) {
        changes.forEach(ahead::accept);
        ahead.end();
      }
    }

    @Test
    void a_table_wider_than_a_function_takes_arguments_is_changed_in_each_rows_own_columns() {
      StringBuilder columns = new StringBuilder();
      for (int i = 1; i <= 250; i++) {
        columns.append(", c").append(i).append(" text");
      }
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY" + columns + ")",
          "INSERT INTO t (id, c1, c100, c250) VALUES (1, 'a', 'b', 'c'), (2, 'a', NULL, 'c')");
      Table table = table("public", "t");
      List<RowChange> changes = new ArrayList<>();
      for (Row row : table.rows()) {
        Row wanted = table.with(row, "c100", "it's");
        changes.add(
            new RowChange.Update(
                row, "2".equals(row.value(0)) ? table.with(wanted, "c250", "\\") : wanted));
      }
      apply(table, changes);
      assertThat(server.query("SELECT id, c1, c100, c250 FROM t ORDER BY id"))
          .containsExactly("1|a|it's|c", "2|a|it's|\\");
      Row planned = table.with(table.rows().getFirst(), "c249", "other");
      assertThat(refused(() -> apply(table, List.of(new RowChange.Delete(planned)))).kind())
          .isEqualTo(Kind.REFUSED);
    }

    @Test
    void a_key_that_is_used_again_refuses_the_plan() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'new')");
      Table table = table("public", "t");
      assertThat(
              refused(() -> apply(table, List.of(new RowChange.Insert(Row.of("1", "old"))))).why())
          .isEqualTo(
              "rows changed since the plan was made: 1 rows of public.t to put back have a key that is used again (id=1)");
      assertThat(table.rows()).containsExactly(Row.of("1", "new"));
    }

    @Test
    void rows_without_a_key_are_matched_by_their_number() {
      server.execute(
          "CREATE TABLE t (a int, b text)",
          "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (1, 'x'), (NULL, NULL), (2, 'y')");
      Table table = table("public", "t");
      Row x = Row.of("1", "x");
      apply(
          table,
          List.of(
              new RowChange.Update(x, Row.of("7", "x")),
              new RowChange.Delete(x),
              new RowChange.Delete(Row.of(null, null)),
              new RowChange.Insert(Row.of("9", null))));
      assertThat(server.query("SELECT * FROM t ORDER BY a"))
          .containsExactly("1|x", "2|y", "7|x", "9|null");
      assertThat(
              refused(() -> apply(table, List.of(new RowChange.Delete(x), new RowChange.Delete(x))))
                  .why())
          .isEqualTo(
              "rows changed since the plan was made: 1 rows of public.t are not what the plan expects");
    }

    @Test
    void rows_may_exchange_unique_values() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, added text DEFAULT 'd')",
          "INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c')");
      Table table = table("public", "t");
      apply(
          table,
          List.of(
              new RowChange.Update(Row.of("1", "10", "a"), Row.of("2", "20", "a")),
              new RowChange.Update(Row.of("2", "20", "b"), Row.of("3", "10", "b")),
              new RowChange.Update(Row.of("3", "30", "c"), Row.of("1", "30", "c"))));
      assertThat(server.query("SELECT * FROM t ORDER BY id"))
          .containsExactly("1|30|c", "2|20|a", "3|10|b");
    }

    @Test
    void triggers_stay_silent_and_as_they_were() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)",
          "INSERT INTO t VALUES (1, 'now')",
          "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$",
          "CREATE TRIGGER o BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fail()",
          "CREATE TRIGGER a BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fail()",
          "CREATE TRIGGER r AFTER UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION fail()",
          "CREATE TRIGGER d BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fail()",
          "ALTER TABLE t ENABLE ALWAYS TRIGGER a",
          "ALTER TABLE t ENABLE REPLICA TRIGGER r",
          "ALTER TABLE t DISABLE TRIGGER d");
      String states = "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1";
      List<String> before = server.query(states);
      Table table = table("public", "t");
      apply(table, List.of(new RowChange.Update(Row.of("1", "now"), Row.of("1", "wanted"))));
      assertThat(table.rows()).containsExactly(Row.of("1", "wanted"));
      assertThat(server.query(states)).isEqualTo(before);
      assertThat(server.value("SHOW session_replication_role")).isEqualTo("origin");
    }

    @Test
    void an_owner_who_is_no_superuser_can_apply_and_no_trigger_fires_nor_constraint_cascades()
        throws SQLException {
      server.execute(
          "DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
          "CREATE TABLE parent (id int PRIMARY KEY, v text)",
          "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE)",
          "ALTER TABLE parent OWNER TO app",
          "ALTER TABLE child OWNER TO app",
          "ALTER TABLE parent ENABLE ROW LEVEL SECURITY",
          "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$",
          "CREATE TRIGGER o BEFORE UPDATE OR INSERT OR DELETE ON parent FOR EACH ROW EXECUTE FUNCTION fail()",
          "ALTER TABLE parent DISABLE TRIGGER o",
          "INSERT INTO parent VALUES (1, 'now'), (2, 'now')",
          "INSERT INTO child VALUES (1, 1)",
          "ALTER TABLE parent ENABLE TRIGGER o");
      Table parent = table("public", "parent");
      Table child = table("public", "child");
      try (Connection app =
          DriverManager.getConnection(
              "jdbc:postgresql://127.0.0.1:" + server.server().port() + "/postgres", "app", "")) {
        PlanApplier applier = new PlanApplier(app, Duration.ofSeconds(5));
        applier.apply(
            List.of(
                child.changes(List.of(new RowChange.Insert(Row.of("2", "3")))),
                parent.changes(
                    List.of(
                        new RowChange.Insert(Row.of("3", "back")),
                        new RowChange.Delete(Row.of("2", "now")),
                        new RowChange.Update(Row.of("1", "now"), Row.of("1", "wanted"))))));
        assertThat(server.query("SELECT * FROM parent ORDER BY id"))
            .containsExactly("1|wanted", "3|back");
        assertThat(server.value("SELECT tgenabled FROM pg_trigger WHERE tgname = 'o'"))
            .isEqualTo("O");
        OperatorException refused =
            refused(() ->
                applier.apply(
                    List.of(parent.changes(List.of(new RowChange.Delete(Row.of("1", "wanted")))))));
        assertThat(refused.why())
            .isEqualTo(
                "foreign key child_p_fkey of public.child would not hold: rows of public.child refer to rows that would go or change, and would be deleted or changed by the constraint (1, such as p=1)");
        assertThat(server.value("SELECT count(*) FROM child")).isEqualTo("2");
      }
    }

    @Test
    void who_may_not_write_or_see_the_rows_is_told_so() throws SQLException {
      server.execute(
          "DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
          "CREATE TABLE t (id int PRIMARY KEY, v text)",
          "CREATE TABLE s (id int PRIMARY KEY, v text)",
          "ALTER TABLE s ENABLE ROW LEVEL SECURITY",
          "GRANT ALL ON s TO stranger",
          "GRANT SELECT ON t TO stranger",
          "INSERT INTO t VALUES (1, 'now')",
          "INSERT INTO s VALUES (1, 'now')");
      Table t = table("public", "t");
      Table s = table("public", "s");
      List<RowChange> changes =
          List.of(new RowChange.Update(Row.of("1", "now"), Row.of("1", "wanted")));
      try (Connection stranger =
          DriverManager.getConnection(
              "jdbc:postgresql://127.0.0.1:" + server.server().port() + "/postgres",
              "stranger",
              "")) {
        PlanApplier applier = new PlanApplier(stranger);
        OperatorException noPrivilege = refused(() -> applier.apply(List.of(t.changes(changes))));
        assertThat(noPrivilege.kind()).isEqualTo(Kind.REFUSED);
        assertThat(noPrivilege.why()).isEqualTo("permission denied for table t");
        OperatorException policies = refused(() -> applier.apply(List.of(s.changes(changes))));
        assertThat(policies.why())
            .isEqualTo("query would be affected by row-level security policy for table \"s\"");
        assertThat(policies.next()).contains("BYPASSRLS");
        assertThatThrownBy(() -> new RowReader(stranger).all(s.name(), s.shape.columns(), _ -> {}))
            .isInstanceOf(OperatorException.class)
            .hasMessageContaining("row-level security policy");
      }
    }

    @Test
    void a_restored_row_must_still_have_its_parent() {
      server.execute(
          "CREATE TABLE parent (id int PRIMARY KEY)",
          "CREATE TABLE child (id int PRIMARY KEY, \"P\" int REFERENCES parent)");
      Table child = table("public", "child");
      OperatorException refused =
          refused(() -> apply(child, List.of(new RowChange.Insert(Row.of("1", "7")))));
      assertThat(refused.kind()).isEqualTo(Kind.REFUSED);
      assertThat(refused.why())
          .isEqualTo(
              "foreign key child_P_fkey of public.child would not hold: rows to restore in public.child refer to rows that public.parent no longer has (1, such as P=7)");
      assertThat(child.rows()).isEmpty();
      apply(child, List.of(new RowChange.Insert(Row.of("1", null))));
    }

    @Test
    void a_row_that_others_refer_to_is_not_taken_out() {
      server.execute(
          "CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE)",
          "CREATE TABLE child (id int PRIMARY KEY, code text REFERENCES parent (code) ON DELETE CASCADE)",
          "INSERT INTO parent VALUES (1, 'a'), (2, 'b')",
          "INSERT INTO child VALUES (1, 'a')");
      Table parent = table("public", "parent");
      String why =
          "foreign key child_code_fkey of public.child would not hold: rows of public.child refer to rows of public.parent that undoing takes out or renumbers (1, such as code=a)";
      assertThat(
              refused(() -> apply(parent, List.of(new RowChange.Delete(Row.of("1", "a"))))).why())
          .isEqualTo(why);
      assertThat(
              refused(() ->
                      apply(
                          parent,
                          List.of(new RowChange.Update(Row.of("1", "a"), Row.of("1", "c")))))
                  .why())
          .isEqualTo(why);
      assertThat(server.value("SELECT count(*) FROM child")).isEqualTo("1");
      apply(parent, List.of(new RowChange.Update(Row.of("2", "b"), Row.of("2", "z"))));
    }

    @Test
    void tables_that_refer_to_each_other_and_to_themselves_come_back_together() {
      server.execute(
          "CREATE TABLE a (id int PRIMARY KEY, b int, boss int REFERENCES a)",
          "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)",
          "ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b");
      Table a = table("public", "a");
      Table b = table("public", "b");
      List<TableChanges> plan =
          List.of(
              a.changes(
                  List.of(
                      new RowChange.Insert(Row.of("1", "1", "2")),
                      new RowChange.Insert(Row.of("2", null, "1")))),
              b.changes(List.of(new RowChange.Insert(Row.of("1", "1")))));
      new PlanApplier(writing).apply(plan);
      assertThat(server.query("SELECT * FROM a ORDER BY id")).containsExactly("1|1|2", "2|null|1");
      assertThat(server.query("SELECT * FROM b")).containsExactly("1|1");
    }

    @Test
    void partitions_are_written_one_by_one_and_their_keys_checked() {
      server.execute(
          "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
          "CREATE TABLE p2 (v text, gone int, id int NOT NULL)",
          "ALTER TABLE p2 DROP gone",
          "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
          "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)",
          "CREATE TABLE child (p int REFERENCES p)",
          "INSERT INTO p VALUES (1, 'a'), (11, 'b'), (12, 'c')",
          "INSERT INTO child VALUES (11)");
      Table p2 = table("public", "p2");
      assertThat(p2.rows()).containsExactly(Row.of("b", "11"), Row.of("c", "12"));
      assertThat(refused(() -> apply(p2, List.of(new RowChange.Delete(Row.of("b", "11"))))).why())
          .startsWith("foreign key child_p_fkey of public.child would not hold");
      apply(
          p2,
          List.of(
              new RowChange.Delete(Row.of("c", "12")), new RowChange.Insert(Row.of("n", "13"))));
      assertThat(server.query("SELECT * FROM p ORDER BY id"))
          .containsExactly("1|a", "11|b", "13|n");
    }

    @Test
    void rows_put_back_take_the_defaults_of_columns_added_since() {
      server.execute("CREATE TABLE t (id int PRIMARY KEY, v text, added text DEFAULT 'fresh')");
      Table table = table("public", "t");
      new PlanApplier(writing)
          .apply(
              List.of(
                  new TableChanges(
                      table.oid,
                      table.shape.columns(),
                      2,
                      table.key(),
                      sink -> sink.accept(new RowChange.Insert(Row.of("1", "back"))))));
      assertThat(table.rows()).containsExactly(Row.of("1", "back", "fresh"));
    }

    @Test
    void a_value_that_no_longer_reads_back_the_same_is_refused() {
      server.execute("CREATE TABLE t (id int PRIMARY KEY, v numeric(10,1))");
      Table table = table("public", "t");
      OperatorException refused =
          refused(() -> apply(table, List.of(new RowChange.Insert(Row.of("1", "1.25")))));
      assertThat(refused.why())
          .isEqualTo(
              "of 1 rows written to public.t, 1 do not read back as planned (1 were to be written): a column's type has changed since");
      assertThat(table.rows()).isEmpty();
    }

    @Test
    void a_lock_held_too_long_is_named_and_nothing_is_written() throws SQLException {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'now')");
      Table table = table("public", "t");
      try (Connection holder = server.connect();
          Statement statement = holder.createStatement()) {
        holder.setAutoCommit(false);
        statement.execute("SET application_name = 'batch'");
        statement.execute("UPDATE t SET v = v");
        OperatorException refused =
            refused(() ->
                new PlanApplier(writing, Duration.ofMillis(200))
                    .apply(
                        List.of(
                            table.changes(
                                List.of(
                                    new RowChange.Update(
                                        Row.of("1", "now"), Row.of("1", "wanted")))))));
        assertThat(refused.kind()).isEqualTo(Kind.FAILED);
        assertThat(refused.why())
            .startsWith(
                "a lock could not be had within 200 ms: canceling statement due to lock timeout; held: RowExclusiveLock on public.t by PID ")
            .endsWith("(user postgres, application batch)");
        holder.rollback();
      }
      assertThat(table.rows()).containsExactly(Row.of("1", "now"));
      apply(table, List.of(new RowChange.Update(Row.of("1", "now"), Row.of("1", "wanted"))));
    }

    @Test
    void a_connection_lost_half_way_leaves_production_whole() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)",
          "INSERT INTO t SELECT i, 'now' FROM generate_series(1, 2000) i");
      Table table = table("public", "t");
      int pid = pid(writing);
      TableChanges dying =
          new TableChanges(
              table.oid,
              table.shape.columns(),
              2,
              table.key(),
              sink -> {
                for (int id = 1; id <= 2000; id++) {
                  sink.accept(
                      new RowChange.Update(Row.of("" + id, "now"), Row.of("" + id, "wanted")));
                  if (id == 1000) {
                    server.execute("SELECT pg_terminate_backend(" + pid + ")");
                  }
                }
              });
      assertThat(refused(() -> new PlanApplier(writing).apply(List.of(dying))).kind())
          .isEqualTo(Kind.DATABASE_UNREACHABLE);
      assertThat(server.value("SELECT count(*) FROM t WHERE v <> 'now'")).isEqualTo("0");
    }

    @Test
    void columns_changed_since_the_plan_refuse_it() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'now')");
      Table table = table("public", "t");
      server.execute("ALTER TABLE t ADD COLUMN w int");
      assertThat(
              refused(() ->
                      apply(
                          table,
                          List.of(new RowChange.Update(Row.of("1", "now"), Row.of("1", "x")))))
                  .why())
          .isEqualTo("table public.t has other columns or another key than when the plan was made");
    }

    @Test
    void a_plan_of_many_rows_needs_no_memory_for_them() {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v text)",
          "INSERT INTO t SELECT i, repeat('n', 100) FROM generate_series(1, 100000) i");
      Table table = table("public", "t");
      try (RowChangeSpool spool = RowChangeSpool.create()) {
        reader.all(
            table.name(),
            table.shape.columns(),
            row -> spool.accept(new RowChange.Update(row, table.with(row, "v", "w"))));
        assertThat(spool.count()).isEqualTo(100_000);
        PlanApplier.Applied applied =
            new PlanApplier(writing)
                .apply(
                    List.of(
                        new TableChanges(table.oid, table.shape.columns(), 2, table.key(), spool)));
        assertThat(applied.rows()).isEqualTo(100_000);
      }
      assertThat(server.value("SELECT count(*) FROM t WHERE v = 'w'")).isEqualTo("100000");
    }

    /** By which of the places asked for. */
    private Map<Integer, Row> at(Table table, Tid... tids) {
      Map<Integer, Row> rows = new HashMap<>();
      reader.at(
          table.name(),
          table.shape.columns(),
          java.util.Arrays.stream(tids).mapToLong(Tid::pack).toArray(),
          (request, _, row) -> rows.put(request, row.read()));
      return rows;
    }

    private PlanApplier.Applied apply(Table table, List<RowChange> changes) {
      return new PlanApplier(writing).apply(List.of(table.changes(changes)));
    }

    private static OperatorException refused(Runnable doing) {
      OperatorException thrown = catchThrowableOfType(OperatorException.class, doing::run);
      assertThat(thrown).isNotNull();
      return thrown;
    }

    private static int pid(Connection connection) {
      try (Statement statement = connection.createStatement();
          var row = statement.executeQuery("SELECT pg_backend_pid()")) {
        row.next();
        return row.getInt(1);
      } catch (SQLException e) {
        throw new IllegalStateException(e);
      }
    }

    private Table table(String schema, String name) {
      long oid = reader.oid(new TableName(schema, name)).orElseThrow();
      return new Table(oid, reader.shape(oid).orElseThrow());
    }

    /** A table as a test reads and changes it. */
    private final class Table {
      private final long oid;
      private final TableShape shape;

      private Table(long oid, TableShape shape) {
        this.oid = oid;
        this.shape = shape;
      }

      TableName name() {
        return shape.name();
      }

      int position(String column) {
        return IntStream.range(0, shape.columns().size())
            .filter(i -> shape.columns().get(i).name().equals(column))
            .findFirst()
            .orElseThrow();
      }

      Column column(String name) {
        return shape.columns().get(position(name));
      }

      List<Integer> key() {
        Map<Integer, Integer> positions = new HashMap<>();
        for (int i = 0; i < shape.columns().size(); i++) {
          positions.put(shape.columns().get(i).number(), i);
        }
        return shape.key().stream()
            .map(positions::get)
            .map(java.util.Objects::requireNonNull)
            .toList();
      }

      List<Row> rows() {
        List<Row> rows = new ArrayList<>();
        reader.all(name(), shape.columns(), rows::add);
        return rows;
      }

      Row with(Row row, String column, String value) {
        List<@org.jspecify.annotations.Nullable String> values = new ArrayList<>(row.values());
        values.set(position(column), value);
        return Row.copyOf(values);
      }

      TableChanges changes(List<RowChange> changes) {
        return new TableChanges(
            oid,
            shape.columns(),
            shape.columns().size(),
            key(),
            sink -> changes.forEach(sink::accept));
      }
    }
  }
}
