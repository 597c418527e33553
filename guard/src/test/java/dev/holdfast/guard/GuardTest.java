package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.GuardedServer.Database;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;

@ParameterizedClass
@MethodSource("majors")
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class GuardTest {
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

  private Database guarded(String environment) throws SQLException {
    return GuardedServers.of(major).guarded(environment);
  }

  @Test
  void a_refusal_says_where_what_why_and_what_to_do() throws SQLException {
    GuardedServer.Refusal refusal = guarded("production").refusal("DROP TABLE users CASCADE");
    assertThat(refusal.message())
        .matches(
            "DROP TABLE refused by Holdfast: database \"shop\\d+\" is acme/production; it would lose"
                + " public\\.users \\(about [36],000 rows\\)"); // counted twice for a moment after
    // ANALYZE
    assertThat(refusal.detail())
        .matches(
            "Rule drop-table\\. First of what would be lost: public\\.users \\(about [36],000 rows\\)");
    assertThat(refusal.hint())
        .isEqualTo(
            "Was this meant for another database? If it is meant for this one, try it on a fork first"
                + " (holdfast fork acme), then get a permit:\n"
                + "holdfast guard permit acme --allow drop-table --table public.users --for 10m --reason \"…\"");
  }

  @Test
  void ordinary_work_is_not_in_anybodys_way() throws SQLException {
    Database database = guarded("production");
    for (String rule : List.of("mass-delete", "mass-update", "json-keys-lost")) {
      database.set(rule, "enforce");
    }
    database.execute(
        "CREATE TABLE invoices (id serial PRIMARY KEY, user_id int REFERENCES users, note text)",
        "INSERT INTO invoices (user_id) SELECT 1 FROM generate_series(1, 5000)",
        "CREATE INDEX ON invoices (user_id)",
        "DROP INDEX invoices_user_id_idx",
        "ALTER TABLE users ADD COLUMN email text DEFAULT 'x@example.org'",
        "ALTER TABLE users ADD COLUMN at timestamptz DEFAULT clock_timestamp()",
        "ALTER TABLE users ALTER COLUMN name TYPE varchar",
        "ALTER TABLE orders ALTER COLUMN id TYPE bigint",
        "ALTER TABLE orders ALTER COLUMN total SET DEFAULT 0",
        "ALTER TABLE users RENAME COLUMN email TO mail",
        "CREATE VIEW v AS SELECT * FROM orders",
        "DROP VIEW v",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM orders",
        "REFRESH MATERIALIZED VIEW m",
        "DROP MATERIALIZED VIEW m",
        "CREATE TEMP TABLE t AS SELECT * FROM orders",
        "TRUNCATE t",
        "DELETE FROM t",
        "DROP TABLE IF EXISTS t",
        "TRUNCATE nothing",
        "DROP TABLE nothing",
        "DELETE FROM orders WHERE id = 1",
        "DELETE FROM orders WHERE id < 400",
        "UPDATE orders SET total = total + 1 WHERE id < 800",
        "UPDATE users SET data = jsonb_set(data, '{phone}', '\"1\"')  WHERE id < 500",
        "UPDATE users SET data = data - 'phone' WHERE id = 5",
        "UPDATE users SET plain = '{\"a\": 2, \"b\": 2, \"c\": 4}' WHERE id = 5",
        "INSERT INTO users (id, name) SELECT i, 'n' FROM generate_series(2900, 3500) i ON CONFLICT (id) DO UPDATE SET name = 'again'",
        "CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (5000) TO (6000)",
        "INSERT INTO events SELECT i, now() FROM generate_series(5000, 5999) i",
        "ALTER TABLE events DETACH PARTITION events_3",
        "VACUUM FULL orders",
        "CLUSTER orders USING orders_pkey",
        "ANALYZE");
    database.transaction(
        "CREATE TABLE made_here (id int)",
        "INSERT INTO made_here SELECT generate_series(1, 50000)",
        "UPDATE made_here SET id = id + 1",
        "DELETE FROM made_here WHERE id > 100",
        "TRUNCATE made_here",
        "INSERT INTO made_here VALUES (1)",
        "ALTER TABLE made_here DROP COLUMN id",
        "DROP TABLE made_here");
    database.transaction(
        "CREATE SCHEMA new_one",
        "CREATE TABLE new_one.t AS SELECT 1 AS i",
        "DROP SCHEMA new_one CASCADE");
  }

  @Test
  void new_tables_are_covered_when_they_are_made() throws SQLException {
    Database database = guarded("production");
    database.execute(
        "CREATE SCHEMA more",
        "CREATE TABLE more.first (id int, doc jsonb)",
        "CREATE TABLE more.second AS SELECT 1 AS i",
        "SELECT 2 AS i INTO more.third",
        "CREATE SCHEMA another CREATE TABLE fourth (i int)",
        "CREATE TABLE more.fifth (LIKE more.first)",
        "ALTER TABLE more.second ADD COLUMN late jsonb");
    assertThat(
            database.query(
                "SELECT schema_name, table_name, missing FROM holdfast.tables() WHERE missing IS NOT NULL"))
        .isEmpty();
    assertThat(
            database.query(
                "SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'holdfast_json' AND tgrelid::regclass::text LIKE 'more.%' ORDER BY 1"))
        .containsExactly("more.first", "more.second", "more.fifth");
    database.refusal("TRUNCATE more.second");
    database.refusal("DROP TABLE more.third");
  }

  @Test
  void development_is_left_alone_but_who_did_it_is_written() throws SQLException {
    Database database = guarded("development");
    GuardedServer.Messages messages = database.messages();
    database.execute(
        "UPDATE users SET data = '{\"phone\": 1}' WHERE id = 7",
        "UPDATE events SET day = day + 1",
        "DELETE FROM orders WHERE id < 2000",
        "TRUNCATE orders",
        "DROP TABLE users CASCADE");
    database.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public");
    assertThat(database.value("SELECT count(*) FROM holdfast.observation")).isEqualTo("0");
    assertThat(messages.read())
        .anyMatch(m -> m.contains("\"json-keys-lost\"") && m.contains("\"address\""))
        .anyMatch(m -> m.contains("\"mass-delete\"") && m.contains("\"passed\""))
        .anyMatch(m -> m.contains("\"truncate\"") && m.contains("TRUNCATE orders"))
        .anyMatch(m ->
            m.contains("\"drop-table\"")
                && m.contains("\"user\": \"postgres\"")
                && m.contains("\"application\": \"api\"")
                && m.contains("\"address\": \"127.0.0.1\""))
        .anyMatch(m -> m.contains("\"drop-schema\""));
  }

  @Test
  void who_did_it_is_written_when_it_is_observed_or_permitted() throws SQLException {
    Database database = guarded("production");
    GuardedServer.Messages messages = database.messages();
    database.execute(
        "UPDATE users SET data = '{\"phone\": 1}' WHERE id IN (7, 8)",
        "UPDATE users SET data = '{\"phone\": 2}' WHERE id = 9");
    assertThat(messages.read())
        .hasSize(2)
        .first()
        .asString()
        .contains(
            "\"rule\": \"json-keys-lost\"",
            "\"outcome\": \"observed\"",
            "\"column\": \"data\"",
            "\"keys\": [\"address\", \"country\", \"postal\"]",
            "\"rows\": 2");
    assertThat(
            database.query(
                "SELECT rule, table_name, column_name, rows_lost, keys, application FROM holdfast.observation ORDER BY at"))
        .containsExactly(
            "json-keys-lost|users|data|2|{address,country,postal}|api",
            "json-keys-lost|users|data|1|{address,country,postal}|api");
  }

  @Test
  void incident_b_is_refused_with_the_keys_named() throws SQLException {
    Database database = guarded("production");
    database.set("json-keys-lost", "enforce");
    List<String> before = database.contents();
    assertThat(
            database
                .refusal("UPDATE users SET data = '{\"phone\": \"+49 30 1\"}' WHERE id = 7")
                .message())
        .endsWith(
            "1 row would lose keys of public.users.data (3 of 4 keys: address, country, postal)");
    assertThat(database.refusal("UPDATE users SET plain = '{\"a\": 1}' WHERE id < 5").message())
        .endsWith("4 rows would lose keys of public.users.plain (2 of 3 keys: b, c)");
    assertThat(database.refusal("UPDATE users SET data = NULL WHERE id = 7").message())
        .contains("4 of 4 keys");
    assertThat(database.refusal("UPDATE users SET data = '[1]' WHERE id = 7").message())
        .contains("4 of 4 keys");
    assertThat(
            database
                .refusal(
                    "INSERT INTO users (id, data) VALUES (7, '{\"phone\": 1}') ON CONFLICT (id) DO UPDATE SET data = excluded.data")
                .message())
        .contains("3 of 4 keys");
    assertThat(database.contents()).isEqualTo(before);
    // A rule can be loosened for a table's column.
    try (Connection connection = database.connect()) {
      Rules.except(
          connection,
          new Rules.RuleOverride(
              null,
              "json-keys-lost",
              "public.users",
              null,
              "data",
              "observe",
              null,
              null,
              "sessions shrink"),
          new Guard.Installation("acme", "production"),
          (_, _, _) -> {});
    }
    database.execute("UPDATE users SET data = '{\"phone\": 1}' WHERE id = 7");
    database.refusal("UPDATE users SET plain = '{\"a\": 1}' WHERE id = 8");
  }

  @Test
  void json_that_jsonb_cannot_hold_is_left_alone() throws SQLException {
    Database database = guarded("production");
    database.set("json-keys-lost", "enforce");
    database.execute(
        "UPDATE users SET plain = '{\"a\": \"\\u0000\", \"b\": 1, \"c\": 2}' WHERE id = 9",
        "UPDATE users SET plain = '{\"a\": 1}' WHERE id = 9");
  }

  @Test
  void a_nightly_purge_goes_on_after_what_was_suggested_is_applied() throws SQLException {
    Database database = guarded("production");
    database.execute(
        "DELETE FROM orders WHERE id <= 1900",
        "UPDATE users SET data = '{\"phone\": 1}' WHERE id = 7");
    Guard.Installation how = new Guard.Installation("acme", "production");
    try (Connection connection = database.connect()) {
      Suggestions.Suggested suggested = Suggestions.of(connection);
      assertThat(suggested.ready()).isFalse();
      assertThat(suggested.proposals())
          .extracting(p ->
              p.rule()
                  + " "
                  + p.table()
                  + " "
                  + p.column()
                  + " "
                  + p.rowsMost()
                  + " "
                  + p.rowsMax()
                  + " "
                  + p.keys())
          .containsExactly(
              "json-keys-lost public.users data 1 null [address, country, postal]",
              "mass-delete public.orders null 1900 3800 []");
      assertThatThrownBy(() -> Suggestions.apply(connection, false, how, (_, _, _) -> {}))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("it is too early to enforce");
      database.execute("UPDATE holdfast.rule SET since = since - interval '15 days'");
      Suggestions.apply(connection, false, how, (_, _, _) -> {});
    }
    database.execute(
        "DELETE FROM orders WHERE id <= 3900",
        "UPDATE users SET data = '{\"phone\": 1}' WHERE id = 8");
    database.refusal("DELETE FROM users WHERE id > 2000");
    database.refusal("DELETE FROM events");
  }

  @Test
  void an_error_of_the_guards_own_lets_work_go_on() throws SQLException {
    Database database = guarded("production");
    // What a superuser can break: rules without their table.
    database.execute(
        "ALTER EVENT TRIGGER holdfast_defined DISABLE",
        "ALTER EVENT TRIGGER holdfast_dropped DISABLE",
        "ALTER EVENT TRIGGER holdfast_sentinel DISABLE",
        "ALTER TABLE holdfast.exception RENAME TO gone");
    database.execute(
        "DELETE FROM orders WHERE id < 3000",
        "UPDATE events SET day = day + 1",
        "UPDATE users SET data = '{\"phone\": 1}' WHERE id = 7",
        "TRUNCATE orders",
        "DROP TABLE orders");
    assertThat(GuardedServers.of(major).guardErrors()).isNotEmpty();
  }

  @Test
  void the_self_check_proves_each_rule_and_leaves_nothing_behind() throws SQLException {
    Database database = guarded("production");
    List<String> before = database.contents();
    try (Connection connection = database.connect()) {
      SelfCheck.Report report = SelfCheck.of(connection);
      assertThat(report.rules())
          .extracting(r -> r.rule().name() + " " + r.works())
          .containsExactlyElementsOf(Rules.NAMES.stream().map(n -> n + " yes").toList());
      assertThat(report.armed()).isTrue();
      assertThat(report.identityFits()).isTrue();
      assertThat(report.tables()).isEqualTo(6);
      assertThat(report.disarmers()).extracting(SelfCheck.Disarmer::role).contains("postgres");
      assertThat(connection.getAutoCommit()).isTrue();
    }
    assertThat(database.contents()).isEqualTo(before);
    assertThat(database.query("SELECT FROM pg_namespace WHERE nspname = 'holdfast_probe'"))
        .isEmpty();
    assertThat(database.value("SELECT count(*) FROM holdfast.exception")).isEqualTo("0");
  }

  @Test
  void what_a_superuser_did_to_the_guard_is_seen() throws SQLException {
    Database database = guarded("production");
    database.execute(
        "ALTER EVENT TRIGGER holdfast_dropped DISABLE",
        "ALTER EVENT TRIGGER holdfast_defined DISABLE",
        "ALTER TABLE users DISABLE TRIGGER holdfast_truncate",
        "ALTER DATABASE " + database.name() + " SET session_replication_role = 'replica'");
    try (Connection connection = database.connect()) {
      SelfCheck.Report report = SelfCheck.of(connection);
      assertThat(report.armed()).isFalse();
      assertThat(report.uncovered())
          .containsExactly(new Guard.Uncovered("public", "users", "holdfast_truncate is disabled"));
      assertThat(report.tampered())
          .containsExactlyInAnyOrder(
              "event trigger holdfast_dropped is disabled",
              "event trigger holdfast_defined is disabled",
              "setting session_replication_role=replica in the database " + database.name());
      assertThat(report.rules())
          .filteredOn(r -> r.rule().name().startsWith("drop-t"))
          .extracting(SelfCheck.CheckedRule::works)
          .containsExactly("no", "no");
    }
  }

  @Test
  void installing_again_keeps_what_was_set_and_mends_what_is_missing() throws SQLException {
    Database database = guarded("production");
    database.set("truncate", "observe");
    database.execute(
        "ALTER EVENT TRIGGER holdfast_defined DISABLE",
        "DROP EVENT TRIGGER holdfast_dropped",
        "DROP EVENT TRIGGER holdfast_sentinel",
        "DROP TRIGGER holdfast_json ON users",
        "CREATE TABLE unseen (i int)");
    try (Connection connection = database.connect()) {
      Guard.Installed installed =
          Guard.install(connection, new Guard.Installation("acme", "production"));
      assertThat(installed.uncovered()).isEmpty();
      assertThat(installed.eventTriggers()).isTrue();
      assertThat(installed.lost()).isEmpty();
      assertThat(SelfCheck.of(connection).armed()).isTrue();
    }
    assertThat(database.value("SELECT mode FROM holdfast.rule WHERE name = 'truncate'"))
        .isEqualTo("observe");
  }

  @Test
  void taken_out_nothing_of_it_is_left() throws SQLException {
    Database database = guarded("production");
    try (Connection connection = database.connect()) {
      Guard.uninstall(
          connection, new Guard.Installation("acme", "production"), false, (_, _, _) -> {});
    }
    assertThat(database.query("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'holdfast%'"))
        .isEmpty();
    assertThat(database.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%'"))
        .isEmpty();
    assertThat(database.query("SELECT evtname FROM pg_event_trigger")).isEmpty();
    assertThat(
            database.value(
                "SELECT datistemplate FROM pg_database WHERE datname = current_database()"))
        .isEqualTo("f");
    database.execute("DROP TABLE users CASCADE");
  }

  @Test
  void a_table_that_somebody_holds_is_tried_again_and_told_and_nobody_waits_behind()
      throws SQLException {
    Database database = GuardedServers.of(major).database();
    database.execute("CREATE TABLE held (i int)", "CREATE TABLE free (i int)");
    try (Connection holder = database.connect();
        Statement writing = holder.createStatement();
        Connection installer = database.connect()) {
      holder.setAutoCommit(false);
      writing.execute("INSERT INTO held VALUES (1)");
      Guard.Installed installed =
          Guard.install(
              installer, new Guard.Installation("acme", "production", Duration.ofMillis(50), 3));
      assertThat(installed.uncovered())
          .containsExactly(
              new Guard.Uncovered("public", "held", "canceling statement due to lock timeout"));
      holder.commit();
      assertThat(Guard.install(installer, new Guard.Installation("acme", "production")).uncovered())
          .isEmpty();
    }
  }

  @Test
  void an_owner_without_superuser_gets_what_works_and_is_told_what_does_not() throws SQLException {
    Database database = GuardedServers.of(major).database();
    String owner = "owner_of_" + database.name();
    database.execute(
        "CREATE ROLE " + owner + " LOGIN",
        "ALTER DATABASE " + database.name() + " OWNER TO " + owner,
        "ALTER SCHEMA public OWNER TO " + owner,
        "CREATE TABLE others (i int)");
    Database owned = database.as(owner);
    owned.execute(
        "CREATE TABLE users (id int PRIMARY KEY, data jsonb)",
        "INSERT INTO users SELECT i, '{\"a\": 1, \"b\": 2, \"c\": 3}' FROM generate_series(1, 3000) i");
    try (Connection connection = owned.connect()) {
      Guard.Installed installed =
          Guard.install(connection, new Guard.Installation("acme", "production"));
      assertThat(installed.eventTriggers()).isFalse();
      assertThat(installed.uncovered())
          .extracting(Guard.Uncovered::table)
          .containsExactly("others");
      assertThat(installed.lost())
          .hasSize(2)
          .first()
          .asString()
          .startsWith("drop-table, drop-schema");
      for (String rule : List.of("mass-delete", "mass-update", "json-keys-lost")) {
        owned.set(rule, "enforce");
      }
      SelfCheck.Report report = SelfCheck.of(connection);
      assertThat(report.rules())
          .filteredOn(r -> r.works().equals("yes"))
          .extracting(r -> r.rule().name())
          .containsExactly(
              "drop-database", "truncate", "mass-delete", "mass-update", "json-keys-lost");
      assertThat(report.rules()).filteredOn(r -> r.works().equals("no")).hasSize(6);
    }
    owned.refusal("TRUNCATE users");
    owned.execute("ANALYZE users");
    owned.refusal("DELETE FROM users");
    owned.refusal("UPDATE users SET data = '{}' WHERE id = 1");
    // Nobody tells when a column goes: writing goes on all the same.
    owned.execute(
        "ALTER TABLE users RENAME COLUMN data TO document",
        "UPDATE users SET document = '{}' WHERE id = 1",
        "ALTER TABLE users DROP COLUMN document",
        "UPDATE users SET id = 0 WHERE id = 1");
    try (Connection connection = owned.connect()) {
      Guard.uninstall(
          connection, new Guard.Installation("acme", "production"), false, (_, _, _) -> {});
    }
    assertThat(database.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%'"))
        .isEmpty();
  }

  @Test
  void known_patterns_pass_with_an_exception_for_a_role_or_a_table() throws SQLException {
    Database database = guarded("production");
    String janitor = "janitor_of_" + database.name();
    database.set("mass-delete", "enforce");
    database.execute("CREATE ROLE " + janitor + " LOGIN SUPERUSER");
    Guard.Installation how = new Guard.Installation("acme", "production");
    try (Connection connection = database.connect()) {
      Rules.except(
          connection,
          new Rules.RuleOverride(
              null,
              "drop-table",
              "public.events_%",
              janitor,
              null,
              "observe",
              null,
              null,
              "partitions expire"),
          how,
          (_, _, _) -> {});
      Rules.except(
          connection,
          new Rules.RuleOverride(
              null, "mass-delete", "public.orders", null, null, null, 5000L, null, "nightly"),
          how,
          (_, _, _) -> {});
    }
    database.refusal("DROP TABLE events_1");
    database.as(janitor).execute("DROP TABLE events_1");
    database.as(janitor).refusal("DROP TABLE orders");
    database.execute("SET ROLE " + janitor, "DROP TABLE events_2");
    database.execute("DELETE FROM orders");
  }
}
