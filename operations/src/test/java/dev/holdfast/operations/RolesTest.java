package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Guard;
import dev.holdfast.testkit.TestServer;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The printed SQL, run by real servers, and what each role may then do. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RolesTest {
  /** Nothing that quotes, comments, dollars, backslashes or formats can do may get out of it. */
  private static final String HOSTILE = "we\"ird';-- $holdfast$ %I \\ \n b";

  private static final Roles.Request USUAL = new Roles.Request(null, null, null, null, List.of());

  private static Connection connect(TestServer server, String database, String role)
      throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:%d/%s"
            .formatted(
                server.server().port(),
                URLEncoder.encode(database, StandardCharsets.UTF_8).replace("+", "%20")),
        role,
        "");
  }

  private static String quoted(String name) {
    return '"' + name.replace("\"", "\"\"") + '"';
  }

  private static void run(TestServer server, String database, String role, RolesScript script)
      throws SQLException {
    try (Connection connection = connect(server, database, role);
        Statement statement = connection.createStatement()) {
      for (RolesScript.Statement each : script.statements()) {
        statement.execute(each.sql());
      }
    }
  }

  /** SQLSTATE of a refusal; null when it was done. */
  private static @Nullable String refusal(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
      return null;
    } catch (SQLException e) {
      return e.getSQLState();
    }
  }

  private static void may(Connection connection, String... statements) throws SQLException {
    for (String sql : statements) {
      try (Statement statement = connection.createStatement()) {
        statement.execute(sql);
      } catch (SQLException e) {
        throw new AssertionError(sql + ": " + e.getMessage(), e);
      }
    }
  }

  private static void mayNot(Connection connection, String... statements) throws SQLException {
    List<String> done = new ArrayList<>();
    for (String sql : statements) {
      String state = refusal(connection, sql);
      if (!"42501".equals(state)) { // insufficient privilege, not some other failure
        done.add(sql + ": " + state);
      }
    }
    assertThat(done).as("not refused").isEmpty();
  }

  private static String one(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return String.valueOf(row.getString(1));
    }
  }

  private static String url(TestServer server, String database, String role) {
    return "postgresql://%s@127.0.0.1:%d/%s"
        .formatted(
            role,
            server.server().port(),
            URLEncoder.encode(database, StandardCharsets.UTF_8).replace("+", "%20"));
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void each_role_may_do_its_part_and_nothing_else_in_old_and_new_tables(int major)
      throws SQLException {
    String schema = quoted(HOSTILE);
    try (TestServer server = TestServer.start(major)) {
      server.execute(
          "CREATE ROLE shop LOGIN",
          "CREATE ROLE stranger LOGIN",
          "CREATE DATABASE " + quoted(HOSTILE));
      try (Connection root = connect(server, HOSTILE, "postgres")) {
        may(
            root,
            "CREATE EXTENSION citext",
            "GRANT CREATE ON SCHEMA public TO shop",
            "CREATE SCHEMA " + schema + " AUTHORIZATION shop",
            "SET ROLE shop",
            "CREATE TYPE colour AS ENUM ('red', 'green')",
            "CREATE TABLE users (id serial PRIMARY KEY, name text, favourite colour)",
            "CREATE VIEW names AS SELECT name FROM users",
            "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM users",
            "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'",
            "CREATE TABLE "
                + schema
                + ".orders (id int GENERATED ALWAYS AS IDENTITY, at date) PARTITION BY RANGE (at)",
            "CREATE TABLE " + schema + ".\"o%2026\" PARTITION OF " + schema + ".orders DEFAULT",
            "INSERT INTO users (name) VALUES ('ada')",
            "GRANT ALL ON users TO PUBLIC");
      }
      try (Connection stranger = connect(server, HOSTILE, "stranger")) {
        assertThat(one(stranger, "SELECT 1")).isEqualTo("1");
      }

      Roles roles = Roles.of(url(server, HOSTILE, "postgres"), () -> "nowhere");
      RolesScript script = roles.write(USUAL);
      assertThat(script.lookedAt()).as(script.whyNot()).isTrue();
      assertThat(script.major()).isEqualTo(major);
      assertThat(script.schemas()).containsExactlyInAnyOrder("public", HOSTILE);
      assertThat(script.app()).isEqualTo("we_ird_holdfast_i_b_app");
      assertThat(script.notes())
          .contains(
              "from then on the schema cannot be changed as shop: what migrates has to log in as the migrator");
      run(server, HOSTILE, "postgres", script);
      run(server, HOSTILE, "postgres", script);
      RolesScript again = roles.write(USUAL); // what is there has changed: nothing to hand over
      assertThat(again.notes()).noneMatch(note -> note.contains("cannot be changed"));
      run(server, HOSTILE, "postgres", again);

      String writes = "INSERT INTO users (name, favourite) VALUES ('grace', 'red')";
      try (Connection app = connect(server, HOSTILE, script.app());
          Connection migrator = connect(server, HOSTILE, script.migrator());
          Connection reader = connect(server, HOSTILE, script.reader())) {
        may(
            app,
            writes,
            "UPDATE users SET name = 'mary' WHERE id = 1",
            "DELETE FROM users WHERE id = 2",
            "INSERT INTO " + schema + ".orders (at) VALUES ('2026-11-22')",
            "SELECT * FROM names",
            "SELECT twice(id) FROM users");
        mayNot(
            app,
            "DROP TABLE users",
            "TRUNCATE users",
            "ALTER TABLE users ADD COLUMN x int",
            "ALTER TABLE users DISABLE TRIGGER ALL",
            "CREATE TABLE mine (id int)",
            "CREATE TABLE " + schema + ".mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE INDEX ON users (name)",
            "DROP VIEW names",
            "DROP SCHEMA " + schema + " CASCADE",
            "TRUNCATE " + schema + ".orders",
            "DROP TABLE " + schema + ".\"o%2026\"",
            "ALTER TYPE colour ADD VALUE 'blue'",
            "DROP FUNCTION twice",
            "SET ROLE " + script.migrator(),
            "CREATE ROLE another");

        may(
            migrator,
            "ALTER TABLE users ADD COLUMN born date",
            "ALTER TYPE colour ADD VALUE 'blue'",
            "ALTER TABLE " + schema + ".orders ADD COLUMN total numeric",
            "REFRESH MATERIALIZED VIEW counted",
            "CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n + n'",
            "CREATE TABLE invoices (id serial PRIMARY KEY, paid bool)",
            "CREATE TABLE " + schema + ".lines (id int GENERATED ALWAYS AS IDENTITY)",
            "CREATE SCHEMA audit",
            "CREATE TABLE audit.entries (id bigserial)",
            "INSERT INTO invoices (paid) VALUES (false)");
        assertThat(one(migrator, "SHOW lock_timeout")).isEqualTo("5s");
        assertThat(one(migrator, "SHOW statement_timeout")).isEqualTo("1h");

        may(
            app,
            "INSERT INTO invoices (paid) VALUES (true)",
            "UPDATE invoices SET paid = true",
            "DELETE FROM invoices WHERE id = 1",
            "INSERT INTO " + schema + ".lines DEFAULT VALUES",
            "INSERT INTO audit.entries DEFAULT VALUES");
        mayNot(
            app,
            "DROP TABLE invoices",
            "TRUNCATE invoices",
            "ALTER TABLE invoices ADD COLUMN x int",
            "CREATE TABLE audit.mine (id int)",
            "DROP TABLE audit.entries");

        assertThat(one(reader, "SELECT count(*) FROM invoices")).isEqualTo("1");
        may(
            reader,
            "SELECT * FROM users",
            "SELECT * FROM names",
            "SELECT * FROM " + schema + ".orders",
            "SELECT * FROM audit.entries",
            "SELECT last_value FROM invoices_id_seq");
        assertThat(refusal(reader, writes)).as("read-only transaction").isEqualTo("25006");
        may(reader, "SET default_transaction_read_only = off");
        mayNot(
            reader,
            writes,
            "UPDATE users SET name = ''",
            "DELETE FROM invoices",
            "TRUNCATE audit.entries",
            "SELECT nextval('invoices_id_seq')",
            "CREATE TABLE mine (id int)",
            "DROP TABLE users");
        may(
            migrator,
            "TRUNCATE invoices",
            "DROP TABLE invoices",
            "DROP TABLE " + schema + ".\"o%2026\"");
      }
      try (Connection shop = connect(server, HOSTILE, "shop")) {
        may(shop, writes);
        mayNot(shop, "DROP TABLE users", "CREATE TABLE " + schema + ".mine (id int)");
      }
      assertThatThrownBy(() -> connect(server, HOSTILE, "stranger"))
          .isInstanceOfSatisfying(
              SQLException.class, e -> assertThat(e.getSQLState()).isEqualTo("42501"));
      assertThat(
              server.query(
                  "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'we%' AND rolcanlogin AND NOT rolsuper"
                      + " AND NOT rolcreaterole AND NOT rolcreatedb"))
          .containsExactly("3");
      assertThat(server.value("SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL"))
          .isEqualTo("0");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void an_admin_that_is_no_superuser_can_run_it_and_is_no_migrator_afterwards(int major)
      throws SQLException {
    try (TestServer server = TestServer.start(major)) {
      server.execute("CREATE ROLE admin LOGIN CREATEROLE", "CREATE DATABASE shop OWNER admin");
      try (Connection admin = connect(server, "shop", "admin")) {
        may(admin, "CREATE SCHEMA sales", "CREATE TABLE sales.orders (id int)");
      }
      RolesScript script =
          Roles.of(url(server, "shop", "admin"), () -> "nowhere")
              .write(new Roles.Request(null, null, null, null, List.of("sales")));
      run(server, "shop", "admin", script);
      run(server, "shop", "admin", script);
      try (Connection app = connect(server, "shop", "shop_app");
          Connection migrator = connect(server, "shop", "shop_migrator")) {
        may(app, "INSERT INTO sales.orders VALUES (1)");
        mayNot(app, "DROP TABLE sales.orders");
        may(migrator, "ALTER TABLE sales.orders ADD COLUMN at date");
      }
      assertThat(server.value("SELECT pg_has_role('admin', 'shop_migrator', 'USAGE')"))
          .isEqualTo("f");
    }
  }

  @Test
  void in_a_guarded_database_it_runs_and_the_guard_goes_on_refusing() throws SQLException {
    try (TestServer server = TestServer.start(18)) {
      server.execute("CREATE ROLE owner LOGIN", "CREATE DATABASE shop");
      try (Connection root = connect(server, "shop", "postgres")) {
        may(
            root,
            "CREATE TABLE users (id int PRIMARY KEY)",
            "ALTER TABLE users OWNER TO owner",
            "INSERT INTO users SELECT generate_series(1, 1000)");
        Guard.install(root, new Guard.Installation("acme", "production"));
      }
      RolesScript script = Roles.of(url(server, "shop", "postgres"), () -> "nowhere").write(USUAL);
      assertThat(script.schemas())
          .as("the guard's own schema is left alone")
          .containsExactly("public");
      run(server, "shop", "postgres", script);
      run(server, "shop", "postgres", script);
      try (Connection app = connect(server, "shop", "shop_app");
          Connection migrator = connect(server, "shop", "shop_migrator")) {
        may(app, "INSERT INTO users VALUES (1001)", "DELETE FROM users WHERE id = 1");
        may(migrator, "ALTER TABLE users ADD COLUMN name text", "CREATE TABLE fresh (id int)");
        assertThat(refusal(migrator, "TRUNCATE users")).isEqualTo("HF001");
        assertThat(refusal(migrator, "DROP TABLE users")).isEqualTo("HF001");
        may(migrator, "INSERT INTO fresh SELECT generate_series(1, 1000)");
        assertThat(refusal(migrator, "DROP TABLE fresh")).isEqualTo("HF001");
      }
    }
  }

  @Test
  void it_stops_where_a_role_may_do_more_or_the_database_is_another_one() throws SQLException {
    try (TestServer server = TestServer.start(18)) {
      server.execute(
          "CREATE DATABASE shop",
          "CREATE ROLE root LOGIN SUPERUSER",
          "CREATE ROLE boss NOLOGIN",
          "CREATE ROLE friend LOGIN IN ROLE boss",
          "CREATE ROLE holder LOGIN",
          "CREATE DATABASE held OWNER holder");
      Roles shop = Roles.of(url(server, "shop", "postgres"), () -> "nowhere");
      RolesScript usual = shop.write(USUAL);
      assertThatThrownBy(() -> run(server, "postgres", "postgres", usual))
          .hasMessageContaining("this is database postgres, and the roles are for another one");
      assertThatThrownBy(() -> run(server, "shop", "postgres", named(shop, "root")))
          .hasMessageContaining("role root is there already and may do more than it should");
      assertThatThrownBy(() -> run(server, "shop", "postgres", named(shop, "friend")))
          .hasMessageContaining("role friend is a member of boss");
      Roles held = Roles.of(url(server, "held", "postgres"), () -> "nowhere");
      assertThatThrownBy(() -> run(server, "held", "postgres", named(held, "holder")))
          .hasMessageContaining("role holder owns this database");
      assertThat(server.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%\\_migrator'"))
          .as("all or nothing")
          .isEqualTo("0");
    }
  }

  private static RolesScript named(Roles roles, String app) {
    return roles.write(new Roles.Request(null, app, null, null, List.of()));
  }

  @Test
  void what_cannot_be_reached_gets_the_general_text_and_says_so() throws SQLException {
    RolesScript script = Roles.of("postgresql://me@127.0.0.1:1/shop", () -> "nowhere").write(USUAL);
    assertThat(script.lookedAt()).isFalse();
    assertThat(script.whyNot()).isNotBlank();
    assertThat(script.major()).isNull();
    assertThat(script.schemas()).containsExactly("public");
    assertThat(
            script.statements().stream()
                .map(RolesScript.Statement::sql)
                .collect(Collectors.joining()))
        .contains("ALTER DEFAULT PRIVILEGES FOR ROLE shop_migrator")
        .doesNotContainIgnoringCase("password");
    assertThat(script.afterwards())
        .extracting(RolesScript.Task::command)
        .containsExactly(
            "\\password shop_app", "\\password shop_migrator", "\\password shop_reader");

    try (TestServer server = TestServer.start(18)) {
      server.execute("CREATE ROLE owner LOGIN", "CREATE DATABASE shop");
      server.executeIn("shop", "CREATE TABLE users (id int)", "ALTER TABLE users OWNER TO owner");
      run(server, "shop", "postgres", script);
      try (Connection owner = connect(server, "shop", "owner")) {
        may(owner, "INSERT INTO users VALUES (1)"); // nobody knew of it, and it works on
        mayNot(owner, "DROP TABLE users");
      }
    }
  }

  @Test
  void names_that_no_role_can_have_are_refused() {
    Roles roles = Roles.of("postgresql://me@127.0.0.1:1/shop", () -> "nowhere");
    for (String name : List.of("", "pg_app", "PUBLIC", "none", "a\nb", "x".repeat(64))) {
      assertThatThrownBy(() -> named(roles, name))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("no role can be called");
    }
    assertThatThrownBy(() -> named(roles, "shop_reader"))
        .hasMessageContaining("cannot separate roles that are the same");
    assertThat(
            Roles.of("postgresql://me@127.0.0.1:1/2024-Päckchen", () -> "nowhere")
                .write(USUAL)
                .app())
        .isEqualTo("db_2024_p_ckchen_app");
  }
}
