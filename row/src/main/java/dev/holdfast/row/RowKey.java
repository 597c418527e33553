package dev.holdfast.row;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What tells one row of a table from the others: its key columns' values, in the order of the key.
 *
 * @param values canonical texts
 */
public record RowKey(List<@Nullable String> values) {
  public RowKey {
    values = Collections.unmodifiableList(new ArrayList<>(values));
  }

  /** A key of these values; as the constructor, for callers in other modules under NullAway. */
  public static RowKey copyOf(List<@Nullable String> values) {
    return new RowKey(values);
  }
}
