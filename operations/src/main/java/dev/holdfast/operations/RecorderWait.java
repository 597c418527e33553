package dev.holdfast.operations;

import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.WalPosition;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/**
 * The recorder is always a moment behind a server that is written to, and what it has not received
 * cannot be known to have touched a row.
 */
final class RecorderWait {
  private static final Duration RECORDED_MAX = Duration.ofSeconds(3);
  private static final long RECORDED_POLL_NANOS = 50_000_000L;

  private final ClusterStore cluster;
  private final Lsn written;
  private final long deadlineNanos;
  private Lsn recorded = Lsn.NONE;
  private boolean waited;

  private RecorderWait(ClusterStore cluster, Lsn written) {
    this.cluster = cluster;
    this.written = written;
    this.deadlineNanos = System.nanoTime() + RECORDED_MAX.toNanos();
  }

  /** For what production has written by now. */
  static RecorderWait of(ClusterStore cluster, PostgresUrl production) {
    return new RecorderWait(cluster, WalPosition.flushed(production));
  }

  /** For one who asks only for what is recorded. */
  static RecorderWait none(ClusterStore cluster) {
    return new RecorderWait(cluster, Lsn.NONE);
  }

  /** Returns when all of it is recorded, or when the recorder has had its time. */
  void await() {
    waited = true;
    recorded = new RecordedWal(cluster).end();
    while (recorded.isBefore(written) && System.nanoTime() < deadlineNanos) {
      LockSupport.parkNanos(RECORDED_POLL_NANOS);
      recorded = new RecordedWal(cluster).end();
    }
  }

  /** What the operator should know; empty when all that mattered is recorded. */
  String behind() {
    return waited && recorded.isBefore(written)
        ? written.minus(recorded)
            + " bytes of WAL are not recorded: rows that were written again in them with the very"
            + " same values cannot be told; is `holdfast record "
            + cluster.document().name()
            + "` running?"
        : "";
  }
}
