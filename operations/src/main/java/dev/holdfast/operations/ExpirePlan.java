package dev.holdfast.operations;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What expiring would remove from one cluster, and what stays. Nothing has been removed yet.
 *
 * @param digest names exactly this; applying asks for it
 * @param keepWindow as {@code 28d}
 * @param keepFull full base backups that stay in any case
 * @param keepSummaries as {@code 400d}
 * @param reachableSince every moment from then on stays reachable as far as it is now; null when no
 *     base backup can be used
 * @param keptFromLsn where the WAL that stays begins; null when none is removed
 * @param kept base backups that stay, oldest first
 * @param removed base backups that go, in the order of their going
 * @param wal WAL that goes
 * @param summaries summaries of segments that go
 * @param catalogs catalog snapshots that go
 * @param objects how many objects go
 * @param bytes as stored, of base backups and WAL
 * @param notes what else to know
 */
public record ExpirePlan(
    String cluster,
    String digest,
    String keepWindow,
    int keepFull,
    String keepSummaries,
    @Nullable Instant reachableSince,
    @Nullable String keptFromLsn,
    List<Kept> kept,
    List<Removed> removed,
    List<Wal> wal,
    int summaries,
    int catalogs,
    long objects,
    long bytes,
    List<String> notes) {
  /** A base backup that stays, and why. */
  public record Kept(String label, Instant finishedAt, List<String> why) {}

  /**
   * A base backup that goes.
   *
   * @param finishedAt null for what is left of one that was never published, or already removed
   * @param bytes as stored
   */
  public record Removed(String label, @Nullable Instant finishedAt, long bytes) {}

  /**
   * Neighbouring segments of one timeline that go.
   *
   * @param first the first one's name
   * @param last the last one's name
   * @param bytes as stored
   */
  public record Wal(String first, String last, int segments, long bytes) {}

  /** Whether there is anything to remove. */
  public boolean removesNothing() {
    return objects == 0;
  }
}
