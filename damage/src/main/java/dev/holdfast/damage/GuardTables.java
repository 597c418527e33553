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
          "rule",
          "exception",
          "free_schema",
          "guarded",
          "observation",
          "permit",
          "permit_use",
          "working");

  private GuardTables() {}

  static boolean contain(TableName table) {
    return table.schema().equals(SCHEMA) && TABLES.contains(table.table());
  }
}
