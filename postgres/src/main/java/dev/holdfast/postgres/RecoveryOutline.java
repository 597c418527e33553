package dev.holdfast.postgres;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.util.List;

/**
 * What a recovery would be made from: known before anything is fetched.
 *
 * @param base the base backup it begins with
 * @param timeline the timeline the target lies on
 * @param from where replay begins
 * @param segments the WAL segments that hold what is replayed, in order; the last record may reach
 *     into one more
 * @param walBytes of those segments, before compression
 * @param recordedThrough where recorded WAL ends on this way
 */
public record RecoveryOutline(
    BaseManifest base,
    int timeline,
    Lsn from,
    List<String> segments,
    long walBytes,
    Lsn recordedThrough) {
  /** Copies the list. */
  public RecoveryOutline {
    segments = List.copyOf(segments);
  }

  /**
   * Finds it.
   *
   * @param what the operation that fails when there is no way
   * @throws OperatorException REFUSED when the target cannot be reached; names the nearest that can
   */
  public static RecoveryOutline of(String what, ClusterStore cluster, RecoveryTarget target) {
    RecoveryRoute route = RecoveryRoute.choose(what, cluster, target);
    long bytes = RestoredWal.bytes(route, target);
    return new RecoveryOutline(
        route.base(),
        route.timeline(),
        route.start(),
        route.segments().subList(0, (int) (bytes / route.base().walSegmentSize())),
        bytes,
        route.recordedEnd());
  }
}
