package dev.holdfast.demo;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.function.Consumer;

/** One accident: it happens, is seen, and is undone. */
interface Incident {
  /**
   * Where it happens.
   *
   * @param repository what Holdfast recorded
   * @param folder for whatever is thrown away afterwards
   */
  record Setting(
      String repository,
      Demo.Production production,
      Path folder,
      Traffic traffic,
      Demo.Alarms alarms,
      Consumer<String> say) {}

  /** Makes it happen and undoes it, adding what was measured. */
  void run(List<DemoResult.Figure> figures) throws SQLException;

  /** Runs one transaction and returns its number. */
  static String transaction(Connection connection, String... statements) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      for (String sql : statements) {
        statement.execute(sql);
      }
      String xid;
      // Asked last: asking assigns one, which an accident does not do before its first write.
      try (ResultSet rows = statement.executeQuery("SELECT pg_current_xact_id()")) {
        rows.next();
        xid = rows.getString(1);
      }
      connection.commit();
      return xid;
    } finally {
      connection.setAutoCommit(true);
    }
  }
}
