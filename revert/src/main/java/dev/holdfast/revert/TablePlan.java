package dev.holdfast.revert;

import dev.holdfast.row.TableName;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * What undoing does to one table's rows, in figures and samples.
 *
 * @param counts rows per verdict; every verdict is there
 * @param inserts rows the plan puts in
 * @param updates rows the plan changes
 * @param deletes rows the plan takes out
 * @param keysRestored JSON keys put back, changed back or taken out, where a document was merged
 * @param keysKept JSON keys left as they are because they were set again since
 * @param changes some of the rows the plan writes, at most {@link TableRevert#SAMPLES_MAX}
 * @param kept some of the rows it leaves because of what happened since, as many
 * @param warnings what the operator should know, one sentence each
 * @param statements what the plan does, one line each, in the words of SQL
 */
public record TablePlan(
    TableName table,
    Map<Verdict, Long> counts,
    long inserts,
    long updates,
    long deletes,
    long keysRestored,
    long keysKept,
    List<RowSample> changes,
    List<RowSample> kept,
    List<String> warnings,
    List<String> statements) {
  public TablePlan {
    counts = Collections.unmodifiableMap(new EnumMap<>(counts));
    changes = List.copyOf(changes);
    kept = List.copyOf(kept);
    warnings = List.copyOf(warnings);
    statements = List.copyOf(statements);
  }

  /** Rows of one verdict. */
  public long count(Verdict verdict) {
    return counts.getOrDefault(verdict, 0L);
  }

  /** Rows of all verdicts that are counted alike. */
  public long count(Verdict.Fate fate) {
    return counts.entrySet().stream()
        .filter(entry -> entry.getKey().fate() == fate)
        .mapToLong(Map.Entry::getValue)
        .sum();
  }
}
