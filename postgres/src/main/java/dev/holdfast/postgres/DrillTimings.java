package dev.holdfast.postgres;

import java.time.Duration;

/**
 * What a restore took.
 *
 * @param wal until the WAL was fetched and checked
 * @param base until the base backup was fetched
 * @param durable until all of it was on the disk
 * @param replay until the WAL was replayed, as the server's log tells
 * @param start until the server would take writes
 */
public record DrillTimings(
    Duration wal, Duration base, Duration durable, Duration replay, Duration start) {
  /** From nothing to a server that takes writes. */
  public Duration total() {
    return wal.plus(base).plus(durable).plus(replay).plus(start);
  }
}
