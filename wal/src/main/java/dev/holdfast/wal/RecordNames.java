package dev.holdfast.wal;

import java.util.Arrays;
import java.util.Locale;

/**
 * What a record does, named as pg_waldump names it: {@code INSERT+INIT}, {@code HOT_UPDATE}, {@code
 * COMMIT_PREPARED}.
 *
 * <p>Source: the identify functions of "access/rmgrdesc", PostgreSQL 14 to 18. Minor releases leave
 * them alone.
 */
public final class RecordNames {
  private static final int OPCODE = 0xF0;

  /** Transaction records keep a flag in the bit above: XLOG_XACT_OPMASK, "access/xact.h". */
  private static final int TRANSACTION_OPCODE = 0x70;

  // "access/rmgrlist.h": those that nobody else has to tell apart.
  private static final int CLOG = 3;
  private static final int MULTIXACT_ID = 6;
  private static final int RELMAP_ID = 7;
  private static final int BTREE_ID = 11;
  private static final int HASH_ID = 12;
  private static final int GIN_ID = 13;
  private static final int GIST_ID = 14;
  private static final int SEQUENCE_ID = 15;
  private static final int SPGIST_ID = 16;
  private static final int BRIN_ID = 17;
  private static final int COMMIT_TS = 18;
  private static final int REPLICATION_ORIGIN_ID = 19;
  private static final int GENERIC = 20;

  private static final String[] NONE = {};

  private static final String[] XLOG = {
    "CHECKPOINT_SHUTDOWN",
    "CHECKPOINT_ONLINE",
    "NOOP",
    "NEXTOID",
    "SWITCH",
    "BACKUP_END",
    "PARAMETER_CHANGE",
    "RESTORE_POINT",
    "FPW_CHANGE",
    "END_OF_RECOVERY",
    "FPI_FOR_HINT",
    "FPI",
    "",
    "OVERWRITE_CONTRECORD",
  };
  private static final String[] XLOG_SINCE_17 = with(XLOG, 0xE0, "CHECKPOINT_REDO");

  private static final String[] TRANSACTION = {
    "COMMIT", "PREPARE", "ABORT", "COMMIT_PREPARED", "ABORT_PREPARED", "ASSIGNMENT", "INVALIDATION",
  };
  private static final String[] STORAGE = {"", "CREATE", "TRUNCATE"};

  /** CLOG and CommitTs. */
  private static final String[] STATUS_PAGES = {"ZEROPAGE", "TRUNCATE"};

  private static final String[] DATABASE_14 = {"CREATE", "DROP"};
  private static final String[] DATABASE = {"CREATE_FILE_COPY", "CREATE_WAL_LOG", "DROP"};
  private static final String[] TABLESPACE = {"CREATE", "DROP"};
  private static final String[] MULTIXACT = {
    "ZERO_OFF_PAGE", "ZERO_MEM_PAGE", "CREATE_ID", "TRUNCATE_ID"
  };
  private static final String[] RELMAP = {"UPDATE"};
  private static final String[] STANDBY = {"LOCK", "RUNNING_XACTS", "INVALIDATIONS"};

