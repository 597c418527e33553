package dev.holdfast.damage;

import dev.holdfast.wal.BlockRef;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.Tid;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.function.LongUnaryOperator;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/**
 * The life of every row that one of a set of transactions wrote, from the first of these writes to
 * the end of the log: who wrote it when, and where each version lies.
 *
 * <p>Hand it every record from the first one of the set's to the end of the log. Only what
 * committed counts: not what was rolled back, to a savepoint or whole, not what is still prepared,
 * not locks. What one transaction did to a row is one step, however often it wrote it.
 *
 * <p>A row is known by its place: a row moved to another partition (see {@link #movedTo}), or
 * deleted and inserted again with the same key, begins another history.
 *
 * <p>About 100 bytes for each row and step; not thread-safe.
 */
public final class RowHistories {
  /** Rows put in by others whose place is remembered; beyond, {@link RowHistory#since} is later. */
  private static final int CREATED_MAX = 1 << 20;

  private static final long LOST = TidMap.NONE - 1;
  private static final long GONE_ELSEWHERE = TidMap.NONE - 2;

  /** Marks a deletion that is one half of a row's move to another partition. */
  private static final int MOVED = 1 << 30;

  /**
   * A committed transaction that wrote rows of these histories.
   *
   * @param xid its top-level transaction id
   * @param commitLsn where its commit record starts
   * @param commitEnd just past its commit record
   * @param inSet whether it is one of the set
   * @param lockedSince tables, by OID, that it locked ACCESS EXCLUSIVE, and where in the log: from
   *     there to its end a standby lets nobody read them
   */
  public record Writer(
      long xid, Lsn commitLsn, Lsn commitEnd, boolean inSet, Map<Long, Lsn> lockedSince) {
    /**
     * The last position at which a standby shows a table as it was before this transaction: from
     * its lock on no other one can change the table.
     */
    public Lsn lastBefore(long table) {
      Lsn locked = lockedSince.get(table);
      return locked != null && locked.isBefore(commitLsn) ? locked : commitLsn;
    }
  }

  /** What a step left. */
  public enum Left {
    /** A version of the row. */
    VERSION,
    /** No row: it was deleted, or went when the table was truncated. */
    NOTHING,
    /** No row here: others moved it to another partition, where another history may have it. */
    MOVED,
    /**
     * Something, or nothing: the table's file was replaced or dropped, and places in the old file
     * say nothing about rows of the new one.
     */
    UNKNOWN
  }

  /**
   * What one transaction did to one row.
   *
   * @param tid where the version it left lies; null when it left none
   * @param xid the xmin of that version: the writer's id or that of a subtransaction of it
   */
  public record Step(Writer writer, Left left, @Nullable Tid tid, long xid) {}

  /**
   * One row, from the first write by the set on.
   *
   * @param first where the version lay that the first step replaced; null when the first step
   *     inserted the row
   * @param since from where on in the log that version is known to lie there; it may become visible
   *     later still, up to the first step. {@link Lsn#NONE} when it lay there before the log was
   *     read
   * @param steps in order of commit; the first is the set's, and never empty
   */
  public record RowHistory(@Nullable Tid first, Lsn since, List<Step> steps) {
    /** The last step known. */
    public Step last() {
      return steps.getLast();
    }
  }

  /**
   * The history in which a row that the set moved to another partition lives on.
   *
   * @param written whether others wrote it on the way or there: more than its table rewritten
   */
  public record MovedTo(RelFile file, int number, boolean written) {}

  /** A table that one of the set truncated: every row it had is gone, those without history too. */
  public record Truncation(Writer writer, RelFile file, long table) {}

  /** A transaction of the set, as it is known before the log is read. */
  private record Member(TransactionDamage damage, Set<Long> truncated) {
    boolean spans(long lsn) {
      return lsn >= damage.firstLsn().position() && lsn <= damage.commitLsn().position();
    }
  }

  /** The writes of one (sub)transaction that has not ended yet, in the order of the log. */
  private static final class Writes {
    private int size;
    private int[] order = new int[4];
    private int[] file = new int[4];
    private long[] from = new long[4];
    private long[] to = new long[4];

    private void add(int ordered, int inFile, long old, long young) {
      if (size == order.length) {
        order = Arrays.copyOf(order, 2 * size);
        file = Arrays.copyOf(file, 2 * size);
        from = Arrays.copyOf(from, 2 * size);
        to = Arrays.copyOf(to, 2 * size);
      }
      order[size] = ordered;
      file[size] = inFile;
      from[size] = old;
      to[size] = young;
      size++;
    }

