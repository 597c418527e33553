package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code holdfast wal} as an operator types it, beside pg_waldump 15. */
class WalCommandTest {
  /** What pg_waldump tells of the record's content stands between its name and its pages. */
  private static final Pattern DUMPED =
      Pattern.compile("(rmgr: .*, desc: [^ ,]+)(?: .*?)?((?:, blkref #.*)?)");

  private static final JsonMapper JSON = JsonMapper.shared();

  @TempDir static Path home;
  private static TestServer server;
  private static PostgresBinaries binaries;
  private static Path wal;
  private static List<String> segments;
  private static String xid;

  @BeforeAll
  static void write() throws IOException {
    binaries =
        PostgresBinaries.installed(15)
            .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
    server = TestServer.start(binaries, Map.of("wal_keep_size", "1GB"), List.of("--wal-segsize=1"));
    server.execute("CREATE TABLE item (id int PRIMARY KEY, note text)");
    protect();
    server.execute("INSERT INTO item SELECT g, md5(g::text) FROM generate_series(1, 9000) g");
    xid =
        server.value(
            "WITH gone AS (DELETE FROM item WHERE id <= 3 RETURNING id)"
                + " SELECT pg_current_xact_id() FROM gone LIMIT 1");
    server.execute("VACUUM item", "UPDATE item SET note = 'x' WHERE id < 500");
    assertThat(run("backup", "acme").exitCode()).isZero();
    server.stop(PostgresServer.Stop.FAST);
    wal = server.server().data().resolve("pg_wal");
    try (var files = Files.list(wal)) {
      segments =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.matches("[0-9A-F]{24}"))
              .sorted()
              .toList();
    }
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static void protect() {
    String url = server.url("postgres");
    Ended answer =
        run("protect", "acme", url, "--environment", "production", "--recorder-url", url);
    assertThat(answer.exitCode()).as(answer.err()).isZero();
  }

  private static Ended run(String... arguments) {
    return run(Map.of("HOLDFAST_REPOSITORY", home.resolve("repository").toString()), arguments);
  }

  private static Ended run(Map<String, String> environment, String... arguments) {
    Map<String, String> all = new TreeMap<>(environment);
    all.put("XDG_CONFIG_HOME", home.resolve("config").toString());
    return InProcess.run(all, arguments);
  }

  @Test
  void a_line_of_text_has_the_columns_of_pg_waldump() {
    ProcessResult theirs =
        Processes.run(
            List.of(
                binaries.program("pg_waldump").toString(),
                "--path=" + wal,
                segments.getFirst(),
                segments.getLast()));
    List<String> expected = new ArrayList<>();
    for (String line : (Iterable<String>) theirs.output().lines()::iterator) {
      Matcher matcher = DUMPED.matcher(line);
      if (matcher.matches()) {
        expected.add(matcher.group(1) + matcher.group(2));
      }
    }
    Ended ours = run(Map.of(), "wal", "dump", wal.toString());
    assertThat(ours.exitCode()).as(ours.err()).isZero();
    assertThat(ours.out().lines().toList()).hasSizeGreaterThan(5000).isEqualTo(expected);
    assertThat(ours.err()).matches("note: the log ends at 0/[0-9A-F]+ in " + wal + "/[0-9A-F]+\n");
  }

  @Test
  void a_repository_adds_names_to_files_and_has_the_log_itself() {
    Ended files = run("wal", "dump", wal.toString(), "--xid", xid, "--rmgr", "heap");
    assertThat(files.exitCode()).as(files.err()).isZero();
    assertThat(files.out().lines().toList())
        .hasSize(3)
        .allSatisfy(line ->
            assertThat(line)
                .contains(", desc: DELETE, blkref #0: rel 1663/5/")
                .contains(" blk ")
                .contains(" (public.item)"));
    Ended recorded =
        run("wal", "dump", "--cluster", "acme", "--relation", "public.item", "--xid", xid);
    assertThat(recorded.out().lines().toList()).isEqualTo(files.out().lines().toList());
    assertThat(recorded.err()).startsWith("note: WAL is recorded to 0/");
    assertThat(run("wal", "dump", "--cluster", "acmee").exitCode()).isEqualTo(2);
  }

  @Test
  void a_line_of_json_holds_what_scripts_are_promised() {
    Ended answer =
        run(
            "wal",
            "dump",
            wal.toString(),
            "--xid",
            xid,
            "--rmgr",
            "Heap",
            "--limit",
            "1",
            "--json");
    assertThat(answer.exitCode()).as(answer.err()).isZero();
    JsonNode line = JSON.readTree(answer.out().lines().toList().getFirst());
    assertThat(answer.out().lines().toList()).hasSize(1);
    assertThat(line.propertyNames())
        .containsExactly("lsn", "prev", "xid", "rmgr", "info", "length", "blocks");
    assertThat(line.get("lsn").asString()).matches("0/[0-9A-F]+");
    assertThat(line.get("xid").asString()).isEqualTo(xid);
    assertThat(line.get("xid").isString()).isTrue();
    assertThat(line.get("length").isInt()).isTrue();
    assertThat(line.get("info").asString()).isEqualTo("DELETE");
    JsonNode block = line.get("blocks").get(0);
    assertThat(block.propertyNames())
        .containsExactly(
            "id",
            "tablespace",
            "database",
            "relation",
            "fork",
            "block",
            "table",
            "kind",
            "image",
            "imageApplied",
            "imageLength");
    assertThat(block.get("table").asString()).isEqualTo("public.item");
    assertThat(block.get("fork").asString()).isEqualTo("main");
    Ended unnamed = run(Map.of(), "wal", "dump", wal.toString(), "--limit", "40", "--json");
    assertThat(unnamed.out()).contains("\"table\":null");
  }

