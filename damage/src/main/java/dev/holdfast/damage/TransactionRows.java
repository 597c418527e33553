package dev.holdfast.damage;

import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.Tid;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The rows one transaction changed, net: where each lay before it and where it lies after it.
 *
 * <p>Hand it every record from the transaction's first to its commit. A row updated several times
 * is one change from its first old position to its last new one; a row inserted and updated is
 * inserted; one inserted and deleted is no change; one updated and deleted is deleted. A row moved
 * to another partition is deleted from one file and inserted in another.
 *
 * <p>28 bytes or so per row; not thread-safe.
 */
public final class TransactionRows {
  /** One row's positions before and after the transaction. At least one is not null. */
  public record Change(@Nullable Tid before, @Nullable Tid after) {
    /** Whether the row did not exist before. */
    public boolean isInsert() {
      return before == null;
    }

    /** Whether the row does not exist after. */
    public boolean isDelete() {
      return after == null;
    }
  }

  private static final class FileRows {
    private long[] before = new long[16];
    private long[] after = new long[16];
    private int size;
    private final TidMap newest = new TidMap();

    private void inserted(long tid) {
      newest.put(tid, add(TidMap.NONE, tid));
    }

    private void updated(long from, long to) {
      int change = newest.remove(from);
      if (change >= 0) {
        after[change] = to;
      } else {
        change = add(from, to);
      }
      newest.put(to, change);
    }

    private void deleted(long tid) {
      int change = newest.remove(tid);
      if (change >= 0) {
        after[change] = TidMap.NONE;
      } else {
        add(tid, TidMap.NONE);
      }
    }

    private int add(long from, long to) {
      if (size == before.length) {
        before = Arrays.copyOf(before, 2 * size);
        after = Arrays.copyOf(after, 2 * size);
      }
      before[size] = from;
      after[size] = to;
      return size++;
    }

    private boolean isChange(int index) {
      return before[index] != TidMap.NONE || after[index] != TidMap.NONE;
    }
  }

  private final long top;
  private final Set<Long> xids;
  private final Predicate<RelFile> wanted;
  private final Map<RelFile, FileRows> files = new LinkedHashMap<>();

  /**
   * @param xid the transaction
   * @param subtransactions those that committed with it, as its {@link TransactionDamage} lists
   *     them
   * @param wanted the files whose rows matter; others (catalogs, TOAST) cost nothing
   */
  public TransactionRows(long xid, Collection<Long> subtransactions, Predicate<RelFile> wanted) {
    Set<Long> all = new HashSet<>(subtransactions);
    all.add(xid);
    this.top = xid;
    this.xids = Set.copyOf(all);
    this.wanted = wanted;
  }

  /** Takes the next record; those of other transactions are passed over. */
  public void accept(RawRecord record) {
    if (record.xid() == 0 || !xids.contains(record.xid())) {
      return;
    }
    switch (record.rowChange()) {
      case INSERT -> {
        if (wanted.test(record.file(0))) {
          file(record.file(0)).inserted(record.newTid(0));
        }
      }
      case MULTI_INSERT -> {
        if (wanted.test(record.file(0))) {
          FileRows rows = file(record.file(0));
          for (int row = 0; row < record.rows(); row++) {
            rows.inserted(record.newTid(row));
          }
        }
      }
      case UPDATE -> {
        if (wanted.test(record.file(0))) {
          file(record.file(0)).updated(record.oldTid(), record.newTid(0));
        }
      }
      case DELETE -> {
        if (wanted.test(record.file(0))) {
          file(record.file(0)).deleted(record.oldTid());
        }
      }
      case CONFIRM, LOCK, INPLACE -> {} // change no rows, or were counted already
      case NONE -> {
        if (record.rmgr() == ResourceManager.STORAGE
            && record.decode() instanceof WalRecord.StorageTruncate truncate
            && truncate.blocksLeft() == 0) {
          files.remove(truncate.file()); // a TRUNCATE of a file made in the same transaction
        }
      }
    }
  }

  /** The transaction's id. */
  public long xid() {
    return top;
  }

  /** The files in which rows changed, in order of their first change. */
  public Set<RelFile> changedFiles() {
    Set<RelFile> changed = new LinkedHashSet<>();
    files.forEach((file, rows) -> {
      for (int i = 0; i < rows.size; i++) {
        if (rows.isChange(i)) {
          changed.add(file);
          break;
        }
      }
    });
    return changed;
  }

  /** What changed in one file, in order of each row's first change. */
  public List<Change> changes(RelFile file) {
    FileRows rows = files.get(file);
    if (rows == null) {
      return List.of();
    }
    List<Change> changes = new ArrayList<>();
    for (int i = 0; i < rows.size; i++) {
      if (rows.isChange(i)) {
        changes.add(new Change(tid(rows.before[i]), tid(rows.after[i])));
      }
    }
    return changes;
  }

  /** Whether the transaction left a row here: one it inserted, or an update's new version. */
  boolean left(RelFile file, long packed) {
    FileRows rows = files.get(file);
    return rows != null && rows.newest.get(packed) >= 0;
  }

  private FileRows file(RelFile file) {
    return files.computeIfAbsent(file, _ -> new FileRows());
  }

  private static @Nullable Tid tid(long packed) {
    return packed == TidMap.NONE ? null : Tid.unpack(packed);
  }
}
