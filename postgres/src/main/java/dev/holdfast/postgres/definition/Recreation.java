package dev.holdfast.postgres.definition;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.SqlFailures;
import dev.holdfast.row.TableName;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyOut;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Applies a {@link RecreationPlan} to production.
 *
 * <p>Everything happens in the transaction the caller has begun and will commit: nobody sees half
 * of it. Rows stream from the fork to production one at a time, so memory stays small.
 */
public final class Recreation {
  /** How long a statement waits for a lock that somebody holds on a surviving table. */
  public static final Duration LOCK_WAIT_MAX = Duration.ofSeconds(10);

  /** What runs functions of the user's: expressions of indexes, checks, queries. */
  private static final Pattern CALLS_FUNCTIONS =
      Pattern.compile(
          "^CREATE (UNIQUE )?INDEX [^(]*\\(.*\\(|^CREATE MATERIALIZED VIEW "
              + "|^ALTER TABLE .* ADD CONSTRAINT .* CHECK ",
          Pattern.DOTALL);

  /** Undefined function, table, object (errcodes.txt). */
  private static final Set<String> NAME_NOT_FOUND = Set.of("42883", "42P01", "42704");

  private static final Logger LOG = LoggerFactory.getLogger(Recreation.class);

  private static final long PROGRESS_BYTES = 1 << 20;

  /**
   * Settings while applying; put back afterwards, since the caller's transaction goes on.
   *
   * <p>Those above {@code lock_timeout} make both sides spell values alike: the text of a value
   * written by one is read by the other.
   */
  private static final Map<String, String> SETTINGS = new LinkedHashMap<>();

  static {
    SETTINGS.put("search_path", "");
    SETTINGS.put("datestyle", "ISO, YMD");
    SETTINGS.put("intervalstyle", "postgres");
    SETTINGS.put("timezone", "UTC");
    SETTINGS.put("extra_float_digits", "3");
    SETTINGS.put("bytea_output", "hex");
    SETTINGS.put("xmloption", "content");
    SETTINGS.put("standard_conforming_strings", "on");
    SETTINGS.put("row_security", "off");
    SETTINGS.put("statement_timeout", "0");
    SETTINGS.put("lock_timeout", LOCK_WAIT_MAX.toMillis() + "ms");
    SETTINGS.put("check_function_bodies", "off");
    SETTINGS.put("default_tablespace", "");
    SETTINGS.put("default_table_access_method", "heap");
    SETTINGS.put("client_min_messages", "warning");
  }

  private Recreation() {}

  /** As {@link #apply(Connection, Connection, RecreationPlan, boolean, RecreationProgress)}. */
  public static Recreated apply(Connection production, Connection fork, RecreationPlan plan)
      throws SQLException {
    return apply(production, fork, plan, false, RecreationProgress.NONE);
  }

  /**
   * Makes everything again that the plan holds. On any failure the caller must roll back.
   *
   * @param production in a transaction (no autocommit), as superuser or as owner of everything
   * @param fork the one the plan was made from, as superuser
   * @param partial whether the operator agreed to lose what is unrecoverable
   * @throws OperatorException when the plan must not be applied, or production refuses a statement
   */
  public static Recreated apply(
      Connection production,
      Connection fork,
      RecreationPlan plan,
      boolean partial,
      RecreationProgress progress)
      throws SQLException {
    refuseUnsafe(production, plan, partial);
    Map<String, String> before = set(production, SETTINGS, true);
    String searchPath = before.getOrDefault("search_path", "");
    Map<String, String> reading = new LinkedHashMap<>(SETTINGS);
    // How money is written hangs on the locale, and a fork may run with another.
    reading.put("lc_monetary", setting(production, "lc_monetary"));
    set(fork, reading, false);
    for (String statement : plan.beforeData()) {
      execute(production, statement, searchPath, progress);
    }
    Map<TableName, Long> rows = new LinkedHashMap<>();
    for (TableCopy copy : plan.copies()) {
      rows.put(copy.table(), copy(production, fork, copy, progress));
    }
    progress.copied();
    for (String statement : plan.afterData()) {
      execute(production, statement, searchPath, progress);
    }
    set(production, before, true);
    return new Recreated(rows);
  }

  /**
   * Gives the planner statistics of the tables that came back: the old ones went with the drop.
   *
   * <p>To be called after the commit, so that the transaction is as short as can be.
   *
   * @param production with autocommit
   * @return the tables that could not be analysed, which autovacuum will come to
   */
  public static List<TableName> analyze(Connection production, RecreationPlan plan)
      throws SQLException {
    if (!production.getAutoCommit()) {
      throw new IllegalStateException("ANALYZE runs after the commit, one table at a time");
    }
    List<TableName> failed = new ArrayList<>();
    for (TableCopy copy : plan.copies()) {
      try {
        run(production, "ANALYZE " + copy.table().quoted());
      } catch (SQLException e) {
        LOG.warn("cannot analyse {}: {}", copy.table(), e.getMessage());
        failed.add(copy.table());
      }
    }
    return failed;
  }

