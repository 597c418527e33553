package dev.holdfast.bench;

import dev.holdfast.damage.Relation;
import dev.holdfast.damage.RelationNames;
import dev.holdfast.damage.SegmentSummaries;
import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.wal.ExcludedFiles;
import dev.holdfast.wal.FilteredLog;
import dev.holdfast.wal.FilteredSegment;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads the same WAL with our reader and with {@code pg_waldump --stats}, taking turns, and prints
 * both rates and their ratio: decoding alone, filtering, and decoding with damage and summaries, on
 * one thread and on two, over growing lengths.
 *
 * <p>Ours runs in a warmed-up process; pg_waldump is started anew each time, as it is used. The log
 * is pgbench's, of Debian's PostgreSQL 15, read from the page cache by both.
 */
public final class WalBench {
  private static final int WARM_UPS = 2;
  private static final int SEGMENT = SegmentName.DEFAULT_SIZE;
  private static final double[] GIGABYTES = {0.25, 1, 4};

  private final PostgresBinaries binaries;
  private final double gigabytes;
  private final int rounds;

  private WalBench(PostgresBinaries binaries, double gigabytes, int rounds) {
    this.binaries = binaries;
    this.gigabytes = gigabytes;
    this.rounds = rounds;
  }

  /**
   * Runs the comparison.
   *
   * @param arguments gigabytes of WAL to write (default 4.2) and rounds to run (default 5)
   */
  public static void main(String[] arguments) throws Exception {
    PostgresBinaries binaries =
        PostgresBinaries.installed(15)
            .filter(found -> Files.isExecutable(found.program("pg_waldump")))
            .orElseThrow(() ->
                new IllegalStateException(
                    "needs pg_waldump and pgbench of PostgreSQL 15 (Debian: apt-get install"
                        + " postgresql-15)"));
    double gigabytes = arguments.length > 0 ? Double.parseDouble(arguments[0]) : 4.2;
    int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 5;
    new WalBench(binaries, gigabytes, rounds).run();
  }

  private void run() throws Exception {
    // As a default server writes it, mostly page images; and without them: nothing but records.
    measureLog("on", gigabytes);
    measureLog("off", Math.min(1.1, gigabytes));
  }

  private void measureLog(String fullPageWrites, double wanted) throws Exception {
    Path folder = Files.createTempDirectory("holdfast-bench");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    Path data = folder.resolve("data");
    PostgresServer.initialise(binaries, data, List.of());
    Map<String, String> settings =
        Map.of(
            "fsync", "off",
            "wal_level", "replica",
            "wal_keep_size", "64GB",
            "checkpoint_timeout", "1d",
            "max_wal_size", "1GB",
            "full_page_writes", fullPageWrites,
            "shared_buffers", "512MB",
            "synchronous_commit", "off");
    try (PostgresServer server = PostgresServer.start(binaries, data, settings, List.of(folder))) {
      awaitReady(server);
      pgbench(server, "-i", "-q", "-s", "50");
      query(server, "CHECKPOINT");
      Lsn from = position(server);
      while (position(server).minus(from) < wanted * (1L << 30)) {
        pgbench(server, "-n", "-c", "4", "-j", "2", "-M", "prepared", "-t", "10000");
      }
      query(server, "SELECT pg_switch_wal()");
      query(server, "CHECKPOINT");
      Lsn to = position(server);
      System.out.printf("%npgbench WAL, full_page_writes=%s:%n", fullPageWrites);
      compare(data.resolve("pg_wal"), from, to);
    }
  }

  private void compare(Path pgWal, Lsn from, Lsn to) throws IOException {
    List<SegmentName> all = new ArrayList<>();
    SegmentName last = SegmentName.containing(to, 1, SEGMENT);
    for (SegmentName name = SegmentName.containing(from, 1, SEGMENT).next();
        name.number() < last.number();
        name = name.next()) {
      all.add(name);
    }
    for (int i = 0; i < WARM_UPS; i++) {
      decode(new Files16(pgWal, all));
      new SegmentSummaries(new Files16(pgWal, all), new NoNames(), 1)
          .make(0, all.getFirst().start(), () -> true, (_, _, _) -> {});
      theirs(pgWal, all);
    }
    for (double length : GIGABYTES) {
      int segments = (int) Math.round(length * (1 << 30) / SEGMENT);
      boolean whole = segments >= all.size();
      measure(pgWal, all.subList(0, Math.min(segments, all.size())));
      if (whole) {
        break;
      }
    }
  }

