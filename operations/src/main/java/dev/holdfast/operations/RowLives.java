package dev.holdfast.operations;

import dev.holdfast.damage.RowHistories;
import dev.holdfast.damage.RowHistories.Left;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Step;
import dev.holdfast.damage.RowHistories.Truncation;
import dev.holdfast.postgres.RowReader;
import dev.holdfast.postgres.RowVersion;
import dev.holdfast.revert.ColumnMatch;
import dev.holdfast.revert.Hit;
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowKey;
import dev.holdfast.row.TableShape;
import dev.holdfast.wal.Lsn;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What the set did to each row of one table: its history in one place, with the versions that a
 * fork showed of it.
 *
 * <p>A row that the set deleted and that came back under its key, by the set or by others, goes on
 * in another life; both are given as one.
 */
final class RowLives {
  static final int BATCH = 2_000;

  private final TransactionSet set;
  private final RowImages images;
  private final TableRows rows;
  private final TableNow table;
  private final PresentRows present;
  private final RowReader now;
  private final boolean lostKeysOnly;
  private final List<RowLives> together;

  private final ColumnMatch match;
  private final IdentityHashMap<TableShape, int[]> positions = new IdentityHashMap<>();
  private final int[] presentPositions;
  private @Nullable Continuations continuations;
  private @Nullable BitSet writtenAfterRewrite;

  /**
   * @param images everything wanted was read
   * @param now reads production
   * @param lostKeysOnly whether each transaction's work is wanted by itself
   * @param together the rows of all tables, these among them when they are asked for rows that were
   *     moved to others
   */
  RowLives(
      TransactionSet set,
      RowImages images,
      TableRows rows,
      TableNow table,
      PresentRows present,
      RowReader now,
      boolean lostKeysOnly,
      List<RowLives> together) {
    this.set = set;
    this.images = images;
    this.rows = rows;
    this.table = table;
    this.present = present;
    this.now = now;
    this.lostKeysOnly = lostKeysOnly;
    this.together = together;
    TableShape then =
        images.sharedShape(rows.table().oid()).map(table::numbered).orElse(table.shape());
    this.match = ColumnMatch.of(then, table.shape());
    this.presentPositions = positions(table.shape(), match.now());
  }

  /** The columns of then and now, as the rows given here list them. */
  ColumnMatch match() {
    return match;
  }

  TableRows rows() {
    return rows;
  }

  TableNow now() {
    return table;
  }

  void each(Consumer<RowLife> sink) {
    Continuations continued = continuations();
    int count = count();
    for (int number = 0; number < count; number++) {
      RowLife first = continued.isContinuation(number) ? null : life(number);
      if (first == null) {
        continue;
      }
      RowLife life = besideMoves(number, first);
      for (int next = continued.of(number); next >= 0; next = continued.of(next)) {
        life = continued(life, besideMoves(next, Objects.requireNonNull(life(next))));
      }
      sink.accept(life);
    }
  }

  /** One life after another under the same key. */
  private static RowLife continued(RowLife one, RowLife next) {
    List<Hit> hits = new ArrayList<>(one.hits);
    Hit end = hits.removeLast();
    Hit begin = next.hits.getFirst();
    if (one.lastKnown != null) {
      // The table was rewritten in between; another image means that somebody wrote the row, too.
      boolean touched = end.touched() || !one.lastKnown.equals(begin.before());
      hits.add(new Hit(end.before(), end.after(), touched, end.since()));
      hits.addAll(next.hits);
    } else if (begin.before() == null) {
      // Deleted and put in again by the set: one row updated.
      hits.add(new Hit(end.before(), begin.after(), begin.touched(), begin.since()));
      hits.addAll(next.hits.subList(1, next.hits.size()));
    } else {
      hits.add(new Hit(end.before(), null, true, List.of()));
      hits.addAll(next.hits);
    }
    next.hits = hits;
    return next;
  }

  private Continuations continuations() {
    Continuations known = continuations;
    if (known == null) {
      known = Continuations.of(this);
      continuations = known;
    }
    return known;
  }

