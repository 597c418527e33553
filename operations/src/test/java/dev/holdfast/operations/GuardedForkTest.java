package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.guard.Guard;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Copies that Holdfast makes of guarded databases, and the mark that tells production from them.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class GuardedForkTest {
  private static final String WHO =
      "SELECT environment || ' ' || (alive_at IS NULL) || ' '"
          + " || (SELECT string_agg(DISTINCT mode, ',') FROM holdfast.rule) FROM holdfast.identity";

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void a_fork_refuses_nothing_and_is_no_production(int major) throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      acme.server.execute("CREATE DATABASE plain");
      acme.caughtUp();

      try (Fork.Running fork =
              new Fork(acme.repository, ProtectedServer.NAME, null)
                  .start(Target.LATEST, Fork.Wanted.ALL, Progress.SILENT);
          Connection connection = connect(fork.ready().url());
          Statement sql = connection.createStatement()) {
        assertThat(value(sql, WHO)).isEqualTo("development true off");
        sql.execute("TRUNCATE users");
        sql.execute("DROP TABLE users");
      }

      assertThat(acme.server.value(WHO)).startsWith("production ").doesNotEndWith(" off");
      assertThatThrownBy(() -> acme.server.execute("DROP TABLE users"))
          .hasMessageContaining("refused by Holdfast");
    }
  }

  @Test
  void tables_alone_can_be_tried_on_too() throws Exception {
    try (ProtectedServer acme = guarded(17)) {
      acme.awaitRecorded("users");
      try (Fork.Running fork =
              new Fork(acme.repository, ProtectedServer.NAME, null)
                  .start(
                      Target.LATEST,
                      new Fork.Wanted("users", null, false, false),
                      Progress.SILENT);
          Connection connection = connect(fork.ready().url());
          Statement sql = connection.createStatement()) {
        sql.execute("DELETE FROM users");
        sql.execute("TRUNCATE users");
        sql.execute("DROP TABLE users");
      }
    }
  }

  @Test
  void the_recorder_renews_the_mark_as_its_own_role() throws Exception {
    try (ProtectedServer acme = guarded(18)) {
      acme.server.execute("CREATE ROLE holdfast LOGIN REPLICATION");
      install(acme); // grants what the role needs
      assertThat(
              acme.server.value(
                  "SELECT has_function_privilege('holdfast', 'holdfast.alive()', 'EXECUTE')"))
          .isEqualTo("t");
      acme.server.execute("UPDATE holdfast.identity SET alive_at = NULL");
      RecorderMark mark =
          new RecorderMark(
              dev.holdfast.postgres.PostgresUrl.parse(
                  acme.server.url("postgres").replace("postgres@", "holdfast@")),
              _ -> {});
      mark.begin();
      try {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (acme.server.value("SELECT alive_at IS NULL FROM holdfast.identity").equals("t")) {
          assertThat(System.nanoTime()).as("the first mark comes at once").isLessThan(deadline);
          Thread.sleep(50); // the mark tells the database, and only that
        }
      } finally {
        mark.end();
      }
      assertThatThrownBy(() ->
              acme.server.execute(
                  "UPDATE holdfast.identity SET system_identifier = 1",
                  "SELECT holdfast.adopt('development')"))
          .hasStackTraceContaining("its recorder was here");
    }
  }

  private static ProtectedServer guarded(int major) throws Exception {
    ProtectedServer acme =
        ProtectedServer.start(
            major,
            "CREATE TABLE users (id int PRIMARY KEY, data jsonb)",
            "INSERT INTO users SELECT i, '{}' FROM generate_series(1, 5000) i",
            "ANALYZE users");
    install(acme);
    return acme;
  }

  private static void install(ProtectedServer acme) throws Exception {
    try (Connection connection = acme.server.connect()) {
      Guard.install(connection, new Guard.Installation(ProtectedServer.NAME, "production"));
    }
  }

  private static Connection connect(String url) throws Exception {
    URI uri = URI.create(url);
    List<String> who = List.of(uri.getUserInfo().split(":", 2));
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + uri.getPort() + uri.getPath(), who.get(0), who.get(1));
  }

  private static String value(Statement sql, String query) throws Exception {
    try (ResultSet row = sql.executeQuery(query)) {
      row.next();
      return row.getString(1);
    }
  }
}
