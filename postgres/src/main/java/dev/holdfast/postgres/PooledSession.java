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

  /**
   * The same connection, which names no statements in the server from now on: behind a pooler the
   * server that has them may be another one the next time.
   */
  public static Connection withoutNamedStatements(Connection connection) {
    try {
      connection.unwrap(PGConnection.class).setPrepareThreshold(0);
      return connection;
    } catch (SQLException e) {
      throw new IllegalStateException("not a connection of pgjdbc's", e);
    }
  }
}
