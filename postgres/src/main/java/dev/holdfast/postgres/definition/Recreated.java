package dev.holdfast.postgres.definition;

import dev.holdfast.row.TableName;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a recreation did.
 *
 * @param rows brought back, by table, in the order of the copies
 */
public record Recreated(Map<TableName, Long> rows) {
  public Recreated {
    rows = Collections.unmodifiableMap(new LinkedHashMap<>(rows));
  }

  /** Rows of all tables together. */
  public long totalRows() {
    return rows.values().stream().mapToLong(Long::longValue).sum();
  }
}
