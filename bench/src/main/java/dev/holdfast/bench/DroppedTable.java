package dev.holdfast.bench;

import dev.holdfast.wal.Lsn;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * A table with two indexes and a foreign key is dropped, and brought back by {@code holdfast
 * revert} and by pgBackRest in turns, while others write to other tables and time each write.
 */
final class DroppedTable implements RevertBench.Scenario {
  private static final int CUSTOMERS = 20_000;
  private static final long QUIET_MILLIS = 3_000;

  private final RevertBench bench;
  private final Production production;
  private final int rows;

  DroppedTable(RevertBench bench, int rows) {
    this.bench = bench;
    this.production = bench.production();
    this.rows = rows;
  }

  @Override
  public String word() {
    return "drop";
  }

  @Override
  public String title() {
    return String.format(
        Locale.ROOT, "a dropped table of %,d rows, two indexes and a foreign key", rows);
  }

  @Override
  public void create() throws Exception {
    production.run(
        "CREATE TABLE elsewhere (at timestamptz NOT NULL, note text)",
        "CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL)",
        "INSERT INTO customers (name) SELECT 'customer ' || i FROM generate_series(1, "
            + CUSTOMERS
            + ") i",
        "CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES"
            + " customers, placed_at timestamptz NOT NULL, state text NOT NULL, note text)",
        "INSERT INTO orders SELECT i, 1 + i % "
            + CUSTOMERS
            + ", '2026-01-01'::timestamptz + i * interval '1 minute', 'sent', md5(i::text) ||"
            + " md5((-i)::text) FROM generate_series(1, "
            + rows
            + ") i",
        "CREATE INDEX orders_by_customer ON orders (customer_id)",
        "CREATE INDEX orders_by_time ON orders (placed_at, state)",
        "ANALYZE orders");
  }

  @Override
  public void run(int rounds, double wal, int rate) throws Exception {
    Figures theirs = new Figures("pgBackRest, restore to loaded, s");
    Figures processor = new Figures("processor seconds of that, production's not");
    Waits quiet = new Waits("before");
    Waits ours = new Waits("during revert");
    Waits during = new Waits("during pgBackRest's way");
    RevertBench.Reverts reverts = new RevertBench.Reverts();
    Map<String, Double> phases = Map.of();
    PgBackRest peer = PgBackRest.archiving(production);
    for (int round = 0; round < rounds; round++) {
      peer.backUp();
      bench.backUp(wal);
      try (Traffic traffic = Traffic.start(production, rate);
          Writes elsewhere =
              new Writes(production, "INSERT INTO elsewhere VALUES (clock_timestamp(), 'ping')");
          Writes referenced =
              new Writes(production, "INSERT INTO customers (name) VALUES ('new')")) {
        Thread.sleep(QUIET_MILLIS); // what a write takes while nothing is repaired
        quiet.add(elsewhere, referenced);
        for (boolean mine : round % 2 == 0 ? List.of(true, false) : List.of(false, true)) {
          String contents = production.ask(Production.contents("orders"));
          String objects = production.ask(objects());
          Lsn before = production.position();
          String xid = production.transaction("DROP TABLE orders");
          quiet.forget(elsewhere, referenced);
          if (mine) {
            bench.revert(reverts, xid);
            ours.add(elsewhere, referenced);
          } else {
            double used = ChildProcesses.seconds();
            phases = peer.bringBack("public.orders", before);
            theirs.add(phases.values().stream().mapToDouble(Double::doubleValue).sum());
            processor.add(ChildProcesses.seconds() - used);
            during.add(elsewhere, referenced);
          }
          bench.require("rows of orders", contents, production.ask(Production.contents("orders")));
          bench.require("indexes and constraints", objects, production.ask(objects()));
        }
        traffic.check();
      }
    }
    peer.stop();
    reverts.print();
    theirs.print();
    processor.print();
    System.out.println("  pgBackRest, last round, s by phase: " + phases);
    Figures.ratio("revert --apply / pgBackRest", reverts.apply, theirs).print();
    Figures.ratio("processor seconds of --apply / pgBackRest's", reverts.processor, processor)
        .print();
    Figures.ratio("both runs of revert / pgBackRest", reverts.both(), theirs).print();
    quiet.print();
    ours.print();
    during.print();
  }

  private static String objects() {
    return "SELECT string_agg(definition, '; ' ORDER BY definition) FROM (SELECT indexdef AS"
        + " definition FROM pg_indexes WHERE tablename = 'orders' UNION ALL SELECT"
        + " pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass) o";
  }

  /** The longest waits of those who write elsewhere. */
  private static final class Waits {
    private final Figures elsewhere;
    private final Figures referenced;

    private Waits(String when) {
      elsewhere = new Figures("longest write elsewhere " + when + ", ms");
      referenced = new Figures("longest write to the referenced table " + when + ", ms");
    }

    void add(Writes other, Writes key) {
      elsewhere.add(other.longestMillis());
      referenced.add(key.longestMillis());
    }

    void forget(Writes other, Writes key) {
      other.forget();
      key.forget();
    }

    void print() {
      elsewhere.print();
      referenced.print();
    }
  }
}
