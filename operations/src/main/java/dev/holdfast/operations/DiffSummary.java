package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a comparison came to: the last line of its JSON.
 *
 * @param type {@code summary}
 * @param equal whether everything was compared and nothing differs
 * @param schemaDifferences how many were told
 * @param rowDifferences how many rows differ, as far as it came
 * @param tablesCompared whose rows were compared to the end
 * @param tablesDifferent of these and the unfinished one
 * @param tables that both sides have and that were asked for
 * @param stoppedBy {@code differences}, {@code time} or, where nobody read any more, {@code
 *     output}; null where it came to its end
 * @param notCompared tables that could not be read to the end
 * @param leftOut what is never compared, or was not asked for
 * @param notes what to know of these figures
 * @param bytesRead of tables, both sides together, without what is TOASTed
 */
public record DiffSummary(
    String type,
    boolean equal,
    Side a,
    Side b,
    long schemaDifferences,
    long rowDifferences,
    int tablesCompared,
    int tablesDifferent,
    int tables,
    long rowsA,
    long rowsB,
    @Nullable String stoppedBy,
    List<NotCompared> notCompared,
    List<String> leftOut,
    List<String> notes,
    long bytesRead,
    double durationSeconds) {
  /**
   * One side.
   *
   * @param url without a password
   * @param fork the protected cluster that it is a fork of; null where it is a server itself
   * @param lsn of the log, at the snapshot or a moment before
   */
  public record Side(
      String url, @Nullable String fork, String version, boolean standby, String lsn) {}

  /**
   * A table that could not be compared.
   *
   * @param schema empty where {@code table} says which definitions could not
   */
  public record NotCompared(String schema, String table, String why, String next) {}

  /** Copies. */
  public DiffSummary {
    notCompared = List.copyOf(notCompared);
    leftOut = List.copyOf(leftOut);
    notes = List.copyOf(notes);
  }
}
