package dev.holdfast.demo;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.GuardAccess;
import dev.holdfast.operations.GuardInstall;
import dev.holdfast.operations.GuardRules;
import dev.holdfast.operations.Progress;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.stream.Stream;

/**
 * B and D on a guarded database, where neither happens. The guard is taken out again afterwards:
 * the accidents that follow are those of a company that has none.
 */
final class Refusals implements Incident {
  /** The guard's refusals. */
  private static final String REFUSED = "HF001";

  private final Setting setting;

  Refusals(Setting setting) {
    this.setting = setting;
  }

  @Override
  public void run(List<DemoResult.Figure> figures) throws SQLException {
    setting.say().accept("\nFirst with the guard in front, inside the database:");
    GuardAccess access =
        GuardAccess.of(
            setting.production().url(),
            null,
            () -> {
              throw new IllegalStateException("a URL asks no repository");
            });
    GuardInstall guard = new GuardInstall(access);
    GuardInstall.Result installed = guard.install(Demo.CLUSTER, "production", Progress.SILENT);
    setting
        .say()
        .accept(
            "$ holdfast guard install acme     (%d tables covered)".formatted(installed.tables()));
    new GuardRules(access).setMode(List.of("json-keys-lost"), "enforce");
    setting.say().accept("$ holdfast guard mode acme enforce json-keys-lost");
    try (Connection connection = setting.production().connect()) {
      String lost =
          refusal(connection, "UPDATE users SET data = '{\"phone\": \"+1 555 1\"}' WHERE id = 1");
      boolean named = Stream.of("address", "country", "postal").allMatch(lost::contains);
      figures.add(
          new DemoResult.Figure(
              "B: with the guard",
              "every user's fields lost",
              named ? "refused, 3 lost keys named" : "refused, keys not named",
              named
                  && count(
                          connection,
                          "SELECT count(*) FROM users WHERE id = 1 AND data ? 'address'")
                      == 1));
      String dropped = refusal(connection, "DROP SCHEMA public CASCADE");
      long left = count(connection, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
      figures.add(
          new DemoResult.Figure(
              "D: with the guard",
              "every table dropped",
              "refused, %d tables there".formatted(left),
              dropped.contains("acme/production") && left == Company.TABLES));
    }
    guard.uninstall(true, Progress.SILENT);
    setting.say().accept("   Nothing happened. The guard is taken out, so that it can happen.");
  }

  private String refusal(Connection connection, String sql) {
    setting.say().accept("   " + sql);
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    } catch (SQLException e) {
      String message = String.valueOf(e.getMessage());
      if (REFUSED.equals(e.getSQLState())) {
        setting.say().accept("   " + message.lines().findFirst().orElse(""));
        return message;
      }
      throw new OperatorException(
          Kind.FAILED, "the demo could not go on", message, "report this", e);
    }
    return "";
  }

  private static long count(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getLong(1);
    }
  }
}
