package dev.holdfast.damage;

import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * The recorded catalog and what the log told since, as {@link CatalogTrace} reads it. Where that
 * could not read the row of pg_class, it is what {@link StorageFates} inferred: which new file an
 * emptied or rewritten table got.
 */
final class LearntNames implements RelationNames {
  /** OID of pg_inherits, and the number of its first file ("catalog/pg_inherits.h"). */
  private static final int PG_INHERITS = 2611;

  private final RelationNames recorded;
  private final Map<RelFile, Relation> inferred = new HashMap<>();

  /** How many rows were carried over into a new file: ALTER TYPE forgets the estimate. */
  private final Map<RelFile, Long> carriedOver = new HashMap<>();

  private @Nullable CatalogTrace trace;
  private Lsn start = Lsn.NONE;

  /** Parents of tables attached since reading began: what was recorded of those is old. */
  private final Map<RelationId, Long> parents = new HashMap<>();

  private boolean anyAttached;

  LearntNames(RelationNames recorded) {
    this.recorded = recorded;
  }

  /** The trace to hand records to, from {@code first} on. */
  CatalogTrace begin(RawRecord first) {
    Lsn at = new Lsn(first.lsn());
    CatalogTrace begun = new CatalogTrace(recorded, at);
    trace = begun;
    start = at;
    return begun;
  }

  /**
   * Whether all that happened since the snapshot that holds at a position was read: only then is a
   * table that was empty in it, and got no rows that were seen, still empty.
   */
  boolean followedSinceSnapshot(Lsn at) {
    if (!(recorded instanceof RecordedCatalog catalog)) {
      return true; // whoever names files without positions answers for them himself
    }
    CatalogSnapshot snapshot = catalog.snapshot(at);
    return snapshot == null || !snapshot.position().isBefore(start);
  }

  void learn(Map<RelFile, Relation> newFiles) {
    if (!newFiles.isEmpty()) {
      inferred.putAll(newFiles);
    }
  }

  void forget(RelFile dropped) {
    inferred.remove(dropped);
    carriedOver.remove(dropped);
  }

  void carriedOver(RelFile newFile, long rows) {
    if (rows > 0) {
      carriedOver.put(newFile, rows);
    }
  }

  /** An estimate of the rows that a rewrite carried over into this file; -1 when unknown. */
  long carriedOver(RelFile file) {
    return carriedOver.getOrDefault(file, -1L);
  }

  static boolean isInheritance(RawRecord record) {
    return record.fileNumber(0) == PG_INHERITS;
  }

  /** Takes a row inserted into pg_inherits, be it committed later or not. */
  void attached(RawRecord record) {
    HeapTuple row = record.newTuple(null);
    OptionalLong child = row == null ? OptionalLong.empty() : row.u32(0); // inhrelid
    OptionalLong parent = row == null ? OptionalLong.empty() : row.u32(4); // inhparent
    if (child.isPresent() && parent.isPresent()) {
      parents.put(
          new RelationId(Integer.toUnsignedLong(record.database(0)), child.getAsLong()),
          parent.getAsLong());
    } else {
      anyAttached = true;
    }
  }

  @Override
  public long partitionRoot(long database, long oid, Lsn at) {
    Long parent = parents.get(new RelationId(database, oid));
    if (anyAttached) {
      return UNKNOWN_ROOT;
    }
    if (parent == null) {
      return recorded.partitionRoot(database, oid, at);
    }
    Relation above = byOid(database, parent, at);
    if (above == null) {
      return UNKNOWN_ROOT; // made by a transaction still open, or by nobody who is known
    }
    if (above.kind() != Relation.Kind.PARTITIONED_TABLE) {
      return 0; // INHERITS
    }
    if (parents.containsKey(new RelationId(database, parent))) {
      return partitionRoot(database, parent, at);
    }
    long root = recorded.partitionRoot(database, parent, at);
    boolean recordedTop = recorded.byOid(database, parent, at) == null || root == 0;
    return recordedTop ? parent : root;
  }

  private RelationNames names() {
    return trace == null ? recorded : trace;
  }

  @Override
  public @Nullable Relation byFile(RelFile file, Lsn at) {
    Relation relation = names().byFile(file, at);
    return relation != null ? relation : inferred.get(file);
  }

  @Override
  public @Nullable Relation byOid(long database, long oid, Lsn at) {
    return names().byOid(database, oid, at);
  }

  @Override
  public @Nullable String database(long oid, Lsn at) {
    return names().database(oid, at);
  }

  @Override
  public List<Relation> tablesOf(long database, Lsn at) {
    return names().tablesOf(database, at);
  }
}
