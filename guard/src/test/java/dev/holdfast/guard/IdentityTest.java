package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.GuardedServer.Database;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

@ParameterizedClass
@MethodSource("majors")
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class IdentityTest {
  private static final String ASSERT = "SELECT holdfast.assert_identity('acme', 'production')";

  @Parameter int major;

  static List<Integer> majors() {
    return GuardedServers.majors();
  }

  @AfterAll
  static void stop() {
    GuardedServers.stop();
  }

  private Database stamped(String environment) throws SQLException {
    Database database = GuardedServers.of(major).database();
    database.execute("CREATE TABLE users (id int PRIMARY KEY)");
    try (Connection connection = database.connect()) {
      Identity.stamp(connection, "acme", environment);
    }
    return database;
  }

  /** A role that owns nothing and may nothing but connect. */
  private Database asAnybody(Database database) throws SQLException {
    String role = "anybody_of_" + database.name();
    database.execute("CREATE ROLE " + role + " LOGIN");
    return database.as(role);
  }

  /** What the first row's first column says; empty where there is none. */
  private static String said(Database database, String sql) throws SQLException {
    try (Connection connection = database.connect();
        Statement statement = connection.createStatement()) {
      if (!statement.execute(sql)) {
        return "";
      }
      try (ResultSet row = statement.getResultSet()) {
        return row.next() ? String.valueOf(row.getString(1)) : "";
      }
    }
  }

  private static ServerErrorMessage refused(Database database, String sql) throws SQLException {
    try {
      String said = said(database, sql);
      throw new AssertionError("was not refused: " + sql + ": " + said);
    } catch (PSQLException e) {
      return Objects.requireNonNull(e.getServerErrorMessage());
    }
  }

  private static String state(Database database, String sql) throws SQLException {
    return String.valueOf(refused(database, sql).getSQLState());
  }

  /** Kept, as the server's superuser sees it. */
  private static String asked(Database database) throws SQLException {
    return database.value(
        "SELECT string_agg(concat_ws(' ', application, host, role, commit, right_at IS NOT NULL, wrong), ', '"
            + " ORDER BY application, host) FROM holdfast.identity_check");
  }

  @Test
  void the_database_that_is_meant_says_so_to_anybody() throws SQLException {
    Database anybody = asAnybody(stamped("production"));
    assertThat(said(anybody, ASSERT)).isEqualTo("this is acme/production");
    assertThat(
            said(
                anybody,
                "SELECT holdfast.assert_identity('acme', 'production', host => 'web-1', commit => 'abc123',"
                    + " application => 'billing')"))
        .isEqualTo("this is acme/production");
    assertThat(asked(anybody))
        .isEqualTo("api 127.0.0.1 %1$s t, billing web-1 %1$s abc123 t".formatted(anybody.role()));
  }

  @Test
  void another_environment_and_another_name_are_refused_in_plain_words() throws SQLException {
    Database staging = asAnybody(stamped("staging"));
    ServerErrorMessage refusal = refused(staging, ASSERT);
    assertThat(refusal.getMessage())
        .isEqualTo(
            "acme/production was expected, and this database, \"%s\", is acme/staging"
                .formatted(staging.name()));
    assertThat(refusal.getHint())
        .isEqualTo(
            "Nothing was read or written. Correct the address of the database that this application was given"
                + " (DATABASE_URL, or whatever it is called there).");
    assertThat(refused(staging, "SELECT holdfast.assert_identity('shop', 'staging')").getMessage())
        .startsWith("shop/staging was expected");
    assertThat(state(staging, ASSERT)).isEqualTo("HF004");
    assertThat(asked(staging)).isEqualTo("null");
  }

  @Test
  void nothing_said_is_not_taken_for_anything_will_do() throws SQLException {
    Database database = stamped("production");
    for (String arguments : List.of("NULL, 'production'", "'acme', NULL", "'', ''", "'acme', ''")) {
      assertThat(state(database, "SELECT holdfast.assert_identity(" + arguments + ")"))
          .isEqualTo("HF003");
    }
  }

  @Test
  void a_restored_dump_and_a_renamed_database_are_told_as_copies() throws SQLException {
    Database database = stamped("production");
    // What a dump brings to another server.
    database.execute("UPDATE holdfast.identity SET system_identifier = system_identifier + 1");
    ServerErrorMessage refusal = refused(asAnybody(database), ASSERT);
    assertThat(refusal.getMessage())
        .isEqualTo(
            "acme/production was expected, and this database, \"%s\", is a copy of acme/production: it was restored from a dump, moved to another server or renamed"
                .formatted(database.name()));
    assertThat(refusal.getHint())
        .endsWith(
            "Where it is acme/production itself, upgraded, moved or renamed: SELECT holdfast.adopt('production')");
    database.execute("SELECT holdfast.adopt('production')");
    assertThat(said(database, ASSERT)).isEqualTo("this is acme/production");
    database.execute("UPDATE holdfast.identity SET database_name = 'shop'");
    assertThat(state(database, ASSERT)).isEqualTo("HF004");
  }

  @Test
  void a_copy_of_the_files_is_told_by_a_mark_that_gets_old() throws SQLException {
    Database database = stamped("production");
    String withMark = "SELECT holdfast.assert_identity('acme', 'production', '5 minutes')";
    assertThat(refused(database, withMark).getMessage()).endsWith("Holdfast has never recorded it");
    database.execute("SELECT holdfast.alive()");
    assertThat(said(database, withMark)).isEqualTo("this is acme/production");
    database.execute(
        "UPDATE holdfast.identity SET alive_at = '2026-11-20 10:00+00' WHERE alive_at IS NOT NULL");
    assertThat(refused(database, withMark).getMessage())
        .endsWith(
            "may be a copy of its files: Holdfast has not recorded it since 2026-11-20T10:00:00Z");
    assertThat(said(database, ASSERT)).isEqualTo("this is acme/production");
  }

  @Test
  void without_the_schema_the_statement_of_the_docs_says_what_that_means() throws SQLException {
    Database never = GuardedServers.of(major).database();
    assertThat(refused(never, Identity.assertStatement("acme", "production")).getMessage())
        .isEqualTo(
            "acme/production was expected, and this database was never protected: it may be a new, empty or hand-made one");
    assertThat(state(never, Identity.assertStatement("acme", "production"))).isEqualTo("HF004");
    Database production = stamped("production");
    assertThat(said(asAnybody(production), Identity.assertStatement("acme", "production")))
        .isEmpty();
    assertThat(state(production, Identity.assertStatement("acme", "staging"))).isEqualTo("HF004");
  }

  @Test
  void asking_is_in_nobodys_way() throws SQLException {
    Database database = stamped("production");
    try (Connection slow = database.connect();
        Statement first = slow.createStatement()) {
      slow.setAutoCommit(false);
      first.execute(ASSERT); // and does not commit
      try (Connection other = database.connect();
          Statement second = other.createStatement()) {
        second.execute("SET statement_timeout = '10s'");
        second.execute(ASSERT);
      }
      slow.rollback();
    }
    database.execute(
        "BEGIN READ ONLY; " + ASSERT + "; COMMIT",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; " + ASSERT + "; COMMIT",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; " + ASSERT + "; COMMIT");
    assertThat(asked(database)).isEqualTo("null");
    // A dump by whoever owns the other tables locks these, too.
    asAnybody(database)
        .execute(
            "BEGIN; LOCK TABLE holdfast.identity, holdfast.identity_check IN ACCESS SHARE MODE; COMMIT",
            "TABLE holdfast.identity_check");
  }

  @Test
  void who_asks_often_is_written_down_seldom() throws SQLException {
    Database database = stamped("production");
    database.execute(ASSERT);
    String version = database.value("SELECT xmin FROM holdfast.identity_check");
    database.execute(ASSERT, ASSERT);
    assertThat(database.value("SELECT xmin FROM holdfast.identity_check")).isEqualTo(version);
    database.execute(
        "UPDATE holdfast.identity_check SET right_at = right_at - interval '2 minutes'");
    database.execute(ASSERT);
    assertThat(
            database.value(
                "SELECT right_at > now() - interval '1 minute' FROM holdfast.identity_check"))
        .isEqualTo("t");
  }

  @Test
  void hosts_with_names_that_are_used_once_do_not_fill_the_database() throws SQLException {
    Database database = stamped("production");
    database.execute(
        "SELECT holdfast.assert_identity('acme', 'production', host => 'pod-' || i) FROM generate_series(1, 2500) i",
        "SELECT holdfast.note_check(repeat('é', 100000), repeat('h', 100000), repeat('c', 100000), repeat('e', 100000), false)");
    assertThat(database.value("SELECT count(*) <= 1000 FROM holdfast.identity_check"))
        .isEqualTo("t");
    assertThat(
            database.value("SELECT count(*) FROM holdfast.identity_check WHERE host = 'pod-2500'"))
        .isEqualTo("1");
    assertThat(
            database.value(
                "SELECT max(length(application)) || ' ' || max(length(host)) || ' ' || max(length(commit)) || ' ' || max(length(wrong)) FROM holdfast.identity_check"))
        .isEqualTo("100 100 100 200");
  }

  @Test
  void what_was_asked_of_it_is_read_back_newest_first() throws SQLException {
    Database database = stamped("production");
    try (Connection connection = database.connect()) {
      assertThat(Identity.note(connection, "deploy", "ci-1", "abc", "acme/staging", false))
          .isTrue();
      assertThat(Identity.note(connection, "billing", "web-1", "abc", "acme/production", true))
          .isTrue();
      List<Identity.Asked> asked = Identity.asked(connection, Duration.ofSeconds(10));
      assertThat(asked)
          .extracting(Identity.Asked::application)
          .containsExactly("billing", "deploy");
      assertThat(asked.getLast().wrong()).isEqualTo("acme/staging");
      assertThat(asked.getLast().rightAt()).isNull();
      assertThat(asked.getFirst().rightAt()).isNotNull();
    }
    Database never = GuardedServers.of(major).database();
    try (Connection connection = never.connect()) {
      assertThat(Identity.note(connection, "x", "y", null, "acme/production", true)).isFalse();
      assertThat(Identity.asked(connection, Duration.ofSeconds(10))).isEmpty();
    }
  }

  @Test
  void without_a_guard_the_owner_alone_says_that_the_original_is_something_else()
      throws SQLException {
    Database database = stamped("production");
    Database anybody = asAnybody(database);
    assertThat(refused(anybody, "SELECT holdfast.adopt('development')").getMessage())
        .contains("is acme/production itself and no copy");
    assertThat(state(anybody, "SELECT holdfast.adopt('production')")).isEqualTo("42501");
    try (Connection connection = database.connect()) {
      assertThat(Identity.adopt(connection, "staging"))
          .isEqualTo("database \"%s\" is acme/staging now".formatted(database.name()));
      assertThatThrownBy(() -> Identity.adopt(connection, "live"))
          .isInstanceOf(OperatorException.class);
    }
    // A copy is released by anybody.
    database.execute("UPDATE holdfast.identity SET system_identifier = system_identifier + 1");
    anybody.execute("SELECT holdfast.adopt('development')");
    assertThat(database.value("SELECT environment FROM holdfast.identity"))
        .isEqualTo("development");
    try (Connection connection = GuardedServers.of(major).database().connect()) {
      assertThat(Identity.adopt(connection, "development")).isNull();
    }
  }

  @Test
  void a_guard_begins_with_its_rules_in_a_database_that_was_stamped_before() throws SQLException {
    Database database = stamped("production");
    database.execute(ASSERT);
    try (Connection connection = database.connect()) {
      Guard.install(connection, new Guard.Installation("acme", "production"));
      assertThat(SelfCheck.of(connection)).matches(SelfCheck.Report::armed);
      database.execute("CREATE TABLE orders (id int)", "INSERT INTO orders VALUES (1)");
      assertThat(state(database, "DROP TABLE orders")).isEqualTo("HF001");
      // Stamped again, as a second `protect` does, it keeps what was set, under event triggers.
      database.set("drop-table", "observe");
      Identity.stamp(connection, "acme", "production");
      assertThat(database.value("SELECT mode FROM holdfast.rule WHERE name = 'drop-table'"))
          .isEqualTo("observe");
      assertThat(database.query("SELECT FROM holdfast.working")).isEmpty();
      Guard.uninstall(
          connection, new Guard.Installation("acme", "production"), true, (_, _, _) -> {});
    }
    assertThat(
            database.query(
                "SELECT relname FROM pg_class WHERE relnamespace = 'holdfast'::regnamespace AND relkind = 'r' ORDER BY 1"))
        .containsExactly("identity", "identity_check");
    assertThat(said(asAnybody(database), ASSERT)).isEqualTo("this is acme/production");
    assertThat(asked(database)).contains("api 127.0.0.1 postgres t");
  }

  @Test
  void a_schema_that_somebody_else_has_made_is_not_written_to_as_us() throws SQLException {
    Database database = GuardedServers.of(major).database();
    Database owner = asAnybody(database);
    database.execute("GRANT CREATE ON DATABASE " + database.name() + " TO " + owner.role());
    try (Connection connection = owner.connect()) {
      Identity.stamp(connection, "acme", "production");
    }
    owner.execute(
        "CREATE FUNCTION holdfast.mine() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE 'ALTER ROLE %s SUPERUSER'; RETURN NEW; END$$"
            .formatted(owner.role()),
        "CREATE TRIGGER mine BEFORE INSERT OR UPDATE ON holdfast.identity FOR EACH ROW EXECUTE FUNCTION holdfast.mine()");
    try (Connection connection = database.connect()) {
      assertThatThrownBy(() -> Identity.stamp(connection, "acme", "production"))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("who could have their code run as us");
      assertThatThrownBy(
              () -> Guard.install(connection, new Guard.Installation("acme", "production")))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("who could have their code run as us");
    }
    assertThat(
            database.value("SELECT rolsuper FROM pg_roles WHERE rolname = '" + owner.role() + "'"))
        .isEqualTo("f");
  }

  @Test
  void subscribers_of_all_tables_are_not_stopped() throws SQLException {
    Database database = GuardedServers.of(major).database();
    database.execute("CREATE PUBLICATION everything FOR ALL TABLES");
    try (Connection connection = database.connect()) {
      assertThatThrownBy(() -> Identity.stamp(connection, "acme", "production"))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("the publication everything is FOR ALL TABLES");
      assertThatThrownBy(
              () -> Guard.install(connection, new Guard.Installation("acme", "production")))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("the publication everything is FOR ALL TABLES");
    }
    assertThat(database.query("SELECT FROM pg_namespace WHERE nspname = 'holdfast'")).isEmpty();
    Database stamped = stamped("production");
    stamped.execute("CREATE PUBLICATION everything FOR ALL TABLES");
    assertThat(
            stamped.query(
                "SELECT tablename FROM pg_publication_tables WHERE schemaname = 'holdfast'"))
        .doesNotContain("identity_check");
  }

  @Test
  void who_merely_uses_a_renamed_production_cannot_call_it_a_copy() throws SQLException {
    Database database = stamped("production");
    Database anybody = asAnybody(database);
    database.execute("UPDATE holdfast.identity SET database_name = 'as it was called'");
    assertThat(refused(anybody, "SELECT holdfast.adopt('development')").getMessage())
        .startsWith("only the owner of database");
    database.execute("SELECT holdfast.adopt('development')");
  }

  @Test
  void room_is_made_without_waiting_for_anybody() throws SQLException {
    Database database = stamped("production");
    database.execute(
        "SELECT holdfast.note_check('app', 'pod-' || i, NULL, 'acme/production', true) FROM generate_series(1, 1000) i",
        "UPDATE holdfast.identity_check SET right_at = right_at - interval '1 hour'");
    try (Connection slow = database.connect();
        Statement first = slow.createStatement();
        Connection other = database.connect();
        Statement second = other.createStatement()) {
      slow.setAutoCommit(false);
      first.execute("SELECT holdfast.note_check('app', 'new', NULL, 'acme/production', true)");
      second.execute("SET statement_timeout = '10s'");
      // One of the rows that go when the other commits, and one more that needs room.
      second.execute("SELECT holdfast.note_check('app', 'pod-1', NULL, 'acme/production', true)");
      second.execute("SELECT holdfast.note_check('app', 'newer', NULL, 'acme/production', true)");
      slow.commit();
    }
    assertThat(database.value("SELECT holdfast.note_check('app', 'x', NULL, 'x', NULL)"))
        .isEqualTo("f");
  }

  @Test
  void no_search_path_leads_it_elsewhere() throws SQLException {
    Database database = stamped("staging");
    Database anybody = asAnybody(database);
    database.execute("GRANT CREATE ON SCHEMA public TO PUBLIC");
    anybody.execute(
        "CREATE TABLE public.identity AS SELECT 'acme'::text AS cluster, 'production'::text AS environment",
        "CREATE FUNCTION public.identity_fits() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE FUNCTION public.lower_than(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR public.<> (leftarg = text, rightarg = text, function = public.lower_than)");
    try (Connection connection = anybody.connect();
        Statement statement = connection.createStatement()) {
      statement.execute("SET search_path = public, pg_catalog, holdfast");
      assertThatThrownBy(() -> statement.execute(ASSERT)).hasMessageContaining("is acme/staging");
    }
  }
}