    private int file(int index) {
      return file[index] & ~MOVED;
    }

    private boolean isMove(int index) {
      return (file[index] & MOVED) != 0;
    }

    private void forget(int ofFile) {
      int kept = 0;
      for (int index = 0; index < size; index++) {
        if (file(index) != ofFile) {
          order[kept] = order[index];
          file[kept] = file[index];
          from[kept] = from[index];
          to[kept] = to[index];
          kept++;
        }
      }
      size = kept;
    }
  }

  private static final class FileRows {
    private final RelFile file;
    private final long table;
    private final int number;

    /** Where rows with a history lie, those versions included that are not committed yet. */
    private TidMap places = new TidMap();

    /** Where rows were put by others, in units of 8 bytes of log from {@link #createdFrom}. */
    private TidMap created = new TidMap();

    /** Where the set wrote first; -1 when it did not. */
    private long firstWritten = -1;

    /** Histories that began as rows which the set moved here from another partition. */
    private final BitSet arrived = new BitSet();

    private int size;
    private long[] first = new long[16];
    private long[] since = new long[16];
    private int[] firstStep = new int[16];
    private int[] lastStep = new int[16];

    private FileRows(RelFile file, long table, int number) {
      this.file = file;
      this.table = table;
      this.number = number;
    }

    private int begin(long tid, long knownSince) {
      if (size == first.length) {
        first = Arrays.copyOf(first, 2 * size);
        since = Arrays.copyOf(since, 2 * size);
        firstStep = Arrays.copyOf(firstStep, 2 * size);
        lastStep = Arrays.copyOf(lastStep, 2 * size);
      }
      first[size] = tid;
      since[size] = knownSince;
      firstStep[size] = -1;
      lastStep[size] = -1;
      return size++;
    }
  }

  private final Map<Long, Member> members = new HashMap<>();
  private final ToLongFunction<RelFile> tables;
  private final LongUnaryOperator roots;
  private final Map<RelFile, FileRows> files = new LinkedHashMap<>();
  private final List<FileRows> byNumber = new ArrayList<>();
  private final Set<RelFile> unwanted = new HashSet<>();
  private @Nullable RelFile recent;
  private @Nullable FileRows recentRows;

  private final Map<Long, Writes> open = new HashMap<>();
  private final Map<Long, Map<Long, Lsn>> locks = new HashMap<>();
  private final Set<Long> prepared = new HashSet<>();
  private int order;

  private final List<Writer> writers = new ArrayList<>();
  private final List<Truncation> truncations = new ArrayList<>();

  /** When others emptied tables, by their OIDs. */
  private final Map<Long, Set<Lsn>> emptied = new HashMap<>();

  /** Files that a transaction of the set made, each with its top-level transaction id. */
  private final Map<RelFile, Long> madeBySet = new HashMap<>();

  /** Those of them whose makers have not ended yet. */
  private final Set<RelFile> making = new HashSet<>();

  /** Those of them into which their makers wrote rows, their own or ones carried over. */
  private final Set<RelFile> filledByMaker = new HashSet<>();

  private int steps;
  private int[] stepWriter = new int[16];
  private long[] stepTid = new long[16];
  private int[] stepXid = new int[16];
  private int[] stepNext = new int[16];

  /** A history: the number of its file, and its own there. */
  private record Place(int file, int history) {}

  /** Rows of the transaction being settled that left a partition and came nowhere yet. */
  private final Deque<Place> moving = new ArrayDeque<>();

  /** Of a row that the set moved to another partition: its history there. */
  private final Map<Place, Place> movedTo = new HashMap<>();

  private int createdCount;
  private long createdFrom;
  private long createdFloor;

  /**
   * @param set the transactions, as the log was found to hold them
   * @param tables the OID of the table whose rows a file holds; 0 for files that do not matter,
   *     such as catalogs, indexes and TOAST, which cost nothing
   * @param roots the OID of the table at the top of the tree of partitions that a table is a leaf
   *     of; 0 for others, {@link RelationNames#UNKNOWN_ROOT} where nobody knows
   */
  public RowHistories(
      Collection<TransactionDamage> set, ToLongFunction<RelFile> tables, LongUnaryOperator roots) {
    this.tables = tables;
    this.roots = roots;
    for (TransactionDamage damage : set) {
      Set<Long> truncated = new HashSet<>();
      for (TableDamage table : damage.tables()) {
        if (table.action() == TableDamage.Action.TRUNCATED) {
          truncated.add(table.oid());
        }
      }
      Member member = new Member(damage, truncated);
      members.put(damage.xid(), member);
      damage.subtransactions().forEach(xid -> members.put(xid, member));
    }
  }

