package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import org.jspecify.annotations.Nullable;

/** Recorded names that know the catalogs' own rows too, so that changes to them can be followed. */
public interface RecordedCatalog extends RelationNames {
  /**
   * The newest snapshot taken at or before a position, or the oldest of all when there is none so
   * old; null when there is none at all. Asked often: the same answer is the same object.
   */
  @Nullable CatalogSnapshot snapshot(Lsn at);
}
