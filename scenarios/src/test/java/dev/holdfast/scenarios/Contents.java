package dev.holdfast.scenarios;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What is in every table of a database but the guard's own, and what holds them together.
 *
 * @param databaseIsThere false when it has been dropped
 * @param tables by name
 * @param constraints of all tables, as SQL
 */
record Contents(boolean databaseIsThere, Map<String, Table> tables, List<String> constraints) {
  /** That of a database that is not there. */
  static final Contents NONE = new Contents(false, Map.of(), List.of());

  /** What {@link #lossesTo} says when it has been dropped. */
  static final String WHOLE_DATABASE = "the database";

  /**
   * @param rows how many
   * @param rowsSum a checksum of all rows, whatever their order
   * @param columnSums of each column's values, by its name
   */
  record Table(long rows, String rowsSum, Map<String, String> columnSums) {}

  /** Reads it, as a superuser. */
  static Contents of(Connection connection) throws SQLException {
    Map<String, List<String>> columns = new TreeMap<>();
    for (List<String> row :
        rows(
            connection,
            """
            SELECT format('%I.%I', n.nspname, c.relname), a.attname
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
              AND n.nspname !~ '^(pg_|holdfast|information_schema$)'
            ORDER BY 1, a.attnum
            """)) {
      columns.computeIfAbsent(row.get(0), _ -> new ArrayList<>()).add(row.get(1));
    }
    Map<String, Table> tables = new TreeMap<>();
    for (Map.Entry<String, List<String>> table : columns.entrySet()) {
      tables.put(table.getKey(), read(connection, table.getKey(), table.getValue()));
    }
    List<String> constraints =
        rows(
                connection,
                """
                SELECT conrelid::regclass || ' ' || pg_get_constraintdef(c.oid)
                FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace
                WHERE conrelid <> 0 AND n.nspname !~ '^(pg_|holdfast|information_schema$)'
                ORDER BY 1
                """)
            .stream()
            .map(List::getFirst)
            .toList();
    return new Contents(true, tables, constraints);
  }

  /** The columns' texts of each row. */
  static List<List<String>> rows(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      List<List<String>> found = new ArrayList<>();
      while (rows.next()) {
        List<String> row = new ArrayList<>();
        for (int column = 1; column <= rows.getMetaData().getColumnCount(); column++) {
          row.add(String.valueOf(rows.getString(column)));
        }
        found.add(row);
      }
      return found;
    }
  }

  private static Table read(Connection connection, String table, List<String> columns)
      throws SQLException {
    StringBuilder sql = new StringBuilder("SELECT count(*), ").append(sum("t"));
    columns.forEach(column -> sql.append(", ").append(sum("t.\"" + column + "\"")));
    List<String> sums =
        rows(connection, sql.append(" FROM ").append(table).append(" t").toString()).getFirst();
    Map<String, String> columnSums = new TreeMap<>();
    for (int i = 0; i < columns.size(); i++) {
      columnSums.put(columns.get(i), sums.get(i + 2));
    }
    return new Table(Long.parseLong(sums.get(0)), sums.get(1), columnSums);
  }

  private static String sum(String value) {
    return "md5(string_agg(coalesce(%s::text, 'none'), ',' ORDER BY %s::text COLLATE \"C\"))"
        .formatted(value, value);
  }

  /** Rows of this table; -1 when there is none. */
  long rows(String table) {
    Table found = tables.get(table);
    return found == null ? -1 : found.rows();
  }

  /** What of this is not in there any more, in words. */
  List<String> lossesTo(Contents after) {
    if (!after.databaseIsThere) {
      return List.of(WHOLE_DATABASE);
    }
    List<String> losses = new ArrayList<>();
    tables.forEach((name, before) -> {
      Table now = after.tables.get(name);
      if (now == null) {
        losses.add("table " + name);
      } else {
        losses.addAll(losses(name, before, now));
      }
    });
    return losses;
  }

  private static List<String> losses(String name, Table before, Table now) {
    List<String> losses = new ArrayList<>();
    before.columnSums.keySet().stream()
        .filter(column -> !now.columnSums.containsKey(column))
        .forEach(column -> losses.add("column " + name + "." + column));
    if (now.rows < before.rows) {
      losses.add(before.rows - now.rows + " rows of " + name);
    } else {
      before.columnSums.forEach((column, sum) -> {
        if (!now.columnSums.getOrDefault(column, sum).equals(sum)) {
          losses.add("values of " + name + "." + column);
        }
      });
    }
    return losses;
  }
}
