package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * SQL that gives a database roles of their own for the application, for migrations and for reading.
 *
 * @param cluster null where a URL was given
 * @param major the server's version; null when it was not looked at
 * @param lookedAt whether the schemas are what the database has; else they are what was given, or
 *     public
 * @param whyNot why it was not looked at; null when it was
 * @param statements to be run in this order, in this database
 * @param afterwards what to do then: commands of psql, statements
 * @param notes what to know before
 */
public record RolesScript(
    @Nullable String cluster,
    String database,
    @Nullable Integer major,
    boolean lookedAt,
    @Nullable String whyNot,
    String app,
    String migrator,
    String reader,
    List<String> schemas,
    List<Statement> statements,
    List<Task> afterwards,
    List<String> notes) {
  /**
   * One statement.
   *
   * @param why what it is for; empty where it goes on with the one before
   */
  public record Statement(String why, String sql) {}

  /**
   * Something to do when the statements have run.
   *
   * @param why what it is for
   * @param command for psql
   */
  public record Task(String why, String command) {}

  /** Copies the lists. */
  public RolesScript {
    schemas = List.copyOf(schemas);
    statements = List.copyOf(statements);
    afterwards = List.copyOf(afterwards);
    notes = List.copyOf(notes);
  }
}
