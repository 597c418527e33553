package dev.holdfast.revert;

import dev.holdfast.row.RowChange;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What is done about one row, and why.
 *
 * @param change what is written; null when nothing is
 * @param kept columns and JSON paths that stay because they were set again since
 * @param restoredKeys JSON keys put back, changed back or taken out
 */
record Decision(
    Verdict verdict, @Nullable RowChange change, List<String> kept, List<String> restoredKeys) {
  static Decision leave(Verdict verdict) {
    return new Decision(verdict, null, List.of(), List.of());
  }
}
