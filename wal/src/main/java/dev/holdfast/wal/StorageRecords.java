package dev.holdfast.wal;

import dev.holdfast.wal.WalRecord.Header;
import dev.holdfast.wal.WalRecord.RelationMap.Mapping;
import java.util.List;

/**
 * Files, and what is kept in one file of its own ("catalog/storage_xlog.h",
 * "commands/dbcommands_xlog.h", "commands/tablespace.h", "utils/relmapper.h",
 * "commands/sequence.h", PostgreSQL 14 to 18).
 */
final class StorageRecords {
  /** RELMAPPER_FILEMAGIC ("utils/cache/relmapper.c"). */
  private static final int MAP_MAGIC = 0x592717;

  /** Where a tuple says how long its header is ("access/htup_details.h", t_hoff). */
  private static final int TUPLE_HEADER_LENGTH_AT = 22;

  private final WalVersion version;

  StorageRecords(WalVersion version) {
    this.version = version;
  }

  WalRecord files(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x10 -> new WalRecord.StorageCreate(header, data.relFile(), data.i32());
      case 0x20 -> {
        long blocks = data.u32();
        yield new WalRecord.StorageTruncate(header, data.relFile(), blocks, data.i32());
      }
      default -> new WalRecord.Other(header);
    };
  }

  WalRecord databases(Header header, Cursor data) {
    int opcode = TypedRecords.opcode(header);
    if (opcode == version.databaseDropOpcode()) {
      long database = data.u32();
      return new WalRecord.DatabaseDrop(header, database, data.list(data.i32(), 4, data::u32));
    }
    return switch (opcode) {
      case 0x00 ->
          new WalRecord.DatabaseCreate(header, data.u32(), data.u32(), data.u32(), data.u32());
      case 0x10 -> new WalRecord.DatabaseCreate(header, data.u32(), data.u32(), 0, 0);
      default -> new WalRecord.Other(header);
    };
  }

  WalRecord tablespaces(Header header, Cursor data) {
    return switch (TypedRecords.opcode(header)) {
      case 0x00 -> new WalRecord.TablespaceCreate(header, data.u32(), data.terminatedText());
      case 0x10 -> new WalRecord.TablespaceDrop(header, data.u32());
      default -> new WalRecord.Other(header);
    };
  }

  WalRecord relationMap(Header header, Cursor data) {
    if (TypedRecords.opcode(header) != 0x00) {
      return new WalRecord.Other(header);
    }
    long database = data.u32();
    long tablespace = data.u32();
    data.skip(4); // length of the file, which is always the same
    int from = data.position();
    int magic = data.i32();
    int count = data.i32();
    int max = version.relationMappingsMax();
    if (magic != MAP_MAGIC || count < 0 || count > max) {
      throw new MalformedRecordException(
          "the relation map begins with %08X and has %d entries".formatted(magic, count));
    }
    List<Mapping> mappings = data.list(count, 8, () -> new Mapping(data.u32(), data.u32()));
    data.skip((max - count) * 8);
    int length = data.position() - from;
    if (data.i32() != data.checksum(from, length)) {
      throw new MalformedRecordException("the checksum of the relation map does not");
    }
    return new WalRecord.RelationMap(header, database, tablespace, mappings);
  }

  WalRecord sequence(Header header, Cursor data) {
    if (TypedRecords.opcode(header) != 0x00) {
      return new WalRecord.Other(header);
    }
    RelFile file = data.relFile();
    data.skip(TUPLE_HEADER_LENGTH_AT);
    int headerLength = data.u8();
    if (headerLength <= TUPLE_HEADER_LENGTH_AT) {
      throw new MalformedRecordException(
          "the sequence's row has a header of %d bytes".formatted(headerLength));
    }
    data.skip(headerLength - TUPLE_HEADER_LENGTH_AT - 1);
    return new WalRecord.Sequence(header, file, data.i64(), data.i64(), data.bool());
  }
}
