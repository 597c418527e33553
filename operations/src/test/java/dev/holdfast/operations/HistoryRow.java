package dev.holdfast.operations;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A row of a random history: its values as PostgreSQL writes them; null is NULL. */
record HistoryRow(List<@Nullable String> values) {
  HistoryRow {
    values = Collections.unmodifiableList(new ArrayList<@Nullable String>(values));
  }

  @Nullable String value(int position) {
    return values.get(position);
  }

  HistoryRow with(int position, @Nullable String value) {
    List<@Nullable String> changed = new ArrayList<>(values);
    changed.set(position, value);
    return new HistoryRow(changed);
  }

  /** With a value more: of a column added. */
  HistoryRow and(@Nullable String value) {
    List<@Nullable String> longer = new ArrayList<>(values);
    longer.add(value);
    return new HistoryRow(longer);
  }

  /** The values at these positions. */
  List<@Nullable String> at(List<Integer> positions) {
    List<@Nullable String> chosen = new ArrayList<>();
    positions.forEach(position -> chosen.add(values.get(position)));
    return chosen;
  }
}
