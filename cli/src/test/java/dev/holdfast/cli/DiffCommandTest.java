package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.sql.Connection;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** The comparison as a process of 256 MiB, into pipes. No repository anywhere. */
class DiffCommandTest {
  @TempDir static Path home;
  private static TestServer server;

  @BeforeAll
  static void start() {
    server = TestServer.start(18);
    server.execute("CREATE DATABASE base");
    server.executeIn(
        "base",
        "CREATE TABLE users (id int PRIMARY KEY, email text, balance numeric)",
        "CREATE INDEX users_email ON users (email)",
        "INSERT INTO users SELECT g, 'm' || g, g FROM generate_series(1, 100) g");
    for (String name : List.of("same", "changed", "slow")) {
      server.execute("CREATE DATABASE " + name + " TEMPLATE base");
    }
    server.executeIn(
        "changed",
        "DROP INDEX users_email",
        "UPDATE users SET balance = '7.0' WHERE id = 7",
        "DELETE FROM users WHERE id = 9");
    server.executeIn(
        "slow",
        "CREATE TABLE waits (id int PRIMARY KEY, v text)",
        "INSERT INTO waits SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 400000) g");
    server.execute("CREATE DATABASE slower TEMPLATE slow");
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Ended diff(String a, String b, String... options) {
    String[] arguments = new String[3 + options.length];
    arguments[0] = "diff";
    arguments[1] = server.url(a);
    arguments[2] = server.url(b);
    System.arraycopy(options, 0, arguments, 3, options.length);
    return HoldfastProcess.run(home, arguments);
  }

  @Test
  void equal_databases_end_with_zero_as_text_and_as_json() {
    Ended text = diff("base", "same");
    assertThat(text.exitCode()).as(text.err()).isZero();
    assertThat(text.out())
        .contains(
            "equal: 0 differences in definitions, 0 differences in rows; 1 table, 100 rows in A")
        .contains("left out: Holdfast's own schemas (holdfast, holdfast_sentinel)");
    Ended json = diff("base", "same", "--json");
    assertThat(json.exitCode()).isZero();
    assertThat(json.lines())
        .singleElement()
        .satisfies(summary -> {
          assertThat(summary.path("type").asString()).isEqualTo("summary");
          assertThat(summary.path("equal").asBoolean()).isTrue();
        });
  }

  @Test
  void differences_end_with_four_and_are_one_line_of_json_each() {
    Ended text = diff("base", "changed");
    assertThat(text.exitCode()).as(text.err()).isEqualTo(4);
    assertThat(text.out())
        .contains(
            "  only in A  index public.users_email  CREATE INDEX users_email ON public.users USING",
            "  different  public.users  id=7 : balance=7 → 7.0\n",
            "  only in A  public.users  id=9 : balance=9 email=m9\n",
            "  public.users rows differ: 1 only in A, 0 only in B, 1 different; A has 100, B 99\n",
            "different: 1 difference in definitions, 2 differences in rows");
    Ended json = diff("base", "changed", "--json", "--quiet");
    assertThat(json.exitCode()).isEqualTo(4);
    assertThat(json.err()).isEmpty();
    assertThat(json.lines().stream().map(line -> line.path("type").asString()))
        .containsExactly("schema", "row", "row", "table", "summary");
    JsonNode changed =
        json.lines().stream()
            .filter(line -> line.path("change").asString().equals("different"))
            .findFirst()
            .orElseThrow();
    assertThat(changed.path("key").path("id").asString()).isEqualTo("7");
    assertThat(changed.path("columns").path(0).path("b").asString()).isEqualTo("7.0");
    JsonNode summary = json.lines().getLast();
    assertThat(summary.path("schemaDifferences").asLong()).isEqualTo(1);
    assertThat(summary.path("rowDifferences").asLong()).isEqualTo(2);
    assertThat(summary.path("equal").asBoolean()).isFalse();
  }

  @Test
  void what_cannot_be_compared_is_wrong_usage_and_who_cannot_be_reached_is_seven() {
    assertThat(diff("base", "same", "--schema-only", "--data-only").exitCode()).isEqualTo(2);
    assertThat(diff("base", "same", "--stop-after", "0").exitCode()).isEqualTo(2);
    assertThat(HoldfastProcess.run(home, "diff", server.url("base")).exitCode()).isEqualTo(2);
    Ended nobody = diff("base", "nowhere", "--json");
    assertThat(nobody.exitCode()).as(nobody.err()).isEqualTo(7);
    assertThat(nobody.err()).contains("\"exitCode\":7");
  }

  /** Waits in the middle of a comparison: for a lock, which takes up to five seconds. */
  private static void untilItWaits(TestServer where) {
    HoldfastProcess.until(() ->
        where
            .value(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast:diff'"
                    + " AND wait_event_type = 'Lock'")
            .equals("1"));
  }

  @ParameterizedTest
  @CsvSource({"A, KILL", "B, KILL", "A, IMMEDIATE", "B, IMMEDIATE"})
  void a_server_that_dies_in_the_middle_is_seven_with_how_far_it_came(
      String side, PostgresServer.Stop how) throws Exception {
    try (TestServer dying = TestServer.start(17)) {
      for (TestServer each : List.of(dying, server)) {
        each.execute("DROP DATABASE IF EXISTS two", "CREATE DATABASE two");
        each.executeIn(
            "two",
            "CREATE TABLE first AS SELECT g AS id FROM generate_series(1, 100) g",
            "CREATE TABLE second AS SELECT g AS id FROM generate_series(1, 100) g");
      }
      dying.executeIn("two", "DELETE FROM first WHERE id = 7");
      String ours = server.url("two");
      String theirs = dying.url("two");
      try (Connection holder = dying.connect("two")) {
        holder.setAutoCommit(false);
        holder.createStatement().execute("LOCK TABLE second");
        try (HoldfastProcess comparing =
            HoldfastProcess.start(
                home,
                "diff",
                side.equals("A") ? theirs : ours,
                side.equals("A") ? ours : theirs,
                "--data-only",
                "--json")) {
          untilItWaits(dying);
          dying.stop(how);
          Ended ended = comparing.await();
          assertThat(ended.exitCode()).as(ended.err()).isEqualTo(7);
          assertThat(ended.err())
              .contains("\"exitCode\":7")
              .contains("lost side " + side)
              .contains(
                  "until then the rows of 1 of 2 tables were compared, and 1 difference found");
          JsonNode last = ended.lines().getLast();
          assertThat(last.path("type").asString()).isEqualTo("stopped");
          assertThat(last.path("tablesCompared").asInt()).isEqualTo(1);
          assertThat(last.path("tables").asInt()).isEqualTo(2);
          assertThat(last.path("rowsA").asInt()).isEqualTo(side.equals("A") ? 99 : 100);
          assertThat(last.path("rowDifferences").asInt()).isEqualTo(1);
        }
      }
    }
  }

  @Test
  void stopped_with_ctrl_c_it_ends_as_others_do_and_so_does_its_work_in_the_server()
      throws Exception {
    try (Connection holder = server.connect("base")) {
      holder.setAutoCommit(false);
      holder.createStatement().execute("LOCK TABLE users");
      int exitCode = 1;
      // It waits for a lock for 5 s and goes on without: on a busy machine a signal may come later.
      for (int attempt = 0; attempt < 5 && exitCode == 1; attempt++) {
        try (HoldfastProcess comparing =
            HoldfastProcess.start(home, "diff", server.url("base"), server.url("same"))) {
          untilItWaits(server);
          Processes.run(List.of("kill", "-INT", Long.toString(comparing.pid())));
          exitCode = comparing.await().exitCode();
        }
      }
      assertThat(exitCode).isEqualTo(130);
      HoldfastProcess.until(() ->
          server
              .value(
                  "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast:diff'")
              .equals("0"));
    }
  }

  @Test
  void when_nobody_reads_any_more_it_stops_and_its_exit_code_says_different() throws Exception {
    server.execute("CREATE DATABASE plenty");
    server.executeIn(
        "plenty",
        "CREATE TABLE many AS SELECT g AS id, 'a' AS v FROM generate_series(1, 20000) g",
        "ALTER TABLE many ADD PRIMARY KEY (id)",
        "CREATE TABLE untouched AS SELECT 1 AS i");
    server.execute("CREATE DATABASE plenty2 TEMPLATE plenty");
    server.executeIn("plenty2", "UPDATE many SET v = 'b'");
    List<String> comparing =
        HoldfastProcess.command(
            "diff",
            server.url("plenty"),
            server.url("plenty2"),
            "--json",
            "--quiet",
            "--rows",
            "20000",
            "--stop-after",
            "100000");
    ProcessResult ended =
        Processes.run(
            Stream.concat(
                    Stream.of("bash", "-c", "\"$@\" | head -n 1; echo ${PIPESTATUS[0]}", "bash"),
                    comparing.stream())
                .toList());
    assertThat(ended.output().lines().toList()).hasSize(2).last().isEqualTo("4");
    assertThat(
            server.queryIn(
                "plenty2",
                "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'untouched'"))
        .containsExactly("0");
  }

  @Test
  void a_session_ended_in_the_middle_is_seven_with_how_far_it_came() {
    try (HoldfastProcess comparing =
        HoldfastProcess.start(home, "diff", server.url("slow"), server.url("slower"))) {
      HoldfastProcess.until(() ->
          !server
              .query(
                  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'slower'"
                      + " AND application_name = 'holdfast:diff' AND query LIKE 'SELECT p, count%'")
              .isEmpty());
      Ended ended = comparing.await();
      assertThat(ended.exitCode()).as(ended.err()).isEqualTo(7);
      assertThat(ended.err())
          .contains("lost side B")
          .contains("until then the rows of ")
          .contains(" of 2 tables were compared, and 0 differences found");
    }
  }
}
