package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Filters what real servers wrote, in segments of 1 MiB, so that records straddle often. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class FilteredLiveLogTest {
  private static final int SEGMENT = 1 << 20;
  private static final int MEGABYTES = Integer.getInteger("holdfast.filter.megabytes", 12);
  private static final List<String> SMALL_SEGMENTS = List.of("--wal-segsize=1");
  private static final Pattern DUMPED =
      Pattern.compile(
          "rmgr: (\\S+)\\s+len \\(rec/tot\\):\\s*\\d+/\\s*(\\d+), tx:\\s*(\\d+), lsn:"
              + " (\\S+), prev (\\S+), desc: (.*)");

  @TempDir private Path temporary;
  private final long seed = Long.getLong("tests.seed", System.nanoTime());

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void only_records_of_excluded_relations_differ(int major) throws Exception {
    try (TestServer server =
        TestServer.start(
            PostgresBinaries.embedded(major), MixedWorkload.SETTINGS, SMALL_SEGMENTS)) {
      filterLog(server);
    }
  }

  @Test
  void pg_waldump_reads_the_filtered_log_as_the_old_one_with_noops_in_it() throws Exception {
    PostgresBinaries installed =
        PostgresBinaries.installed(15)
            .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
    try (TestServer server = TestServer.start(installed, MixedWorkload.SETTINGS, SMALL_SEGMENTS)) {
      Filtered log = filterLog(server);
      Path filtered = Files.createDirectory(temporary.resolve("filtered"));
      for (FilteredSegment segment : log.segments) {
        Files.write(filtered.resolve(segment.name().toString()), segment.bytes());
      }
      List<String> before = dump(installed, log.original, log.from, log.to);
      List<String> after = dump(installed, filtered, log.from, log.to);
      assertThat(after).hasSameSizeAs(before);
      int noops = 0;
      for (int line = 0; line < before.size(); line++) {
        Matcher was = match(before.get(line));
        if (log.leftOut.contains(Lsn.parse(was.group(4)))) {
          Matcher is = match(after.get(line));
          assertThat(is.group(1) + " " + is.group(6)).isEqualTo("XLOG NOOP ");
          for (int field = 2; field <= 5; field++) {
            assertThat(is.group(field)).as("seed %d, %s", seed, was).isEqualTo(was.group(field));
          }
          noops++;
        } else {
          assertThat(after.get(line)).as("seed %d", seed).isEqualTo(before.get(line));
        }
      }
      assertThat(noops).isGreaterThan(1000);
    }
  }

  private static Matcher match(String line) {
    Matcher matcher = DUMPED.matcher(line);
    assertThat(matcher.matches()).as(line).isTrue();
    return matcher;
  }

  private static List<String> dump(PostgresBinaries binaries, Path folder, Lsn from, Lsn to)
      throws IOException {
    ProcessResult result =
        Processes.run(
            List.of(
                binaries.program("pg_waldump").toString(),
                "--path=" + folder,
                "--start=" + from,
                "--end=" + to));
    assertThat(result.exitCode()).as(result.output()).isZero();
    return result.output().lines().toList();
  }

  /** What came of a log. */
  private record Filtered(
      Path original, Lsn from, Lsn to, Set<Lsn> leftOut, List<FilteredSegment> segments) {}

  private Filtered filterLog(TestServer server) throws Exception {
    Lsn from = RawLog.end(server);
    new MixedWorkload(server).write(MEGABYTES);
    server.execute("CHECKPOINT");
    Lsn to = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
    LiveLog live = new LiveLog(server, from, to);
    List<byte[]> original = new ArrayList<>();
    for (Path file : live.files()) {
      original.add(Files.readAllBytes(file));
    }
    cutAt(original.getLast(), to);
    List<byte[]> bytesBefore = new ArrayList<>();
    List<WalRecord> records = read(live.start(), original, to, bytesBefore);
    ExcludedFiles excluded = chooseExcluded(records);

    List<FilteredSegment> alone = filter(live.start(), original, excluded, 1);
    List<FilteredSegment> together = filter(live.start(), original, excluded, 4);

    int straddling = 0;
    for (int index = 0; index < original.size(); index++) {
      assertThat(Arrays.equals(alone.get(index).bytes(), together.get(index).bytes()))
          .as("segment %s, seed %d", alone.get(index).name(), seed)
          .isTrue();
    }
    List<byte[]> bytesAfter = new ArrayList<>();
    List<WalRecord> after =
        read(live.start(), alone.stream().map(FilteredSegment::bytes).toList(), to, bytesAfter);
    assertThat(after).hasSameSizeAs(records);
    Set<Lsn> leftOut = new HashSet<>();
    ExcludedFiles current = excluded;
    for (int index = 0; index < records.size(); index++) {
      WalRecord was = records.get(index);
      WalRecord is = after.get(index);
      if (was instanceof WalRecord.DatabaseCreate created) {
        current = current.withCopies(created);
      }
      ExcludedFiles then = current;
      if (was.blocks().isEmpty()
          || !was.blocks().stream().allMatch(block -> then.contains(block.file()))) {
        assertThat(Arrays.equals(bytesAfter.get(index), bytesBefore.get(index)))
            .as("%s, seed %d", was.lsn(), seed)
            .isTrue();
        continue;
      }
      leftOut.add(was.lsn());
      assertThat(is).as("%s, seed %d", was.lsn(), seed).isInstanceOf(WalRecord.Noop.class);
      assertThat(List.of(is.lsn(), is.prev(), is.end(), is.xid(), is.length()))
          .isEqualTo(List.of(was.lsn(), was.prev(), was.end(), was.xid(), was.length()));
      if (was.lsn().position() / SEGMENT != was.end().minus(new Lsn(1)) / SEGMENT) {
        straddling++;
      }
    }
    assertThat(straddling).as("excluded records over a boundary, seed %d", seed).isPositive();
    return new Filtered(
        server.server().data().resolve("pg_wal"), records.getFirst().lsn(), to, leftOut, alone);
  }

  /** As recorded: what follows the end in a recycled segment is not of this log. */
  private static void cutAt(byte[] segment, Lsn to) {
    Arrays.fill(segment, (int) (to.position() % SEGMENT), SEGMENT, (byte) 0);
  }

  /** About half of what was ever written to, but catalogs. */
  private ExcludedFiles chooseExcluded(List<WalRecord> records) {
    Random random = new Random(seed);
    TreeMap<String, RelFile> files = new TreeMap<>();
    for (WalRecord record : records) {
      for (BlockRef block : record.blocks()) {
        if (block.file().number() >= 16384) {
          files.put(block.file().toString(), block.file());
        }
      }
    }
    TreeSet<String> chosen = new TreeSet<>(files.keySet());
    chosen.removeIf(_ -> random.nextInt(3) == 0);
    return ExcludedFiles.of(
        files.entrySet().stream()
            .filter(file -> chosen.contains(file.getKey()))
            .map(Map.Entry::getValue)
            .toList());
  }

  private static List<WalRecord> read(
      Lsn start, List<byte[]> segments, Lsn to, List<byte[]> bytes) {
    WalReader reader = new WalReader(start, SEGMENT);
    List<WalRecord> records = new ArrayList<>();
    for (byte[] segment : segments) {
      reader.feed(segment, 0, segment.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        if (Long.compareUnsigned(record.end(), to.position()) > 0) {
          return records;
        }
        records.add(record.decode());
        bytes.add(
            Arrays.copyOfRange(record.bytes(), record.start(), record.start() + record.length()));
      }
    }
    return records;
  }

  private static List<FilteredSegment> filter(
      Lsn start, List<byte[]> original, ExcludedFiles excluded, int threads) throws Exception {
    List<FilteredSegment> segments = new ArrayList<>();
    SegmentName name = SegmentName.containing(start, 1, SEGMENT);
    for (byte[] bytes : original) {
      segments.add(new FilteredSegment(name, bytes.clone()));
      name = name.next();
    }
    if (threads > 1) {
      try (var pool = Executors.newFixedThreadPool(threads)) {
        List<Future<?>> ahead = new ArrayList<>();
        for (FilteredSegment segment : segments) {
          ahead.add(pool.submit(() -> segment.filter(excluded, _ -> {})));
        }
        for (Future<?> one : ahead) {
          one.get();
        }
      }
    }
    FilteredLog log = new FilteredLog(excluded, _ -> {});
    segments.forEach(log::add);
    log.finish();
    assertThat(log.damage()).isNull();
    return segments;
  }
}
