package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** What a person does at an incident: freeze, try a repair, unfreeze. As the owner, by hand. */
class RunAndFreezeTest {
  @TempDir static Path home;
  private static TestServer server;

  @BeforeAll
  static void start() {
    server = TestServer.start(14);
    server.execute(
        "CREATE ROLE own LOGIN",
        "CREATE ROLE repair LOGIN IN ROLE own",
        "CREATE DATABASE shop OWNER own");
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @BeforeEach
  void tables() {
    server.executeIn(
        "shop",
        "DROP SCHEMA IF EXISTS holdfast_freeze CASCADE",
        "DROP SCHEMA public CASCADE",
        "CREATE SCHEMA public AUTHORIZATION own",
        "SET ROLE own",
        "CREATE TABLE users (id int PRIMARY KEY, data jsonb)",
        "INSERT INTO users SELECT g, '{\"phone\":1,\"address\":2,\"country\":3}' FROM generate_series(1, 12) g");
  }

  private static String url(String role) {
    return "postgresql://" + role + "@127.0.0.1:" + server.server().port() + "/shop";
  }

  private static Path file(String sql) throws IOException {
    Path file = Files.createTempFile(home, "fix", ".sql");
    Files.writeString(file, sql);
    return file;
  }

  private static String users() {
    return server.queryIn("shop", "SELECT count(*) FROM users").getFirst();
  }

  @Test
  void a_script_is_shown_and_rolled_back_where_nobody_can_be_asked() throws IOException {
    Path fix =
        file("UPDATE users SET data = '{}' WHERE id < 4;\nDELETE FROM users WHERE id > 10;\n");
    Ended ended = HoldfastProcess.run(home, "run", url("own"), fix.toString());
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    assertThat(ended.out())
        .contains(
            "line 2: DELETE FROM users WHERE id > ?  (2 rows)",
            "keys lost in 3 rows of public.users.data: 3 of 3: address, country, phone",
            "rolled back: nothing was changed",
            "--commit shop");
    assertThat(users()).isEqualTo("12");
    JsonNode report = HoldfastProcess.run(home, "run", url("own"), fix.toString(), "--json").json();
    assertThat(report.path("committed").asBoolean()).isFalse();
    assertThat(report.path("tables").path(0).path("rowsDeleted").asInt()).isEqualTo(2);
  }

  @Test
  void it_is_committed_only_under_the_databases_own_name() throws IOException {
    String fix = file("DELETE FROM users WHERE id > 10").toString();
    Ended other = HoldfastProcess.run(home, "run", url("own"), fix, "--commit", "production");
    assertThat(other.exitCode()).isEqualTo(3);
    assertThat(other.err()).contains("--commit names \"production\"; this database is \"shop\"");
    assertThat(users()).isEqualTo("12");
    Ended committed = HoldfastProcess.run(home, "run", url("own"), fix, "--commit", "shop");
    assertThat(committed.exitCode()).as(committed.err()).isZero();
    assertThat(committed.out()).endsWith("committed\n");
    assertThat(users()).isEqualTo("10");
  }

  @Test
  void what_fails_or_cannot_be_tried_changes_nothing_and_says_which_line() throws IOException {
    Ended failed =
        HoldfastProcess.run(
            home,
            "run",
            url("own"),
            file("DELETE FROM users;\nSELEC 1;").toString(),
            "--commit",
            "shop");
    assertThat(failed.exitCode()).isEqualTo(1);
    assertThat(failed.err()).contains("the statement at line 2 failed; everything was rolled back");
    Ended psql =
        HoldfastProcess.run(
            home, "run", url("own"), file("DELETE FROM users;\n\\i x.sql").toString());
    assertThat(psql.exitCode()).isEqualTo(2);
    assertThat(psql.err()).contains("line 2: \"\\i x.sql\" is a command of psql, not SQL");
    assertThat(
            HoldfastProcess.run(home, "run", url("own"), home.resolve("none.sql").toString())
                .exitCode())
        .isEqualTo(2);
    assertThat(users()).isEqualTo("12");
  }

  @Test
  void killed_while_a_statement_runs_it_leaves_neither_rows_nor_locks() throws IOException {
    try (HoldfastProcess running =
        HoldfastProcess.start(
            home,
            "run",
            url("own"),
            file("DELETE FROM users; SELECT pg_sleep(100)").toString(),
            "--commit",
            "shop")) {
      String asleep =
          "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()";
      HoldfastProcess.until(() -> server.value(asleep).equals("1"));
      running.kill();
      HoldfastProcess.until(() -> server.value(asleep).equals("0"));
    }
    assertThat(users()).isEqualTo("12");
    server.executeIn("shop", "SET lock_timeout = '1s'", "DO $$ BEGIN LOCK TABLE users; END $$");
  }

  @Test
  void a_freeze_tells_what_clients_will_read_and_the_repair_goes_through_it() throws IOException {
    Ended frozen =
        HoldfastProcess.run(
            home,
            "freeze",
            url("own"),
            "--reason",
            "addresses are gone",
            "--except-role",
            "repair");
    assertThat(frozen.exitCode()).as(frozen.err()).isZero();
    String told = "writes to public.users in database \"shop\" are frozen since ";
    assertThat(frozen.out()).contains("frozen  1 table of shop", told, ": addresses are gone");
    String fix = file("DELETE FROM users WHERE id = 1").toString();
    Ended refused = HoldfastProcess.run(home, "run", url("own"), fix, "--commit", "shop");
    assertThat(refused.exitCode()).isEqualTo(1);
    assertThat(refused.err()).contains(told).contains("HF002");
    assertThat(HoldfastProcess.run(home, "run", url("repair"), fix, "--commit", "shop").exitCode())
        .isZero();
    assertThat(HoldfastProcess.run(home, "freeze", url("own"), "--app", "api").exitCode())
        .as("another freeze")
        .isEqualTo(3);
    server.executeIn("shop", "SET ROLE own", "CREATE TABLE later (id int)");
    Ended status = HoldfastProcess.run(home, "freeze", url("own"), "--status", "--json");
    assertThat(status.exitCode()).as("a table takes writes").isEqualTo(4);
    assertThat(status.json().path("missing").propertyNames()).containsExactly("public.later");
    Ended unfrozen = HoldfastProcess.run(home, "unfreeze", url("own"));
    assertThat(unfrozen.exitCode()).as(unfrozen.err()).isZero();
    assertThat(HoldfastProcess.run(home, "run", url("own"), fix, "--commit", "shop").exitCode())
        .isZero();
    assertThat(HoldfastProcess.run(home, "freeze", url("own"), "--status").out())
        .isEqualTo("nothing is frozen in shop\n");
  }

  @Test
  void a_name_needs_a_repository_and_an_owners_connection() {
    assertThat(HoldfastProcess.run(home, "freeze", "acme").exitCode()).isEqualTo(5);
    Ended protectedIt =
        HoldfastProcess.run(
            home,
            "protect",
            "acme",
            server.url("shop"),
            "--environment",
            "production",
            "--recorder-url",
            server.url("shop"),
            "--no-encryption");
    assertThat(protectedIt.exitCode()).as(protectedIt.err()).isZero();
    Ended without = HoldfastProcess.run(home, "freeze", "acme");
    assertThat(without.exitCode()).isEqualTo(2);
    assertThat(without.err()).contains("add --url");
    try (HoldfastProcess named =
        HoldfastProcess.start(
            home, Map.of("HOLDFAST_URL", url("own")), "freeze", "acme", "--status")) {
      assertThat(named.await().out()).isEqualTo("nothing is frozen in shop\n");
    }
  }
}
