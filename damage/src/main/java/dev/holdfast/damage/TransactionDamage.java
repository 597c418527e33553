package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one committed transaction did.
 *
 * @param xid its top-level transaction id
 * @param subtransactions those that committed with it
 * @param firstLsn where its first record seen starts
 * @param commitLsn where its commit record starts
 * @param commitEnd just past its commit record: from here on its changes are visible
 * @param targetLsn where to stop a recovery to have everything but this transaction; the commit
 *     record's start, except for DROP DATABASE, which acts before its commit
 * @param committedAt when the server decided to commit; not monotone in LSN order
 * @param severity how bad it is
 * @param user who; null when the log does not say
 * @param application with what; null when the log does not say
 * @param address from where; null when the log does not say
 * @param statement the first statement that the guard told of; null when the log does not say
 * @param moreStatements how many more it told of, the same one again in a row counted once
 * @param permit number of the guard's permit that was used; null when none was, or nobody said
 * @param notes what else somebody who looks for damage has to know; sentences without a full stop
 * @param guardSettings what was changed in the guard through Holdfast, as it told; no damage
 * @param prepared whether it was committed by COMMIT PREPARED
 * @param tables what it did to each table, empty only where there are notes or settings
 */
public record TransactionDamage(
    long xid,
    List<Long> subtransactions,
    Lsn firstLsn,
    Lsn commitLsn,
    Lsn commitEnd,
    Lsn targetLsn,
    Instant committedAt,
    Severity severity,
    @Nullable String user,
    @Nullable String application,
    @Nullable String address,
    @Nullable String statement,
    long moreStatements,
    @Nullable Long permit,
    List<String> notes,
    List<String> guardSettings,
    boolean prepared,
    List<TableDamage> tables) {
  /** Updates of fewer rows in a table than this are everyday work. */
  static final long UPDATES_MIN = 100;

  /**
   * Whether something was lost: a table dropped or truncated, a column dropped, any row deleted,
   * {@value #UPDATES_MIN} rows or more of one table overwritten, or most keys of a JSON document;
   * and what has notes. Inserts and smaller updates are not.
   */
  public boolean isDestructive() {
    return !notes.isEmpty()
        || tables.stream()
            .anyMatch(table ->
                table.action() != TableDamage.Action.CHANGED
                    || table.rowsDeleted() > 0
                    || !table.columnsDropped().isEmpty()
                    || !table.jsonLosses().isEmpty()
                    || table.rowsUpdated() >= UPDATES_MIN);
  }
}
