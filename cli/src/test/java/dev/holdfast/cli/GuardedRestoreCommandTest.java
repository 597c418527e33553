package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.LastingServer;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** What an operator reads of the guard in a restored server, and what one that is killed leaves. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class GuardedRestoreCommandTest {
  private static TestServer server;
  private static Path home;

  @BeforeAll
  static void protectOne() {
    server = TestServer.start(18);
    home = server.folder(); // others can enter it: root's files go to another user
    server.execute("CREATE TABLE users AS SELECT generate_series(1, 100) AS id");
    done("protect", "acme", server.url("postgres"), "--environment", "production");
    done(
        "guard",
        "install",
        server.url("postgres"),
        "--name",
        "acme",
        "--environment",
        "production");
    done("backup", "acme");
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Ended done(String... arguments) {
    Ended ended = HoldfastProcess.run(home, arguments);
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    return ended;
  }

  private static String[] restore(Path data, int port, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "restore",
                "acme",
                "--to",
                data.toString(),
                "--start",
                "--port",
                Integer.toString(port)));
    arguments.addAll(Arrays.asList(more));
    return arguments.toArray(String[]::new);
  }

  @Test
  void what_it_says_that_it_is_is_told_and_without_a_word_how_to_say_it() {
    Path copy = home.resolve("copy");
    String told =
        done(restore(copy, PostgresServer.freePort(), "--environment", "development")).out();
    try (RunningServer restored = new RunningServer(copy)) {
      assertThat(told)
          .contains("\n  guard in database postgres: it says acme/development now\n")
          .doesNotContain("restamp");
      restored.execute("DROP TABLE users");
    }
    Path again = home.resolve("again");
    told = done(restore(again, PostgresServer.freePort())).out();
    try (RunningServer restored = new RunningServer(again)) {
      assertThat(restored.value("SELECT environment FROM holdfast.identity"))
          .isEqualTo("production");
      assertThat(told).doesNotContain("it says acme/development");
    }
    Ended unstarted =
        HoldfastProcess.run(
            home,
            "restore",
            "acme",
            "--to",
            home.resolve("unstarted").toString(),
            "--environment",
            "development");
    assertThat(unstarted.exitCode()).isEqualTo(2);
    assertThat(unstarted.err()).contains("add --start");
  }

  @Test
  void killed_while_it_stamps_it_leaves_no_server_that_nobody_can_reach() throws Exception {
    try (Connection connection = server.connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("INSERT INTO holdfast.working VALUES (pg_current_xact_id())");
      statement.execute(
          "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
              + " $$ BEGIN IF current_setting('data_directory') LIKE '%/killed' THEN"
              + " PERFORM pg_sleep(300); END IF; RETURN NEW; END $$");
      statement.execute(
          "CREATE TRIGGER slow BEFORE UPDATE ON holdfast.identity FOR EACH ROW EXECUTE FUNCTION slow()");
      connection.commit();
    }
    done("backup", "acme");
    Path data = home.resolve("killed");
    int port = PostgresServer.freePort();
    long postmaster;
    try (HoldfastProcess restore =
        HoldfastProcess.start(home, restore(data, port, "--environment", "development"))) {
      HoldfastProcess.until(
          () -> pidFile(data).size() >= 8 && pidFile(data).get(7).contains("ready"));
      postmaster = Long.parseLong(pidFile(data).getFirst().strip());
      assertThat(LastingServer.isFree(port)).as("nobody can connect").isTrue();
      restore.kill();
    }
    HoldfastProcess.until(
        () -> ProcessHandle.of(postmaster).filter(ProcessHandle::isAlive).isEmpty());
  }

  private static List<String> pidFile(Path data) {
    try {
      Path file = data.resolve("postmaster.pid");
      return Files.exists(file) ? Files.readAllLines(file) : List.of();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
