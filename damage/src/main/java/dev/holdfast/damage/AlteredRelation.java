package dev.holdfast.damage;

import dev.holdfast.wal.RelationId;
import java.util.Set;

/**
 * A relation that a transaction changed the definition of: it was there before and is there after.
 *
 * @param relation which
 * @param changes what about it; never empty
 */
public record AlteredRelation(RelationId relation, Set<Change> changes) {
  /** Copies the set. */
  public AlteredRelation {
    changes = Set.copyOf(changes);
  }

  /** What can change about a relation. */
  public enum Change {
    /** It has another name. */
    RENAMED,
    /** It is in another schema. */
    MOVED,
    /** It has another file: it was emptied or rewritten. */
    NEW_FILE,
    /** It has more columns. */
    COLUMN_ADDED,
    /** A column has another name, type, default or rule. */
    COLUMN_CHANGED,
    /** It has fewer columns: see {@link DroppedColumn}. */
    COLUMN_DROPPED,
    /** Something else in its row of pg_class: privileges, an index, a trigger, its owner. */
    OTHER
  }
}
