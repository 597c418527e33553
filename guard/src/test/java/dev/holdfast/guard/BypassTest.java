package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.GuardedServer.Database;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.postgresql.PGConnection;

/** Ways around the guard, each tried: nothing is lost by any of them. */
@ParameterizedClass
@MethodSource("majors")
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class BypassTest {
  @Parameter int major;

  static List<Integer> majors() {
    return GuardedServers.majors();
  }

  @AfterAll
  static void stop() {
    GuardedServers.stop();
  }

  @AfterEach
  void the_guard_met_no_error_of_its_own() {
    assertThat(GuardedServers.of(major).guardErrors()).isEmpty();
  }

  private Database production() throws SQLException {
    Database database = GuardedServers.of(major).guarded("production");
    for (String rule : List.of("mass-delete", "mass-update", "json-keys-lost")) {
      database.set(rule, "enforce");
    }
    return database;
  }

  /** Tries each of these transactions: all are refused, and nothing is lost. */
  private static void allRefused(Database database, String... transactions) {
    List<String> before = database.contents();
    for (String transaction : transactions) {
      database.refusal(transaction);
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void a_replica_role_silences_nothing() throws SQLException {
    Database database = production();
    List<String> before = database.contents();
    for (String sql :
        List.of(
            "DROP TABLE orders",
            "TRUNCATE orders",
            "DELETE FROM orders",
            "UPDATE users SET name = 'x'",
            "UPDATE users SET data = '{\"phone\": 1}' WHERE id = 7")) {
      database.refusal("SET session_replication_role = replica", sql);
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void triggers_cannot_be_disabled_dropped_or_renamed() throws SQLException {
    Database database = production();
    allRefused(
        database,
        "ALTER TABLE users DISABLE TRIGGER ALL",
        "ALTER TABLE users DISABLE TRIGGER USER",
        "ALTER TABLE users DISABLE TRIGGER holdfast_truncate",
        "ALTER TABLE users ENABLE REPLICA TRIGGER holdfast_delete",
        "DROP TRIGGER holdfast_delete ON users",
        "DROP TRIGGER holdfast_json ON users",
        "ALTER TRIGGER holdfast_truncate ON users RENAME TO mine");
  }

  @Test
  void a_trigger_made_less_than_always_is_put_right_again() throws SQLException {
    Database database = production();
    database.execute("ALTER TABLE users ENABLE TRIGGER holdfast_delete");
    assertThat(
            database.value(
                "SELECT tgenabled FROM pg_trigger WHERE tgname = 'holdfast_delete' AND tgrelid = 'users'::regclass"))
        .isEqualTo("A");
  }

  @Test
  void the_schema_and_its_functions_cannot_be_dropped_renamed_or_replaced() throws SQLException {
    Database database = production();
    allRefused(
        database,
        "DROP SCHEMA holdfast CASCADE",
        "DROP SCHEMA holdfast_sentinel CASCADE",
        "DROP SCHEMA holdfast, holdfast_sentinel CASCADE",
        "ALTER SCHEMA holdfast RENAME TO gone",
        "ALTER SCHEMA holdfast_sentinel RENAME TO gone",
        "DROP FUNCTION holdfast.deleted() CASCADE",
        "DROP FUNCTION holdfast.dropped() CASCADE",
        "DROP FUNCTION holdfast_sentinel.dropped() CASCADE",
        "DROP TABLE holdfast.rule CASCADE",
        "ALTER TABLE holdfast.rule RENAME TO gone",
        "CREATE OR REPLACE FUNCTION holdfast.deleted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "ALTER FUNCTION holdfast.judge(text, text, jsonb) RENAME TO gone",
        "DO $$ BEGIN EXECUTE 'DROP SCHEMA hold' || 'fast CASCADE'; END $$");
  }

  @Test
  void an_owner_who_is_no_superuser_is_refused_as_well() throws SQLException {
    Database database = production();
    String owner = "owner_of_" + database.name();
    database.execute(
        "CREATE ROLE " + owner + " LOGIN",
        "ALTER TABLE users OWNER TO " + owner,
        "ALTER TABLE orders OWNER TO " + owner);
    allRefused(
        database.as(owner),
        "DROP TABLE users CASCADE",
        "DELETE FROM orders",
        "TRUNCATE orders",
        "UPDATE users SET data = '{}'",
        "ALTER TABLE users DISABLE TRIGGER USER",
        "ALTER TABLE users DROP COLUMN data",
        "DROP OWNED BY " + owner + " CASCADE",
        "DROP OWNED BY current_user CASCADE");
    try {
      database.as(owner).execute("UPDATE holdfast.rule SET mode = 'off'");
      throw new AssertionError("an owner of tables may change the guard's rules");
    } catch (SQLException e) {
      assertThat(e.getSQLState()).isEqualTo("42501");
    }
  }

  @Test
  void drops_are_seen_however_they_are_said() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE FUNCTION gone() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP ' || 'TABLE orders'; END $$",
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "ALTER TABLE users ADD COLUMN mood mood",
        "CREATE DOMAIN post AS text",
        "ALTER TABLE users ADD COLUMN post post",
        "CREATE SCHEMA \"Odd \"\"one\"");
    database.execute("CREATE TABLE \"Odd \"\"one\".\"drop table x; --\" (\"a'b\" jsonb)");
    database.execute(
        "INSERT INTO \"Odd \"\"one\".\"drop table x; --\" VALUES ('{\"a\": 1, \"b\": 2, \"c\": 3}')");
    allRefused(
        database,
        "DROP TABLE users CASCADE",
        "DROP TABLE nothing, orders",
        "DO $$ BEGIN DROP TABLE orders; END $$",
        "SELECT gone()",
        "DROP SCHEMA public CASCADE",
        "DROP TYPE mood CASCADE",
        "DROP DOMAIN post CASCADE",
        "ALTER TABLE users DROP COLUMN name",
        "ALTER TABLE users ALTER COLUMN name TYPE int USING 1",
        "ALTER TABLE orders ALTER COLUMN total TYPE text USING ''",
        "DROP TABLE events",
        "DROP TABLE events_1",
        "DROP SCHEMA \"Odd \"\"one\" CASCADE",
        "DROP TABLE \"Odd \"\"one\".\"drop table x; --\"",
        "TRUNCATE \"Odd \"\"one\".\"drop table x; --\"",
        "UPDATE \"Odd \"\"one\".\"drop table x; --\" SET \"a'b\" = '{}'");
  }

  @Test
  void an_extension_takes_no_tables_with_it() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE EXTENSION citext",
        "CREATE TABLE tagged (tag citext)",
        "INSERT INTO tagged VALUES ('x')");
    allRefused(database, "DROP EXTENSION citext CASCADE");
    database.execute("CREATE EXTENSION hstore", "ALTER EXTENSION hstore ADD TABLE tagged");
    allRefused(database, "DROP EXTENSION hstore CASCADE");
  }

  @Test
  void a_free_schema_frees_only_what_began_there() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE SCHEMA scratch", "INSERT INTO holdfast.free_schema VALUES ('scratch', 'a test')");
    database.execute(
        "CREATE TABLE scratch.own (i int)",
        "INSERT INTO scratch.own VALUES (1)",
        "DROP TABLE scratch.own");
    database.execute("ALTER TABLE orders SET SCHEMA scratch");
    database.refusal("DROP TABLE scratch.orders");
    database.refusal("TRUNCATE scratch.orders");
    database.refusal("DELETE FROM scratch.orders");
    database.refusal("DROP SCHEMA scratch CASCADE");
    assertThat(database.value("SELECT count(*) FROM scratch.orders")).isEqualTo("4000");
  }

  @Test
  void renamed_tables_and_columns_stay_guarded() throws SQLException {
    Database database = production();
    database.execute(
        "ALTER TABLE orders RENAME TO invoices",
        "ALTER TABLE users RENAME COLUMN data TO document",
        "ALTER TABLE users RENAME COLUMN plain TO text");
    allRefused(
        database,
        "DROP TABLE invoices",
        "DELETE FROM invoices",
        "UPDATE users SET document = '{\"phone\": 1}' WHERE id = 7",
        "UPDATE users SET text = '{\"a\": 1}' WHERE id = 7");
    database.execute("UPDATE users SET name = 'y' WHERE id = 7");
  }

  @Test
  void rows_are_counted_however_they_are_deleted() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE FUNCTION purge() RETURNS void LANGUAGE sql AS 'DELETE FROM orders'",
        "CREATE VIEW my_orders AS SELECT * FROM orders",
        "CREATE TABLE tombs (id int)",
        "CREATE RULE really AS ON INSERT TO tombs DO ALSO DELETE FROM orders");
    allRefused(
        database,
        "DELETE FROM orders",
        "DELETE FROM orders WHERE true",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone",
        "DO $$ BEGIN DELETE FROM orders; END $$",
        "SELECT purge()",
        "DELETE FROM my_orders",
        "INSERT INTO tombs VALUES (1)",
        "DELETE FROM orders USING users WHERE users.id = user_id",
        "DELETE FROM events",
        "DELETE FROM events_2",
        "DELETE FROM ONLY orders",
        "UPDATE orders SET total = 0",
        "WITH changed AS (UPDATE orders SET total = 0 RETURNING *) SELECT count(*) FROM changed",
        "INSERT INTO orders SELECT id, 1, 0 FROM orders ON CONFLICT (id) DO UPDATE SET total = 0",
        "UPDATE events SET day = day + 1",
        "UPDATE events SET id = id + 1000 WHERE id < 1500");
    if (major >= 15) {
      allRefused(
          database,
          "MERGE INTO orders o USING users u ON o.user_id = u.id WHEN MATCHED THEN DELETE",
          "MERGE INTO orders o USING users u ON o.user_id = u.id WHEN MATCHED THEN UPDATE SET total = 0");
    }
  }

  @Test
  void a_cascade_is_counted_where_it_happens() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO orders SELECT 10000 + i, 3000, 1 FROM generate_series(1, 5000) i",
        "ANALYZE orders");
    List<String> before = database.contents();
    GuardedServer.Refusal refusal = database.refusal("DELETE FROM users WHERE id = 3000");
    assertThat(refusal.message()).contains("it would delete public.orders (5,000 rows)");
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void inherited_rows_are_counted_through_their_parent() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE logs (i int)",
        "CREATE TABLE logs_a () INHERITS (logs)",
        "CREATE TABLE logs_b (i int)",
        "ALTER TABLE logs_b INHERIT logs",
        "INSERT INTO logs_a SELECT generate_series(1, 900)",
        "INSERT INTO logs_b SELECT generate_series(1, 900)",
        "ANALYZE logs_a, logs_b");
    allRefused(database, "DELETE FROM logs", "UPDATE logs SET i = 0");
  }

  @Test
  void prepared_statements_and_batches_are_counted() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, rows_max, reason) VALUES ('mass-delete', 'public.orders', 100, 'a test')",
        "SELECT holdfast.cover('orders'::regclass)");
    List<String> before = database.contents();
    try (Connection connection = database.connect()) {
      connection.setAutoCommit(false);
      int deleted = 0;
      try (PreparedStatement delete =
          connection.prepareStatement("DELETE FROM orders WHERE id = ?")) {
        for (int id = 1; id <= 1000; id++) {
          delete.setInt(1, id);
          deleted += delete.executeUpdate();
        }
        throw new AssertionError("a loop of single deletes was not stopped");
      } catch (SQLException e) {
        assertThat(e.getSQLState()).isEqualTo(Guard.REFUSED_STATE);
        assertThat(deleted).isEqualTo(100); // exactly, and no later than at twice the limit
      }
      connection.rollback();
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void a_loop_of_single_updates_is_stopped_at_twice_the_limit_at_the_latest() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, rows_max, reason) VALUES ('mass-update', 'public.orders', 100, 'a test')",
        "SELECT holdfast.cover('orders'::regclass)");
    List<String> before = database.contents();
    try (Connection connection = database.connect()) {
      connection.setAutoCommit(false);
      int updated = 0;
      try (PreparedStatement update =
          connection.prepareStatement("UPDATE orders SET total = 0 WHERE id = ?")) {
        for (int id = 1; id <= 1000; id++) {
          update.setInt(1, id);
          updated += update.executeUpdate();
        }
        throw new AssertionError("a loop of single updates was not stopped");
      } catch (SQLException e) {
        assertThat(e.getSQLState()).isEqualTo(Guard.REFUSED_STATE);
        assertThat(updated).isBetween(100, 200);
      }
      connection.rollback();
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void a_savepoint_hides_nothing_and_what_was_rolled_back_counts_for_nothing() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, rows_max, reason) VALUES ('mass-delete', 'public.orders', 1000, 'a test'), ('mass-update', 'public.orders', 1000, 'a test')");
    List<String> before = database.contents();
    database.refusal(
        "DELETE FROM orders WHERE id <= 600",
        "SAVEPOINT a",
        "DELETE FROM orders WHERE id BETWEEN 601 AND 1200");
    database.refusal(
        "UPDATE orders SET total = 1 WHERE id <= 1000",
        "SAVEPOINT a",
        "UPDATE orders SET total = 2 WHERE id = 2000",
        "UPDATE orders SET total = 2 WHERE id <= 1000");
    assertThat(database.contents()).isEqualTo(before);
    database.transaction(
        "SAVEPOINT a",
        "DELETE FROM orders WHERE id <= 900",
        "ROLLBACK TO a",
        "DELETE FROM orders WHERE id <= 900",
        "ROLLBACK TO a",
        "DELETE FROM orders WHERE id <= 10",
        "SAVEPOINT b",
        "DELETE FROM orders WHERE id <= 900",
        "ROLLBACK TO b",
        "DELETE FROM orders WHERE id <= 900",
        "ROLLBACK TO a",
        "UPDATE orders SET total = 1 WHERE id <= 900",
        "ROLLBACK TO a",
        "UPDATE orders SET total = 1 WHERE id <= 900",
        "ROLLBACK TO a",
        "UPDATE orders SET total = 1 WHERE id <= 900");
  }

  @Test
  void earlier_transactions_of_a_session_count_for_nothing() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, rows_max, reason) VALUES ('mass-delete', 'public.orders', 1000, 'a test'), ('mass-update', 'public.orders', 1000, 'a test')");
    // In one session, quicker than counters are handed over, and in a procedure, where they are not
    // at all.
    database.execute(
        "UPDATE orders SET total = 1 WHERE id <= 999",
        "UPDATE orders SET total = 2 WHERE id <= 999",
        "UPDATE orders SET total = 3 WHERE id <= 999",
        "DELETE FROM orders WHERE id <= 700",
        "DELETE FROM orders WHERE id BETWEEN 701 AND 1400",
        "DELETE FROM orders WHERE id BETWEEN 1401 AND 2100",
        """
        CREATE PROCEDURE nightly() LANGUAGE plpgsql AS $$ BEGIN
          FOR i IN 0..2 LOOP
            DELETE FROM orders WHERE id BETWEEN 2101 + i * 600 AND 2700 + i * 600;
            COMMIT;
            UPDATE events_2 SET day = day + 1 WHERE id BETWEEN 1000 + i * 100 AND 1080 + i * 100;
            COMMIT;
          END LOOP;
        END $$\
        """,
        "CALL nightly()");
    assertThat(database.value("SELECT count(*) FROM orders")).isEqualTo("100");
  }

  @Test
  void one_statement_is_counted_exactly() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, rows_max, reason) VALUES ('mass-delete', 'public.orders', 1500, 'a test'), ('mass-update', 'public.orders', 1500, 'a test')");
    database.refusal("DELETE FROM orders WHERE id <= 1501");
    database.refusal("UPDATE orders SET total = 1 WHERE id <= 1501");
    database.execute(
        "UPDATE orders SET total = 1 WHERE id <= 1500", "DELETE FROM orders WHERE id <= 1500");
  }

  @Test
  void a_table_that_nobody_has_analysed_yet_is_counted() throws SQLException {
    Database database = production();
    try (Connection connection = database.connect();
        Statement statement = connection.createStatement()) {
      statement.execute("CREATE TABLE fresh (i int)");
      statement.execute("INSERT INTO fresh SELECT generate_series(1, 5000)");
      for (String sql : List.of("DELETE FROM fresh", "UPDATE fresh SET i = 0")) {
        try {
          statement.execute(sql);
          throw new AssertionError("was not refused: " + sql);
        } catch (SQLException e) {
          assertThat(e.getSQLState()).isEqualTo(Guard.REFUSED_STATE);
        }
      }
      statement.execute("DELETE FROM fresh WHERE i <= 999");
    }
  }

  @Test
  void no_search_path_leads_elsewhere() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.always_less(int8, int8) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR evil.> (LEFTARG = int8, RIGHTARG = int8, FUNCTION = evil.always_less)",
        "CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never)",
        "CREATE OPERATOR evil.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never)",
        "CREATE FUNCTION evil.count() RETURNS int8 LANGUAGE sql AS 'SELECT 0::int8'",
        "CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
        "CREATE FUNCTION evil.pg_stat_get_xact_tuples_updated(oid) RETURNS int8 LANGUAGE sql AS 'SELECT 0::int8'",
        "CREATE TYPE evil.int8 AS (x text)");
    List<String> before = database.contents();
    for (String sql :
        List.of(
            "DROP TABLE public.orders",
            "TRUNCATE public.orders",
            "DELETE FROM public.orders",
            "UPDATE public.orders SET total = 0",
            "UPDATE public.events SET day = day + 1",
            "UPDATE public.users SET data = '{\"phone\": 1}' WHERE id = 7")) {
      database.refusal("SET search_path = evil, pg_catalog, public", sql);
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void copy_and_temporary_tables_are_no_way_around() throws SQLException {
    Database database = production();
    List<String> before = database.contents();
    try (Connection connection = database.connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("CREATE TEMP TABLE ids (id int) ON COMMIT DROP");
      connection
          .unwrap(PGConnection.class)
          .getCopyAPI()
          .copyIn("COPY ids FROM STDIN", new StringReader("1\n2\n"));
      statement.execute("INSERT INTO ids SELECT generate_series(3, 3000)");
      statement.execute("DELETE FROM orders WHERE id IN (SELECT id FROM ids)");
      throw new AssertionError("was not refused");
    } catch (SQLException e) {
      assertThat(e.getSQLState()).isEqualTo(Guard.REFUSED_STATE);
    } catch (java.io.IOException e) {
      throw new AssertionError(e);
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void settings_that_look_like_the_guards_own_turn_nothing_off() throws SQLException {
    Database database = production();
    List<String> before = database.contents();
    for (String setting :
        List.of(
            "SET holdfast.off = 'on'",
            "SET holdfast.empty = '1,2,3'",
            "SET holdfast.tampering = 'off'",
            "SET holdfast.permit = 'guessed'",
            "SELECT set_config('holdfast.d' || 'orders'::regclass::oid, 'garbage', false), set_config('holdfast.u' || 'orders'::regclass::oid, 'garbage', false)",
            "SET holdfast.json = 'garbage'")) {
      database.refusal(setting, "DROP TABLE orders");
      database.refusal(setting, "DELETE FROM orders");
      database.refusal(setting, "UPDATE orders SET total = 0");
      database.refusal(setting, "DROP SCHEMA holdfast CASCADE");
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void the_database_itself_cannot_be_dropped() throws SQLException {
    Database database = production();
    for (String force : List.of("", " WITH (FORCE)")) {
      try {
        GuardedServers.of(major)
            .server()
            .connect()
            .createStatement()
            .execute("DROP DATABASE " + database.name() + force);
        throw new AssertionError("was dropped");
      } catch (SQLException e) {
        assertThat(e.getMessage()).contains("cannot drop a template database");
      }
    }
  }
}
