package dev.holdfast.postgres.definition;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** What may have happened between the drop and the repair. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class DroppedObjectsTest {
  @SuppressWarnings("NullAway.Init") // started before all
  private static TestServer server;

  @BeforeAll
  static void start() {
    server = TestServer.start(PostgresBinaries.of(15), Map.of(), List.of());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @BeforeEach
  void clean() {
    for (String database : List.of("production", "fork", "after")) {
      server.execute("DROP DATABASE IF EXISTS " + database + " WITH (FORCE)");
    }
    server.execute(
        "CREATE DATABASE production",
        "DROP ROLE IF EXISTS shopkeeper",
        "DROP ROLE IF EXISTS visitor");
  }

  @Test
  void the_public_schema_comes_back_with_its_extensions_and_comment() throws SQLException {
    production(
        "CREATE EXTENSION citext",
        "CREATE TABLE customers (id serial PRIMARY KEY, mail citext UNIQUE)",
        "INSERT INTO customers (mail) VALUES ('A@x.org'), ('b@x.org')",
        "CREATE VIEW mails AS SELECT mail FROM customers WHERE mail = 'a@x.org'",
        "GRANT CREATE ON SCHEMA public TO PUBLIC");
    fork("fork");
    production("DROP SCHEMA public CASCADE");

    RecreationPlan plan = recreate(Set.of());

    assertThat(plan.unrecoverable()).isEmpty();
    assertThat(query("SELECT mail FROM mails")).containsExactly("A@x.org");
    assertSameDump();
  }

  @Test
  void a_schema_made_again_since_is_used() throws SQLException {
    production("CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1)");
    fork("fork");
    production("DROP SCHEMA public CASCADE", "CREATE SCHEMA public");

    RecreationPlan plan = recreate(Set.of());

    assertThat(plan.notes())
        .containsExactly(
            "schema public was made again since: it is used, with the owner and grants it had");
    assertSameDump();
  }

  @Test
  void a_table_made_again_since_is_a_conflict_and_nothing_is_touched() throws SQLException {
    production("CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1)");
    fork("fork");
    production("DROP TABLE t", "CREATE TABLE t (other text)");

    assertThatThrownBy(() -> recreate(Set.of()))
        .isInstanceOf(OperatorException.class)
        .hasMessage(
            "cannot bring the dropped objects back: table public.t exists again: it was made since;"
                + " next: rename or drop what stands in the way, then make a new plan");
    assertThat(query("SELECT count(*) FROM t")).containsExactly("0");
  }

  @Test
  void what_somebody_else_dropped_later_stays_dropped() throws SQLException {
    production("CREATE TABLE mine (id integer)", "CREATE TABLE theirs (id integer)");
    fork("fork");
    production("DROP TABLE mine");
    fork("after");
    production("DROP TABLE theirs");

    try (Connection before = server.connect("fork");
        Connection after = server.connect("after");
        Connection production = server.connect("production")) {
      assertThat(DroppedObjects.find(before, after, production, Set.of()).objects())
          .containsExactly(new ObjectRef("table", "public.mine"));
    }
  }

  @Test
  void without_a_fork_from_after_only_what_hangs_together_comes_back() throws SQLException {
    production(
        "CREATE TYPE size AS ENUM ('s', 'm')",
        "CREATE TABLE mine (id integer, s size)",
        "CREATE VIEW of_mine AS SELECT * FROM mine",
        "CREATE TABLE theirs (id integer)");
    fork("fork");
    long oid = Long.parseLong(query("SELECT 'mine'::regclass::oid").getFirst());
    production("DROP TABLE mine CASCADE", "DROP TYPE size", "DROP TABLE theirs");

    assertThat(recreate(Set.of(oid)).objects())
        .containsExactly(
            new ObjectRef("type", "public.size"),
            new ObjectRef("table", "public.mine"),
            new ObjectRef("view", "public.of_mine"));
  }

  @Test
  void default_privileges_of_the_session_do_not_widen_what_comes_back() throws SQLException {
    server.execute("CREATE ROLE visitor");
    production(
        "CREATE TABLE closed (id integer)",
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO visitor",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO visitor");
    fork("fork");
    production("DROP TABLE closed", "DROP FUNCTION f()");

    recreate(Set.of());

    assertThat(query("SELECT has_table_privilege('visitor', 'closed', 'SELECT')"))
        .containsExactly("f");
    assertSameDump();
    production("DROP OWNED BY visitor");
    server.execute("DROP DATABASE fork", "DROP DATABASE production", "DROP ROLE visitor");
  }

  @Test
  void the_owner_without_superuser_can_bring_a_table_back() throws SQLException {
    server.execute("CREATE ROLE shopkeeper LOGIN");
    production(
        "GRANT CREATE ON SCHEMA public TO shopkeeper",
        "SET ROLE shopkeeper; CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) VALUES ('a');"
            + " ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;"
            + " CREATE POLICY none ON t USING (false); GRANT SELECT ON t TO PUBLIC; REVOKE INSERT ON t FROM shopkeeper");
    fork("fork");
    production("DROP TABLE t");

    try (Connection fork = server.connect("fork");
        Connection production =
            DriverManager.getConnection(
                "jdbc:postgresql://127.0.0.1:" + server.server().port() + "/production",
                "shopkeeper",
                "")) {
      production.setAutoCommit(false);
      Recreation.apply(production, fork, DroppedObjects.find(fork, production, Set.of()));
      production.commit();
    }
    assertSameDump();
    server.execute("DROP DATABASE fork", "DROP DATABASE production", "DROP ROLE shopkeeper");
  }

  @Test
  void a_role_that_may_not_give_ownership_is_told_at_which_statement() throws SQLException {
    server.execute("CREATE ROLE shopkeeper LOGIN");
    production("GRANT CREATE ON SCHEMA public TO shopkeeper", "CREATE TABLE t (id integer)");
    fork("fork");
    production("DROP TABLE t");

    try (Connection fork = server.connect("fork");
        Connection production =
            DriverManager.getConnection(
                "jdbc:postgresql://127.0.0.1:" + server.server().port() + "/production",
                "shopkeeper",
                "")) {
      production.setAutoCommit(false);
      RecreationPlan plan = DroppedObjects.find(fork, production, Set.of());
      assertThatThrownBy(() -> Recreation.apply(production, fork, plan))
          .isInstanceOfSatisfying(
              OperatorException.class,
              refused -> {
                assertThat(refused.kind()).isEqualTo(Kind.REFUSED);
                assertThat(refused.why()).endsWith("ALTER TABLE public.t OWNER TO \"postgres\"");
              });
      production.rollback();
    }
    server.execute("DROP DATABASE fork", "DROP DATABASE production", "DROP ROLE shopkeeper");
  }

  @Test
  void later_rows_that_break_a_dropped_foreign_key_are_named() throws SQLException {
    production(
        "CREATE TABLE users (id integer PRIMARY KEY)",
        "INSERT INTO users VALUES (1)",
        "CREATE TABLE orders (id integer, user_id integer REFERENCES users)");
    fork("fork");
    production("DROP TABLE users CASCADE", "INSERT INTO orders VALUES (1, 99)");

    assertThatThrownBy(() -> recreate(Set.of()))
        .isInstanceOfSatisfying(
            OperatorException.class,
            refused ->
                assertThat(refused.why())
                    .startsWith("rows written since break a constraint that was dropped:")
                    .contains("Key (user_id)=(99) is not present in table \"users\"")
                    .contains("ADD CONSTRAINT orders_user_id_fkey"));
  }

  @Test
  void a_column_lost_with_its_type_is_refused_unless_partial() throws SQLException {
    production(
        "CREATE SCHEMA lost",
        "CREATE TYPE lost.mood AS ENUM ('sad', 'ok')",
        "CREATE TABLE kept (id integer PRIMARY KEY, m lost.mood DEFAULT 'ok')",
        "INSERT INTO kept VALUES (1, 'sad'), (2, 'ok'), (3, NULL)");
    fork("fork");
    production("DROP SCHEMA lost CASCADE", "INSERT INTO kept VALUES (4)");

    try (Connection fork = server.connect("fork");
        Connection production = server.connect("production")) {
      production.setAutoCommit(false);
      RecreationPlan plan = DroppedObjects.find(fork, production, Set.of());
      assertThatThrownBy(() -> Recreation.apply(production, fork, plan))
          .isInstanceOfSatisfying(
              OperatorException.class,
              refused ->
                  assertThat(refused.why())
                      .isEqualTo("column public.kept.m: values of a column of a surviving table"));
      Recreation.apply(production, fork, plan, true, RecreationProgress.NONE);
      production.commit();
    }
    assertThat(query("SELECT count(*), count(m) FROM kept")).containsExactly("4|0");
    production("INSERT INTO kept (id) VALUES (5)");
    assertThat(query("SELECT m FROM kept WHERE id = 5")).containsExactly("ok");
  }

  @Test
  void bodies_that_lean_on_the_search_path_still_serve_indexes_and_materialised_views()
      throws SQLException {
    production(
        "CREATE TABLE words (w text)",
        "INSERT INTO words VALUES ('a'), ('b')",
        "CREATE FUNCTION plain(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN upper($1); END'",
        "CREATE FUNCTION f(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN plain($1); END'",
        "CREATE INDEX by_f ON words (f(w))",
        "CREATE MATERIALIZED VIEW m AS SELECT f(w) FROM words");
    fork("fork");
    production("DROP SCHEMA public CASCADE");

    recreate(Set.of());

    assertSameDump();
    assertThat(query("SELECT count(*) FROM m")).containsExactly("2");
  }

  @Test
  void two_hundred_thousand_rows_stream_through() throws SQLException {
    production(
        "CREATE TABLE users (id serial PRIMARY KEY, data jsonb, created timestamptz DEFAULT now())",
        "INSERT INTO users (data) SELECT jsonb_build_object('phone', n, 'address', repeat('x', 200)) FROM generate_series(1, 200000) n",
        "CREATE INDEX ON users USING gin (data jsonb_path_ops)",
        "ANALYZE users");
    fork("fork");
    production("DROP TABLE users");

    RecreationPlan plan = recreate(Set.of());

    assertThat(plan.copies().getFirst().estimatedRows()).isEqualTo(200_000);
    assertThat(plan.copies().getFirst().bytes()).isGreaterThan(40_000_000);
    String checksum = "SELECT count(*), sum(hashtextextended(u::text, 0)) FROM users u";
    assertThat(query(checksum)).isEqualTo(server.queryIn("fork", checksum));
    try (Connection production = server.connect("production")) {
      assertThat(Recreation.analyze(production, plan)).isEmpty();
    }
    assertThat(query("SELECT reltuples FROM pg_class WHERE relname = 'users'"))
        .containsExactly("200000");
  }

  @Test
  void a_lock_held_on_a_surviving_table_is_not_waited_for_long() throws SQLException {
    production(
        "CREATE TABLE users (id integer PRIMARY KEY)",
        "CREATE TABLE orders (id integer, user_id integer REFERENCES users)");
    fork("fork");
    production("DROP TABLE users CASCADE");

    try (Connection other = server.connect("production");
        Statement statement = other.createStatement()) {
      other.setAutoCommit(false);
      statement.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE");
      assertThatThrownBy(() -> recreate(Set.of()))
          .isInstanceOfSatisfying(
              OperatorException.class,
              refused ->
                  assertThat(refused.why())
                      .startsWith("another session holds a lock that this needs: ALTER TABLE"));
    }
    assertThat(query("SELECT to_regclass('users')")).containsExactly("null");
  }

  @Test
  void settings_of_the_callers_transaction_are_put_back() throws SQLException {
    production("CREATE TABLE t (id integer)");
    fork("fork");
    production("DROP TABLE t");
    try (Connection fork = server.connect("fork");
        Connection production = server.connect("production");
        Statement statement = production.createStatement()) {
      production.setAutoCommit(false);
      Recreation.apply(production, fork, DroppedObjects.find(fork, production, Set.of()));
      statement.execute("INSERT INTO t VALUES (1)"); // unqualified: the search path is back
      production.rollback();
    }
    assertThat(query("SELECT to_regclass('public.t')")).containsExactly("null");
  }

  private static void production(String... statements) {
    server.executeIn("production", statements);
  }

  private static List<String> query(String sql) {
    return server.queryIn("production", sql);
  }

  private static void fork(String name) {
    server.execute("CREATE DATABASE " + name + " TEMPLATE production");
  }

  private static RecreationPlan recreate(Set<Long> oids) throws SQLException {
    try (Connection fork = server.connect("fork");
        Connection production = server.connect("production")) {
      production.setAutoCommit(false);
      RecreationPlan plan = DroppedObjects.find(fork, production, oids);
      Recreation.apply(production, fork, plan);
      production.commit();
      return plan;
    }
  }

  private static void assertSameDump() {
    if (DumpOracle.isInstalled()) {
      assertThat(
              String.join(
                  "\n\n", DumpOracle.dump(server.server().port(), "production").statements()))
          .isEqualTo(
              String.join("\n\n", DumpOracle.dump(server.server().port(), "fork").statements()));
    }
  }
}
