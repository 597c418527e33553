package dev.holdfast.revert;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One row of a plan, for people.
 *
 * @param row how the row is told from others: {@code id=42}
 * @param differences the columns the plan changes, or that kept it from changing the row
 * @param kept columns and JSON paths that stay because they were set again since
 */
public record RowSample(
    String row, Verdict verdict, List<Difference> differences, List<String> kept) {
  public RowSample {
    differences = List.copyOf(differences);
    kept = List.copyOf(kept);
  }

  /**
   * A column's value now and as undoing wants it. Long values are cut and end in an ellipsis.
   *
   * @param now null for SQL's NULL, or when there is no such row now
   * @param wanted null for SQL's NULL, or when the row is to be taken out
   */
  public record Difference(String column, @Nullable String now, @Nullable String wanted) {}
}
