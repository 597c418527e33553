package dev.holdfast.postgres.definition;

import dev.holdfast.row.TableName;
import java.util.List;
import java.util.stream.Collectors;

/**
 * The rows of one table, to be brought from the fork to production.
 *
 * @param table the same name on both sides
 * @param columns names not quoted, in the order of the rows; generated columns are left out
 * @param estimatedRows the planner's estimate in the fork; -1 when it never counted
 * @param bytes size in the fork with TOAST, without indexes
 */
public record TableCopy(TableName table, List<String> columns, long estimatedRows, long bytes) {
  public TableCopy {
    columns = List.copyOf(columns);
  }

  String out() {
    // Without columns COPY has no column list to give, and a table may have none.
    return "COPY " + table.quoted() + columnList() + " TO STDOUT";
  }

  String in() {
    return "COPY " + table.quoted() + columnList() + " FROM STDIN";
  }

  private String columnList() {
    return columns.isEmpty()
        ? ""
        : columns.stream().map(TableName::quote).collect(Collectors.joining(", ", " (", ")"));
  }
}
