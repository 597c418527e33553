package dev.holdfast.revert;

import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Undoes the hits on one row, the last first: each by a three-way merge of what the row was before
 * the hit, after it, and is, or would be with the later hits undone.
 *
 * <p>What stays of a later hit hides what earlier ones did to the same column or key: a value of
 * long ago never takes the place of one that may not be touched. Hits that nobody came between are
 * one.
 *
 * <p>A null row does not exist. The row now may hold more columns than the past's: those added
 * since, always kept. Values are compared as exact texts.
 */
final class RowMerge {
  private final List<Column> columns;
  private final RevertOptions options;

  /**
   * @param columns those of the past's rows, as they are named now
   */
  RowMerge(List<Column> columns, RevertOptions options) {
    this.columns = List.copyOf(columns);
    this.options = options;
  }

  /**
   * @param hits in order of commit, at least one
   * @param now the row that stands for the last hit's
   */
  Decision undo(List<Hit> hits, @Nullable Row now) {
    if (hits.isEmpty()) {
      throw new IllegalArgumentException("a row that nothing hit");
    }
    if (options.lostKeysOnly()) {
      return putLostKeysBack(hits, now);
    }
    List<Hit> runs = runs(hits);
    if (runs.size() == 1) {
      Hit hit = runs.getFirst();
      return setAgain(hit, now)
          ? Decision.leave(Verdict.TOUCHED_SINCE)
          : undo(hit, now, changedBack(hit, now));
    }
    Hit last = runs.getLast();
    Fold left = new Fold(last.after());
    Decision wanted = left.all(replaceLast(runs, Hit.of(last.before(), last.after(), false)));
    if (wanted.change() == null && !allUndone(wanted.verdict())) {
      return new Fold(now).all(runs);
    }
    // Values come again: a row that was undone already may look as if the last hit had left it.
    Hit all = Hit.of(left.row, last.after(), true);
    return switch (undo(all, now, new LinkedHashSet<>()).verdict()) {
      case ALREADY_UNDONE, UNCHANGED ->
          allUndone(wanted.verdict())
              ? Decision.leave(Verdict.ALREADY_UNDONE)
              : new Decision(Verdict.TOUCHED_SINCE, null, wanted.kept(), List.of());
      case RESTORED, PARTLY_RESTORED, TOUCHED_SINCE, GONE_SINCE, KEY_USED_AGAIN ->
          new Fold(now).all(runs);
    };
  }

  private static List<Hit> replaceLast(List<Hit> hits, Hit last) {
    List<Hit> replaced = new ArrayList<>(hits);
    replaced.set(hits.size() - 1, last);
    return replaced;
  }

  /** Hits that follow each other undisturbed are one, from before the first to after the last. */
  private static List<Hit> runs(List<Hit> hits) {
    List<Hit> runs = new ArrayList<>();
    for (Hit hit : hits) {
      Hit previous = runs.isEmpty() ? null : runs.getLast();
      if (previous != null
          && !previous.touched()
          && Objects.equals(previous.after(), hit.before())) {
        runs.removeLast();
        runs.add(new Hit(previous.before(), hit.after(), hit.touched(), hit.since()));
      } else {
        runs.add(hit);
      }
    }
    return runs;
  }

  /**
   * Whether others set the row again to the very same values.
   *
   * @param left the row as they left it
   */
  private boolean setAgain(Hit hit, @Nullable Row left) {
    Row after = hit.after();
    return hit.touched()
        && !options.overwriteTouched()
        && hit.before() != null
        && after != null
        && left != null
        && !after.equals(hit.before())
        && left.first(after.size()).equals(after);
  }

  /**
   * Columns and JSON paths that others changed after a hit, and then to what the hit had left: they
   * decided about them, though nothing is to be seen of it.
   *
   * @param left the row as they left it
   */
  private Set<String> changedBack(Hit hit, @Nullable Row left) {
    Set<String> changed = new LinkedHashSet<>();
    if (hit.since().isEmpty() || options.overwriteTouched()) {
      return changed;
    }
    Row last = hit.after();
    for (Row image : hit.since()) {
      changed.addAll(differences(last, image));
      last = image;
    }
    changed.addAll(differences(last, left));
    changed.removeAll(differences(hit.after(), left));
    return changed;
  }

  /** Columns and JSON paths in which two images of a row differ; none when there is only one. */
  private Set<String> differences(@Nullable Row one, @Nullable Row other) {
    Set<String> differences = new LinkedHashSet<>();
    for (int i = 0; one != null && other != null && i < columns.size(); i++) {
      Column column = columns.get(i);
      if (column.content() == Column.Content.PLAIN) {
        if (!Objects.equals(one.value(i), other.value(i))) {
          differences.add(column.name());
        }
      } else {
        JsonMerge.differences(one.value(i), other.value(i), column.name(), differences);
      }
    }
    return differences;
  }

  /** The row on its way back from now to before the first hit. */
  private final class Fold {
    private final @Nullable Row now;
    private @Nullable Row row;
    private final Set<String> fixed = new LinkedHashSet<>();
    private final Set<String> kept = new LinkedHashSet<>();
    private final Set<String> keys = new LinkedHashSet<>();
    private final Set<Verdict> verdicts = new LinkedHashSet<>();

