package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A fork that answers.
 *
 * @param url connects to it; holds a password made for this fork alone
 * @param lsn the position it was stopped at
 * @param state {@code before} or {@code after} the record at that position
 * @param base the base backup it was made from
 * @param walBytes WAL that was replayed
 * @param holds {@code everything}, {@code tables} or {@code schema}; what it does not hold answers
 *     with an error, never with wrong rows
 * @param database the database of the tables; null unless tables were asked for
 * @param tables those it was asked for, by their names at that moment
 * @param largeObjects whether that database's large objects are in it
 * @param attempts how often it was built: more than once when a table had got another file since
 *     the base backup
 */
public record ForkReady(
    String name,
    String url,
    String lsn,
    String state,
    String base,
    long walBytes,
    String holds,
    @Nullable String database,
    List<String> tables,
    boolean largeObjects,
    int attempts,
    double fetchSeconds,
    double startSeconds,
    double replaySeconds,
    double readySeconds,
    double durationSeconds) {
  /** Copies the list. */
  public ForkReady {
    tables = List.copyOf(tables);
  }
}
