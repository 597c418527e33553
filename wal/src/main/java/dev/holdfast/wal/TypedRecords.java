package dev.holdfast.wal;

import dev.holdfast.wal.WalRecord.Header;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * Makes values of records: the main data of the kinds we know ("access/xact.h",
 * "access/heapam_xlog.h", "catalog/pg_control.h", "catalog/storage_xlog.h",
 * "commands/dbcommands_xlog.h", "storage/standbydefs.h", "replication/message.h", PostgreSQL 14 to
 * 18). Keeps no reference to the bytes.
 */
final class TypedRecords {
  private final WalVersion version;

  TypedRecords(WalVersion version) {
    this.version = version;
  }

  /**
   * @throws MalformedRecordException when its main data does not add up
   */
  WalRecord of(RawRecord raw) {
    Header header = raw.header();
    return switch (raw.rmgr()) {
      case ResourceManager.HEAP, ResourceManager.HEAP2 -> heap(header, raw);
      case ResourceManager.TRANSACTION -> transaction(header, raw.mainCursor());
      case ResourceManager.XLOG -> xlog(header, raw.mainCursor());
      case ResourceManager.STORAGE -> storage(header, raw.mainCursor());
      case ResourceManager.DATABASE -> database(header, raw.mainCursor());
      case ResourceManager.STANDBY -> standby(header, raw.mainCursor());
      case ResourceManager.LOGICAL_MESSAGE -> message(header, raw.mainCursor());
      default -> new WalRecord.Other(header);
    };
  }

  // ---- rows ------------------------------------------------------------------------------------

  private static WalRecord heap(Header header, RawRecord raw) {
    return switch (raw.rowChange()) {
      case INSERT ->
          new WalRecord.HeapInsert(
              header, raw.file(0), Tid.unpack(raw.newTid(0)), raw.isSpeculative());
      case CONFIRM -> new WalRecord.HeapConfirm(header, raw.file(0), Tid.unpack(raw.newTid(0)));
      case MULTI_INSERT -> {
        int[] offsets = new int[raw.rows()];
        for (int row = 0; row < offsets.length; row++) {
          offsets[row] = Tid.unpack(raw.newTid(row)).offset();
        }
        yield new WalRecord.HeapMultiInsert(header, raw.file(0), raw.block(0), offsets);
      }
      case UPDATE ->
          new WalRecord.HeapUpdate(
              header,
              raw.file(0),
              Tid.unpack(raw.oldTid()),
              Tid.unpack(raw.newTid(0)),
              raw.isHot());
      case DELETE ->
          new WalRecord.HeapDelete(
              header,
              raw.file(0),
              Tid.unpack(raw.oldTid()),
              raw.isSuperDelete(),
              raw.isPartitionMove());
      case LOCK -> new WalRecord.HeapLock(header, raw.file(0), Tid.unpack(raw.oldTid()));
      case INPLACE -> new WalRecord.HeapInplace(header, raw.file(0), Tid.unpack(raw.newTid(0)));
      case NONE ->
          raw.rmgr() == ResourceManager.HEAP // the only one: TRUNCATE
              ? truncate(header, raw.mainCursor())
              : new WalRecord.Other(header); // pruning, vacuuming, freezing
    };
  }

  private static WalRecord truncate(Header header, Cursor data) {
    long database = data.u32();
    long count = data.u32();
    int flags = data.u8();
    data.skip(3);
    return new WalRecord.HeapTruncate(
        header, database, data.list(count, 4, data::u32), (flags & 0x01) != 0, (flags & 0x02) != 0);
  }

  // ---- transactions ----------------------------------------------------------------------------

