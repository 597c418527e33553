package dev.holdfast.guard;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How a guard looks to anybody who may connect: its triggers, event triggers, rules and settings.
 * Nothing is provoked and no lock of a table's is taken; {@link SelfCheck} proves more, and takes
 * the guard's owner.
 */
public final class GuardLook {
  private GuardLook() {}

  /**
   * What was seen.
   *
   * @param version of its SQL; null when the guard lost its stamp
   * @param environment what the database says to be; null likewise
   * @param identityFits whether the stamp was made on this server and for this database
   * @param aliveAt when the recorder was last connected; null if never
   * @param rules as they are set
   * @param tables how many should be covered
   * @param uncovered those with something missing
   * @param tampered what else keeps it from working
   */
  public record Seen(
      @Nullable Integer version,
      @Nullable String environment,
      boolean identityFits,
      @Nullable Instant aliveAt,
      List<Rules.Rule> rules,
      int tables,
      List<Guard.Uncovered> uncovered,
      List<String> tampered) {}

  /**
   * Looks.
   *
   * @param connection in autocommit mode; its session's time limit for statements is set
   * @param most how long one statement may take
   * @return null where there is no guard
   */
  public static @Nullable Seen of(Connection connection, Duration most) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET statement_timeout = " + most.toMillis());
      try (ResultSet row =
          statement.executeQuery(
              "SELECT pg_catalog.to_regclass('holdfast.identity') IS NOT NULL"
                  + " AND pg_catalog.to_regclass('holdfast.rule') IS NOT NULL")) {
        row.next();
        if (!row.getBoolean(1)) {
          return null;
        }
      }
      Integer version = null;
      String environment = null;
      boolean fits = false;
      Instant alive = null;
      try (ResultSet row =
          statement.executeQuery(
              "SELECT version, environment, holdfast.identity_fits(), alive_at FROM holdfast.identity")) {
        if (row.next()) {
          version = row.getInt(1);
          environment = row.getString(2);
          fits = row.getBoolean(3);
          alive = Permits.instant(row.getTimestamp(4));
        }
      }
      SelfCheck.Covered covered = SelfCheck.covered(connection);
      return new Seen(
          version,
          environment,
          fits,
          alive,
          Rules.list(connection),
          covered.tables(),
          covered.uncovered(),
          SelfCheck.tampered(connection));
    }
  }
}
