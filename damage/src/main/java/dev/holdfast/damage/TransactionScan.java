package dev.holdfast.damage;

import dev.holdfast.damage.OpenTransaction.Rows;
import dev.holdfast.wal.BlockRef;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Keeps track of what each open transaction did and hands it over when it commits. Ordinary
 * transactions, which change rows and commit, cost no objects here.
 */
final class TransactionScan {
  /** OIDs below this belong to PostgreSQL itself ("access/transam.h", FirstNormalObjectId). */
  static final long FIRST_NORMAL_OID = 16_384;

  private static final long PG_CLASS = 1259;
  private static final long PG_DATABASE = 1262;

  /** XLOG_FPI ("catalog/pg_control.h"). */
  private static final int FULL_PAGE_IMAGES = 0xB0;

  private static final int POOL_MAX = 1024;

  /** Who is told of commits. */
  interface Commits {
    /**
     * A transaction committed.
     *
     * @param transaction what it did, its subtransactions folded in; null for nothing that counts.
     *     Valid until this returns
     * @param record the commit record
     * @param commit the same as a value; null when it says nothing but when
     */
    void committed(
        @Nullable OpenTransaction transaction, RawRecord record, WalRecord.@Nullable Commit commit);
  }

  private final RelationNames names;
  private final Commits commits;
  private final FileNumbers files;

  private final TransactionTable open = new TransactionTable();
  private final List<OpenTransaction> pool = new ArrayList<>();
  private final Set<Long> prepared = new HashSet<>();

  /** Files that got rows since the scan began: an estimate of no rows is no longer true of them. */
  private boolean[] filled = new boolean[128];

  /** Last in-place change of each row of pg_database, by packed TID. */
  private final Map<Long, Lsn> databaseMarked = new HashMap<>();

  // Neighbouring records mostly belong to the same transaction.
  private @Nullable OpenTransaction last;

  TransactionScan(RelationNames names, FileNumbers files, Commits commits) {
    this.names = names;
    this.files = files;
    this.commits = commits;
  }

  void accept(RawRecord record) {
    switch (record.rmgr()) {
      case ResourceManager.HEAP, ResourceManager.HEAP2 -> heap(record);
      case ResourceManager.TRANSACTION -> {
        if (record.isPlainCommit()) {
          commitPlain(record);
        } else {
          accept(record, record.decode());
        }
      }
      case ResourceManager.XLOG -> {
        if ((record.info() & 0xF0) == FULL_PAGE_IMAGES) {
          images(record);
        } else {
          accept(record, record.decode());
        }
      }
      case ResourceManager.STORAGE, ResourceManager.STANDBY, ResourceManager.DATABASE ->
          accept(record, record.decode());
      default -> {} // nothing that changes rows or ends transactions
    }
  }

  /** Whether this file got rows since the scan began. */
  boolean isFilled(RelFile file) {
    int id = files.of(file);
    return id < filled.length && filled[id];
  }

  /** Where the oldest transaction began that is still open; {@code to} when none is. */
  Lsn openSince(Lsn to) {
    long oldest = to.position();
    for (OpenTransaction transaction : open.all()) {
      if (Long.compareUnsigned(transaction.firstLsn, oldest) < 0) {
        oldest = transaction.firstLsn;
      }
    }
    return new Lsn(oldest);
  }

  /** These files are no more: no open transaction speaks of them. */
  void forget(List<RelFile> dropped) {
    for (RelFile file : dropped) {
      int id = files.of(file);
      if (id < filled.length) {
        filled[id] = false;
      }
      files.remove(file);
    }
  }

  // ---- rows ------------------------------------------------------------------------------------

