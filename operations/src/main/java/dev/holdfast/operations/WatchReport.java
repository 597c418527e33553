package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a command did to a throw-away database.
 *
 * @param database its name
 * @param command what was run
 * @param commandExitCode its own: 128 and the signal's number where one ended it
 * @param complete whether it was watched to its end
 * @param durationSeconds how long the command took
 * @param tables how many were watched at the end
 * @param statements what changed rows, or could have; those with the most rows first
 * @param dropped tables, columns and schemas that went
 * @param findings the worst first
 * @param notSeen what this report cannot tell, in sentences
 */
public record WatchReport(
    String database,
    List<String> command,
    int commandExitCode,
    boolean complete,
    double durationSeconds,
    int tables,
    List<StatementSeen> statements,
    List<Dropped> dropped,
    List<WatchFinding> findings,
    List<String> notSeen) {
  /**
   * The calls of one statement, as far as they hit one table.
   *
   * @param statement its text with the values folded
   * @param operation {@code insert}, {@code update}, {@code delete} or {@code truncate}
   * @param rows those hit, each as often as it was hit
   * @param distinctRows how many different ones; null for inserted and truncated rows
   * @param distinctRowsExact whether it is no more than a lower bound otherwise
   * @param callsRolledBack those whose transaction was rolled back
   * @param keysLost by column
   */
  public record StatementSeen(
      String statement,
      String schema,
      String table,
      String operation,
      long calls,
      long rows,
      @Nullable Long distinctRows,
      boolean distinctRowsExact,
      long callsRolledBack,
      List<KeysLost> keysLost) {}

  /**
   * Top-level keys of JSON documents that were there before an update and not after it.
   *
   * @param rows updates that lost any
   * @param keysBeforeMin the fewest keys that one of these had
   * @param keysLostMin the fewest keys that one of these lost
   * @param keys names, twenty at most
   */
  public record KeysLost(
      String column,
      long rows,
      long keysBeforeMin,
      long keysBeforeMax,
      long keysLostMin,
      long keysLostMax,
      List<String> keys) {}

  /**
   * Something that DDL dropped.
   *
   * @param kind {@code table}, {@code column} or {@code schema}
   * @param column null for tables and schemas
   * @param wasThereBefore whether it was there when the command began
   * @param rolledBack whether its transaction was rolled back
   * @param statement null where the server did not tell
   */
  public record Dropped(
      String kind,
      @Nullable String schema,
      String name,
      @Nullable String column,
      boolean wasThereBefore,
      boolean rolledBack,
      @Nullable String statement) {}

  /**
   * Something that somebody should look at.
   *
   * @param rule such as {@code json-keys-lost}
   * @param level {@code error} or {@code warning}
   * @param column null where no column is meant
   * @param statement null where none is known
   */
  public record WatchFinding(
      String rule,
      String level,
      @Nullable String schema,
      @Nullable String table,
      @Nullable String column,
      String message,
      @Nullable String statement) {}

  /** Copies. */
  public WatchReport {
    command = List.copyOf(command);
    statements = List.copyOf(statements);
    dropped = List.copyOf(dropped);
    findings = List.copyOf(findings);
    notSeen = List.copyOf(notSeen);
  }
}
