package dev.holdfast.operations;

import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The exact changes that undo a set of transactions. Nothing has been changed yet.
 *
 * @param transactions those it undoes, in order of commit
 * @param undoes the same in words: {@code transaction 812}
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
    List<Transaction> transactions,
    String undoes,
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
   * One of the transactions.
   *
   * @param tables what it did to each, in words: {@code public.users: 1 updated}
   */
  public record Transaction(String xid, Instant committedAt, List<String> tables) {
    static Transaction of(TransactionDamage damage) {
      return new Transaction(
          Long.toString(damage.xid()),
          damage.committedAt(),
          damage.tables().stream().map(Transaction::told).toList());
    }

    private static String told(TableDamage table) {
      StringBuilder text = new StringBuilder(table.table().toString()).append(": ");
      if (table.action() != TableDamage.Action.CHANGED) {
        text.append(table.action().name().toLowerCase(Locale.ROOT)).append(", ");
      }
      part(text, table.rowsInserted(), " inserted, ");
      part(text, table.rowsUpdated(), " updated, ");
      part(text, table.rowsDeleted(), " deleted, ");
      return text.substring(0, text.length() - 2);
    }

    private static void part(StringBuilder text, long rows, String what) {
      if (rows > 0) {
        text.append(rows).append(what);
      }
    }
  }

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
