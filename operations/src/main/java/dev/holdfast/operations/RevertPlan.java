package dev.holdfast.operations;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * The exact changes that undo one transaction. Nothing has been changed yet.
 *
 * @param digest names these changes; applying asks for it
 * @param counts rows by verdict: {@code restored}, {@code partlyRestored}, {@code alreadyUndone},
 *     {@code unchanged}, {@code touchedSince}, {@code goneSince}, {@code keyUsedAgain}; recreated
 *     tables' rows count as restored
 * @param objects what is created again: tables, views, constraints, …
 * @param tables what happens to each table's rows
 * @param conflicts rows and objects that are left as they are, with the reason
 * @param unrecoverable what cannot be brought back; not empty: {@code --partial} is needed
 * @param warnings what else to know before applying
 * @param statements the SQL that applying runs, data left out
 * @param rowsToRestore rows applying will write; estimated for recreated tables
 */
public record RevertPlan(
    String xid,
    Instant committedAt,
    String database,
    String digest,
    Map<String, Long> counts,
    List<String> objects,
    List<TablePlan> tables,
    List<String> conflicts,
    List<String> unrecoverable,
    List<String> warnings,
    List<String> statements,
    long rowsToRestore,
    double durationSeconds) {
  /**
   * Rows of one table.
   *
   * @param counts rows by verdict
   * @param restored rows that are written
   * @param alreadySo rows that are as they should be
   * @param touchedSince rows kept because they were written again since
   * @param inConflict rows a person must decide about
   * @param samples some of the rows that are written
   */
  public record TablePlan(
      String schema,
      String table,
      String action,
      Map<String, Long> counts,
      long restored,
      long alreadySo,
      long touchedSince,
      long inConflict,
      List<String> samples) {}
}
