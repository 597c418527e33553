package dev.holdfast.operations;

import dev.holdfast.damage.RowHistories.Left;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Truncation;
import dev.holdfast.revert.ColumnMatch;
import dev.holdfast.row.Row;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Which life of a row goes on in which other one: the set deleted a row, and one came under its
 * key; or others rewrote the table, and all its rows went on in another file. A row that the set
 * moved to another partition is none that it deleted, and none that came.
 */
final class Continuations {
  private final RowLives lives;
  private final TableRows rows;
  private final ColumnMatch match;

  /** By life, -1 for none; empty when none goes on in another. */
  private int[] next = {};

  private final BitSet later = new BitSet();

  private Continuations(RowLives lives) {
    this.lives = lives;
    this.rows = lives.rows();
    this.match = lives.match();
  }

  static Continuations of(RowLives lives) {
    Continuations found = new Continuations(lives);
    found.find();
    return found;
  }

  /** The life in which one goes on; -1 for none. */
  int of(int life) {
    return next.length == 0 ? -1 : next[life];
  }

  boolean isContinuation(int life) {
    return later.get(life);
  }

  /** A life that began while the set went on, and may be another one's continuation. */
  private record Began(int life, Lsn at) {}

  private void find() {
    @Nullable Lsn deleted = null;
    boolean keyed = !match.wholeRows(); // equal rows that came again without a key: see wholes()
    boolean began = false;
    boolean moved = false;
    for (int number = 0; number < rows.count(); number++) {
      RowHistory history = rows.history(number);
      if (history != null) {
        moved |= endsRewritten(history);
        if (keyed && endsDeletedBySet(history)) {
          deleted = earlier(deleted, history.last().writer().commitLsn());
        }
        began |= keyed && rows.mayHaveCome(number);
      }
    }
    for (Truncation truncation : rows.table().truncations()) {
      deleted = keyed ? earlier(deleted, truncation.writer().commitLsn()) : null;
    }
    boolean cameBack = deleted != null && (began || truncated(after(deleted)));
    if (!cameBack && !moved) {
      return;
    }
    Map<Long, List<Began>> byKey = new HashMap<>();
    int count = lives.count();
    for (int number = 0; number < count; number++) {
      RowHistory history = number < rows.count() ? rows.history(number) : null;
      boolean mayGoOn =
          number < rows.count()
              ? history != null
                  && !rows.hasArrived(number)
                  && ((keyed && rows.mayHaveCome(number)) || (moved && rows.isOfLaterFile(number)))
              : moved || (deleted != null && after(deleted).test(lives.truncation(number)));
      Row first = mayGoOn ? lives.firstRow(number) : null;
      if (first != null) {
        byKey
            .computeIfAbsent(KeyHashes.hash(identity(first)), _ -> new ArrayList<>(1))
            .add(new Began(number, firstCommit(number)));
      }
    }
    next = new int[count];
    Arrays.fill(next, -1);
    for (int number = 0; number < count; number++) {
      RowHistory history = number < rows.count() ? rows.history(number) : null;
      if (number < rows.count()
          && (history == null
              || !((keyed && endsDeletedBySet(history) && !rows.hasMoved(number))
                  || endsRewritten(history)))) {
        continue;
      }
      if (!keyed && number >= rows.count()) {
        continue;
      }
      RowLife life = lives.life(number);
      boolean rewrite = history != null && endsRewritten(history);
      if (life == null || (rewrite ? life.lastKnown == null : !life.endsDeleted())) {
        continue;
      }
      Row key = identity(rewrite ? life.kept() : lives.deleted(number, life));
      Lsn ended = lastCommit(number);
      Began best = null;
      for (Began other : byKey.getOrDefault(KeyHashes.hash(key), List.of())) {
        boolean after =
            // What a TRUNCATE took did not begin with it: it goes on only what ended before.
            (other.life < rows.count() ? !other.at.isBefore(ended) : other.at.isAfter(ended))
                && other.life != number
                && (!rewrite || isOfOtherFile(other.life, number))
                && (keyed || !isInsert(other.life));
        if (after && !later.get(other.life) && (best == null || other.at.isBefore(best.at))) {
          best = other;
        }
      }
      boolean fits = best != null && (!rewrite || !isInsert(best.life));
      if (best != null && fits && sameKey(key, best.life)) {
        next[number] = best.life;
        later.set(best.life);
      }
    }
  }

  private boolean sameKey(Row key, int life) {
    return key.equals(identity(Objects.requireNonNull(lives.firstRow(life))));
  }

  /** What tells a row from others: its key, or all of it. */
  private Row identity(Row row) {
    return match.wholeRows() ? row : Row.copyOf(match.keyOf(row).values());
  }

  private static Lsn earlier(@Nullable Lsn one, Lsn other) {
    return one != null && one.isBefore(other) ? one : other;
  }

  private boolean truncated(Predicate<Truncation> wanted) {
    return rows.table().truncations().stream().anyMatch(wanted);
  }

  /** A row that went with such a truncation may have been put in after the set deleted another. */
  private static Predicate<Truncation> after(Lsn deleted) {
    return truncation -> truncation.writer().commitLsn().isAfter(deleted);
  }

  /** Whether others rewrote its table last, so that its rows are in another file. */
  static boolean endsRewritten(RowHistory history) {
    return history.last().left() == Left.UNKNOWN && !history.last().writer().inSet();
  }

  private boolean isOfOtherFile(int one, int other) {
    RelFile file = one < rows.count() ? rows.file(one) : lives.truncation(one).file();
    return !file.equals(rows.file(other));
  }

  private boolean isInsert(int life) {
    return life < rows.count() && Objects.requireNonNull(rows.history(life)).first() == null;
  }

  /** Whether it was the set that took a row out, or the table's all. */
  static boolean endsDeletedBySet(RowHistory history) {
    return history.last().left() == Left.NOTHING && history.last().writer().inSet();
  }

  private Lsn firstCommit(int number) {
    return number < rows.count()
        ? Objects.requireNonNull(rows.history(number)).steps().getFirst().writer().commitLsn()
        : lives.truncation(number).writer().commitLsn();
  }

  private Lsn lastCommit(int number) {
    return number < rows.count()
        ? Objects.requireNonNull(rows.history(number)).last().writer().commitLsn()
        : lives.truncation(number).writer().commitLsn();
  }
}
