package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;

/**
 * Whom a server's commits wait for, as the recorder's role sees it, and may change it where an
 * administrator lets it.
 *
 * @param standbys the setting
 * @param mayChange whether this role may change it and have it read
 * @param streaming whether the recorder's walsender has caught up, so that its acknowledgements are
 *     those of the present
 * @param synchronousCommit the server's default: from {@code remote_write} on commits wait at all
 */
public record SynchronousCommits(
    SynchronousStandbys standbys, boolean mayChange, boolean streaming, String synchronousCommit) {
  /**
   * What lets a role take itself out of the list; servers before 15 let superusers only.
   *
   * @return empty where nothing does
   */
  public static List<String> grants(int major, String role) {
    String name = Sql.identifier(role);
    return major < 15
        ? List.of()
        : List.of(
            "GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO " + name,
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO " + name);
  }

  /** The statements that an administrator runs to set it. */
  public static String statements(SynchronousStandbys standbys) {
    return "ALTER SYSTEM SET synchronous_standby_names = "
        + Sql.literal(standbys.toString())
        + "; SELECT pg_reload_conf();";
  }

  /**
   * Asks the server.
   *
   * @param standby the application_name of the recorder
   * @throws DatabaseUnreachableException when the server does not let us in
   */
  public static SynchronousCommits read(PostgresUrl url, String standby) {
    try (Connection connection = url.open()) {
      boolean granular =
          Integer.parseInt(ServerFacts.value(connection, "SHOW server_version_num")) >= 150000;
      String may =
          granular
              ? "has_parameter_privilege('synchronous_standby_names', 'ALTER SYSTEM')"
              : "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)";
      return new SynchronousCommits(
          SynchronousStandbys.parse(
              ServerFacts.value(connection, "SHOW synchronous_standby_names")),
          ServerFacts.value(
                  connection,
                  "SELECT "
                      + may
                      + " AND has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE')")
              .equals("t"),
          !ServerFacts.value(
                  connection,
                  "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND"
                      + " application_name = "
                      + Sql.literal(standby))
              .equals("0"),
          ServerFacts.value(connection, "SHOW synchronous_commit"));
    } catch (SQLException e) {
      throw failed("see whom commits wait for", e);
    }
  }

  /**
   * Changes the setting and has the server read it; whoever waits for a standby that is not listed
   * any more is let go.
   */
  public static void set(PostgresUrl url, SynchronousStandbys standbys) {
    try (Connection connection = url.open();
        Statement statement = connection.createStatement()) {
      statement.execute(
          "ALTER SYSTEM SET synchronous_standby_names = " + Sql.literal(standbys.toString()));
      statement.execute("SELECT pg_catalog.pg_reload_conf()");
    } catch (SQLException e) {
      throw failed("change whom commits wait for", e);
    }
  }

  private static OperatorException failed(String what, SQLException e) {
    return new OperatorException(
        "42501".equals(e.getSQLState()) ? Kind.REFUSED : Kind.FAILED,
        "cannot " + what,
        ConnectFailures.firstLine(e),
        "check the server's log for this moment, then run the same command again",
        e);
  }
}
