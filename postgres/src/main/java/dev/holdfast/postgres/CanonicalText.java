package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;

/**
 * The session settings under which equal values have equal texts on every server and every value's
 * text reads back as the same value ("Client Connection Defaults", PostgreSQL 18).
 */
final class CanonicalText {
  private static final List<String> SETTINGS =
      List.of(
          "search_path = pg_catalog", // regclass and its like are written with their schema
          "DateStyle = 'ISO, YMD'",
          "IntervalStyle = postgres",
          "TimeZone = 'UTC'",
          "extra_float_digits = 1", // the shortest text that reads back exactly
          "bytea_output = hex",
          "lc_monetary = 'C'",
          "quote_all_identifiers = off",
          "standard_conforming_strings = on",
          "array_nulls = on",
          "xmloption = content",
          "row_security = off", // an error instead of missing rows
          "idle_session_timeout = 0", // the fork is waited for in between
          "statement_timeout = 0"); // ours to bound, not a role's default

  private CanonicalText() {}

  /** For the rest of the session. */
  static void set(Connection connection) throws SQLException {
    apply(connection, "SET ");
  }

  /** Until the end of the transaction. */
  static void setLocal(Connection connection) throws SQLException {
    apply(connection, "SET LOCAL ");
  }

  private static void apply(Connection connection, String how) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      for (String setting : SETTINGS) {
        statement.execute(how + setting);
      }
    }
  }
}
