package dev.holdfast.postgres;

import dev.holdfast.row.TableName;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * A foreign key as the catalog has it (pg_constraint, PostgreSQL 18).
 *
 * @param name the constraint's
 * @param child OID of the referencing table
 * @param childFrom the referencing table as SQL's FROM takes it, with ONLY unless it is partitioned
 * @param parentFrom likewise the referenced one
 * @param childColumns referencing columns, unquoted
 * @param parentColumns referenced columns, unquoted, in the same order
 * @param operators compare a referenced with a referencing value
 * @param full MATCH FULL: either all columns are null or none
 * @param onDelete a, r, c, n or d: no action, restrict, cascade, set null, set default
 * @param onUpdate likewise
 * @param overPeriods a temporal key, which does not ask for equal values
 */
record ForeignKey(
    String name,
    long child,
    String childFrom,
    String parentFrom,
    List<String> childColumns,
    List<String> parentColumns,
    List<String> operators,
    boolean full,
    char onDelete,
    char onUpdate,
    boolean overPeriods) {
  private static final String SELECT =
      """
      SELECT c.conname, c.conrelid,
             CASE cr.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || format('%I.%I', cn.nspname, cr.relname),
             CASE pr.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || format('%I.%I', pn.nspname, pr.relname),
             (SELECT array_agg(a.attname ORDER BY k.place)
                FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum),
             (SELECT array_agg(a.attname ORDER BY k.place)
                FROM unnest(c.confkey) WITH ORDINALITY AS k(attnum, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum),
             (SELECT array_agg(format('OPERATOR(%I.%s)', n.nspname, o.oprname) ORDER BY k.place)
                FROM unnest(c.conpfeqop) WITH ORDINALITY AS k(oid, place)
                JOIN pg_catalog.pg_operator o ON o.oid = k.oid
                JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace),
             c.confmatchtype = 'f', c.confdeltype, c.confupdtype,
             coalesce((to_jsonb(c) ->> 'conperiod')::bool, false)
        FROM pg_catalog.pg_constraint c
        JOIN pg_catalog.pg_class cr ON cr.oid = c.conrelid
        JOIN pg_catalog.pg_namespace cn ON cn.oid = cr.relnamespace
        JOIN pg_catalog.pg_class pr ON pr.oid = c.confrelid
        JOIN pg_catalog.pg_namespace pn ON pn.oid = pr.relnamespace
       WHERE c.contype = 'f' AND coalesce((to_jsonb(c) ->> 'conenforced')::bool, true)
         AND %s
       ORDER BY c.oid
      """;

  /** Those whose referencing rows are in this table. */
  static List<ForeignKey> from(Connection connection, long oid) throws SQLException {
    // A partitioned parent has one more constraint per partition, inherited; the first one says
    // all.
    return select(
        connection,
        """
        c.conrelid = ?::oid AND NOT EXISTS (
          SELECT 1 FROM pg_catalog.pg_constraint up
           WHERE up.oid = c.conparentid AND up.conrelid = c.conrelid)
        """,
        oid);
  }

  /** Those whose referenced rows are in this table, itself or as a partition. */
  static List<ForeignKey> to(Connection connection, long oid) throws SQLException {
    return select(
        connection,
        """
        c.conparentid = 0 AND (c.confrelid = ?::oid OR c.confrelid IN (
          SELECT relid FROM pg_catalog.pg_partition_ancestors(?::oid)))
        """,
        oid);
  }

  /** The referencing table, for people. */
  String childName() {
    return childFrom.replace("ONLY ", "");
  }

  /** The referenced table, for people. */
  String parentName() {
    return parentFrom.replace("ONLY ", "");
  }

  /** That parent {@code p} is what child {@code c} refers to. */
  String join(String p, String c) {
    List<String> conditions = new ArrayList<>();
    for (int i = 0; i < childColumns.size(); i++) {
      conditions.add(
          "%s.%s %s %s.%s"
              .formatted(
                  p,
                  TableName.quote(parentColumns.get(i)),
                  operators.get(i),
                  c,
                  TableName.quote(childColumns.get(i))));
    }
    return String.join(" AND ", conditions);
  }

  /** That values of the referenced columns, as SQL, are what child {@code c} refers to. */
  String joinValues(List<String> values, String c) {
    List<String> conditions = new ArrayList<>();
    for (int i = 0; i < childColumns.size(); i++) {
      conditions.add(
          "%s %s %s.%s"
              .formatted(values.get(i), operators.get(i), c, TableName.quote(childColumns.get(i))));
    }
    return String.join(" AND ", conditions);
  }

  /** That child {@code c} must have a parent. */
  String refers(String c) {
    String how = full ? " OR " : " AND ";
    List<String> conditions =
        childColumns.stream().map(n -> c + "." + TableName.quote(n) + " IS NOT NULL").toList();
    return "(" + String.join(how, conditions) + ")";
  }

  private static List<ForeignKey> select(Connection connection, String condition, long oid)
      throws SQLException {
    List<ForeignKey> keys = new ArrayList<>();
    String sql = SELECT.replace("AND %s\n", "AND " + condition + "\n");
    try (PreparedStatement query = connection.prepareStatement(sql)) {
      int parameters = query.getParameterMetaData().getParameterCount();
      for (int i = 1; i <= parameters; i++) {
        query.setLong(i, oid);
      }
      try (ResultSet row = query.executeQuery()) {
        while (row.next()) {
          keys.add(
              new ForeignKey(
                  row.getString(1),
                  row.getLong(2),
                  row.getString(3),
                  row.getString(4),
                  texts(row, 5),
                  texts(row, 6),
                  texts(row, 7),
                  row.getBoolean(8),
                  row.getString(9).charAt(0),
                  row.getString(10).charAt(0),
                  row.getBoolean(11)));
        }
      }
    }
    return keys;
  }

  /** Numbers of a table's columns, by these names. */
  static Set<Integer> numbers(TableStructure table, List<String> names) {
    Set<Integer> numbers = new TreeSet<>();
    table.shape().columns().stream()
        .filter(column -> names.contains(column.name()))
        .forEach(column -> numbers.add(column.number()));
    return numbers;
  }

  private static List<String> texts(ResultSet row, int column) throws SQLException {
    return Arrays.stream((Object[]) row.getArray(column).getArray()).map(String::valueOf).toList();
  }
}
