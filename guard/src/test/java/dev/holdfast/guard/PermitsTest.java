package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.GuardedServer.Database;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
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
class PermitsTest {
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
    database.set("mass-delete", "enforce");
    return database;
  }

  private static Permits.Issued issue(Database database, Permits.Request request)
      throws SQLException {
    try (Connection connection = database.connect()) {
      return Permits.issue(connection, request);
    }
  }

  private static Permits.Request permit(String rule, @Nullable String table, @Nullable Long rows) {
    return new Permits.Request(
        List.of(rule), table, rows, null, Duration.ofMinutes(10), "a test", false, false);
  }

  private static String set(Permits.Issued permit) {
    return "SET LOCAL holdfast.permit = '" + permit.code() + "'";
  }

  private static Permits.Permit only(Database database) throws SQLException {
    try (Connection connection = database.connect()) {
      return Permits.list(connection).getFirst();
    }
  }

  @Test
  void a_permit_lets_one_transaction_do_what_it_is_for_and_is_used_then() throws SQLException {
    Database database = production();
    GuardedServer.Messages messages = database.messages();
    Permits.Issued permit = issue(database, permit("drop-table", "public.o%", null));
    database.transaction(set(permit), "DROP TABLE orders");
    assertThat(database.query("SELECT to_regclass('orders')")).containsExactly("null");
    assertThat(messages.read())
        .anyMatch(m ->
            m.contains("\"outcome\": \"permitted\"") && m.contains("\"permit\": " + permit.id()));
    assertThat(only(database))
        .satisfies(p -> {
          assertThat(p.state()).isEqualTo("used");
          assertThat(p.rowsLost()).isEqualTo(4000);
        });
    assertThat(database.value("SELECT restore_point FROM holdfast.permit_use"))
        .startsWith("holdfast-permit-" + permit.id() + "-");
    database.execute("CREATE TABLE orders AS SELECT 1 AS i");
    assertThat(database.refusal(set(permit), "DROP TABLE orders").hint())
        .contains("permit " + permit.id() + " was used already");
  }

  @Test
  void what_a_permit_is_not_for_is_refused_with_the_reason() throws SQLException {
    Database database = production();
    Permits.Issued permit = issue(database, permit("drop-table", "public.orders", null));
    assertThat(database.refusal(set(permit), "DROP TABLE users CASCADE").hint())
        .contains("is for public.orders, not for public.users");
    assertThat(database.refusal(set(permit), "DROP TABLE orders, events_1").hint())
        .contains("is for public.orders, not for public.events_1");
    assertThat(database.refusal(set(permit), "TRUNCATE orders").hint())
        .contains("allows drop-table, not truncate");
    assertThat(
            database.refusal("SET LOCAL holdfast.permit = 'guessed'", "DROP TABLE orders").hint())
        .contains("no permit has this code");
    // A pattern's underscore stands for itself.
    Permits.Issued underscore = issue(database, permit("drop-table", "public.order_", null));
    assertThat(database.refusal(set(underscore), "DROP TABLE orders").hint())
        .contains("is for public.order_");
    assertThat(database.value("SELECT count(*) FROM holdfast.permit WHERE used_at IS NOT NULL"))
        .isEqualTo("0");
  }

  @Test
  void a_refused_or_failed_transaction_does_not_use_a_permit_up() throws SQLException {
    Database database = production();
    Permits.Issued permit = issue(database, permit("drop-table", null, null));
    try {
      database.transaction(set(permit), "DROP TABLE orders", "SELECT 1 / 0");
    } catch (SQLException e) {
      assertThat(e.getSQLState()).isEqualTo("22012");
    }
    assertThat(only(database).state()).isEqualTo("open");
    database.transaction(set(permit), "DROP TABLE orders", "DROP TABLE events");
  }

  @Test
  void rows_are_counted_over_all_that_a_permit_is_used_for() throws SQLException {
    Database database = production();
    Permits.Issued permit = issue(database, permit("mass-delete", null, 3500L));
    assertThat(database.refusal(set(permit), "DELETE FROM orders").hint())
        .contains("is for 3500 rows");
    database.refusal(
        set(permit), "DELETE FROM orders WHERE id <= 3000", "DELETE FROM events_2 WHERE id < 2900");
    database.refusal(
        set(permit), "DELETE FROM orders WHERE id <= 3000", "DELETE FROM orders WHERE id <= 3600");
    database.transaction(
        set(permit), "DELETE FROM orders WHERE id <= 2000", "DELETE FROM orders WHERE id <= 3500");
    assertThat(only(database).rowsLost()).isEqualTo(3500);
  }

  @Test
  void expired_revoked_unapproved_and_anothers_permits_do_not_do() throws SQLException {
    Database database = production();
    Permits.Issued expired = issue(database, permit("drop-table", null, null));
    database.execute("UPDATE holdfast.permit SET expires_at = now() - interval '1 second'");
    assertThat(database.refusal(set(expired), "DROP TABLE orders").hint())
        .contains("expired at 20");
    Permits.Issued revoked = issue(database, permit("drop-table", null, null));
    try (Connection connection = database.connect()) {
      Permits.revoke(connection, revoked.id());
    }
    assertThat(database.refusal(set(revoked), "DROP TABLE orders").hint()).contains("was revoked");
    Permits.Issued anothers =
        issue(
            database,
            new Permits.Request(
                List.of("drop-table"),
                null,
                null,
                "somebody",
                Duration.ofMinutes(1),
                "a test",
                false,
                false));
    assertThat(database.refusal(set(anothers), "DROP TABLE orders").hint())
        .contains("is for the role somebody");
  }

  @Test
  void a_second_person_approves() throws SQLException {
    Database database = production();
    String second = "second_of_" + database.name();
    database.execute("CREATE ROLE " + second + " LOGIN SUPERUSER");
    Permits.Issued permit =
        issue(
            database,
            new Permits.Request(
                List.of("drop-table"),
                null,
                null,
                null,
                Duration.ofMinutes(10),
                "a test",
                false,
                true));
    assertThat(database.refusal(set(permit), "DROP TABLE orders").hint())
        .contains("waits for a second person: holdfast guard approve acme " + permit.id());
    try (Connection connection = database.connect()) {
      assertThatThrownBy(() -> Permits.approve(connection, permit.id()))
          .isInstanceOf(OperatorException.class)
          .satisfies(e ->
              assertThat(((OperatorException) e).why())
                  .contains("was asked for by postgres: somebody else has to approve it"));
    }
    try (Connection connection = database.as(second).connect()) {
      assertThat(Permits.approve(connection, permit.id()))
          .isEqualTo("permit " + permit.id() + " (a test) is approved by " + second);
    }
    database.transaction(set(permit), "DROP TABLE orders");
  }

  @Test
  void a_setting_that_another_client_left_in_a_pooled_session_is_not_taken() throws SQLException {
    Database database = production();
    Permits.Issued permit = issue(database, permit("drop-table", null, null));
    // One message for one statement, as psql sends it: no SET LOCAL can have been said before it.
    try (Connection connection = opened(database, "preferQueryMode=simple");
        Statement statement = connection.createStatement()) {
      statement.execute("SET holdfast.permit = '" + permit.code() + "'");
      assertThatThrownBy(() -> statement.execute("DROP TABLE orders"))
          .hasMessageContaining("the permit was not set inside this transaction");
    }
    // A database's or a role's setting is everybody's.
    database.execute(
        "ALTER DATABASE " + database.name() + " SET holdfast.permit = '" + permit.code() + "'");
    assertThat(database.refusal("DROP TABLE orders").hint())
        .contains("kept as a role's or database's setting");
    assertThat(only(database).state()).isEqualTo("open");
  }

  @Test
  void a_session_forgets_a_permit_once_it_was_taken() throws SQLException {
    Database database = production();
    Permits.Issued permit = issue(database, permit("drop-table", null, null));
    try (Connection connection = database.connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("SET holdfast.permit = '" + permit.code() + "'");
      statement.execute("DROP TABLE orders");
      statement.execute("DROP TABLE events_1");
      connection.commit();
      assertThatThrownBy(() -> statement.execute("DROP TABLE events"))
          .hasMessageContaining("refused by Holdfast")
          .hasMessageNotContaining("The permit shown");
    }
  }

  @Test
  void a_connection_opened_with_a_permit_has_it_for_one_transaction_or_for_its_run()
      throws SQLException {
    Database database = production();
    Permits.Issued once = issue(database, permit("drop-table", null, null));
    try (Connection connection = opened(database, once);
        Statement statement = connection.createStatement()) {
      statement.execute("DROP TABLE orders");
      assertThatThrownBy(() -> statement.execute("DROP TABLE events"))
          .hasMessageContaining("was used already");
    }
    Permits.Issued run =
        issue(
            database,
            new Permits.Request(
                List.of("drop-table", "truncate"),
                null,
                null,
                null,
                Duration.ofMinutes(10),
                "a migration",
                true,
                false));
    try (Connection connection = opened(database, run);
        Statement statement = connection.createStatement()) {
      statement.execute("TRUNCATE users");
      statement.execute("DROP TABLE events_1");
      statement.execute("DROP TABLE events");
    }
    try (Connection connection = opened(database, run);
        Statement statement = connection.createStatement()) {
      statement.execute("CREATE TABLE again AS SELECT 1 AS i");
      assertThatThrownBy(() -> statement.execute("DROP TABLE again"))
          .hasMessageContaining("is bound to the session that used it first");
    }
  }

  private static Connection opened(Database database, Permits.Issued permit) throws SQLException {
    return opened(database, "options=-c%20holdfast.permit=" + permit.code());
  }

  private static Connection opened(Database database, String parameters) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:"
            + database.server().server().port()
            + "/"
            + database.name()
            + "?"
            + parameters,
        "postgres",
        "");
  }

  @Test
  void two_sessions_cannot_use_one_permit() throws Exception {
    Database database = production();
    Permits.Issued permit = issue(database, permit("drop-table", null, null));
    try (Connection first = database.connect();
        Statement one = first.createStatement()) {
      first.setAutoCommit(false);
      one.execute(set(permit));
      one.execute("DROP TABLE events_1");
      try (var threads = java.util.concurrent.Executors.newSingleThreadExecutor()) {
        var other = threads.submit(() -> database.refusal(set(permit), "DROP TABLE orders").hint());
        while (database
            .query(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '"
                    + database.name()
                    + "'")
            .isEmpty()) {
          Thread.onSpinWait();
        }
        first.commit();
        assertThat(other.get()).contains("was used already");
      }
    }
  }

  @Test
  void a_restored_dump_says_how_it_is_released_and_production_cannot_be() throws SQLException {
    Database database = production();
    assertThat(database.refusal("DROP TABLE orders").hint()).doesNotContain("may be a copy");
    assertThat(database.refusal("SELECT holdfast.adopt('development')").message())
        .contains("is acme/production itself and no copy: the stamp fits this server");
    // What a restored dump looks like: the same rows on another server.
    database.execute("UPDATE holdfast.identity SET system_identifier = system_identifier + 1");
    assertThat(database.refusal("DROP TABLE orders").hint())
        .startsWith("This database may be a copy of acme: ")
        .contains("SELECT holdfast.adopt('development');");
    database.execute("SELECT holdfast.alive()");
    assertThat(database.refusal("SELECT holdfast.adopt('development')").message())
        .contains("its recorder was here at");
    Permits.Issued permit = issue(database, permit("guard-tampering", null, null));
    database.transaction(
        "SAVEPOINT a", set(permit), "SELECT holdfast.adopt('staging')", "ROLLBACK TO a");
    database.execute("UPDATE holdfast.identity SET alive_at = now() - interval '1 hour'");
    String developer = "developer_of_" + database.name();
    database.execute("CREATE ROLE " + developer + " LOGIN");
    database.as(developer).execute("SELECT holdfast.adopt('development')");
    database.execute("DROP TABLE orders", "TRUNCATE users", "DROP SCHEMA public CASCADE");
    assertThat(database.value("SELECT environment FROM holdfast.identity"))
        .isEqualTo("development");
  }
}
