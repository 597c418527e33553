package dev.holdfast.postgres;

import dev.holdfast.row.TableName;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;

/**
 * What a table holds, in a form that two servers can be compared by.
 *
 * @param rows how many
 * @param sum over all rows, whatever their order: of the first 64 bits of each one's SHA-256, taken
 *     of its text
 */
public record TableSum(TableName table, long rows, String sum) {
  /** What decides how values are written, so that two servers write them alike. */
  private static final List<String> SETTINGS =
      List.of(
          "search_path = pg_catalog",
          "DateStyle = 'ISO, YMD'",
          "IntervalStyle = postgres",
          "TimeZone = 'UTC'",
          "extra_float_digits = 1",
          "bytea_output = hex",
          "xmlbinary = base64",
          "lc_monetary = 'C'",
          // An error, where rules of row security would hide rows.
          "row_security = off",
          "statement_timeout = 0",
          "idle_in_transaction_session_timeout = 0");

  /** Makes this transaction write values as every other one does that was prepared so. */
  static void prepare(Statement statement) throws SQLException {
    for (String setting : SETTINGS) {
      statement.execute("SET LOCAL " + setting);
    }
  }

  /**
   * Reads all of a table.
   *
   * @param connection in a transaction; rows are those its snapshot shows
   */
  static TableSum of(Connection connection, TableName table, boolean partitioned)
      throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT count(*), coalesce(sum(('x' || encode(substring(sha256(convert_to(
                  holdfast_row::text, 'UTF8')) FROM 1 FOR 8), 'hex'))::bit(64)::bigint::numeric), 0)
                FROM %s%s AS holdfast_row\
                """
                    .formatted(partitioned ? "" : "ONLY ", table.quoted()))) {
      row.next();
      return new TableSum(table, row.getLong(1), row.getString(2));
    }
  }
}
