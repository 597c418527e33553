package dev.holdfast.postgres;

import java.net.ConnectException;
import java.net.NoRouteToHostException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.sql.SQLException;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** Tells why a server did not let us in, from pgjdbc's exception. */
final class ConnectFailures {
  private ConnectFailures() {}

  /** SQLSTATEs: PostgreSQL 18 documentation, appendix A. */
  static DatabaseUnreachableException of(PostgresUrl url, SQLException e) {
    String what = "cannot connect to " + url.redacted();
    String state = String.valueOf(e.getSQLState());
    String said = firstLine(e);
    return switch (state) {
      case "28P01" ->
          failure(
              false,
              what,
              "the server refuses the password of user \"" + url.user() + "\"",
              "check the password in the URL, PGPASSWORD or " + url.passwordFiles(),
              e);
      case "28000" -> authorization(url, what, said, e);
      case "3D000" ->
          failure(
              false,
              what,
              "database \"" + url.database() + "\" does not exist on this server",
              "check the name: `psql --list` prints those that exist",
              e);
      case "55000" ->
          failure(
              false, what, said, "name another database of the same server, such as postgres", e);
      case "42501" ->
          failure(
              false,
              what,
              said,
              "as a superuser run: GRANT CONNECT ON DATABASE "
                  + Sql.identifier(url.database())
                  + " TO "
                  + Sql.identifier(url.user()),
              e);
      case "53300" ->
          failure(
              true,
              what,
              "all of the server's connections are in use (" + said + ")",
              "end idle connections, or raise max_connections; then run the same command again",
              e);
      case "57P03" ->
          failure(
              true, what, said, "wait until the server is up and run the same command again", e);
      default -> transport(url, what, state, said, e);
    };
  }

  private static DatabaseUnreachableException authorization(
      PostgresUrl url, String what, String said, SQLException e) {
    if (said.contains("pg_hba.conf")) {
      boolean plain = said.contains("no encryption");
      String database =
          said.contains("replication connection") ? "replication" : Sql.identifier(url.database());
      return failure(
          false,
          what,
          said,
          "add a line to the server's pg_hba.conf and reload it: "
              + (plain ? "host " : "hostssl ")
              + database
              + " "
              + Sql.identifier(url.user())
              + " ADDRESS/32 scram-sha-256 (ADDRESS as the server sees this machine)"
              + (plain ? "; or the server may want TLS: add sslmode=require to the URL" : ""),
          e);
    }
    if (said.contains("does not exist")) {
      return failure(
          false,
          what,
          "role \"" + url.user() + "\" does not exist on this server",
          "check the user in the URL: `psql --command \"\\du\"` prints those that exist",
          e);
    }
    if (said.contains("permitted to log in")) {
      return failure(
          false,
          what,
          said,
          "as a superuser run: ALTER ROLE " + Sql.identifier(url.user()) + " LOGIN",
          e);
    }
    return failure(
        false, what, said, "check the user, and the server's pg_hba.conf and pg_ident.conf", e);
  }

  private static DatabaseUnreachableException transport(
      PostgresUrl url, String what, String state, String said, SQLException e) {
    if (said.contains("no password was provided")) {
      return failure(
          false,
          what,
          "the server asks for a password and none is known",
          "give one in the URL, in PGPASSWORD, or in " + url.passwordFiles(),
          e);
    }
    if (causeOf(e, UnknownHostException.class) != null) {
      return failure(
          true,
          what,
          "the host name cannot be resolved",
          "check the host in the URL and this machine's DNS",
          e);
    }
    if (causeOf(e, ConnectException.class) != null
        || causeOf(e, NoRouteToHostException.class) != null) {
      return failure(
          true,
          what,
          "nothing answers there (connection refused)",
          "check host and port, that the server runs, and its listen_addresses",
          e);
    }
    if (causeOf(e, SocketTimeoutException.class) != null) {
      return failure(
          true,
          what,
          "no answer in time",
          "check host and port, and firewalls between this machine and the server",
          e);
    }
    if (causeOf(e, SSLException.class) != null
        || said.contains("SSL")
        || said.contains("hostnameverifier")) {
      Throwable tls = causeOf(e, SSLException.class);
      return failure(
          false,
          what,
          "no TLS connection: " + (tls == null ? said : firstLine(tls)),
          "check sslmode and sslrootcert in the URL (sslmode=prefer takes what the server has;"
              + " verify-full needs the certificate authority's file in sslrootcert)",
          e);
    }
    return failure(
        state.startsWith("08") || state.startsWith("57P") || state.startsWith("53"),
        what,
        said,
        "check the server's log for this moment, then run the same command again",
        e);
  }

  private static DatabaseUnreachableException failure(
      boolean temporary, String what, String why, String next, SQLException cause) {
    return new DatabaseUnreachableException(temporary, what, why, next, cause);
  }

  private static <T extends Throwable> @Nullable T causeOf(Throwable e, Class<T> type) {
    int depth = 0; // chains of causes may be circular
    for (Throwable cause = e; cause != null && depth < 10; cause = cause.getCause(), depth++) {
      if (type.isInstance(cause)) {
        return type.cast(cause);
      }
    }
    return null;
  }

  static String firstLine(Throwable e) {
    String message = String.valueOf(e.getMessage()).strip();
    String line = message.lines().findFirst().orElse("");
    return line.startsWith("FATAL: ") || line.startsWith("ERROR: ")
        ? line.substring(7).strip()
        : line;
  }
}
