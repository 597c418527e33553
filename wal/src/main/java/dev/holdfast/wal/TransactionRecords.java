package dev.holdfast.wal;

import dev.holdfast.wal.WalRecord.Header;
import java.time.Instant;
import java.util.List;

/**
 * Transactions, and what others must know of them ("access/xact.h", "storage/standbydefs.h",
 * "replication/message.h", PostgreSQL 14 to 18).
 */
final class TransactionRecords {
  /** TWOPHASE_MAGIC ("access/transam/twophase.c"). */
  private static final int TWO_PHASE_MAGIC = 0x57F94534;

  private final WalVersion version;

  TransactionRecords(WalVersion version) {
    this.version = version;
  }

  WalRecord transaction(Header header, Cursor data) {
    return switch (header.info() & 0x70) {
      case 0x00 -> finished(header, data, true, false);
      case 0x10 -> prepare(header, data);
      case 0x20 -> finished(header, data, false, false);
      case 0x30 -> finished(header, data, true, true);
      case 0x40 -> finished(header, data, false, true);
      case 0x50 -> {
        long top = data.u32();
        yield new WalRecord.Assignment(header, top, data.list(data.i32(), 4, data::u32));
      }
      case 0x60 -> new WalRecord.Invalidations(header, 0, 0, false, invalidations(data));
      default -> new WalRecord.Other(header);
    };
  }

  private WalRecord finished(Header header, Cursor data, boolean committed, boolean prepared) {
    Instant time = data.timestamp();
    int present = (header.info() & 0x80) != 0 ? data.i32() : 0;
    long database = (present & 0x001) != 0 ? data.u32() : 0;
    long tablespace = (present & 0x001) != 0 ? data.u32() : 0;
    List<Long> subtransactions =
        (present & 0x002) != 0 ? data.list(data.i32(), 4, data::u32) : List.of();
    List<RelFile> files =
        (present & 0x004) != 0 ? data.list(data.i32(), 12, data::relFile) : List.of();
    List<DroppedStat> stats = (present & 0x100) != 0 ? droppedStats(data, data.i32()) : List.of();
    List<Invalidation> invalidations =
        committed && (present & 0x008) != 0 ? invalidations(data) : List.of();
    long transaction = (present & 0x010) != 0 ? data.u32() : header.xid();
    String gid = (present & 0x090) == 0x090 ? data.terminatedText() : null;
    OriginPosition origin = (present & 0x020) != 0 ? origin(data) : null;
    return committed
        ? new WalRecord.Commit(
            header,
            transaction,
            prepared,
            time,
            database,
            tablespace,
            subtransactions,
            files,
            stats,
            invalidations,
            gid,
            origin,
            present)
        : new WalRecord.Abort(
            header,
            transaction,
            prepared,
            time,
            database,
            tablespace,
            subtransactions,
            files,
            stats,
            gid,
            origin,
            present);
  }

  private WalRecord prepare(Header header, Cursor data) {
    int magic = data.i32();
    if (magic != TWO_PHASE_MAGIC) {
      throw new MalformedRecordException(
          "the state of a prepared transaction begins with %08X".formatted(magic));
    }
    data.skip(4); // length of the state file
    long transaction = data.u32();
    long database = data.u32();
    Instant time = data.timestamp();
    long owner = data.u32();
    int subtransactions = data.i32();
    int commitFiles = data.i32();
    int abortFiles = data.i32();
    int commitStats = version.hasDroppedStats() ? data.i32() : 0;
    int abortStats = version.hasDroppedStats() ? data.i32() : 0;
    int invalidations = data.i32();
    boolean updatesRelationCacheFile = data.bool();
    data.skip(1);
    int gidLength = data.u16();
    OriginPosition position = origin(data.align8());
    return new WalRecord.Prepare(
        header,
        transaction,
        database,
        owner,
        data.text(gidLength),
        time,
        data.align8().list(subtransactions, 4, data::u32),
        data.align8().list(commitFiles, 12, data::relFile),
        data.align8().list(abortFiles, 12, data::relFile),
        droppedStats(data.align8(), commitStats),
        droppedStats(data.align8(), abortStats),
        data.align8().list(invalidations, Invalidation.SIZE, () -> Invalidation.read(data)),
        updatesRelationCacheFile,
        header.origin() != 0 ? position : null);
  }

  private List<DroppedStat> droppedStats(Cursor data, int count) {
    if (count != 0 && !version.hasDroppedStats()) {
      throw new MalformedRecordException("a commit of PostgreSQL 14 lists dropped statistics");
    }
    boolean wide = version.droppedStatSize() == 16;
    return data.list(
        count,
        version.droppedStatSize(),
        () ->
            new DroppedStat(
                data.i32(), data.u32(), wide ? data.u32() | data.u32() << 32 : data.u32()));
  }

  private static List<Invalidation> invalidations(Cursor data) {
    return data.list(data.i32(), Invalidation.SIZE, () -> Invalidation.read(data));
  }

  private static OriginPosition origin(Cursor data) {
    return new OriginPosition(data.lsn(), data.timestamp());
  }

  WalRecord standby(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x00 ->
          new WalRecord.StandbyLock(
              header,
              data.list(
                  data.i32(),
                  12,
                  () ->
                      new WalRecord.StandbyLock.Lock(
                          data.u32(), new RelationId(data.u32(), data.u32()))));
      case 0x10 -> runningXacts(header, data);
      case 0x20 -> {
        long database = data.u32();
        long tablespace = data.u32();
        boolean updatesRelationCacheFile = data.bool();
        data.skip(3);
        yield new WalRecord.Invalidations(
            header, database, tablespace, updatesRelationCacheFile, invalidations(data));
      }
      default -> new WalRecord.Other(header);
    };
  }

  private static WalRecord runningXacts(Header header, Cursor data) {
    int transactions = data.i32();
    int subtransactions = data.i32();
    boolean overflowed = data.bool();
    data.skip(3);
    return new WalRecord.RunningXacts(
        header,
        data.u32(),
        data.u32(),
        data.u32(),
        data.list(transactions, 4, data::u32),
        data.list(subtransactions, 4, data::u32),
        overflowed);
  }

  WalRecord message(Header header, Cursor data) {
    if (TypedRecords.opcode(header) != 0x00) {
      return new WalRecord.Other(header);
    }
    long database = data.u32();
    boolean transactional = data.bool();
    data.skip(3);
    long prefixLength = data.i64();
    long messageLength = data.i64();
    String prefix = data.text(prefixLength);
    return new WalRecord.LogicalMessage(
        header, database, transactional, prefix, data.bytes(messageLength));
  }
}
