package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Guard;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What was agreed to is undone in a database that refuses everybody else. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class GuardedRevertTest {
  private static final Revert.Options OPTIONS = new Revert.Options(false, false, false);
  private static final String SUM =
      "SELECT count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY id)) FROM users t";

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void deleted_rows_dropped_tables_and_lost_keys_come_back_and_stay_guarded(int major)
      throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      String whole = acme.server.value(SUM);

      String deleted = permitted(acme, "DELETE FROM users WHERE id <= 12000");
      assertThat(acme.undo(deleted, OPTIONS).rowsRestored()).isEqualTo(12_000);
      assertThat(acme.server.value(SUM)).isEqualTo(whole);

      // To undo this is to change and to delete many rows, and to take keys away.
      String added =
          permitted(
              acme,
              "UPDATE users SET data = data || '{\"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4}'",
              "INSERT INTO users SELECT i, 'new', '{}' FROM generate_series(20001, 33000) i");
      assertThat(acme.undo(added, OPTIONS).rowsRestored()).isEqualTo(33_000);
      assertThat(acme.server.value(SUM)).isEqualTo(whole);

      String stripped = permitted(acme, "UPDATE users SET data = '{\"phone\": \"1\"}'");
      assertThat(acme.undo(stripped, new Revert.Options(true, false, false)).rowsRestored())
          .isEqualTo(20_000);
      assertThat(acme.server.value("SELECT count(*) FROM users WHERE data ? 'address'"))
          .isEqualTo("20000");

      String dropped = permitted(acme, "DROP TABLE users");
      assertThat(acme.undo(dropped, OPTIONS).rowsRestored()).isEqualTo(20_000);
      assertThat(
              acme.server.query("SELECT missing FROM holdfast.tables() WHERE missing IS NOT NULL"))
          .as("covered again")
          .isEmpty();
      for (String statement :
          List.of(
              "DROP TABLE users",
              "TRUNCATE users",
              "DELETE FROM users",
              "UPDATE users SET data = '{}'")) {
        assertThatThrownBy(() -> acme.server.execute(statement))
            .as(statement)
            .hasMessageContaining("refused by Holdfast");
      }
      assertThat(
              acme.server.query(
                  "SELECT count(*), min(reason) LIKE 'holdfast revert %' FROM holdfast.permit"
                      + " WHERE reason LIKE 'holdfast%'"))
          .containsExactly("4|t");
      assertThat(
              acme.server.value(
                  "SELECT count(*) FROM holdfast.permit_use WHERE rule = 'guard-tampering'"))
          .isEqualTo("0");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {18})
  void who_may_not_write_permits_is_told_what_the_guard_said(int major) throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      acme.server.execute("CREATE ROLE shop LOGIN", "ALTER TABLE users OWNER TO shop");
      String inserted =
          permitted(
              acme, "INSERT INTO users SELECT i, 'new', '{}' FROM generate_series(20001, 33000) i");
      Revert revert =
          new Revert(
              acme.repository,
              ProtectedServer.NAME,
              acme.server.url("postgres").replace("postgres@", "shop@"),
              OPTIONS);
      try (Revert.Planned planned = revert.plan(Revert.Selection.of(inserted), Progress.SILENT)) {
        assertThatThrownBy(() -> planned.apply(planned.plan().digest(), Progress.SILENT))
            .isInstanceOfSatisfying(
                OperatorException.class,
                refused -> {
                  assertThat(refused.kind()).isEqualTo(Kind.REFUSED);
                  assertThat(refused.getMessage())
                      .contains("refused by Holdfast: database \"postgres\" is acme/production");
                });
      }
      assertThat(acme.server.value("SELECT count(*) FROM users")).isEqualTo("33000");
    }
  }

  private static ProtectedServer guarded(int major) throws Exception {
    ProtectedServer acme =
        ProtectedServer.start(
            major,
            "CREATE TABLE users (id int PRIMARY KEY, name text, data jsonb)",
            """
            INSERT INTO users SELECT i, 'user ' || i, jsonb_build_object('phone', i, 'address',
              'Main Street', 'country', 'DE', 'postal', 10115) FROM generate_series(1, 20000) i
            """,
            "ANALYZE users");
    try (Connection connection = acme.server.connect()) {
      Guard.install(connection, new Guard.Installation(ProtectedServer.NAME, "production"));
    }
    acme.server.execute(
        "SELECT holdfast.set_mode(name, 'enforce') FROM holdfast.rule"
            + " WHERE name IN ('mass-delete', 'mass-update', 'json-keys-lost')");
    return acme;
  }

  /** What somebody did by mistake, with a permit; its transaction. */
  private static String permitted(ProtectedServer acme, String... statements) throws Exception {
    String xid;
    try (Connection connection = acme.server.connect();
        Statement sql = connection.createStatement()) {
      String code = "code " + System.nanoTime();
      sql.execute(
          "INSERT INTO holdfast.permit (code_sha256, rules, reason, expires_at) SELECT sha256('"
              + code
              + "'), array_agg(name), 'a mistake', now() + interval '1 hour' FROM holdfast.rule");
      connection.setAutoCommit(false);
      sql.execute("SET LOCAL holdfast.permit = '" + code + "'");
      for (String statement : statements) {
        sql.execute(statement);
      }
      try (ResultSet row = sql.executeQuery("SELECT pg_current_xact_id()")) {
        row.next();
        xid = row.getString(1);
      }
      connection.commit();
    }
    acme.caughtUp();
    return xid;
  }
}
