package dev.holdfast.operations;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** One thing that {@link Diff} found: a line of its JSON. */
public sealed interface DiffEntry {
  /**
   * An object that one side lacks, or a property of one that differs.
   *
   * @param type {@code schema}
   * @param change {@code onlyInA}, {@code onlyInB} or {@code different}
   * @param property null where one side lacks the object
   * @param a what side A has; null where it has nothing
   * @param b what side B has; null where it has nothing
   */
  record OfSchema(
      String type,
      String kind,
      String name,
      @Nullable String table,
      String change,
      @Nullable String property,
      @Nullable String a,
      @Nullable String b)
      implements DiffEntry {}

  /**
   * A row. Of a table only the first few are told.
   *
   * @param type {@code row}
   * @param change as of {@link OfSchema}
   * @param key the primary key's columns; empty where there is none
   * @param columns those that differ; all, of a row that one side lacks
   * @param copiesA how many such rows side A has: above 1 only without a primary key
   */
  record OfRow(
      String type,
      String schema,
      String table,
      String change,
      Map<String, @Nullable String> key,
      List<Values> columns,
      long copiesA,
      long copiesB)
      implements DiffEntry {}

  /** What a column holds, as text; null is SQL's NULL, or that the side lacks the row. */
  record Values(String column, @Nullable String a, @Nullable String b) {}

  /**
   * A table whose rows differ, after the rows that were told of it.
   *
   * @param type {@code table}
   * @param finished false where it was stopped: the three counts are then lower bounds
   */
  record OfTable(
      String type,
      String schema,
      String table,
      long rowsA,
      long rowsB,
      long rowsOnlyInA,
      long rowsOnlyInB,
      long rowsDifferent,
      boolean finished)
      implements DiffEntry {}

  /**
   * How far it came when a side failed: the last line then, with the failure on standard error.
   *
   * @param type {@code stopped}
   * @param kindsCompared of definitions, how many kinds
   * @param tablesCompared whose rows were compared to the end
   * @param tables to be compared; 0 where it did not come to rows
   * @param rowsA of the tables compared
   * @param rowsB of the tables compared
   * @param bytesRead of tables, both sides together, of the unfinished one too
   */
  record OfEnd(
      String type,
      int kindsCompared,
      int tablesCompared,
      int tables,
      long rowsA,
      long rowsB,
      long bytesRead,
      long schemaDifferences,
      long rowDifferences)
      implements DiffEntry {}
}