    Fold(@Nullable Row now) {
      this.now = now;
      this.row = now;
    }

    Decision all(List<Hit> hits) {
      Row left = now;
      for (int i = hits.size() - 1; i >= 0; i--) {
        Hit hit = hits.get(i);
        if (setAgain(hit, left)) {
          verdicts.add(Verdict.TOUCHED_SINCE);
          break; // somebody said that all of the row is to be as it was then
        }
        Set<String> others = options.overwriteTouched() ? Set.of() : differences(hit.after(), left);
        fixed.addAll(changedBack(hit, left));
        if (i < hits.size() - 1) {
          fixed.addAll(others); // the last hit is told by the row now
        }
        Decision step = undo(hit, row, fixed);
        fixed.addAll(others);
        left = hit.before();
        if (step.change() != null) {
          row = TableRevert.wanted(step.change());
        }
        if (hit.before() == null && row == null) {
          // Before this hit there was no row: nothing that came after matters any more.
          List.of(fixed, kept, keys, verdicts).forEach(Set::clear);
        }
        verdicts.add(step.verdict());
        kept.addAll(step.kept());
        keys.addAll(step.restoredKeys());
        boolean anothers =
            row != null && (hit.before() == null || (hit.after() == null && step.change() == null));
        if (anothers && i > 0 && step.verdict() == Verdict.ALREADY_UNDONE) {
          verdicts.add(Verdict.TOUCHED_SINCE);
        }
        if (anothers) {
          break; // others made the row there is: it is not the one that earlier hits were about
        }
      }
      RowChange change = change();
      return new Decision(
          verdict(change),
          change,
          List.copyOf(kept),
          change == null ? List.of() : List.copyOf(keys));
    }

    private @Nullable RowChange change() {
      if (row == null) {
        return now == null ? null : new RowChange.Delete(now);
      }
      if (now == null) {
        return new RowChange.Insert(row);
      }
      // A row taken out and put back on the way has lost the columns added since.
      List<@Nullable String> values = new ArrayList<>(row.values());
      values.addAll(now.values().subList(row.size(), now.size()));
      Row wanted = Row.copyOf(values);
      return wanted.equals(now) ? null : new RowChange.Update(now, wanted);
    }

    private Verdict verdict(@Nullable RowChange change) {
      if (change != null) {
        return verdicts.stream().allMatch(RowMerge::allUndone)
            ? Verdict.RESTORED
            : Verdict.PARTLY_RESTORED;
      }
      for (Verdict verdict : verdicts) {
        if (verdict.fate() == Verdict.Fate.IN_CONFLICT) {
          return verdict;
        }
      }
      if (!verdicts.stream().allMatch(RowMerge::allUndone)) {
        return Verdict.TOUCHED_SINCE;
      }
      return verdicts.equals(Set.of(Verdict.UNCHANGED))
          ? Verdict.UNCHANGED
          : Verdict.ALREADY_UNDONE;
    }
  }

  private static boolean allUndone(Verdict verdict) {
    return switch (verdict) {
      case RESTORED, ALREADY_UNDONE, UNCHANGED -> true;
      case PARTLY_RESTORED, TOUCHED_SINCE, GONE_SINCE, KEY_USED_AGAIN -> false;
    };
  }

  /**
   * @param fixed columns and JSON paths that stay as they are; gets those that this hit changed and
   *     that stay
   */
  private Decision undo(Hit hit, @Nullable Row now, Set<String> fixed) {
    Row before = hit.before();
    Row after = hit.after();
    if (before != null && after != null) {
      return undoUpdate(before, after, now, fixed);
    }
    if (before != null) {
      return undoDelete(before, hit.touched(), now);
    }
    return after == null
        ? Decision.leave(Verdict.UNCHANGED) // came and went
        : undoInsert(after, hit.touched(), now);
  }

  private Decision undoDelete(Row before, boolean touched, @Nullable Row now) {
    if (now == null) {
      return touched ? Decision.leave(Verdict.GONE_SINCE) : restore(new RowChange.Insert(before));
    }
    return Decision.leave(
        now.first(before.size()).equals(before) ? Verdict.ALREADY_UNDONE : Verdict.KEY_USED_AGAIN);
  }

  private Decision undoInsert(Row after, boolean touched, @Nullable Row now) {
    if (now == null) {
      return Decision.leave(Verdict.ALREADY_UNDONE);
    }
    boolean untouched = !touched && now.first(after.size()).equals(after);
    return untouched || options.overwriteTouched()
        ? restore(new RowChange.Delete(now))
        : Decision.leave(Verdict.TOUCHED_SINCE);
  }

  /** A document that others wrote with other spaces is the same document. */
  private static boolean saysTheSame(Column column, @Nullable String one, @Nullable String other) {
    if (column.content() == Column.Content.PLAIN || one == null || other == null) {
      return Objects.equals(one, other);
    }
    Set<String> differences = new LinkedHashSet<>();
    JsonMerge.differences(one, other, column.name(), differences);
    return differences.isEmpty();
  }