  @Test
  void notes_are_json_too_and_go_where_no_value_goes() {
    Ended answer = run(Map.of(), "wal", "dump", wal.toString(), "--rmgr", "CommitTs", "--json");
    assertThat(answer.out()).isEmpty();
    JsonNode note = JSON.readTree(answer.err()).get("note");
    assertThat(note.get("kind").asString()).isEqualTo("end");
    assertThat(note.get("lsn").asString()).startsWith("0/");
    assertThat(note.get("text").asString()).startsWith("the log ends at 0/");
  }

  @Test
  void figures_are_a_table_or_the_same_values_as_json() {
    Ended text = run(Map.of(), "wal", "stats", wal.toString(), "--relation", "1663/1/0");
    assertThat(text.out()).isEqualTo("no records\n");
    text = run(Map.of(), "wal", "stats", wal.toString(), "--per-record", "--rmgr", "Heap");
    assertThat(text.exitCode()).as(text.err()).isZero();
    JsonNode json =
        JSON.readTree(
            run(
                    Map.of(),
                    "wal",
                    "stats",
                    wal.toString(),
                    "--per-record",
                    "--rmgr",
                    "Heap",
                    "--json")
                .out());
    assertThat(json.propertyNames()).containsExactly("from", "to", "rows", "total");
    assertThat(text.out().lines().toList().getFirst())
        .isEqualTo(
            "WAL statistics from %s to %s, sizes in bytes"
                .formatted(json.get("from").asString(), json.get("to").asString()));
    assertThat(text.out().lines().toList().get(1).replaceAll(" +", " "))
        .isEqualTo("type records % record size % FPI size % combined size %");
    JsonNode row = json.get("rows").get(0);
    assertThat(row.get("info").asString()).isEqualTo("INSERT");
    assertThat(text.out().lines().toList().get(2).replaceAll(" +", " "))
        .isEqualTo(
            "Heap/INSERT %,d %.2f %,d %.2f %,d %.2f %,d %.2f"
                .formatted(
                    row.get("records").asLong(),
                    row.get("recordsPercent").asDouble(),
                    row.get("recordBytes").asLong(),
                    row.get("recordBytesPercent").asDouble(),
                    row.get("imageBytes").asLong(),
                    row.get("imageBytesPercent").asDouble(),
                    row.get("combinedBytes").asLong(),
                    row.get("combinedBytesPercent").asDouble()));
    assertThat(text.out().lines().toList().getLast()).startsWith("Total ").endsWith("100 %");
  }

  @Test
  void a_cut_segment_is_exit_code_6_after_what_could_be_read() throws IOException {
    Path cut = home.resolve(segments.get(3));
    Files.write(cut, Arrays.copyOf(Files.readAllBytes(wal.resolve(segments.get(3))), 500_000));
    Ended dumped = run(Map.of(), "wal", "dump", cut.toString());
    assertThat(dumped.exitCode()).isEqualTo(6);
    assertThat(dumped.out().lines().toList()).hasSizeGreaterThan(10);
    assertThat(dumped.err())
        .matches(
            "error: cannot read WAL past 0/[0-9A-F]+ in "
                + cut
                + "\n  why:  it has 500000 bytes where a segment has 1048576: the rest of it is"
                + " missing\n  next: fetch another copy of this segment .*\n");
    Ended counted = run(Map.of(), "wal", "stats", cut.toString(), "--json");
    assertThat(counted.exitCode()).isEqualTo(6);
    assertThat(JSON.readTree(counted.out()).get("total").get("records").asInt())
        .isEqualTo(dumped.out().lines().toList().size());
    assertThat(counted.err()).startsWith("{\"error\":{\"kind\":\"damaged_data\",\"exitCode\":6,");
  }

  @Test
  void wrong_usage_says_where_help_is_at_every_depth() {
    Ended nothing = run("wal");
    assertThat(nothing.exitCode()).isEqualTo(2);
    assertThat(nothing.err()).endsWith("  next: holdfast wal --help shows how\n");
    Ended unknown = run("wal", "dump", "--rmgrs", "Heap");
    assertThat(unknown.exitCode()).isEqualTo(2);
    assertThat(unknown.err()).endsWith("  next: holdfast wal dump --help shows how\n");
    Ended nowhere = run(Map.of(), "wal", "dump");
    assertThat(nowhere.exitCode()).isEqualTo(2);
    assertThat(nowhere.err()).contains("no repository named");
    for (String command : List.of("dump", "stats")) {
      assertThat(run("wal", command, "--help").out())
          .contains("Usage: holdfast wal " + command, "--json", "--relation", "--from");
    }
    assertThat(run("generate-completion").out())
        .contains("_picocli_holdfast_wal_dump", "\"Btree\"");
  }

  @Test
  void a_process_of_its_own_answers_the_same() {
    Ended ended =
        HoldfastProcess.run(
            home, "wal", "dump", wal.resolve(segments.get(2)).toString(), "--limit", "2", "--json");
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    assertThat(ended.out().lines().toList()).hasSize(2);
  }
}
