package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The guard as an operator meets it, without any repository. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class GuardCommandTest {
  private static TestServer server;

  @TempDir Path folder;
  private Ended ended = new Ended(0, "", "");

  @BeforeAll
  static void start() {
    server = TestServer.start(17);
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private int run(String... arguments) {
    ended = InProcess.run(Map.of("XDG_CONFIG_HOME", folder.toString()), arguments);
    return ended.exitCode();
  }

  private int guard(String command, String database, String... more) {
    List<String> arguments = new ArrayList<>(List.of("guard", command, server.url(database)));
    arguments.addAll(List.of(more));
    return run(arguments.toArray(String[]::new));
  }

  private JsonNode json() {
    return JsonMapper.shared().readTree(ended.out());
  }

  private void shop(String name) {
    server.execute("CREATE DATABASE " + name);
    server.executeIn(
        name,
        "CREATE TABLE users (id int PRIMARY KEY, data jsonb)",
        "INSERT INTO users SELECT i, '{\"phone\": 1, \"address\": 2, \"country\": 3}' FROM generate_series(1, 2000) i",
        "ANALYZE");
  }

  @Test
  void installed_proved_permitted_and_taken_out_again() throws SQLException {
    shop("one");
    assertThat(guard("install", "one", "--name", "acme", "--environment", "production", "--json"))
        .isZero();
    assertThat(json().get("tables").asInt()).isEqualTo(1);
    assertThat(json().get("server").get("kind").asString()).isEqualTo("superuser");
    assertThat(json().get("server").get("behindPooler").asBoolean()).isFalse();
    assertThat(guard("status", "one", "--json")).isZero();
    assertThat(json().get("armed").asBoolean()).isTrue();
    assertThat(json().get("rules"))
        .hasSize(11)
        .allSatisfy(rule -> assertThat(rule.get("works").asString()).isEqualTo("yes"));
    assertThat(guard("status", "one")).isZero();
    assertThat(ended.out())
        .startsWith("armed  one is acme/production: 1 table covered, as postgres")
        .contains("  mass-delete        observe  10,000 rows or 20 %  yes");
    assertThat(
            guard(
                "permit",
                "one",
                "--allow",
                "truncate",
                "--table",
                "public.%",
                "--reason",
                "a test",
                "--json"))
        .isZero();
    String statement = json().get("statement").asString();
    try (Connection connection = server.connect("one");
        Statement sql = connection.createStatement()) {
      connection.setAutoCommit(false);
      sql.execute(statement);
      sql.execute("TRUNCATE users");
      connection.commit();
    }
    assertThat(guard("permits", "one")).isZero();
    assertThat(ended.out())
        .containsPattern("1\\s+used\\s+truncate\\s+public.%\\s+[24],000\\s+postgres");
    assertThat(guard("uninstall", "one")).isEqualTo(2);
    assertThat(ended.err()).contains("add --yes one");
    assertThat(guard("uninstall", "one", "--yes", "one")).isZero();
    assertThat(guard("status", "one")).isEqualTo(3);
    assertThat(ended.err()).contains("there is no guard in this database");
  }

  @Test
  void a_guard_that_was_tampered_with_ends_in_4_and_says_what_was_done() {
    shop("two");
    guard("install", "two", "--name", "acme", "--environment", "production");
    server.executeIn("two", "ALTER EVENT TRIGGER holdfast_dropped DISABLE");
    assertThat(guard("status", "two")).isEqualTo(4);
    assertThat(ended.out())
        .startsWith("not armed  two is acme/production")
        .contains("danger: event trigger holdfast_dropped is disabled\n")
        .containsPattern("drop-table +enforce +no +a probe was not refused");
    server.executeIn("two", "UPDATE holdfast.identity SET system_identifier = 1");
    guard("status", "two");
    assertThat(ended.out())
        .contains(
            "this is a copy of acme, or it was upgraded or renamed",
            "SELECT holdfast.adopt('development') where it is a copy");
  }

  @Test
  void modes_exceptions_and_suggestions() {
    shop("three");
    guard("install", "three", "--name", "acme", "--environment", "production");
    server.executeIn("three", "DELETE FROM users WHERE id <= 1200");
    assertThat(guard("suggest", "three")).isZero();
    assertThat(ended.out())
        .containsPattern("mass-delete  public.users +1 +1,200 +2,400")
        .contains("wait until 14 days are over");
    assertThat(guard("suggest", "three", "--apply")).isEqualTo(3);
    assertThat(guard("suggest", "three", "--apply", "--early")).isZero();
    assertThat(guard("mode", "three", "observe", "json-keys-lost", "--json")).isZero();
    Map<String, String> modes = new HashMap<>();
    json()
        .get("rules")
        .forEach(rule -> modes.put(rule.get("name").asString(), rule.get("mode").asString()));
    assertThat(modes)
        .containsEntry("mass-delete", "enforce")
        .containsEntry("mass-update", "enforce")
        .containsEntry("json-keys-lost", "observe");
    assertThat(
            guard(
                "except",
                "three",
                "--rule",
                "truncate",
                "--role",
                "janitor",
                "--mode",
                "observe",
                "--reason",
                "nightly"))
        .isZero();
    assertThat(guard("status", "three")).isZero();
    assertThat(ended.out()).contains("role janitor").contains("2,400 rows");
  }

  @Test
  void what_is_wrong_is_said() {
    shop("four");
    assertThat(guard("install", "four")).isEqualTo(2);
    assertThat(ended.err()).contains("add --name acme --environment production");
    assertThat(guard("install", "four", "--name", "acme", "--environment", "prod")).isEqualTo(2);
    guard("install", "four", "--name", "acme", "--environment", "production");
    assertThat(guard("permit", "four", "--allow", "drop-tabel", "--reason", "x")).isEqualTo(2);
    assertThat(
            guard("permit", "four", "--allow", "drop-table", "--table", "users", "--reason", "x"))
        .isEqualTo(2);
    assertThat(ended.err()).contains("say --table public.users");
    assertThat(guard("permit", "four", "--allow", "drop-table", "--for", "soon", "--reason", "x"))
        .isEqualTo(2);
    assertThat(guard("permit", "four", "--allow", "drop-table", "--for", "30d", "--reason", "x"))
        .isEqualTo(2);
    assertThat(guard("mode", "four", "on", "truncate")).isEqualTo(2);
    assertThat(guard("approve", "four", "99")).isEqualTo(1);
    assertThat(guard("revoke", "four", "99")).isEqualTo(1);
  }
}
