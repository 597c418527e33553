package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.TableName;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A throw-away server holding a cluster, or some tables of it, as it was at one LSN, made from the
 * repository alone: base backup, then recorded WAL up to the target, then promoted. Production is
 * not touched.
 *
 * <p>It holds production's data, so nobody is let in but one superuser role made for it, with a
 * random password, over loopback; production's roles are there and cannot log in. Until it is ready
 * every connection over loopback is rejected, and whoever reaches a Unix socket in a folder of mode
 * 0700 is trusted; so that role is made. Then the socket is shut.
 *
 * <p>Transactions that were open at the target are gone, prepared ones too: they are rolled back,
 * since they would keep their locks. Sequences may be ahead by up to 32 increments, never behind.
 * Unlogged tables are empty. Production's configuration is not used; nor are its preloaded
 * libraries.
 *
 * <p>A sparse fork has the catalogs whole, and no files of what is not wanted: whoever reads it, in
 * a view or a foreign key check too, is told that a file cannot be opened. Relations made or
 * rewritten since the base backup may be there, with their right rows.
 *
 * <p>When closed, or when this process dies, the server is stopped and its folder removed.
 */
public final class Fork implements AutoCloseable {
  private final PostgresServer server;
  private final ScratchFolder scratch;
  private final ForkRole role;
  private final RecoveryTarget target;
  private final Lsn reached;
  private final String base;
  private final long walBytes;
  private final List<String> databases;
  private final List<String> rolledBack;
  private final Held held;
  private final ForkTimings timings;

  Fork(
      PostgresServer server,
      ScratchFolder scratch,
      ForkRole role,
      RecoveryTarget target,
      Lsn reached,
      String base,
      long walBytes,
      List<String> databases,
      List<String> rolledBack,
      Held held,
      ForkTimings timings) {
    this.server = server;
    this.scratch = scratch;
    this.role = role;
    this.target = target;
    this.reached = reached;
    this.base = base;
    this.walBytes = walBytes;
    this.databases = List.copyOf(databases);
    this.rolledBack = List.copyOf(rolledBack);
    this.held = held;
    this.timings = timings;
  }

  /**
   * Makes a fork and waits until it can be used.
   *
   * @throws OperatorException REFUSED, before a byte is written, when what is recorded does not
   *     reach the target (it names targets that can be reached) or the folder lacks room; FAILED
   *     when the server does not come up on this machine, with what it said and what to install
   */
  public static Fork start(ClusterStore cluster, RecoveryTarget target, ForkOptions options) {
    return new ForkAssembly(cluster, target, options).run();
  }

  /** A libpq URL with the password of the fork's own superuser. */
  public String url(String database) {
    return "postgresql://%s:%s@127.0.0.1:%d/%s"
        .formatted(role.name(), role.password(), server.port(), encoded(database));
  }

  /** A connection as superuser. */
  public Connection connect(String database) {
    try {
      return connect(server, role, database);
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.DATABASE_UNREACHABLE,
          "cannot connect to database " + database + " of the fork at " + target.lsn(),
          String.valueOf(e.getMessage()),
          "choose one of " + String.join(", ", databases),
          e);
    }
  }

  static Connection connect(PostgresServer server, ForkRole role, String database)
      throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", role.name());
    properties.setProperty("password", role.password());
    properties.setProperty("ApplicationName", "holdfast");
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:%d/%s".formatted(server.port(), encoded(database)),
        properties);
  }

  static String encoded(String database) {
    return URLEncoder.encode(database, StandardCharsets.UTF_8).replace("+", "%20");
  }

  /** The superuser role made for this fork; production's roles cannot log in. */
  public String user() {
    return role.name();
  }

  /** The password of {@link #user}; never to be shown or stored. */
  public String password() {
    return role.password();
  }

  /** Databases that accept connections, sorted. */
  public List<String> databases() {
    return databases;
  }

  /** Where replay was told to stop. */
  public Lsn target() {
    return target.lsn();
  }

  /** Where the last replayed record ends. */
  public Lsn reached() {
    return reached;
  }

  /** The label of the base backup it stands on. */
  public String base() {
    return base;
  }

  /** WAL replayed, in bytes. */
  public long walBytes() {
    return walBytes;
  }

  /** Global identifiers of the prepared transactions that were open at the target. */
  public List<String> rolledBack() {
    return rolledBack;
  }

  /** What was asked for; {@link ForkContents.Whole} where that could not be had otherwise. */
  public ForkContents contents() {
    return held.contents();
  }

  /**
   * The database of the wanted tables; null when none were asked for, or when it is not there at
   * the target.
   */
  public @Nullable String database() {
    return held.database();
  }

  /** The wanted tables by their names at the target, sorted; empty when none were asked for. */
  public List<TableName> tables() {
    return held.tables();
  }

  /** OIDs of tables that were asked for and are not there at the target. */
  public Set<Long> absent() {
    return held.absent();
  }

  /**
   * How often it was built: again when a wanted table had got a file since the base backup that was
   * left out as another's.
   */
  public int attempts() {
    return held.attempts();
  }

  /** Where the time went. */
  public ForkTimings timings() {
    return timings;
  }

  /**
   * Time of the newest commit that was replayed; null when none was between the base backup and the
   * target.
   */
  public @Nullable Instant lastCommitAt() {
    try (Connection connection = connect(databases.getFirst());
        Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT pg_last_xact_replay_timestamp()")) {
      row.next();
      OffsetDateTime time = row.getObject(1, OffsetDateTime.class);
      return time == null ? null : time.toInstant();
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot ask the fork at " + target.lsn(),
          String.valueOf(e.getMessage()),
          "run the same command again",
          e);
    }
  }

  /** The server process. */
  public PostgresServer server() {
    return server;
  }

  @Override
  public void close() {
    try {
      server.close();
    } finally {
      scratch.close();
    }
  }
}