  /**
   * Tells that a transaction of others truncated a table: without that, its rows count as carried
   * over into another file, whose number alone the log has.
   *
   * @param table its OID; nothing is kept of tables without rows here
   * @param commit where the commit record begins, which was taken
   */
  public void emptied(long table, Lsn commit) {
    if (byNumber.stream().anyMatch(rows -> rows.table == table)) {
      emptied.computeIfAbsent(table, _ -> new HashSet<>(1)).add(commit);
    }
  }

  /** Takes the next record. */
  public void accept(RawRecord record) {
    switch (record.rowChange()) {
      case INSERT -> {
        filled(record);
        FileRows rows = rows(record.file(0));
        if (rows != null) {
          written(rows, record, TidMap.NONE, record.newTid(0));
        }
      }
      case MULTI_INSERT -> {
        filled(record);
        FileRows rows = rows(record.file(0));
        for (int row = 0; rows != null && row < record.rows(); row++) {
          written(rows, record, TidMap.NONE, record.newTid(row));
        }
      }
      case UPDATE -> {
        FileRows rows = rows(record.file(0));
        if (rows != null) {
          written(rows, record, record.oldTid(), record.newTid(0));
        }
      }
      case DELETE -> {
        FileRows rows = rows(record.file(0));
        if (rows != null) {
          written(rows, record, record.oldTid(), TidMap.NONE);
        }
      }
      case CONFIRM, LOCK, INPLACE -> {} // change no rows, or were counted already
      case NONE -> {
        switch (record.rmgr()) {
          case ResourceManager.TRANSACTION -> {
            if (record.isPlainCommit()) {
              settle(record.xid(), List.of(), record.lsn(), record.end(), List.of());
            } else {
              ended(record.decode());
            }
          }
          case ResourceManager.XLOG -> {
            if ((record.info() & 0xF0) == TransactionScan.FULL_PAGE_IMAGES) {
              filled(record);
            } else {
              ended(record.decode());
            }
          }
          case ResourceManager.STANDBY -> {
            if (record.decode() instanceof WalRecord.StandbyLock lock) {
              locked(lock);
            }
          }
          case ResourceManager.STORAGE -> storage(record);
          default -> {} // neither ends transactions nor changes rows
        }
      }
    }
  }

  // ---- while the log is read -------------------------------------------------------------------

  private @Nullable FileRows rows(RelFile file) {
    if (file.equals(recent)) {
      return recentRows;
    }
    FileRows rows = files.get(file);
    if (rows == null && !unwanted.contains(file)) {
      long table = tables.applyAsLong(file);
      if (table == 0) {
        unwanted.add(file);
      } else {
        rows = new FileRows(file, table, byNumber.size());
        files.put(file, rows);
        byNumber.add(rows);
      }
    }
    recent = file;
    recentRows = rows;
    return rows;
  }

  private boolean isOfSet(long xid, long lsn) {
    Member member = members.get(xid);
    return member != null && member.spans(lsn);
  }

  private void written(FileRows rows, RawRecord record, long old, long young) {
    long xid = record.xid();
    boolean ofSet = isOfSet(xid, record.lsn());
    if (ofSet && rows.firstWritten < 0) {
      rows.firstWritten = record.lsn();
    }
    int history = old == TidMap.NONE ? -1 : rows.places.get(old);
    if (young != TidMap.NONE) {
      rows.places.remove(young); // whatever lay there is gone
      if (!ofSet) {
        created(rows, young, record);
      }
    }
    if (!ofSet && history < 0) {
      return;
    }
    boolean move = record.rowChange() == RawRecord.RowChange.DELETE && record.isPartitionMove();
    open.computeIfAbsent(xid, _ -> new Writes())
        .add(order++, move ? rows.number | MOVED : rows.number, old, young);
    if (!ofSet && young != TidMap.NONE) {
      rows.places.put(young, history); // the same transaction may write it again
    }
  }

  private void created(FileRows rows, long tid, RawRecord record) {
    if (createdCount == 0) {
      createdFrom = record.lsn();
    }
    long units = (record.end() - createdFrom + 7) >>> 3;
    if (createdCount == CREATED_MAX || units > Integer.MAX_VALUE) {
      // From here on any row may have been put where it lies as late as here.
      byNumber.forEach(each -> each.created = new TidMap());
      createdFloor = record.lsn();
      createdFrom = record.lsn();
      createdCount = 0;
      units = (record.end() - createdFrom + 7) >>> 3;
    }
    rows.created.put(tid, (int) units);
    createdCount++;
  }

