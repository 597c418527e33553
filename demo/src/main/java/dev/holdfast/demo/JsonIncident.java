package dev.holdfast.demo;

import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Revert;
import dev.holdfast.operations.RevertPlan;
import dev.holdfast.operations.RevertResult;
import dev.holdfast.operations.Show;
import dev.holdfast.operations.TransactionDetail;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** B: an endpoint meant for the phone number replaced the whole JSON document, call by call. */
final class JsonIncident implements Incident {
  /** Told in the incident: no call hit more than one user. */
  private static final int CALLS_MIN = 5_000;

  private final Setting setting;
  private final Afternoon afternoon;

  /**
   * @param afternoon has not begun
   */
  JsonIncident(Setting setting, Afternoon afternoon) {
    this.setting = setting;
    this.afternoon = afternoon;
  }

  @Override
  public void run(List<DemoResult.Figure> figures) throws SQLException {
    say("");
    say("B. A new endpoint changes phone numbers. Each call replaces one user's JSON document:");
    say("   UPDATE users SET data = '{\"phone\": …}' WHERE id = …");
    afternoon.run();
    afternoon.goOn();
    say(
        "   %,d calls in %.1f s: %,d users lose address, country, postal; %,d good writes to the same table between them and after"
            .formatted(
                afternoon.calls(),
                afternoon.seconds(),
                Afternoon.USERS_HIT,
                afternoon.goodWrites()));
    see(figures);
    Afternoon.Comparison hurt = compared();
    repair(figures, hurt.people() - hurt.whole());
    figures.add(
        new DemoResult.Figure(
            "B: transactions that hurt a user",
            "one per call, over hours",
            "%,d, %,d users".formatted(afternoon.calls(), Afternoon.USERS_HIT),
            afternoon.calls() >= CALLS_MIN));
  }

  /** Shows what the first call did. */
  private void see(List<DemoResult.Figure> figures) {
    long begun = System.nanoTime();
    TransactionDetail detail =
        new Show(setting.repository(), Demo.CLUSTER).run(afternoon.firstCall(), 1, Progress.SILENT);
    say("$ holdfast show acme " + afternoon.firstCall());
    boolean keysNamed = false;
    for (TransactionDetail.TableSample table : detail.samples()) {
      say(
          "   %s.%s: %,d row updated, JSON keys lost: %s"
              .formatted(
                  table.schema(),
                  table.table(),
                  table.rows(),
                  String.join(", ", table.jsonKeysLost().keySet())));
      for (TransactionDetail.RowSample row : table.sample()) {
        say("   - " + data(row.before()));
        say("   + " + data(row.after()));
      }
      keysNamed |=
          table.jsonKeysLost().keySet().containsAll(List.of("address", "country", "postal"));
    }
    figures.add(
        new DemoResult.Figure(
            "B: keys that a call lost, named",
            "",
            "in %.1f s".formatted((System.nanoTime() - begun) / 1e9),
            keysNamed));
  }

  private void repair(List<DemoResult.Figure> figures, long hurt) {
    long begun = System.nanoTime();
    RevertResult result;
    try (Revert.Planned planned =
        new Revert(
                setting.repository(),
                Demo.CLUSTER,
                setting.production().url(),
                new Revert.Options(true, false, false))
            .plan(
                new Revert.Selection(
                    List.of(), afternoon.since(), afternoon.until(), List.of("public.users")),
                Progress.SILENT)) {
      RevertPlan plan = planned.plan();
      say(
          "$ holdfast revert acme --table public.users --since %s --until %s --restore-lost-keys"
              .formatted(afternoon.since(), afternoon.until()));
      say(
          "   a plan over %,d transactions, the good ones of that time among them: they lost no keys"
              .formatted(plan.transactions().size()));
      say("$ holdfast revert acme … --apply " + plan.digest());
      result = planned.apply(plan.digest(), Progress.SILENT);
    }
    double repaired = (System.nanoTime() - begun) / 1e9;
    say(
        "   %,d documents mended in %.1f s; new phone numbers and good writes kept"
            .formatted(result.rowsRestored(), repaired));
    figures.add(
        new DemoResult.Figure(
            "B: documents mended",
            "whole database rolled back",
            "%,d of %,d in %.1f s".formatted(result.rowsRestored(), hurt, repaired),
            result.rowsRestored() == hurt && hurt > 0));
  }

  private Afternoon.Comparison compared() throws SQLException {
    try (Connection connection = setting.production().connect()) {
      return afternoon.compare(connection);
    }
  }

  private void say(String line) {
    setting.say().accept(line);
  }

  private static String data(@Nullable Map<String, @Nullable String> row) {
    return row == null ? "(no row)" : "data = " + row.get("data");
  }
}
