package dev.holdfast.bench;

import dev.holdfast.damage.DamageScan;
import dev.holdfast.damage.Relation;
import dev.holdfast.damage.RelationNames;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import java.io.IOException;
import java.io.InputStream;
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
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Decodes the same WAL with our reader and with {@code pg_waldump --stats}, taking turns, and
 * prints both rates and their ratio.
 *
 * <p>Ours runs in a warmed-up process; pg_waldump is started anew each time, as it is used. The log
 * is pgbench's, of Debian's PostgreSQL 15, read from the page cache by both.
 */
public final class WalDecodeBench {
  private static final int WARM_UPS = 3;

  private final PostgresBinaries binaries;
  private final int megabytes;
  private final int rounds;

  private WalDecodeBench(PostgresBinaries binaries, int megabytes, int rounds) {
    this.binaries = binaries;
    this.megabytes = megabytes;
    this.rounds = rounds;
  }

  /**
   * Runs the comparison.
   *
   * @param arguments megabytes of WAL to write (default 256) and rounds to run (default 9)
   */
  public static void main(String[] arguments) throws Exception {
    PostgresBinaries binaries =
        PostgresBinaries.installed(15)
            .filter(found -> Files.isExecutable(found.program("pg_waldump")))
            .orElseThrow(() ->
                new IllegalStateException(
                    "needs pg_waldump and pgbench of PostgreSQL 15 (Debian: apt-get install"
                        + " postgresql-15)"));
    int megabytes = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 256;
    int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 9;
    new WalDecodeBench(binaries, megabytes, rounds).run();
  }

  private void run() throws Exception {
    Path folder = Files.createTempDirectory("holdfast-bench");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    Path data = folder.resolve("data");
    PostgresServer.initialise(binaries, data, List.of());
    Map<String, String> settings =
        Map.of(
            "fsync", "off",
            "wal_level", "replica",
            "wal_keep_size", "16GB",
            "max_wal_size", "4GB",
            "synchronous_commit", "off");
    try (PostgresServer server = PostgresServer.start(binaries, data, settings, List.of(folder))) {
      awaitReady(server);
      Lsn from = position(server);
      pgbench(server, "-i", "-q", "-s", "10");
      while (position(server).minus(from) < megabytes * 1024L * 1024L) {
        pgbench(server, "-n", "-c", "2", "-t", "5000");
      }
      query(server, "CHECKPOINT");
      Lsn to = position(server);
      compare(data.resolve("pg_wal"), from, to);
    }
  }

  private void compare(Path pgWal, Lsn from, Lsn to) throws IOException {
    SegmentName first = SegmentName.containing(from, 1, SegmentName.DEFAULT_SIZE).next();
    SegmentName last = SegmentName.containing(to, 1, SegmentName.DEFAULT_SIZE);
    Tally tally = new Tally();
    for (int i = 0; i < WARM_UPS; i++) {
      tally = ours(pgWal, first, last, true);
      ours(pgWal, first, last, false);
      theirs(pgWal, first, last);
    }
    double bytes = (last.number() - first.number()) * (double) SegmentName.DEFAULT_SIZE;
    double[] decode = new double[rounds];
    double[] scan = new double[rounds];
    double[] dump = new double[rounds];
    for (int round = 0; round < rounds; round++) {
      long start = System.nanoTime();
      ours(pgWal, first, last, false);
      long decoded = System.nanoTime();
      ours(pgWal, first, last, true);
      long scanned = System.nanoTime();
      theirs(pgWal, first, last);
      long dumped = System.nanoTime();
      decode[round] = bytes * 1e3 / (decoded - start);
      scan[round] = bytes * 1e3 / (scanned - decoded);
      dump[round] = bytes * 1e3 / (dumped - scanned);
    }
    System.out.printf(
        Locale.ROOT,
        "%.0f MB of WAL, %,d records, %,d transactions with changes; %d rounds%n",
        bytes / 1e6,
        tally.records,
        tally.transactions,
        rounds);
    print("WalReader, MB/s", decode);
    print("WalReader + DamageScan, MB/s", scan);
    print("pg_waldump --stats, MB/s", dump);
    print("WalReader / pg_waldump", ratios(decode, dump));
    print("WalReader + DamageScan / pg_waldump", ratios(scan, dump));
  }

  private static final class Tally {
    private long records;
    private long transactions;
  }

  private static Tally ours(Path pgWal, SegmentName first, SegmentName last, boolean withDamage)
      throws IOException {
    Tally tally = new Tally();
    DamageScan scan = new DamageScan(new NoNames(), _ -> tally.transactions++);
    Consumer<RawRecord> sink = withDamage ? scan::accept : _ -> {};
    WalReader reader = new WalReader(first.start(), SegmentName.DEFAULT_SIZE);
    byte[] piece = new byte[1 << 20];
    for (SegmentName name = first; name.number() < last.number(); name = name.next()) {
      try (InputStream in = Files.newInputStream(pgWal.resolve(name.toString()))) {
        for (int read = in.read(piece); read > 0; read = in.read(piece)) {
          reader.feed(piece, 0, read);
          for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
            tally.records++;
            sink.accept(record);
          }
        }
      }
    }
    return tally;
  }

  private void theirs(Path pgWal, SegmentName first, SegmentName last) {
    ProcessResult result =
        Processes.run(
            List.of(
                binaries.program("pg_waldump").toString(),
                "--stats",
                "--path=" + pgWal,
                "--start=" + first.start(),
                "--end=" + last.start()));
    if (!result.output().contains("Total")) {
      throw new IllegalStateException(result.output());
    }
  }

  /** No catalog at hand: every file is reported by its number, which costs the same. */
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

  private static double[] ratios(double[] ours, double[] theirs) {
    double[] ratios = new double[ours.length];
    for (int i = 0; i < ours.length; i++) {
      ratios[i] = ours[i] / theirs[i];
    }
    return ratios;
  }

  private static void print(String what, double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    System.out.printf(
        Locale.ROOT,
        "%-36s min %8.2f  median %8.2f  max %8.2f%n",
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
