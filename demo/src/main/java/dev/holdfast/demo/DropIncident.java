package dev.holdfast.demo;

import dev.holdfast.operations.LogEntry;
import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Revert;
import dev.holdfast.operations.RevertPlan;
import dev.holdfast.operations.RevertResult;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;

/** D: a migration meant for a laptop dropped every table in production. */
final class DropIncident implements Incident {
  private static final long BACK_MAX_NANOS = 30_000_000_000L;

  private final Setting setting;
  private final Books books;

  DropIncident(Setting setting, Books books) {
    this.setting = setting;
    this.books = books;
  }

  @Override
  public void run(List<DemoResult.Figure> figures) throws SQLException {
    setting
        .say()
        .accept(
            "\nD. A migration meant for a laptop runs against production:\n   DROP SCHEMA public CASCADE");
    books.writeDown();
    String xid;
    long committed;
    try (Connection connection = setting.production().connect()) {
      xid = Incident.transaction(connection, "DROP SCHEMA public CASCADE");
      committed = System.nanoTime();
    }
    Demo.Alarms.Alarm alarm = setting.alarms().await(xid);
    double seen = Math.max(0, (alarm.nanos() - committed) / 1e9);
    Set<String> named =
        alarm.entry().tables().stream()
            .filter(table -> table.action().equals("dropped"))
            .map(LogEntry.Table::table)
            .collect(Collectors.toSet());
    long dropped = Company.tables().stream().filter(named::contains).count();
    long rows =
        alarm.entry().tables().stream()
            .map(LogEntry.Table::rowsBefore)
            .mapToLong(estimate -> estimate == null ? 0 : estimate)
            .sum();
    setting
        .say()
        .accept(
            "   alarm after %.2f s: transaction %s dropped %d tables that held about %,d rows"
                .formatted(seen, xid, dropped, rows));
    long begun = System.nanoTime();
    RevertResult result;
    try (Revert.Planned planned =
        new Revert(
                setting.repository(),
                Demo.CLUSTER,
                setting.production().url(),
                new Revert.Options(false, false, false))
            .plan(Revert.Selection.of(xid), Progress.SILENT)) {
      RevertPlan plan = planned.plan();
      setting.say().accept("$ holdfast revert acme %s --apply %s".formatted(xid, plan.digest()));
      result = planned.apply(plan.digest(), Progress.SILENT);
    }
    double recovered = (System.nanoTime() - begun) / 1e9;
    long deadline = System.nanoTime() + BACK_MAX_NANOS;
    while (setting.traffic().backAgain.get() == 0 && System.nanoTime() < deadline) {
      LockSupport.parkNanos(1_000_000L);
    }
    double outage =
        setting.traffic().backAgain.get() == 0
            ? Double.POSITIVE_INFINITY
            : (setting.traffic().backAgain.get() - setting.traffic().firstFailure.get()) / 1e9;
    setting
        .say()
        .accept(
            "   %,d rows and %,d objects are back in %.1f s; the application works again"
                .formatted(result.rowsRestored(), result.objectsRecreated(), recovered));
    books.recovered(result.rowsRestored());
    figures.add(
        new DemoResult.Figure(
            "D: time to see what happened",
            "",
            "%.2f s, %d tables named".formatted(seen, dropped),
            dropped == Company.TABLES && seen < 5));
    figures.add(
        new DemoResult.Figure(
            "D: outage, as the application met it",
            "12 h 04 min",
            "%.1f s".formatted(outage),
            outage < 60));
  }
}
