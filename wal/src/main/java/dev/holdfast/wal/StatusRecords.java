package dev.holdfast.wal;

import dev.holdfast.wal.WalRecord.Header;
import dev.holdfast.wal.WalRecord.MultiXactCreate.Member;

/**
 * The logs kept beside the tables about transactions ("access/clog.h", "access/commit_ts.h",
 * "access/multixact.h", "replication/origin.h", PostgreSQL 14 to 18).
 */
final class StatusRecords {
  private final WalVersion version;

  StatusRecords(WalVersion version) {
    this.version = version;
  }

  WalRecord transactions(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x00 -> new WalRecord.StatusPageZero(header, StatusLog.TRANSACTIONS, page(data));
      case 0x10 ->
          new WalRecord.StatusTruncate(
              header, StatusLog.TRANSACTIONS, page(data), data.u32(), data.u32());
      default -> new WalRecord.Other(header);
    };
  }

  WalRecord commitTimestamps(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x00 -> new WalRecord.StatusPageZero(header, StatusLog.COMMIT_TIMESTAMPS, page(data));
      case 0x10 ->
          new WalRecord.StatusTruncate(
              header, StatusLog.COMMIT_TIMESTAMPS, page(data), data.u32(), 0);
      default -> new WalRecord.Other(header);
    };
  }

  WalRecord multiXacts(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x00 -> new WalRecord.StatusPageZero(header, StatusLog.MULTIXACT_OFFSETS, page(data));
      case 0x10 -> new WalRecord.StatusPageZero(header, StatusLog.MULTIXACT_MEMBERS, page(data));
      case 0x20 ->
          new WalRecord.MultiXactCreate(
              header,
              data.u32(),
              data.u32(),
              data.list(data.i32(), 8, () -> new Member(data.u32(), data.i32())));
      case 0x30 ->
          new WalRecord.MultiXactTruncate(
              header, data.u32(), data.u32(), data.u32(), data.u32(), data.u32());
      default -> new WalRecord.Other(header);
    };
  }

  WalRecord origins(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x00 -> {
        Lsn remote = data.lsn();
        yield new WalRecord.OriginAdvance(header, data.u16(), remote, data.bool());
      }
      case 0x10 -> new WalRecord.OriginDrop(header, data.u16());
      default -> new WalRecord.Other(header);
    };
  }

  private long page(Cursor data) {
    return version.hasWideStatusPages() ? data.i64() : data.i32();
  }
}
