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
  /** Ours name at most the tables of a schema; others' may be of any size. */
  private static final int MESSAGE_MAX = 1024 * 1024;

  /** OIDs below this belong to PostgreSQL itself ("access/transam.h", FirstNormalObjectId). */
  static final long FIRST_NORMAL_OID = 16_384;

  private static final long PG_DATABASE = 1262;

  /** XLOG_FPI ("catalog/pg_control.h"). */
  static final int FULL_PAGE_IMAGES = 0xB0;

  private static final int POOL_MAX = 1024;

  /** In place of a root: no partition, or nobody knows what it is. */
  private static final long NOT_A_PARTITION = -2;

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

  private final LearntNames names;
  private final Commits commits;
  private final FileNumbers files;

  /** Follows the catalogs' own rows; null before the first record. */
  private @Nullable CatalogTrace trace;

  private final TransactionTable open = new TransactionTable();
  private final List<OpenTransaction> pool = new ArrayList<>();
  private final Set<Long> prepared = new HashSet<>();

  /** Files that got rows since the scan began: an estimate of no rows is no longer true of them. */
  private boolean[] filled = new boolean[128];

  /** Files that were created since the scan began. */
  private boolean[] created = new boolean[128];

  /** Roots of partitions by file, as far as they were asked for; 0: not yet. */
  private long[] roots = {};

  /** Whether files are of tables that the guard's doing hangs on: 0 not known, 1 no, 2 yes. */
  private byte[] ruling = {};

  /** Last in-place change of each row of pg_database, by packed TID. */
  private final Map<Long, Lsn> databaseMarked = new HashMap<>();

  // Neighbouring records mostly belong to the same transaction.
  private @Nullable OpenTransaction last;

  TransactionScan(LearntNames names, FileNumbers files, Commits commits) {
    this.names = names;
    this.files = files;
    this.commits = commits;
  }

  void accept(RawRecord record) {
    CatalogTrace catalogs = trace;
    if (catalogs == null) {
      catalogs = names.begin(record);
      trace = catalogs;
    }
    switch (record.rmgr()) {
      case ResourceManager.HEAP, ResourceManager.HEAP2 -> {
        if (catalogs.isOfInterest(record)) {
          follow(catalogs, record);
        }
        heap(record);
      }
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
      case ResourceManager.RELATION_MAP -> catalogs.accept(record);
      case ResourceManager.LOGICAL_MESSAGE -> {
        if (record.length() <= MESSAGE_MAX
            && record.decode() instanceof WalRecord.LogicalMessage message
            && message.transactional()
            && message.prefix().equals(Origin.PREFIX)) {
          OpenTransaction transaction = transaction(record);
          transaction.origin = transaction.origin.and(Origin.of(message.bytes()));
        }
      }
      default -> {} // nothing that changes rows or ends transactions
    }
  }

  /** A change to a catalog that tells what relations there are. */
  private void follow(CatalogTrace catalogs, RawRecord record) {
    catalogs.accept(record);
    switch (record.rowChange()) {
      case INSERT, MULTI_INSERT, UPDATE, DELETE -> {
        OpenTransaction transaction = transaction(record);
        transaction.changedCatalogs = true;
        RelationChange change = catalogs.lastRelationChange(record);
        if (change != null) {
          transaction.changed(change, files);
          roots = new long[0]; // files may be others' now
          ruling = new byte[0];
        }
      }
      case NONE, CONFIRM, LOCK, INPLACE -> {}
    }
  }

  /**
   * Whether the guard's doing hangs on the rows of this file: looked up once, asked at each commit.
   */
  boolean rulesTheGuard(int id, Lsn at) {
    if (id >= ruling.length) {
      ruling = Arrays.copyOf(ruling, Math.max(files.limit(), id + 1));
    }
    if (ruling[id] == 0) {
      Relation relation = names.byFile(files.file(id), at);
      if (relation == null) {
        return false; // its name may be learnt yet
      }
      ruling[id] = (byte) (GuardTables.rule(relation.name()) ? 2 : 1);
    }
    return ruling[id] == 2;
  }

  /** Whether this file got rows since the scan began. */
  boolean isFilled(RelFile file) {
    int id = files.of(file);
    return id < filled.length && filled[id];
  }

  /** Whether any file of this table got rows since the scan began. */
  boolean isFilled(Relation table, Lsn at) {
    for (int id = 0; id < files.limit() && id < filled.length; id++) {
      if (filled[id] && files.file(id).database() == table.database()) {
        Relation owner = names.byFile(files.file(id), at);
        if (owner != null && owner.oid() == table.oid()) {
          return true;
        }
      }
    }
    return false;
  }

  /** Whether this file was created since the scan began. */
  boolean isCreated(RelFile file) {
    int id = files.of(file);
    return id < created.length && created[id];
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

  /**
   * These files are no more. Another transaction may still speak of them where they were catalogs.
   */
  void forget(List<RelFile> dropped) {
    for (RelFile file : dropped) {
      int id = files.of(file);
      if (id < filled.length) {
        filled[id] = false;
      }
      if (id < created.length) {
        created[id] = false;
      }
      if (id < roots.length) {
        roots[id] = 0;
      }
      if (id < ruling.length) {
        ruling[id] = 0;
      }
      if (open.all().stream().allMatch(transaction -> transaction.rowsIfAny(id) == null)) {
        files.remove(file);
      }
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
      case UPDATE -> rows(record).updated++;
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
    OpenTransaction transaction = transaction(record); // it may begin here
    if (record.isSpeculative()) {
      return; // counted when confirmed
    }
    if (transaction.isMoving() && isMovedTo(transaction, file, record)) {
      return;
    }
    transaction.rowsOf(file).inserted++;
    if (LearntNames.isInheritance(record)) {
      names.attached(record);
      roots = new long[0];
    }
  }

  /** Whether the insert is the other half of a row's move from one partition to another. */
  private boolean isMovedTo(OpenTransaction transaction, int file, RawRecord record) {
    long root = root(file, record);
    // Long values come before their row, and triggers write to other tables in between.
    return root != NOT_A_PARTITION
        && transaction.moveIn(from -> {
          long fromRoot = root(from, record);
          return fromRoot == root
              || root == RelationNames.UNKNOWN_ROOT
              || fromRoot == RelationNames.UNKNOWN_ROOT
              || fromRoot == NOT_A_PARTITION; // a row left it: it is one, whoever knows
        });
  }

  private long root(int file, RawRecord record) {
    if (file >= roots.length) {
      roots = Arrays.copyOf(roots, Math.max(files.limit(), file + 1));
    }
    long root = roots[file];
    if (root == 0) {
      Lsn at = new Lsn(record.lsn());
      Relation relation = names.byFile(files.file(file), at);
      root =
          relation == null || !relation.holdsRows()
              ? NOT_A_PARTITION
              : names.partitionRoot(relation.database(), relation.oid(), at);
      root = root == 0 ? NOT_A_PARTITION : root;
      roots[file] = root;
    }
    return root;
  }

  private void delete(RawRecord record) {
    if (record.isSuperDelete()) {
      return; // an insert that was never counted
    }
    OpenTransaction transaction = transaction(record);
    int file = file(record);
    Rows rows = transaction.rowsOf(file);
    if (record.isPartitionMove()) {
      transaction.moveOut(file);
      rows.updated++;
      return;
    }
    rows.deleted++;
    if (isCatalog(record, PG_DATABASE)) {
      transaction.databaseGone = databaseMarked.remove(record.oldTid());
    }
  }

  private void images(RawRecord record) {
    OpenTransaction transaction = open.get(record.xid());
    if (transaction == null) {
      return;
    }
    for (int index = 0; index < record.blocks(); index++) {
      if (record.fork(index) == BlockRef.MAIN) {
        int file =
            files.of(record.tablespace(index), record.database(index), record.fileNumber(index));
        transaction.rowsOf(file).images++;
        fill(file);
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

  private void create(RelFile file) {
    int id = files.of(file);
    if (id >= created.length) {
      created = Arrays.copyOf(created, Math.max(2 * created.length, id + 1));
    }
    created[id] = true;
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
          create(create.file());
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
        forget(abort.droppedFiles()); // those it had created
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
    all.forEach(transaction -> transaction.empty(id));
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
    if (transaction != null) {
      end(transaction, record, null);
    }
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
    if (whole != null) {
      end(whole, record, commit);
    }
    commits.committed(whole, record, commit);
    if (whole != null) {
      recycle(whole);
    }
  }

  /** It committed, all its parts in one. */
  private void end(
      OpenTransaction transaction, RawRecord record, WalRecord.@Nullable Commit commit) {
    if (transaction.isMoving()) {
      transaction.endMoves();
    }
    CatalogTrace catalogs = trace;
    if (transaction.changedCatalogs && catalogs != null) {
      long xid = commit == null ? record.xid() : commit.transaction();
      List<Long> subxids = commit == null ? List.of() : commit.subtransactions();
      transaction.definitions =
          new CommittedDefinitions(
              catalogs.relationChanges(xid, subxids),
              catalogs.droppedColumns(xid, subxids),
              catalogs.weakenedTriggers(xid, subxids));
      catalogs.committed(
          xid,
          subxids,
          new Lsn(record.lsn()),
          commit == null ? List.of() : commit.invalidatedRelations());
    }
  }

  private void release(long xid) {
    prepared.remove(xid);
    OpenTransaction transaction = open.remove(xid);
    last = null;
    if (transaction != null) {
      if (transaction.changedCatalogs && trace != null) {
        trace.aborted(xid, List.of());
      }
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
