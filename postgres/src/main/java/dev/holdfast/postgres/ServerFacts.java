package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What a server says about itself.
 *
 * @param major its major version
 * @param version as the server prints it, such as {@code 15.18 (Debian 15.18-0+deb12u1)}
 * @param systemIdentifier made by initdb, decimal; copies of the data directory keep it
 * @param timeline the timeline it writes to, or replays
 * @param inRecovery whether it is a standby
 * @param settings those of {@link #SETTINGS} that exist in its version, in base units (bytes,
 *     milliseconds, blocks as pg_settings counts them)
 * @param databases every database with its locale
 * @param extensions installed in the database we are connected to
 * @param slots replication slots
 * @param role what we may do
 */
public record ServerFacts(
    int major,
    String version,
    String systemIdentifier,
    int timeline,
    boolean inRecovery,
    Map<String, String> settings,
    List<Database> databases,
    Set<String> extensions,
    List<Slot> slots,
    Role role) {
  /**
   * One database's locale.
   *
   * @param provider {@code libc}, {@code icu} or {@code builtin}
   * @param collate LC_COLLATE, which every provider's databases have
   * @param ctype LC_CTYPE, likewise
   * @param locale the ICU or builtin locale; empty for libc
   */
  public record Database(
      String name,
      boolean connectable,
      String provider,
      String collate,
      String ctype,
      String locale) {}

  /** One replication slot. */
  public record Slot(String name, boolean active, boolean temporary) {}

  /**
   * The role we are connected as.
   *
   * @param missing EXECUTE rights (function signatures) and memberships that recording needs and it
   *     lacks in this database
   */
  public record Role(
      String name, boolean superuser, boolean replication, boolean monitor, List<String> missing) {
    /** Copies the list. */
    public Role {
      missing = List.copyOf(missing);
    }
  }

  /** The oldest and the newest major version Holdfast knows. */
  public static final int MAJOR_MIN = 14;

  /** The newest major version Holdfast knows. */
  public static final int MAJOR_MAX = 18;

  /**
   * A server started from a copy has to have at least these values, or recovery stops (PostgreSQL
   * 18 documentation, 26.4.3).
   */
  public static final List<String> MINIMUMS =
      List.of(
          "max_connections",
          "max_worker_processes",
          "max_wal_senders",
          "max_prepared_transactions",
          "max_locks_per_transaction");

  /** What is worth knowing of pg_settings. */
  static final List<String> SETTINGS =
      List.of(
          "archive_mode",
          "block_size",
          "data_checksums",
          "data_directory",
          "default_toast_compression",
          "full_page_writes",
          "fsync",
          "hot_standby",
          "max_connections",
          "max_locks_per_transaction",
          "max_prepared_transactions",
          "max_replication_slots",
          "max_slot_wal_keep_size",
          "max_wal_senders",
          "max_worker_processes",
          "segment_size",
          "shared_preload_libraries",
          "wal_block_size",
          "wal_compression",
          "wal_keep_size",
          "wal_level",
          "wal_segment_size",
          "wal_sender_timeout");

  /** Copies the collections. */
  public ServerFacts {
    settings = Map.copyOf(settings);
    databases = List.copyOf(databases);
    extensions = Set.copyOf(extensions);
    slots = List.copyOf(slots);
  }

  /**
   * Asks the server.
   *
   * @throws DatabaseUnreachableException when it does not let us in
   * @throws OperatorException REFUSED when its version is not one Holdfast knows
   */
  public static ServerFacts read(PostgresUrl url) {
    try (Connection connection = url.open()) {
      return read(connection);
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot ask " + url.redacted() + " what it is",
          ConnectFailures.firstLine(e),
          "check the server's log for this moment, then run the same command again",
          e);
    }
  }

  static ServerFacts read(Connection connection) throws SQLException {
    int number = Integer.parseInt(value(connection, "SHOW server_version_num"));
    int major = number / 10000;
    String version = value(connection, "SHOW server_version");
    if (major < MAJOR_MIN || major > MAJOR_MAX) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot protect a PostgreSQL " + version + " server",
          "Holdfast knows the log of PostgreSQL " + MAJOR_MIN + " to " + MAJOR_MAX + " only",
          major < MAJOR_MIN
              ? "upgrade the server (PostgreSQL " + major + " gets no fixes any more)"
              : "look for a newer Holdfast");
    }
    Map<String, String> settings = new TreeMap<>();
    each(
        connection,
        "SELECT name, setting FROM pg_settings WHERE name IN ('"
            + String.join("', '", SETTINGS)
            + "')",
        row -> settings.put(row.getString(1), String.valueOf(row.getString(2))));
    boolean inRecovery = value(connection, "SELECT pg_is_in_recovery()").equals("t");
    // The checkpoint's timeline is a moment late after a promotion; the current file's name is not.
    int timeline =
        Integer.parseUnsignedInt(
            value(
                connection,
                inRecovery
                    ? "SELECT upper(to_hex(timeline_id)) FROM pg_control_checkpoint()"
                    : "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"),
            16);
    List<Database> databases = new ArrayList<>();
    each(
        connection,
        locales(major),
        row ->
            databases.add(
                new Database(
                    row.getString(1),
                    row.getBoolean(2),
                    row.getString(3),
                    row.getString(4),
                    row.getString(5),
                    row.getString(6))));
    Set<String> extensions = new TreeSet<>();
    each(connection, "SELECT extname FROM pg_extension", row -> extensions.add(row.getString(1)));
    List<Slot> slots = new ArrayList<>();
    each(
        connection,
        "SELECT slot_name, active, temporary FROM pg_replication_slots",
        row -> slots.add(new Slot(row.getString(1), row.getBoolean(2), row.getBoolean(3))));
    return new ServerFacts(
        major,
        version,
        value(connection, "SELECT system_identifier FROM pg_control_system()"),
        timeline,
        inRecovery,
        settings,
        databases,
        extensions,
        slots,
        role(connection, major));
  }

  private static String locales(int major) {
    String provider =
        major < 15
            ? "'libc'"
            : "CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END";
    String locale =
        major < 15 ? "''" : "coalesce(" + (major < 17 ? "daticulocale" : "datlocale") + ", '')";
    return "SELECT datname, datallowconn, "
        + provider
        + ", datcollate, datctype, "
        + locale
        + " FROM pg_database ORDER BY oid";
  }

  private static Role role(Connection connection, int major) throws SQLException {
    List<String> missing = new ArrayList<>();
    for (String function : RecorderRole.functions(major)) {
      if (!value(
              connection,
              "SELECT has_function_privilege("
                  + Sql.literal("pg_catalog." + function)
                  + ", 'EXECUTE')")
          .equals("t")) {
        missing.add(function);
      }
    }
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT rolname, rolsuper, rolreplication,
                       pg_has_role(current_user, 'pg_monitor', 'MEMBER')
                FROM pg_roles WHERE rolname = current_user
                """)) {
      row.next();
      return new Role(
          row.getString(1), row.getBoolean(2), row.getBoolean(3), row.getBoolean(4), missing);
    }
  }

  /** A setting's value. */
  public String setting(String name) {
    return settings.getOrDefault(name, "");
  }

  /** Bytes in a WAL segment. */
  public int walSegmentSize() {
    return Integer.parseInt(setting("wal_segment_size"));
  }

  /** Whether the pages of its files carry checksums. */
  public boolean dataChecksums() {
    return setting("data_checksums").equals("on");
  }

  /** Version of these checksums, 0 for none: there is one so far. */
  public int pageChecksums() {
    return dataChecksums() ? 1 : 0;
  }

  /** What a server started from a copy has to have at least. */
  public Map<String, String> minimums() {
    Map<String, String> minimums = new TreeMap<>();
    MINIMUMS.forEach(name -> minimums.put(name, setting(name)));
    return minimums;
  }

  /** One row of a result. */
  interface RowConsumer {
    void accept(ResultSet row) throws SQLException;
  }

  static void each(Connection connection, String sql, RowConsumer consumer) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        consumer.accept(rows);
      }
    }
  }

  static String value(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return String.valueOf(rows.getString(1));
    }
  }
}
