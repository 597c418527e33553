package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * That the catalogs of a database agree with each other and with the files: only what no PostgreSQL
 * leaves behind, so that what is found is damage. References are followed by sequential scans: an
 * index of a catalog may be what is damaged.
 */
final class CatalogConsistency {
  /** What must not be, by what it means; each gives a text to name it by. */
  private static final Map<String, String> NEVER =
      new TreeMap<>(
          Map.of(
              "a relation has not the columns that it says",
              "SELECT c.oid::pg_catalog.text || ' (' || c.relname || '): ' || c.relnatts || ' against '"
                  + " || count(a.attrelid) FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_attribute a"
                  + " ON a.attrelid = c.oid AND a.attnum > 0 GROUP BY c.oid, c.relname, c.relnatts"
                  + " HAVING c.relnatts <> count(a.attrelid)",
              "a column belongs to no relation",
              "SELECT DISTINCT a.attrelid::pg_catalog.text FROM pg_catalog.pg_attribute a"
                  + " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = a.attrelid)",
              "a column has a type that is not there",
              "SELECT a.attrelid || '.' || a.attname FROM pg_catalog.pg_attribute a"
                  + " WHERE a.atttypid <> 0 AND NOT a.attisdropped"
                  + " AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid)",
              "an index or its table is not there",
              "SELECT i.indexrelid || ' on ' || i.indrelid FROM pg_catalog.pg_index i"
                  + " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = i.indexrelid)"
                  + " OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = i.indrelid)",
              "a relation that is an index is not known as one",
              "SELECT c.oid || ' (' || c.relname || ')' FROM pg_catalog.pg_class c"
                  + " WHERE c.relkind IN ('i', 'I') AND NOT EXISTS"
                  + " (SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = c.oid)",
              "a table's TOAST table is not there",
              "SELECT c.oid || ' (' || c.relname || ')' FROM pg_catalog.pg_class c"
                  + " WHERE c.reltoastrelid <> 0 AND NOT EXISTS"
                  + " (SELECT FROM pg_catalog.pg_class t WHERE t.oid = c.reltoastrelid)",
              "a default belongs to no relation",
              "SELECT d.adrelid::pg_catalog.text FROM pg_catalog.pg_attrdef d"
                  + " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = d.adrelid)",
              "a dependency of a relation that is not there on another",
              "SELECT d.objid || ' on ' || d.refobjid FROM pg_catalog.pg_depend d"
                  + " WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
                  + " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
                  + " AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = d.objid)"));

  /** Relations with files of their own; temporary ones went with their sessions. */
  private static final String FILES =
      "SELECT c.oid, n.nspname, c.relname, pg_catalog.pg_relation_filepath(c.oid),"
          + " (pg_catalog.pg_stat_file(pg_catalog.pg_relation_filepath(c.oid), true)).size IS NOT NULL"
          + " FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
          + " WHERE c.relkind IN ('r', 'i', 'S', 't', 'm') AND c.relpersistence <> 't'";

  private CatalogConsistency() {}

  static List<DrillChecks.Task> tasks(
      Connection connection, String database, CheckFindings findings) {
    List<DrillChecks.Task> tasks = new ArrayList<>();
    tasks.add(
        new Looked(
            "database " + database + ": files of relations",
            (each, found) -> files(each, database, found)));
    NEVER.forEach((meaning, sql) ->
        tasks.add(
            new Looked(
                "database " + database + ": " + meaning,
                (each, found) -> never(each, database, meaning, sql, found))));
    return tasks;
  }

  private interface Look {
    void at(Connection connection, CheckFindings findings) throws SQLException;
  }

  private record Looked(String what, Look look) implements DrillChecks.Task {
    @Override
    public long bytes() {
      return 1;
    }

    @Override
    public void run(Connection connection, CheckFindings findings) throws SQLException {
      try (Statement statement = connection.createStatement()) {
        statement.execute("SET enable_indexscan = off");
        statement.execute("SET enable_indexonlyscan = off");
        statement.execute("SET enable_bitmapscan = off");
      }
      look.at(connection, findings);
    }
  }

  private static void files(Connection connection, String database, CheckFindings findings)
      throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(FILES)) {
      while (rows.next()) {
        findings.looked(1);
        if (!rows.getBoolean(5)) {
          findings.damaged(
              RelationWork.name(database, rows.getString(2), rows.getString(3)),
              "its file %s is not there".formatted(rows.getString(4)));
        }
      }
    }
  }

  private static void never(
      Connection connection, String database, String meaning, String sql, CheckFindings findings)
      throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        findings.damaged("database " + database, meaning + ": " + rows.getString(1));
      }
    }
  }
}