  Truncation truncation(int number) {
    int index = number - rows.count();
    for (Truncation truncation : rows.table().truncations()) {
      if (index < images.lostCount(truncation)) {
        return truncation;
      }
      index -= images.lostCount(truncation);
    }
    throw new IllegalArgumentException("there is no life " + number);
  }

  /** Null when nothing is left of it. */
  @Nullable Row firstRow(int number) {
    RowLife life = life(number);
    if (life == null) {
      return null;
    }
    Hit first = life.hits.getFirst();
    return first.before() != null ? first.before() : first.after();
  }

  /** Rows with a history, then rows that went with each truncation. */
  int count() {
    return rows.count() + rows.table().truncations().stream().mapToInt(images::lostCount).sum();
  }

  /** Null when nothing is left of it. */
  @Nullable RowLife life(int number) {
    if (number < rows.count()) {
      RowHistory history = rows.history(number);
      return history == null ? null : life(number, history);
    }
    int index = number - rows.count();
    for (Truncation truncation : rows.table().truncations()) {
      int count = images.lostCount(truncation);
      if (index < count) {
        Hit hit = new Hit(row(images.lost(truncation, index)), null, false, List.of());
        return new RowLife(new ArrayList<>(List.of(hit)), truncation.writer().commitLsn());
      }
      index -= count;
    }
    throw new IllegalArgumentException("there is no life " + number);
  }

  private @Nullable RowLife life(int number, RowHistory history) {
    List<Step> steps = history.steps();
    boolean each = lostKeysOnly;
    List<Hit> hits = new ArrayList<>(1);
    Lsn lastHit = Lsn.NONE;
    for (int first = 0; first < steps.size(); first++) {
      if (!steps.get(first).writer().inSet()) {
        continue;
      }
      int last = first;
      while (!each && last + 1 < steps.size() && steps.get(last + 1).writer().inSet()) {
        last++;
      }
      boolean touched =
          last + 1 < steps.size()
              && !steps.get(last + 1).writer().inSet()
              && steps.get(last + 1).left() != Left.UNKNOWN;
      Row before = version(number, history, first);
      Row after = version(number, history, last + 1);
      if (before != null || after != null) {
        hits.add(new Hit(before, after, touched, since(number, history, last + 1)));
        lastHit = steps.get(last).writer().commitLsn();
      } // else the set put the row in and took it out
      first = last;
    }
    if (hits.isEmpty()) {
      return null;
    }
    RowLife life = new RowLife(hits, lastHit);
    Step last = history.last();
    life.goneBeforeEnd =
        !last.writer().inSet()
            && steps.stream()
                .filter(step -> !step.writer().inSet() && step.left() != Left.UNKNOWN)
                .anyMatch(step -> !step.writer().commitEnd().isAfter(set.lastCommitEnd()));
    if (present.isAsLogged(number)) {
      life.now = presentRow(Objects.requireNonNull(present.row(number)));
      life.known = true;
    } else if (last.left() == Left.MOVED) {
      life.known = true;
      life.movedOn = true;
    } else if (last.left() == Left.NOTHING && !last.writer().inSet()) {
      life.known = true; // deleted by others: a row of its key that is there now is another one
    } else if (last.left() == Left.VERSION && last.writer().inSet()) {
      life.xmin = last.xid();
    } else if (last.left() == Left.UNKNOWN && steps.size() > 1) {
      life.rewritten = true;
      life.lastKnown = version(number, history, steps.size() - 1);
      life.rewriter = last.writer().xid();
      life.xmin = steps.get(steps.size() - 2).xid();
    }
    return life;
  }

  /** The same, when others wrote what the set moved to another partition: there it stays. */
  private RowLife besideMoves(int number, RowLife life) {
    Hit end = life.hits.getLast();
    if (number < rows.count() && end.after() == null && wasWrittenWhereItMoved(number)) {
      life.hits.set(life.hits.size() - 1, new Hit(end.before(), null, true, end.since()));
    }
    return life;
  }