  private void measure(Path pgWal, List<SegmentName> names) throws IOException {
    Files16 files = new Files16(pgWal, names);
    double bytes = names.size() * (double) SEGMENT;
    double[] decode = new double[rounds];
    double[] one = new double[rounds];
    double[] two = new double[rounds];
    double[] dump = new double[rounds];
    double[] whole = new double[rounds];
    double[] filter = new double[rounds];
    ExcludedFiles excluded = files.written();
    long records = 0;
    long overwritten = 0;
    long allocated = 0;
    long kept = 0;
    for (int round = 0; round < rounds; round++) {
      long start = System.nanoTime();
      records = decode(files);
      decode[round] = rate(bytes, start);
      start = System.nanoTime();
      theirs(pgWal, names);
      dump[round] = rate(bytes, start);
      start = System.nanoTime();
      decodeWhole(files);
      whole[round] = rate(bytes, start);
      start = System.nanoTime();
      overwritten = filter(files, excluded);
      filter[round] = rate(bytes, start);
      long before = allocatedHere();
      start = System.nanoTime();
      long[] size = new long[1];
      summarise(files, 1, size);
      one[round] = rate(bytes, start);
      allocated = allocatedHere() - before;
      kept = size[0];
      start = System.nanoTime();
      summarise(files, 2, size);
      two[round] = rate(bytes, start);
    }
    System.out.printf(
        Locale.ROOT,
        "%.2f GiB, %,d records (%.0f bytes each); %d rounds%n",
        bytes / (1 << 30),
        records,
        bytes / records,
        rounds);
    print("decode, MB/s", decode);
    print("decode + damage + summary, 1 thread, MB/s", one);
    print("decode + damage + summary, 2 threads, MB/s", two);
    print("pg_waldump --stats, MB/s", dump);
    print("decode, a segment in memory at a time", whole);
    print("filter, a segment in memory at a time", filter);
    print("filter / decode", ratios(filter, whole));
    System.out.printf(Locale.ROOT, "filter: %,d records overwritten%n", overwritten);
    print("decode / pg_waldump", ratios(decode, dump));
    print("1 thread / pg_waldump", ratios(one, dump));
    print("2 threads / 1 thread", ratios(two, one));
    System.out.printf(
        Locale.ROOT,
        "%-42s %.1f bytes a record allocated; summaries %.3f %% of the WAL; peak heap %d MiB%n",
        "1 thread:",
        allocated / (double) records,
        100.0 * kept / bytes,
        peakHeap() >> 20);
  }

  private static void summarise(Files16 files, int threads, long[] size) {
    new SegmentSummaries(files, new NoNames(), threads)
        .make(
            0,
            files.name(0).start(),
            () -> true,
            (int index, SegmentSummary summary, byte[] blocks) ->
                size[0] += summary.encode().length + blocks.length);
  }

