package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;

/** Whether a pooler stands between us and the server process that answers. */
public final class PooledSession {
  private PooledSession() {}

  /**
   * A pooler hands its clients numbers of its own for cancelling: then the number that the
   * connection was given is not the server process's.
   */
  public static boolean isBehindPooler(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT pg_catalog.pg_backend_pid()")) {
      row.next();
      return row.getInt(1) != connection.unwrap(PGConnection.class).getBackendPID();
    }
  }
}
