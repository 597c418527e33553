package dev.holdfast.damage;

import dev.holdfast.damage.OpenTransaction.Rows;
import dev.holdfast.wal.BlockRef;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.Tid;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
  /** OIDs below this belong to PostgreSQL itself ("access/transam.h", FirstNormalObjectId). */
  private static final long FIRST_NORMAL_OID = 16_384;

  private static final long PG_CLASS = 1259;
  private static final long PG_DATABASE = 1262;

  private final LearntNames names;
  private final Consumer<TransactionDamage> onCommit;

  private final Map<Long, OpenTransaction> open = new HashMap<>();
  private final Set<Long> prepared = new HashSet<>();

  /** Files that got rows since the scan began: an estimate of no rows is no longer true of them. */
  private final Set<RelFile> filled = new HashSet<>();

  /** Last in-place change of each row of pg_database. */
  private final Map<Tid, Lsn> databaseMarked = new HashMap<>();

  // Neighbouring records mostly belong to the same transaction and file.
  private long lastXid;
  private @Nullable OpenTransaction lastTransaction;
  private @Nullable RelFile lastFile;
  private @Nullable Rows lastRows;
  private @Nullable RelFile lastAsked;
  private boolean lastIsPgClass;

  /**
   * @param names resolves files and OIDs
   * @param onCommit gets every transaction that changed rows, in order of commit records
   */
  public DamageScan(RelationNames names, Consumer<TransactionDamage> onCommit) {
    this.names = new LearntNames(names);
    this.onCommit = onCommit;
  }

  /** Takes the next record. */
  public void accept(WalRecord record) {
    switch (record) {
      case WalRecord.HeapInsert insert -> insert(insert);
      case WalRecord.HeapConfirm confirm -> rows(confirm, confirm.file()).inserted++;
      case WalRecord.HeapMultiInsert insert -> {
        rows(insert, insert.file()).inserted += insert.rows();
        filled.add(insert.file());
      }
      case WalRecord.HeapUpdate update -> {
        rows(update, update.file()).updated++;
        OpenTransaction transaction = transaction(update.xid(), update.lsn());
        if (definesRelations(transaction, update.file(), update.lsn())) {
          transaction.pgClassUpdated(update.oldTid(), update.newTid());
        }
      }
      case WalRecord.HeapDelete delete -> delete(delete);
      case WalRecord.HeapInplace inplace -> {
        if (isCatalog(inplace.file(), PG_DATABASE, inplace.lsn())) {
          databaseMarked.put(inplace.tid(), inplace.lsn());
        }
      }
      case WalRecord.FullPageImages images -> images(images);
      case WalRecord.StorageCreate create -> {
        if (create.xid() != 0 && create.fork() == BlockRef.MAIN) {
          transaction(create.xid(), create.lsn()).create(create.lsn(), create.file());
        }
      }
      case WalRecord.StorageTruncate truncate -> emptied(truncate);
      case WalRecord.StandbyLock locks -> {
        for (WalRecord.StandbyLock.Lock lock : locks.locks()) {
          transaction(lock.xid(), locks.lsn()).lock(locks.lsn(), lock.relation());
        }
      }
      case WalRecord.DatabaseDrop drop ->
          transaction(drop.xid(), drop.lsn()).droppedDatabase = drop.database();
      case WalRecord.Commit commit -> commit(commit);
      case WalRecord.Abort abort -> forget(abort.transaction(), abort.subtransactions());
      case WalRecord.Prepare prepare -> {
        prepared.add(prepare.transaction());
        prepared.addAll(prepare.subtransactions());
      }
      case WalRecord.RunningXacts running -> {
        // Every commit before the oldest running one is in the log already: what is left of
        // older ones are locks repeated for standbys after their transaction had ended.
        open.keySet()
            .removeIf(
                xid -> (int) (xid - running.oldestRunningXid()) < 0 && !prepared.contains(xid));
        forgetLast();
      }
      case WalRecord.Checkpoint checkpoint -> {
        if (checkpoint.shutdown()) {
          serverStopped();
        }
      }
      case WalRecord.EndOfRecovery _ -> serverStopped();
      case WalRecord.Assignment _,
          WalRecord.Invalidations _,
          WalRecord.MultiXactCreate _,
          WalRecord.MultiXactTruncate _,
          WalRecord.StatusPageZero _,
          WalRecord.StatusTruncate _,
          WalRecord.OriginAdvance _,
          WalRecord.OriginDrop _,
          WalRecord.HeapLock _,
          WalRecord.HeapPrune _,
          WalRecord.HeapVisible _,
          WalRecord.HeapNewCid _,
          WalRecord.HeapRewrite _,
          WalRecord.HeapTruncate _,
          WalRecord.RelationMap _,
          WalRecord.Sequence _,
          WalRecord.TablespaceCreate _,
          WalRecord.TablespaceDrop _,
          WalRecord.CheckpointRedo _,
          WalRecord.NextOid _,
          WalRecord.FullPageWritesChange _,
          WalRecord.Noop _,
          WalRecord.HintImage _,
          WalRecord.LogicalMessage _,
          WalRecord.Switch _,
          WalRecord.DatabaseCreate _,
          WalRecord.BackupEnd _,
          WalRecord.ParameterChange _,
          WalRecord.RestorePoint _,
          WalRecord.OverwrittenContinuation _,
          WalRecord.Other _ -> {}
    }
  }

  // ---- while transactions are open -------------------------------------------------------------

  private void insert(WalRecord.HeapInsert insert) {
    filled.add(insert.file());
    if (insert.speculative()) {
      return; // counted when confirmed
    }
    OpenTransaction transaction = transaction(insert.xid(), insert.lsn());
    if (transaction.movesPending > 0) {
      Relation target = names.byFile(insert.file(), insert.lsn());
      if (target == null || target.holdsRows()) { // not the row's long values, nor a catalog
        transaction.movesPending--;
        return;
      }
    }
    rows(insert, insert.file()).inserted++;
    if (definesRelations(transaction, insert.file(), insert.lsn())) {
      transaction.pgClassInserted(insert.tid());
    }
  }

  private void delete(WalRecord.HeapDelete delete) {
    if (delete.superDelete()) {
      return; // an insert that was never counted
    }
    OpenTransaction transaction = transaction(delete.xid(), delete.lsn());
    if (delete.partitionMove()) {
      transaction.movesPending++;
      rows(delete, delete.file()).updated++;
      return;
    }
    rows(delete, delete.file()).deleted++;
    if (isCatalog(delete.file(), PG_DATABASE, delete.lsn())) {
      transaction.databaseGone = databaseMarked.remove(delete.tid());
    } else if (definesRelations(transaction, delete.file(), delete.lsn())) {
      transaction.pgClassDeleted(delete.lsn(), delete.tid());
    }
  }

  private void images(WalRecord.FullPageImages images) {
    OpenTransaction transaction = open.get(images.xid());
    if (transaction == null) {
      return;
    }
    for (BlockRef block : images.blocks()) {
      if (block.fork() == BlockRef.MAIN) {
        transaction.rows(block.file()).images++;
      }
    }
  }

  /** VACUUM cuts tables too; only a file of the transaction's own is emptied by TRUNCATE. */
  private void emptied(WalRecord.StorageTruncate truncate) {
    if (truncate.xid() == 0 || truncate.blocksLeft() != 0) {
      return;
    }
    RelFile file = truncate.file();
    if (open.values().stream().noneMatch(transaction -> transaction.created(file))) {
      return;
    }
    for (OpenTransaction transaction : open.values()) {
      transaction.rows.remove(file);
    }
    forgetLast();
    transaction(truncate.xid(), truncate.lsn()).rows(file).emptied = true;
  }

  /** Whether this is pg_class, asked only of transactions that lock or create relations. */
  private boolean definesRelations(OpenTransaction transaction, RelFile file, Lsn at) {
    if (transaction.steps.isEmpty()) {
      return false;
    }
    if (!file.equals(lastAsked)) {
      lastAsked = file;
      lastIsPgClass = isCatalog(file, PG_CLASS, at);
    }
    return lastIsPgClass;
  }

  private boolean isCatalog(RelFile file, long oid, Lsn at) {
    if (file.number() < FIRST_NORMAL_OID) {
      return file.number() == oid;
    }
    Relation relation = names.byFile(file, at); // a catalog gets a new number when rewritten
    return relation != null && relation.oid() == oid && relation.kind() == Relation.Kind.CATALOG;
  }

  private OpenTransaction transaction(long xid, Lsn lsn) {
    OpenTransaction cached = lastTransaction;
    if (cached != null && lastXid == xid) {
      return cached;
    }
    OpenTransaction transaction = open.computeIfAbsent(xid, _ -> new OpenTransaction(lsn));
    forgetLast();
    lastXid = xid;
    lastTransaction = transaction;
    return transaction;
  }

  private Rows rows(WalRecord record, RelFile file) {
    OpenTransaction transaction = transaction(record.xid(), record.lsn());
    Rows cached = lastRows;
    if (cached != null && file.equals(lastFile)) {
      return cached;
    }
    Rows rows = transaction.rows(file);
    lastFile = file;
    lastRows = rows;
    return rows;
  }

  private void forgetLast() {
    lastTransaction = null;
    lastFile = null;
    lastRows = null;
    lastAsked = null;
  }

  private void forget(long xid, List<Long> subtransactions) {
    open.remove(xid);
    prepared.remove(xid);
    subtransactions.forEach(open::remove);
    subtransactions.forEach(prepared::remove);
    forgetLast();
  }

  /** After a crash the transactions it killed get no abort record. Prepared ones survive. */
  private void serverStopped() {
    open.keySet().retainAll(prepared);
    forgetLast();
  }

  // ---- at commit -------------------------------------------------------------------------------

  private void commit(WalRecord.Commit commit) {
    List<OpenTransaction> parts = new ArrayList<>();
    addIfOpen(commit.transaction(), parts);
    commit.subtransactions().forEach(xid -> addIfOpen(xid, parts));
    forget(commit.transaction(), commit.subtransactions());
    OpenTransaction transaction =
        parts.isEmpty() ? new OpenTransaction(commit.lsn()) : OpenTransaction.folded(parts);
    List<TableDamage> tables = new Settlement(names, filled, transaction, commit).tables();
    if (tables.isEmpty()) {
      return;
    }
    Lsn target = commit.lsn();
    if (transaction.droppedDatabase != 0) {
      target = transaction.databaseGone == null ? transaction.firstLsn : transaction.databaseGone;
    }
    onCommit.accept(
        new TransactionDamage(
            commit.transaction(),
            commit.subtransactions(),
            transaction.firstLsn,
            commit.lsn(),
            commit.end(),
            target,
            commit.time(),
            Severity.of(tables),
            null,
            null,
            null,
            commit.prepared(),
            tables));
  }

  private void addIfOpen(long xid, List<OpenTransaction> parts) {
    OpenTransaction transaction = open.get(xid);
    if (transaction != null) {
      parts.add(transaction);
    }
  }
}
