package dev.holdfast.operations;

import dev.holdfast.postgres.RowReader;
import dev.holdfast.row.Column;
import dev.holdfast.row.TableShape;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A table of the log as production has it now.
 *
 * @param oid the log's, or that of a table of the same name which was made since
 * @param madeAgain whether it is such a table
 */
record TableNow(long oid, TableShape shape, boolean madeAgain) {
  /** Past the numbers any column can have (MaxAttrNumber, access/attnum.h: 32767). */
  private static final int GONE = 100_000;

  /** Empty when there is none. */
  static Optional<TableNow> find(RowReader now, TransactionSet.Table table) {
    Optional<TableShape> same = now.shape(table.oid());
    if (same.isPresent()) {
      return same.map(shape -> new TableNow(table.oid(), shape, false));
    }
    return now.oid(table.name())
        .flatMap(oid -> now.shape(oid).map(shape -> new TableNow(oid, shape, true)));
  }

  /**
   * A table of the past with the column numbers of this one. When this one was made since, columns
   * are the same when their names are; those gone since get numbers that no column has.
   */
  TableShape numbered(TableShape past) {
    if (!madeAgain) {
      return past;
    }
    Map<String, Integer> byName = new HashMap<>();
    shape.columns().forEach(column -> byName.put(column.name(), column.number()));
    Map<Integer, Integer> renumbered = new HashMap<>();
    List<Column> columns = new ArrayList<>();
    for (Column column : past.columns()) {
      int number = byName.getOrDefault(column.name(), GONE + column.number());
      renumbered.put(column.number(), number);
      columns.add(new Column(number, column.name(), column.type(), column.content()));
    }
    columns.sort(Comparator.comparingInt(Column::number));
    return new TableShape(
        past.name(), columns, past.key().stream().map(renumbered::get).toList(), past.generated());
  }
}
