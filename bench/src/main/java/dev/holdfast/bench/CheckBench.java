package dev.holdfast.bench;

import dev.holdfast.operations.Check;
import dev.holdfast.operations.Expectation;
import java.nio.file.Path;
import java.util.Map;

/**
 * {@code check} of a database with many tables on a server of this machine, recorded in a
 * repository: whole processes, and in this process without the start of a virtual machine.
 */
public final class CheckBench {
  private static final String CLUSTER = "bench";
  private static final double BOUND_SECONDS = 1.0;

  private CheckBench() {}

  /**
   * Prints the figures.
   *
   * @param arguments rounds, path of {@code holdfast}, tables
   */
  public static void main(String[] arguments) throws Exception {
    int rounds = Integer.parseInt(arguments[0]);
    int tables = Integer.parseInt(arguments[2]);
    Production.printMachine();
    try (Production production = Production.start(Map.of("max_locks_per_transaction", "512"))) {
      for (int table = 0; table < tables; table++) {
        production.run(
            ("CREATE TABLE t%1$d (id bigserial PRIMARY KEY, owner int, email text NOT NULL, doc jsonb, at timestamptz"
                    + " DEFAULT now());"
                    + " CREATE INDEX t%1$d_owner ON t%1$d (owner); INSERT INTO t%1$d (owner, email) VALUES (1, 'x')")
                .formatted(table));
      }
      production.run("VACUUM ANALYZE");
      Path repository = production.folder().resolve("repository");
      HoldfastCommand holdfast = new HoldfastCommand(arguments[1], production, repository);
      holdfast.run("protect", CLUSTER, production.url(), "--environment", "production");
      Figures whole = new Figures("check, whole process, s");
      Figures inside = new Figures("check, in a process that runs, s");
      try (AutoCloseable _ = holdfast.record(CLUSTER)) {
        holdfast.awaitRecorded(CLUSTER, production.position());
        String expected = CLUSTER + "/production";
        Expectation expectation = Expectation.to(expected);
        inProcess(repository, production.url(), expectation); // loads classes
        for (int round = 0; round < rounds; round++) {
          whole.add(holdfast.run("check", production.url(), "--expect", expected).seconds());
          inside.add(inProcess(repository, production.url(), expectation));
        }
      }
      System.out.printf("  %,d tables, a recorder at work%n", tables);
      whole.print();
      inside.print();
      System.out.printf(
          "  bound: %.1f s; %s%n",
          BOUND_SECONDS, whole.median() < BOUND_SECONDS ? "reached" : "not reached");
    }
  }

  private static double inProcess(Path repository, String url, Expectation expectation) {
    long begun = System.nanoTime();
    var result = new Check(repository.toString(), null).of(url, null, expectation);
    double seconds = (System.nanoTime() - begun) / 1e9;
    if (!result.expected()) {
      throw new IllegalStateException(result.toString());
    }
    return seconds;
  }
}
