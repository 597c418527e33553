package dev.holdfast.damage;

import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.RelFile;
import org.jspecify.annotations.Nullable;

/**
 * A row of pg_class, as far as it is known.
 *
 * @param oid of the relation
 * @param name relname; null when unknown
 * @param schema relnamespace; -1 when unknown
 * @param file null when unknown, mapped or none
 * @param kind relkind; 0 when unknown
 * @param persistence relpersistence; 0 when unknown
 * @param toast reltoastrelid; 0 for none or unknown
 * @param estimatedRows reltuples; -1 when unknown
 */
record RelationState(
    long oid,
    @Nullable String name,
    long schema,
    @Nullable RelFile file,
    char kind,
    char persistence,
    long toast,
    long estimatedRows) {
  private static final long GLOBAL_TABLESPACE = 1664;

  /**
   * @param tablespace the database's own
   */
  static RelationState of(HeapTuple row, long oid, long database, long tablespace, int major) {
    return new RelationState(
        oid,
        row.name(SystemCatalog.NAME),
        row.u32(SystemCatalog.CLASS_NAMESPACE).orElse(-1),
        file(row, database, tablespace),
        (char) row.u8(SystemCatalog.classKind(major)).orElse(0),
        (char) row.u8(SystemCatalog.classPersistence(major)).orElse(0),
        row.u32(SystemCatalog.classToast(major)).orElse(0),
        estimatedRows(row));
  }

  private static @Nullable RelFile file(HeapTuple row, long database, long own) {
    long number = row.u32(SystemCatalog.CLASS_FILE).orElse(0);
    long tablespace = row.u32(SystemCatalog.CLASS_TABLESPACE).orElse(-1);
    if (number == 0 || tablespace < 0) {
      return null;
    }
    if (tablespace == GLOBAL_TABLESPACE) {
      return new RelFile(tablespace, 0, number);
    }
    return new RelFile(tablespace == 0 ? own : tablespace, database, number);
  }

  private static long estimatedRows(HeapTuple row) {
    Float tuples = row.f32(SystemCatalog.CLASS_TUPLES);
    return tuples == null || !(tuples >= 0) ? -1 : Math.round((double) tuples);
  }

  RelationState withEstimatedRows(long rows) {
    return new RelationState(oid, name, schema, file, kind, persistence, toast, rows);
  }

  static long estimate(HeapTuple row) {
    return estimatedRows(row);
  }
}
