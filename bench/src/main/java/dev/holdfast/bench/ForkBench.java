package dev.holdfast.bench;

import dev.holdfast.server.Processes;
import dev.holdfast.wal.Lsn;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/**
 * Forks of one table of 200,000 rows, whole against sparse, taking turns: over clusters of growing
 * size with the same WAL to replay, and with much WAL to replay. pgbench runs beside, at a steady
 * rate. Whole processes: from the start of {@code holdfast fork} until it says how to connect.
 *
 * <p>Both kinds are asked for the table's contents, which must be production's at that moment.
 */
public final class ForkBench {
  private static final int ROWS = 200_000;
  private static final double REPLAY_CLUSTER_GIGABYTES = 4;
  private static final List<String> PHASES = List.of("fetch", "start", "replay", "ready");

  private final Production production;
  private final String program;
  private final int rounds;
  private final int rate;
  private final Map<Double, Figures> sparseBySize = new LinkedHashMap<>();
  private int protections;

  private ForkBench(Production production, String program, int rounds, int rate) {
    this.production = production;
    this.program = program;
    this.rounds = rounds;
    this.rate = rate;
  }

  /**
   * Prints the figures.
   *
   * @param arguments rounds, path of {@code holdfast}, sizes of clusters in GB (ascending, between
   *     spaces), GiB of WAL at each size, GiB of WAL where it is much (0: left out), transactions
   *     of pgbench each second
   */
  public static void main(String[] arguments) throws Exception {
    int rounds = Integer.parseInt(arguments[0]);
    List<Double> sizes =
        Arrays.stream(arguments[2].strip().split(" +")).map(Double::parseDouble).toList();
    double wal = Double.parseDouble(arguments[3]);
    double replay = Double.parseDouble(arguments[4]);
    Production.printMachine();
    try (Production production = Production.start(Map.of())) {
      ForkBench bench =
          new ForkBench(production, arguments[1], rounds, Integer.parseInt(arguments[5]));
      bench.create();
      double replayAt =
          sizes.stream()
              .filter(size -> size >= REPLAY_CLUSTER_GIGABYTES)
              .findFirst()
              .orElse(sizes.getLast());
      for (double size : sizes) {
        production.fill(size);
        bench.sparseBySize.put(size, bench.measure(wal));
        if (size == replayAt && replay > 0) {
          bench.measure(replay);
        }
      }
      bench.printFlatness();
    }
  }

  private void create() throws Exception {
    production.program("pgbench", "-i", "-q", "-s", "20", production.url());
    production.run(
        "CREATE TABLE t (id int PRIMARY KEY, owner int NOT NULL, state text NOT NULL, note text)",
        "INSERT INTO t SELECT i, i % 20000, 'new', md5(i::text) || md5((-i)::text) FROM"
            + " generate_series(1, "
            + ROWS
            + ") i",
        "CREATE INDEX t_owner ON t (owner)",
        "CREATE INDEX t_note ON t (note)");
  }