  private WalRecord transaction(Header header, Cursor data) {
    return switch (header.info() & 0x70) {
      case 0x00 -> finished(header, data, true, false);
      case 0x10 -> prepare(header, data);
      case 0x20 -> finished(header, data, false, false);
      case 0x30 -> finished(header, data, true, true);
      case 0x40 -> finished(header, data, false, true);
      case 0x50 -> {
        long top = data.u32();
        yield new WalRecord.Assignment(header, top, data.list(data.u32(), 4, data::u32));
      }
      default -> new WalRecord.Other(header);
    };
  }

  private WalRecord finished(Header header, Cursor data, boolean committed, boolean prepared) {
    Instant time = data.timestamp();
    int present = (header.info() & 0x80) != 0 ? data.i32() : 0;
    if ((present & 0x001) != 0) {
      data.skip(8); // database and tablespace: block references name them too, and always
    }
    List<Long> subtransactions =
        (present & 0x002) != 0 ? data.list(data.i32(), 4, data::u32) : List.of();
    List<RelFile> dropped =
        (present & 0x004) != 0 ? data.list(data.i32(), 12, data::relFile) : List.of();
    List<DroppedStat> stats = (present & 0x100) != 0 ? droppedStats(data) : List.of();
    List<RelationId> invalidated = (present & 0x008) != 0 ? invalidatedRelations(data) : List.of();
    long transaction = (present & 0x010) != 0 ? data.u32() : header.xid();
    String gid = (present & 0x080) != 0 ? data.terminatedText() : null;
    return committed
        ? new WalRecord.Commit(
            header, transaction, prepared, time, subtransactions, dropped, stats, invalidated, gid)
        : new WalRecord.Abort(header, transaction, prepared, time, subtransactions, dropped);
  }

  private List<DroppedStat> droppedStats(Cursor data) {
    if (!version.hasDroppedStats()) {
      throw new MalformedRecordException("a commit of PostgreSQL 14 lists dropped statistics");
    }
    int count = data.i32();
    boolean wide = version.droppedStatSize() == 16;
    return data.list(
        count,
        version.droppedStatSize(),
        () ->
            new DroppedStat(
                data.i32(), data.u32(), wide ? data.u32() | data.u32() << 32 : data.u32()));
  }

  /** The relations among the cache invalidation messages ("storage/sinval.h"). */
  private static List<RelationId> invalidatedRelations(Cursor data) {
    int count = data.i32();
    List<RelationId> relations = new ArrayList<>();
    data.list(
        count,
        16,
        () -> {
          int kind = (byte) data.u8();
          data.skip(3);
          long database = data.u32();
          long relation = data.u32();
          data.skip(4);
          if (kind == -2) {
            relations.add(new RelationId(database, relation));
          }
          return kind;
        });
    return List.copyOf(relations);
  }

  private WalRecord prepare(Header header, Cursor data) {
    data.skip(8); // magic of the two-phase state file and its length
    long transaction = data.u32();
    long database = data.u32();
    Instant time = data.timestamp();
    long owner = data.u32();
    int subtransactions = data.i32();
    int commitFiles = data.i32();
    data.skip(4); // files to remove on abort
    if (version.hasDroppedStats()) {
      data.skip(8); // statistics to drop on commit, on abort
    }
    data.skip(4 + 2); // invalidation messages, whether the relcache's init file goes
    int gidLength = data.u16();
    data.align8().skip(16); // replication origin
    String gid = data.text(gidLength);
    data.align8();
    List<Long> subxids = data.list(subtransactions, 4, data::u32);
    data.align8();
    List<RelFile> files = data.list(commitFiles, 12, data::relFile);
    return new WalRecord.Prepare(header, transaction, database, owner, gid, time, subxids, files);
  }

  // ---- storage and databases -------------------------------------------------------------------

  private static WalRecord storage(Header header, Cursor data) {
    return switch (header.info() & 0xF0) {
      case 0x10 -> new WalRecord.StorageCreate(header, data.relFile(), data.i32());
      case 0x20 -> {
        long blocks = data.u32();
        yield new WalRecord.StorageTruncate(header, data.relFile(), blocks);
      }
      default -> new WalRecord.Other(header);
    };
  }

