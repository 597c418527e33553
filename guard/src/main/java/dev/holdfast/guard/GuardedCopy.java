package dev.holdfast.guard;

import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.jspecify.annotations.Nullable;

/**
 * A copy of a guarded database that Holdfast has made: it carries the guard, with the stamp of the
 * database that it was made of.
 */
public final class GuardedCopy {
  private GuardedCopy() {}

  /**
   * Who the copy says that it is.
   *
   * @param cluster what Holdfast calls the server
   * @param environment {@code production}, {@code staging} or {@code development}
   */
  public record Stamp(String cluster, String environment) {}

  /**
   * Refuses what is no environment.
   *
   * @throws OperatorException USAGE
   */
  public static void checkEnvironment(String environment) {
    Guard.checkEnvironment(environment);
  }

  /**
   * Stamps the copy, for the server it is on. As {@code development} it refuses nothing from now
   * on, whatever was set. As what it was before it keeps its modes; otherwise it gets those that
   * the environment begins with. The live mark of the other server's recorder goes.
   *
   * @param copy connection to it as superuser, in autocommit mode; never to production
   * @return the stamp it has now; null where there is no guard
   * @throws OperatorException USAGE when that is no environment
   */
  public static @Nullable Stamp stamp(Connection copy, String environment) throws SQLException {
    Guard.checkEnvironment(environment);
    try (Statement statement = copy.createStatement()) {
      try (ResultSet row =
          statement.executeQuery(
              "SELECT pg_catalog.to_regprocedure('holdfast.restamp(text)') IS NOT NULL")) {
        row.next();
        if (!row.getBoolean(1)) {
          return null;
        }
      }
      // A transaction that was prepared in production may hold what nobody gives back.
      statement.execute("SET lock_timeout = '10s'");
      Identity.restamp(copy, environment);
      try (ResultSet row =
          statement.executeQuery("SELECT cluster, environment FROM holdfast.identity")) {
        return row.next() ? new Stamp(row.getString(1), row.getString(2)) : null;
      }
    }
  }
}