  private static long decode(Files16 files) {
    WalReader reader = new WalReader(files.name(0).start(), SEGMENT);
    long[] records = new long[1];
    for (int index = 0; index < files.count(); index++) {
      files.feed(
          index,
          reader,
          () -> {
            for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
              records[0]++;
            }
          });
    }
    return records[0];
  }

  private static void decodeWhole(Files16 files) {
    WalReader reader = new WalReader(files.name(0).start(), SEGMENT);
    long records = 0;
    for (int index = 0; index < files.count(); index++) {
      byte[] bytes = files.whole(index);
      reader.feed(bytes, 0, bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        records++;
      }
    }
    if (records == 0) {
      throw new IllegalStateException("no records");
    }
  }

  /** As for a fork that wants none of it: all that pgbench wrote is excluded. */
  private static long filter(Files16 files, ExcludedFiles excluded) {
    FilteredLog log = new FilteredLog(excluded, _ -> {});
    long overwritten = 0;
    for (int index = 0; index < files.count(); index++) {
      log.add(new FilteredSegment(files.name(index), files.whole(index)));
      for (FilteredSegment done = log.poll(); done != null; done = log.poll()) {
        overwritten += done.overwritten();
      }
    }
    return overwritten;
  }

  /** Segments as files of 16 MiB. */
  private static final class Files16 implements SegmentSummaries.Segments {
    private final Path folder;
    private final List<SegmentName> names;
    private final ThreadLocal<byte[]> piece = ThreadLocal.withInitial(() -> new byte[1 << 18]);

    private Files16(Path folder, List<SegmentName> names) {
      this.folder = folder;
      this.names = names;
    }

    @Override
    public int count() {
      return names.size();
    }

    @Override
    public SegmentName name(int index) {
      return names.get(index);
    }

    private byte[] whole(int index) {
      try {
        return Files.readAllBytes(folder.resolve(names.get(index).toString()));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    /** Every relation that the first segments write to, but catalogs. */
    private ExcludedFiles written() {
      Set<RelFile> written = new HashSet<>();
      for (int index = 0; index < Math.min(4, count()); index++) {
        WalReader reader = new WalReader(name(index).start(), SEGMENT);
        byte[] bytes = whole(index);
        reader.feed(bytes, 0, bytes.length);
        for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
          for (int block = 0; block < record.blocks(); block++) {
            if (record.file(block).number() >= 16384) {
              written.add(record.file(block));
            }
          }
        }
      }
      return ExcludedFiles.of(written);
    }

    @Override
    public void feed(int index, WalReader reader, Runnable poll) {
      byte[] bytes = piece.get();
      try (InputStream in = Files.newInputStream(folder.resolve(names.get(index).toString()))) {
        for (int read = in.read(bytes); read > 0; read = in.read(bytes)) {
          reader.feed(bytes, 0, read);
          poll.run();
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private void theirs(Path pgWal, List<SegmentName> names) {
    ProcessResult result =
        Processes.run(
            List.of(
                binaries.program("pg_waldump").toString(),
                "--stats",
                "--path=" + pgWal,
                "--start=" + names.getFirst().start(),
                "--end=" + names.getLast().end()));
    if (!result.output().contains("Total")) {
      throw new IllegalStateException(result.output());
    }
  }

  /** No catalog at hand: ordinary transactions ask for no names. */
  private static final class NoNames implements RelationNames {
    @Override
    public @Nullable Relation byFile(RelFile file, Lsn at) {
      return null;
    }

    @Override
    public @Nullable Relation byOid(long database, long oid, Lsn at) {
      return null;
    }

    @Override
    public @Nullable String database(long oid, Lsn at) {
      return null;
    }

    @Override
    public List<Relation> tablesOf(long database, Lsn at) {
      return List.of();
    }
  }

  private static long allocatedHere() {
    return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean())
        .getCurrentThreadAllocatedBytes();
  }

  private static long peakHeap() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .mapToLong(WalBench::peak)
        .sum();
  }

  private static long peak(MemoryPoolMXBean pool) {
    return pool.getPeakUsage().getUsed();
  }

  private static double rate(double bytes, long start) {
    return bytes * 1e3 / (System.nanoTime() - start);
  }

  private static double[] ratios(double[] ours, double[] theirs) {
    double[] ratios = new double[ours.length];
    Arrays.setAll(ratios, i -> ours[i] / theirs[i]);
    return ratios;
  }

  private static void print(String what, double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    System.out.printf(
        Locale.ROOT,
        "%-42s min %8.2f  median %8.2f  max %8.2f%n",
        what,
        sorted[0],
        sorted[sorted.length / 2],
        sorted[sorted.length - 1]);
  }

  private void pgbench(PostgresServer server, String... arguments) {
    ArrayList<String> command = new ArrayList<>(List.of(binaries.program("pgbench").toString()));
    command.addAll(List.of(arguments));
    command.add(server.url("postgres"));
    ProcessResult result = Processes.run(command);
    if (result.exitCode() != 0) {
      throw new IllegalStateException(result.output());
    }
  }

  private static Lsn position(PostgresServer server) throws SQLException {
    return Lsn.parse(query(server, "SELECT pg_current_wal_insert_lsn()"));
  }

  private static String query(PostgresServer server, String sql) throws SQLException {
    try (Connection connection = connect(server);
        Statement statement = connection.createStatement()) {
      if (!statement.execute(sql)) {
        return "";
      }
      try (ResultSet rows = statement.getResultSet()) {
        rows.next();
        return rows.getString(1);
      }
    }
  }

  private static Connection connect(PostgresServer server) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + server.port() + "/postgres", "postgres", "");
  }

  private static void awaitReady(PostgresServer server) throws InterruptedException {
    for (int attempt = 0; attempt < 300 && server.isAlive(); attempt++) {
      try (Connection _ = connect(server)) {
        return;
      } catch (SQLException e) {
        Thread.sleep(100); // still starting: there is nothing to wait on
      }
    }
    throw new IllegalStateException("the server did not start:\n" + server.logTail(20));
  }
}
