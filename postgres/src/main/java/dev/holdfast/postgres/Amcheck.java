package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * PostgreSQL's own check of heaps and B-trees, in a restored copy: the extension is made there, in
 * a schema of its own, or brought up to date where production has it.
 */
final class Amcheck {
  private static final String SCHEMA = "holdfast_prove";
  private static final int SHOWN_MAX = 3;

  /** Every heap, its TOAST heap as one of its own. */
  private static final String HEAPS =
      "SELECT c.oid, n.nspname, c.relname, pg_catalog.pg_relation_size(c.oid), am.amname"
          + " FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
          + " LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam"
          + " WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't'"
          + " ORDER BY 4 DESC, 1";

  private static final String INDEXES =
      "SELECT i.indexrelid, n.nspname, c.relname, pg_catalog.pg_relation_size(c.oid), am.amname,"
          + " i.indexprs IS NOT NULL OR i.indpred IS NOT NULL, i.indcollation::pg_catalog.text,"
          + " i.indisvalid AND i.indisready AND i.indislive"
          + " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
          + " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
          + " LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam"
          + " WHERE c.relkind = 'i' AND c.relpersistence <> 't'"
          + " ORDER BY 4 DESC, 1";

  private Amcheck() {}

  static List<DrillChecks.Task> heaps(
      Connection connection, String database, CheckFindings findings) throws SQLException {
    String schema = schema(connection, database, findings);
    if (schema == null) {
      return List.of();
    }
    String sql =
        "SELECT count(*) OVER (), blkno, offnum, attnum, msg FROM %s.verify_heapam(?::oid::regclass, false,"
                .formatted(schema)
            + " true, 'none') LIMIT "
            + SHOWN_MAX;
    List<DrillChecks.Task> tasks = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(HEAPS)) {
      while (rows.next()) {
        String what = RelationWork.name(database, rows.getString(2), rows.getString(3));
        if (!"heap".equals(rows.getString(5))) {
          findings.undecided(
              what, "not checked: amcheck knows no access method \"" + rows.getString(5) + "\"");
          continue;
        }
        tasks.add(
            new RelationWork(
                rows.getLong(1),
                what,
                rows.getLong(4),
                false,
                (each, relation, found) -> verifyHeap(each, sql, relation, found)));
      }
    }
    return tasks;
  }

  private static void verifyHeap(
      Connection connection, String sql, RelationWork relation, CheckFindings findings)
      throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setLong(1, relation.oid());
      try (ResultSet rows = statement.executeQuery()) {
        StringBuilder why = new StringBuilder();
        long count = 0;
        while (rows.next()) {
          count = rows.getLong(1);
          why.append(why.isEmpty() ? "" : "; ")
              .append("block ")
              .append(rows.getString(2))
              .append(rows.getString(3) == null ? "" : ", line " + rows.getString(3))
              .append(": ")
              .append(rows.getString(5));
        }
        if (count > 0) {
          findings.damaged(
              relation.what(),
              count > SHOWN_MAX ? why + "; and " + (count - SHOWN_MAX) + " more" : why.toString());
        }
      }
    }
  }

  static List<DrillChecks.Task> indexes(
      Connection connection, String database, CheckFindings findings) throws SQLException {
    String schema = schema(connection, database, findings);
    if (schema == null) {
      return List.of();
    }
    Collations collations = Collations.of(connection);
    String sql = "SELECT %s.bt_index_check(?::oid::regclass, true)".formatted(schema);
    Map<String, Integer> others = new HashMap<>();
    List<DrillChecks.Task> tasks = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(INDEXES)) {
      while (rows.next()) {
        String what = RelationWork.name(database, rows.getString(2), rows.getString(3));
        String method = rows.getString(5);
        if (!"btree".equals(method)) {
          others.merge(method, 1, Integer::sum);
          continue;
        }
        if (!rows.getBoolean(8)) {
          findings.note(what + " is not valid in production: not checked");
          continue;
        }
        Collations.Comparison order = collations.compare(rows.getString(7));
        if (order.differs() != null) {
          findings.undecided(
              what, "not checked: collation version differs (" + order.differs() + ")");
          continue;
        }
        tasks.add(
            new RelationWork(
                rows.getLong(1),
                what,
                rows.getLong(4),
                rows.getBoolean(6),
                (each, relation, found) -> verifyIndex(each, sql, relation, order, found)));
      }
    }
    others.forEach((method, count) ->
        findings.note(
            "database %s: indexes that are no B-trees are not checked: %d %s"
                .formatted(database, count, method)));
    return tasks;
  }

  private static void verifyIndex(
      Connection connection,
      String sql,
      RelationWork relation,
      Collations.Comparison order,
      CheckFindings findings)
      throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setLong(1, relation.oid());
      statement.execute();
    } catch (SQLException e) {
      if (order.unknown() == null || !DamageSign.isIn(e)) {
        throw e;
      }
      findings.undecided(
          relation.what(),
          "%s; damage, or texts are sorted otherwise here: production recorded no version of %s"
              .formatted(ConnectFailures.firstLine(e), order.unknown()));
    }
  }

  /** The schema amcheck's functions are in; null when it cannot be had, which is told. */
  private static @Nullable String schema(
      Connection connection, String database, CheckFindings findings) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      String found = null;
      try (ResultSet row =
          statement.executeQuery(
              "SELECT n.nspname FROM pg_catalog.pg_extension e"
                  + " JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
                  + " WHERE e.extname = 'amcheck'")) {
        if (row.next()) {
          found = row.getString(1);
        }
      }
      if (found != null) {
        statement.execute("ALTER EXTENSION amcheck UPDATE"); // verify_heapam came with 14's
        return Sql.identifier(found);
      }
      statement.execute("CREATE SCHEMA IF NOT EXISTS " + SCHEMA);
      statement.execute("CREATE EXTENSION amcheck SCHEMA " + SCHEMA);
      return SCHEMA;
    } catch (SQLException e) {
      if (DamageSign.isIn(e) && !"58P01".equals(e.getSQLState())) {
        throw e;
      }
      findings.undecided(
          "database " + database,
          "not checked: the extension amcheck cannot be had here (%s); install PostgreSQL's contrib"
                  .formatted(ConnectFailures.firstLine(e))
              + " modules (Debian: in postgresql-NN; Red Hat: postgresqlNN-contrib)");
      return null;
    }
  }
}
