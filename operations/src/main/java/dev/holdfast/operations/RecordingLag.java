package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.postgres.WalPosition;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * How far what is recorded is behind production, measured without writing there: what production
 * has on its disk now, and how long it takes until that is in the repository.
 *
 * @param behindBytes WAL that was not in the repository when production was asked
 * @param behind until it was; null when it did not get there in time
 * @param isAwaited whether it was waited for: not where no recorder is connected to production, be
 *     it that none runs or that it takes WAL from a folder
 */
record RecordingLag(long behindBytes, @Nullable Duration behind, boolean isAwaited) {
  private static final long POLL_NANOS = 20_000_000L;

  /**
   * Asks and waits.
   *
   * @param given a URL of the operator's choice; null: what {@code protect} kept
   * @param patience no longer than this, and not at all where no recorder is connected
   * @throws OperatorException when production does not answer, or another server does
   */
  static RecordingLag measure(ClusterStore cluster, @Nullable String given, Duration patience) {
    PostgresUrl url = Connections.recorder(cluster.document(), given);
    String found = ServerFacts.read(url).systemIdentifier();
    if (!found.equals(cluster.document().systemIdentifier())) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot tell how far the recorder of " + cluster.document().name() + " is behind",
          "another cluster answers at " + url.redacted() + ": its system identifier is " + found,
          "find out where " + cluster.document().name() + " is");
    }
    Lsn written = WalPosition.flushed(url);
    boolean recording = WalReceiver.isActive(url, cluster.document().name());
    return until(cluster, written, recording ? patience : Duration.ZERO);
  }

  /** Waits until a position is recorded. */
  static RecordingLag until(ClusterStore cluster, Lsn written, Duration patience) {
    long beganNanos = System.nanoTime();
    boolean isAwaited = patience.isPositive();
    Lsn recorded = new RecordedWal(cluster).end();
    long bytes = Math.max(0, written.minus(recorded));
    while (recorded.isBefore(written)) {
      if (System.nanoTime() - beganNanos > patience.toNanos()) {
        return new RecordingLag(bytes, null, isAwaited);
      }
      LockSupport.parkNanos(POLL_NANOS);
      recorded = new RecordedWal(cluster).end();
    }
    return new RecordingLag(
        bytes,
        bytes == 0 ? Duration.ZERO : Duration.ofNanos(System.nanoTime() - beganNanos),
        isAwaited);
  }
}
