package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.Diff;
import dev.holdfast.operations.DiffEntry;
import dev.holdfast.operations.DiffRequest;
import dev.holdfast.operations.DiffSummary;
import dev.holdfast.operations.Progress;
import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Databases compared through PgBouncer, and what the pooled sessions are like afterwards. */
final class DiffThroughPgBouncerTest {
  @ParameterizedTest
  @ValueSource(strings = {"transaction", "session"})
  void databases_are_compared_and_the_next_client_finds_the_session_as_it_was(String mode)
      throws Exception {
    try (TestServer server = TestServer.start(15)) {
      server.execute("CREATE DATABASE base");
      server.executeIn(
          "base",
          "CREATE TABLE users (id int PRIMARY KEY, v text)",
          "INSERT INTO users SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
      server.execute("CREATE DATABASE changed TEMPLATE base");
      server.executeIn("changed", "UPDATE users SET v = 'x' WHERE id = 7");
      try (PgBouncer pooler = PgBouncer.before(server.server().port(), "postgres", mode)) {
        String address = "//127.0.0.1:" + pooler.port() + "/";
        List<DiffEntry> found = new ArrayList<>();
        DiffSummary summary =
            Diff.run(
                new DiffRequest(
                    "postgresql:" + address.replace("//", "//postgres@") + "base",
                    "postgresql:" + address.replace("//", "//postgres@") + "changed",
                    true,
                    true,
                    List.of(),
                    List.of(),
                    List.of(),
                    10,
                    10_000,
                    null,
                    null),
                () -> "",
                found::add,
                Progress.SILENT);
        assertThat(summary.rowDifferences()).isEqualTo(1);
        assertThat(summary.schemaDifferences()).isZero();
        assertThat(summary.notCompared()).isEmpty();
        try (Connection next =
            DriverManager.getConnection("jdbc:postgresql:" + address + "base", "postgres", "")) {
          assertThat(show(next, "default_transaction_isolation")).isEqualTo("read committed");
          assertThat(show(next, "transaction_read_only")).isEqualTo("off");
          assertThat(show(next, "search_path")).isEqualTo("\"$user\", public");
          assertThat(show(next, "lock_timeout")).isEqualTo("0");
        }
      }
    }
  }

  private static String show(Connection connection, String setting) throws SQLException {
    try (ResultSet row = connection.createStatement().executeQuery("SHOW " + setting)) {
      row.next();
      return row.getString(1);
    }
  }
}
