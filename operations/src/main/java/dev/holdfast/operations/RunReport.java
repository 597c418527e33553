package dev.holdfast.operations;

import dev.holdfast.guard.TriedScript;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a script did in a transaction, and what became of that.
 *
 * @param database its name, as it has to be typed to commit
 * @param user the role that ran it
 * @param committed whether it was made to last
 * @param statements in order
 * @param tables whose rows changed; a partition stands for itself
 * @param objects dropped, created and changed by DDL
 * @param notes what to know of these figures
 */
public record RunReport(
    String database,
    String user,
    boolean committed,
    List<Ran> statements,
    List<Table> tables,
    List<DatabaseObject> objects,
    List<String> notes) {
  /**
   * One statement that was run.
   *
   * @param line where it begins
   * @param rows hit or returned; null where it tells none
   */
  public record Ran(int line, String statement, @Nullable Long rows, double durationSeconds) {}

  /**
   * What happened to the rows of one table.
   *
   * @param partitionOf the topmost partitioned table above it; null where none is
   * @param action {@code changed}, {@code truncated} or {@code rewritten}
   * @param rowsGone with {@code truncated}: how many there were, by the server's estimate
   * @param rowsLookedAt how many were compared with what they were
   * @param notLookedAt why not all were; null when all were
   */
  public record Table(
      String schema,
      String table,
      @Nullable String partitionOf,
      String action,
      long rowsInserted,
      long rowsUpdated,
      long rowsDeleted,
      @Nullable Long rowsGone,
      List<WatchReport.KeysLost> jsonKeysLost,
      List<Sample> samples,
      long rowsLookedAt,
      @Nullable String notLookedAt) {}

  /** A row as JSON, cut where it is long; null where it is not there. */
  public record Sample(@Nullable String before, @Nullable String after) {}

  /**
   * What DDL did to one object.
   *
   * @param action {@code dropped}, {@code created} or {@code changed}
   * @param was in short; null for a new one
   * @param is in short; null for a dropped one
   * @param rows of a dropped table, by the server's estimate; null for others
   */
  public record DatabaseObject(
      String action, String kind, @Nullable String was, @Nullable String is, @Nullable Long rows) {}

  /** Copies. */
  public RunReport {
    statements = List.copyOf(statements);
    tables = List.copyOf(tables);
    objects = List.copyOf(objects);
    notes = List.copyOf(notes);
  }

  static RunReport of(TriedScript.Tried tried, List<String> notes) {
    return new RunReport(
        tried.database(),
        tried.user(),
        false,
        tried.statements().stream()
            .map(ran -> new Ran(ran.line(), ran.statement(), known(ran.rows()), ran.seconds()))
            .toList(),
        tried.tables().stream().map(RunReport::table).toList(),
        tried.objects().stream()
            .map(object ->
                new DatabaseObject(
                    object.action(),
                    object.kind(),
                    object.was(),
                    object.is(),
                    known(object.rows())))
            .toList(),
        notes);
  }

  private static Table table(TriedScript.TableTried table) {
    return new Table(
        table.schema(),
        table.table(),
        table.partitionOf(),
        table.action(),
        table.inserted(),
        table.updated(),
        table.deleted(),
        known(table.rowsGone()),
        table.keysLost().stream()
            .map(lost ->
                new WatchReport.KeysLost(
                    lost.column(),
                    lost.rows(),
                    lost.keysBeforeMin(),
                    lost.keysBeforeMax(),
                    lost.keysLostMin(),
                    lost.keysLostMax(),
                    lost.keys()))
            .toList(),
        table.samples().stream()
            .map(sample -> new Sample(sample.before(), sample.after()))
            .toList(),
        table.looked(),
        table.notLooked());
  }

  private static @Nullable Long known(long count) {
    return count < 0 ? null : count;
  }

  /** The same, committed. */
  RunReport asCommitted() {
    return new RunReport(database, user, true, statements, tables, objects, notes);
  }
}
