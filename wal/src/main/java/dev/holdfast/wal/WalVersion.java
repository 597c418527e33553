package dev.holdfast.wal;

import org.jspecify.annotations.Nullable;

/**
 * The major versions whose WAL we read, known by the magic of every page ("access/xlog_internal.h"
 * of each). The magic stays the same inside a major version, even where minor releases change
 * records.
 */
enum WalVersion {
  V14(14, 0xD10D),
  V15(15, 0xD110),
  V16(16, 0xD113),
  V17(17, 0xD116),
  V18(18, 0xD118);

  private static final int RECORD_MAX_SINCE_16 = 1020 * 1024 * 1024;
  private static final int RECORD_MAX_BEFORE = 1024 * 1024 * 1024 - 1;

  private final int major;
  private final int magic;

  WalVersion(int major, int magic) {
    this.major = major;
    this.magic = magic;
  }

  static @Nullable WalVersion ofMagic(int magic) {
    for (WalVersion version : values()) {
      if (version.magic == magic) {
        return version;
      }
    }
    return null;
  }

  int major() {
    return major;
  }

  int magic() {
    return magic;
  }

  /** Bytes in the longest record: XLogRecordMaxSize since 16, the allocator's limit before. */
  int recordMax() {
    return major >= 16 ? RECORD_MAX_SINCE_16 : RECORD_MAX_BEFORE;
  }

  boolean hasCustomResourceManagers() {
    return major >= 15;
  }

  /** Bits 0x02 and 0x04 of an image's flags changed places between 14 and 15. */
  int imageCompressed() {
    return major == 14 ? 0x02 : 0x04 | 0x08 | 0x10;
  }

  int imageApplied() {
    return major == 14 ? 0x04 : 0x02;
  }

  boolean hasDroppedStats() {
    return major >= 15;
  }

  /** Bytes of a dropped statistics item: object ids have 64 bits since 18. */
  int droppedStatSize() {
    return major >= 18 ? 16 : 12;
  }

  /** In 14 what would later mean that a database is created from logged pages. */
  int databaseDropOpcode() {
    return major == 14 ? 0x10 : 0x20;
  }

  /** What pages a HEAP2 record with this opcode, 0x10 to 0x30, tidies up, and how. */
  WalRecord.HeapPrune.Work pruneWork(int opcode) {
    if (hasOnePruneFormat()) {
      return switch (opcode) {
        case 0x10 -> WalRecord.HeapPrune.Work.PRUNE_ON_ACCESS;
        case 0x20 -> WalRecord.HeapPrune.Work.VACUUM_SCAN;
        default -> WalRecord.HeapPrune.Work.VACUUM_CLEANUP;
      };
    }
    return switch (opcode) {
      case 0x10 -> WalRecord.HeapPrune.Work.PRUNE;
      case 0x20 -> WalRecord.HeapPrune.Work.VACUUM_CLEANUP;
      default -> WalRecord.HeapPrune.Work.FREEZE;
    };
  }

  /** Whether pruning, vacuuming and freezing share one format. */
  boolean hasOnePruneFormat() {
    return major >= 17;
  }

  /** Whether rows are frozen by plans for several at once, not one by one. */
  boolean hasFreezePlans() {
    return major >= 16;
  }

  /** Whether catalog rows overwritten in place carry their own invalidations. */
  boolean hasInplaceInvalidations() {
    return major >= 18;
  }

  /** Whether checkpoints and ends of recovery say wal_level, and redo points are records. */
  boolean hasWalLevelInCheckpoint() {
    return major >= 17;
  }

  /** Whether page numbers of status logs have 64 bits. */
  boolean hasWideStatusPages() {
    return major >= 17;
  }

  /** Room for mappings in the relation map: its checksum follows them all. */
  int relationMappingsMax() {
    return major >= 16 ? 64 : 62;
  }
}
