package dev.holdfast.damage;

import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.Tid;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which of the rows a transaction left were written again by later transactions, even with the very
 * same values.
 *
 * <p>Hand it every record from the transaction's commit to the end of the log. Only what committed
 * counts: updates and deletes, not locks, not what was rolled back to a savepoint, not what is
 * still prepared.
 */
public final class TouchedSince {
  private record Touch(RelFile file, long tid) {}

  private final TransactionRows rows;
  private final Set<RelFile> changedFiles;
  private final Map<Long, List<Touch>> open = new HashMap<>();
  private final Set<Long> prepared = new HashSet<>();
  private final Map<RelFile, TidMap> touched = new HashMap<>();
  private final Map<RelFile, Integer> counts = new HashMap<>();
  private final Set<RelFile> gone = new HashSet<>();

  /**
   * @param rows what the transaction changed, complete
   */
  public TouchedSince(TransactionRows rows) {
    this.rows = rows;
    this.changedFiles = rows.changedFiles();
  }

  /** Takes the next record. */
  public void accept(RawRecord record) {
    switch (record.rowChange()) {
      case UPDATE -> touch(record);
      case DELETE -> {
        if (!record.isSuperDelete()) {
          touch(record);
        }
      }
      case INSERT, CONFIRM, MULTI_INSERT, LOCK, INPLACE -> {} // leave the rows of others alone
      case NONE -> {
        switch (record.rmgr()) {
          case ResourceManager.TRANSACTION -> {
            if (record.isPlainCommit()) {
              settle(record.xid());
            } else {
              ended(record.decode());
            }
          }
          case ResourceManager.XLOG -> ended(record.decode());
          default -> {} // nothing else ends transactions
        }
      }
    }
  }

  private void ended(WalRecord record) {
    switch (record) {
      case WalRecord.Commit commit -> {
        settle(commit.transaction());
        commit.subtransactions().forEach(this::settle);
        for (RelFile file : commit.droppedFiles()) {
          if (changedFiles.contains(file)) {
            gone.add(file);
          }
        }
      }
      case WalRecord.Abort abort -> {
        open.remove(abort.transaction());
        abort.subtransactions().forEach(open::remove);
      }
      case WalRecord.Prepare prepare -> {
        prepared.add(prepare.transaction());
        prepared.addAll(prepare.subtransactions());
      }
      case WalRecord.Checkpoint checkpoint -> {
        if (checkpoint.shutdown()) {
          open.keySet().retainAll(prepared);
        }
      }
      case WalRecord.EndOfRecovery _ -> open.keySet().retainAll(prepared);
      default -> {}
    }
  }

  /** Whether a row the transaction left here was written again. */
  public boolean isTouched(RelFile file, Tid after) {
    TidMap tids = touched.get(file);
    return tids != null && tids.get(after.pack()) >= 0;
  }

  /** How many of the rows it left in this file were written again. */
  public int count(RelFile file) {
    return counts.getOrDefault(file, 0);
  }

  /**
   * Files with rows it changed that are no more: the table was dropped, truncated or rewritten
   * since, and positions in the old file say nothing about its rows now.
   */
  public Set<RelFile> filesGone() {
    return Set.copyOf(gone);
  }

  private void touch(RawRecord record) {
    RelFile file = record.file(0);
    long tid = record.oldTid();
    if (rows.left(file, tid)) {
      open.computeIfAbsent(record.xid(), _ -> new ArrayList<>()).add(new Touch(file, tid));
    }
  }

  private void settle(long xid) {
    prepared.remove(xid);
    List<Touch> touches = open.remove(xid);
    if (touches == null) {
      return;
    }
    for (Touch touch : touches) {
      TidMap tids = touched.computeIfAbsent(touch.file, _ -> new TidMap());
      if (tids.get(touch.tid) < 0) {
        tids.put(touch.tid, 0);
        counts.merge(touch.file, 1, Integer::sum);
      }
    }
  }
}
