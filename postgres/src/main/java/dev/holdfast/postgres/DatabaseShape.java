package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What anybody who may connect can see of a database, whoever made it: which server it is on, and
 * which tables it has.
 *
 * @param major the server's major version
 * @param systemIdentifier made by initdb, decimal; copies of the data directory keep it
 * @param database its name
 * @param oid its OID, unsigned 32-bit
 * @param inRecovery whether the server is a standby
 * @param timeline that it writes its WAL on; null on a standby, and when the role may not ask
 * @param checkpoint the newest one in the control file: what this server's WAL holds there no
 *     server with another history has; null when the role may not ask
 * @param receivers application names of those whom the server streams its WAL to; anybody may see
 *     them
 * @param relations tables, partitioned tables, indexes, sequences, views and materialised views,
 *     without the system's
 */
public record DatabaseShape(
    int major,
    String systemIdentifier,
    String database,
    long oid,
    boolean inRecovery,
    @Nullable Integer timeline,
    @Nullable Checkpoint checkpoint,
    List<String> receivers,
    List<Relation> relations) {
  /**
   * A checkpoint's record ("catalog/pg_control.h", PostgreSQL 18).
   *
   * @param lsn where it begins
   * @param timeline that it was written on
   * @param time when, in whole seconds
   */
  public record Checkpoint(Lsn lsn, int timeline, Instant time) {}

  /**
   * One relation.
   *
   * @param kind relkind, as {@link Catalog.Relation#kind}
   * @param estimatedRows from the statistics; -1 when unknown, and for other kinds than tables
   * @param columns their names, by attnum; of indexes and sequences none
   */
  public record Relation(
      String schema, String name, String kind, long estimatedRows, List<String> columns) {
    /** Copies the list. */
    public Relation {
      columns = List.copyOf(columns);
    }
  }

  /** Copies the lists. */
  public DatabaseShape {
    receivers = List.copyOf(receivers);
    relations = List.copyOf(relations);
  }

  /** Asks; takes no lock. */
  public static DatabaseShape read(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT pg_catalog.current_setting('server_version_num')::int / 10000, (pg_catalog.pg_control_system()).system_identifier,
                       d.datname, d.oid::bigint, pg_catalog.pg_is_in_recovery()
                  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
                """)) {
      row.next();
      int major = row.getInt(1);
      String systemIdentifier = Long.toUnsignedString(row.getLong(2));
      String database = row.getString(3);
      long oid = row.getLong(4);
      boolean inRecovery = row.getBoolean(5);
      return new DatabaseShape(
          major,
          systemIdentifier,
          database,
          oid,
          inRecovery,
          inRecovery ? null : timeline(connection),
          checkpoint(connection),
          receivers(connection),
          relations(connection));
    }
  }

  /**
   * Right after a promotion the control file has the old one still; the names of segments do not.
   */
  private static @Nullable Integer timeline(Connection connection) throws SQLException {
    if (!mayCall(connection, "pg_walfile_name(pg_lsn)")
        || !mayCall(connection, "pg_current_wal_lsn()")) {
      return null;
    }
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())")) {
      row.next();
      return Integer.parseUnsignedInt(row.getString(1).substring(0, 8), 16);
    }
  }

  private static boolean mayCall(Connection connection, String function) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT pg_catalog.has_function_privilege('pg_catalog.%s', 'EXECUTE')"
                    .formatted(function))) {
      row.next();
      return row.getBoolean(1);
    }
  }

  private static @Nullable Checkpoint checkpoint(Connection connection) throws SQLException {
    if (!mayCall(connection, "pg_control_checkpoint()")) {
      return null;
    }
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT checkpoint_lsn, timeline_id, checkpoint_time FROM"
                    + " pg_catalog.pg_control_checkpoint()")) {
      row.next();
      return new Checkpoint(
          Lsn.parse(row.getString(1)), row.getInt(2), row.getTimestamp(3).toInstant());
    }
  }

  /** As {@link #receivers()}, asked now. */
  public static List<String> receivers(Connection connection) throws SQLException {
    List<String> names = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT application_name FROM pg_catalog.pg_stat_replication WHERE application_name"
                    + " IS NOT NULL")) {
      while (rows.next()) {
        names.add(rows.getString(1));
      }
    }
    return names;
  }

  private static List<Relation> relations(Connection connection) throws SQLException {
    List<Relation> relations = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                """
                SELECT n.nspname, c.relname, c.relkind,
                       CASE WHEN c.relkind IN ('r', 'p', 'm') THEN c.reltuples::bigint ELSE -1 END,
                       CASE WHEN c.relkind IN ('r', 'p', 'm', 'v', 'f') THEN ARRAY(
                         SELECT a.attname FROM pg_catalog.pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) END
                  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind IN ('r', 'p', 'i', 'I', 'S', 'v', 'm', 'f') AND c.relpersistence <> 't'
                   AND n.nspname NOT IN ('information_schema', 'pg_catalog') AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
                 ORDER BY 1, 2
                """)) {
      while (rows.next()) {
        java.sql.Array columns = rows.getArray(5);
        relations.add(
            new Relation(
                rows.getString(1),
                rows.getString(2),
                rows.getString(3),
                rows.getLong(4),
                columns == null ? List.of() : List.of((String[]) columns.getArray())));
      }
    }
    return relations;
  }
}
