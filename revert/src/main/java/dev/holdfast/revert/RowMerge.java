package dev.holdfast.revert;

import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The three-way merge of one row: what it was before the transaction, after it, and is now.
 *
 * <p>A null row did not exist at that moment. {@code now} may hold more columns than the other two:
 * those added since, always kept. Values are compared as exact texts.
 */
final class RowMerge {
  private final List<Column> columns;
  private final RevertOptions options;

  /**
   * @param columns those of {@code before} and {@code after}, as they are named now
   */
  RowMerge(List<Column> columns, RevertOptions options) {
    this.columns = List.copyOf(columns);
    this.options = options;
  }

  /**
   * @param touched whether the log says that a later transaction wrote the row again, be it with
   *     the very same values
   */
  Decision undo(@Nullable Row before, @Nullable Row after, boolean touched, @Nullable Row now) {
    if (before != null && after != null) {
      return undoUpdate(before, after, touched, now);
    }
    if (options.lostKeysOnly()) {
      return Decision.leave(Verdict.UNCHANGED);
    }
    if (before != null) {
      return undoDelete(before, now);
    }
    if (after != null) {
      return undoInsert(after, touched, now);
    }
    throw new IllegalArgumentException("a row that was never there");
  }

  private Decision undoDelete(Row before, @Nullable Row now) {
    if (now == null) {
      return restore(new RowChange.Insert(before));
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

  private Decision undoUpdate(Row before, Row after, boolean touched, @Nullable Row now) {
    if (before.equals(after)) {
      return Decision.leave(Verdict.UNCHANGED);
    }
    if (options.lostKeysOnly()) {
      return now == null
          ? Decision.leave(loses(before, after) ? Verdict.GONE_SINCE : Verdict.UNCHANGED)
          : putLostKeysBack(before, after, now);
    }
    if (now == null) {
      return Decision.leave(Verdict.GONE_SINCE);
    }
    if (touched && !options.overwriteTouched() && now.first(after.size()).equals(after)) {
      return Decision.leave(Verdict.TOUCHED_SINCE); // set again, to the very same values
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
      if (column.content() != Column.Content.PLAIN && was != null && became != null && is != null) {
        JsonMerge json = new JsonMerge(column.content(), options.overwriteTouched());
        // An untouched document comes back whole, spaces included; a written one key by key.
        wanted.set(i, is.equals(became) ? was : json.undo(was, became, is, column.name()));
        kept.addAll(json.kept());
        keys.addAll(json.restored());
      } else if (Objects.equals(is, became) || options.overwriteTouched()) {
        wanted.set(i, was);
      } else {
        // One column set again means somebody decided about this row: all of it stays.
        return new Decision(Verdict.TOUCHED_SINCE, null, List.of(column.name()), List.of());
      }
    }
    return decided(now, Row.copyOf(wanted), kept, keys);
  }

  private Decision putLostKeysBack(Row before, Row after, Row now) {
    List<@Nullable String> wanted = new ArrayList<>(now.values());
    List<String> kept = new ArrayList<>();
    List<String> keys = new ArrayList<>();
    boolean somethingLost = false;
    for (int i = 0; i < columns.size(); i++) {
      Column column = columns.get(i);
      String was = before.value(i);
      if (column.content() == Column.Content.PLAIN || was == null || was.equals(after.value(i))) {
        continue;
      }
      JsonMerge json = new JsonMerge(column.content(), false);
      wanted.set(i, json.lostKeys(was, after.value(i), now.value(i), column.name()));
      kept.addAll(json.kept());
      keys.addAll(json.restored());
      somethingLost |= json.somethingLost();
    }
    return somethingLost
        ? decided(now, Row.copyOf(wanted), kept, keys)
        : Decision.leave(Verdict.UNCHANGED);
  }

  private boolean loses(Row before, Row after) {
    for (int i = 0; i < columns.size(); i++) {
      String was = before.value(i);
      if (columns.get(i).content() != Column.Content.PLAIN && was != null) {
        JsonMerge json = new JsonMerge(columns.get(i).content(), false);
        json.lostKeys(was, after.value(i), after.value(i), columns.get(i).name());
        if (json.somethingLost()) {
          return true;
        }
      }
    }
    return false;
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