  private long knownSince(FileRows rows, long tid) {
    int units = rows.created.get(tid);
    return units < 0 ? createdFloor : createdFrom + ((long) units << 3);
  }

  private void locked(WalRecord.StandbyLock record) {
    for (WalRecord.StandbyLock.Lock lock : record.locks()) {
      locks
          .computeIfAbsent(lock.xid(), _ -> new HashMap<>())
          .putIfAbsent(lock.relation().relation(), record.lsn());
    }
  }

  private void storage(RawRecord raw) {
    if (!isOfSet(raw.xid(), raw.lsn())) {
      return;
    }
    WalRecord record = raw.decode();
    if (record instanceof WalRecord.StorageTruncate truncate && truncate.blocksLeft() == 0) {
      // A TRUNCATE of a file made in the same transaction.
      FileRows rows = files.get(truncate.file());
      Member member = members.get(raw.xid());
      if (rows != null && member != null) {
        forget(member.damage.xid(), rows.number);
        member.damage.subtransactions().forEach(xid -> forget(xid, rows.number));
      }
    } else if (record instanceof WalRecord.StorageCreate create) {
      madeBySet.put(create.file(), Objects.requireNonNull(members.get(raw.xid())).damage.xid());
      making.add(create.file());
    }
  }

  /** Rows or whole pages, as CLUSTER writes them: until the maker ends nobody else can write. */
  private void filled(RawRecord record) {
    for (int block = 0; !making.isEmpty() && block < record.blocks(); block++) {
      RelFile file = record.file(block);
      if (record.fork(block) == BlockRef.MAIN && making.contains(file)) {
        filledByMaker.add(file);
      }
    }
  }

  private void forget(long xid, int file) {
    Writes writes = open.get(xid);
    if (writes != null) {
      writes.forget(file);
    }
  }

  private void ended(WalRecord record) {
    switch (record) {
      case WalRecord.Commit commit ->
          settle(
              commit.transaction(),
              commit.subtransactions(),
              commit.lsn().position(),
              commit.end().position(),
              commit.droppedFiles());
      case WalRecord.Abort abort -> {
        drop(abort.transaction());
        abort.subtransactions().forEach(this::drop);
      }
      case WalRecord.Prepare prepare -> {
        prepared.add(prepare.transaction());
        prepared.addAll(prepare.subtransactions());
      }
      case WalRecord.Checkpoint checkpoint -> {
        if (checkpoint.shutdown()) {
          onlyPreparedGoOn();
        }
      }
      case WalRecord.EndOfRecovery _ -> onlyPreparedGoOn();
      default -> {}
    }
  }

  private void drop(long xid) {
    open.remove(xid);
    locks.remove(xid);
    prepared.remove(xid);
  }

  private void onlyPreparedGoOn() {
    open.keySet().retainAll(prepared);
    locks.keySet().retainAll(prepared);
  }

  private void settle(
      long xid, List<Long> subtransactions, long lsn, long end, List<RelFile> droppedFiles) {
    List<Writes> all = new ArrayList<>();
    List<Long> xids = new ArrayList<>();
    Map<Long, Lsn> locked = new HashMap<>();
    take(xid, all, xids, locked);
    for (long subtransaction : subtransactions) {
      take(subtransaction, all, xids, locked);
    }
    boolean ofSet = isOfSet(xid, lsn);
    if (ofSet) {
      making.removeIf(file -> Long.valueOf(xid).equals(madeBySet.get(file)));
    }
    if (all.isEmpty() && droppedFiles.isEmpty()) {
      return;
    }
    Writer writer = new Writer(xid, new Lsn(lsn), new Lsn(end), ofSet, Map.copyOf(locked));
    int number = writers.size();
    writers.add(writer);
    int stepsBefore = steps;
    moving.clear();
    inOrder(all, (each, index) -> settle(all.get(each), index, xids.get(each), number, ofSet));
    for (RelFile file : droppedFiles) {
      dropped(file, writer, number);
    }
    if (steps == stepsBefore && !ofSet) {
      writers.removeLast(); // what it wrote was no row of these histories
    }
  }

