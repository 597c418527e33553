package dev.holdfast.damage;

import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.WalRecord;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Turns records into damage: hand it every record in order, it reports each transaction that
 * changed rows, at its commit.
 *
 * <p>Counted are rows of tables and materialised views that a committed transaction changed: not
 * rolled-back savepoints, catalogs, TOAST rows, locks, temporary tables, or what a rewrite moved. A
 * transaction prepared for two-phase commit counts when COMMIT PREPARED comes. A row moved to
 * another partition is one update; one that a trigger kept from arriving is deleted. Of a table
 * made in the transaction only the rows it was left with count.
 *
 * <p>What became of tables is read out of pg_class, as {@link CatalogTrace} follows it: that knows
 * all rows only from a snapshot with their places on that was taken after the first record (see
 * {@link RecordedCatalog}). Before that, and with other names, what became of a table made earlier
 * is inferred from the order of locks and files, which can be wrong where one transaction does such
 * things to several tables; on PostgreSQL 14 a dropped partitioned table is then reported by its
 * partitions only.
 *
 * <p>Known limits. A transaction that began before the first record is reported by what was seen of
 * it. Rows an extension's resource manager writes are not seen.
 *
 * <p>Memory grows with the files each open transaction touches, not with rows. Not thread-safe.
 */
public final class DamageScan {
  private final TransactionScan scan;
  private final Settlements settlements;
  private final Consumer<TransactionDamage> onCommit;
  private final RelationNames learnt;

  /**
   * @param names resolves files and OIDs
   * @param onCommit gets every transaction that changed rows, in order of commit records
   */
  public DamageScan(RelationNames names, Consumer<TransactionDamage> onCommit) {
    FileNumbers files = new FileNumbers();
    LearntNames learnt = new LearntNames(names);
    this.onCommit = onCommit;
    this.learnt = learnt;
    this.scan = new TransactionScan(learnt, files, this::committed);
    this.settlements = new Settlements(learnt, files, scan);
  }

  /** Takes the next record. */
  public void accept(RawRecord record) {
    scan.accept(record);
  }

  /** The names it was given, and what the records handed over so far told since. */
  public RelationNames names() {
    return learnt;
  }

  private void committed(
      @Nullable OpenTransaction transaction, RawRecord record, WalRecord.@Nullable Commit commit) {
    TransactionDamage damage = settlements.of(transaction, record, commit);
    if (damage != null) {
      onCommit.accept(damage);
    }
  }
}
