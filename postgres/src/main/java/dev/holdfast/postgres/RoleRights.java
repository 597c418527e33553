package dev.holdfast.postgres;

import java.sql.Array;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** What roles may do that an application's role should not. Anybody may ask. */
public final class RoleRights {
  private static final int SECONDS_MAX = 5;

  /**
   * Of one role, on the whole server.
   *
   * @param superuser whether nothing is refused to it
   * @param databases those it owns, by itself or as a member of the owner
   */
  public record Rights(boolean superuser, Set<String> databases) {
    /** Copies the set. */
    public Rights {
      databases = Set.copyOf(databases);
    }
  }

  private RoleRights() {}

  /** By role; one that is not there any more is left out. */
  public static Map<String, Rights> of(Connection connection, Collection<String> roles)
      throws SQLException {
    Map<String, Rights> rights = new TreeMap<>();
    try (PreparedStatement statement =
        connection.prepareStatement(
            """
            SELECT r.rolname, r.rolsuper,
                   ARRAY(SELECT d.datname FROM pg_catalog.pg_database d
                          WHERE pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE'))
              FROM pg_catalog.pg_roles r WHERE r.rolname = ANY (?)
            """)) {
      statement.setQueryTimeout(SECONDS_MAX);
      statement.setArray(1, names(connection, roles));
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) {
          String[] databases = (String[]) rows.getArray(3).getArray();
          rights.put(rows.getString(1), new Rights(rows.getBoolean(2), Set.of(databases)));
        }
      }
    }
    return rights;
  }

  /**
   * How many tables of this database each role owns, by itself or as a member of the owner; those
   * that own none are left out. Not counted: temporary ones, the system's, extensions'.
   */
  public static Map<String, Long> tablesOwned(Connection connection, Collection<String> roles)
      throws SQLException {
    Map<String, Long> owned = new TreeMap<>();
    try (PreparedStatement statement =
        connection.prepareStatement(
            """
            SELECT r.rolname, sum(o.tables)::bigint
              FROM pg_catalog.pg_roles r
              JOIN (SELECT c.relowner, count(*) AS tables
                      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
                       AND n.nspname !~ '^(pg_catalog$|information_schema$|holdfast$|holdfast_(freeze|look|probe|sentinel|watch)$)'
                       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                                        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                          AND d.objid = c.oid AND d.deptype = 'e')
                     GROUP BY 1) o ON pg_catalog.pg_has_role(r.oid, o.relowner, 'USAGE')
             WHERE r.rolname = ANY (?) GROUP BY 1
            """)) {
      statement.setQueryTimeout(SECONDS_MAX);
      statement.setArray(1, names(connection, roles));
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) {
          owned.put(rows.getString(1), rows.getLong(2));
        }
      }
    }
    return owned;
  }

  private static Array names(Connection connection, Collection<String> roles) throws SQLException {
    return connection.createArrayOf("text", roles.toArray());
  }
}
