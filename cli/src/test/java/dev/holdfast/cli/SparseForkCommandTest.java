package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code fork --tables} and {@code --schema-only} as an operator types them. */
class SparseForkCommandTest {
  private static final Duration SOON = Duration.ofSeconds(100);

  @TempDir Path home;

  @Test
  void a_fork_of_some_tables_or_of_none_says_what_it_holds_and_refuses_the_rest() throws Exception {
    try (TestServer server = TestServer.start(18)) {
      server.execute("CREATE DATABASE shop");
      server.executeIn(
          "shop",
          "CREATE TABLE users (id int PRIMARY KEY)",
          "INSERT INTO users SELECT generate_series(1, 1000)",
          "CREATE TABLE \"Odd, one\" AS SELECT 7 AS id",
          "CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id",
          "CREATE VIEW all_of AS SELECT id FROM users UNION ALL SELECT id FROM orders");
      Ended made =
          HoldfastProcess.run(
              home, "protect", "acme", server.url("postgres"), "--environment", "staging");
      assertThat(made.exitCode()).as(made.err()).isZero();

      try (HoldfastProcess fork =
          HoldfastProcess.start(home, "fork", "acme", "--tables", "users,\"Odd, one\"", "--json")) {
        JsonNode ready = JsonMapper.shared().readTree(firstLine(fork));
        assertThat(ready.get("holds").asString()).isEqualTo("tables");
        assertThat(ready.get("database").asString()).isEqualTo("shop");
        assertThat(ready.get("tables").toString())
            .isEqualTo("[\"public.Odd, one\",\"public.users\"]");
        assertThat(ready.get("largeObjects").asBoolean()).isFalse();
        assertThat(ready.get("attempts").asInt()).isEqualTo(1);
        assertThat(ready.get("durationSeconds").asDouble())
            .isCloseTo(
                ready.get("fetchSeconds").asDouble()
                    + ready.get("startSeconds").asDouble()
                    + ready.get("replaySeconds").asDouble()
                    + ready.get("readySeconds").asDouble(),
                org.assertj.core.data.Offset.offset(0.005));
        String url = ready.get("url").asString();
        assertThat(url).endsWith("/shop");
        assertThat(value(url, "SELECT count(*) FROM users")).isEqualTo("1000");
        assertThat(value(url, "SELECT id FROM \"Odd, one\"")).isEqualTo("7");
        for (String relation : new String[] {"orders", "all_of"}) {
          assertThatThrownBy(() -> value(url, "SELECT count(*) FROM " + relation))
              .isInstanceOf(SQLException.class)
              .hasMessageContaining("could not open file");
        }
        fork.terminate();
      }
      try (HoldfastProcess fork = HoldfastProcess.start(home, "fork", "acme", "--schema-only")) {
        firstLine(fork);
        assertThat(fork.out())
            .contains(
                "holds definitions and sequences; the rows of everything else are left out:"
                    + " reading them is an error");
        fork.terminate();
      }

      Ended both = HoldfastProcess.run(home, "fork", "acme", "--tables", "users", "--schema-only");
      assertThat(both.exitCode()).isEqualTo(2);
      assertThat(both.err()).contains("--schema-only goes with no other choice of contents");
      Ended alone = HoldfastProcess.run(home, "fork", "acme", "--large-objects");
      assertThat(alone.exitCode()).isEqualTo(2);
      assertThat(alone.err()).contains("--large-objects goes with --tables");
      Ended unknown =
          HoldfastProcess.run(home, "fork", "acme", "--tables", "user", "--database", "shop");
      assertThat(unknown.exitCode()).isEqualTo(2);
      assertThat(unknown.err())
          .contains("there is no table user")
          .contains("did you mean public.users")
          .doesNotContain("\tat ");
    }
  }

  private static String firstLine(HoldfastProcess fork) throws InterruptedException {
    long deadline = System.nanoTime() + SOON.toNanos();
    while (!fork.out().contains("\n")) {
      assertThat(fork.isAlive()).as(fork.err()).isTrue();
      assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
      TimeUnit.MILLISECONDS.sleep(100); // another process tells nothing but by what it leaves
    }
    return fork.out().lines().findFirst().orElseThrow();
  }

  /** The URL is libpq's: pgjdbc wants the password beside it. */
  private static String value(String url, String sql) throws SQLException {
    String[] parts = url.replace("postgresql://", "").split("[:@/]", 5);
    try (Connection connection =
            DriverManager.getConnection(
                "jdbc:postgresql://%s:%s/%s".formatted(parts[2], parts[3], parts[4]),
                parts[0],
                parts[1]);
        Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }
}
