package dev.holdfast.bench;

import dev.holdfast.postgres.BaseBackup;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Base backup MB/s against pg_basebackup of PostgreSQL 15, on a pgbench cluster of at least 2 GB.
 * The two take turns, so that what else the machine does hits both; ratios are of neighbours.
 *
 * <p>Ours compresses and checksums what it stores, pg_basebackup stores plain files; bytes per
 * second are of the data directory in both.
 */
public final class BaseBackupBench {
  private static final int SCALE = 140; // pgbench makes about 15 MB of each
  private static final int ROUNDS = 5;
  private static final int CONNECTIONS = 2;
  private static final Duration STARTING_MAX = Duration.ofSeconds(60);

  private BaseBackupBench() {}

  /**
   * Prints one line for each round, then minimum, median and maximum.
   *
   * @param arguments pgbench scale and rounds, both optional
   */
  public static void main(String[] arguments) throws Exception {
    int scale = arguments.length > 0 ? Integer.parseInt(arguments[0]) : SCALE;
    int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : ROUNDS;
    PostgresBinaries binaries =
        PostgresBinaries.installed(15)
            .orElseThrow(() -> new IllegalStateException("install postgresql-15 first"));
    Path folder = Files.createTempDirectory("holdfast-bench");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    Path data = folder.resolve("data");
    PostgresServer.initialise(binaries, data, List.of());
    try (PostgresServer server =
        PostgresServer.start(
            binaries,
            data,
            Map.of("fsync", "off", "shared_buffers", "256MB", "max_wal_size", "4GB"),
            List.of(folder))) {
      PostgresUrl url = PostgresUrl.parse(server.url("postgres"));
      ServerFacts facts = awaitFacts(url, server);
      run(binaries, "pgbench", "-i", "-q", "-s", Integer.toString(scale), server.url("postgres"));
      run(binaries, "psql", "-X", "-q", "-c", "CHECKPOINT", server.url("postgres"));
      ClusterStore cluster =
          Repository.create(folder.resolve("repository").toString())
              .register(
                  new ClusterDocument(
                      "bench",
                      "postgresql",
                      facts.systemIdentifier(),
                      facts.major(),
                      "development",
                      facts.walSegmentSize(),
                      url.withoutPassword(),
                      null,
                      Instant.now(),
                      Map.of()));
      double[] ratios = new double[rounds];
      double[] ours = new double[rounds];
      double[] theirs = new double[rounds];
      for (int round = 0; round < rounds; round++) {
        Path copy = folder.resolve("pg_basebackup");
        long start = System.nanoTime();
        run(
            binaries,
            "pg_basebackup",
            "--checkpoint=fast",
            "--wal-method=none",
            "--no-sync",
            "--pgdata=" + copy,
            "--dbname=" + server.url("postgres"));
        double theirSeconds = (System.nanoTime() - start) / 1e9;
        long bytes = bytes(copy);
        theirs[round] = bytes / 1e6 / theirSeconds;
        delete(copy);

        start = System.nanoTime();
        // The WAL of a quiet server is no part of what is measured, in neither.
        long stored = BaseBackup.take(url, cluster, CONNECTIONS, (_, _) -> {}, _ -> {}).bytes();
        ours[round] = stored / 1e6 / ((System.nanoTime() - start) / 1e9);
        delete(folder.resolve("repository").resolve("clusters/bench/bases"));
        ratios[round] = ours[round] / theirs[round];
        System.out.printf(
            Locale.ROOT,
            "round %d: %.2f GB; holdfast %.0f MB/s, pg_basebackup %.0f MB/s, ratio %.2f%n",
            round + 1,
            stored / 1e9,
            ours[round],
            theirs[round],
            ratios[round]);
      }
      print("holdfast MB/s", ours);
      print("pg_basebackup MB/s", theirs);
      print("ratio", ratios);
    }
  }

  private static void print(String name, double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    System.out.printf(
        Locale.ROOT,
        "%s: min %.2f, median %.2f, max %.2f%n",
        name,
        sorted[0],
        sorted[sorted.length / 2],
        sorted[sorted.length - 1]);
  }

  private static ServerFacts awaitFacts(PostgresUrl url, PostgresServer server)
      throws InterruptedException {
    long deadline = System.nanoTime() + STARTING_MAX.toNanos();
    while (true) {
      try {
        return ServerFacts.read(url);
      } catch (RuntimeException e) {
        if (!server.isAlive() || System.nanoTime() > deadline) {
          throw e;
        }
        Thread.sleep(50); // a starting server: there is nothing to wait on
      }
    }
  }

  private static void run(PostgresBinaries binaries, String program, String... arguments) {
    List<String> command = new ArrayList<>(List.of(binaries.program(program).toString()));
    command.addAll(List.of(arguments));
    ProcessResult result = Processes.run(command);
    if (result.exitCode() != 0) {
      throw new IllegalStateException(program + ": " + result.output());
    }
  }

  private static long bytes(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).mapToLong(f -> f.toFile().length()).sum();
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
