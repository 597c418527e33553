package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Whom a server's commits wait for, as the recorder's role sees it, and may change it where an
 * administrator lets it.
 *
 * @param standbys the setting
 * @param mayChange whether this role may change it and have it read
 * @param streaming whether the recorder's walsender has caught up, so that its acknowledgements are
 *     those of the present
 * @param synchronousCommit the server's default: from {@code remote_write} on commits wait at all
 * @param alterSystem whether the server lets anybody run ALTER SYSTEM (allow_alter_system, from
 *     PostgreSQL 17 on)
 */
public record SynchronousCommits(
    SynchronousStandbys standbys,
    boolean mayChange,
    boolean streaming,
    String synchronousCommit,
    boolean alterSystem) {
  private static final Logger LOG = LoggerFactory.getLogger(SynchronousCommits.class);

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
   * One connection that stays open: commits that hang pile applications up until the server has no
   * connection left, and that is when the recorder has to be let in. Opened when it is first
   * needed, and again when it broke.
   */
  public static final class Session implements AutoCloseable {
    /** A server that does not answer is as good as away. */
    private static final int ANSWER_MILLIS_MAX = 10_000;

    private final PostgresUrl url;
    private final String standby;
    private @Nullable Connection open;

    /**
     * Opens nothing yet.
     *
     * @param standby the application_name of the recorder
     */
    public Session(PostgresUrl url, String standby) {
      this.url = url;
      this.standby = standby;
    }

    /**
     * Asks the server.
     *
     * @throws DatabaseUnreachableException when the server does not let us in
     */
    public synchronized SynchronousCommits read() {
      return ask("see whom commits wait for", connection -> look(connection, standby));
    }

    /**
     * Changes the setting and has the server read it, which it does a moment later; whoever waits
     * for a standby that is not listed any more is let go.
     */
    public synchronized void set(SynchronousStandbys standbys) {
      ask(
          "change whom commits wait for",
          connection -> {
            try (Statement statement = connection.createStatement()) {
              statement.execute(
                  "ALTER SYSTEM SET synchronous_standby_names = "
                      + Sql.literal(standbys.toString()));
              return statement.execute("SELECT pg_catalog.pg_reload_conf()");
            }
          });
    }

    private <T> T ask(String what, Question<T> question) {
      boolean reopened = open == null;
      while (true) {
        Connection connection = connection();
        try {
          return question.of(connection);
        } catch (SQLException e) {
          // One that works is kept whatever it refused: there may be no other.
          if (!isBroken(connection, e)) {
            throw failed(what, e);
          }
          close();
          if (reopened) {
            throw failed(what, e);
          }
          reopened = true;
        }
      }
    }

    private Connection connection() {
      Connection connection = open;
      if (connection == null) {
        connection = url.open();
        open = connection;
        try (Statement statement = connection.createStatement()) {
          connection.setNetworkTimeout(Runnable::run, ANSWER_MILLIS_MAX);
          statement.execute("SET idle_session_timeout = 0");
        } catch (SQLException e) {
          close();
          throw failed("see whom commits wait for", e);
        }
      }
      return connection;
    }

    private static boolean isBroken(Connection connection, SQLException e) {
      String state = String.valueOf(e.getSQLState());
      try {
        return state.startsWith("08") || state.startsWith("57P") || connection.isClosed();
      } catch (SQLException unknown) {
        return true;
      }
    }

    @Override
    public synchronized void close() {
      Connection connection = open;
      open = null;
      if (connection != null) {
        try {
          connection.close();
        } catch (SQLException e) {
          LOG.debug("a connection did not end in peace", e);
        }
      }
    }
  }

  private interface Question<T> {
    T of(Connection connection) throws SQLException;
  }

  private static SynchronousCommits look(Connection connection, String standby)
      throws SQLException {
    boolean granular =
        Integer.parseInt(ServerFacts.value(connection, "SHOW server_version_num")) >= 150000;
    String may =
        granular
            ? "has_parameter_privilege('synchronous_standby_names', 'ALTER SYSTEM')"
            : "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)";
    boolean alterSystem =
        ServerFacts.value(
                connection, "SELECT coalesce(current_setting('allow_alter_system', true), 'on')")
            .equals("on");
    return new SynchronousCommits(
        SynchronousStandbys.parse(ServerFacts.value(connection, "SHOW synchronous_standby_names")),
        alterSystem
            && ServerFacts.value(
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
        ServerFacts.value(connection, "SHOW synchronous_commit"),
        alterSystem);
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