  private void heap(RawRecord record) {
    switch (record.rowChange()) {
      case INSERT -> insert(record);
      case CONFIRM -> rows(record).inserted++;
      case MULTI_INSERT -> {
        Rows rows = rows(record);
        rows.inserted += record.rows();
        fill(rows.file);
      }
      case UPDATE -> {
        OpenTransaction transaction = transaction(record);
        transaction.rowsOf(file(record)).updated++;
        if (definesRelations(transaction, record)) {
          transaction.pgClassUpdated(record.oldTid(), record.newTid(0));
        }
      }
      case DELETE -> delete(record);
      case INPLACE -> {
        if (isCatalog(record, PG_DATABASE)) {
          databaseMarked.put(record.newTid(0), new Lsn(record.lsn()));
        }
      }
      case LOCK, NONE -> {}
    }
  }

  private void insert(RawRecord record) {
    int file = file(record);
    fill(file);
    if (record.isSpeculative()) {
      return; // counted when confirmed
    }
    OpenTransaction transaction = transaction(record);
    if (transaction.movesPending > 0) {
      Relation target = names.byFile(files.file(file), new Lsn(record.lsn()));
      if (target == null || target.holdsRows()) { // not the row's long values, nor a catalog
        transaction.movesPending--;
        return;
      }
    }
    transaction.rowsOf(file).inserted++;
    if (definesRelations(transaction, record)) {
      transaction.pgClassInserted(record.newTid(0));
    }
  }

  private void delete(RawRecord record) {
    if (record.isSuperDelete()) {
      return; // an insert that was never counted
    }
    OpenTransaction transaction = transaction(record);
    Rows rows = transaction.rowsOf(file(record));
    if (record.isPartitionMove()) {
      transaction.movesPending++;
      rows.updated++;
      return;
    }
    rows.deleted++;
    if (isCatalog(record, PG_DATABASE)) {
      transaction.databaseGone = databaseMarked.remove(record.oldTid());
    } else if (definesRelations(transaction, record)) {
      transaction.pgClassDeleted(new Lsn(record.lsn()), record.oldTid());
    }
  }

  private void images(RawRecord record) {
    OpenTransaction transaction = open.get(record.xid());
    if (transaction == null) {
      return;
    }
    for (int index = 0; index < record.blocks(); index++) {
      if (record.fork(index) == BlockRef.MAIN) {
        transaction.rowsOf(
                files.of(
                    record.tablespace(index), record.database(index), record.fileNumber(index)))
            .images++;
      }
    }
  }

  private Rows rows(RawRecord record) {
    return transaction(record).rowsOf(file(record));
  }

  private int file(RawRecord record) {
    return files.of(record.tablespace(0), record.database(0), record.fileNumber(0));
  }

  private void fill(int file) {
    if (file >= filled.length) {
      filled = Arrays.copyOf(filled, 2 * file);
    }
    filled[file] = true;
  }

  /** Whether this is pg_class, asked only of transactions that lock or create relations. */
  private boolean definesRelations(OpenTransaction transaction, RawRecord record) {
    return !transaction.steps.isEmpty() && isCatalog(record, PG_CLASS);
  }

  private boolean isCatalog(RawRecord record, long oid) {
    long number = Integer.toUnsignedLong(record.fileNumber(0));
    if (number < FIRST_NORMAL_OID) {
      return number == oid;
    }
    if (oid == PG_DATABASE && record.database(0) != 0) {
      return false; // it is shared
    }
    // A catalog gets a new number when it is rewritten.
    Relation relation = names.byFile(record.file(0), new Lsn(record.lsn()));
    return relation != null && relation.oid() == oid && relation.kind() == Relation.Kind.CATALOG;
  }

  private OpenTransaction transaction(RawRecord record) {
    return transaction(record.xid(), record.lsn());
  }

  private OpenTransaction transaction(long xid, long lsn) {
    OpenTransaction cached = last;
    if (cached != null && cached.xid == xid) {
      return cached;
    }
    OpenTransaction transaction = open.get(xid);
    if (transaction == null) {
      transaction = pool.isEmpty() ? new OpenTransaction() : pool.removeLast();
      transaction.begin(xid, lsn);
      open.put(transaction);
    }
    last = transaction;
    return transaction;
  }

