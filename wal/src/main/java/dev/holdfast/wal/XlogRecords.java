package dev.holdfast.wal;

import dev.holdfast.wal.WalRecord.Header;
import java.time.Instant;

/**
 * What the log says about itself ("catalog/pg_control.h", "access/xlog_internal.h", PostgreSQL 14
 * to 18).
 */
final class XlogRecords {
  private final WalVersion version;

  XlogRecords(WalVersion version) {
    this.version = version;
  }

  WalRecord of(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x00 -> checkpoint(header, data, true);
      case 0x10 -> checkpoint(header, data, false);
      case 0x20 -> new WalRecord.Noop(header);
      case 0x30 -> new WalRecord.NextOid(header, data.u32());
      case 0x40 -> new WalRecord.Switch(header);
      case 0x50 -> new WalRecord.BackupEnd(header, data.lsn());
      case 0x60 ->
          new WalRecord.ParameterChange(
              header,
              data.i32(),
              data.i32(),
              data.i32(),
              data.i32(),
              data.i32(),
              data.i32(),
              data.bool(),
              data.bool());
      case 0x70 -> {
        Instant time = data.timestamp();
        yield new WalRecord.RestorePoint(header, time, data.text(data.remaining()));
      }
      case 0x80 -> new WalRecord.FullPageWritesChange(header, data.bool());
      case 0x90 ->
          new WalRecord.EndOfRecovery(
              header, data.timestamp(), data.i32(), data.i32(), walLevel(data));
      case 0xA0 -> new WalRecord.HintImage(header);
      case 0xB0 -> new WalRecord.FullPageImages(header);
      case 0xD0 -> new WalRecord.OverwrittenContinuation(header, data.lsn(), data.timestamp());
      case 0xE0 ->
          version.hasWalLevelInCheckpoint()
              ? new WalRecord.CheckpointRedo(header, data.i32())
              : new WalRecord.Other(header);
      default -> new WalRecord.Other(header);
    };
  }

  private WalRecord checkpoint(Header header, Cursor data, boolean shutdown) {
    Lsn redo = data.lsn();
    int timeline = data.i32();
    int previousTimeline = data.i32();
    boolean fullPageWrites = data.bool();
    data.skip(3);
    int walLevel = walLevel(data);
    data.align8();
    long nextXid = data.i64();
    long nextOid = data.u32();
    long nextMultiXact = data.u32();
    long nextMultiXactOffset = data.u32();
    long oldestXid = data.u32();
    long oldestXidDatabase = data.u32();
    long oldestMultiXact = data.u32();
    long oldestMultiXactDatabase = data.u32();
    data.align8();
    return new WalRecord.Checkpoint(
        header,
        shutdown,
        redo,
        timeline,
        previousTimeline,
        fullPageWrites,
        walLevel,
        nextXid,
        nextOid,
        nextMultiXact,
        nextMultiXactOffset,
        oldestXid,
        oldestXidDatabase,
        oldestMultiXact,
        oldestMultiXactDatabase,
        data.seconds(),
        data.u32(),
        data.u32(),
        data.u32());
  }

  private int walLevel(Cursor data) {
    return version.hasWalLevelInCheckpoint() ? data.i32() : WalRecord.Checkpoint.UNKNOWN;
  }
}
