package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The catalog, as far as damage needs it: WAL names files and OIDs, people name tables.
 *
 * <p>Answers come from what was recorded about the catalog at positions near {@code at}: the state
 * last seen before it wins over one seen after it, and a relation seen only after it is still
 * better than none. A relation nobody recorded is null.
 */
public interface RelationNames {
  /** See {@link #partitionRoot}. */
  long UNKNOWN_ROOT = -1;

  /** The relation this file belonged to. */
  @Nullable Relation byFile(RelFile file, Lsn at);

  /** The relation with this OID. */
  @Nullable Relation byOid(long database, long oid, Lsn at);

  /** The name of a database. */
  @Nullable String database(long oid, Lsn at);

  /**
   * The table at the top of the tree of partitions a relation is a leaf of, by OID: 0 when it is no
   * partition, {@link #UNKNOWN_ROOT} when nobody recorded it.
   */
  default long partitionRoot(long database, long oid, Lsn at) {
    return UNKNOWN_ROOT;
  }

  /** The tables, partitioned tables and materialised views of a database; empty when unknown. */
  List<Relation> tablesOf(long database, Lsn at);
}
