package dev.holdfast.bench;

import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a repository is for, against pgBackRest and pg_basebackup, on a pgbench cluster: full base
 * backup, incremental one after an update of 1 % of the pages, scattered, whole restore, and
 * recording. Whole processes from start to exit, in turns; both make what they write durable, two
 * workers each, zstd at level 1.
 *
 * <p>Ours encrypts and checksums what it stores, as it does unless told otherwise; theirs do not
 * encrypt unless told to. Ours restores WAL too, up to the newest recorded moment; pgBackRest's
 * server would fetch it while it recovers, after what is measured.
 */
public final class RepositoryBench {
  private static final String CLUSTER = "bench";

  /** pgbench makes about so many bytes of each unit of scale, with room left in its pages. */
  private static final double SCALE_BYTES = 16.7e6;

  private static final Pattern TRANSACTIONS = Pattern.compile("tps = ([0-9.]+)");
  private static final int PAIR_SECONDS = 20;

  private final Production production;
  private final HoldfastCommand holdfast;
  private final PgBackRest peer;

  private RepositoryBench(Production production, HoldfastCommand holdfast, PgBackRest peer) {
    this.production = production;
    this.holdfast = holdfast;
    this.peer = peer;
  }

  /**
   * Prints the figures.
   *
   * @param arguments rounds, path of {@code holdfast}, GB of the clusters with blanks between, GiB
   *     of WAL the recorder has to catch up with
   */
  public static void main(String[] arguments) throws Exception {
    int rounds = Integer.parseInt(arguments[0]);
    Production.printMachine();
    for (String size : arguments[2].strip().split("\\s+", -1)) {
      try (Production production =
          Production.start(Map.of("archive_mode", "on", "wal_level", "replica"))) {
        production.run("ALTER SYSTEM SET archive_command = '/bin/true'", "SELECT pg_reload_conf()");
        production.program(
            "pgbench",
            "-i",
            "-q",
            "-F",
            "90",
            "-s",
            Integer.toString((int) Math.round(Double.parseDouble(size) * 1e9 / SCALE_BYTES)),
            production.url());
        HoldfastCommand holdfast =
            new HoldfastCommand(
                arguments[1], production, production.folder().resolve("repository"));
        holdfast.run("protect", CLUSTER, production.url(), "--environment", "production");
        PgBackRest peer = PgBackRest.archiving(production);
        RepositoryBench bench = new RepositoryBench(production, holdfast, peer);
        System.out.printf(
            Locale.ROOT, "%ncluster of %.2f GB; %d rounds%n", production.size() / 1e9, rounds);
        try (AutoCloseable _ = holdfast.record(CLUSTER)) {
          bench.backups(rounds);
        }
        peer.stop();
        bench.recording(rounds, Double.parseDouble(arguments[3]));
      }
    }
  }

  private void backups(int rounds) throws Exception {
    Figures plain = new Figures("pg_basebackup, tar, client-zstd:1, s");
    Figures full = new Figures("full backup, s");
    Figures fullPeer = new Figures("full backup of pgBackRest, s");
    Figures fullSize = new Figures("full backup, MB stored");
    Figures fullSizePeer = new Figures("full backup of pgBackRest, MB stored");
    Figures incremental = new Figures("incremental backup, s");
    Figures incrementalPeer = new Figures("incremental backup of pgBackRest, s");
    Figures incrementalSize = new Figures("incremental backup, MB stored");
    Figures incrementalSizePeer = new Figures("incremental backup of pgBackRest, MB stored");
    Figures restore = new Figures("restore of both, s");
    Figures restorePeer = new Figures("restore of both by pgBackRest, s");
    Figures heap = new Figures("peak heap, MiB");
    for (int round = 0; round < rounds; round++) {
      boolean oursFirst = round % 2 == 0;
      Path copy = production.folder().resolve("pg_basebackup");
      plain.add(
          seconds(() ->
              production.program(
                  "pg_basebackup",
                  "--format=tar",
                  "--compress=client-zstd:1",
                  "--checkpoint=fast",
                  "--wal-method=none",
                  "--pgdata=" + copy,
                  "--dbname=" + production.url())));
      remove(copy);
      inTurns(
          oursFirst,
          () -> ours(full, fullSize, heap, "backup", CLUSTER, "--full", "--json"),
          () -> {
            fullPeer.add(seconds(() -> peer.backUp("full")));
            fullSizePeer.add(peer.newestBytes() / 1e6);
          });
      // One row of each hundredth page, at a place of its line pointers that no round has used.
      production.run(
          "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE"
              + " (ctid::text::point)[0]::bigint % 100 = "
              + round
              + " AND (ctid::text::point)[1] = 7",
          "CHECKPOINT");
      holdfast.awaitRecorded(CLUSTER, production.position());
      inTurns(
          oursFirst,
          () ->
              ours(
                  incremental, incrementalSize, heap, "backup", CLUSTER, "--incremental", "--json"),
          () -> {
            incrementalPeer.add(seconds(() -> peer.backUp("incr")));
            incrementalSizePeer.add(peer.newestBytes() / 1e6);
          });
      Path restored = production.folder().resolve("restored");
      inTurns(
          oursFirst,
          () -> {
            HoldfastCommand.Ran ran =
                holdfast.run("restore", CLUSTER, "--to", restored.toString(), "--threads", "2");
            restore.add(ran.seconds());
            heap.add(ran.heap().peak());
            remove(restored);
          },
          () -> {
            restorePeer.add(seconds(() -> peer.restore(restored)));
            remove(restored);
          });
    }
    List.of(plain, full, fullPeer, fullSize, fullSizePeer).forEach(Figures::print);
    Figures.ratio("full / pg_basebackup", full, plain).print();
    Figures.ratio("full / pgBackRest", full, fullPeer).print();
    Figures.ratio("stored, full / pgBackRest", fullSize, fullSizePeer).print();
    List.of(incremental, incrementalPeer, incrementalSize, incrementalSizePeer)
        .forEach(Figures::print);
    Figures.ratio("incremental / pgBackRest", incremental, incrementalPeer).print();
    Figures.ratio("stored, incremental / pgBackRest", incrementalSize, incrementalSizePeer).print();
    List.of(restore, restorePeer).forEach(Figures::print);
    Figures.ratio("restore / pgBackRest", restore, restorePeer).print();
    heap.print();
  }

