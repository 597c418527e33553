package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What we tell of WAL files, held against what PostgreSQL's own tools tell of them. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class WalOracleTest {
  private static final Pattern DUMPED =
      Pattern.compile(
          "rmgr: (\\S+)\\s+len \\(rec/tot\\):\\s*(\\d+)/\\s*(\\d+), tx:\\s*(\\d+), lsn:"
              + " (\\S+), prev (\\S+), desc: (\\S+)(.*)");
  private static final Pattern BLOCK =
      Pattern.compile(
          "blkref #(\\d+): rel (\\d+/\\d+/\\d+)(?: fork (\\w+))? blk (\\d+)( FPW( for WAL"
              + " verification)?)?");
  private static final Pattern COUNTED =
      Pattern.compile(
          "(\\S+)\\s+(\\d+) \\( *([0-9.]+)\\)\\s+(\\d+) \\( *([0-9.]+)\\)\\s+(\\d+) \\("
              + " *([0-9.]+)\\)\\s+(\\d+) \\( *([0-9.]+)\\)");
  private static final Pattern TOTAL =
      Pattern.compile(
          "Total\\s+(\\d+)\\s+(\\d+) \\[([0-9.]+)%]\\s+(\\d+) \\[([0-9.]+)%]\\s+(\\d+) \\[100%]");

  private static List<WalEntry> dump(WalFilter filter, Path... files) {
    List<WalEntry> entries = new ArrayList<>();
    new WalDump(new WalInput(List.of(files), null, false, null))
        .run(filter, entries::add, note -> {});
    return entries;
  }

  private static WalStatistics stats(WalFilter filter, boolean perRecord, Path... files) {
    List<WalStatistics> told = new ArrayList<>();
    new WalStats(new WalInput(List.of(files), null, false, null))
        .run(filter, perRecord, Progress.SILENT, told::add, note -> {});
    assertThat(told).hasSize(1);
    return told.getFirst();
  }

  @Nested
  class Pg_waldump_of_15 {
    private static TestServer server;
    private static PostgresBinaries binaries;
    private static Path wal;

    @BeforeAll
    static void write() throws Exception {
      binaries =
          PostgresBinaries.installed(15)
              .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
      server = TestServer.start(binaries, WrittenWal.SETTINGS, WrittenWal.SMALL_SEGMENTS);
      WrittenWal.write(server);
      server.stop(PostgresServer.Stop.FAST);
      wal = WrittenWal.folder(server);
    }

    @AfterAll
    static void stop() {
      server.close();
    }

    private static List<String> lines(String... options) {
      List<String> segments =
          Processes.run(List.of("ls", wal.toString()))
              .output()
              .lines()
              .filter(name -> name.matches("[0-9A-F]{24}"))
              .sorted()
              .toList();
      List<String> command =
          new ArrayList<>(
              List.of(
                  binaries.program("pg_waldump").toString(),
                  "--path=" + wal,
                  segments.getFirst(),
                  segments.getLast()));
      command.addAll(List.of(options));
      ProcessResult result = Processes.run(command);
      assertThat(result.output()).as("ended by the end of the log").contains("invalid record");
      return result.output().lines().toList();
    }

    private static List<String> dumped(String... options) {
      List<String> texts = new ArrayList<>();
      for (String line : lines(options)) {
        Matcher matcher = DUMPED.matcher(line);
        if (!matcher.matches()) {
          assertThat(line).startsWith("pg_waldump: error:");
          continue;
        }
        StringBuilder text = new StringBuilder();
        text.append(Lsn.parse(matcher.group(5))).append(' ').append(Lsn.parse(matcher.group(6)));
        for (int group : new int[] {4, 1, 7, 2, 3}) {
          text.append(' ').append(matcher.group(group));
        }
        Matcher block = BLOCK.matcher(matcher.group(8));
        while (block.find()) {
          text.append(
              " #%s %s %s %s %s %s"
                  .formatted(
                      block.group(1),
                      block.group(2),
                      block.group(3) == null ? "main" : block.group(3),
                      block.group(4),
                      block.group(5) != null,
                      block.group(5) != null && block.group(6) == null));
        }
        texts.add(text.toString());
      }
      return texts;
    }

    private static List<String> ours(WalFilter filter) {
      return dump(filter, wal).stream()
          .map(entry -> {
            StringBuilder text =
                new StringBuilder(
                    "%s %s %s %s %s %d %d"
                        .formatted(
                            entry.lsn(),
                            entry.prev(),
                            entry.xid(),
                            entry.rmgr(),
                            entry.info(),
                            entry.length() - entry.imageLength(),
                            entry.length()));
            for (WalEntry.Block block : entry.blocks()) {
              assertThat(block.table()).as("no repository, no names").isNull();
              text.append(
                  " #%d %d/%d/%d %s %d %s %s"
                      .formatted(
                          block.id(),
                          block.tablespace(),
                          block.database(),
                          block.relation(),
                          block.fork(),
                          block.block(),
                          block.image(),
                          block.imageApplied()));
            }
            return text.toString();
          })
          .toList();
    }

    @Test
    void shows_the_same_records() {
      List<String> theirs = dumped();
      assertThat(theirs).hasSizeGreaterThan(20_000);
      assertThat(ours(WalFilter.ALL)).isEqualTo(theirs);
    }

    @Test
    void shows_the_same_records_of_a_transaction_a_resource_manager_and_a_relation() {
      List<WalEntry> all = dump(WalFilter.ALL, wal);
      WalEntry.Block page =
          all.stream()
              .filter(entry -> entry.rmgr().equals("Heap2") && entry.info().equals("VISIBLE"))
              .flatMap(entry -> entry.blocks().stream())
              .filter(block -> block.fork().equals("vm") && block.database() != 1)
              .findFirst()
              .orElseThrow();
      String relation = page.tablespace() + "/" + page.database() + "/" + page.relation();
      String xid =
          all.stream()
              .filter(entry -> entry.info().equals("HOT_UPDATE") && !entry.xid().equals("1"))
              .findFirst()
              .orElseThrow()
              .xid();

      assertThat(ours(new WalFilter(null, null, List.of(), null, null, null, xid, null)))
          .isNotEmpty()
          .isEqualTo(dumped("--xid=" + xid));
      assertThat(
              ours(
                  new WalFilter(
                      null, null, List.of("btree", "SEQUENCE"), null, null, null, null, null)))
          .isNotEmpty()
          .isEqualTo(dumped("--rmgr=Btree", "--rmgr=Sequence"));
      assertThat(ours(new WalFilter(null, null, List.of(), relation, null, null, null, null)))
          .isNotEmpty()
          .isEqualTo(dumped("--relation=" + relation));
      assertThat(ours(new WalFilter(null, null, List.of(), relation, "vm", null, null, null)))
          .isNotEmpty()
          .isEqualTo(dumped("--relation=" + relation, "--fork=vm"));
      assertThat(ours(new WalFilter(null, null, List.of(), relation, "main", 0L, null, null)))
          .isNotEmpty()
          .isEqualTo(dumped("--relation=" + relation, "--fork=main", "--block=0"));
    }

    @Test
    void shows_the_same_records_from_one_position_to_another() {
      List<WalEntry> all = dump(WalFilter.ALL, wal);
      String from = all.get(all.size() / 3).lsn();
      String to = all.get(all.size() / 3 * 2).lsn();
      List<String> theirs = dumped();
      assertThat(ours(new WalFilter(from, to, List.of(), null, null, null, null, null)))
          .isEqualTo(theirs.subList(all.size() / 3, all.size() / 3 * 2));
      assertThat(ours(new WalFilter(from, to, List.of(), null, null, null, null, 7L)))
          .isEqualTo(theirs.subList(all.size() / 3, all.size() / 3 + 7));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void counts_the_same(boolean perRecord) {
      WalStatistics ours = stats(WalFilter.ALL, perRecord, wal);
      List<String> theirs = new ArrayList<>();
      String total = "";
      String title = "";
      for (String line : lines(perRecord ? "--stats=record" : "--stats")) {
        Matcher row = COUNTED.matcher(line);
        Matcher sum = TOTAL.matcher(line);
        if (row.matches()) {
          theirs.add(joined(row));
        } else if (sum.matches()) {
          total = joined(sum);
        } else if (line.startsWith("WAL statistics")) {
          title = line;
        }
      }
      assertThat(theirs).hasSizeGreaterThan(perRecord ? 60 : 21);
      assertThat(
              ours.rows().stream()
                  .map(row ->
                      "%s %d %.2f %d %.2f %d %.2f %d %.2f"
                          .formatted(
                              perRecord ? row.rmgr() + "/" + row.info() : row.rmgr(),
                              row.records(),
                              row.recordsPercent(),
                              row.recordBytes(),
                              row.recordBytesPercent(),
                              row.imageBytes(),
                              row.imageBytesPercent(),
                              row.combinedBytes(),
                              row.combinedBytesPercent())))
          .isEqualTo(theirs);
      assertThat(
              "%d %d %.2f %d %.2f %d"
                  .formatted(
                      ours.total().records(),
                      ours.total().recordBytes(),
                      ours.total().recordBytesPercent(),
                      ours.total().imageBytes(),
                      ours.total().imageBytesPercent(),
                      ours.total().combinedBytes()))
          .isEqualTo(total);
      assertThat("WAL statistics between %s and %s:".formatted(ours.from(), ours.to()))
          .isEqualTo(title);
    }

    private static String joined(Matcher matcher) {
      List<String> groups = new ArrayList<>();
      for (int group = 1; group <= matcher.groupCount(); group++) {
        groups.add(matcher.group(group));
      }
      return String.join(" ", groups);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 16, 17, 18})
  void pg_walinspect_names_every_record_alike(int major) throws Exception {
    try (TestServer server =
        TestServer.start(
            PostgresBinaries.embedded(major), WrittenWal.SETTINGS, WrittenWal.SMALL_SEGMENTS)) {
      server.execute("CREATE EXTENSION pg_walinspect", "SELECT pg_switch_wal()");
      String from = server.value("SELECT pg_current_wal_insert_lsn()");
      WrittenWal.write(server);
      String to = server.value("SELECT pg_current_wal_flush_lsn()");

      List<WalEntry> entries =
          dump(
              new WalFilter(from, to, List.of(), null, null, null, null, null),
              WrittenWal.folder(server));

      List<String> theirs =
          server.query(
              ("SELECT start_lsn, prev_lsn, xid, resource_manager, record_type, record_length,"
                      + " fpi_length FROM pg_get_wal_records_info('%s', '%s')")
                  .formatted(entries.getFirst().lsn(), to));
      assertThat(theirs).hasSizeGreaterThan(10_000);
      assertThat(
              entries.stream()
                  .map(entry ->
                      "%s|%s|%s|%s|%s|%d|%d"
                          .formatted(
                              entry.lsn(),
                              entry.prev(),
                              entry.xid(),
                              entry.rmgr(),
                              entry.info(),
                              entry.length(),
                              entry.imageLength())))
          .isEqualTo(theirs);
    }
  }
}
