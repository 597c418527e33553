package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.LastingServer;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ScratchFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A first run of a restored server that nobody but us can reach: it recovers, something is done in
 * its databases, it stops. Clients that look for production at its port find nobody until then.
 *
 * <p>It listens on nothing but a Unix socket in a folder of mode 0700, where it trusts whoever
 * comes: production's passwords are not known. What else is set is as it will be.
 */
public final class BeforeAnybody {
  /** What is done in one database, as superuser and in autocommit mode. */
  public interface Work {
    /**
     * Does it.
     *
     * @throws SQLException when it could not be done: then nothing more is
     */
    void in(String database, Connection connection) throws SQLException;
  }

  private final RestoredCluster restored;
  private final String what;
  private final Supplier<String> next;

  private BeforeAnybody(RestoredCluster restored, String what, Supplier<String> next) {
    this.restored = restored;
    this.what = what;
    this.next = next;
  }

  /**
   * Does the work in every database that allows connections.
   *
   * @param what the operation that fails when it does
   * @param next what the operator can do then
   * @param user a role of production's that can log in
   * @throws OperatorException when the server does not come up, or it could not be done somewhere;
   *     the server is stopped then, and the files stay
   */
  public static void run(
      RestoredCluster restored,
      PostgresBinaries programs,
      String what,
      Supplier<String> next,
      String user,
      Work work,
      RecoveryProgress progress) {
    new BeforeAnybody(restored, what, next).run(programs, user, work, progress);
  }

  private void run(PostgresBinaries programs, String user, Work work, RecoveryProgress progress) {
    try (ScratchFolder scratch =
            ScratchFolder.create(Path.of(System.getProperty("java.io.tmpdir")), "holdfast-");
        PrivateSocket socket = new PrivateSocket(scratch, programs.major(), user, null)) {
      Path access = scratch.path().resolve("pg_hba.conf");
      Files.writeString(access, "local all all trust\n");
      Files.setPosixFilePermissions(access, PosixFilePermissions.fromString("rw-------"));
      restored.owner().own(scratch.path());
      restored.owner().own(socket.folder());
      Map<String, String> settings =
          Map.of(
              "hba_file",
              access.toString(),
              "listen_addresses",
              "",
              "unix_socket_directories",
              socket.setting(),
              "unix_socket_permissions",
              "0700",
              "unix_socket_group",
              "",
              "autovacuum",
              "off");
      LastingServer server = restored.start(programs, settings, true, progress);
      try {
        inEach(socket, server.port().orElse(restored.port()), work);
      } catch (RuntimeException e) {
        server.stop();
        throw e;
      }
      String running = server.stop();
      if (running != null) {
        throw failure("the server could not be stopped again: " + running, null);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void inEach(PrivateSocket socket, int port, Work work) {
    String database = "";
    try {
      List<String> databases = new ArrayList<>();
      String superuser;
      try (Connection connection = socket.openAny(what, port)) {
        if (connection == null) {
          throw failure("none of production's superusers may log in", null);
        }
        superuser = connection.getMetaData().getUserName();
        try (Statement statement = connection.createStatement();
            ResultSet rows =
                statement.executeQuery(
                    "SELECT datname FROM pg_catalog.pg_database"
                        + " WHERE datallowconn AND datconnlimit <> -2 ORDER BY datname")) {
          while (rows.next()) {
            databases.add(rows.getString(1));
          }
        }
      }
      for (String each : databases) {
        database = each;
        try (Connection connection = socket.open(port, superuser, each)) {
          work.in(each, connection);
        }
      }
    } catch (SQLException e) {
      throw failure((database.isEmpty() ? "" : "database " + database + ": ") + e.getMessage(), e);
    }
  }

  private OperatorException failure(String why, @Nullable Throwable e) {
    return new OperatorException(
        Kind.FAILED,
        what,
        why,
        "what was restored stays in " + restored.directory() + ", not started; " + next.get(),
        e);
  }
}