  private void ours(Figures seconds, Figures stored, Figures heap, String... command)
      throws IOException {
    HoldfastCommand.Ran ran = holdfast.run(command);
    seconds.add(ran.seconds());
    stored.add(ran.json().get("storedBytes").asLong() / 1e6);
    heap.add(ran.heap().peak());
  }

  /** How fast a recorder catches up, and what it costs production to be recorded. */
  private void recording(int rounds, double gigabytes) throws Exception {
    Figures rate = new Figures("recorder catching up, MB/s of WAL");
    Figures with = new Figures("pgbench, recorded, transactions/s");
    Figures without = new Figures("pgbench, not recorded, transactions/s");
    for (int round = 0; round < rounds; round++) {
      Lsn from = production.position();
      production.run("DROP TABLE IF EXISTS much", "CREATE TABLE much (i bigint, t text)");
      while (production.position().minus(from) < gigabytes * (1L << 30)) {
        production.run(
            "INSERT INTO much SELECT i, repeat(md5(i::text) || md5((-i)::text), 4)"
                + " FROM generate_series(1, 500000) i");
      }
      long bytes = production.position().minus(from);
      Lsn to = production.position();
      long begun = System.nanoTime();
      try (AutoCloseable _ = holdfast.record(CLUSTER)) {
        holdfast.awaitRecorded(CLUSTER, to);
        rate.add(bytes / 1e6 / ((System.nanoTime() - begun) / 1e9));
        if (round % 2 == 0) {
          with.add(transactions());
        }
      }
      without.add(transactions());
      if (round % 2 == 1) {
        try (AutoCloseable _ = holdfast.record(CLUSTER)) {
          holdfast.awaitRecorded(CLUSTER, production.position());
          with.add(transactions());
        }
      }
    }
    rate.print();
    with.print();
    without.print();
    Figures.ratio("recorded / not", with, without).print();
  }

  /** pgbench as fast as it goes with commits that are waited for, for a while. */
  private double transactions() throws Exception {
    production.run("CHECKPOINT");
    List<String> command = new ArrayList<>();
    command.add(production.binaries().program("pgbench").toString());
    command.addAll(List.of("-n", "-c", "4", "-j", "1", "-M", "prepared"));
    command.addAll(List.of("-T", Integer.toString(PAIR_SECONDS), production.url()));
    ProcessResult result = Processes.run(command);
    Matcher found = TRANSACTIONS.matcher(result.output());
    if (result.exitCode() != 0 || !found.find()) {
      throw new IllegalStateException("pgbench: " + result.output());
    }
    return Double.parseDouble(found.group(1));
  }

  private interface Step {
    void run() throws Exception;
  }

  private static void inTurns(boolean inOrder, Step one, Step other) throws Exception {
    (inOrder ? one : other).run();
    (inOrder ? other : one).run();
  }

  private static double seconds(Step step) throws Exception {
    long begun = System.nanoTime();
    step.run();
    return (System.nanoTime() - begun) / 1e9;
  }

  private static void remove(Path folder) {
    Processes.run(List.of("rm", "-rf", folder.toString()));
  }

  /** Bytes of all files below a folder. */
  static long bytes(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).mapToLong(f -> f.toFile().length()).sum();
    }
  }
}
