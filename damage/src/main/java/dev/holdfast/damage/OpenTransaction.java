package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import dev.holdfast.wal.Tid;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What one transaction or subtransaction did so far. Subtransactions log under their own id and are
 * folded into their parent only when both commit.
 */
final class OpenTransaction {
  /** What it did to the rows of one file. */
  static final class Rows {
    long inserted;
    long updated;
    long deleted;

    /** Whole pages written: the file was filled by a rewrite. */
    long images;

    /** Whether the file was emptied, by a TRUNCATE of a table made in the same transaction. */
    boolean emptied;

    private void add(Rows other) {
      inserted += other.inserted;
      updated += other.updated;
      deleted += other.deleted;
      images += other.images;
      emptied |= other.emptied;
    }
  }

  /** A step that tells dropping, truncating and rewriting apart by its place among the others. */
  sealed interface Step {
    Lsn lsn();

    /** An access exclusive lock was taken. */
    record Locked(Lsn lsn, RelationId relation) implements Step {}

    /** A relation's main file was created. */
    record Created(Lsn lsn, RelFile file) implements Step {}

    /** A row that pg_class had before was deleted: some relation is no more. */
    record RelationDeleted(Lsn lsn) implements Step {}
  }

  final Lsn firstLsn;
  final Map<RelFile, Rows> rows = new HashMap<>();
  final List<Step> steps = new ArrayList<>();
  private final Set<RelationId> locked = new HashSet<>();

  /** Numbers of files that were created together with a relation of their own. */
  final Set<Long> born = new HashSet<>();

  /** Those of them whose relation was deleted again: the vehicles of rewrites. */
  final Set<Long> transients = new HashSet<>();

  /** Where the rows of pg_class lie that this transaction inserted, and their files' numbers. */
  private final Map<Tid, Long> bornRows = new HashMap<>();

  /** The file just created, until pg_class tells whether a relation was born with it; or 0. */
  private long justCreated;

  /** Rows deleted here whose other half, the insert in another partition, has not come yet. */
  long movesPending;

  /** The database whose files it removed; 0 for none. */
  long droppedDatabase;

  /** Where DROP DATABASE began: before the first record that bears its transaction id. */
  @Nullable Lsn databaseGone;

  OpenTransaction(Lsn firstLsn) {
    this.firstLsn = firstLsn;
  }

  Rows rows(RelFile file) {
    return rows.computeIfAbsent(file, _ -> new Rows());
  }

  /** Standbys are told the same lock again and again: only the first time is a step. */
  void lock(Lsn lsn, RelationId relation) {
    if (locked.add(relation)) {
      steps.add(new Step.Locked(lsn, relation));
    }
  }

  void create(Lsn lsn, RelFile file) {
    steps.add(new Step.Created(lsn, file));
    justCreated = file.number();
  }

  /** A new relation's row follows its file ("catalog/heap.c", "catalog/index.c"). */
  void pgClassInserted(Tid tid) {
    if (justCreated != 0) {
      born.add(justCreated);
      bornRows.put(tid, justCreated);
      justCreated = 0;
    }
  }

  /** An old relation's row is updated after its new file was created. */
  void pgClassUpdated(Tid from, Tid to) {
    Long number = bornRows.remove(from);
    if (number != null) {
      bornRows.put(to, number);
    }
    justCreated = 0;
  }

  void pgClassDeleted(Lsn lsn, Tid tid) {
    Long number = bornRows.remove(tid);
    if (number == null) {
      steps.add(new Step.RelationDeleted(lsn));
    } else {
      transients.add(number);
      // A transient relation takes the TOAST table it was swapped with along: its owner lives on.
      while (!steps.isEmpty() && steps.getLast() instanceof Step.RelationDeleted) {
        steps.removeLast();
      }
    }
  }

  boolean created(RelFile file) {
    return steps.stream()
        .anyMatch(step -> step instanceof Step.Created created && created.file.equals(file));
  }

  /** One transaction out of it and the subtransactions that committed with it. */
  static OpenTransaction folded(List<OpenTransaction> parts) {
    if (parts.size() == 1) {
      return parts.getFirst();
    }
    OpenTransaction whole =
        new OpenTransaction(
            parts.stream().map(part -> part.firstLsn).min(Comparator.naturalOrder()).orElseThrow());
    for (OpenTransaction part : parts) {
      part.rows.forEach((file, rows) -> whole.rows(file).add(rows));
      whole.steps.addAll(part.steps);
      whole.born.addAll(part.born);
      whole.transients.addAll(part.transients);
      if (part.droppedDatabase != 0) {
        whole.droppedDatabase = part.droppedDatabase;
      }
      if (part.databaseGone != null) {
        whole.databaseGone = part.databaseGone;
      }
    }
    whole.steps.sort(Comparator.comparing(Step::lsn));
    return whole;
  }
}
