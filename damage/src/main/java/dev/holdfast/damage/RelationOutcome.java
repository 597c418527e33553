package dev.holdfast.damage;

import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What became of one row of pg_class in one transaction. */
final class RelationOutcome {
  final long database;
  final long oid;
  boolean born;
  @Nullable RelationState before;
  @Nullable RelationState after;

  /** Files it had in between, and from where on. */
  final Map<RelFile, Lsn> files = new LinkedHashMap<>();

  @Nullable RelationState last;

  private RelationOutcome(long database, long oid) {
    this.database = database;
    this.oid = oid;
  }

  /** The outcomes of a transaction's changes, in their order. */
  static Map<RelationId, RelationOutcome> of(List<CatalogChange> changes) {
    Map<RelationId, RelationOutcome> outcomes = new LinkedHashMap<>();
    for (CatalogChange change : changes) {
      if (change.catalog() == SystemCatalog.CLASS && change.oid() >= 0) {
        add(change, outcomes);
      }
    }
    return outcomes;
  }

  private static void add(CatalogChange change, Map<RelationId, RelationOutcome> outcomes) {
    RelationId id = new RelationId(change.database(), change.oid());
    RelationOutcome outcome = outcomes.get(id);
    if (outcome == null) {
      outcome = new RelationOutcome(id.database(), id.relation());
      outcome.born = change.from() == null;
      outcome.before = change.old() == null ? null : state(change, change.old(), id.relation());
      outcomes.put(id, outcome);
    }
    outcome.after = change.fresh() == null ? null : state(change, change.fresh(), id.relation());
    if (outcome.after != null) {
      outcome.last = outcome.after;
      if (outcome.after.file() != null) {
        outcome.files.putIfAbsent(outcome.after.file(), change.lsn());
      }
    }
  }

  static RelationState state(CatalogChange change, HeapTuple tuple, long oid) {
    return RelationState.of(tuple, oid, change.database(), change.tablespace(), change.major());
  }

  /** Whether it was there before, and is there after. */
  boolean lives() {
    return !born && after != null;
  }
}
