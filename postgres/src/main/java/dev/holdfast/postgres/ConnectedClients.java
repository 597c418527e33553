package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Who is connected to a server right now. Holdfast's own connections are left out.
 *
 * @param visible whether our role may see other roles' sessions; if not, there are none here
 * @param sessions each kind once, however many connections it has; names as clients gave them
 */
public record ConnectedClients(boolean visible, List<Session> sessions) {
  private static final int SESSIONS_MAX = 2000;
  private static final int SECONDS_MAX = 5;

  /**
   * One kind of session.
   *
   * @param application its application_name; empty when it gave none
   * @param address where it comes from; null for a Unix socket
   */
  public record Session(
      String database, String role, String application, @Nullable String address) {}

  /** Copies the list. */
  public ConnectedClients {
    sessions = List.copyOf(sessions);
  }

  /**
   * Asks, in one statement of a few seconds at most. Whoever has no pg_read_all_stats (pg_monitor
   * has it) is shown the application_name of others and neither their address nor what kind of
   * process they are: that is as good as nothing.
   */
  public static ConnectedClients read(Connection connection) throws SQLException {
    boolean visible = false;
    List<Session> sessions = new ArrayList<>();
    try (Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(SECONDS_MAX);
      try (ResultSet rows =
          statement.executeQuery(
              """
              SELECT us.visible, a.datname, a.usename, a.application_name, a.address
                FROM (SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS visible) us
                LEFT JOIN (
                  SELECT datname, usename, coalesce(application_name, '') AS application_name,
                         pg_catalog.host(client_addr) AS address
                    FROM pg_catalog.pg_stat_activity
                   WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
                     AND application_name !~ '^holdfast([: ]|$)'
                   GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC LIMIT %d) a ON us.visible
              """
                  .formatted(SESSIONS_MAX))) {
        while (rows.next()) {
          visible = rows.getBoolean(1);
          String database = rows.getString(2);
          String role = rows.getString(3);
          // A role may be dropped under its session, a database may not.
          if (database != null && role != null) {
            sessions.add(new Session(database, role, rows.getString(4), rows.getString(5)));
          }
        }
      }
    }
    return new ConnectedClients(visible, sessions);
  }
}