  private Decision undoUpdate(Row before, Row after, @Nullable Row now, Set<String> fixed) {
    if (before.equals(after)) {
      return Decision.leave(Verdict.UNCHANGED);
    }
    if (now == null) {
      return Decision.leave(Verdict.GONE_SINCE);
    }
    List<@Nullable String> wanted = new ArrayList<>(now.values());
    List<String> kept = new ArrayList<>();
    List<String> keys = new ArrayList<>();
    for (int i = 0; i < columns.size(); i++) {
      String was = before.value(i);
      String became = after.value(i);
      String is = now.value(i);
      if (Objects.equals(was, became) || Objects.equals(is, was)) {
        continue;
      }
      Column column = columns.get(i);
      String name = column.name();
      if (fixed.contains(name)) {
        return stays(before, after, List.of(name), fixed);
      }
      if (column.content() != Column.Content.PLAIN && was != null && became != null && is != null) {
        JsonMerge json = new JsonMerge(column.content(), options.overwriteTouched(), fixed);
        boolean untouched =
            is.equals(became) && fixed.stream().noneMatch(path -> path.startsWith(name + "."));
        // An untouched document comes back whole, spaces included; a written one key by key.
        wanted.set(i, untouched ? was : json.undo(was, became, is, name));
        kept.addAll(json.kept());
        keys.addAll(json.restored());
      } else if (options.overwriteTouched()
          || (saysTheSame(column, is, became)
              && fixed.stream().noneMatch(path -> path.startsWith(name + ".")))) {
        wanted.set(i, was);
      } else {
        // One column set again means somebody decided about this row: all of it stays.
        return stays(before, after, List.of(name), fixed);
      }
    }
    fixed.addAll(kept);
    return decided(now, Row.copyOf(wanted), kept, keys);
  }

  private Decision stays(Row before, Row after, List<String> kept, Set<String> fixed) {
    for (int i = 0; i < columns.size(); i++) {
      if (!Objects.equals(before.value(i), after.value(i))) {
        fixed.add(columns.get(i).name());
      }
    }
    return new Decision(Verdict.TOUCHED_SINCE, null, kept, List.of());
  }

  private Decision putLostKeysBack(List<Hit> hits, @Nullable Row now) {
    List<@Nullable LostKeys> documents = lostKeys(hits);
    if (now == null) {
      return Decision.leave(
          documents.stream().anyMatch(each -> each != null && each.somethingToPutBack())
              ? Verdict.GONE_SINCE
              : Verdict.UNCHANGED);
    }
    List<@Nullable String> wanted = new ArrayList<>(now.values());
    List<String> kept = new ArrayList<>();
    List<String> keys = new ArrayList<>();
    boolean somethingLost = false;
    for (int i = 0; i < documents.size(); i++) {
      LostKeys lost = documents.get(i);
      if (lost != null && lost.somethingLost()) {
        wanted.set(i, lost.putBack(now.value(i)));
        kept.addAll(lost.kept());
        keys.addAll(lost.restored());
        somethingLost = true;
      }
    }
    return somethingLost
        ? decided(now, Row.copyOf(wanted), kept, keys)
        : Decision.leave(Verdict.UNCHANGED);
  }

  /**
   * What became of the documents of the row there is since the last hit, per column. Rows that hits
   * or others took out took their documents along; one taken out and put in again by hits is one
   * row.
   */
  private List<@Nullable LostKeys> lostKeys(List<Hit> hits) {
    List<@Nullable LostKeys> documents = documents();
    Row last = null;
    for (Hit hit : hits) {
      Row before = hit.before();
      if (before == null && last != null) {
        before = last;
      } else if (before == null || last != null) {
        documents = documents(); // another row
      }
      last = null;
      Row after = hit.after();
      if (after == null) {
        last = hit.touched() ? null : before;
        if (last == null) {
          documents = documents();
        }
        continue;
      }
      for (int i = 0; i < columns.size(); i++) {
        LostKeys document = documents.get(i);
        if (document != null) {
          if (before != null) {
            document.hit(before.value(i), after.value(i));
          }
          for (Row image : hit.since()) {
            document.seen(image.value(i));
          }
        }
      }
    }
    return last == null ? documents : documents();
  }

  private List<@Nullable LostKeys> documents() {
    List<@Nullable LostKeys> documents = new ArrayList<>();
    for (Column column : columns) {
      documents.add(
          column.content() == Column.Content.PLAIN
              ? null
              : new LostKeys(column.content(), column.name()));
    }
    return documents;
  }

  private static Decision decided(Row now, Row wanted, List<String> kept, List<String> keys) {
    if (wanted.equals(now)) {
      return new Decision(
          kept.isEmpty() ? Verdict.ALREADY_UNDONE : Verdict.TOUCHED_SINCE, null, kept, List.of());
    }
    return new Decision(
        kept.isEmpty() ? Verdict.RESTORED : Verdict.PARTLY_RESTORED,
        new RowChange.Update(now, wanted),
        kept,
        keys);
  }

  private static Decision restore(RowChange change) {
    return new Decision(Verdict.RESTORED, change, List.of(), List.of());
  }
}
