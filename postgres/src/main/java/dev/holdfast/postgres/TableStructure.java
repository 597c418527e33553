package dev.holdfast.postgres;

import dev.holdfast.row.Column;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a server's catalog says about one table, as far as reading and writing its rows needs it.
 *
 * @param oid lasting identity: the same after a rename
 * @param shape its columns and key
 * @param keyOperators per key column the operator its index compares with, as {@code
 *     OPERATOR(schema.=)}: with an empty search path a type of an extension has no {@code =}
 */
record TableStructure(long oid, TableShape shape, List<String> keyOperators) {
  /**
   * The key: primary key, else the replica identity's index, else any unique index that is
   * complete, immediate and over columns that are never null (narrowest first).
   */
  private static final String KEY =
      """
      SELECT k.attnum,
             format('OPERATOR(%I.%s)', n.nspname, o.oprname)
        FROM (SELECT i.indkey, i.indclass, i.indnkeyatts
                FROM pg_catalog.pg_index i
               WHERE i.indrelid = ?::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                 AND i.indpred IS NULL AND i.indexprs IS NULL
                 AND NOT EXISTS (
                   SELECT 1
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS c(attnum, place)
                     JOIN pg_catalog.pg_attribute a
                       ON a.attrelid = i.indrelid AND a.attnum = c.attnum
                    WHERE c.place <= i.indnkeyatts AND (NOT a.attnotnull OR a.attgenerated <> ''))
               ORDER BY i.indisprimary DESC, i.indisreplident DESC, i.indnkeyatts, i.indexrelid
               LIMIT 1) best
       CROSS JOIN LATERAL unnest(best.indkey::int2[], best.indclass::oid[])
                          WITH ORDINALITY AS k(attnum, opclass, place)
        JOIN pg_catalog.pg_opclass c ON c.oid = k.opclass
        JOIN pg_catalog.pg_amop m
          ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype
         AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3
        JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr
        JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
       WHERE k.place <= best.indnkeyatts
       ORDER BY k.place
      """;

  /** A domain over a domain over a type is read and written as the type. */
  private static final String COLUMNS =
      """
      WITH RECURSIVE base(attnum, type, modifier) AS (
        SELECT attnum, atttypid, atttypmod
          FROM pg_catalog.pg_attribute
         WHERE attrelid = ?::oid AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT b.attnum, t.typbasetype,
               CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END
          FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type
         WHERE t.typtype = 'd')
      SELECT a.attnum, a.attname, pg_catalog.format_type(b.type, b.modifier), t.typname,
             t.typnamespace = 'pg_catalog'::regnamespace AS builtin, a.attgenerated <> ''
        FROM base b
        JOIN pg_catalog.pg_attribute a ON a.attrelid = ?::oid AND a.attnum = b.attnum
        JOIN pg_catalog.pg_type t ON t.oid = b.type
       WHERE t.typtype <> 'd'
       ORDER BY a.attnum
      """;

  /** Reads a table by its OID; empty when there is none of that OID that holds rows. */
  static Optional<TableStructure> read(Connection connection, long oid) throws SQLException {
    TableName name;
    try (PreparedStatement query =
        connection.prepareStatement(
            """
            SELECT n.nspname, c.relname
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = ?::oid AND c.relkind = 'r'
            """)) {
      query.setLong(1, oid);
      try (ResultSet row = query.executeQuery()) {
        if (!row.next()) {
          return Optional.empty();
        }
        name = new TableName(row.getString(1), row.getString(2));
      }
    }
    List<Column> columns = new ArrayList<>();
    List<String> generated = new ArrayList<>();
    try (PreparedStatement query = connection.prepareStatement(COLUMNS)) {
      query.setLong(1, oid);
      query.setLong(2, oid);
      try (ResultSet row = query.executeQuery()) {
        while (row.next()) {
          if (row.getBoolean(6)) {
            generated.add(row.getString(2));
          } else {
            columns.add(
                new Column(
                    row.getInt(1),
                    row.getString(2),
                    row.getString(3),
                    content(row.getString(4), row.getBoolean(5))));
          }
        }
      }
    }
    List<Integer> key = new ArrayList<>();
    List<String> operators = new ArrayList<>();
    try (PreparedStatement query = connection.prepareStatement(KEY)) {
      query.setLong(1, oid);
      try (ResultSet row = query.executeQuery()) {
        while (row.next()) {
          key.add(row.getInt(1));
          operators.add(row.getString(2));
        }
      }
    }
    return Optional.of(
        new TableStructure(oid, new TableShape(name, columns, key, generated), operators));
  }

  /** The OID of a table that holds rows; empty when there is none of that name. */
  static Optional<Long> oid(Connection connection, TableName table) throws SQLException {
    try (PreparedStatement query =
        connection.prepareStatement(
            """
            SELECT c.oid
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = ? AND c.relname = ? AND c.relkind = 'r'
            """)) {
      query.setString(1, table.schema());
      query.setString(2, table.table());
      try (ResultSet row = query.executeQuery()) {
        return row.next() ? Optional.of(row.getLong(1)) : Optional.empty();
      }
    }
  }

  private static Column.Content content(String type, boolean builtin) {
    if (!builtin) {
      return Column.Content.PLAIN;
    }
    return switch (type) {
      case "json" -> Column.Content.JSON;
      case "jsonb" -> Column.Content.JSONB;
      default -> Column.Content.PLAIN;
    };
  }
}
