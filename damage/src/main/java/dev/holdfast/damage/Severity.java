package dev.holdfast.damage;

import java.util.List;

/**
 * How bad a transaction is, judged by its worst table. A share of a table is counted only against a
 * known number of rows, and only from {@value #SHARE_ROWS_MIN} rows on.
 */
public enum Severity {
  /** Ordinary work: inserts, a few rows changed. */
  LOW,
  /**
   * At least 100 rows deleted or 1,000 updated in one table, an empty table dropped, or a column of
   * one, or most keys of a JSON document lost.
   */
  MEDIUM,
  /**
   * At least 10,000 rows, or half of a table, deleted or updated; or a column dropped. At least
   * this is what weakens the guard.
   */
  HIGH,
  /**
   * A table with rows dropped or truncated; at least 100,000 rows, or nine tenths of a table,
   * deleted.
   */
  CRITICAL;

  private static final long SHARE_ROWS_MIN = 100;

  static Severity of(List<TableDamage> tables) {
    Severity worst = LOW;
    for (TableDamage table : tables) {
      Severity severity = of(table);
      worst = severity.compareTo(worst) > 0 ? severity : worst;
    }
    return worst;
  }

  /** The worse of both. */
  Severity atLeast(Severity other) {
    return compareTo(other) >= 0 ? this : other;
  }

  private static Severity of(TableDamage table) {
    if (table.action() != TableDamage.Action.CHANGED) {
      return table.rowsBefore() == 0 ? MEDIUM : CRITICAL;
    }
    long deleted = table.rowsDeleted();
    long hit = deleted + table.rowsUpdated();
    if (deleted >= 100_000 || isShare(deleted, 0.9, table)) {
      return CRITICAL;
    }
    boolean columns = !table.columnsDropped().isEmpty();
    if (hit >= 10_000 || isShare(hit, 0.5, table) || (columns && table.rowsBefore() != 0)) {
      return HIGH;
    }
    return columns
            || !table.jsonLosses().isEmpty()
            || deleted >= 100
            || table.rowsUpdated() >= 1_000
        ? MEDIUM
        : LOW;
  }

  private static boolean isShare(long rows, double share, TableDamage table) {
    return rows >= SHARE_ROWS_MIN && table.rowsBefore() > 0 && rows >= share * table.rowsBefore();
  }
}