  private WalRecord database(Header header, Cursor data) {
    int opcode = header.info() & 0xF0;
    if (opcode == version.databaseDropOpcode()) {
      long database = data.u32();
      return new WalRecord.DatabaseDrop(header, database, data.list(data.i32(), 4, data::u32));
    }
    return switch (opcode) {
      case 0x00 -> new WalRecord.DatabaseCreate(header, data.u32(), data.u32(), data.u32());
      case 0x10 -> new WalRecord.DatabaseCreate(header, data.u32(), data.u32(), 0);
      default -> new WalRecord.Other(header);
    };
  }

  // ---- the log itself --------------------------------------------------------------------------

  private WalRecord xlog(Header header, Cursor data) {
    return switch (header.info() & 0xF0) {
      case 0x00 -> checkpoint(header, data, true);
      case 0x10 -> checkpoint(header, data, false);
      case 0x40 -> new WalRecord.Switch(header);
      case 0x50 -> new WalRecord.BackupEnd(header, data.lsn());
      case 0x60 ->
          new WalRecord.ParameterChange(
              header, data.i32(), data.i32(), data.i32(), data.i32(), data.i32(), data.i32());
      case 0x70 -> {
        Instant time = data.timestamp();
        yield new WalRecord.RestorePoint(header, time, data.text(data.remaining()));
      }
      case 0x90 -> new WalRecord.EndOfRecovery(header, data.timestamp(), data.i32(), data.i32());
      case 0xB0 -> new WalRecord.FullPageImages(header);
      case 0xD0 -> new WalRecord.OverwrittenContinuation(header, data.lsn());
      default -> new WalRecord.Other(header);
    };
  }

  private static WalRecord checkpoint(Header header, Cursor data, boolean shutdown) {
    Lsn redo = data.lsn();
    int timeline = data.i32();
    int previousTimeline = data.i32();
    boolean fullPageWrites = data.u8() != 0;
    data.skip(7); // padding, and from 17 on wal_level
    long nextXid = data.i64();
    data.skip(12); // next OID, next multixact and its member
    long oldestXid = data.u32();
    data.skip(16); // oldest xid's database, oldest multixact and its database, padding
    return new WalRecord.Checkpoint(
        header,
        shutdown,
        redo,
        timeline,
        previousTimeline,
        fullPageWrites,
        nextXid,
        oldestXid,
        Instant.ofEpochSecond(data.i64()));
  }

  // ---- for standbys and decoders ---------------------------------------------------------------

  private static WalRecord standby(Header header, Cursor data) {
    return switch (header.info() & 0xF0) {
      case 0x00 -> {
        int count = data.i32();
        yield new WalRecord.StandbyLock(
            header,
            data.list(
                count,
                12,
                () ->
                    new WalRecord.StandbyLock.Lock(
                        data.u32(), new RelationId(data.u32(), data.u32()))));
      }
      case 0x10 -> {
        int transactions = data.i32();
        int subtransactions = data.i32();
        boolean overflowed = data.u8() != 0;
        data.skip(3);
        long nextXid = data.u32();
        long oldestRunningXid = data.u32();
        data.skip(4); // latest completed xid
        List<Long> xids = data.list(transactions, 4, data::u32);
        yield new WalRecord.RunningXacts(
            header,
            nextXid,
            oldestRunningXid,
            xids,
            data.list(subtransactions, 4, data::u32),
            overflowed);
      }
      default -> new WalRecord.Other(header);
    };
  }

  private static WalRecord message(Header header, Cursor data) {
    long database = data.u32();
    boolean transactional = data.u8() != 0;
    data.skip(3);
    long prefixLength = data.i64();
    long messageLength = data.i64();
    String prefix = data.text(prefixLength);
    return new WalRecord.LogicalMessage(
        header, database, transactional, prefix, data.bytes(messageLength));
  }
}
