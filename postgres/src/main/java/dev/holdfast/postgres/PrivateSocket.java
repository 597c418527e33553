package dev.holdfast.postgres;

import dev.holdfast.server.ScratchFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The Unix socket of a fork's server, in a folder that only its owner can enter; there the server
 * trusts whoever comes, since production's passwords are not known and a role of our own may not be
 * there.
 *
 * <p>What production set for its roles and databases is overridden: nothing of it may run at our
 * connections, load a library this machine lacks, or end our statements.
 */
final class PrivateSocket implements AutoCloseable {
  /**
   * Where replay stands still, a transaction that is not over may keep locked what everybody reads
   * who is let in: then nobody is, for as long as it stands.
   */
  private static final Duration LET_IN_MAX = Duration.ofSeconds(15);

  /** {@code sun_path} of "unix(7)", without the zero at its end. */
  private static final int PATH_BYTES_MAX = 107;

  private static final int PORT_MAX = 65535;

  /** SQLSTATE cannot_connect_now. */
  private static final String COMING_UP = "57P03";

  /** "Ready" in postmaster.pid comes a moment before the last check that can turn a client away. */
  private static final Duration COMING_UP_MAX = Duration.ofSeconds(5);

  /** SQLSTATE invalid_authorization_specification: no line of pg_hba.conf is for us. */
  private static final String NOT_ALLOWED = "28000";

  /** Databases every cluster begins with. */
  private static final List<String> DATABASES = List.of("postgres", "template1");

  private final ScratchFolder scratch;
  private final ScratchFolder home;
  private final Path folder;
  private final int major;
  private final Set<String> users;
  private final Set<String> databases;

  /**
   * Makes the folder.
   *
   * @param scratch holds it, where the path is short enough; stays the caller's to close
   * @param major the server's major version
   * @param user a role of production's that can log in: the one the base backup was made by
   * @param database tried first; null for none
   */
  PrivateSocket(ScratchFolder scratch, int major, String user, @Nullable String database)
      throws IOException {
    this.scratch = scratch;
    this.major = major;
    this.users = new LinkedHashSet<>(List.of(user, "postgres"));
    this.databases = new LinkedHashSet<>();
    if (database != null) {
      databases.add(database);
    }
    databases.addAll(DATABASES);
    Path near = scratch.path().resolve("socket");
    boolean fits = file(near, PORT_MAX).getBytes(StandardCharsets.UTF_8).length <= PATH_BYTES_MAX;
    this.home =
        fits
            ? scratch
            : ScratchFolder.create(Path.of(System.getProperty("java.io.tmpdir")), "holdfast-");
    this.folder = fits ? near : home.path();
    if (fits) {
      Files.createDirectory(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
  }

  /** Where it is; the server's user makes it there. */
  Path folder() {
    return folder;
  }

  /** The server setting {@code unix_socket_directories}. */
  String setting() {
    return '"' + folder.toString().replace("\"", "\"\"") + '"';
  }

  /**
   * The first superuser that can log in; null when nobody is let in who could tell.
   *
   * @throws SQLException when nobody is for want of a locale
   */
  @Nullable String findSuperuser(int port) throws SQLException {
    for (String user : users) {
      for (String database : databases) {
        try (Connection connection = tried(port, user, database, false)) {
          if (connection != null) {
            try (Statement statement = connection.createStatement();
                ResultSet row =
                    statement.executeQuery(
                        "SELECT rolname FROM pg_catalog.pg_roles"
                            + " WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1")) {
              return row.next() ? row.getString(1) : null;
            }
          }
        }
      }
    }
    return null;
  }

  /**
   * A connection of this superuser to some database; null when there is none to be had.
   *
   * @throws SQLException when there is none for want of a locale
   */
  @Nullable Connection open(int port, String superuser) throws SQLException {
    for (String database : databases) {
      Connection connection = tried(port, superuser, database, true);
      if (connection != null) {
        return connection;
      }
    }
    return null;
  }

  /**
   * A connection as superuser of a server that has just come up, whoever that is; null when there
   * is none to be had.
   *
   * @param what the operation that needs it
   * @throws SQLException when there is none for want of a locale
   */
  @Nullable Connection openAny(String what, int port) throws SQLException {
    for (String user : new LinkedHashSet<>(users).reversed()) {
      for (String database : databases) {
        Connection connection = triedAgain(what, port, user, database);
        if (connection != null) {
          return connection;
        }
      }
    }
    String superuser = findSuperuser(port);
    return superuser == null ? null : open(port, superuser);
  }

  private @Nullable Connection triedAgain(String what, int port, String user, String database)
      throws SQLException {
    long deadline = System.nanoTime() + COMING_UP_MAX.toNanos();
    while (true) {
      try {
        return open(port, user, database, true);
      } catch (SQLException e) {
        if (RecoveryFailure.missingLocale(String.valueOf(e.getMessage())).isPresent()) {
          throw e;
        }
        if (!COMING_UP.equals(e.getSQLState()) || System.nanoTime() > deadline) {
          return null;
        }
        StartedServer.pause(what);
      }
    }
  }

  /** Whether the server turns away whoever comes through it. */
  boolean isShut(int port, String user) {
    try (Connection _ = open(port, user, databases.iterator().next(), true)) {
      return false;
    } catch (SQLException e) {
      return NOT_ALLOWED.equals(e.getSQLState());
    }
  }

  private @Nullable Connection tried(int port, String user, String database, boolean isSuperuser)
      throws SQLException {
    try {
      return open(port, user, database, isSuperuser);
    } catch (SQLException e) {
      if (RecoveryFailure.missingLocale(String.valueOf(e.getMessage())).isPresent()) {
        throw e;
      }
      return null;
    }
  }

  /** A connection as superuser to this database. */
  Connection open(int port, String superuser, String database) throws SQLException {
    return open(port, superuser, database, true);
  }

  /** The role that is tried first. */
  String user() {
    return users.iterator().next();
  }

  private Connection open(int port, String user, String database, boolean isSuperuser)
      throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", user);
    properties.setProperty("ApplicationName", "holdfast");
    properties.setProperty("options", options(isSuperuser));
    UnixSocketFactory.use(properties, file(folder, port));
    properties.setProperty("socketTimeout", Long.toString(LET_IN_MAX.toSeconds()));
    Connection connection =
        DriverManager.getConnection(
            "jdbc:postgresql://localhost/" + Fork.encoded(database), properties);
    connection.setNetworkTimeout(Runnable::run, 0); // what is asked then may take long
    return connection;
  }

  /** What a connection asks for wins over what was set for its role and its database. */
  private String options(boolean isSuperuser) {
    StringBuilder options =
        new StringBuilder(
            "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed"
                + " -c statement_timeout=0 -c lock_timeout=0"
                + " -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
                + " -c local_preload_libraries=");
    if (major >= 17) {
      options.append(" -c transaction_timeout=0");
    }
    if (isSuperuser) {
      options.append(" -c session_preload_libraries=");
      if (major >= 17) {
        options.append(" -c event_triggers=off"); // login triggers came with 17
      }
    }
    return options.toString();
  }

  private static String file(Path folder, int port) {
    return folder.resolve(".s.PGSQL." + port).toString();
  }

  /** Removes the folder if it does not go with the one it was to be in. */
  @Override
  public void close() {
    if (home != scratch) {
      home.close();
    }
  }
}
