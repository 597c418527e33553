package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The commands as an operator types them, against a real server, with everything being killed. */
class IncidentByHandTest {

  @TempDir Path home;
  private TestServer server;

  @BeforeEach
  void start() {
    server = TestServer.start(17);
    server.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text)",
        "INSERT INTO users SELECT n, n || '@example.org' FROM generate_series(1, 30000) n");
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void from_protect_to_revert_with_a_role_of_our_own_and_machine_readable_answers() {
    Ended printed =
        HoldfastProcess.run(
            home,
            "protect",
            "acme",
            server.url("postgres"),
            "--environment",
            "production",
            "--print-sql");
    assertThat(printed.exitCode()).as(printed.err()).isZero();
    assertThat(printed.out()).contains("GRANT pg_monitor TO").contains("REPLICATION");
    assertThat(server.value("SELECT count(*) FROM pg_roles WHERE rolname = 'holdfast'"))
        .as("printing runs nothing")
        .isEqualTo("0");

    Ended made =
        HoldfastProcess.run(
            home,
            "protect",
            "acme",
            server.url("postgres"),
            "--environment",
            "production",
            "--json");
    assertThat(made.exitCode()).as(made.err()).isZero();
    assertThat(made.json().get("recorderRole").asString()).isEqualTo("holdfast");
    assertThat(server.value("SELECT rolsuper FROM pg_roles WHERE rolname = 'holdfast'"))
        .isEqualTo("f");

    try (HoldfastProcess recorder = HoldfastProcess.start(home, "record", "acme", "--json")) {
      server.execute("DROP TABLE users");
      HoldfastProcess.until(() -> recorder.out().contains("\"dropped\""));
      Ended log = HoldfastProcess.run(home, "log", "acme", "--destructive", "--json");
      JsonNode entry = log.lines().getLast();
      assertThat(entry.propertyNames())
          .contains(
              "xid",
              "commitLsn",
              "committedAt",
              "severity",
              "user",
              "application",
              "address",
              "tables");
      assertThat(entry.get("severity").asString()).isEqualTo("critical");
      assertThat(entry.get("user").isNull()).isTrue();
      assertThat(entry.get("committedAt").asString()).endsWith("Z");
      String xid = entry.get("xid").asString();

      Ended shown = HoldfastProcess.run(home, "show", "acme", xid, "--json");
      assertThat(shown.exitCode()).as(shown.err()).isZero();
      JsonNode sample = shown.json().get("samples").get(0);
      assertThat(sample.get("rows").asLong()).isEqualTo(30_000);
      assertThat(sample.get("sample").get(0).get("before").get("email").asString())
          .endsWith("@example.org");

      String[] revert = {
        "revert", "acme", xid, "--url", server.url("postgres"), "--json", "--apply", "0"
      };
      Ended wrong = HoldfastProcess.run(home, revert);
      assertThat(wrong.exitCode()).as("another digest is refused").isEqualTo(3);
      Ended planned =
          HoldfastProcess.run(
              home, "revert", "acme", xid, "--url", server.url("postgres"), "--json");
      JsonNode plan = planned.json();
      assertThat(plan.propertyNames()).contains("digest", "counts", "conflicts", "statements");
      assertThat(plan.get("counts").get("restored").asLong()).isEqualTo(30_000);
      assertThat(server.value("SELECT to_regclass('users') IS NULL")).isEqualTo("t");
      revert[revert.length - 1] = plan.get("digest").asString();
      Ended applied = HoldfastProcess.run(home, revert);
      assertThat(applied.exitCode()).as(applied.err()).isZero();
      assertThat(applied.json().get("rowsRestored").asLong()).isEqualTo(30_000);
      assertThat(applied.json().get("rowsInConflict").asLong()).isZero();
      assertThat(server.value("SELECT count(*) FROM users")).isEqualTo("30000");

      JsonNode status = HoldfastProcess.run(home, "status", "acme", "--json").json();
      assertThat(status.get("reachable").asBoolean()).isTrue();
      assertThat(status.get("recording").asBoolean()).isTrue();
      assertThat(recorder.terminate().err()).contains("recorded through");
    }
  }

  @Test
  void recording_goes_on_without_a_hole_when_either_side_is_killed() {
    protect();
    for (int round = 0; round < 3; round++) {
      try (HoldfastProcess recorder = HoldfastProcess.start(home, "record", "acme")) {
        HoldfastProcess.until(() -> recorder.err().contains("receiving WAL"));
        server.execute("UPDATE users SET email = email || '" + round + "'");
        recorder.kill();
      }
    }
    try (HoldfastProcess recorder = HoldfastProcess.start(home, "record", "acme")) {
      HoldfastProcess.until(() -> recorder.err().contains("receiving WAL"));
      server.restart(PostgresServer.Stop.IMMEDIATE);
      server.execute("DELETE FROM users WHERE id <= 1000");
      HoldfastProcess.until(() ->
          HoldfastProcess.run(home, "log", "acme", "--destructive", "--json").lines().stream()
              .anyMatch(entry -> entry.get("tables").get(0).get("rowsDeleted").asLong() == 1000));
      assertThat(recorder.isAlive()).isTrue();
      Ended log = HoldfastProcess.run(home, "log", "acme", "--table", "users", "--json");
      assertThat(
              log.lines().stream()
                  .filter(e -> e.get("tables").get(0).get("rowsUpdated").asLong() == 30_000))
          .as("updates made while nobody recorded are there too")
          .hasSize(3);
    }
  }

  @Test
  void a_backup_killed_in_the_middle_leaves_a_repository_that_opens_and_a_server_that_is_well()
      throws Exception {
    protect();
    server.execute(
        "CREATE TABLE bulk AS SELECT n, repeat(md5(n::text), 20) AS t FROM generate_series(1, 200000) n");
    try (HoldfastProcess backup = HoldfastProcess.start(home, "backup", "acme")) {
      Thread.sleep(1500); // somewhere in the middle; wherever it is, what follows must hold
      backup.kill();
    }
    Ended status = HoldfastProcess.run(home, "status", "acme", "--json");
    assertThat(status.exitCode()).as(status.err()).isZero();
    Ended again = HoldfastProcess.run(home, "backup", "acme", "--json");
    assertThat(again.exitCode()).as(again.err()).isZero();
    assertThat(server.value("SELECT count(*) FROM bulk")).isEqualTo("200000");

    try (HoldfastProcess backup = HoldfastProcess.start(home, "backup", "acme")) {
      Thread.sleep(1200); // as above
      server.restart(PostgresServer.Stop.IMMEDIATE);
      Ended ended = backup.await();
      assertThat(ended.exitCode()).as(ended.err()).isIn(0, 1, 7);
      assertThat(ended.err()).doesNotContain("\tat ");
    }
    assertThat(HoldfastProcess.run(home, "backup", "acme").exitCode()).isZero();
  }

  @Test
  void a_revert_killed_while_it_writes_leaves_production_as_it_was() throws Exception {
    protect();
    try (HoldfastProcess recorder = HoldfastProcess.start(home, "record", "acme")) {
      HoldfastProcess.until(() -> recorder.err().contains("receiving WAL"));
      server.execute("DELETE FROM users");
      HoldfastProcess.until(() -> recorder.out().contains("public.users"));
      String xid =
          HoldfastProcess.run(home, "log", "acme", "--destructive", "--json")
              .lines()
              .getLast()
              .get("xid")
              .asString();
      String digest =
          HoldfastProcess.run(
                  home, "revert", "acme", xid, "--url", server.url("postgres"), "--json")
              .json()
              .get("digest")
              .asString();
      // A lock on the table holds the revert up in the middle of applying, every time.
      try (var holder = server.connect();
          var statement = holder.createStatement()) {
        holder.setAutoCommit(false);
        statement.execute("LOCK TABLE users IN SHARE MODE");
        try (HoldfastProcess revert =
            HoldfastProcess.start(
                home, "revert", "acme", xid, "--url", server.url("postgres"), "--apply", digest)) {
          HoldfastProcess.until(() ->
              !server
                  .value(
                      "SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                          + " 'holdfast revert' AND wait_event_type = 'Lock'")
                  .equals("0"));
          revert.kill();
        }
        holder.rollback();
      }
      assertThat(server.value("SELECT count(*) FROM users")).isEqualTo("0");
      Ended again =
          HoldfastProcess.run(
              home, "revert", "acme", xid, "--url", server.url("postgres"), "--apply", digest);
      assertThat(again.exitCode()).as(again.err()).isZero();
      assertThat(server.value("SELECT count(*) FROM users")).isEqualTo("30000");
    }
  }

  private void protect() {
    Ended made =
        HoldfastProcess.run(
            home, "protect", "acme", server.url("postgres"), "--environment", "staging");
    assertThat(made.exitCode()).as(made.err()).isZero();
  }
}
