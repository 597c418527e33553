package dev.holdfast.revert;

import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowKey;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How a table's columns at the time of the transaction are its columns now. They are matched by
 * number, so a column renamed since is the same column.
 *
 * <p>Rows of the past are read as {@link #then}, rows of the present as {@link #now}: the shared
 * columns in the same order, followed in the present, where a key tells rows apart, by those added
 * since.
 *
 * @param table the table's name now
 * @param then the columns to read in the past
 * @param now the columns to read in the present; its first {@code then.size()} match those of the
 *     past
 * @param key positions of the key's columns in both; empty when rows are matched as wholes
 * @param warnings what the operator should know, one sentence each
 */
public record ColumnMatch(
    TableName table,
    List<Column> then,
    List<Column> now,
    List<Integer> key,
    List<String> warnings) {
  public ColumnMatch {
    then = List.copyOf(then);
    now = List.copyOf(now);
    key = List.copyOf(key);
    warnings = List.copyOf(warnings);
  }

  /** Matches a table of the past with the same table of the present. */
  public static ColumnMatch of(TableShape past, TableShape present) {
    Map<Integer, Column> pastByNumber = new HashMap<>();
    past.columns().forEach(column -> pastByNumber.put(column.number(), column));
    List<Column> then = new ArrayList<>();
    List<Column> now = new ArrayList<>();
    List<Column> added = new ArrayList<>();
    List<String> warnings = new ArrayList<>();
    for (Column column : present.columns()) {
      Column was = pastByNumber.remove(column.number());
      if (was == null) {
        added.add(column);
        continue;
      }
      then.add(was);
      now.add(column);
      if (!was.type().equals(column.type())) {
        warnings.add(
            "column %s was of type %s and is of type %s now: rows whose values are written differently now count as touched since"
                .formatted(column.name(), was.type(), column.type()));
      }
    }
    for (Column dropped : pastByNumber.values()) {
      warnings.add(
          "column %s was dropped or became generated since: its values are left out"
              .formatted(dropped.name()));
    }
    if (!added.isEmpty()) {
      warnings.add(
          "added since, values of the present are kept and rows put back take the default: "
              + String.join(", ", added.stream().map(Column::name).toList()));
    }
    if (!present.generated().isEmpty()) {
      warnings.add("computed again from the others: " + String.join(", ", present.generated()));
    }
    List<Integer> key = new ArrayList<>();
    for (int number : present.key()) {
      for (int position = 0; position < now.size(); position++) {
        if (now.get(position).number() == number) {
          key.add(position);
        }
      }
    }
    if (key.size() < present.key().size()) {
      key.clear(); // the key has a column that did not exist then
    }
    if (key.isEmpty()) {
      warnings.add(
          "no key tells the rows apart: they are matched as wholes, equal rows by their number");
    }
    if (!key.isEmpty()) {
      now.addAll(added); // a whole row of the past can only be compared with as much of the present
    }
    return new ColumnMatch(present.name(), then, now, key, warnings);
  }

  /** The key of a row of the past or of the present. */
  public RowKey keyOf(Row row) {
    return row.key(key);
  }

  /** Whether rows are matched as wholes, because no key tells them apart. */
  public boolean wholeRows() {
    return key.isEmpty();
  }
}
