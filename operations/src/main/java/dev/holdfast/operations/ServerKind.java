package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PooledSession;
import dev.holdfast.postgres.PostgresUrl;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a role may do on a server, found by trying it in a transaction that is rolled back.
 *
 * @param kind {@code superuser}, {@code event-triggers} (a managed service's admin) or {@code
 *     owner}
 * @param role as whom
 * @param behindPooler whether the connection leads through a pooler that shares sessions
 * @param directAddress the server itself, where a pooler is in between; null where it does not say
 * @param works what works, and what does not, in words
 */
public record ServerKind(
    String kind,
    String role,
    boolean behindPooler,
    @Nullable String directAddress,
    List<ProtectResult.Capability> works) {
  private static final String YES = "yes";
  private static final String NO = "no";

  private static final List<String> PROBE =
      List.of(
          "CREATE SCHEMA holdfast_probe",
          "CREATE FUNCTION holdfast_probe.nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
          "CREATE EVENT TRIGGER holdfast_probe ON ddl_command_end WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION holdfast_probe.nothing()");

  /** Tries it over a connection of its own. */
  static ServerKind of(PostgresUrl url) {
    try (Connection connection = PooledSession.withoutNamedStatements(url.open())) {
      return of(connection);
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot find out what works at " + url.redacted(),
          String.valueOf(e.getMessage()),
          "check the server's log for this moment, then run the same command again",
          e);
    }
  }

  /** What is tried and rolled back where the role is no superuser. */
  static List<String> probe() {
    return PROBE;
  }

  /** Tries. */
  static ServerKind of(Connection connection) throws SQLException {
    String role;
    boolean superuser;
    String address;
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT current_user, rolsuper, pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || pg_catalog.inet_server_port()
                  FROM pg_catalog.pg_roles WHERE rolname = current_user
                """)) {
      row.next();
      role = row.getString(1);
      superuser = row.getBoolean(2);
      address = row.getString(3);
    }
    boolean behindPooler = PooledSession.isBehindPooler(connection);
    boolean events = superuser || mayMakeEventTriggers(connection);
    String kind = superuser ? "superuser" : events ? "event-triggers" : "owner";
    return new ServerKind(
        kind, role, behindPooler, behindPooler ? address : null, works(superuser, events));
  }

  private static boolean mayMakeEventTriggers(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      Savepoint before = connection.setSavepoint();
      try {
        for (String sql : PROBE) {
          statement.execute(sql);
        }
        return true;
      } catch (SQLException e) {
        connection.rollback(before);
        return false;
      }
    } finally {
      connection.rollback();
      connection.setAutoCommit(true);
    }
  }

  private static List<ProtectResult.Capability> works(boolean superuser, boolean events) {
    List<ProtectResult.Capability> works = new ArrayList<>();
    works.add(
        new ProtectResult.Capability(
            "refuse TRUNCATE, mass DELETE and UPDATE, lost JSON keys",
            YES,
            superuser ? "every table" : "tables that this role owns"));
    works.add(
        new ProtectResult.Capability(
            "refuse DROP and ALTER that lose data, cover new tables",
            events ? YES : NO,
            events ? "" : "takes event triggers: a superuser, or the service's admin role"));
    works.add(
        new ProtectResult.Capability(
            "keep the guard itself from being taken off",
            events ? YES : NO,
            superuser
                ? "from all but superusers, whose doing is seen"
                : events
                    ? "from all but the admin role"
                    : "owners of tables can drop its triggers"));
    works.add(
        new ProtectResult.Capability(
            "a restore point before a permit is used",
            superuser ? YES : NO,
            superuser ? "" : "takes a superuser"));
    works.add(
        new ProtectResult.Capability(
            "who did it, in the log", YES, "a message in each transaction"));
    return List.copyOf(works);
  }
}