  /**
   * Forks of what is there now and of so much WAL after it.
   *
   * @return seconds of the sparse ones
   */
  private Figures measure(double walGigabytes) throws Exception {
    String name = "bench" + ++protections;
    Path repository = production.folder().resolve("repository-" + name);
    HoldfastCommand holdfast = new HoldfastCommand(program, production, repository);
    holdfast.run("protect", name, production.url(), "--environment", "production");
    Figures whole = new Figures("whole fork, s");
    Figures sparse = new Figures("sparse fork, s");
    Figures wholeReplay = new Figures("whole fork, replay, s");
    Figures sparseReplay = new Figures("sparse fork, replay, s");
    Figures wholeProcessor = new Figures("whole fork, processor seconds");
    Figures sparseProcessor = new Figures("sparse fork, processor seconds");
    Figures heap = new Figures("sparse fork, peak heap, MiB");
    Figures live = new Figures("sparse fork, heap after collections, MiB");
    String phases = "";
    try (AutoCloseable _ = holdfast.record(name)) {
      production.run("UPDATE t SET state = 'paid' WHERE id % 10 = 0");
      production.writeWal(walGigabytes);
      production.run("DELETE FROM t WHERE id % 1000 = 7");
      String contents = production.ask(Production.contents("t"));
      Lsn target = production.position();
      try (Traffic traffic = Traffic.start(production, rate)) {
        // Some record must follow the target: traffic has written one when this is recorded.
        holdfast.awaitRecorded(name, target.plus(1 << 16));
        for (int round = 0; round < rounds; round++) {
          for (boolean all : round % 2 == 0 ? List.of(true, false) : List.of(false, true)) {
            double used = ChildProcesses.seconds();
            try (HoldfastCommand.Running fork = fork(holdfast, name, target, all)) {
              check(fork.json(), contents);
              (all ? whole : sparse).add(fork.seconds());
              (all ? wholeReplay : sparseReplay).add(fork.json().get("replaySeconds").asDouble());
              if (!all) {
                heap.add(fork.heap().peak());
                live.add(fork.heap().afterCollection());
              }
              phases = round == rounds - 1 ? phases + phases(fork, all) : phases;
            }
            (all ? wholeProcessor : sparseProcessor).add(ChildProcesses.seconds() - used);
          }
        }
        traffic.check();
        System.out.printf(
            Locale.ROOT,
            "cluster of %.2f GB, %.2f GiB of WAL to replay; %d rounds%n",
            production.size() / 1e9,
            walGigabytes,
            rounds);
      }
    } finally {
      production.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
      Processes.run(List.of("rm", "-rf", repository.toString()));
    }
    whole.print();
    sparse.print();
    Figures.ratio("sparse / whole", sparse, whole).print();
    wholeReplay.print();
    sparseReplay.print();
    Figures.ratio("sparse / whole, replay", sparseReplay, wholeReplay).print();
    wholeProcessor.print();
    sparseProcessor.print();
    Figures.ratio("sparse / whole, processor seconds", sparseProcessor, wholeProcessor).print();
    heap.print();
    live.print();
    System.out.print(phases);
    return sparse;
  }

  private static HoldfastCommand.Running fork(
      HoldfastCommand holdfast, String name, Lsn target, boolean all) throws Exception {
    return all
        ? holdfast.begin("fork", name, "--lsn", target.toString(), "--json")
        : holdfast.begin(
            "fork", name, "--lsn", target.toString(), "--tables", "public.t", "--json");
  }

  private static void check(JsonNode ready, String contents) throws Exception {
    java.net.URI url = java.net.URI.create(ready.get("url").asString());
    String[] user = url.getUserInfo().split(":", 2);
    try (Connection connection =
        DriverManager.getConnection(
            "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath(),
            user[0],
            user[1])) {
      String found = Production.ask(connection, Production.contents("public.t"));
      if (!found.equals(contents)) {
        throw new IllegalStateException("the fork holds " + found + ", not " + contents);
      }
    }
  }

  private static String phases(HoldfastCommand.Running fork, boolean all) {
    StringBuilder line = new StringBuilder(all ? "  whole, last round:" : "  sparse, last round:");
    for (String phase : PHASES) {
      JsonNode seconds = fork.json().get(phase + "Seconds");
      if (seconds != null) {
        line.append(" %s %.2f s".formatted(phase, seconds.asDouble()));
      }
    }
    return line.append(
            " of %.2f s; %.2f GiB of WAL%n"
                .formatted(
                    fork.seconds(), fork.json().get("walBytes").asLong() / (double) (1L << 30)))
        .toString();
  }

  private void printFlatness() {
    double smallest = sparseBySize.values().iterator().next().median();
    sparseBySize.forEach((size, sparse) ->
        System.out.printf(
            Locale.ROOT,
            "sparse fork of a cluster of %.1f GB: median %.3f s, %.2f of the smallest's%n",
            size,
            sparse.median(),
            sparse.median() / smallest));
  }
}
