package dev.holdfast.damage;

import dev.holdfast.wal.DroppedStat;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.WalRecord;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a commit record says, however much it says.
 *
 * @param major the major version that wrote it
 */
record Ending(
    int major,
    long xid,
    List<Long> subtransactions,
    Lsn lsn,
    Lsn end,
    Instant time,
    boolean prepared,
    List<RelFile> droppedFiles,
    List<DroppedStat> droppedStats) {
  private static final long EPOCH_SECONDS = 946_684_800L; // 2000-01-01 UTC

  static Ending of(RawRecord record, WalRecord.@Nullable Commit commit) {
    if (commit == null) {
      return new Ending(
          record.majorVersion(),
          record.xid(),
          List.of(),
          new Lsn(record.lsn()),
          new Lsn(record.end()),
          time(record.commitMicros()),
          false,
          List.of(),
          List.of());
    }
    return new Ending(
        record.majorVersion(),
        commit.transaction(),
        commit.subtransactions(),
        commit.lsn(),
        commit.end(),
        commit.time(),
        commit.prepared(),
        commit.droppedFiles(),
        commit.droppedStats());
  }

  /** PostgreSQL's timestamps count microseconds since 2000. */
  static Instant time(long micros) {
    return Instant.ofEpochSecond(
        EPOCH_SECONDS + Math.floorDiv(micros, 1_000_000L),
        Math.floorMod(micros, 1_000_000L) * 1_000L);
  }
}
