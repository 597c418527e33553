package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import java.util.ArrayList;
import java.util.Arrays;
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
 *
 * <p>Used again for another transaction when this one is over: ordinary ones make no objects.
 */
final class OpenTransaction {
  /** What it did to the rows of one file. */
  static final class Rows {
    /** The file's number in {@link FileNumbers}. */
    int file;

    long inserted;
    long updated;
    long deleted;

    /** Whole pages written: the file was filled by a rewrite. */
    long images;

    /** Whether the file was emptied, by a TRUNCATE of a table made in the same transaction. */
    boolean emptied;

    private void reset(int newFile) {
      file = newFile;
      inserted = 0;
      updated = 0;
      deleted = 0;
      images = 0;
      emptied = false;
    }

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

  /** Files up to which looking at each beats hashing. */
  private static final int FEW = 8;

  private static final int NONE = -1;

  private static final int KEPT_ROWS_MAX = 1024;

  long xid;
  long firstLsn;

  private Rows[] rows = new Rows[FEW];
  private int files;
  private int[] slots = {};

  final List<Step> steps = new ArrayList<>(0);
  private @Nullable Set<RelationId> locked;

  /** Numbers of files that were created together with a relation of their own. */
  final Set<Long> born = new HashSet<>(0);

  /** Those of them whose relation was deleted again: the vehicles of rewrites. */
  final Set<Long> transients = new HashSet<>(0);

  /** Where the rows of pg_class lie that this transaction inserted, and their files' numbers. */
  private final Map<Long, Long> bornRows = new HashMap<>(0);

  /** The file just created, until pg_class tells whether a relation was born with it; or 0. */
  private long justCreated;

  /** Rows deleted here whose other half, the insert in another partition, has not come yet. */
  long movesPending;

  /** The database whose files it removed; 0 for none. */
  long droppedDatabase;

  /** Where DROP DATABASE began: before the first record that bears its transaction id. */
  @Nullable Lsn databaseGone;

  void begin(long newXid, long lsn) {
    xid = newXid;
    firstLsn = lsn;
  }

  /** Forgets everything, to be used for another transaction. */
  void reset() {
    if (rows.length > KEPT_ROWS_MAX) {
      rows = new Rows[FEW];
      slots = new int[0];
    } else if (files > FEW) {
      Arrays.fill(slots, NONE);
    }
    files = 0;
    movesPending = 0;
    droppedDatabase = 0;
    databaseGone = null;
    justCreated = 0;
    if (!steps.isEmpty()) {
      steps.clear();
    }
    if (locked != null) {
      locked = null;
    }
    if (!born.isEmpty()) {
      born.clear();
      transients.clear();
      bornRows.clear();
    }
  }

  // ---- rows ------------------------------------------------------------------------------------

  /** How many files it touched. */
  int files() {
    return files;
  }

  /** What it did to one of the files it touched, by order of first touch. */
  Rows rows(int index) {
    return rows[index];
  }

  /** What it did to this file so far: nothing, when it is new here. */
  Rows rowsOf(int file) {
    int index = find(file);
    if (index >= 0) {
      return rows[index];
    }
    if (files == rows.length) {
      rows = Arrays.copyOf(rows, 2 * files);
    }
    Rows added = rows[files];
    if (added == null) {
      added = new Rows();
      rows[files] = added;
    }
    added.reset(file);
    files++;
    if (files > FEW) {
      index();
    }
    return added;
  }

  /** What it did to this file; null for nothing. */
  @Nullable Rows rowsIfAny(int file) {
    int index = find(file);
    return index < 0 ? null : rows[index];
  }

  /** Rows written to this file so far were cut off with it. */
  void forgetRowsOf(int file) {
    Rows gone = rowsIfAny(file);
    if (gone != null) {
      gone.reset(file);
    }
  }

  private int find(int file) {
    if (files <= FEW) {
      for (int index = files - 1; index >= 0; index--) {
        if (rows[index].file == file) {
          return index;
        }
      }
      return NONE;
    }
    return slots[slot(file)];
  }

  /** Puts the newest file, or all of them, into the hash index. */
  private void index() {
    if (slots.length < 4 * files) {
      slots = new int[8 * files];
      Arrays.fill(slots, NONE);
      for (int index = 0; index < files; index++) {
        slots[slot(rows[index].file)] = index;
      }
    } else if (files == FEW + 1) {
      for (int index = 0; index < files; index++) {
        slots[slot(rows[index].file)] = index;
      }
    } else {
      slots[slot(rows[files - 1].file)] = files - 1;
    }
  }

  private int slot(int file) {
    int slot = Integer.remainderUnsigned(file * 0x9E37_79B1, slots.length);
    while (slots[slot] != NONE && rows[slots[slot]].file != file) {
      slot = slot + 1 == slots.length ? 0 : slot + 1;
    }
    return slot;
  }

  // ---- relations -------------------------------------------------------------------------------

  /** Standbys are told the same lock again and again: only the first time is a step. */
  void lock(Lsn lsn, RelationId relation) {
    if (locked == null) {
      locked = new HashSet<>();
    }
    if (locked.add(relation)) {
      steps.add(new Step.Locked(lsn, relation));
    }
  }

  void create(Lsn lsn, RelFile file) {
    steps.add(new Step.Created(lsn, file));
    justCreated = file.number();
  }

  /** A new relation's row follows its file ("catalog/heap.c", "catalog/index.c"). */
  void pgClassInserted(long tid) {
    if (justCreated != 0) {
      born.add(justCreated);
      bornRows.put(tid, justCreated);
      justCreated = 0;
    }
  }

  /** An old relation's row is updated after its new file was created. */
  void pgClassUpdated(long from, long to) {
    Long number = bornRows.remove(from);
    if (number != null) {
      bornRows.put(to, number);
    }
    justCreated = 0;
  }

  void pgClassDeleted(Lsn lsn, long tid) {
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

  /** Whether it did nothing but change rows. */
  boolean onlyChangedRows() {
    return steps.isEmpty() && droppedDatabase == 0;
  }

  /** Takes over what a subtransaction did that committed with it. */
  void fold(OpenTransaction part) {
    firstLsn = Long.compareUnsigned(part.firstLsn, firstLsn) < 0 ? part.firstLsn : firstLsn;
    for (int index = 0; index < part.files; index++) {
      Rows theirs = part.rows[index];
      rowsOf(theirs.file).add(theirs);
    }
    if (!part.steps.isEmpty()) {
      steps.addAll(part.steps);
      steps.sort(Comparator.comparing(Step::lsn));
    }
    born.addAll(part.born);
    transients.addAll(part.transients);
    bornRows.putAll(part.bornRows);
    movesPending += part.movesPending;
    if (part.droppedDatabase != 0) {
      droppedDatabase = part.droppedDatabase;
    }
    if (part.databaseGone != null) {
      databaseGone = part.databaseGone;
    }
  }
}
