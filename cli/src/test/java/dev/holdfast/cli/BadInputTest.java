package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each wrong argument: a clear message, the right exit code, no stack trace, nothing lost. */
class BadInputTest {
  @TempDir static Path folder;
  private static TestServer server;
  private static String repository;
  private static String committedNothing;
  private static String rolledBack;

  @BeforeAll
  static void protectOne() {
    server = TestServer.start(18);
    repository = folder.resolve("repository").toString();
    server.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE UNLOGGED TABLE scratch (n int)");
    assertThat(protect("acme", server.url("postgres")).exitCode()).isZero();
    committedNothing =
        server.value("WITH x AS (SELECT pg_current_xact_id() AS xid) SELECT xid::text FROM x");
    try (var connection = server.connect();
        var statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("INSERT INTO t VALUES (1)");
      try (var rows = statement.executeQuery("SELECT pg_current_xact_id()::text")) {
        rows.next();
        rolledBack = rows.getString(1);
      }
      connection.rollback();
    } catch (java.sql.SQLException e) {
      throw new IllegalStateException(e);
    }
    assertThat(run("backup", "acme").exitCode()).isZero();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Ended protect(String name, String url, String... more) {
    String[] arguments = {
      "protect", name, url, "--environment", "production", "--recorder-url", url
    };
    String[] all = java.util.Arrays.copyOf(arguments, arguments.length + more.length);
    System.arraycopy(more, 0, all, arguments.length, more.length);
    return run(all);
  }

  private static Ended run(String... arguments) {
    return InProcess.run(
        Map.of("HOLDFAST_REPOSITORY", repository, "XDG_CONFIG_HOME", repository + "-config"),
        arguments);
  }

  @Test
  void a_url_that_is_none_is_wrong_usage() {
    assertThat(protect("other", "htp:/nonsense").exitCode()).isEqualTo(2);
  }

  @Test
  void a_server_that_does_not_answer_is_exit_code_7() {
    Ended answer = protect("other", "postgresql://postgres@127.0.0.1:1/postgres");
    assertThat(answer.exitCode()).isEqualTo(7);
    assertThat(answer.err()).contains("127.0.0.1:1").contains("next:");
  }

  @Test
  void a_wrong_password_is_exit_code_7_and_is_not_repeated() throws Exception {
    server.execute("CREATE ROLE locked LOGIN PASSWORD 'right' REPLICATION");
    Path hba = server.server().data().resolve("pg_hba.conf");
    String before = Files.readString(hba);
    try {
      Files.writeString(hba, "host all locked 127.0.0.1/32 scram-sha-256\n" + before);
      server.execute("SELECT pg_reload_conf()");
      Ended answer =
          protect(
              "other",
              "postgresql://locked:wrongsecret@127.0.0.1:" + server.server().port() + "/postgres");
      assertThat(answer.exitCode()).isEqualTo(7);
      assertThat(answer.err()).contains("password").doesNotContain("wrongsecret");
    } finally {
      Files.writeString(hba, before);
      server.execute("SELECT pg_reload_conf()");
    }
  }

  @Test
  void wal_level_minimal_and_an_unlimited_slot_are_refused_with_the_statements_that_help() {
    try (TestServer minimal =
        TestServer.start(
            PostgresBinaries.embedded(16),
            Map.of("wal_level", "minimal", "max_wal_senders", "0", "max_slot_wal_keep_size", "-1"),
            List.of())) {
      Ended answer = protect("other", minimal.url("postgres"));
      assertThat(answer.exitCode()).isEqualTo(3);
      assertThat(answer.err())
          .contains("ALTER SYSTEM SET wal_level")
          .contains("ALTER SYSTEM SET max_slot_wal_keep_size");
      assertThat(run("status", "other").exitCode()).as("nothing was registered").isEqualTo(2);
    }
  }

  @Test
  void a_name_that_another_server_has_is_refused() {
    try (TestServer other = TestServer.start(18)) {
      Ended answer = protect("acme", other.url("postgres"));
      assertThat(answer.exitCode()).isEqualTo(3);
      assertThat(run("status", "acme").out()).contains("acme");
    }
  }

  @Test
  void an_unknown_cluster_lists_the_known_ones() {
    Ended answer = run("log", "acmee");
    assertThat(answer.exitCode()).isEqualTo(2);
    assertThat(answer.err()).contains("acme");
  }

  @Test
  void a_transaction_that_is_not_recorded_says_what_is() {
    Ended answer = run("show", "acme", "4000000000");
    assertThat(answer.exitCode()).isEqualTo(2);
    assertThat(answer.err()).contains("the repository holds 0/");
  }

  @Test
  void an_lsn_given_as_a_transaction_is_named_as_one() {
    Ended answer = run("revert", "acme", "0/3000148");
    assertThat(answer.exitCode()).isEqualTo(2);
    assertThat(answer.err()).contains("it looks like an LSN").contains("fork NAME --lsn 0/3000148");
  }

  @Test
  void a_transaction_that_destroyed_nothing_has_nothing_to_undo() {
    Ended answer = run("revert", "acme", committedNothing);
    assertThat(answer.exitCode()).isEqualTo(3);
    assertThat(answer.err()).contains("it changed no rows and dropped no table");
  }

  @Test
  void a_transaction_that_was_rolled_back_is_named_as_one() {
    Ended answer = run("revert", "acme", rolledBack);
    assertThat(answer.exitCode()).isEqualTo(3);
    assertThat(answer.err()).contains("it was rolled back");
  }

  @Test
  void a_fork_in_the_future_or_before_the_first_backup_is_refused_with_what_can_be_reached() {
    Ended future = run("fork", "acme", "--at", "2100-01-01T00:00:00Z");
    assertThat(future.exitCode()).isEqualTo(3);
    assertThat(future.err()).contains("that is in the future");
    Ended early = run("fork", "acme", "--lsn", "0/1000000");
    assertThat(early.exitCode()).isEqualTo(3);
    Ended late = run("fork", "acme", "--lsn", "FF/0");
    assertThat(late.exitCode()).isEqualTo(3);
    assertThat(late.err()).contains("WAL is recorded without a gap only through");
  }

  @Test
  void unlogged_tables_are_said_to_be_unrecoverable_when_protecting() {
    Ended answer = protect("acme", server.url("postgres"), "--json");
    assertThat(answer.exitCode()).as(answer.err()).isZero();
    assertThat(answer.out()).contains("scratch").contains("unlogged");
  }
}
