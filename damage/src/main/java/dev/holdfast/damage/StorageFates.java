package dev.holdfast.damage;

import dev.holdfast.damage.OpenTransaction.Rows;
import dev.holdfast.damage.OpenTransaction.Step;
import dev.holdfast.wal.DroppedStat;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Why a committed transaction dropped files: its tables are gone, or emptied, or only rewritten.
 *
 * <p>The commit record lists dropped files for all three. What tells them apart ("commands/
 * tablecmds.c", "commands/cluster.c", PostgreSQL 14 to 18, and experiments on each):
 *
 * <ul>
 *   <li>DROP TABLE: from 15 on the commit drops the statistics of the table's own OID. On 14 the
 *       table's lock is followed by no new file.
 *   <li>A rewrite (VACUUM FULL, CLUSTER, ALTER TYPE, REFRESH): the new file is born with a
 *       transient relation, whose row in pg_class is inserted right after and deleted in the same
 *       transaction. SET TABLESPACE has no such relation and copies whole pages instead.
 *   <li>TRUNCATE: no relation is born with the new file, and nothing but later inserts fills it.
 * </ul>
 *
 * <p>No record says which table a new file belongs to; the order of locks and files does: each new
 * file goes to the first locked table that has none, unless the lock just before it is an index's
 * or a TOAST table's. Where the catalog knows the new file, its word counts.
 */
final class StorageFates {
  /** What became of a table whose file was dropped. */
  enum Fate {
    DROPPED,
    TRUNCATED,
    REWRITTEN
  }

  private record NewStorage(RelFile file, boolean rewritten) {}

  private final Set<Long> droppedOids = new HashSet<>();
  private final boolean hasStatistics;
  private final Map<RelationId, NewStorage> newStorage = new HashMap<>();
  private final Map<RelFile, Relation> ownerOfNewFile = new HashMap<>();
  private final Set<RelFile> createdFiles = new HashSet<>();
  private final boolean onlyDeletesRelations;
  private boolean truncationLeftOver;

  StorageFates(OpenTransaction transaction, FileNumbers files, Ending commit, RelationNames names) {
    hasStatistics = !commit.droppedStats().isEmpty();
    for (DroppedStat stat : commit.droppedStats()) {
      if (stat.kind() == DroppedStat.RELATION) {
        droppedOids.add(stat.object());
      }
    }
    onlyDeletesRelations =
        transaction.transients.isEmpty()
            && transaction.steps.stream().anyMatch(Step.RelationDeleted.class::isInstance);
    assign(transaction, files, commit, names);
  }

  private void assign(
      OpenTransaction transaction, FileNumbers files, Ending commit, RelationNames names) {
    Deque<Relation> waiting = new ArrayDeque<>();
    Relation lastLockedRelation = null;
    for (Step step : transaction.steps) {
      switch (step) {
        case Step.Locked lock -> {
          RelationId locked = lock.relation();
          lastLockedRelation = names.byOid(locked.database(), locked.relation(), commit.lsn());
          if (lastLockedRelation != null && lastLockedRelation.holdsRows()) {
            waiting.addLast(lastLockedRelation);
          }
        }
        case Step.RelationDeleted _ -> {
          if (!hasStatistics) {
            waiting.clear(); // on 14 the tables locked so far may be the ones dropped
          }
        }
        case Step.Created created -> {
          RelFile file = created.file();
          createdFiles.add(file);
          boolean born = transaction.born.contains(file.number());
          Rows filled = transaction.rowsIfAny(files.of(file));
          boolean rewritten = born || (filled != null && filled.images > 0);
          boolean notATable =
              lastLockedRelation != null
                  && (lastLockedRelation.kind() == Relation.Kind.INDEX
                      || lastLockedRelation.kind() == Relation.Kind.TOAST);
          lastLockedRelation = null;
          Relation known = names.byFile(file, commit.end());
          if (known != null) {
            waiting.removeIf(relation -> relation.oid() == known.oid());
            if (known.holdsRows()) {
              take(known, file, rewritten, filled);
            }
          } else if (!notATable && (!born || transaction.transients.contains(file.number()))) {
            while (!waiting.isEmpty() && droppedOids.contains(waiting.getFirst().oid())) {
              waiting.removeFirst();
            }
            if (!waiting.isEmpty()) {
              take(waiting.removeFirst(), file, rewritten, filled);
            } else {
              truncationLeftOver |= !rewritten;
            }
          }
        }
      }
    }
  }

  private void take(Relation owner, RelFile file, boolean rewritten, @Nullable Rows filled) {
    boolean emptied = filled != null && filled.emptied;
    newStorage.put(
        new RelationId(owner.database(), owner.oid()), new NewStorage(file, rewritten && !emptied));
    ownerOfNewFile.put(file, owner);
  }

  /** What became of a table one of whose files the commit dropped. */
  Fate of(Relation table) {
    if (droppedOids.contains(table.oid())) {
      return Fate.DROPPED;
    }
    NewStorage storage = newStorage.get(new RelationId(table.database(), table.oid()));
    if (storage != null) {
      return storage.rewritten ? Fate.REWRITTEN : Fate.TRUNCATED;
    }
    if (!hasStatistics) {
      return Fate.DROPPED;
    }
    return truncationLeftOver ? Fate.TRUNCATED : Fate.REWRITTEN;
  }

  /** The new files, with the tables they now belong to, as far as that is known. */
  Map<RelFile, Relation> newFiles() {
    return ownerOfNewFile;
  }

  /**
   * Whether this file's relation is gone, without knowing whose it is. A relation's first file has
   * the relation's OID as its number; where no OIDs are told, on 14, it is so if the transaction
   * deleted relations and rewrote none.
   */
  boolean isGone(RelFile file) {
    return !createdFiles.contains(file)
        && (hasStatistics ? droppedOids.contains(file.number()) : onlyDeletesRelations);
  }

  /** Whether the transaction created this file. */
  boolean isNew(RelFile file) {
    return createdFiles.contains(file);
  }

  /** The table this new file replaces or is the first file of; null when nobody knows. */
  @Nullable Relation ownerOfNew(RelFile file) {
    return ownerOfNewFile.get(file);
  }
}