  /** Whether others wrote a row that the set moved to another partition, on the way or there. */
  private boolean wasWrittenWhereItMoved(int number) {
    RowHistories.MovedTo there = rows.movedTo(number);
    if (there == null || there.written()) {
      return there != null;
    }
    for (RowLives table : together) {
      int other = table.rows.number(there.file(), there.number());
      if (other >= 0) {
        return table.wasWrittenAfterRewrite(other);
      }
    }
    return false;
  }

  /** Whether others wrote a row after others rewrote its table, where the log does not tell. */
  private boolean wasWrittenAfterRewrite(int number) {
    RowHistory history = rows.history(number);
    if (history == null || !Continuations.endsRewritten(history) || match.wholeRows()) {
      return false;
    }
    int next = continuations().of(number);
    if (next < 0) {
      return writtenAfterRewrite().get(number);
    }
    Row kept = Objects.requireNonNull(life(number)).lastKnown;
    if (next >= rows.count()) {
      return !Objects.equals(kept, firstRow(next)); // it went with a TRUNCATE of the set's
    }
    RowHistory later = rows.history(next);
    return !Objects.equals(kept, firstRow(next))
        || (later != null
            && later.steps().stream()
                .anyMatch(step -> !step.writer().inSet() && step.left() != Left.UNKNOWN))
        || wasWrittenAfterRewrite(next);
  }

  private BitSet writtenAfterRewrite() {
    BitSet known = writtenAfterRewrite;
    if (known != null) {
      return known;
    }
    BitSet written = new BitSet();
    Map<Integer, Row> batch = new HashMap<>();
    for (int number = 0; number < rows.count(); number++) {
      RowHistory history = rows.history(number);
      boolean rewrite = history != null && Continuations.endsRewritten(history);
      RowLife life = rewrite && continuations().of(number) < 0 ? life(number) : null;
      if (life != null && life.lastKnown != null) {
        batch.put(number, life.lastKnown);
      }
      if (batch.size() == BATCH || number == rows.count() - 1) {
        Set<RowKey> keys = new HashSet<>();
        batch.values().forEach(row -> keys.add(match.keyOf(row)));
        Map<RowKey, RowVersion> found = now.versionsByKey(table.oid(), match.now(), keys);
        batch.forEach((each, row) -> {
          RowVersion is = found.get(match.keyOf(row));
          written.set(each, is == null || !is.row().first(row.size()).equals(row));
        });
        batch.clear();
      }
    }
    writtenAfterRewrite = written;
    return written;
  }

  /** Images that others left after a step and before the next one of the set's, or now. */
  private List<Row> since(int number, RowHistory history, int image) {
    List<Row> since = new ArrayList<>();
    List<Step> steps = history.steps();
    for (int later = image + 1; later < steps.size(); later++) {
      if (steps.get(later - 1).writer().inSet() || steps.get(later).writer().inSet()) {
        break;
      }
      Row left =
          lostKeysOnly || WantedImages.isBetween(steps, later)
              ? version(number, history, later)
              : null;
      if (left != null) {
        since.add(left);
      }
    }
    return since;
  }

  /** A version of a row, its values as {@link ColumnMatch#then} lists them; null for no row. */
  private @Nullable Row version(int number, RowHistory history, int version) {
    List<Step> steps = history.steps();
    Left left = version == 0 ? null : steps.get(version - 1).left();
    if (version == 0 ? history.first() == null : left == Left.NOTHING || left == Left.MOVED) {
      return null;
    }
    if (left == Left.UNKNOWN) {
      throw set.rewroteItself(rows.table());
    }
    if (version == steps.size() && present.isAsLogged(number)) {
      return presentRow(Objects.requireNonNull(present.row(number))).first(match.then().size());
    }
    RowImages.Image image = images.image(rows.table().oid(), number, version);
    if (image == null) {
      throw new IllegalStateException(
          "version " + version + " of a row of " + rows.table().name() + " was not read");
    }
    return row(image);
  }

