package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.util.Random;

/** A moment drawn from all that can be reached, every byte of the log as likely as another. */
final class RandomMoment {
  private RandomMoment() {}

  /**
   * Draws one.
   *
   * @throws OperatorException REFUSED when none can be reached
   */
  static Lsn draw(ClusterStore cluster, long seed) {
    RecordedWal wal = new RecordedWal(cluster);
    long all = 0;
    for (RecordedWal.Span span : wal.spans()) {
      all += reachable(cluster, span);
    }
    if (all <= 0) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot draw a moment of " + cluster.document().name(),
          "none can be reached: no base backup has the WAL after it",
          "holdfast backup " + cluster.document().name());
    }
    long drawn = new Random(seed).nextLong(all) + 1;
    for (RecordedWal.Span span : wal.spans()) {
      long here = reachable(cluster, span);
      if (drawn <= here) {
        return span.to().plus(drawn - here);
      }
      drawn -= here;
    }
    throw new IllegalStateException("drawn past the end");
  }

  /** Bytes of a stretch of WAL after the end of the first base backup in it. */
  private static long reachable(ClusterStore cluster, RecordedWal.Span span) {
    return cluster.bases().list().stream()
        .filter(base -> !new Lsn(base.startLsn()).isBefore(span.from()))
        .map(BaseManifest::stopLsn)
        .map(Lsn::new)
        .filter(stop -> !stop.isAfter(span.to()))
        .mapToLong(stop -> span.to().minus(stop))
        .max()
        .orElse(0);
  }
}
