package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** {@code restore} as an operator types it. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class RestoreCommandTest {
  private static final long MARKER_NANOS_MAX = TimeUnit.SECONDS.toNanos(60);

  private static TestServer server;
  private static Path home;

  @BeforeAll
  static void protectOne() {
    server = TestServer.start(16);
    home = server.folder(); // others can enter it: root's files go to another user
    server.execute(
        "CREATE TABLE bulk AS SELECT n, repeat(md5(n::text), 20) AS t"
            + " FROM generate_series(1, 100000) n");
    Ended made =
        HoldfastProcess.run(
            home, "protect", "acme", server.url("postgres"), "--environment", "staging");
    assertThat(made.exitCode()).as(made.err()).isZero();
    Ended backedUp = HoldfastProcess.run(home, "backup", "acme");
    assertThat(backedUp.exitCode()).as(backedUp.err()).isZero();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @Test
  void a_restore_killed_in_the_middle_leaves_nothing_that_starts_and_is_run_again()
      throws Exception {
    Path data = home.resolve("killed");
    Path marker = data.resolve("holdfast.restoring");
    try (HoldfastProcess restore =
        HoldfastProcess.start(home, "restore", "acme", "--to", data.toString())) {
      long deadline = System.nanoTime() + MARKER_NANOS_MAX;
      while (!Files.exists(data.resolve("pg_xact/0000"))) {
        assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
        TimeUnit.MILLISECONDS.sleep(1); // another process tells nothing but by what it leaves
      }
      restore.kill();
    }
    assertThat(marker).content().contains("run the same holdfast restore again");
    assertThat(data.resolve("global/pg_control")).doesNotExist();

    Ended again =
        HoldfastProcess.run(
            home,
            "restore",
            "acme",
            "--to",
            data.toString(),
            "--start",
            "--port",
            Integer.toString(PostgresServer.freePort()),
            "--json");
    assertThat(again.exitCode()).as(again.err()).isZero();
    JsonNode result = again.json();
    assertThat(result.propertyNames())
        .contains(
            "directory", "owner", "base", "lsn", "timeline", "walBytes", "overridden", "next");
    assertThat(result.get("startedOver").asBoolean()).isTrue();
    assertThat(result.get("server").get("version").asString()).startsWith("16.");
    assertThat(marker).doesNotExist();
    // The process that started it is gone, and it is still there.
    try (RunningServer restored = new RunningServer(data)) {
      assertThat(restored.value("SELECT count(*) FROM bulk")).isEqualTo("100000");
      Ended running = HoldfastProcess.run(home, "restore", "acme", "--to", data.toString());
      assertThat(running.exitCode()).isEqualTo(3);
      assertThat(running.err()).contains("a PostgreSQL server runs in " + data);
      assertThat(restored.value("SELECT count(*) FROM bulk")).isEqualTo("100000");
    }
  }

  @Test
  void a_damaged_directory_is_brought_back_after_its_plan_was_seen_though_killed_in_between()
      throws Exception {
    Path data = home.resolve("damaged");
    String[] made = {"restore", "acme", "--to", data.toString()};
    assertThat(HoldfastProcess.run(home, made).exitCode()).isZero();
    Path relation;
    try (Stream<Path> files = Files.walk(data.resolve("base"))) {
      relation = files.filter(file -> file.toFile().length() > (8 << 20)).findFirst().orElseThrow();
    }
    Files.delete(relation);
    Files.writeString(data.resolve("base/extra"), "of somebody");

    Ended plan = delta(data);
    assertThat(plan.exitCode()).as(plan.err()).isZero();
    assertThat(plan.out())
        .containsPattern(
            "(?m)^plan [0-9a-f]{16}  restores acme, just before 0/.*, into "
                + data
                + ": a data directory of acme$")
        .containsPattern("added, since they are not there +1 ")
        .contains("removed, since base backup ")
        .contains("    base/extra\n")
        .contains("all files will belong to ")
        .containsPattern("kept in " + data + ".set-aside: the pg_wal that is there, with \\d+ WAL")
        .containsPattern(
            "nothing has been changed yet; next: the same command with --apply [0-9a-f]{16}");
    assertThat(plan.err()).contains("restore acme: comparing");
    assertThat(relation).doesNotExist();
    assertThat(delta(data, "--dry-run", "--json").json().get("filesAdded").asInt()).isEqualTo(1);

    try (HoldfastProcess killed =
        HoldfastProcess.start(home, arguments(data, "--apply", digest(data)))) {
      long deadline = System.nanoTime() + MARKER_NANOS_MAX;
      while (!Files.exists(relation)) {
        assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
        TimeUnit.MILLISECONDS.sleep(1); // another process tells nothing but by what it leaves
      }
      killed.kill();
    }
    assertThat(data.resolve("holdfast.restoring"))
        .content()
        .contains("run the same holdfast restore --delta again");
    assertThat(data.resolve("global/pg_control")).doesNotExist();
    Ended fresh = HoldfastProcess.run(home, made);
    assertThat(fresh.exitCode()).isEqualTo(3);
    assertThat(fresh.err()).contains("has not brought back completely");

    Ended done =
        delta(
            data,
            "--start",
            "--port",
            Integer.toString(PostgresServer.freePort()),
            "--json",
            "--apply",
            digest(data));
    assertThat(done.exitCode()).as(done.err()).isZero();
    JsonNode delta = done.json().get("delta");
    assertThat(delta.propertyNames())
        .containsExactlyInAnyOrder(
            "digest",
            "filesKept",
            "filesChanged",
            "filesAdded",
            "filesRemoved",
            "bytesKept",
            "bytesFetched",
            "bytesWritten",
            "bytesRemoved",
            "setAside",
            "setAsideNames",
            "comparingSeconds");
    assertThat(Path.of(delta.get("setAside").asString()).resolve("pg_wal")).isNotEmptyDirectory();
    try (RunningServer restored = new RunningServer(data)) {
      assertThat(restored.value("SELECT count(*), min(length(t)) FROM bulk"))
          .isEqualTo("100000|640");
      assertThat(delta(data).exitCode()).isEqualTo(3);
    }

    Ended text = delta(data, "--apply", digest(data));
    assertThat(text.exitCode()).as(text.err()).isZero();
    assertThat(text.out())
        .containsPattern("\\d+ files kept \\(.*\\), \\d+ changed, 0 added, \\d+ removed")
        .containsPattern("compared in .*, .* fetched, .* written")
        .contains("the pg_wal and the settings that were there: " + data + ".set-aside-2")
        .contains("until you are sure that no commit is missing");
    Ended alone =
        HoldfastProcess.run(home, "restore", "acme", "--to", data.toString(), "--dry-run");
    assertThat(alone.exitCode()).isEqualTo(2);
    assertThat(alone.err()).contains("give --delta too, or leave it out");
  }

  private static String[] arguments(Path data, String... more) {
    List<String> arguments =
        new ArrayList<>(List.of("restore", "acme", "--to", data.toString(), "--delta"));
    arguments.addAll(List.of(more));
    return arguments.toArray(new String[0]);
  }

  private static Ended delta(Path data, String... more) {
    return HoldfastProcess.run(home, arguments(data, more));
  }

  private static String digest(Path data) {
    return delta(data, "--json").json().get("digest").asString();
  }

  @Test
  void without_start_it_says_what_was_done_and_how_to_start_it() {
    Path data = home.resolve("told");
    Ended ended = HoldfastProcess.run(home, "restore", "acme", "--latest", "--to", data.toString());
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    assertThat(ended.out())
        .contains("restored  acme, just before 0/")
        .contains(", in " + data)
        .contains("base backup ")
        .contains("start it: ")
        .contains(" -D " + data)
        .contains("psql -h localhost -p 5432");
    assertThat(ended.err())
        .contains("restore acme: takes ")
        .contains("restore acme: base backup")
        .contains("restore acme: WAL");
    assertThat(data.resolve("recovery.signal")).exists();
    assertThat(data.resolve("postmaster.pid")).doesNotExist();
  }

  @Test
  void what_cannot_be_restored_into_is_refused_and_left_alone() throws Exception {
    Path full = Files.createDirectory(home.resolve("somebody's"));
    Files.writeString(full.resolve("data"), "kept");
    Ended refused = HoldfastProcess.run(home, "restore", "acme", "--to", full.toString());
    assertThat(refused.exitCode()).isEqualTo(3);
    assertThat(refused.err())
        .contains(full + " is not empty: it holds data")
        .contains("next: name a folder that is absent or empty")
        .doesNotContain("\tat ");
    assertThat(full.resolve("data")).hasContent("kept");
    Ended production =
        HoldfastProcess.run(home, "restore", "acme", "--to", server.server().data().toString());
    assertThat(production.exitCode()).isEqualTo(3);
    assertThat(production.err()).contains("a PostgreSQL server runs in");
    Ended nowhere = HoldfastProcess.run(home, "restore", "acme");
    assertThat(nowhere.exitCode()).isEqualTo(2);
    assertThat(nowhere.err()).contains("--to");
    Ended port =
        HoldfastProcess.run(
            home,
            "restore",
            "acme",
            "--to",
            home.resolve("taken").toString(),
            "--start",
            "--port",
            Integer.toString(server.server().port()));
    assertThat(port.exitCode()).isEqualTo(3);
    assertThat(port.err()).contains("port " + server.server().port() + " is taken");
    assertThat(home.resolve("taken")).doesNotExist();
  }
}
