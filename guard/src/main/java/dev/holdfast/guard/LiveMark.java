package dev.holdfast.guard;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * The mark that says when Holdfast's recorder was last connected to this very server. A restored
 * copy, or a server after pg_upgrade, has a stamp that does not fit: a fresh mark tells production.
 */
public final class LiveMark {
  private LiveMark() {}

  /**
   * Renews it, where there is a guard and the role may.
   *
   * @param connection in autocommit mode
   * @return whether it was renewed
   */
  public static boolean renew(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      try (ResultSet row =
          statement.executeQuery(
              """
              SELECT coalesce((SELECT pg_catalog.has_schema_privilege(p.pronamespace, 'USAGE')
                                  AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
                                  AND p.prosecdef -- it runs as whoever owns it: nobody has us run theirs as us
                                 FROM pg_catalog.pg_proc p
                                WHERE p.oid = pg_catalog.to_regprocedure('holdfast.alive()')), false)
              """)) {
        row.next();
        if (!row.getBoolean(1)) {
          return false;
        }
      }
      statement.execute("SET lock_timeout = '2s'");
      statement.execute("SELECT holdfast.alive()");
      return true;
    }
  }
}
