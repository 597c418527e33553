package dev.holdfast.wal;

import java.util.List;

/** The subsystems that write WAL ("access/rmgrlist.h", identical from PostgreSQL 14 to 18). */
public final class ResourceManager {
  /** Checkpoints, parameters, full-page images. */
  public static final int XLOG = 0;

  /** Commits and aborts. */
  public static final int TRANSACTION = 1;

  /** Files created and cut. */
  public static final int STORAGE = 2;

  /** Pages of pg_xact. */
  public static final int CLOG = 3;

  /** Databases created and dropped. */
  public static final int DATABASE = 4;

  /** Tablespaces created and dropped. */
  public static final int TABLESPACE = 5;

  /** Transactions that hold a row together. */
  public static final int MULTIXACT = 6;

  /** Files of the catalogs pg_class cannot tell. */
  public static final int RELATION_MAP = 7;

  /** Locks and running transactions, for standbys. */
  public static final int STANDBY = 8;

  /** Heap operations that did not fit in {@link #HEAP}. */
  public static final int HEAP2 = 9;

  /** Rows inserted, updated, deleted. */
  public static final int HEAP = 10;

  /** B-tree indexes. */
  public static final int BTREE = 11;

  /** Hash indexes. */
  public static final int HASH = 12;

  /** GIN indexes. */
  public static final int GIN = 13;

  /** GiST indexes. */
  public static final int GIST = 14;

  /** Sequences. */
  public static final int SEQUENCE = 15;

  /** SP-GiST indexes. */
  public static final int SPGIST = 16;

  /** BRIN indexes. */
  public static final int BRIN = 17;

  /** Pages of pg_commit_ts. */
  public static final int COMMIT_TIMESTAMPS = 18;

  /** Progress of logical replication. */
  public static final int REPLICATION_ORIGIN = 19;

  /** Pages changed by extensions that have no resource manager. */
  public static final int GENERIC = 20;

  /** Messages of pg_logical_emit_message. */
  public static final int LOGICAL_MESSAGE = 21;

  private static final int CUSTOM_MIN = 128;
  private static final List<String> NAMES =
      List.of(
          "XLOG",
          "Transaction",
          "Storage",
          "CLOG",
          "Database",
          "Tablespace",
          "MultiXact",
          "RelMap",
          "Standby",
          "Heap2",
          "Heap",
          "Btree",
          "Hash",
          "Gin",
          "Gist",
          "Sequence",
          "SPGist",
          "BRIN",
          "CommitTs",
          "ReplicationOrigin",
          "Generic",
          "LogicalMessage");

  private ResourceManager() {}

  /** Its name as pg_waldump spells it; {@code custom128} to {@code custom255} for extensions. */
  public static String name(int id) {
    return id < NAMES.size() ? NAMES.get(id) : "custom%03d".formatted(id);
  }

  /** Whether an extension writes these records: their effect on rows is unknown to us. */
  public static boolean isExtension(int id) {
    return id >= CUSTOM_MIN;
  }

  static boolean isValid(int id, WalVersion version) {
    return id < NAMES.size() || (isExtension(id) && version.hasCustomResourceManagers());
  }
}
