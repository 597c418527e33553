package dev.holdfast.demo;

import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Revert;
import dev.holdfast.operations.RevertPlan;
import dev.holdfast.operations.RevertResult;
import dev.holdfast.operations.Show;
import dev.holdfast.operations.TransactionDetail;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** B: an UPDATE meant for the phone number replaced the whole JSON document. */
final class JsonIncident implements Incident {
  /** Users whose document was replaced: ids from 1. */
  static final int HIT = 50_000;

  /** Users among them who changed their phone number again afterwards. */
  static final int CHANGED_AGAIN = 300;

  private final Setting setting;

  JsonIncident(Setting setting) {
    this.setting = setting;
  }

  @Override
  public void run(List<DemoResult.Figure> figures) throws SQLException {
    setting
        .say()
        .accept(
            "\nB. A new endpoint changes phone numbers. It replaces the whole JSON document:\n"
                + "   UPDATE users SET data = '{\"phone\": …}'   -- 50,000 users lose address,"
                + " country, postal");
    String xid;
    long committed;
    try (Connection connection = setting.production().connect()) {
      xid =
          Incident.transaction(
              connection,
              "UPDATE users SET data = jsonb_build_object('phone', '+1 555 ' || id) WHERE id <= "
                  + HIT);
      committed = System.nanoTime();
      try (Statement statement = connection.createStatement()) {
        for (int user = 1; user <= CHANGED_AGAIN; user++) {
          statement.executeUpdate(
              "UPDATE users SET data = jsonb_set(data, '{phone}', to_jsonb('+1 777 ' || id)) WHERE"
                  + " id = "
                  + user);
        }
      }
    }
    Demo.Alarms.Alarm alarm = setting.alarms().await(xid);
    double seen = Math.max(0, (alarm.nanos() - committed) / 1e9);
    TransactionDetail detail =
        new Show(setting.repository(), Demo.CLUSTER).run(xid, 1, Progress.SILENT);
    setting.say().accept("$ holdfast show acme " + xid);
    for (TransactionDetail.TableSample table : detail.samples()) {
      setting
          .say()
          .accept(
              "   %s.%s: %,d rows updated, JSON keys lost: %s"
                  .formatted(
                      table.schema(),
                      table.table(),
                      table.rows(),
                      String.join(", ", table.jsonKeysLost().keySet())));
      for (TransactionDetail.RowSample row : table.sample()) {
        setting.say().accept("   - " + data(row.before()));
        setting.say().accept("   + " + data(row.after()));
      }
    }
    boolean keysNamed =
        detail.samples().stream()
            .anyMatch(table ->
                table.jsonKeysLost().keySet().containsAll(List.of("address", "country", "postal")));
    long begun = System.nanoTime();
    RevertResult result;
    try (Revert.Planned planned =
        new Revert(
                setting.repository(),
                Demo.CLUSTER,
                setting.production().url(),
                new Revert.Options(true, false, false))
            .plan(Revert.Selection.of(xid), Progress.SILENT)) {
      RevertPlan plan = planned.plan();
      setting
          .say()
          .accept(
              "$ holdfast revert acme %s --restore-lost-keys --apply %s"
                  .formatted(xid, plan.digest()));
      result = planned.apply(plan.digest(), Progress.SILENT);
    }
    double repaired = (System.nanoTime() - begun) / 1e9;
    setting
        .say()
        .accept(
            "   %,d documents mended in %.1f s; new phone numbers kept"
                .formatted(result.rowsRestored(), repaired));
    figures.add(
        new DemoResult.Figure(
            "B: time to see which rows and keys",
            "",
            "%.2f s".formatted(seen),
            keysNamed && seen < 10));
    figures.add(
        new DemoResult.Figure(
            "B: time to repair " + "%,d".formatted(HIT) + " documents",
            "whole database rolled back",
            "%.1f s".formatted(repaired),
            result.rowsRestored() == HIT));
  }

  private static String data(@Nullable Map<String, @Nullable String> row) {
    return row == null ? "(no row)" : "data = " + row.get("data");
  }
}
