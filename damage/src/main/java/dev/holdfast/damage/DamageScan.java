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
 * rolled-back savepoints, catalogs, TOAST rows, locks, or what a rewrite moved. A transaction
 * prepared for two-phase commit counts when COMMIT PREPARED comes. A row moved to another partition
 * is one update.
 *
 * <p>Known limits. A transaction that began before the first record is reported by what was seen of
 * it. On PostgreSQL 14 a dropped partitioned table is reported by its partitions only, since its
 * own OID is in no record. Rows an extension's resource manager writes are not seen.
 *
 * <p>Memory grows with the files each open transaction touches, not with rows. Not thread-safe.
 */
public final class DamageScan {
  private final TransactionScan scan;
  private final Settlements settlements;
  private final Consumer<TransactionDamage> onCommit;

  /**
   * @param names resolves files and OIDs
   * @param onCommit gets every transaction that changed rows, in order of commit records
   */
  public DamageScan(RelationNames names, Consumer<TransactionDamage> onCommit) {
    FileNumbers files = new FileNumbers();
    LearntNames learnt = new LearntNames(names);
    this.onCommit = onCommit;
    this.scan = new TransactionScan(learnt, files, this::committed);
    this.settlements = new Settlements(learnt, files, scan);
  }

  /** Takes the next record. */
  public void accept(RawRecord record) {
    scan.accept(record);
  }

  private void committed(
      @Nullable OpenTransaction transaction, RawRecord record, WalRecord.@Nullable Commit commit) {
    TransactionDamage damage = settlements.of(transaction, record, commit);
    if (damage != null) {
      onCommit.accept(damage);
    }
  }
}
