package dev.holdfast.damage;

import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.Lsn;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * One change to one row.
 *
 * @param tablespace of the catalog's file: for one that is not shared, its database's own
 * @param from null: inserted
 * @param old the version before, as far as it is known
 * @param to null: deleted
 * @param fresh the version after
 */
record CatalogChange(
    Lsn lsn,
    long xid,
    int major,
    SystemCatalog catalog,
    long database,
    long tablespace,
    @Nullable CatalogPlace from,
    @Nullable HeapTuple old,
    @Nullable CatalogPlace to,
    @Nullable HeapTuple fresh) {
  /** The OID that both versions begin with; -1 when neither tells. */
  long oid() {
    OptionalLong oid = fresh == null ? OptionalLong.empty() : SystemCatalog.oid(fresh);
    if (oid.isEmpty() && old != null) {
      oid = SystemCatalog.oid(old);
    }
    return oid.orElse(-1);
  }
}
