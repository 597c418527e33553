package dev.holdfast.postgres;

import dev.holdfast.row.Column;
import dev.holdfast.row.RowChangeSource;
import java.util.List;

/**
 * The planned changes of one table of production.
 *
 * @param oid the table that holds the rows: of a partitioned table, the partition
 * @param columns what the values of rows that exist stand for, in order: every column that can be
 *     written, or, where only whole rows tell each other apart, those that existed in the past
 * @param insertColumns how many of them, from the first, rows to insert have values for
 * @param key positions of the columns that tell rows apart; empty when only whole rows do
 * @param changes the changes
 */
public record TableChanges(
    long oid, List<Column> columns, int insertColumns, List<Integer> key, RowChangeSource changes) {
  public TableChanges {
    columns = List.copyOf(columns);
    key = List.copyOf(key);
  }
}
