package dev.holdfast.bench;

import java.util.Locale;

/** An UPDATE that forgot its WHERE. */
final class MillionRows implements RevertBench.Scenario {
  private final RevertBench bench;
  private final Production production;
  private final int rows;

  MillionRows(RevertBench bench, int rows) {
    this.bench = bench;
    this.production = bench.production();
    this.rows = rows;
  }

  @Override
  public String word() {
    return "update";
  }

  @Override
  public String title() {
    return String.format(Locale.ROOT, "an UPDATE of %,d rows", rows);
  }

  @Override
  public void create() throws Exception {
    production.run(
        "CREATE TABLE ledger (id bigint PRIMARY KEY, account int NOT NULL, balance numeric(12, 2)"
            + " NOT NULL, note text)",
        "INSERT INTO ledger SELECT i, i % 5000, i / 100.0, md5(i::text) FROM generate_series(1, "
            + rows
            + ") i",
        "CREATE INDEX ledger_by_account ON ledger (account)",
        "ANALYZE ledger");
  }

  @Override
  public void run(int rounds, double wal, int rate) throws Exception {
    RevertBench.Reverts reverts = new RevertBench.Reverts();
    Figures planAndApply = new Figures("rows/s, revert --apply, start to exit");
    Figures twice = new Figures("rows/s, both runs");
    for (int round = 0; round < rounds; round++) {
      production.run("VACUUM ledger");
      bench.backUp(wal);
      try (Traffic traffic = Traffic.start(production, rate)) {
        String contents = production.ask(Production.contents("ledger"));
        String xid = production.transaction("UPDATE ledger SET balance = 0, note = 'oops'");
        bench.revert(reverts, xid);
        bench.require("rows of ledger", contents, production.ask(Production.contents("ledger")));
        traffic.check();
      }
      planAndApply.add(rows / reverts.apply.last());
      twice.add(rows / (reverts.plan.last() + reverts.apply.last()));
    }
    reverts.print();
    planAndApply.print();
    twice.print();
  }
}