  // ---- everything else -------------------------------------------------------------------------

  private void accept(RawRecord raw, WalRecord record) {
    switch (record) {
      case WalRecord.StorageCreate create -> {
        if (create.xid() != 0 && create.fork() == BlockRef.MAIN) {
          transaction(create.xid(), raw.lsn()).create(create.lsn(), create.file());
        }
      }
      case WalRecord.StorageTruncate truncate -> emptied(truncate);
      case WalRecord.StandbyLock locks -> {
        for (WalRecord.StandbyLock.Lock lock : locks.locks()) {
          transaction(lock.xid(), raw.lsn()).lock(locks.lsn(), lock.relation());
        }
      }
      case WalRecord.DatabaseDrop drop ->
          transaction(drop.xid(), raw.lsn()).droppedDatabase = drop.database();
      case WalRecord.Commit commit -> commit(raw, commit);
      case WalRecord.Abort abort -> {
        release(abort.transaction());
        abort.subtransactions().forEach(this::release);
      }
      case WalRecord.Prepare prepare -> {
        prepared.add(prepare.transaction());
        prepared.addAll(prepare.subtransactions());
      }
      case WalRecord.RunningXacts running -> {
        // Every commit before the oldest running one is in the log already: what is left of
        // older ones are locks repeated for standbys after their transaction had ended.
        for (OpenTransaction transaction : open.all()) {
          if ((int) (transaction.xid - running.oldestRunningXid()) < 0
              && !prepared.contains(transaction.xid)) {
            release(transaction.xid);
          }
        }
      }
      case WalRecord.Checkpoint checkpoint -> {
        if (checkpoint.shutdown()) {
          serverStopped();
        }
      }
      case WalRecord.EndOfRecovery _ -> serverStopped();
      default -> {} // nothing else changes rows or ends transactions
    }
  }

  /** VACUUM cuts tables too; only a file of the transaction's own is emptied by TRUNCATE. */
  private void emptied(WalRecord.StorageTruncate truncate) {
    if (truncate.xid() == 0 || truncate.blocksLeft() != 0) {
      return;
    }
    RelFile file = truncate.file();
    List<OpenTransaction> all = open.all();
    if (all.stream().noneMatch(transaction -> transaction.created(file))) {
      return;
    }
    int id = files.of(file);
    all.forEach(transaction -> transaction.forgetRowsOf(id));
    transaction(truncate.xid(), truncate.lsn().position()).rowsOf(id).emptied = true;
  }

  /** After a crash the transactions it killed get no abort record. Prepared ones survive. */
  private void serverStopped() {
    for (OpenTransaction transaction : open.all()) {
      if (!prepared.contains(transaction.xid)) {
        release(transaction.xid);
      }
    }
  }

  private void commitPlain(RawRecord record) {
    long xid = record.xid();
    OpenTransaction transaction = open.remove(xid);
    last = null;
    commits.committed(transaction, record, null);
    if (transaction != null) {
      recycle(transaction);
    }
  }

  private void commit(RawRecord record, WalRecord.Commit commit) {
    OpenTransaction whole = open.remove(commit.transaction());
    last = null;
    prepared.remove(commit.transaction());
    for (long xid : commit.subtransactions()) {
      prepared.remove(xid);
      OpenTransaction part = open.remove(xid);
      if (part != null && whole == null) {
        whole = part;
      } else if (part != null && whole != null) {
        whole.fold(part);
        recycle(part);
      }
    }
    commits.committed(whole, record, commit);
    if (whole != null) {
      recycle(whole);
    }
  }

  private void release(long xid) {
    prepared.remove(xid);
    OpenTransaction transaction = open.remove(xid);
    last = null;
    if (transaction != null) {
      recycle(transaction);
    }
  }

  private void recycle(OpenTransaction transaction) {
    if (pool.size() < POOL_MAX) {
      transaction.reset();
      pool.add(transaction);
    }
  }
}
