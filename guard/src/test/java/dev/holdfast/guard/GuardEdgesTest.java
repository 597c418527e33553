package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.guard.GuardedServer.Database;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;

/** Where a guard could do harm itself, or be led astray by what an application does every day. */
@ParameterizedClass
@MethodSource("majors")
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class GuardEdgesTest {
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

  @Test
  void nobody_has_the_guard_run_something_as_its_owner() throws SQLException {
    Database database = production();
    String low = "low_of_" + database.name();
    database.execute("CREATE ROLE " + low + " LOGIN", "CREATE SCHEMA AUTHORIZATION " + low);
    Database as = database.as(low);
    as.execute(
        "CREATE TABLE " + low + ".seen (who text, super text)",
        "GRANT ALL ON " + low + ".seen TO PUBLIC",
        "CREATE FUNCTION "
            + low
            + ".evil() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "
            + low
            + ".seen VALUES (current_user, current_setting('is_superuser')); RETURN true; END $$",
        "CREATE VIEW "
            + low
            + ".v AS SELECT 1 AS a FROM generate_series(1, 2) g WHERE "
            + low
            + ".evil()",
        "SELECT holdfast.mass('mass-delete', '" + low + ".v'::regclass, 1000)",
        "SELECT holdfast.mass('mass-delete', 'users'::regclass, 100000)",
        "SELECT holdfast.json_row('users'::regclass, 'data', '{\"a\": 1, \"b\": 1, \"c\": 1}', '{}')",
        "SELECT set_config('holdfast.json', '{\"1\": {}}', false), holdfast.json_judge()");
    assertThat(database.query("SELECT * FROM " + low + ".seen")).isEmpty();
    assertThat(database.query("SELECT * FROM holdfast.observation")).isEmpty();
    for (String function :
        List.of(
            "judge('x', 'truncate', '[]')",
            "use_permit('truncate', '[]', 0)",
            "is_empty('users'::regclass)",
            "cover('users'::regclass)",
            "alive()",
            "approve(1)",
            "set_mode('truncate', 'off')")) {
      assertThatThrownBy(() -> as.execute("SELECT holdfast." + function))
          .isInstanceOf(SQLException.class)
          .hasMessageContaining("permission denied");
    }
  }

  @Test
  void updates_go_on_after_whatever_changes_a_json_column() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE ev (id int, doc jsonb) PARTITION BY RANGE (id)",
        "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10)",
        "INSERT INTO ev VALUES (1, '{\"a\": 1, \"b\": 2, \"c\": 3}')",
        "ALTER TABLE ev RENAME COLUMN doc TO body",
        "UPDATE ev SET id = 2",
        "UPDATE ev_1 SET id = 3",
        "CREATE DOMAIN document AS jsonb",
        "CREATE TABLE with_domain (id int, doc document)",
        "DROP DOMAIN document CASCADE",
        "INSERT INTO with_domain VALUES (1)",
        "UPDATE with_domain SET id = 2",
        "CREATE TYPE shape AS (id int, doc jsonb)",
        "CREATE TABLE typed OF shape",
        "INSERT INTO typed VALUES (1, '{}')",
        "ALTER TYPE shape RENAME ATTRIBUTE doc TO body CASCADE",
        "UPDATE typed SET id = 2",
        "CREATE TABLE parent (id int, doc jsonb)",
        "CREATE TABLE child () INHERITS (parent)",
        "INSERT INTO child VALUES (1, '{}')",
        "ALTER VIEW parent RENAME COLUMN doc TO body",
        "UPDATE child SET id = 2",
        "UPDATE parent SET id = 3");
    database.refusal("UPDATE ev SET body = '{\"a\": 1}'");
    database.execute("UPDATE users SET name = 'after' WHERE id = 1");
  }

  @Test
  void keys_lost_through_a_parent_are_seen_and_named_where_they_were() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE ev (id int, doc jsonb) PARTITION BY RANGE (id)",
        "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10)",
        "INSERT INTO ev VALUES (1, '{\"a\": 1, \"b\": 2, \"c\": 3}')");
    assertThat(database.refusal("UPDATE ev SET doc = '{\"a\": 1}'").message())
        .endsWith("1 row would lose keys of public.ev_1.doc (2 of 3 keys: b, c)");
    database.execute(
        "CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET name = 'x' WHERE id = 1; RETURN NULL; END $$",
        "CREATE TRIGGER zz AFTER UPDATE ON ev_1 FOR EACH ROW EXECUTE FUNCTION also()");
    assertThat(database.refusal("UPDATE ev SET doc = '{\"a\": 1}'").message())
        .contains("public.ev_1.doc");
  }

  @Test
  void old_string_literals_change_nothing() throws SQLException {
    Database database = production();
    List<String> before = database.contents();
    for (String sql :
        List.of(
            "DROP TABLE orders",
            "TRUNCATE orders",
            "DELETE FROM orders",
            "UPDATE orders SET total = 0",
            "UPDATE users SET data = '{}' WHERE id = 7",
            "ALTER TABLE users DISABLE TRIGGER ALL",
            "DROP SCHEMA holdfast CASCADE")) {
      database.refusal(
          "SET standard_conforming_strings = off", "SET quote_all_identifiers = on", sql);
    }
    assertThat(database.contents()).isEqualTo(before);
  }

  @Test
  void a_permit_that_cannot_be_looked_at_does_not_do() throws SQLException {
    Database database = production();
    Permits.Issued permit;
    try (Connection connection = database.connect()) {
      permit =
          Permits.issue(
              connection,
              new Permits.Request(
                  List.of("truncate"),
                  "public.nothing",
                  null,
                  null,
                  Duration.ofMinutes(1),
                  "x",
                  false,
                  false));
    }
    try (Connection holder = database.connect();
        Statement holding = holder.createStatement()) {
      holder.setAutoCommit(false);
      holding.execute("SELECT FROM holdfast.permit FOR UPDATE");
      assertThat(
              database
                  .refusal(
                      "SET LOCAL lock_timeout = '100ms'",
                      "SET LOCAL holdfast.permit = '" + permit.code() + "'",
                      "DROP TABLE orders")
                  .hint())
          .contains("it could not be looked at");
    }
  }

  @Test
  void permits_for_so_many_rows_do_not_do_where_nobody_knows_how_many() throws SQLException {
    Database database = production();
    database.execute("CREATE TABLE uncounted AS SELECT 1 AS i");
    database.execute("SELECT pg_stat_reset()");
    Permits.Issued permit;
    try (Connection connection = database.connect()) {
      permit =
          Permits.issue(
              connection,
              new Permits.Request(
                  List.of("drop-table"),
                  null,
                  10L,
                  null,
                  Duration.ofMinutes(1),
                  "x",
                  false,
                  false));
    }
    // Statistics come late: then it is known, and within the permit.
    database.execute("INSERT INTO uncounted SELECT generate_series(1, 5000)");
    assertThat(
            database
                .refusal(
                    "SET LOCAL holdfast.permit = '" + permit.code() + "'", "DROP TABLE uncounted")
                .hint())
        .containsAnyOf("is not known before ANALYZE", "is for 10 rows");
  }

  @Test
  void a_database_that_gives_nobody_execute_is_written_to_all_the_same() throws SQLException {
    Database database = GuardedServers.of(major).database();
    String app = "app_of_" + database.name();
    database.execute(
        "CREATE ROLE " + app + " LOGIN",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        "CREATE TABLE docs (id int, data jsonb)",
        "INSERT INTO docs SELECT i, '{\"a\": 1, \"b\": 2, \"c\": 3}' FROM generate_series(1, 3000) i",
        "GRANT ALL ON docs TO " + app);
    try (Connection connection = database.connect()) {
      Guard.install(connection, new Guard.Installation("acme", "development"));
    }
    database
        .as(app)
        .execute(
            "UPDATE docs SET data = '{}' WHERE id = 1",
            "UPDATE docs SET id = id + 1",
            "DELETE FROM docs WHERE id < 2000");
    database.set("guard-tampering", "enforce");
    database.refusal("REVOKE USAGE ON SCHEMA holdfast FROM PUBLIC");
    database.refusal("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA holdfast FROM PUBLIC");
  }

  @Test
  void whoever_owns_tables_can_dump_the_database() throws SQLException {
    Database database = production();
    String owner = "owner_of_" + database.name();
    database.execute(
        "CREATE ROLE " + owner + " LOGIN",
        "ALTER TABLE users OWNER TO " + owner,
        "CREATE SCHEMA AUTHORIZATION " + owner);
    database.as(owner).execute("CREATE TABLE " + owner + ".own (i int)");
    database
        .as(owner)
        .transaction(
            "LOCK TABLE holdfast.guarded, holdfast.permit, holdfast.permit_use, holdfast.observation, holdfast.working, holdfast.rule IN ACCESS SHARE MODE",
            "SELECT * FROM holdfast.permit_id_seq");
  }

  @Test
  void a_foreign_partition_can_be_written_through_its_parent() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE EXTENSION postgres_fdw",
        "CREATE TABLE far (id int, t text)",
        "CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '"
            + database.server().server().port()
            + "', dbname '"
            + database.name()
            + "')",
        "CREATE USER MAPPING FOR postgres SERVER here OPTIONS (user 'postgres')",
        "CREATE TABLE mixed (id int, t text) PARTITION BY RANGE (id)",
        "CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES FROM (0) TO (10)",
        "CREATE FOREIGN TABLE mixed_2 PARTITION OF mixed FOR VALUES FROM (10) TO (20) SERVER here OPTIONS (table_name 'far')",
        "INSERT INTO mixed VALUES (1, 'a'), (11, 'b')",
        "UPDATE mixed SET t = 'c'",
        "DELETE FROM mixed WHERE id = 11",
        "DELETE FROM mixed");
    assertThat(database.query("SELECT missing FROM holdfast.tables() WHERE table_name = 'mixed'"))
        .containsExactly("rows are not counted: one of its partitions is a foreign table");
  }

  @Test
  void a_command_locks_nothing_that_it_would_not_lock_without_the_guard() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE empty_1 (i int)",
        "CREATE TABLE empty_2 (i int)",
        "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0) NOT VALID");
    try (Connection connection = database.connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      for (String sql :
          List.of(
              "ALTER TABLE orders VALIDATE CONSTRAINT positive",
              "ALTER TABLE orders ALTER COLUMN total SET STATISTICS 50",
              "DROP TABLE IF EXISTS there_is_none",
              "DROP TABLE nothing")) {
        statement.execute(sql);
      }
      try (var rows =
          statement.executeQuery(
              "SELECT string_agg(relation::regclass || ' ' || mode, ', ' ORDER BY relation::regclass::text, mode) FROM pg_locks"
                  + " WHERE pid = pg_backend_pid() AND relation IN ('orders'::regclass, 'users'::regclass, 'empty_1'::regclass, 'empty_2'::regclass)"
                  + " AND mode NOT LIKE 'AccessShare%' AND mode NOT LIKE 'Row%'")) {
        rows.next();
        assertThat(rows.getString(1)).isEqualTo("orders ShareUpdateExclusiveLock");
      }
      connection.rollback();
    }
  }

  @Test
  void rows_that_somebody_is_about_to_commit_are_not_overlooked() throws Exception {
    Database database = production();
    try (Connection writer = database.connect();
        Statement writing = writer.createStatement();
        var threads = Executors.newSingleThreadExecutor()) {
      writer.setAutoCommit(false);
      writing.execute("INSERT INTO nothing SELECT generate_series(1, 500)");
      var dropped = threads.submit(() -> database.refusal("DROP TABLE nothing").message());
      while (database
          .query(
              "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '"
                  + database.name()
                  + "'")
          .isEmpty()) {
        Thread.onSpinWait();
      }
      writer.commit();
      assertThat(dropped.get()).contains("it would lose public.nothing");
    }
    assertThat(database.value("SELECT count(*) FROM nothing")).isEqualTo("500");
  }

  @Test
  void what_using_says_is_seen_inside_functions_and_a_plain_cast_is_left_alone()
      throws SQLException {
    Database database = production();
    database.execute(
        "CREATE FUNCTION sly() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE orders ALTER COLUMN total TYPE text USING ''; END $$");
    database.refusal("SELECT sly()");
    for (String loss :
        List.of(
            "ALTER TABLE users ALTER data TYPE jsonb USING '{}'::jsonb",
            "ALTER TABLE users ALTER data TYPE jsonb USING data - 'phone'",
            "ALTER TABLE users ALTER data TYPE text USING data::text || NULL",
            "ALTER TABLE users ALTER plain TYPE jsonb USING plain::jsonb - 'a' - 'b'",
            "ALTER TABLE users ALTER name TYPE text USING NULL")) {
      database.refusal(loss);
    }
    database.refusal("ALTER TABLE orders ALTER COLUMN total TYPE numeric(10, 2)");
    database.execute(
        "ALTER TABLE orders ALTER COLUMN id TYPE bigint USING \"id\"::bigint",
        "ALTER TABLE orders ALTER COLUMN user_id TYPE bigint",
        "ALTER TABLE users ALTER COLUMN plain TYPE jsonb USING plain::jsonb");
  }

  @Test
  void a_cascade_after_a_savepoint_counts_what_is_gone() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, rows_max, reason) VALUES ('mass-delete', 'public.orders', 1000, 'a test')",
        "INSERT INTO orders SELECT 10000 + i, 2900 + i / 900, 1 FROM generate_series(0, 1799) i");
    database.transaction(
        "DELETE FROM users WHERE id = 5",
        "SAVEPOINT a",
        "DELETE FROM users WHERE id = 2900",
        "ROLLBACK TO a",
        "DELETE FROM users WHERE id = 2901");
    database.refusal(
        "DELETE FROM users WHERE id IN (2900, 6, 7)", "DELETE FROM orders WHERE id < 300");
  }

  @Test
  void rows_are_named_though_the_counters_were_lost_in_a_crash() throws SQLException {
    Database database = production();
    database.execute("SELECT pg_stat_reset()");
    assertThat(database.refusal("DROP TABLE orders").message())
        .contains("public.orders (about 4,000 rows)");
    assertThat(database.refusal("DROP SCHEMA public CASCADE").message())
        .contains("public.orders (about 4,000 rows)");
  }

  @Test
  void none_of_the_guards_functions_can_be_moved_away() throws SQLException {
    Database database = production();
    List<String> functions =
        database.query(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'holdfast'::regnamespace");
    assertThat(functions).hasSizeGreaterThan(40);
    for (String function : functions) {
      database.refusal("ALTER FUNCTION " + function + " SET SCHEMA public");
    }
    // Some left nothing to judge by, which is said in the log before it is refused.
    assertThat(GuardedServers.of(major).guardErrors())
        .allMatch(line -> line.contains("does not exist"));
  }

  @Test
  void partitions_in_a_free_schema_do_not_hold_their_parent() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.free_schema VALUES ('archive', 'a test')",
        "CREATE SCHEMA archive",
        "CREATE TABLE old (i int) PARTITION BY RANGE (i)",
        "CREATE TABLE archive.old_1 PARTITION OF old FOR VALUES FROM (0) TO (10)",
        "INSERT INTO old VALUES (1)",
        "TRUNCATE old",
        "INSERT INTO old VALUES (1)",
        "DROP TABLE old");
  }

  @Test
  void a_column_of_an_empty_partitioned_table_may_go() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE empty_one (i int, u int) PARTITION BY RANGE (i)",
        "CREATE TABLE empty_one_1 PARTITION OF empty_one FOR VALUES FROM (0) TO (10)",
        "ALTER TABLE empty_one DROP COLUMN u");
    assertThat(database.refusal("ALTER TABLE events DROP COLUMN day").message())
        .contains("public.events.day");
  }

  @Test
  void the_permit_that_the_refusal_names_does_for_a_partitioned_table() throws SQLException {
    Database database = production();
    assertThat(database.refusal("TRUNCATE events").hint())
        .contains("--allow truncate --table public.events% ");
    Permits.Issued permit;
    try (Connection connection = database.connect()) {
      permit =
          Permits.issue(
              connection,
              new Permits.Request(
                  List.of("truncate"),
                  "public.events%",
                  null,
                  null,
                  Duration.ofMinutes(10),
                  "a test",
                  false,
                  false));
    }
    database.transaction("SET LOCAL holdfast.permit = '" + permit.code() + "'", "TRUNCATE events");
    assertThat(database.value("SELECT count(*) FROM events")).isEqualTo("0");
  }

  @Test
  void a_released_copy_is_free_of_stricter_exceptions_too() throws SQLException {
    Database database = production();
    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, mode, reason) VALUES ('drop-table', 'public.users', 'enforce', 'a test')",
        "UPDATE holdfast.identity SET system_identifier = 1",
        "SELECT holdfast.adopt('development')",
        "DROP TABLE users CASCADE");
  }

  @Test
  void a_staging_load_changes_what_it_has_just_put_in() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE staging (i int)",
        "INSERT INTO staging SELECT generate_series(1, 20)",
        "ANALYZE staging");
    database.transaction(
        "INSERT INTO staging SELECT generate_series(1, 20000)",
        "UPDATE staging SET i = i + 1 WHERE i < 3000");
  }

  @Test
  void a_trigger_of_the_same_name_is_no_guard() throws SQLException {
    Database database = production();
    database.refusal(
        "CREATE OR REPLACE TRIGGER holdfast_delete AFTER DELETE ON orders FOR EACH STATEMENT EXECUTE FUNCTION holdfast.json_judged()");
    database.refusal(
        "CREATE OR REPLACE TRIGGER holdfast_truncate AFTER TRUNCATE ON orders FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION holdfast.truncating()");
  }

  @Test
  void a_new_parent_frees_no_old_partition_and_a_free_schema_no_table_moved_out_of_it()
      throws SQLException {
    Database database = production();
    database.refusal(
        "CREATE TABLE np (LIKE orders) PARTITION BY RANGE (id)",
        "ALTER TABLE orders ALTER COLUMN total SET NOT NULL",
        "ALTER TABLE np ATTACH PARTITION orders FOR VALUES FROM (0) TO (100000)",
        "DELETE FROM np");
    database.execute(
        "CREATE SCHEMA repack",
        "CREATE TABLE repack.built AS SELECT generate_series(1, 500) AS i",
        "ALTER TABLE repack.built SET SCHEMA public");
    database.refusal("DROP TABLE built");
    database.refusal("TRUNCATE built");
  }

  @Test
  void a_prepared_transaction_goes_through() throws SQLException {
    Database database = production();
    database.transaction(
        "UPDATE orders SET total = 1 WHERE id = 1",
        "DELETE FROM orders WHERE id = 2",
        "PREPARE TRANSACTION '" + database.name() + "'");
    database.execute("COMMIT PREPARED '" + database.name() + "'");
    assertThat(database.value("SELECT count(*) FROM orders")).isEqualTo("3999");
  }

  @Test
  void nobody_waits_for_a_table_that_a_command_does_not_touch() throws SQLException {
    Database database = production();
    database.execute("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    try (Connection holder = database.connect();
        Statement holding = holder.createStatement()) {
      holder.setAutoCommit(false);
      holding.execute("LOCK TABLE nothing IN ACCESS EXCLUSIVE MODE");
      database.transaction("SET LOCAL statement_timeout = '20s'", "DROP FUNCTION one()");
    }
  }

  @Test
  void an_inheritance_parent_with_rows_of_its_own_is_not_taken_for_empty() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE par (i int)",
        "CREATE TABLE kid () INHERITS (par)",
        "INSERT INTO par SELECT generate_series(1, 2000)",
        "SELECT pg_stat_reset()");
    database.refusal("DROP TABLE par CASCADE");
    database.execute(
        "CREATE TABLE parts (i int) PARTITION BY RANGE (i)",
        "CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)",
        "DROP TABLE parts");
  }

  @Test
  void an_empty_table_goes_however_deep_and_by_whatever_name_it_is_named() throws SQLException {
    Database database = production();
    database.execute(
        "CREATE TABLE in_sql (i int)",
        "CREATE FUNCTION drop_it() RETURNS void LANGUAGE sql AS 'DROP TABLE in_sql'",
        "SELECT drop_it()",
        "CREATE TABLE deeper (i int)",
        "CREATE PROCEDURE \"dr\"\"op\"() LANGUAGE sql AS 'DROP TABLE deeper'",
        "CREATE FUNCTION outermost() RETURNS void LANGUAGE sql AS 'CALL \"dr\"\"op\"()'",
        "DO $$ BEGIN PERFORM outermost(); END $$",
        "CREATE TABLE \"We\"\"ird \"\" Näme\" (i int)",
        "DROP TABLE \"We\"\"ird \"\" Näme\"",
        "CREATE TABLE \"We\"\"ird\" (i int)",
        "CREATE FUNCTION drop_quoted() RETURNS void LANGUAGE sql AS 'DROP TABLE \"We\"\"ird\"'",
        "SELECT drop_quoted()");
    assertThat(
            database.value("SELECT count(*) FROM pg_class WHERE relname ~ '^(We|in_sql|deeper)'"))
        .isEqualTo("0");
    // What is named there is looked at, no more: rows are rows.
    database.execute(
        "CREATE FUNCTION drop_full() RETURNS void LANGUAGE sql AS 'DROP TABLE orders'");
    assertThat(database.refusal("SELECT drop_full()").message())
        .contains("it would lose public.orders");
  }

  @Test
  void who_is_told_how_to_take_the_guard_out_is_told_the_name() throws SQLException {
    Database database = production();
    for (String sql :
        List.of(
            "DROP SCHEMA holdfast CASCADE",
            "ALTER SCHEMA holdfast RENAME TO gone",
            "ALTER TABLE holdfast.rule SET SCHEMA public",
            "ALTER TABLE holdfast.identity SET SCHEMA public",
            "ALTER FUNCTION holdfast.is_working() SET SCHEMA public",
            "ALTER ROUTINE holdfast.judge(text, text, jsonb) SET SCHEMA public")) {
      assertThat(database.refusal(sql).hint())
          .as(sql)
          .startsWith("To take the guard out: holdfast guard uninstall acme\n");
    }
  }

  @Test
  void what_goes_on_being_production_keeps_what_was_set_and_development_keeps_nothing()
      throws SQLException {
    Database database = production();
    String modes = "SELECT string_agg(name || ' ' || mode, ', ' ORDER BY name) FROM holdfast.rule";
    String before = database.value(modes);
    String pretend =
        "UPDATE holdfast.identity SET system_identifier = system_identifier + 1, alive_at = NULL";
    // As after pg_upgrade.
    database.execute(
        pretend,
        "ALTER DATABASE " + database.name() + " IS_TEMPLATE false",
        "SELECT holdfast.adopt('production')");
    assertThat(database.value(modes)).isEqualTo(before).contains("mass-delete enforce");
    assertThat(database.value("SELECT holdfast.identity_fits()")).isEqualTo("t");
    assertThat(
            database.value(
                "SELECT datistemplate FROM pg_database WHERE datname = current_database()"))
        .as("it cannot be dropped")
        .isEqualTo("t");
    database.execute(pretend, "SELECT holdfast.adopt('staging')");
    assertThat(database.query("SELECT DISTINCT mode FROM holdfast.rule"))
        .containsExactly("observe");
    database.execute(
        pretend,
        "SELECT holdfast.adopt('development')",
        "SELECT holdfast.set_mode('drop-table', 'enforce')",
        "SELECT holdfast.restamp('development')",
        "DROP TABLE orders");
  }
}
