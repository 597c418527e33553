package dev.holdfast.bench;

import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.damage.Severity;
import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.row.TableName;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/**
 * {@code holdfast log --destructive} over a week of log: a segment of 16 MiB each minute, of which
 * the repository holds the summaries, one in fifty with something destructive. Whole processes,
 * from start to exit.
 */
public final class LogBench {
  private static final int SEGMENTS = 7 * 24 * 60;
  private static final int DESTRUCTIVE_EVERY = 50;

  private LogBench() {}

  /**
   * Prints minimum, median and maximum.
   *
   * @param arguments rounds, then the command that runs Holdfast
   */
  public static void main(String[] arguments) throws Exception {
    int rounds = Integer.parseInt(arguments[0]);
    List<String> command = new ArrayList<>(List.of(arguments).subList(1, arguments.length));
    Path folder = Files.createTempDirectory("holdfast-bench");
    try {
      Path repository = folder.resolve("repository");
      int destructive = fill(repository.toString());
      command.addAll(
          List.of("--repository", repository.toString(), "log", "acme", "--destructive", "--json"));
      double[] seconds = new double[rounds];
      for (int round = -1; round < rounds; round++) {
        long start = System.nanoTime();
        ProcessResult result = Processes.run(command);
        double took = (System.nanoTime() - start) / 1e9;
        long lines = result.output().lines().filter(line -> line.startsWith("{")).count();
        if (result.exitCode() != 0 || lines != destructive) {
          throw new IllegalStateException(
              "%d of %d lines, exit %d: %s"
                  .formatted(lines, destructive, result.exitCode(), result.output()));
        }
        if (round >= 0) {
          seconds[round] = took;
        }
      }
      Arrays.sort(seconds);
      System.out.printf(
          Locale.ROOT,
          "%,d summaries, %,d destructive transactions: min %.2f s, median %.2f s, max %.2f s%n",
          SEGMENTS,
          destructive,
          seconds[0],
          seconds[rounds / 2],
          seconds[rounds - 1]);
    } finally {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  private static int fill(String repository) throws IOException {
    ClusterStore cluster =
        Repository.create(repository)
            .register(
                new ClusterDocument(
                    "acme",
                    "postgresql",
                    "7000000000000000000",
                    15,
                    "development",
                    SegmentName.DEFAULT_SIZE,
                    "postgresql://localhost/bench",
                    null,
                    Instant.now(),
                    Map.of()));
    Random random = new Random(1);
    Instant begin = Instant.now().minus(Duration.ofDays(7));
    SegmentName name = new SegmentName(1, 1, SegmentName.DEFAULT_SIZE);
    int destructive = 0;
    for (int index = 0; index < SEGMENTS; index++) {
      Instant at = begin.plus(Duration.ofMinutes(index));
      List<TransactionDamage> damage = List.of();
      if (index % DESTRUCTIVE_EVERY == 0) {
        damage = List.of(transaction(name, 1000 + index, at));
        destructive++;
      }
      List<SegmentSummary.RelationCounts> relations = new ArrayList<>();
      for (int file = 0; file < 12; file++) {
        relations.add(
            new SegmentSummary.RelationCounts(
                new RelFile(1663, 5, 16384 + file),
                random.nextInt(20_000),
                random.nextInt(20_000),
                random.nextInt(100)));
      }
      SegmentSummary summary =
          new SegmentSummary(
              name.start(),
              name.end(),
              name.end(),
              20_000,
              name.start().plus(400),
              name.end().plus(-400),
              at,
              at.plusSeconds(59),
              0,
              false,
              relations,
              damage,
              false,
              List.of());
      byte[] blocks = new byte[4000];
      random.nextBytes(blocks);
      cluster.summaries().put(name.toString(), summary.encode(), blocks);
      name = name.next();
    }
    return destructive;
  }

  private static TransactionDamage transaction(SegmentName segment, long xid, Instant at) {
    Lsn lsn = segment.start().plus(1000);
    List<TableDamage> tables =
        List.of(
            new TableDamage(
                "shop",
                new TableName("public", "orders"),
                16384,
                TableDamage.Action.CHANGED,
                0,
                0,
                500,
                1000,
                List.of(),
                List.of()));
    return new TransactionDamage(
        xid,
        List.of(),
        lsn,
        lsn.plus(800),
        lsn.plus(850),
        lsn.plus(800),
        at,
        Severity.HIGH,
        null,
        null,
        null,
        null,
        0,
        null,
        List.of(),
        List.of(),
        false,
        tables);
  }
}
