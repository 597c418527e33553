package dev.holdfast.row;

import java.util.List;

/**
 * The columns of a table, and what tells its rows apart.
 *
 * @param name the table
 * @param columns every column that can be written, in order of number; generated ones are not there
 * @param key numbers of the columns whose values are unique and never null; empty when no such
 *     columns are declared
 * @param generated names of the columns computed from others
 */
public record TableShape(
    TableName name, List<Column> columns, List<Integer> key, List<String> generated) {
  public TableShape {
    columns = List.copyOf(columns);
    key = List.copyOf(key);
    generated = List.copyOf(generated);
    for (int number : key) {
      if (columns.stream().noneMatch(column -> column.number() == number)) {
        throw new IllegalArgumentException(name + " has no key column " + number);
      }
    }
  }
}
