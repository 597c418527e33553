package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.time.Instant;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** The guard as {@code protect} and {@code status} show it to an operator. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class GuardInStatusTest {
  @Test
  void a_guard_that_was_switched_off_is_named_with_the_time_and_what_to_do() {
    try (TestServer server = TestServer.start(18)) {
      Path home = server.folder(); // others can enter it: root's files go to another user
      server.execute("CREATE TABLE users (id int PRIMARY KEY)");
      String url = server.url("postgres");
      Ended made = HoldfastProcess.run(home, "protect", "acme", url, "--environment", "production");
      assertThat(made.exitCode()).as(made.err()).isZero();
      assertThat(made.out())
          .contains("  the guard, as a superuser")
          .containsPattern("refuse DROP and ALTER that lose data, cover new tables +yes");
      Ended without = HoldfastProcess.run(home, "status", "acme");
      assertThat(without.out()).containsPattern("\n  guard +none: nothing refuses");
      Ended installed =
          HoldfastProcess.run(home, "guard", "install", "acme", "--url", url, "--json");
      assertThat(installed.exitCode()).as(installed.err()).isZero();
      Ended proved = HoldfastProcess.run(home, "guard", "status", "acme", "--url", url);
      assertThat(proved.exitCode()).as(proved.out()).isZero();
      assertThat(proved.out()).contains("  the guard, as a superuser");

      try (HoldfastProcess recorder = HoldfastProcess.start(home, "record", "acme")) {
        HoldfastProcess.until(() ->
            HoldfastProcess.run(home, "status", "acme", "--json")
                .json()
                .get("recording")
                .asBoolean());
        Ended armed = HoldfastProcess.run(home, "status", "acme");
        assertThat(armed.exitCode()).isZero();
        assertThat(armed.out())
            .containsPattern(
                "\n  guard of postgres +armed: 1 table; 8 rules enforce, 3 rules observe, last set 20")
            .doesNotContain("tampered");

        Instant before = Instant.now();
        server.execute("ALTER EVENT TRIGGER holdfast_dropped DISABLE");
        Instant after = Instant.now();
        HoldfastProcess.until(() ->
            !HoldfastProcess.run(home, "status", "acme", "--json")
                .json()
                .get("guard")
                .get("tampering")
                .isEmpty());

        JsonNode guard = HoldfastProcess.run(home, "status", "acme", "--json").json().get("guard");
        assertThat(guard.get("state").asString()).isEqualTo("weakened");
        JsonNode tampering = guard.get("tampering").get(0);
        assertThat(Instant.parse(tampering.get("at").asString())).isBetween(before, after);
        assertThat(tampering.get("what").get(0).asString())
            .isEqualTo("event triggers of database postgres were changed");
        Ended weakened = HoldfastProcess.run(home, "status", "acme");
        assertThat(weakened.exitCode()).as("as with other warnings").isZero();
        assertThat(weakened.out())
            .containsPattern("\n  guard of postgres +weakened: ")
            .containsPattern(
                "\n  guard tampered +20.* transaction \\d+: event triggers of database postgres were changed")
            .contains(
                "the guard of postgres is weakened: event trigger holdfast_dropped is disabled; last done: "
                    + tampering.get("at").asString())
            .contains("holdfast guard install acme");
        recorder.kill();
      }

      server.stop(PostgresServer.Stop.IMMEDIATE);
      Ended down = HoldfastProcess.run(home, "status", "acme");
      assertThat(down.out()).containsPattern("\n  guard +unknown").doesNotContain("armed");
      server.startAgain();
    }
  }

  @Test
  void protect_says_what_the_guard_lacks_as_a_role_without_event_triggers() {
    try (TestServer server = TestServer.start(15)) {
      Path home = server.folder(); // others can enter it: root's files go to another user
      server.execute(
          "CREATE ROLE app LOGIN IN ROLE pg_monitor", "GRANT CREATE ON DATABASE postgres TO app");

      String app = server.url("postgres").replace("postgres@", "app@");
      String[] protect = {
        "protect",
        "acme",
        app,
        "--environment",
        "production",
        "--recorder-url",
        server.url("postgres")
      };
      Ended refused = HoldfastProcess.run(home, protect);
      assertThat(refused.exitCode()).isEqualTo(3);
      assertThat(refused.err())
          .contains(
              "the guard works without, as the role app: holdfast guard install URL --name acme --environment production");
      server.execute(
          "ALTER ROLE app REPLICATION",
          "GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean),"
              + " pg_read_binary_file(text, bigint, bigint, boolean), pg_ls_dir(text, boolean, boolean),"
              + " pg_stat_file(text, boolean) TO app");

      Ended made = HoldfastProcess.run(home, protect);
      assertThat(made.exitCode()).as(made.err()).isZero();
      assertThat(made.out())
          .contains("  the guard, as a role that may not make event triggers")
          .containsPattern("refuse DROP and ALTER that lose data, cover new tables +no");
      Ended json =
          HoldfastProcess.run(
              home,
              "guard",
              "install",
              app,
              "--name",
              "acme",
              "--environment",
              "development",
              "--json");
      assertThat(json.json().get("server").get("kind").asString()).isEqualTo("owner");
      assertThat(server.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'holdfast_probe'"))
          .isEqualTo("0");
    }
  }
}
