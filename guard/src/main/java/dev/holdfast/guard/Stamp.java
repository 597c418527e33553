package dev.holdfast.guard;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * Who a database says to be. A copy says the same: what it says of the server and the database it
 * was made in tells some copies apart.
 *
 * @param cluster what the operator calls it
 * @param environment {@code production}, {@code staging} or {@code development}
 * @param systemIdentifier of the server that it was stamped on, decimal
 * @param database the name that it was stamped under
 * @param aliveAt when Holdfast's recorder was connected last, to it or to what it is a copy of;
 *     null when never
 * @param aliveHere whether that was on this server and in this database, as far as SQL can tell: a
 *     copy of the data directory cannot be told apart
 */
public record Stamp(
    String cluster,
    String environment,
    String systemIdentifier,
    String database,
    @Nullable Instant aliveAt,
    boolean aliveHere) {
  /** Whether it was made on this server, under this name. */
  public static boolean fits(Connection connection, Stamp stamp) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT (pg_catalog.pg_control_system()).system_identifier, pg_catalog.current_database()")) {
      row.next();
      return stamp.systemIdentifier().equals(Long.toUnsignedString(row.getLong(1)))
          && stamp.database().equals(row.getString(2));
    }
  }

  /** Reads it; null where there is none, or where it may not be read. */
  public static @Nullable Stamp read(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      try (ResultSet row =
          statement.executeQuery(
              """
              SELECT coalesce((SELECT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                                 FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass('holdfast.identity')), false)
              """)) {
        row.next();
        if (!row.getBoolean(1)) {
          return null;
        }
      }
      try (ResultSet row =
          statement.executeQuery(
              """
              SELECT cluster, environment, system_identifier, database_name, alive_at,
                     coalesce(alive_in = (SELECT system_identifier FROM pg_catalog.pg_control_system()) || ':' || d.oid, false)
                FROM holdfast.identity, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
              """)) {
        if (!row.next()) {
          return null;
        }
        Timestamp alive = row.getTimestamp(5);
        return new Stamp(
            row.getString(1),
            row.getString(2),
            Long.toUnsignedString(row.getLong(3)),
            row.getString(4),
            alive == null ? null : alive.toInstant(),
            row.getBoolean(6));
      }
    }
  }
}
