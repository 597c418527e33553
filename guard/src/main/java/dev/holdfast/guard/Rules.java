package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The guard's rules, and where they are stricter or looser. */
public final class Rules {
  /** Every rule, those about definitions first. */
  public static final List<String> NAMES =
      List.of(
          "drop-table",
          "drop-schema",
          "drop-column",
          "drop-type",
          "alter-column-type",
          "drop-database",
          "truncate",
          "mass-delete",
          "mass-update",
          "json-keys-lost",
          "guard-tampering");

  /** What a rule may do. */
  public static final List<String> MODES = List.of("off", "observe", "enforce");

  private Rules() {}

  /**
   * A rule as it is.
   *
   * @param rowsMax more rows than these in one transaction are too many; null where it counts none
   * @param percentMax so many percent of the table, from 1,000 rows on
   * @param since when the mode was set
   */
  public record Rule(
      String name,
      String mode,
      @Nullable Long rowsMax,
      @Nullable BigDecimal percentMax,
      Instant since,
      String changedBy) {}

  /**
   * A rule made different for some tables, columns or roles. Null stands for all, and in the last
   * three for as the rule has it.
   */
  public record RuleOverride(
      @Nullable Long id,
      String rule,
      @Nullable String table,
      @Nullable String role,
      @Nullable String column,
      @Nullable String mode,
      @Nullable Long rowsMax,
      @Nullable BigDecimal percentMax,
      String reason) {
    /** Refuses rules and modes that there are not. */
    public RuleOverride {
      if (!NAMES.contains(rule)) {
        throw unknown(rule);
      }
      if (mode != null) {
        checkMode(mode);
      }
      if (mode == null && rowsMax == null && percentMax == null) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot make an exception that changes nothing",
            "it has neither a mode nor a limit of its own",
            "say --mode observe, or --rows 50000");
      }
      if (table == null && role == null && column == null) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot make an exception for everything",
            "it names neither tables nor a role",
            "say --table public.sessions, or set the rule itself: holdfast guard mode");
      }
      if (table != null && !table.contains(".")) {
        throw new OperatorException(
            Kind.USAGE,
            "\"" + table + "\" names no table",
            "tables are written with their schema, % standing for anything",
            "say --table public." + table);
      }
    }
  }

  static OperatorException unknown(String rule) {
    return new OperatorException(
        Kind.USAGE,
        "the guard has no rule \"" + rule + "\"",
        "it has: " + String.join(", ", NAMES),
        "name one of these");
  }

  private static void checkMode(String mode) {
    if (!MODES.contains(mode)) {
      throw new OperatorException(
          Kind.USAGE,
          "\"" + mode + "\" is no mode of a rule",
          "there are " + String.join(", ", MODES),
          "name one of these");
    }
  }

  /** Has these rules do this from now on; the connection is the guard's owner's. */
  public static void setMode(Connection connection, List<String> rules, String mode) {
    checkMode(mode);
    for (String rule : rules) {
      if (!NAMES.contains(rule)) {
        throw unknown(rule);
      }
    }
    try {
      Guard.inTransaction(
          connection,
          _ -> {
            for (String rule : rules) {
              try (PreparedStatement set =
                  connection.prepareStatement("SELECT holdfast.set_mode(?, ?)")) {
                set.setString(1, rule);
                set.setString(2, mode);
                set.execute();
              }
            }
          });
    } catch (SQLException e) {
      throw Guard.failure("cannot set the mode of " + String.join(", ", rules), e);
    }
  }

  /** Adds an exception and has the triggers of the tables that it touches know of it. */
  public static long except(
      Connection connection,
      RuleOverride exception,
      Guard.Installation how,
      Guard.Listener listener) {
    try {
      long[] id = {0};
      Guard.inTransaction(connection, _ -> id[0] = insert(connection, exception));
      if (exception.rowsMax() != null) {
        Guard.cover(connection, how, listener);
      }
      return id[0];
    } catch (SQLException e) {
      throw Guard.failure("cannot make an exception", e);
    }
  }

  static long insert(Connection connection, RuleOverride exception) throws SQLException {
    try (PreparedStatement insert =
        connection.prepareStatement(
            """
            INSERT INTO holdfast.exception (rule, table_like, role_like, column_name, mode, rows_max, percent_max, reason)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
            """)) {
      insert.setString(1, exception.rule());
      insert.setString(2, exception.table());
      insert.setString(3, exception.role());
      insert.setString(4, exception.column());
      insert.setString(5, exception.mode());
      insert.setObject(6, exception.rowsMax(), Types.BIGINT);
      insert.setObject(7, exception.percentMax(), Types.NUMERIC);
      insert.setString(8, exception.reason());
      tellException(connection, exception.rule(), "made");
      try (ResultSet row = insert.executeQuery()) {
        row.next();
        return row.getLong(1);
      }
    }
  }

  /** Takes an exception away. */
  public static void removeException(Connection connection, long id) {
    try {
      Guard.inTransaction(connection, _ -> remove(connection, id));
    } catch (SQLException e) {
      throw Guard.failure("cannot remove exception " + id, e);
    }
  }

  private static void remove(Connection connection, long id) throws SQLException {
    try (PreparedStatement delete =
        connection.prepareStatement("DELETE FROM holdfast.exception WHERE id = ? RETURNING rule")) {
      delete.setLong(1, id);
      try (ResultSet row = delete.executeQuery()) {
        if (!row.next()) {
          throw new OperatorException(
              Kind.FAILED,
              "cannot remove exception " + id,
              "there is none with this number",
              "see them: holdfast guard status NAME");
        }
        tellException(connection, row.getString(1), "taken away");
      }
    }
  }

  /** Rules are checked against {@link #NAMES} before. */
  private static void tellException(Connection connection, String rule, String done)
      throws SQLException {
    try (Statement statement = connection.createStatement()) {
      Guard.tell(
          statement, "exception", ", \"rule\": \"%s\", \"done\": \"%s\"".formatted(rule, done));
    }
  }

  /** All rules, in the order of {@link #NAMES}. */
  public static List<Rule> list(Connection connection) throws SQLException {
    List<Rule> rules = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT name, mode, rows_max, percent_max, since, changed_by FROM holdfast.rule")) {
      while (rows.next()) {
        rules.add(
            new Rule(
                rows.getString(1),
                rows.getString(2),
                (Long) rows.getObject(3),
                rows.getBigDecimal(4),
                rows.getTimestamp(5).toInstant(),
                rows.getString(6)));
      }
    }
    rules.sort(java.util.Comparator.comparingInt(rule -> NAMES.indexOf(rule.name())));
    return List.copyOf(rules);
  }

  /** All exceptions, the oldest first. */
  public static List<RuleOverride> exceptions(Connection connection) throws SQLException {
    List<RuleOverride> exceptions = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                """
                SELECT id, rule, table_like, role_like, column_name, mode, rows_max, percent_max, reason
                  FROM holdfast.exception ORDER BY id
                """)) {
      while (rows.next()) {
        exceptions.add(
            new RuleOverride(
                rows.getLong(1),
                rows.getString(2),
                rows.getString(3),
                rows.getString(4),
                rows.getString(5),
                rows.getString(6),
                (Long) rows.getObject(7),
                rows.getBigDecimal(8),
                rows.getString(9)));
      }
    }
    return List.copyOf(exceptions);
  }
}
