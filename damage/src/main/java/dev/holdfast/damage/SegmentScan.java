package dev.holdfast.damage;

import dev.holdfast.damage.OpenTransaction.Rows;
import dev.holdfast.wal.ChangedBlocks;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Makes summaries: hand it every record in order and cut at the end of each segment.
 *
 * <p>A summary is exact when the scan has seen every record from {@link SegmentSummary#openSince}
 * of the segment before on; what was seen before the segment is cut off and dropped. The damage it
 * reports is {@link DamageScan}'s, names of tables younger than the recorded catalog as far as
 * their making was read. Not thread-safe.
 */
public final class SegmentScan {
  private static final int RESTORE_POINT = 0x70;
  private static final int PARAMETER_CHANGE = 0x60;

  private final FileNumbers scanned = new FileNumbers();

  /**
   * A queue that deletes a row in each transaction must not make a summary as long as its log: of
   * more than this the worst are kept.
   */
  static final int DESTRUCTIVE_MAX = 200;

  private final TransactionScan scan;
  private final Settlements settlements;
  private final Consumer<TransactionDamage> onDestructive;
  private final ChangedBlocks blocks = new ChangedBlocks();

  // Since the last cut.
  private final FileNumbers files = new FileNumbers();
  private long[] inserted = new long[128];
  private long[] updated = new long[128];
  private long[] deleted = new long[128];
  private long commits;
  private long firstCommit;
  private long lastCommit;
  private long earliestMicros = Long.MAX_VALUE;
  private long latestMicros = Long.MIN_VALUE;
  private long extensionRecords;
  private boolean minimal;
  private final List<TransactionDamage> destructive = new ArrayList<>();
  private final List<SegmentSummary.RestorePoint> restorePoints = new ArrayList<>();

  /**
   * @param names resolves files and OIDs
   * @param onDestructive gets every transaction that may have destroyed something, at its commit
   */
  public SegmentScan(RelationNames names, Consumer<TransactionDamage> onDestructive) {
    LearntNames learnt = new LearntNames(names);
    this.scan = new TransactionScan(learnt, scanned, this::committed);
    this.settlements = new Settlements(learnt, scanned, scan);
    this.onDestructive = onDestructive;
  }

  /** Takes the next record. */
  public void accept(RawRecord record) {
    scan.accept(record);
    blocks.accept(record);
    int rmgr = record.rmgr();
    if (rmgr == ResourceManager.XLOG) {
      remember(record);
    } else if (ResourceManager.isExtension(rmgr)) {
      extensionRecords++;
    }
  }

  /** The blocks changed since the last cut, as {@link ChangedBlocks#encode} has them. */
  public byte[] changedBlocks() {
    return blocks.encode();
  }

  /**
   * What was accepted since the last cut; the next segment begins.
   *
   * @param from position of the segment's first byte
   * @param to position just past its last byte
   * @param readTo where the next record starts: {@link dev.holdfast.wal.WalReader#position}
   */
  public SegmentSummary cut(Lsn from, Lsn to, Lsn readTo) {
    Lsn open = scan.openSince(to);
    boolean any = commits > 0;
    SegmentSummary summary =
        new SegmentSummary(
            from,
            to,
            readTo.isBefore(open) ? readTo : open,
            commits,
            any ? new Lsn(firstCommit) : null,
            any ? new Lsn(lastCommit) : null,
            any ? Ending.time(earliestMicros) : null,
            any ? Ending.time(latestMicros) : null,
            extensionRecords,
            minimal,
            relations(),
            worst(),
            destructive.size() > DESTRUCTIVE_MAX,
            List.copyOf(restorePoints));
    blocks.clear();
    Arrays.fill(inserted, 0, files.limit(), 0);
    Arrays.fill(updated, 0, files.limit(), 0);
    Arrays.fill(deleted, 0, files.limit(), 0);
    files.clear();
    commits = 0;
    earliestMicros = Long.MAX_VALUE;
    latestMicros = Long.MIN_VALUE;
    extensionRecords = 0;
    minimal = false;
    destructive.clear();
    restorePoints.clear();
    return summary;
  }

  /** All that may have destroyed something, or the worst of them, in the order of the log. */
  private List<TransactionDamage> worst() {
    if (destructive.size() <= DESTRUCTIVE_MAX) {
      return List.copyOf(destructive);
    }
    return destructive.stream()
        .sorted(Comparator.comparing(TransactionDamage::severity).reversed())
        .limit(DESTRUCTIVE_MAX)
        .sorted(Comparator.comparing(TransactionDamage::commitLsn))
        .toList();
  }

  private List<SegmentSummary.RelationCounts> relations() {
    List<SegmentSummary.RelationCounts> relations = new ArrayList<>(files.limit());
    for (int id = 0; id < files.limit(); id++) {
      relations.add(
          new SegmentSummary.RelationCounts(
              files.file(id), inserted[id], updated[id], deleted[id]));
    }
    return List.copyOf(relations);
  }

  private void remember(RawRecord record) {
    int opcode = record.info() & 0xF0;
    if (opcode == RESTORE_POINT && record.decode() instanceof WalRecord.RestorePoint point) {
      restorePoints.add(new SegmentSummary.RestorePoint(point.lsn(), point.time(), point.name()));
    } else if (opcode == PARAMETER_CHANGE
        && record.decode() instanceof WalRecord.ParameterChange change) {
      minimal |= change.walLevel() == WalRecord.ParameterChange.MINIMAL;
    }
  }

  private void committed(
      @Nullable OpenTransaction transaction, RawRecord record, WalRecord.@Nullable Commit commit) {
    commits++;
    if (commits == 1) {
      firstCommit = record.lsn();
    }
    lastCommit = record.lsn();
    long micros = record.commitMicros(); // the time comes first, whatever follows it
    earliestMicros = Math.min(earliestMicros, micros);
    latestMicros = Math.max(latestMicros, micros);
    boolean suspicious = commit != null;
    if (transaction != null) {
      suspicious |= !transaction.onlyChangedRows() || transaction.origin.tellsOfLoss();
      for (int index = 0; index < transaction.files(); index++) {
        Rows rows = transaction.rows(index);
        suspicious |= add(rows) || scan.rulesTheGuard(rows.file, new Lsn(record.lsn()));
      }
    }
    if (suspicious) {
      TransactionDamage damage = settlements.of(transaction, record, commit);
      if (damage != null && damage.isDestructive()) {
        destructive.add(damage);
        onDestructive.accept(damage);
      }
    }
  }

  /** Counts the rows; whether they need a closer look. */
  private boolean add(Rows rows) {
    RelFile file = scanned.file(rows.file);
    if (file.number() < TransactionScan.FIRST_NORMAL_OID) {
      return false;
    }
    int id = files.of(file);
    if (id >= inserted.length) {
      inserted = Arrays.copyOf(inserted, 2 * id);
      updated = Arrays.copyOf(updated, 2 * id);
      deleted = Arrays.copyOf(deleted, 2 * id);
    }
    inserted[id] += rows.inserted;
    updated[id] += rows.updated;
    deleted[id] += rows.deleted;
    return rows.deleted > 0 || rows.updated >= TransactionDamage.UPDATES_MIN;
  }
}
