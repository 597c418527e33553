package dev.holdfast.operations;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One transaction with sample rows, as {@code holdfast show} tells it.
 *
 * @param transaction as the log tells it
 * @param target what to give {@code fork --lsn} to be just before it
 * @param samples some of the rows it changed, read on a fork; empty when samples were not wanted
 * @param forkSeconds what making the fork took; null without one
 */
public record TransactionDetail(
    LogEntry transaction, String target, List<TableSample> samples, @Nullable Double forkSeconds) {
  /**
   * Rows of one table.
   *
   * @param rows rows counted exactly: those in a dropped or truncated table, or those changed
   * @param jsonKeysLost JSON keys that its updates removed from the sampled rows, each with the
   *     number of sampled rows that lost it
   */
  public record TableSample(
      String schema,
      String table,
      long rows,
      Map<String, Long> jsonKeysLost,
      List<RowSample> sample) {}

  /** One row before and after; null: it did not exist then. Values are PostgreSQL's texts. */
  public record RowSample(
      @Nullable Map<String, @Nullable String> before,
      @Nullable Map<String, @Nullable String> after) {}
}