  private void take(long xid, List<Writes> all, List<Long> xids, Map<Long, Lsn> locked) {
    prepared.remove(xid);
    Writes writes = open.remove(xid);
    if (writes != null) {
      all.add(writes);
      xids.add(xid);
    }
    Map<Long, Lsn> held = locks.remove(xid);
    if (held != null) {
      held.forEach(
          (table, at) -> locked.merge(table, at, (one, two) -> one.isBefore(two) ? one : two));
    }
  }

  private interface Each {
    void accept(int writes, int index);
  }

  /** Goes through the writes of a transaction and its subtransactions as the log has them. */
  private static void inOrder(List<Writes> all, Each each) {
    if (all.size() == 1) {
      for (int index = 0; index < all.getFirst().size; index++) {
        each.accept(0, index);
      }
      return;
    }
    int[] next = new int[all.size()];
    PriorityQueue<Integer> queue =
        new PriorityQueue<>(Comparator.comparingInt(i -> all.get(i).order[next[i]]));
    for (int i = 0; i < all.size(); i++) {
      if (all.get(i).size > 0) {
        queue.add(i);
      }
    }
    while (!queue.isEmpty()) {
      int first = queue.remove();
      each.accept(first, next[first]++);
      if (next[first] < all.get(first).size) {
        queue.add(first);
      }
    }
  }

  private void settle(Writes writes, int index, long xid, int writer, boolean ofSet) {
    FileRows rows = byNumber.get(writes.file(index));
    long old = writes.from[index];
    long young = writes.to[index];
    int history = old == TidMap.NONE ? -1 : rows.places.get(old);
    if (history < 0) {
      if (!ofSet) {
        return;
      }
      history = rows.begin(old, old == TidMap.NONE ? 0 : knownSince(rows, old));
    }
    boolean othersMove = writes.isMove(index) && !ofSet;
    step(rows, history, writer, othersMove ? GONE_ELSEWHERE : young, xid);
    if (writes.isMove(index)) {
      moving.push(new Place(rows.number, history));
    } else if (old == TidMap.NONE && !moving.isEmpty()) {
      if (mayMove(byNumber.get(moving.peek().file).table, rows.table)) {
        movedTo.put(moving.pop(), new Place(rows.number, history));
        rows.arrived.set(history);
      }
    }
    if (old != TidMap.NONE) {
      rows.places.remove(old);
    }
    if (young != TidMap.NONE) {
      rows.places.put(young, history);
    }
  }

  /** Whether both are leaves of one tree, as far as anybody knows. */
  private boolean mayMove(long from, long to) {
    long root = roots.applyAsLong(to);
    long fromRoot = roots.applyAsLong(from);
    return from != to
        && root != 0
        && (root == fromRoot
            || root == RelationNames.UNKNOWN_ROOT
            || fromRoot == RelationNames.UNKNOWN_ROOT);
  }

  private void step(FileRows rows, int history, int writer, long tid, long xid) {
    int last = rows.lastStep[history];
    if (last >= 0 && stepWriter[last] == writer) {
      stepTid[last] = tid;
      stepXid[last] = (int) xid;
      return;
    }
    if (steps == stepTid.length) {
      stepWriter = Arrays.copyOf(stepWriter, 2 * steps);
      stepTid = Arrays.copyOf(stepTid, 2 * steps);
      stepXid = Arrays.copyOf(stepXid, 2 * steps);
      stepNext = Arrays.copyOf(stepNext, 2 * steps);
    }
    stepWriter[steps] = writer;
    stepTid[steps] = tid;
    stepXid[steps] = (int) xid;
    stepNext[steps] = -1;
    if (last < 0) {
      rows.firstStep[history] = steps;
    } else {
      stepNext[last] = steps;
    }
    rows.lastStep[history] = steps;
    steps++;
  }

  private void dropped(RelFile file, Writer writer, int number) {
    Member member = writer.inSet ? members.get(writer.xid) : null;
    FileRows rows = files.get(file);
    long table = rows == null ? tables.applyAsLong(file) : rows.table;
    if (table == 0) {
      return;
    }
    boolean truncated = member != null && member.truncated.contains(table);
    if (truncated && !Long.valueOf(writer.xid).equals(madeBySet.get(file))) {
      truncations.add(new Truncation(writer, file, table));
    }
    if (rows == null) {
      return;
    }
    for (int history = 0; history < rows.size; history++) {
      long at = stepTid[rows.lastStep[history]];
      if (at != TidMap.NONE && at != LOST && at != GONE_ELSEWHERE) {
        step(rows, history, number, truncated ? TidMap.NONE : LOST, 0);
      }
    }
    rows.places = new TidMap();
    rows.created = new TidMap();
  }

