package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import org.jspecify.annotations.Nullable;

/**
 * One change to one row of pg_class.
 *
 * @param lsn where its record starts
 * @param database the relation's
 * @param oid the relation's; -1 when neither version of the row is known
 * @param before the row before; null when it was inserted or is not known
 * @param after the row after, as far as it is known; null when it was deleted
 * @param born whether it was inserted
 */
record RelationChange(
    Lsn lsn,
    long database,
    long oid,
    @Nullable RelationState before,
    @Nullable RelationState after,
    boolean born) {
  /** The change as one of a relation; null when it is another catalog's. */
  static @Nullable RelationChange of(CatalogChange change) {
    if (change.catalog() != SystemCatalog.CLASS) {
      return null;
    }
    long oid = change.oid();
    return new RelationChange(
        change.lsn(),
        change.database(),
        oid,
        change.old() == null ? null : RelationOutcome.state(change, change.old(), oid),
        change.fresh() == null ? null : RelationOutcome.state(change, change.fresh(), oid),
        change.from() == null);
  }

  /** The file it had before; null for none or when that is not known. */
  @Nullable RelFile fileBefore() {
    return before == null ? null : before.file();
  }

  /** The file it has after; null for none or when that is not known. */
  @Nullable RelFile fileAfter() {
    return after == null ? null : after.file();
  }

  boolean isDeletion() {
    return after == null;
  }
}
