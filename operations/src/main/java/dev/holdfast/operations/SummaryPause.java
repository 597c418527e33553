package dev.holdfast.operations;

import java.time.Duration;

/** When the recorder may make the summaries of the segments that have just been completed. */
final class SummaryPause {
  /** What the catalog said while the segment was filling may still be on its way. */
  private static final Duration CAUGHT_UP = Duration.ofSeconds(1);

  /** The server's WAL comes first, but not for ever, should the server always be ahead. */
  private static final Duration FAR_BEHIND = Duration.ofSeconds(30);

  private static final int SEGMENTS_MAX = 4;

  private SummaryPause() {}

  /**
   * Whether to wait no longer.
   *
   * @param waited since a segment was completed
   * @param behindBytes how much WAL the server has that has not arrived
   */
  static boolean isOver(Duration waited, long behindBytes, int segmentBytes) {
    boolean far = behindBytes > (long) SEGMENTS_MAX * segmentBytes;
    return waited.compareTo(far ? FAR_BEHIND : CAUGHT_UP) > 0;
  }
}
