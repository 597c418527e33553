package dev.holdfast.bench;

import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * Accidents undone with {@code holdfast revert}, in a cluster of some gigabytes with pgbench
 * running beside at a steady rate: a dropped table, against pgBackRest; an UPDATE of a million
 * rows; thousands of small transactions that lost JSON keys. Whole processes, from start to exit;
 * what should be there afterwards is compared with what is.
 *
 * <p>The plan's digest must be had before it can be applied, so {@code revert} is run twice and
 * makes the plan twice; both runs count.
 */
public final class RevertBench {
  static final String CLUSTER = "bench";

  private final Production production;
  private final HoldfastCommand holdfast;

  RevertBench(Production production, HoldfastCommand holdfast) {
    this.production = production;
    this.holdfast = holdfast;
  }

  /**
   * Prints the figures.
   *
   * @param arguments rounds, path of {@code holdfast}, GB of the cluster, GiB of WAL between base
   *     backup and accident, transactions of pgbench each second, divisor of all numbers of rows (1
   *     but to try it out), then which of drop, update, keys
   */
  public static void main(String[] arguments) throws Exception {
    int rounds = Integer.parseInt(arguments[0]);
    double gigabytes = Double.parseDouble(arguments[2]);
    double wal = Double.parseDouble(arguments[3]);
    int rate = Integer.parseInt(arguments[4]);
    int divisor = Integer.parseInt(arguments[5]);
    Set<String> wanted = Set.copyOf(List.of(arguments).subList(6, arguments.length));
    Production.printMachine();
    try (Production production =
        Production.start(Map.of("archive_mode", "on", "wal_level", "replica"))) {
      production.run("ALTER SYSTEM SET archive_command = '/bin/true'", "SELECT pg_reload_conf()");
      HoldfastCommand holdfast =
          new HoldfastCommand(arguments[1], production, production.folder().resolve("repository"));
      RevertBench bench = new RevertBench(production, holdfast);
      production.program("pgbench", "-i", "-q", "-s", "20", production.url());
      DroppedTable drop = new DroppedTable(bench, 200_000 / divisor);
      MillionRows update = new MillionRows(bench, 1_000_000 / divisor);
      LostKeys keys = new LostKeys(bench, 10_000 / divisor);
      for (Scenario scenario : List.of(drop, update, keys)) {
        if (wanted.contains(scenario.word())) {
          scenario.create();
        }
      }
      production.fill(gigabytes);
      holdfast.run("protect", CLUSTER, production.url(), "--environment", "production");
      try (AutoCloseable _ = holdfast.record(CLUSTER)) {
        for (Scenario scenario : List.of(drop, update, keys)) {
          if (wanted.contains(scenario.word())) {
            System.out.printf(
                Locale.ROOT,
                "%s; cluster of %.2f GB, pgbench at %d transactions/s beside; %d rounds%n",
                scenario.title(),
                production.size() / 1e9,
                rate,
                rounds);
            scenario.run(rounds, wal, rate);
          }
        }
      }
    }
  }

  /** One kind of accident, again and again. */
  interface Scenario {
    String word();

    String title();

    /** Makes its tables. */
    void create() throws Exception;

    /**
     * @param wal GiB of WAL between base backup and accident
     * @param rate transactions each second beside
     */
    void run(int rounds, double wal, int rate) throws Exception;
  }

  Production production() {
    return production;
  }

  HoldfastCommand holdfast() {
    return holdfast;
  }

  /** Figures of {@code revert}, planned and applied by two processes. */
  static final class Reverts {
    final Figures plan = new Figures("revert NAME …, process, s");
    final Figures apply = new Figures("revert NAME … --apply DIGEST, process, s");
    final Figures committed = new Figures("of that, until it says what was undone, s");
    final Figures processor =
        new Figures("processor seconds of --apply and its forks, production's not");
    final Figures heap = new Figures("peak heap, MiB");
    final Figures live = new Figures("heap after collections, MiB");
    private List<String> phases = List.of();

    Figures both() {
      return Figures.sum("both, s", plan, apply);
    }

    void print() {
      plan.print();
      apply.print();
      committed.print();
      both().print();
      processor.print();
      heap.print();
      live.print();
      System.out.println("  what the last --apply told, and when:");
      phases.forEach(line -> System.out.println("    " + line));
    }
  }

  /**
   * Plans, applies.
   *
   * @param what the transactions
   */
  void revert(Reverts figures, String... what) throws IOException {
    HoldfastCommand.Ran planned = holdfast.run(command(what, "--json"));
    String digest = planned.json().get("digest").asString();
    HoldfastCommand.Ran applied = holdfast.run(command(what, "--apply", digest));
    figures.plan.add(planned.seconds());
    figures.apply.add(applied.seconds());
    figures.committed.add(applied.answeredSeconds());
    figures.processor.add(applied.processorSeconds());
    figures.heap.add(Math.max(planned.heap().peak(), applied.heap().peak()));
    figures.live.add(Math.max(planned.heap().afterCollection(), applied.heap().afterCollection()));
    figures.phases = applied.told();
  }

  private static String[] command(String[] what, String... more) {
    java.util.ArrayList<String> command = new java.util.ArrayList<>(List.of("revert", CLUSTER));
    command.addAll(List.of(what));
    command.addAll(List.of(more));
    return command.toArray(String[]::new);
  }

  /** A new base backup, and so much WAL after it. */
  void backUp(double wal) throws Exception {
    holdfast.run("backup", CLUSTER, "--full");
    production.writeWal(wal);
    holdfast.awaitRecorded(CLUSTER, production.position());
  }

  void require(String what, String wanted, String found) {
    if (!wanted.equals(found)) {
      throw new IllegalStateException(what + ": " + found + " instead of " + wanted);
    }
  }
}