  private static final String[] HEAP2_BEFORE_17 = {
    "REWRITE",
    "PRUNE",
    "VACUUM",
    "FREEZE_PAGE",
    "VISIBLE",
    "MULTI_INSERT",
    "LOCK_UPDATED",
    "NEW_CID",
    "",
    "",
    "",
    "",
    "",
    "MULTI_INSERT+INIT",
  };
  private static final String[] HEAP2 =
      with(
          with(with(HEAP2_BEFORE_17, 0x10, "PRUNE_ON_ACCESS"), 0x20, "PRUNE_VACUUM_SCAN"),
          0x30,
          "PRUNE_VACUUM_CLEANUP");
  private static final String[] HEAP = {
    "INSERT",
    "DELETE",
    "UPDATE",
    "TRUNCATE",
    "HOT_UPDATE",
    "HEAP_CONFIRM",
    "LOCK",
    "INPLACE",
    "INSERT+INIT",
    "",
    "UPDATE+INIT",
    "",
    "HOT_UPDATE+INIT",
  };
  private static final String[] BTREE = {
    "INSERT_LEAF",
    "INSERT_UPPER",
    "INSERT_META",
    "SPLIT_L",
    "SPLIT_R",
    "INSERT_POST",
    "DEDUP",
    "DELETE",
    "UNLINK_PAGE",
    "UNLINK_PAGE_META",
    "NEWROOT",
    "MARK_PAGE_HALFDEAD",
    "VACUUM",
    "REUSE_PAGE",
    "META_CLEANUP",
  };
  private static final String[] HASH = {
    "INIT_META_PAGE",
    "INIT_BITMAP_PAGE",
    "INSERT",
    "ADD_OVFL_PAGE",
    "SPLIT_ALLOCATE_PAGE",
    "SPLIT_PAGE",
    "SPLIT_COMPLETE",
    "MOVE_PAGE_CONTENTS",
    "SQUEEZE_PAGE",
    "DELETE",
    "SPLIT_CLEANUP",
    "UPDATE_META_PAGE",
    "VACUUM_ONE_PAGE",
  };
  private static final String[] GIN = {
    "",
    "CREATE_PTREE",
    "INSERT",
    "SPLIT",
    "VACUUM_PAGE",
    "DELETE_PAGE",
    "UPDATE_META_PAGE",
    "INSERT_LISTPAGE",
    "DELETE_LISTPAGE",
    "VACUUM_DATA_LEAF_PAGE",
  };
  private static final String[] GIST = {
    "PAGE_UPDATE", "DELETE", "PAGE_REUSE", "PAGE_SPLIT", "", "", "PAGE_DELETE", "ASSIGN_LSN",
  };
  private static final String[] SEQUENCE = {"LOG"};
  private static final String[] SPGIST = {
    "",
    "ADD_LEAF",
    "MOVE_LEAFS",
    "ADD_NODE",
    "SPLIT_TUPLE",
    "PICKSPLIT",
    "VACUUM_LEAF",
    "VACUUM_ROOT",
    "VACUUM_REDIRECT",
  };
  private static final String[] BRIN = {
    "CREATE_INDEX",
    "INSERT",
    "UPDATE",
    "SAMEPAGE_UPDATE",
    "REVMAP_EXTEND",
    "DESUMMARIZE",
    "",
    "",
    "",
    "INSERT+INIT",
    "UPDATE+INIT",
  };
  private static final String[] REPLICATION_ORIGIN = {"SET", "DROP"};
  private static final String[] LOGICAL_MESSAGE = {"MESSAGE"};

  private RecordNames() {}

  /**
   * The name of what a record does; {@code UNKNOWN (c0)}, the opcode in hexadecimal, for one that
   * this version of PostgreSQL does not write and for those of extensions.
   *
   * @param major the version that wrote the record: 14 to 18
   * @param rmgr its resource manager: {@link WalRecord#rmgr}
   * @param info its opcode and flags: {@link WalRecord#info}
   */
  public static String of(int major, int rmgr, int info) {
    int opcode = info & (rmgr == ResourceManager.TRANSACTION ? TRANSACTION_OPCODE : OPCODE);
    String[] names = names(major, rmgr);
    String name =
        rmgr == GENERIC ? "Generic" : opcode >> 4 < names.length ? names[opcode >> 4] : "";
    return name.isEmpty() ? String.format(Locale.ROOT, "UNKNOWN (%x)", opcode) : name;
  }

  private static String[] names(int major, int rmgr) {
    return switch (rmgr) {
      case ResourceManager.XLOG -> major >= 17 ? XLOG_SINCE_17 : XLOG;
      case ResourceManager.TRANSACTION -> TRANSACTION;
      case ResourceManager.STORAGE -> STORAGE;
      case CLOG, COMMIT_TS -> STATUS_PAGES;
      case ResourceManager.DATABASE -> major == 14 ? DATABASE_14 : DATABASE;
      case ResourceManager.TABLESPACE -> TABLESPACE;
      case MULTIXACT_ID -> MULTIXACT;
      case RELMAP_ID -> RELMAP;
      case ResourceManager.STANDBY -> STANDBY;
      case ResourceManager.HEAP2 -> major >= 17 ? HEAP2 : HEAP2_BEFORE_17;
      case ResourceManager.HEAP -> HEAP;
      case BTREE_ID -> BTREE;
      case HASH_ID -> HASH;
      case GIN_ID -> GIN;
      case GIST_ID -> GIST;
      case SEQUENCE_ID -> SEQUENCE;
      case SPGIST_ID -> SPGIST;
      case BRIN_ID -> BRIN;
      case REPLICATION_ORIGIN_ID -> REPLICATION_ORIGIN;
      case ResourceManager.LOGICAL_MESSAGE -> LOGICAL_MESSAGE;
      default -> NONE;
    };
  }

  private static String[] with(String[] names, int opcode, String name) {
    String[] more = Arrays.copyOf(names, Math.max(names.length, (opcode >> 4) + 1));
    more[opcode >> 4] = name;
    return more;
  }
}
