package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.SqlScript;
import dev.holdfast.guard.TriedScript;
import dev.holdfast.postgres.PostgresUrl;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Tries a script in a transaction, shows what it did, and commits only when told to. */
public final class Run {
  private final PostgresUrl url;

  /**
   * How long things may take, in seconds.
   *
   * @param lockSeconds a statement's wait for a lock
   * @param statementSeconds one statement
   * @param lookSeconds looking at the rows of one table
   * @param decideSeconds somebody's decision, while the transaction holds its locks
   */
  public record Limits(
      double lockSeconds, double statementSeconds, double lookSeconds, double decideSeconds) {}

  private Run(PostgresUrl url) {
    this.url = url;
  }

  /** As {@link OwnerConnection#of}. */
  public static Run of(String nameOrUrl, @Nullable String ownerUrl, Supplier<String> repository) {
    return new Run(OwnerConnection.of(nameOrUrl, ownerUrl, repository));
  }

  /** The name that has to be typed to commit. */
  public String database() {
    return url.database();
  }

  /**
   * The text of a script.
   *
   * @param file {@code -} for the input
   * @throws OperatorException USAGE when it cannot be read
   */
  public static String read(String file, InputStream input) {
    try {
      return file.equals("-")
          ? new String(input.readAllBytes(), StandardCharsets.UTF_8)
          : Files.readString(Path.of(file));
    } catch (IOException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read " + file,
          e.toString(),
          "name a file of SQL in UTF-8, or - for standard input",
          e);
    }
  }

  /**
   * Runs it.
   *
   * @param text SQL
   * @param limits how long things may take
   * @param decide shown the report while the transaction is open; whether to commit
   */
  public RunReport run(String text, Limits limits, Predicate<RunReport> decide, Progress progress) {
    SqlScript script = SqlScript.parse(text);
    PostgresUrl named = url.withApplicationName("holdfast:run");
    try (Connection ours = named.open();
        Connection other = named.open();
        TriedScript tried =
            new TriedScript(
                ours,
                other,
                new TriedScript.Limits(
                    limits.lockSeconds(),
                    limits.statementSeconds(),
                    limits.lookSeconds(),
                    limits.decideSeconds()))) {
      RunReport report;
      try (Progress.Phase _ =
          progress.begin("running the script in a transaction", 0, Progress.Unit.STEPS)) {
        report = report(script, tried.run(script));
      }
      if (decide.test(report)) {
        tried.commit();
        return report.asCommitted();
      }
      tried.rollBack();
      return report;
    } catch (SQLException e) {
      throw new IllegalStateException(e); // closing
    }
  }

  private static RunReport report(SqlScript script, TriedScript.Tried tried) {
    List<String> notes = new ArrayList<>();
    if (script.mayRollBackWithin()) {
      notes.add(
          "parts of the script may have been rolled back within (savepoints, exception blocks):"
              + " counts of rows are upper bounds");
    }
    notes.add(
        "sequences that were advanced stay so after a rollback; notifications and what triggers do"
            + " outside the database are not shown");
    return RunReport.of(tried, notes);
  }
}
