package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Guard;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.RunningServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the guard in a restored server says and does, by what the operator said that it is. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class GuardedRestoreTest {
  private static final String OTHER = "other; 'shop\"";
  private static final String WHO =
      "SELECT cluster || '/' || environment || ' ' || (alive_at IS NULL) FROM holdfast.identity";
  private static final String MODES =
      "SELECT string_agg(name || ' ' || mode, ', ' ORDER BY name) FROM holdfast.rule";

  @SuppressWarnings("NullAway.Init")
  private Path folder;

  static List<Integer> majors() {
    return Majors.of("holdfast.recovery.majors", "14,18");
  }

  @BeforeEach
  void makeFolder() throws Exception {
    folder = Files.createTempDirectory("holdfast-restores");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @AfterEach
  void removeFolder() {
    Processes.run(List.of("rm", "-rf", folder.toString()));
  }

  /** Two guarded databases, a mark of the recorder, a rule that somebody has made stricter. */
  private static ProtectedServer guarded(int major) throws Exception {
    ProtectedServer acme =
        ProtectedServer.start(
            major,
            "CREATE TABLE users AS SELECT generate_series(1, 5000) AS id",
            "ANALYZE users",
            "CREATE DATABASE \"" + OTHER.replace("\"", "\"\"") + "\"",
            "CREATE DATABASE plain");
    for (String database : List.of("postgres", OTHER)) {
      try (Connection connection = acme.server.connect(database);
          Statement statement = connection.createStatement()) {
        Guard.install(connection, new Guard.Installation(ProtectedServer.NAME, "production"));
        statement.execute("SELECT holdfast.set_mode('mass-delete', 'enforce')");
        statement.execute("SELECT holdfast.alive()");
      }
    }
    acme.awaitRecorded("identity");
    acme.caughtUp();
    return acme;
  }

  private RestoreResult restore(ProtectedServer acme, boolean start, @Nullable String environment) {
    return new Restore(acme.repository, ProtectedServer.NAME)
        .run(
            new Restore.Request(
                Target.LATEST,
                folder.resolve("restored"),
                Map.of(),
                null,
                start,
                start ? PostgresServer.freePort() : null,
                2,
                environment),
            Progress.SILENT);
  }

  private static GuardCheck.Result guardStatus(RunningServer server) {
    return new GuardCheck(
            GuardAccess.of(
                "postgresql://postgres@127.0.0.1:" + server.port() + "/postgres",
                null,
                () -> "no repository"))
        .run();
  }

  @ParameterizedTest
  @MethodSource("majors")
  void restored_as_development_it_refuses_nothing_and_production_is_guarded_still(int major)
      throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      RestoreResult restored = restore(acme, true, "development");
      try (RunningServer server = new RunningServer(folder.resolve("restored"))) {
        assertThat(restored.guards())
            .containsExactly(
                new RestoreResult.Guarded(OTHER, "acme", "development"),
                new RestoreResult.Guarded("postgres", "acme", "development"));
        assertThat(restored.next()).noneMatch(line -> line.contains("guard"));
        assertThat(server.value(WHO)).isEqualTo("acme/development true");
        assertThat(server.queryIn(OTHER, WHO)).containsExactly("acme/development true");
        assertThat(server.queryIn("postgres", "SELECT DISTINCT mode FROM holdfast.rule"))
            .containsExactly("off");
        server.execute("DROP TABLE users");
        assertThat(guardStatus(server).environment()).isEqualTo("development");
        // Whoever connects does so as production has it: nothing of the first run is left.
        assertThat(server.value("SHOW hba_file"))
            .isEqualTo(folder.resolve("restored/pg_hba.conf").toString());
        assertThat(server.value("SHOW autovacuum")).isEqualTo("on");
      }
      assertThat(acme.server.value(WHO)).startsWith("acme/production ");
      assertThatThrownBy(() -> acme.server.execute("DROP TABLE users"))
          .hasMessageContaining("refused by Holdfast: database \"postgres\" is acme/production");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void restored_as_production_it_is_armed_as_it_was_and_its_identity_fits(int major)
      throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      String modes = acme.server.value(MODES);
      RestoreResult restored = restore(acme, true, "production");
      try (RunningServer server = new RunningServer(folder.resolve("restored"))) {
        assertThat(restored.guards())
            .extracting(RestoreResult.Guarded::environment)
            .containsExactly("production", "production");
        // No recorder has been at this server.
        assertThat(server.value(WHO)).isEqualTo("acme/production true");
        assertThat(server.value(MODES))
            .isEqualTo(modes)
            .contains("drop-table enforce", "mass-delete enforce");
        refused(server, "DROP TABLE users");
        GuardCheck.Result status = guardStatus(server);
        assertThat(status.identityFits()).isTrue();
        assertThat(status.armed()).isTrue();
        assertThat(status.uncovered()).isEmpty();
      }
    }
  }

  @Test
  void without_a_word_it_stays_what_it_was_and_that_is_said() throws Exception {
    try (ProtectedServer acme = guarded(17)) {
      String told = acme.server.value("SELECT i::text FROM holdfast.identity i");
      RestoreResult restored = restore(acme, true, null);
      try (RunningServer server = new RunningServer(folder.resolve("restored"))) {
        assertThat(restored.guards())
            .containsExactlyInAnyOrder(
                new RestoreResult.Guarded("postgres", null, null),
                new RestoreResult.Guarded(OTHER, null, null));
        assertThat(restored.next())
            .filteredOn(line -> line.startsWith("the guard in it says that it is the server it"))
            .singleElement()
            .asString()
            .contains(OTHER, "SELECT holdfast.restamp('development')", "--environment development");
        assertThat(server.value("SELECT i::text FROM holdfast.identity i")).isEqualTo(told);
        refused(server, "DROP TABLE users");
        server.execute("SELECT holdfast.restamp('development')", "DROP TABLE users");
      }
    }
  }

  @Test
  void what_it_is_cannot_be_written_where_no_server_runs_and_is_told_how_it_can() throws Exception {
    try (ProtectedServer acme = guarded(17)) {
      assertThatThrownBy(() -> restore(acme, false, "development"))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.USAGE))
          .hasMessageContaining("as development: what a database is stands inside it")
          .hasMessageContaining("add --start");
      assertThatThrownBy(() -> restore(acme, true, "prod"))
          .hasMessageContaining("\"prod\" is not an environment");
      assertThat(folder).isEmptyDirectory();

      RestoreResult restored = restore(acme, false, null);
      assertThat(restored.next())
          .anySatisfy(line -> assertThat(line).contains("SELECT holdfast.restamp('development')"))
          .noneMatch(line -> line.contains("--environment"));
    }
  }

  @Test
  void a_server_without_a_guard_is_not_called_what_nothing_in_it_says() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE TABLE users (id int)")) {
      acme.caughtUp();
      RestoreResult restored = restore(acme, true, "development");
      try (RunningServer server = new RunningServer(folder.resolve("restored"))) {
        assertThat(restored.guards()).isEmpty();
        assertThat(restored.notes())
            .contains(
                "no database was stamped by Holdfast, so nothing in them says that this is development");
        server.execute("DROP TABLE users");
      }
    }
  }

  @Test
  void where_it_cannot_be_written_no_server_is_left_running_and_the_statement_is_told()
      throws Exception {
    try (ProtectedServer acme = guarded(18)) {
      acme.server.execute(
          "CREATE FUNCTION holdfast_test_no() RETURNS trigger LANGUAGE plpgsql AS"
              + " $$ BEGIN RAISE EXCEPTION 'no stamp today'; END $$");
      try (Connection connection = acme.server.connect();
          Statement statement = connection.createStatement()) {
        connection.setAutoCommit(false);
        statement.execute("INSERT INTO holdfast.working VALUES (pg_current_xact_id())");
        statement.execute(
            "CREATE TRIGGER no BEFORE UPDATE ON holdfast.identity FOR EACH ROW EXECUTE FUNCTION holdfast_test_no()");
        connection.commit();
      }
      acme.caughtUp();
      assertThatThrownBy(() -> restore(acme, true, "development"))
          .hasMessageContaining("database postgres: ERROR: no stamp today")
          .hasMessageContaining("not started; done in " + OTHER + "; the others say what")
          .hasMessageContaining("SELECT holdfast.restamp('development')");
      assertThat(folder.resolve("restored/postmaster.pid")).doesNotExist();
    }
  }

  private static void refused(RunningServer server, String sql) throws SQLException {
    try (Connection connection = server.connect("postgres");
        Statement statement = connection.createStatement()) {
      assertThatThrownBy(() -> statement.execute(sql))
          .hasMessageContaining("refused by Holdfast: database \"postgres\" is acme/production");
    }
  }
}
