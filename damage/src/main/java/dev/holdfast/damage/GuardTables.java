package dev.holdfast.damage;

import dev.holdfast.row.TableName;
import java.util.Set;

/**
 * The tables that the guard keeps in a guarded database, see its guard.sql. It writes to them in
 * others' transactions: that is nothing that they did, and nothing to be undone.
 */
final class GuardTables {
  private static final String SCHEMA = "holdfast";

  private static final Set<String> TABLES =
      Set.of(
          "identity",
          "identity_check",
          "rule",
          "exception",
          "free_schema",
          "guarded",
          "observation",
          "permit",
          "permit_use",
          "working");

  /** What says whether and whom the guard refuses. */
  private static final Set<String> RULING = Set.of("identity", "rule", "exception");

  private GuardTables() {}

  static boolean contain(TableName table) {
    return table.schema().equals(SCHEMA) && TABLES.contains(table.table());
  }

  /**
   * Whether the guard's doing hangs on the table's rows, so that nobody is to write there by hand.
   */
  static boolean rule(TableName table) {
    return table.schema().equals(SCHEMA) && RULING.contains(table.table());
  }

  /**
   * Rows mean the same only all together: an exception more is a weaker guard, a rule more is none.
   */
  static boolean weakensByInserts(TableName table) {
    return table.equals(new TableName(SCHEMA, "exception"));
  }

  /** Written to while the guard changes its own triggers; by its owner, nobody else may. */
  static boolean isWorking(TableName table) {
    return table.equals(new TableName(SCHEMA, "working"));
  }
}
