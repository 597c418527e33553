package dev.holdfast.postgres;

import dev.holdfast.row.TableName;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/**
 * Every value of every table, materialised view, sequence and catalog, large objects among them, is
 * read, decompressed and written as text, to nowhere. No index is used and no code of users runs.
 */
final class FullRead {
  /** TOAST is read through the tables it belongs to. */
  private static final String TABLES =
      "SELECT c.oid, n.nspname, c.relname, pg_catalog.pg_table_size(c.oid)"
          + " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
          + " WHERE c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't'"
          + " AND (c.relkind <> 'm' OR c.relispopulated)"
          + " ORDER BY 4 DESC, 1";

  private FullRead() {}

  static List<DrillChecks.Task> tasks(
      Connection connection, String database, CheckFindings findings) throws SQLException {
    List<DrillChecks.Task> tasks = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(TABLES)) {
      while (rows.next()) {
        String schema = rows.getString(2);
        String table = rows.getString(3);
        tasks.add(
            new RelationWork(
                rows.getLong(1),
                RelationWork.name(database, schema, table),
                rows.getLong(4),
                false,
                (each, _, found) -> read(each, schema, table, found)));
      }
    }
    return tasks;
  }

  private static void read(
      Connection connection, String schema, String table, CheckFindings findings)
      throws SQLException {
    try (Statement statement = connection.createStatement()) {
      findings.looked(
          statement.executeLargeUpdate(
              "COPY (SELECT * FROM ONLY %s) TO '/dev/null'"
                  .formatted(new TableName(schema, table).quoted())));
    }
  }
}
