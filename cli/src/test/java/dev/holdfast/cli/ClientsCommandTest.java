package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.Repository;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Usual clients in {@code status}, and the roles they should have, as an operator meets them. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class ClientsCommandTest {
  private static final String ESCAPE = "\u001b[31m";

  private static TestServer server;
  private static Path repository;

  private Ended ended = new Ended(0, "", "");

  @BeforeAll
  static void start() {
    server = TestServer.start(18);
    server.execute("CREATE ROLE app LOGIN", "CREATE DATABASE shop");
    server.executeIn("shop", "CREATE TABLE users (id int)", "ALTER TABLE users OWNER TO app");
    repository = server.folder().resolve("repository");
    ClientsCommandTest protect = new ClientsCommandTest();
    assertThat(
            protect.run(
                "protect",
                "acme",
                server.url("shop"),
                "--environment",
                "production",
                "--no-encryption",
                "-q"))
        .as(protect.ended.err())
        .isZero();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private int run(String... arguments) {
    ended =
        InProcess.run(
            Map.of(
                "XDG_CONFIG_HOME",
                server.folder().resolve("config").toString(),
                "HOLDFAST_REPOSITORY",
                repository.toString()),
            arguments);
    return ended.exitCode();
  }

  private static Map<String, Object> client(String application, String role, double seenAt) {
    return Map.ofEntries(
        Map.entry("database", "shop"),
        Map.entry("role", role),
        Map.entry("application", application),
        Map.entry("newestName", application),
        Map.entry("firstSeen", "2026-11-01T08:00:00Z"),
        Map.entry("lastSeen", seenAt < 900_000 ? "2026-11-20T09:00:00Z" : "2026-11-20T10:00:00Z"),
        Map.entry("samples", 20_000),
        Map.entry("days", 20),
        Map.entry("longestAbsenceSeconds", 120.0),
        Map.entry("seenAtWatchedSeconds", seenAt),
        Map.entry(
            "networks",
            List.of(
                Map.of(
                    "network", "10.0.3.0/24",
                    "newestAddress", "10.0.3.17",
                    "firstSeen", "2026-11-01T08:00:00Z",
                    "lastSeen", "2026-11-20T09:00:00Z",
                    "samples", 20_000))));
  }

  /** What recorders before this test are to have seen. */
  private static void seen(Object... clients) {
    Repository.open(repository.toString())
        .cluster("acme")
        .putClients(
            Map.of(
                "since",
                "2026-11-01T08:00:00Z",
                "sampledAt",
                "2026-11-20T10:00:00Z",
                "watchedSeconds",
                900_000.0,
                "clients",
                List.of(clients)));
  }

  @Test
  void status_names_a_usual_client_that_is_gone_and_who_connects_as_an_owner() {
    server.executeIn("shop", "ALTER TABLE users OWNER TO app");
    seen(client("api", "app", 890_000), client("worker-*", "other", 900_000));
    assertThat(run("status", "acme")).as(ended.err()).isZero();
    assertThat(ended.out())
        .containsPattern(
            "\n  usual client +api, role app, database shop: gone, last seen 2026-11-20 09:00:00Z ")
        .containsPattern(
            "\n  usual client +worker-\\*, role other, database shop: connected when somebody looked last, 2026-11-20 10:00:00Z ")
        .contains(
            "warning: a usual client of acme is gone: api (role app, database shop), last seen 2026-11-20T09:00:00Z;"
                + " it was here on 20 days, from 10.0.3.0/24\n  next: nothing, if it was stopped on purpose; else")
        .contains(
            "note: applications use acme as an owner: api (role app, owner of 1 table of shop);")
        .contains("holdfast roles acme prints the SQL");
    assertThat(run("status", "acme", "--json")).isZero();
    JsonNode clients = JsonMapper.shared().readTree(ended.out()).get("clients");
    assertThat(clients.get("state").asString()).isEqualTo("sampled");
    JsonNode api = clients.get("clients").get(0);
    assertThat(api.get("application").asString()).isEqualTo("api");
    assertThat(api.get("state").asString()).isEqualTo("vanished");
    assertThat(api.get("lastSeen").asString()).isEqualTo("2026-11-20T09:00:00Z");
    assertThat(api.get("tablesOwned").asInt()).isEqualTo(1);
    JsonNode other = clients.get("clients").get(1);
    assertThat(other.get("superuser").isNull()).as("there is no such role: unknown").isTrue();
  }

  @Test
  void what_is_kept_of_clients_harms_nothing_when_it_does_not_hold() throws Exception {
    seen(client("api", "app", 890_000));
    assertThat(run("verify")).as(ended.out()).isZero();
    assertThat(ended.out()).doesNotContain("clients.json");
    Files.writeString(repository.resolve("clusters/acme/clients.json"), "{}");
    assertThat(run("verify")).as(ended.out()).isZero();
    assertThat(run("status", "acme")).isZero();
    assertThat(ended.out()).containsPattern("\n  usual clients +unknown: nobody looked yet");
  }

  @Test
  void the_printed_text_runs_as_it_is_and_names_who_goes_on_connecting() throws SQLException {
    seen(client("api", "app", 900_000));
    assertThat(run("roles", "acme")).as(ended.err()).isZero();
    String text = ended.out();
    assertThat(text)
        .startsWith("-- Roles for database shop of acme: shop_app, shop_migrator, shop_reader.\n")
        .contains("-- - seen connecting here, and keeping that right: app;")
        .contains(
            """

            REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
            GRANT CONNECT ON DATABASE shop TO shop_app, shop_migrator, shop_reader, app, holdfast;
            """)
        .contains("-- \\password shop_app ")
        .contains("-- ALTER ROLE app NOLOGIN ");
    try (Connection connection =
            DriverManager.getConnection(
                "jdbc:postgresql://127.0.0.1:" + server.server().port() + "/shop", "postgres", "");
        Statement statement = connection.createStatement()) {
      statement.execute(text);
      statement.execute(text);
      statement.execute("SET ROLE shop_app");
      statement.execute("INSERT INTO users VALUES (1)");
    }
    assertThat(run("status", "acme")).isZero();
    assertThat(ended.out()).as("the recorder is not shut out").doesNotContain("permission denied");
    assertThat(run("roles", "acme", "--json")).isZero();
    JsonNode script = JsonMapper.shared().readTree(ended.out());
    assertThat(script.get("lookedAt").asBoolean()).isTrue();
    assertThat(script.get("statements").get(0).get("sql").asString()).isEqualTo("BEGIN");
  }

  @Test
  void a_name_made_by_an_enemy_neither_ends_a_comment_nor_steers_the_terminal() {
    assertThat(
            run(
                "roles",
                "acme",
                "--schema",
                "x\nDROP TABLE users;" + ESCAPE,
                "--database",
                "no\nDROP"))
        .isZero();
    assertThat(ended.out().lines().filter(line -> line.startsWith("--")))
        .as("a comment is a line")
        .noneMatch(line -> line.contains(ESCAPE));
    assertThat(ended.out().lines().takeWhile(line -> !line.equals("BEGIN;")))
        .allMatch(line -> line.isEmpty() || line.startsWith("--"));
    assertThat(run("roles", "acme", "--app", "pg_app")).isEqualTo(2);
    assertThat(ended.err()).contains("no role can be called \"pg_app\"").contains("shop_app");
  }
}
