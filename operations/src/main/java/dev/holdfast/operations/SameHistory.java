package dev.holdfast.operations;

import dev.holdfast.postgres.DatabaseShape;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.LeaseDocument;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.TimelineSegments;
import dev.holdfast.wal.WalRecord;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;

/**
 * Whether a server wrote, or replays, the very WAL that is recorded. A copy of the data directory
 * has everything else of the original: its system identifier, its stamp, its rows. But nobody
 * records from it, and it begins with a recovery, which ends with a checkpoint of its own.
 */
enum SameHistory {
  /** It is recorded at this moment, or its newest checkpoint is what is recorded there. */
  YES,
  /** Something else is recorded where its checkpoint is. */
  NO,
  /** A recorder is at work, and not on this server. */
  RECORDED_ELSEWHERE,
  /** It writes on a newer timeline than what is recorded: promoted, or restored and started. */
  WENT_ON,
  /** Nobody records, and its newest checkpoint is past what is recorded. */
  NOT_RECORDED,
  /** It does not say what its newest checkpoint is, or that is older than everything recorded. */
  UNKNOWN;

  /** A recorder stores what it received about once a second; a busy one takes longer. */
  private static final Duration RECORDED_WITHIN = Duration.ofSeconds(6);

  /** A checkpoint's record is some 150 bytes, and may begin just before a page's header. */
  private static final int RECORD_MAX = 1024;

  private static final Duration LOOKING_AGAIN = Duration.ofMillis(200);

  /** Until when a recorder may be waited for that begins to be waited for now. */
  static long deadline() {
    return System.nanoTime() + RECORDED_WITHIN.toNanos();
  }

  /**
   * A recorder that is at work may be a little behind: waits for it.
   *
   * @param receivers who receives the server's WAL, asked again
   * @param deadline {@link System#nanoTime()} until which
   */
  static SameHistory of(
      DatabaseShape shape, Supplier<List<String>> receivers, ClusterStore cluster, long deadline) {
    String recorder = WalReceiver.applicationName(cluster.document().name());
    boolean recordedHere = shape.receivers().contains(recorder);
    DatabaseShape.Checkpoint checkpoint = shape.checkpoint();
    if (checkpoint == null) {
      return recordedHere ? YES : UNKNOWN;
    }
    while (true) {
      RecordedWal wal = new RecordedWal(cluster);
      SameHistory seen = isLeftBehind(shape, wal) ? NO : at(checkpoint, wal);
      boolean recording = isRecording(cluster);
      if (seen == NO || recordedHere) {
        return seen == NO ? NO : YES;
      }
      if (!recording) {
        // Of two servers with the same last checkpoint nothing tells which one it is.
        return seen == YES && !shape.inRecovery() ? NOT_RECORDED : seen;
      }
      // A copy of a server that was stopped has its last checkpoint; a standby is not recorded.
      if (seen == YES && shape.inRecovery()) {
        return YES;
      }
      if (System.nanoTime() > deadline) {
        return seen == UNKNOWN ? UNKNOWN : wentOn(shape, wal) ? WENT_ON : RECORDED_ELSEWHERE;
      }
      LockSupport.parkNanos(LOOKING_AGAIN.toNanos()); // a repository tells nobody of what came
      // At the end of a timeline it leaves for a moment and comes again.
      recordedHere = receivers.get().contains(recorder);
    }
  }

  /**
   * A failover begins a new timeline, which is recorded from then on; the old primary, started
   * again, writes on the old one, though its last checkpoint may be what is recorded.
   */
  private static boolean isLeftBehind(DatabaseShape shape, RecordedWal wal) {
    Integer timeline = shape.timeline();
    return timeline != null && Integer.compareUnsigned(timeline, wal.timeline()) < 0;
  }

  private static boolean wentOn(DatabaseShape shape, RecordedWal wal) {
    Integer timeline = shape.timeline();
    return timeline != null && Integer.compareUnsigned(timeline, wal.timeline()) > 0;
  }

  private static SameHistory at(DatabaseShape.Checkpoint checkpoint, RecordedWal wal) {
    List<TimelineSegments.Held> segments = wal.segments();
    if (segments.isEmpty()) {
      return NOT_RECORDED;
    }
    if (checkpoint.lsn().isBefore(segments.getFirst().name().start())) {
      return UNKNOWN;
    }
    Lsn next = checkpoint.lsn().plus(1);
    if (!wal.holds(checkpoint.lsn(), next)) {
      return wal.end().isAfter(next) ? UNKNOWN : NOT_RECORDED; // a hole, or not yet
    }
    List<WalRecord> found = new ArrayList<>();
    try (Progress.Phase silent = Progress.SILENT.begin("", 0, Progress.Unit.BYTES)) {
      wal.read(checkpoint.lsn(), next, silent, record -> found.add(record.decode()));
    }
    if (found.isEmpty()) { // no record begins there, or not all of it has come
      return wal.end().isAfter(checkpoint.lsn().plus(RECORD_MAX)) ? NO : NOT_RECORDED;
    }
    return found.getFirst() instanceof WalRecord.Checkpoint recorded
            && recorded.timeline() == checkpoint.timeline()
            && recorded.time().equals(checkpoint.time())
        ? YES
        : NO;
  }

  /** By its clock, which may be another machine's: no more than a reason to wait, or to doubt. */
  private static boolean isRecording(ClusterStore cluster) {
    LeaseDocument holder = cluster.leaseHolder(RecorderPlace.ROLE);
    return holder != null
        && !holder.released()
        && holder
            .renewedAt()
            .plusMillis((long) (holder.termSeconds() * 1000))
            .isAfter(Instant.now());
  }
}
