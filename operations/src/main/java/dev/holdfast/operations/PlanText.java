package dev.holdfast.operations;

import dev.holdfast.revert.RowSample;
import dev.holdfast.revert.Verdict;
import org.jspecify.annotations.Nullable;

/** Rows of a plan in a line each. */
final class PlanText {
  private PlanText() {}

  /** A row the plan writes: {@code id=42: balance 0 → 63.00}. */
  static String sample(RowSample sample) {
    StringBuilder text = new StringBuilder(sample.row());
    String separator = ": ";
    for (RowSample.Difference difference : sample.differences()) {
      text.append(separator)
          .append(difference.column())
          .append(' ')
          .append(value(difference.now()))
          .append(" → ")
          .append(value(difference.wanted()));
      separator = ", ";
    }
    return text.toString();
  }

  /** A row, or a part of one, that is left as it is, and why. */
  static String kept(RowSample sample) {
    String why =
        switch (sample.verdict()) {
          case RESTORED -> "is restored";
          case PARTLY_RESTORED -> "is restored but for what was set again since";
          case ALREADY_UNDONE -> "is as it was before";
          case UNCHANGED -> "has nothing to undo";
          case TOUCHED_SINCE -> "was written again since";
          case GONE_SINCE -> "was deleted since, or has another key";
          case KEY_USED_AGAIN -> "cannot come back: another row has its key now";
        };
    String kept =
        sample.kept().isEmpty() || sample.verdict() == Verdict.KEY_USED_AGAIN
            ? ""
            : " (kept: " + String.join(", ", sample.kept()) + ")";
    return sample.row() + " " + why + kept;
  }

  private static String value(@Nullable String value) {
    return value == null ? "NULL" : value;
  }
}
