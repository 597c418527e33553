package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Holds the decoder against PostgreSQL's own, record by record, on a mixed workload: position,
 * previous position, transaction, resource manager, length, and every block reference.
 *
 * <p>{@code -Dholdfast.oracle.megabytes=N} makes each server write at least N MB.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class OracleTest {
  private static final int MEGABYTES = Integer.getInteger("holdfast.oracle.megabytes", 32);

  /** The second opinion on 14 is written in Python and reads 3 MB/s. */
  private static final int MEGABYTES_14 = Math.min(MEGABYTES, 32);

  private static final List<String> FORKS = List.of("main", "fsm", "vm", "init");
  private static final List<String> WALCHECK_NAMES =
      List.of(
          "XLOG",
          "XACT",
          "SMGR",
          "CLOG",
          "DBASE",
          "TBLSPC",
          "MULTIXACT",
          "RELMAP",
          "STANDBY",
          "HEAP2",
          "HEAP",
          "BTREE",
          "HASH",
          "GIN",
          "GIST",
          "SEQ",
          "SPGIST",
          "BRIN",
          "COMMIT_TS",
          "REPLORIGIN",
          "GENERIC",
          "LOGICALMSG");

  private static final Pattern DUMPED =
      Pattern.compile(
          "rmgr: (\\S+)\\s+len \\(rec/tot\\):\\s*\\d+/\\s*(\\d+), tx:\\s*(\\d+), lsn:"
              + " (\\S+), prev (\\S+), desc: (.*)");
  private static final Pattern BLOCK =
      Pattern.compile(
          "blkref #(\\d+): rel (\\d+/\\d+/\\d+)(?: fork (\\w+))? blk (\\d+)( \\(?FPW( for WAL verification)?)?");
  private static final Pattern DESCRIBED = Pattern.compile("\\S+ (.*?)(?:, blkref #.*)?");
  private static final Pattern CHECKED =
      Pattern.compile(
          "(\\S+) len (\\d+) xid (\\d+) (?:top \\d+)? ([A-Z0-9_]+)[/ ].* info..\\s?(.*)");
  private static final Pattern CHECKED_BLOCK =
      Pattern.compile(
          "\\[(\\d+): (\\d+/\\d+/\\d+) f(\\d) b(\\d+)( FPI\\([^)]*(True|False)\\))?( WI)? fl..? dl(\\d+)]");

  @ParameterizedTest
  @CsvSource({"15,replica", "16,replica", "17,logical", "18,replica"})
  void agrees_with_pg_walinspect_on_every_record(int major, String walLevel) throws Exception {
    Map<String, String> settings = new TreeMap<>(MixedWorkload.SETTINGS);
    settings.put("wal_level", walLevel);
    try (TestServer server = TestServer.start(major, settings)) {
      Lsn from = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      new MixedWorkload(server).write(MEGABYTES);
      server.execute("CREATE EXTENSION pg_walinspect", "CHECKPOINT");
      Lsn to = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
      LiveLog log = new LiveLog(server, from, to);

      List<WalRecord> records = log.decode(to, 1 << 20);

      long blocks =
          major == 15
              ? compareRecords(server, records, to, true)
              : compareRecords(server, records, to, false) + compareBlocks(server, records, to);
      compareWithCatalog(server, records);
      assertBroad(records, walLevel.equals("logical"), major >= 17);
      report(major, "pg_walinspect", records, blocks);
    }
  }

  @Test
  void agrees_with_pg_waldump_15_on_every_record() throws Exception {
    PostgresBinaries installed =
        PostgresBinaries.installed(15)
            .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
    try (TestServer server = TestServer.start(installed, MixedWorkload.SETTINGS, List.of())) {
      Lsn from = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      new MixedWorkload(server).write(MEGABYTES);
      server.execute("CHECKPOINT");
      Lsn to = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
      LiveLog log = new LiveLog(server, from, to);

      List<WalRecord> records = log.decode(to, 8192);

      ProcessBuilder command =
          new ProcessBuilder(
                  installed.program("pg_waldump").toString(),
                  "--path=" + log.files().getFirst().getParent(),
                  "--start=" + records.getFirst().lsn(),
                  "--end=" + to)
              .redirectErrorStream(true);
      command.environment().put("TZ", "UTC");
      Process dump = command.start();
      Description description = new Description(15);
      Iterator<WalRecord> ours = records.iterator();
      long blocks = 0;
      try (var lines = dump.inputReader()) {
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
          Matcher matcher = DUMPED.matcher(line);
          assertThat(matcher.matches()).as(line).isTrue();
          WalRecord record = ours.next();
          List<String> theirs = blocks(matcher.group(6));
          blocks += theirs.size();
          assertThat(line(record) + " " + blocks(record))
              .isEqualTo(
                  "%s %s %s %s %s %s"
                      .formatted(
                          Lsn.parse(matcher.group(4)),
                          Lsn.parse(matcher.group(5)),
                          matcher.group(3),
                          matcher.group(1),
                          matcher.group(2),
                          theirs));
          compareDescriptions(description, record, described(matcher.group(6)));
        }
      }
      assertThat(dump.waitFor()).isZero();
      assertThat(ours.hasNext()).isFalse();
      assertBroad(records, false, false);
      report(15, "pg_waldump", records, blocks);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"replica", "logical"})
  void agrees_with_an_independent_reader_on_every_record_of_14(String walLevel) throws Exception {
    Map<String, String> settings = new TreeMap<>(MixedWorkload.SETTINGS);
    settings.put("wal_level", walLevel);
    try (TestServer server = TestServer.start(14, settings)) {
      Lsn from = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      new MixedWorkload(server).write(MEGABYTES_14);
      server.execute("CHECKPOINT");
      Lsn to = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
      LiveLog log = new LiveLog(server, from, to);

      List<WalRecord> records = log.decode(to, 1 << 20);

      compareWithCatalog(server, records);
      assertBroad(records, walLevel.equals("logical"), false);
      report(14, "walcheck.py", records, compareWithWalcheck(server, log, records));
    }
  }

  private static long compareRecords(
      TestServer server, List<WalRecord> records, Lsn to, boolean blocksToo) throws SQLException {
    long blocks = 0;
    try (Connection connection = server.connect();
        Statement statement = streaming(connection);
        ResultSet rows =
            statement.executeQuery(
                ("SELECT start_lsn, end_lsn, prev_lsn, xid, resource_manager, record_length,"
                        + " coalesce(block_ref, ''), description FROM pg_get_wal_records_info('%s', '%s')")
                    .formatted(records.getFirst().lsn(), to))) {
      Iterator<WalRecord> ours = records.iterator();
      Description description = new Description(server.server().binaries().major());
      while (rows.next()) {
        WalRecord record = ours.next();
        String theirs =
            "%s %s %s %s %s"
                .formatted(
                    Lsn.parse(rows.getString(1)),
                    Lsn.parse(rows.getString(3)),
                    rows.getString(4),
                    rows.getString(5),
                    rows.getString(6));
        assertThat(line(record)).isEqualTo(theirs);
        assertThat(record.end()).as(theirs).isEqualTo(Lsn.parse(rows.getString(2)));
        compareDescriptions(description, record, rows.getString(8));
        if (blocksToo) {
          assertThat(blocks(record)).as(theirs).isEqualTo(blocks(rows.getString(7)));
          blocks += record.blocks().size();
        }
      }
      assertThat(ours.hasNext()).as("records only we saw").isFalse();
    }
    return blocks;
  }

  private static long compareBlocks(TestServer server, List<WalRecord> records, Lsn to)
      throws SQLException {
    long blocks = 0;
    try (Connection connection = server.connect();
        Statement statement = streaming(connection);
        ResultSet rows =
            statement.executeQuery(
                ("SELECT start_lsn, block_id, reltablespace, reldatabase, relfilenode,"
                        + " relforknumber, relblocknumber, block_data_length, block_fpi_length,"
                        + " block_fpi_info FROM pg_get_wal_block_info('%s', '%s', false)")
                    .formatted(records.getFirst().lsn(), to))) {
      for (WalRecord record : records) {
        for (BlockRef block : record.blocks()) {
          assertThat(rows.next()).as("a block of " + record).isTrue();
          String info = rows.getString(10);
          assertThat(
                  "%s %d %s %d %d %d %d %s %s"
                      .formatted(
                          record.lsn(),
                          block.id(),
                          block.file(),
                          block.fork(),
                          block.block(),
                          block.dataLength(),
                          block.imageLength(),
                          block.hasImage(),
                          block.imageApplied()))
              .isEqualTo(
                  "%s %s %s/%s/%s %s %s %d %d %s %s"
                      .formatted(
                          Lsn.parse(rows.getString(1)),
                          rows.getString(2),
                          rows.getString(3),
                          rows.getString(4),
                          rows.getString(5),
                          rows.getString(6),
                          rows.getString(7),
                          rows.getInt(8),
                          rows.getInt(9),
                          info != null,
                          info != null && info.contains("APPLY")));
          blocks++;
        }
      }
      assertThat(rows.next()).as("blocks only they saw").isFalse();
    }
    return blocks;
  }

  private static long compareWithWalcheck(TestServer server, LiveLog log, List<WalRecord> records)
      throws IOException, InterruptedException {
    Path script = server.folder().resolve("walcheck.py");
    try (InputStream in = OracleTest.class.getResourceAsStream("walcheck.py")) {
      Files.copy(in, script);
    }
    List<String> command = new ArrayList<>(List.of("python3", script.toString()));
    log.files().forEach(file -> command.add(file.toString()));
    ProcessResult result = Processes.run(command);
    Iterator<WalRecord> ours = records.iterator();
    long blocks = 0;
    for (String line : (Iterable<String>) result.output().lines()::iterator) {
      if (line.startsWith("hdr")) {
        continue;
      }
      if (!ours.hasNext()) {
        break; // the server went on writing
      }
      Matcher matcher = CHECKED.matcher(line);
      assertThat(matcher.matches()).as(line).isTrue();
      WalRecord record = ours.next();
      List<String> theirs = new ArrayList<>();
      Matcher block = CHECKED_BLOCK.matcher(matcher.group(5));
      while (block.find()) {
        theirs.add(
            "#%s %s fork %s block %s %s %s data %s"
                .formatted(
                    block.group(1),
                    block.group(2),
                    block.group(3),
                    block.group(4),
                    block.group(5) == null ? "" : "image " + "True".equals(block.group(6)),
                    block.group(7) == null ? "" : "init",
                    block.group(8)));
      }
      List<String> blocksOfOurs =
          record.blocks().stream()
              .map(b ->
                  "#%d %s fork %d block %d %s %s data %d"
                      .formatted(
                          b.id(),
                          b.file(),
                          b.fork(),
                          b.block(),
                          b.hasImage() ? "image " + b.imageApplied() : "",
                          b.willInit() ? "init" : "",
                          b.dataLength()))
              .toList();
      blocks += theirs.size();
      assertThat(
              "%s %d %d %s %s"
                  .formatted(
                      record.lsn(),
                      record.length(),
                      record.xid(),
                      WALCHECK_NAMES.get(record.rmgr()),
                      blocksOfOurs))
          .isEqualTo(
              "%s %s %s %s %s"
                  .formatted(
                      Lsn.parse(matcher.group(1)),
                      matcher.group(2),
                      matcher.group(3),
                      matcher.group(4),
                      theirs));
    }
    assertThat(ours.hasNext()).as("records only we saw; walcheck said %s", result).isFalse();
    return blocks;
  }

  private static void compareDescriptions(
      Description description, WalRecord record, @Nullable String theirs) {
    String ours = description.ours(record);
    if (ours != null) {
      assertThat(ours)
          .as("%s", record)
          .isEqualTo(description.theirs(record, theirs == null ? "" : theirs));
    }
  }

  /** What pg_waldump says between the opcode and the block references. */
  private static String described(String text) {
    Matcher matcher = DESCRIBED.matcher(text);
    return matcher.matches() ? matcher.group(1) : "";
  }

  private static Statement streaming(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    Statement statement = connection.createStatement();
    statement.execute("SET TIME ZONE 'UTC'");
    statement.setFetchSize(10_000);
    return statement;
  }

  private static String line(WalRecord record) {
    return "%s %s %d %s %d"
        .formatted(
            record.lsn(),
            record.prev(),
            record.xid(),
            ResourceManager.name(record.rmgr()),
            record.length());
  }

  private static List<String> blocks(WalRecord record) {
    return record.blocks().stream()
        .map(block ->
            "#%d %s %s %d%s"
                .formatted(
                    block.id(),
                    block.file(),
                    FORKS.get(block.fork()),
                    block.block(),
                    !block.hasImage() ? "" : block.imageApplied() ? " image" : " check"))
        .toList();
  }

  private static List<String> blocks(String text) {
    List<String> blocks = new ArrayList<>();
    Matcher block = BLOCK.matcher(text);
    while (block.find()) {
      blocks.add(
          "#%s %s %s %s%s"
              .formatted(
                  block.group(1),
                  block.group(2),
                  block.group(3) == null ? "main" : block.group(3),
                  block.group(4),
                  block.group(5) == null ? "" : block.group(6) == null ? " image" : " check"));
    }
    return blocks;
  }

  /** What no description tells, asked of the server itself. */
  private static void compareWithCatalog(TestServer server, List<WalRecord> records) {
    Map<Long, WalRecord.Sequence> sequences = new TreeMap<>();
    Map<Long, WalRecord.RelationMap> maps = new TreeMap<>();
    for (WalRecord record : records) {
      switch (record) {
        case WalRecord.Sequence sequence -> sequences.put(sequence.file().number(), sequence);
        case WalRecord.RelationMap map -> maps.put(map.database(), map);
        default -> {}
      }
    }
    long database =
        Long.parseLong(server.value("SELECT oid FROM pg_database WHERE datname = 'postgres'"));
    for (String row :
        server.query(
            "SELECT pg_relation_filenode(seqrelid), seqincrement, seqrelid::regclass"
                + " FROM pg_sequence")) {
      String[] columns = row.split("\\|", -1);
      WalRecord.Sequence logged =
          Objects.requireNonNull(sequences.get(Long.parseLong(columns[0])), columns[2]);
      // A record runs ahead by the values that can be taken without another one.
      assertThat(logged.lastValue() + "|" + logged.logCount() + "|" + logged.called())
          .isEqualTo(
              server.value(
                  "SELECT last_value + CASE WHEN is_called THEN log_cnt ELSE 0 END * %s || '|0|' || is_called FROM %s"
                      .formatted(columns[1], columns[2])));
    }
    assertThat(sequences).isNotEmpty();
    assertThat(
            Objects.requireNonNull(maps.get(database)).mappings().stream()
                .map(m -> m.relation() + "|" + m.fileNumber())
                .sorted())
        .containsExactlyElementsOf(
            server
                .query(
                    "SELECT oid, pg_relation_filenode(oid) FROM pg_class WHERE relfilenode = 0"
                        + " AND relkind IN ('r', 'i', 't') AND NOT relisshared")
                .stream()
                .sorted()
                .toList());
    assertThat(records)
        .filteredOn(WalRecord.Prepare.class::isInstance)
        .isNotEmpty()
        .allSatisfy(record -> {
          var prepare = (WalRecord.Prepare) record;
          assertThat(prepare.owner()).isEqualTo(10); // the role initdb makes
          assertThat(prepare.database()).isEqualTo(database);
        });
    assertThat(records)
        .filteredOn(WalRecord.HeapRewrite.class::isInstance)
        .allSatisfy(record -> {
          var rewrite = (WalRecord.HeapRewrite) record;
          assertThat(rewrite.start()).isLessThan(record.lsn());
          assertThat(rewrite.relation()).isIn(1259L, 1262L); // pg_class, pg_database
          assertThat(record.length()).isGreaterThan((int) rewrite.mappings() * 36);
        });
  }

  /** Every kind of record a running server can be brought to write was written. */
  private static void assertBroad(List<WalRecord> records, boolean logical, boolean since17) {
    Set<Class<?>> expected = new HashSet<>(List.of(WalRecord.class.getPermittedSubclasses()));
    // What takes a crash, a promotion, or a billion transactions: see CraftedRecordsTest.
    expected.removeAll(
        List.of(
            WalRecord.Noop.class,
            WalRecord.EndOfRecovery.class,
            WalRecord.OverwrittenContinuation.class,
            WalRecord.StatusTruncate.class,
            WalRecord.MultiXactTruncate.class));
    if (!logical) {
      expected.removeAll(
          List.of(
              WalRecord.HeapTruncate.class,
              WalRecord.HeapRewrite.class,
              WalRecord.HeapNewCid.class));
    }
    if (!since17) {
      expected.remove(WalRecord.CheckpointRedo.class);
    }
    Set<Class<?>> written = new HashSet<>();
    records.forEach(record -> written.add(record.getClass()));
    assertThat(written).containsAll(expected);
    assertThat(records)
        .anyMatch(record -> record instanceof WalRecord.HeapDelete r && r.superDelete())
        .anyMatch(record -> record instanceof WalRecord.HeapDelete r && r.partitionMove())
        .anyMatch(record -> record instanceof WalRecord.HeapLock r && r.laterVersion())
        .anyMatch(record ->
            record instanceof WalRecord.HeapUpdate r
                && (r.oldInfobits() & WalRecord.HeapLock.MULTIXACT) != 0)
        .anyMatch(record -> record instanceof WalRecord.Abort r && !r.droppedFiles().isEmpty())
        .anyMatch(record -> record instanceof WalRecord.Abort r && !r.subtransactions().isEmpty())
        .anyMatch(record -> record instanceof WalRecord.Commit r && r.waitsForApply())
        .anyMatch(record -> record instanceof WalRecord.Commit r && r.forcedToDisk())
        .anyMatch(
            record -> record instanceof WalRecord.Commit r && r.origin() != null && !r.prepared())
        .anyMatch(
            record -> record instanceof WalRecord.Commit r && r.origin() != null && r.prepared())
        .anyMatch(record -> record instanceof WalRecord.Prepare r && r.origin() != null)
        .anyMatch(record ->
            record instanceof WalRecord.Prepare r
                && !r.droppedFiles().isEmpty()
                && !r.abortFiles().isEmpty()
                && !r.subtransactions().isEmpty()
                && !r.invalidations().isEmpty());
    assertThat(records)
        .extracting(WalRecord::rmgr)
        .contains(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21);
  }

  private static void report(int major, String oracle, List<WalRecord> records, long blocks) {
    Map<String, Long> kinds = new TreeMap<>();
    records.forEach(record -> kinds.merge(record.getClass().getSimpleName(), 1L, Long::sum));
    System.out.printf(
        "PostgreSQL %d agrees with %s: %,d MB, %,d records, %,d block references %s%n",
        major,
        oracle,
        records.getLast().end().minus(records.getFirst().lsn()) >> 20,
        records.size(),
        blocks,
        kinds);
  }
}
