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
import java.util.function.IntPredicate;
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

    /** Rows deleted before that. */
    long deletedBeforeEmptied;

    /** Whether what a rewrite carried over is left out of the counts. */
    boolean handedOver;

    private void reset(int newFile) {
      file = newFile;
      inserted = 0;
      updated = 0;
      deleted = 0;
      images = 0;
      emptied = false;
      deletedBeforeEmptied = 0;
      handedOver = false;
    }

    private void add(Rows other) {
      inserted += other.inserted;
      updated += other.updated;
      deleted += other.deleted;
      images += other.images;
      emptied |= other.emptied;
      deletedBeforeEmptied += other.deletedBeforeEmptied;
      handedOver |= other.handedOver;
    }

    /** What came in so far is gone again; what was done to rows there before was done. */
    private void empty() {
      inserted = 0;
      deletedBeforeEmptied = deleted;
    }

    /** The file is filled and becomes the table's own: from here on changes are changes. */
    private void handOver() {
      inserted = 0;
      updated = 0;
      deleted = 0;
      handedOver = true;
    }
  }

  /** A step that tells dropping, truncating and rewriting apart by its place among the others. */
  sealed interface Step {
    Lsn lsn();

    /** An access exclusive lock was taken. */
    record Locked(Lsn lsn, RelationId relation) implements Step {}

    /** A relation's main file was created. */
    record Created(Lsn lsn, RelFile file) implements Step {}
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

  /** Whether it changed rows of catalogs that tell what relations there are. */
  boolean changedCatalogs;

  /** What those changes say: known once it committed. */
  CommittedDefinitions definitions = CommittedDefinitions.NONE;

  /** Files of relations born here, and the OIDs of these, until another relation takes the file. */
  private final Map<RelFile, Long> filesOfBorn = new HashMap<>(0);

  /**
   * Rows deleted here whose other half, the insert into another partition, has not come yet: their
   * files, the latest last, and how many of each. Moves nest when triggers move rows.
   */
  private int[] moveFiles = {};

  private int[] moveCounts = {};
  private int moves;

  /** What messages in it say: who did it, and what the guard saw. */
  Origin origin = Origin.UNKNOWN;

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
    moves = 0;
    droppedDatabase = 0;
    databaseGone = null;
    origin = Origin.UNKNOWN;
    changedCatalogs = false;
    definitions = CommittedDefinitions.NONE;
    if (!steps.isEmpty()) {
      steps.clear();
    }
    if (locked != null) {
      locked = null;
    }
    if (!filesOfBorn.isEmpty()) {
      filesOfBorn.clear();
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

  /** Rows inserted into this file so far were cut off with it. */
  void empty(int file) {
    Rows gone = rowsIfAny(file);
    if (gone != null) {
      gone.empty();
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

  // ---- rows on their way to another partition
  // ----------------------------------------------------

  /** Whether an insert may be the other half of a move. */
  boolean isMoving() {
    return moves > 0;
  }

  /** A row left this file for another partition: an update of it, once the insert comes. */
  void moveOut(int file) {
    moveOut(file, 1);
  }

  private void moveOut(int file, int count) {
    if (moves > 0 && moveFiles[moves - 1] == file) {
      moveCounts[moves - 1] += count;
      return;
    }
    if (moves == moveFiles.length) {
      moveFiles = Arrays.copyOf(moveFiles, 2 * moves + 1);
      moveCounts = Arrays.copyOf(moveCounts, 2 * moves + 1);
    }
    moveFiles[moves] = file;
    moveCounts[moves] = count;
    moves++;
  }

  /** Takes the latest move that fits; whether there was one. */
  boolean moveIn(IntPredicate fits) {
    for (int index = moves - 1; index >= 0; index--) {
      if (fits.test(moveFiles[index])) {
        moveCounts[index]--;
        if (moveCounts[index] == 0) {
          moves--;
          System.arraycopy(moveFiles, index + 1, moveFiles, index, moves - index);
          System.arraycopy(moveCounts, index + 1, moveCounts, index, moves - index);
        }
        return true;
      }
    }
    return false;
  }

  /** At the end: rows that arrived nowhere (a trigger kept them out) are deleted. */
  void endMoves() {
    for (int index = 0; index < moves; index++) {
      Rows rows = rowsOf(moveFiles[index]);
      rows.updated -= moveCounts[index];
      rows.deleted += moveCounts[index];
    }
    moves = 0;
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
  }

  /**
   * pg_class changed. A rewrite fills the file of a transient relation and lets the table take it
   * over ("commands/cluster.c", swap_relation_files: the table's row first, then the other's, which
   * gets the old file); what went into it before is nobody's insert.
   */
  void changed(RelationChange change, FileNumbers numbers) {
    RelFile file = change.fileAfter();
    if (file == null) {
      return;
    }
    if (change.born()) {
      filesOfBorn.put(file, change.oid());
    } else if (!file.equals(change.fileBefore())) {
      Long owner = filesOfBorn.get(file);
      if (owner != null && owner != change.oid()) {
        Rows rows = rowsIfAny(numbers.of(file));
        if (rows != null) {
          rows.handOver();
        }
        filesOfBorn.remove(file);
        filesOfBorn.values().removeIf(oid -> oid == change.oid());
      }
    }
  }

  boolean created(RelFile file) {
    return steps.stream()
        .anyMatch(step -> step instanceof Step.Created created && created.file.equals(file));
  }

  /** Whether it did nothing but change rows. */
  boolean onlyChangedRows() {
    return steps.isEmpty() && !changedCatalogs && droppedDatabase == 0;
  }

  /** Takes over what a subtransaction did that committed with it. */
  void fold(OpenTransaction part) {
    origin = origin.with(part.origin);
    firstLsn = Long.compareUnsigned(part.firstLsn, firstLsn) < 0 ? part.firstLsn : firstLsn;
    for (int index = 0; index < part.files; index++) {
      Rows theirs = part.rows[index];
      rowsOf(theirs.file).add(theirs);
    }
    if (!part.steps.isEmpty()) {
      steps.addAll(part.steps);
      steps.sort(Comparator.comparing(Step::lsn));
    }
    changedCatalogs |= part.changedCatalogs;
    for (int index = 0; index < part.moves; index++) {
      moveOut(part.moveFiles[index], part.moveCounts[index]);
    }
    if (part.droppedDatabase != 0) {
      droppedDatabase = part.droppedDatabase;
    }
    if (part.databaseGone != null) {
      databaseGone = part.databaseGone;
    }
  }
}