  Row row(RowImages.Image image) {
    int[] at =
        positions.computeIfAbsent(
            image.shape(), shape -> positions(table.numbered(shape), match.then()));
    return arranged(image.row(), at);
  }

  Row presentRow(Row row) {
    return arranged(row, presentPositions);
  }

  private static Row arranged(Row row, int[] at) {
    if (isInOrder(at) && at.length == row.size()) {
      return row;
    }
    List<@Nullable String> values = new ArrayList<>(at.length);
    for (int position : at) {
      values.add(row.value(position));
    }
    return Row.copyOf(values);
  }

  private static boolean isInOrder(int[] at) {
    for (int index = 0; index < at.length; index++) {
      if (at[index] != index) {
        return false;
      }
    }
    return true;
  }

  private static int[] positions(TableShape shape, List<Column> wanted) {
    int[] at = new int[wanted.size()];
    for (int index = 0; index < at.length; index++) {
      for (int position = 0; position < shape.columns().size(); position++) {
        if (shape.columns().get(position).number() == wanted.get(index).number()) {
          at[index] = position;
        }
      }
    }
    return at;
  }

  /** The row as it was when the set deleted it, where that matters; else as it is to come back. */
  Row deleted(int number, RowLife life) {
    RowHistory history = number < rows.count() ? rows.history(number) : null;
    if (history != null && WantedImages.isWrittenAndDeleted(history)) {
      int last = history.steps().size() - 1;
      RowImages.Image image = images.image(rows.table().oid(), number, last);
      return image == null ? life.deleted() : row(image);
    }
    return life.deleted();
  }

  /** Keys that more than one of the rows to come back may want. */
  void eachContestedKey(Consumer<RowKey> sink) {
    KeyHashes givenUp = new KeyHashes();
    for (int number = 0; number < rows.count(); number++) {
      RowHistory history = rows.history(number);
      boolean again = history != null && wasHitAgain(history);
      boolean deleted = history != null && WantedImages.isWrittenAndDeleted(history);
      boolean moved = history != null && rows.hasMoved(number);
      RowLife life = history != null && (again || deleted || moved) ? life(number, history) : null;
      if (life == null) {
        continue;
      }
      Set<RowKey> keys = new LinkedHashSet<>();
      life.hits.stream()
          .flatMap(
              hit -> Stream.of(Optional.ofNullable(hit.before()), Optional.ofNullable(hit.after())))
          .flatMap(Optional::stream)
          .forEach(row -> keys.add(match.keyOf(row)));
      if (deleted) {
        keys.add(match.keyOf(deleted(number, life)));
      }
      if (moved || keys.size() > 1) {
        keys.forEach(again ? sink : givenUp::add);
      }
    }
    if (givenUp.isEmpty()) {
      return;
    }
    // Under a key that the set took from a row others may have put in one, which it took as well.
    for (int number = 0; number < count(); number++) {
      boolean mayHaveCome = number >= rows.count() || rows.mayHaveCome(number);
      Row first = mayHaveCome ? firstRow(number) : null;
      if (first != null && givenUp.contains(match.keyOf(first))) {
        sink.accept(match.keyOf(first));
      }
    }
  }

  /** Whether others came between two writes of the set's. */
  private static boolean wasHitAgain(RowHistory history) {
    List<Step> steps = history.steps();
    for (int step = 1; step < steps.size(); step++) {
      if (steps.get(step).writer().inSet() && !steps.get(step - 1).writer().inSet()) {
        return true;
      }
    }
    return false;
  }

  /**
   * Whether a row that the set put in is not where it was, but may have gone on elsewhere: others
   * moved it, or rewrote its table, and under its key there is none.
   */
  boolean mayBeElsewhere(RowLife life) {
    return life.hits.getFirst().before() == null
        && !life.endsDeleted()
        && life.now == null
        && (life.movedOn || (life.rewritten && !set.wasUndoneSince(table.oid())));
  }
}
