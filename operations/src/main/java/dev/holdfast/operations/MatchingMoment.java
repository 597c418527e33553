package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.ProductionSnapshot;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalRecord;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/**
 * The position of the log that leaves exactly what a snapshot of production saw.
 *
 * <p>A transaction is in the log before snapshots see it, and two that commit at once may be seen
 * in the other order: then no position is right, and another snapshot is taken. Between commits
 * that overlap lie moments without any, so a few tries find one. What the log is not read far
 * enough back for (a commit that waits for a standby for long), the restored copy tells.
 */
final class MatchingMoment {
  private static final int TRIES_MAX = 10;
  private static final Duration RECORDED_MAX = Duration.ofSeconds(30);
  private static final long RECORDED_POLL_NANOS = 50_000_000L;

  /** How far before the snapshot the log is read for commits that it does not see. */
  private static final long WINDOW_BYTES = 16L << 20;

  private final ClusterStore cluster;
  private final ProductionSnapshot snapshot;

  private MatchingMoment(ClusterStore cluster, ProductionSnapshot snapshot) {
    this.cluster = cluster;
    this.snapshot = snapshot;
  }

  /**
   * Takes snapshots until one has such a position; the last one stays open. Where none of them had,
   * the last one's best: comparing then tells how many transactions are between.
   *
   * @throws OperatorException REFUSED when what production wrote does not get recorded
   */
  static RecoveryTarget find(ClusterStore cluster, ProductionSnapshot snapshot, Progress progress) {
    MatchingMoment moment = new MatchingMoment(cluster, snapshot);
    for (int attempt = 1; ; attempt++) {
      snapshot.take();
      Order order = moment.order(progress);
      if (order.fits() || attempt == TRIES_MAX) {
        return RecoveryTarget.before(order.target());
      }
    }
  }

  /** What the log says of commits around the snapshot, as it is read. */
  private static final class Order {
    private final Lsn after;
    private Lsn lastSeen = Lsn.NONE;
    private Lsn firstUnseen = Lsn.NONE;
    private boolean crossed;

    private Order(Lsn after) {
      this.after = after;
    }

    private void commit(Lsn at, boolean seen) {
      if (seen) {
        lastSeen = at;
        crossed |= !firstUnseen.equals(Lsn.NONE);
        firstUnseen = Lsn.NONE;
      } else if (firstUnseen.equals(Lsn.NONE)) {
        firstUnseen = at;
      }
    }

    /** Whether all that is seen is before all that is not. */
    private boolean fits() {
      return !crossed;
    }

    /** After the last commit that is seen, before the next that is not. */
    private Lsn target() {
      return firstUnseen.equals(Lsn.NONE) || firstUnseen.isBefore(lastSeen) ? after : firstUnseen;
    }
  }

  private Order order(Progress progress) {
    RecordedWal wal = recorded();
    Order order = new Order(snapshot.after());
    long from = Math.max(0, snapshot.flushed().position() - WINDOW_BYTES);
    try (Progress.Phase phase =
        progress.begin(
            "finding the snapshot's place in the log",
            wal.bytes(new Lsn(from), snapshot.after()),
            Progress.Unit.BYTES)) {
      wal.read(
          new Lsn(from),
          snapshot.after(),
          phase,
          record -> {
            if (record.rmgr() == ResourceManager.TRANSACTION
                && record.decode() instanceof WalRecord.Commit commit) {
              order.commit(new Lsn(record.lsn()), snapshot.sees(commit.transaction()));
            }
          });
    }
    return order;
  }

  private RecordedWal recorded() {
    long deadline = System.nanoTime() + RECORDED_MAX.toNanos();
    RecordedWal wal = new RecordedWal(cluster);
    while (wal.end().isBefore(snapshot.after())) {
      if (System.nanoTime() > deadline) {
        String name = cluster.document().name();
        throw new OperatorException(
            Kind.REFUSED,
            "cannot compare tables of " + name + " with production",
            "what production wrote up to %s is not recorded after %d s: recorded is up to %s"
                .formatted(snapshot.after(), RECORDED_MAX.toSeconds(), wal.end()),
            "see that `holdfast record " + name + "` is running, or prove without --tables");
      }
      LockSupport.parkNanos(RECORDED_POLL_NANOS);
      wal = new RecordedWal(cluster);
    }
    return wal;
  }
}
