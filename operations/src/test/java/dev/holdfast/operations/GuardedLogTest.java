package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Guard;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the log tells of a database with the guard inside that WAL alone does not. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class GuardedLogTest {
  private static final Log.Filter DESTRUCTIVE = new Log.Filter(true, null, null, null, null, null);

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void lost_json_keys_are_told_with_who_and_by_which_statement(int major) throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(major, users())) {
      guard(acme);
      acme.caughtUp();
      try (Connection api = connect(acme, "api");
          Statement sql = api.createStatement()) {
        sql.execute("UPDATE users SET data = '{\"phone\": \"1\"}' WHERE id = 7");
        api.setAutoCommit(false);
        sql.execute("SAVEPOINT kept");
        sql.execute("UPDATE users SET data = data - 'country' - 'postal' WHERE id = 8");
        sql.execute("RELEASE kept");
        sql.execute("SAVEPOINT undone");
        sql.execute("UPDATE users SET data = '{}' WHERE id < 5");
        sql.execute("ROLLBACK TO undone");
        sql.execute("UPDATE users SET data = data - 'address' - 'phone' WHERE id IN (9, 10)");
        sql.execute("UPDATE users SET name = 'x' WHERE id = 11");
        api.commit();
      }
      acme.caughtUp();

      List<LogEntry> told = acme.log(new Log.Filter(true, "users", null, null, null, "api"));

      assertThat(told).hasSize(2);
      LogEntry one = told.getFirst();
      assertThat(one.user()).isEqualTo("postgres");
      assertThat(one.address()).isEqualTo("127.0.0.1");
      assertThat(one.severity()).isEqualTo("medium");
      assertThat(one.permit()).isNull();
      assertThat(one.statement())
          .isEqualTo("UPDATE users SET data = '{\"phone\": \"1\"}' WHERE id = 7");
      assertThat(one.moreStatements()).isZero();
      assertThat(one.tables())
          .singleElement()
          .satisfies(table -> {
            assertThat(table.jsonKeysLost()).isEqualTo(3);
            assertThat(table.jsonLosses())
                .containsExactly(
                    new LogEntry.JsonLoss(
                        "data", List.of("address", "country", "postal"), 4, 1, true));
          });
      LogEntry several = told.getLast();
      assertThat(several.moreStatements()).isEqualTo(1);
      assertThat(several.tables().getFirst().rowsUpdated()).isEqualTo(4);
      assertThat(several.tables().getFirst().jsonLosses())
          .containsExactly(
              new LogEntry.JsonLoss(
                  "data", List.of("address", "country", "phone", "postal"), 4, 3, true));
      assertThat(acme.alarms).containsAll(told);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void a_permit_that_was_used_is_named_and_a_summary_keeps_it(int major) throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(major, users())) {
      guard(acme);
      acme.server.execute(
          "INSERT INTO holdfast.permit (code_sha256, rules, reason, expires_at)"
              + " VALUES (sha256('code'), '{drop-table}', 'tried', now() + interval '1 hour')");
      acme.caughtUp();
      try (Connection api = connect(acme, "migration");
          Statement sql = api.createStatement()) {
        api.setAutoCommit(false);
        sql.execute("SET LOCAL holdfast.permit = 'code'");
        sql.execute("DROP TABLE users");
        api.commit();
      }
      acme.server.execute("SELECT pg_switch_wal()");
      acme.caughtUp();

      LogEntry drop = acme.log(new Log.Filter(true, "users", null, null, null, null)).getLast();

      assertThat(drop.application()).isEqualTo("migration");
      assertThat(drop.statement()).isEqualTo("DROP TABLE users");
      assertThat(drop.permit()).isEqualTo(1);
      assertThat(drop.tables().getFirst().action()).isEqualTo("dropped");
      assertThat(drop.tables().getFirst().jsonKeysLost()).as("unknown").isNull();
      assertThat(acme.alarms).contains(drop);
      assertThat(acme.log(DESTRUCTIVE)).contains(drop);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void whoever_touches_the_event_triggers_is_told_of(int major) throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(major, users())) {
      guard(acme);
      acme.server.execute(
          "CREATE TABLE more AS SELECT * FROM users",
          "VACUUM FULL pg_event_trigger",
          "SELECT pg_switch_wal()");
      acme.caughtUp();
      assertThat(acme.log(DESTRUCTIVE)).as("installing and ordinary work are no alarm").isEmpty();
      assertThat(acme.log(Log.Filter.ALL).stream().flatMap(entry -> entry.tables().stream()))
          .as("the guard's own tables are nobody's")
          .noneMatch(table -> table.schema().startsWith("holdfast"));
      acme.awaitRecorded("more");

      acme.server.execute(
          "ALTER EVENT TRIGGER holdfast_dropped DISABLE", "DROP EVENT TRIGGER holdfast_defined");
      acme.server.execute("SELECT pg_switch_wal()");
      acme.caughtUp();

      List<LogEntry> told = acme.log(DESTRUCTIVE);
      assertThat(told)
          .extracting(entry -> entry.severity() + " " + String.join(", ", entry.notes()))
          .containsExactly(
              "high event triggers of database postgres were changed",
              "high event triggers of database postgres were dropped");
      assertThat(acme.alarms).containsAll(told);
      assertThatThrownBy(() ->
              new Show(acme.repository, ProtectedServer.NAME)
                  .run(told.getFirst().xid(), 3, Progress.SILENT))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("changed no rows of tables");
    }
  }

  private static String[] users() {
    return new String[] {
      "CREATE TABLE users (id int PRIMARY KEY, name text, data jsonb)",
      """
      INSERT INTO users SELECT i, 'user ' || i, jsonb_build_object('phone', i, 'address',
        'Main Street', 'country', 'DE', 'postal', 10115) FROM generate_series(1, 3000) i
      """,
      "ANALYZE users"
    };
  }

  private static void guard(ProtectedServer acme) throws Exception {
    try (Connection connection = acme.server.connect()) {
      Guard.install(connection, new Guard.Installation(ProtectedServer.NAME, "production"));
    }
  }

  private static Connection connect(ProtectedServer acme, String application) throws Exception {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:%d/postgres?ApplicationName=%s"
            .formatted(acme.server.server().port(), application),
        "postgres",
        "");
  }
}