  // ---- what was found --------------------------------------------------------------------------

  /** The files with rows that the set changed, in the order of the log. */
  public Set<RelFile> files() {
    Set<RelFile> changed = new LinkedHashSet<>();
    for (FileRows rows : files.values()) {
      if (rows.size > 0) {
        changed.add(rows.file);
      }
    }
    return changed;
  }

  /** The table whose rows a file held, by OID; 0 for a file that does not matter. */
  public long table(RelFile file) {
    FileRows rows = files.get(file);
    return rows == null ? 0 : rows.table;
  }

  /**
   * Where the record begins with which the set first wrote to a file: from there on, and until the
   * transaction ends, nobody else can change the table's columns.
   */
  public Lsn firstWritten(RelFile file) {
    FileRows rows = files.get(file);
    if (rows == null || rows.firstWritten < 0) {
      throw new IllegalArgumentException("no row of " + file + " was changed");
    }
    return new Lsn(rows.firstWritten);
  }

  /** How many histories a file has: they are numbered from 0. */
  public int count(RelFile file) {
    FileRows rows = files.get(file);
    return rows == null ? 0 : rows.size;
  }

  /**
   * One history of a file; null when nothing is left of it: the set put a row in and took it out.
   */
  public @Nullable RowHistory history(RelFile file, int number) {
    FileRows rows = files.get(file);
    if (rows == null) {
      throw new IllegalArgumentException("no row of " + file + " was changed");
    }
    List<Step> list = new ArrayList<>(1);
    for (int step = rows.firstStep[number]; step >= 0; step = stepNext[step]) {
      long tid = stepTid[step];
      Writer writer = writers.get(stepWriter[step]);
      Left left =
          tid == TidMap.NONE || (tid == LOST && wasEmptied(rows.table, writer))
              ? Left.NOTHING
              : tid == GONE_ELSEWHERE ? Left.MOVED : tid == LOST ? Left.UNKNOWN : Left.VERSION;
      list.add(
          new Step(
              writer,
              left,
              left == Left.VERSION ? Tid.unpack(tid) : null,
              Integer.toUnsignedLong(stepXid[step])));
    }
    long first = rows.first[number];
    if (first == TidMap.NONE && list.getFirst().left == Left.NOTHING) {
      return null;
    }
    return new RowHistory(
        first == TidMap.NONE ? null : Tid.unpack(first), new Lsn(rows.since[number]), list);
  }

  private boolean wasEmptied(long table, Writer by) {
    Set<Lsn> commits = emptied.get(table);
    return commits != null && commits.contains(by.commitLsn);
  }

  /**
   * Who wrote rows of these histories, and those of the set that dropped files, in order of commit.
   */
  public List<Writer> writers() {
    return List.copyOf(writers);
  }

  /**
   * Where a row is that the set moved to another partition, or on to yet another; null when it did
   * not. Others may have written it there since: taken back here as well, it would be there twice.
   */
  public @Nullable MovedTo movedTo(RelFile file, int number) {
    FileRows rows = files.get(file);
    Place place = rows == null ? null : movedTo.get(new Place(rows.number, number));
    Place last = null;
    boolean written = false;
    while (place != null) {
      RowHistory there = history(byNumber.get(place.file).file, place.history);
      written |=
          there != null
              && there.steps().stream()
                  .anyMatch(step -> !step.writer().inSet() && step.left() != Left.UNKNOWN);
      last = place;
      place = movedTo.get(place); // each move begins a history: no circles
    }
    return last == null ? null : new MovedTo(byNumber.get(last.file).file, last.history, written);
  }

  /** Whether a history began as a row that the set moved here: one that {@link #movedTo} names. */
  public boolean hasArrived(RelFile file, int number) {
    FileRows rows = files.get(file);
    return rows != null && rows.arrived.get(number);
  }

  /** Tables that the set truncated, in order of commit. */
  public List<Truncation> truncations() {
    return List.copyOf(truncations);
  }

  /**
   * Whether a transaction of the set made this file: for a new table, or to replace another file.
   */
  public boolean madeBySet(RelFile file) {
    return madeBySet.containsKey(file);
  }

  /**
   * Whether the transaction of the set that made this file wrote rows into it: those of an empty
   * table that it truncated or rewrote are nobody's but others' and later ones.
   */
  public boolean filledByMaker(RelFile file) {
    return filledByMaker.contains(file);
  }
}
