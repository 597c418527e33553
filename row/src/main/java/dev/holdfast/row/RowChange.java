package dev.holdfast.row;

/**
 * One planned change to a table's rows, holding what the row must be when the change is made.
 *
 * <p>Rows that exist are given in full. A row to insert may end early: columns it has no values for
 * take their defaults.
 */
public sealed interface RowChange {
  /** A row that is not there is put in. */
  record Insert(Row wanted) implements RowChange {}

  /** A row that is there as {@code now} becomes {@code wanted}; both have the same size. */
  record Update(Row now, Row wanted) implements RowChange {
    public Update {
      if (now.size() != wanted.size()) {
        throw new IllegalArgumentException(now.size() + " values cannot become " + wanted.size());
      }
    }
  }

  /** A row that is there as {@code now} is taken out. */
  record Delete(Row now) implements RowChange {}
}
