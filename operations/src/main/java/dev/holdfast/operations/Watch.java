package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.WatchSchema;
import dev.holdfast.operations.WatchReport.WatchFinding;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.server.ForegroundProcess;
import dev.holdfast.server.Processes;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Runs a command on a throw-away database and tells what it did there. */
public final class Watch {
  private static final Logger LOG = LoggerFactory.getLogger(Watch.class);
  private static final int TAKE_MS = 100;
  private static final long LOOK_NANOS = 200_000_000L;
  private static final long WAIT_MS = 200;

  private final PostgresUrl url;
  private @Nullable ForegroundProcess running;
  private boolean stopped;

  /**
   * What to run.
   *
   * @param command a program and its arguments
   * @param setEnvironment whether {@code DATABASE_URL} and {@code PG*} point it at the database
   * @param outputToErrors whether what it prints goes to standard error
   */
  public record Request(
      List<String> command, boolean setEnvironment, boolean outputToErrors, WatchLimits limits) {
    /** Copies. */
    public Request {
      command = List.copyOf(command);
    }
  }

  private Watch(PostgresUrl url) {
    this.url = url;
  }

  /** Of a database named by a URL or keywords and values. */
  public static Watch of(String url) {
    if (!OwnerConnection.isUrl(url)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot watch " + url,
          "it is no URL; only throw-away databases are watched, and no repository is needed",
          "give one: holdfast watch \"$TEST_DATABASE_URL\" -- COMMAND");
    }
    return new Watch(PostgresUrl.parse(url));
  }

  /** Has the command end; the report comes all the same. Returns when the command is gone. */
  public void stop() {
    ForegroundProcess process;
    synchronized (this) {
      stopped = true;
      process = running;
    }
    if (process != null) {
      process.stop();
    }
  }

  /** The process exit code for a report: that of findings before that of a command that failed. */
  public static int exitCode(WatchReport report) {
    boolean error = report.findings().stream().anyMatch(f -> f.level().equals("error"));
    return error
        ? Kind.DIFFERENT.exitCode()
        : report.commandExitCode() == 0 && report.complete() ? 0 : Kind.FAILED.exitCode();
  }

  /** Runs the command to its end, takes every trace of the watch away, and reports. */
  public WatchReport run(Request request, Progress progress) {
    try (Connection connection = url.withApplicationName("holdfast:watch").open()) {
      WatchSchema schema = new WatchSchema(connection);
      schema.install();
      WatchReport report;
      try {
        report = watch(request, schema, progress);
      } catch (RuntimeException e) {
        removeAfterFailure(schema, e);
        throw e;
      }
      if (report.complete()) {
        schema.remove();
      } else {
        removeOverAnother();
      }
      return report;
    } catch (SQLException e) {
      throw new IllegalStateException(e); // closing
    }
  }

  private static void removeAfterFailure(WatchSchema schema, RuntimeException failure) {
    try {
      schema.remove();
    } catch (RuntimeException e) {
      failure.addSuppressed(e);
    }
  }

  /** Our connection is gone, and with it the lock without which triggers do nothing. */
  private void removeOverAnother() {
    try (Connection connection = url.withApplicationName("holdfast:watch").open()) {
      new WatchSchema(connection).remove();
    } catch (SQLException | OperatorException e) {
      LOG.debug("nothing left to take away, or nobody to ask", e);
    }
  }

  private WatchReport watch(Request request, WatchSchema schema, Progress progress) {
    WatchTally tally = new WatchTally(request.limits(), schema.known());
    progress.say(
        "watching %d tables of %s; the command begins".formatted(schema.known().size(), url));
    ForegroundProcess process;
    synchronized (this) {
      if (stopped) {
        throw new OperatorException(
            Kind.INTERRUPTED, "stopped before the command began", "interrupted", "run it again");
      }
      process =
          Processes.startInForeground(
              request.command(),
              request.setEnvironment() ? url.clientEnvironment() : Map.of(),
              request.outputToErrors());
      running = process;
    }
    long began = System.nanoTime();
    String cutOff = null;
    try {
      cutOff = until(process, schema, tally);
    } catch (InterruptedException e) {
      process.stop();
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED, "stopped while watching", "interrupted", "run it again", e);
    } catch (RuntimeException e) {
      process.stop();
      throw e;
    }
    double seconds = (System.nanoTime() - began) / 1e9;
    Set<String> rolledBack = cutOff == null ? schema.rolledBack(tally.xids()) : Set.of();
    List<WatchFinding> findings = tally.findings();
    return new WatchReport(
        url.database(),
        request.command(),
        process.exitCode(),
        cutOff == null,
        seconds,
        schema.known().size(),
        tally.statements(rolledBack),
        tally.dropped(rolledBack),
        findings,
        notSeen(schema, cutOff, tally.statements(rolledBack)));
  }

  /**
   * Until the command has ended and everything that was told is read.
   *
   * @return why the watch was cut off; null when it was not
   */
  private static @Nullable String until(
      ForegroundProcess process, WatchSchema schema, WatchTally tally) throws InterruptedException {
    try {
      long looked = System.nanoTime();
      while (!process.await(0)) {
        schema.take(TAKE_MS).forEach(tally::add);
        if (System.nanoTime() - looked > LOOK_NANOS) {
          schema.look().forEach(tally::add);
          looked = System.nanoTime();
        }
      }
      for (List<String> more = schema.take(0); !more.isEmpty(); more = schema.take(0)) {
        more.forEach(tally::add);
      }
      schema.look().forEach(tally::add);
      return null;
    } catch (OperatorException e) {
      while (!process.await(WAIT_MS)) {
        LOG.debug("the command goes on unwatched");
      }
      return e.why();
    }
  }

  private List<String> notSeen(
      WatchSchema schema, @Nullable String cutOff, List<WatchReport.StatementSeen> statements) {
    List<String> notSeen = new ArrayList<>();
    if (cutOff != null) {
      notSeen.add(
          "the watch was cut off before the command ended (%s): nothing that came later was seen"
              .formatted(cutOff));
      return notSeen;
    }
    WatchSchema.Unseen unseen = schema.unseen();
    if (unseen.lost() > 0) {
      notSeen.add(
          "%d calls found no room to tell what they did, for 3 s: every count is too low by them"
              .formatted(unseen.lost()));
    }
    if (unseen.failures() > 0) {
      notSeen.add(
          "%d times a trigger of the watch failed inside, which the command did not notice: what it would have told is missing"
              .formatted(unseen.failures()));
    }
    if (!schema.hasEventTriggers()) {
      notSeen.add(
          "role %s may not make event triggers, as a superuser may: a table made by the command is covered within about 0.2 s of its commit and what was done to it before is not seen; of what DDL dropped only what was committed is seen, and not by which statement"
              .formatted(url.user()));
    }
    schema.refused().forEach(table -> notSeen.add("not watched: " + table));
    if (statements.stream().anyMatch(s -> s.distinctRows() != null && !s.distinctRowsExact())) {
      notSeen.add(
          "calls that hit more than 200 rows do not tell which: distinct rows are a lower bound there (~)");
    }
    return notSeen;
  }
}
