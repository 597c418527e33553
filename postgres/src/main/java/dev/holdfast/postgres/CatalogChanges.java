package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.ResourceManager;
import java.util.concurrent.ConcurrentSkipListSet;

/**
 * Where in the log something may have changed which file belongs to which relation, or may have
 * made a file that a sparse fork does without. Between two positions without such a place, what
 * {@link WantedProof} and {@link UnwantedFiles#remove} found at the first holds at the second.
 *
 * <p>That is sound because a server's own caches depend on the same: every transaction that changed
 * the rows of pg_class, pg_index, pg_inherits (with the parent's pg_class) or pg_database tells so
 * in its commit record, as cache invalidations ("access/xact.h", xl_xact_invals; "utils/inval.c");
 * a commit record without such parts is {@linkplain RawRecord#isPlainCommit plain} once flags that
 * say nothing of the catalogs are left out. Files of mapped catalogs come with relation map
 * records, copied databases with database records. A file is made on replay by a storage record, or
 * by a record that touches a page of it: those of excluded files alone are filtered, so what is
 * left is a record that touches pages of several relations.
 *
 * <p>Any thread notes, in any order; places are kept to 64 KiB.
 */
final class CatalogChanges {
  private static final int GRAIN_BITS = 16;

  private static final int OPCODE = 0x70;
  private static final int COMMIT = 0x00;
  private static final int COMMIT_PREPARED = 0x30;
  private static final int HAS_INFO = 0x80;

  /** xl_xact_xinfo comes after the time of the commit, eight bytes. */
  private static final int INFO_AT = 8;

  /** XACT_XINFO_HAS_RELFILELOCATORS and XACT_XINFO_HAS_INVALS, in the first byte of it. */
  private static final int FILES_OR_INVALIDATIONS = (1 << 2) | (1 << 3);

  private final ConcurrentSkipListSet<Long> grains = new ConcurrentSkipListSet<>();

  /** Notes a record, if it is one of those. */
  void note(RawRecord record) {
    if (mayChange(record)) {
      long last = (record.end() - 1) >>> GRAIN_BITS;
      for (long grain = record.lsn() >>> GRAIN_BITS; grain <= last; grain++) {
        grains.add(grain);
      }
    }
  }

  /**
   * Whether there is such a place between two positions: true more often than need be, never false
   * when there is. Forgets what comes before the first.
   */
  boolean between(Lsn from, Lsn to) {
    Long first = from.position() >>> GRAIN_BITS;
    grains.headSet(first).clear();
    return !grains.subSet(first, true, to.position() >>> GRAIN_BITS, true).isEmpty();
  }

  private static boolean mayChange(RawRecord record) {
    return switch (record.rmgr()) {
      case ResourceManager.STORAGE,
          ResourceManager.DATABASE,
          ResourceManager.TABLESPACE,
          ResourceManager.RELATION_MAP ->
          true;
      case ResourceManager.TRANSACTION -> {
        int opcode = record.info() & OPCODE;
        yield (opcode == COMMIT || opcode == COMMIT_PREPARED)
            && (record.info() & HAS_INFO) != 0
            && (record.main()[INFO_AT] & FILES_OR_INVALIDATIONS) != 0;
      }
      default -> touchesSeveral(record);
    };
  }

  private static boolean touchesSeveral(RawRecord record) {
    for (int index = 1; index < record.blocks(); index++) {
      if (record.fileNumber(index) != record.fileNumber(0)
          || record.database(index) != record.database(0)) {
        return true;
      }
    }
    return false;
  }
}
