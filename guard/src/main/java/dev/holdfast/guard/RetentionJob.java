package dev.holdfast.guard;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A job that regularly drops old partitions, which the guard would refuse: it wants an exception
 * before its next night, not a permit.
 *
 * @param tool whose job it is
 * @param table the partitioned table, SCHEMA.TABLE
 * @param partitions a pattern that its partitions' names follow, SCHEMA.TABLE; % stands for
 *     anything
 * @param keeps how old a partition becomes, as the tool says it
 */
public record RetentionJob(String tool, String table, String partitions, String keeps) {
  /** Those known of in a database with a guard; none where their settings may not be read. */
  public static List<RetentionJob> refused(Connection connection) throws SQLException {
    String settings = partmanSettings(connection);
    if (settings == null) {
      return List.of();
    }
    List<RetentionJob> jobs = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                """
                SELECT DISTINCT j.parent_table, pn.nspname || '.' || pg_catalog.regexp_replace(p.relname, '_p[0-9][0-9A-Za-z_]*$', '_p%%'), j.retention
                  FROM %s j
                  JOIN pg_catalog.pg_namespace n ON n.nspname = pg_catalog.split_part(j.parent_table, '.', 1)
                  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND n.nspname || '.' || c.relname = j.parent_table
                  JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid
                  JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid AND p.relname ~ '_p[0-9][0-9A-Za-z_]*$'
                  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
                 WHERE j.retention IS NOT NULL AND NOT j.retention_keep_table AND j.retention_schema IS NULL
                   AND (SELECT mode FROM holdfast.setting('drop-table', pn.nspname, p.relname)) = 'enforce'
                 ORDER BY 1, 2
                """
                    .formatted(settings))) {
      while (rows.next()) {
        jobs.add(
            new RetentionJob(
                "pg_partman", rows.getString(1), rows.getString(2), rows.getString(3)));
      }
    }
    return List.copyOf(jobs);
  }

  /**
   * Where pg_partman keeps its settings; null where it is not, keeps them to itself, or keeps
   * others (its versions 4 and 5 have these).
   */
  private static @Nullable String partmanSettings(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT pg_catalog.format('%I.part_config', n.nspname)
                  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
                  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'part_config'
                 WHERE e.extname = 'pg_partman' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                   AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                   AND (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
                           AND a.attname IN ('parent_table', 'retention', 'retention_keep_table', 'retention_schema')) = 4
                """)) {
      return row.next() ? row.getString(1) : null;
    }
  }
}
