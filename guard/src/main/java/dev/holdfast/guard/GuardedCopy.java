package dev.holdfast.guard;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * A copy of a guarded database that Holdfast has made: it carries the guard and is no production.
 */
public final class GuardedCopy {
  private GuardedCopy() {}

  /**
   * Stamps the copy as {@code development}, with every rule off: it refuses nothing and does not
   * pass for the database that it was made of.
   *
   * @param copy connection to it as superuser, in autocommit mode; never to production
   * @return whether there was a guard
   */
  public static boolean release(Connection copy) throws SQLException {
    try (Statement statement = copy.createStatement()) {
      try (ResultSet row =
          statement.executeQuery(
              "SELECT pg_catalog.to_regprocedure('holdfast.set_environment(text)') IS NOT NULL")) {
        row.next();
        if (!row.getBoolean(1)) {
          return false;
        }
      }
      statement.execute("SELECT holdfast.set_environment('development')");
      return true;
    }
  }
}