  private static void refuseUnsafe(Connection production, RecreationPlan plan, boolean partial)
      throws SQLException {
    if (production.getAutoCommit()) {
      throw new IllegalStateException("production must be in the caller's transaction");
    }
    if (!plan.conflicts().isEmpty()) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot bring the dropped objects back",
          String.join("; ", plan.conflicts()),
          "rename or drop what stands in the way, then make a new plan");
    }
    if (!partial && !plan.unrecoverable().isEmpty()) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot bring everything back that was dropped",
          String.join("; ", plan.unrecoverable()),
          "apply with --partial to bring back the rest");
    }
  }

  private static long copy(
      Connection production, Connection fork, TableCopy copy, RecreationProgress progress)
      throws SQLException {
    progress.executing(copy.in());
    CopyOut out = fork.unwrap(PGConnection.class).getCopyAPI().copyOut(copy.out());
    try {
      CopyIn in = production.unwrap(PGConnection.class).getCopyAPI().copyIn(copy.in());
      long bytes = 0;
      long told = 0;
      try {
        byte[] row;
        while ((row = out.readFromCopy()) != null) {
          in.writeToCopy(row, 0, row.length);
          bytes += row.length;
          if (bytes - told >= PROGRESS_BYTES) {
            told = bytes;
            progress.copying(copy, bytes);
          }
        }
        long rows = in.endCopy();
        progress.copying(copy, bytes);
        return rows;
      } finally {
        if (in.isActive()) {
          in.cancelCopy();
        }
      }
    } catch (SQLException e) {
      throw failed(copy.in(), e);
    } finally {
      if (out.isActive()) {
        out.cancelCopy();
      }
    }
  }

  /**
   * Runs a statement; one that calls functions whose bodies look names up on the search path runs
   * again with the path of the caller's session, as those functions always ran.
   */
  private static void execute(
      Connection production, String sql, String searchPath, RecreationProgress progress)
      throws SQLException {
    progress.executing(sql);
    // Not around every statement: past 64 subtransactions every other session's snapshots get slow.
    Savepoint savepoint = CALLS_FUNCTIONS.matcher(sql).find() ? production.setSavepoint() : null;
    try {
      run(production, sql);
      if (savepoint != null) {
        production.releaseSavepoint(savepoint);
      }
    } catch (SQLException e) {
      if (savepoint == null || !NAME_NOT_FOUND.contains(String.valueOf(e.getSQLState()))) {
        throw failed(sql, e);
      }
      production.rollback(savepoint);
      set(production, Map.of("search_path", searchPath), true);
      try {
        run(production, sql);
      } catch (SQLException again) {
        throw failed(sql, again);
      }
      set(production, Map.of("search_path", ""), true);
    }
  }

  private static void run(Connection production, String sql) throws SQLException {
    try (Statement statement = production.createStatement()) {
      statement.setEscapeProcessing(false); // a definition may hold braces
      statement.execute(sql);
    }
  }

  private static OperatorException failed(String sql, SQLException e) {
    String state = String.valueOf(e.getSQLState());
    String message = String.valueOf(e.getMessage()).replace('\n', ' ');
    return switch (state) {
      case SqlFailures.GUARD_REFUSED ->
          SqlFailures.guardRefused("cannot bring the dropped objects back", e);
      case "55P03" ->
          new OperatorException(
              Kind.REFUSED,
              "cannot bring the dropped objects back now",
              "another session holds a lock that this needs: " + sql,
              "wait for that session's transaction or end it; run the same command again",
              e);
      case "42501" ->
          new OperatorException(
              Kind.REFUSED,
              "cannot bring the dropped objects back as this role",
              message + ", at: " + sql,
              "connect as a superuser, or as a member of every role that owned what was dropped",
              e);
      case "23503", "23514", "23505" ->
          new OperatorException(
              Kind.REFUSED,
              "cannot bring the dropped objects back",
              "rows written since break a constraint that was dropped: " + message + ", at: " + sql,
              "correct or delete those rows, then make a new plan",
              e);
      default ->
          new OperatorException(
              Kind.FAILED,
              "cannot bring the dropped objects back",
              message + ", at: " + sql,
              "nothing was changed; the statement says which object stands in the way",
              e);
    };
  }

  private static Map<String, String> set(
      Connection connection, Map<String, String> settings, boolean local) throws SQLException {
    Map<String, String> before = new LinkedHashMap<>();
    for (Map.Entry<String, String> setting : settings.entrySet()) {
      before.put(setting.getKey(), setting(connection, setting.getKey()));
      try (PreparedStatement statement =
          connection.prepareStatement("SELECT pg_catalog.set_config(?, ?, ?)")) {
        statement.setString(1, setting.getKey());
        statement.setString(2, setting.getValue());
        statement.setBoolean(3, local);
        statement.executeQuery().close();
      }
    }
    return before;
  }

  private static String setting(Connection connection, String name) throws SQLException {
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT pg_catalog.current_setting(?)")) {
      statement.setString(1, name);
      try (ResultSet row = statement.executeQuery()) {
        row.next();
        return row.getString(1);
      }
    }
  }
}
