package dev.holdfast.guard;

import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.HexFormat;

/**
 * A change that Holdfast itself makes in a guarded database, and that an operator has agreed to
 * statement by statement: it passes with a permit that is made in its own transaction. Nobody else
 * can use that: nobody is told the code, and it is used up when the transaction commits.
 */
public final class AgreedChange {
  private static final SecureRandom RANDOM = new SecureRandom();

  private AgreedChange() {}

  /**
   * Gives the connection's open transaction a permit for every rule about data; not for the guard's
   * own safety, nor for the whole database. Nothing happens where there is no guard, or where the
   * role may not write permits: there the guard's refusal tells the operator.
   *
   * @param connection in a transaction (no autocommit), of the guard's owner or a superuser
   * @param reason kept with the permit and its uses
   */
  public static void permit(Connection connection, String reason) throws SQLException {
    if (!mayPermit(connection)) {
      return;
    }
    byte[] random = new byte[16];
    RANDOM.nextBytes(random);
    String code = HexFormat.of().formatHex(random);
    // So long as the longest of our transactions may take.
    try (PreparedStatement insert =
        connection.prepareStatement(
            """
            INSERT INTO holdfast.permit (code_sha256, rules, role_name, reason, expires_at)
            SELECT pg_catalog.sha256(pg_catalog.convert_to(?, 'UTF8')), pg_catalog.array_agg(r.name), session_user, ?,
                   pg_catalog.clock_timestamp() + interval '12 hours'
              FROM holdfast.rule r WHERE r.name NOT IN ('guard-tampering', 'drop-database')
            """)) {
      insert.setString(1, code);
      insert.setString(2, reason);
      insert.executeUpdate();
    }
    try (PreparedStatement set =
        connection.prepareStatement("SELECT pg_catalog.set_config('holdfast.permit', ?, true)")) {
      set.setString(1, code);
      set.execute();
    }
  }

  private static boolean mayPermit(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT coalesce((SELECT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
                                    AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
                                   FROM pg_catalog.pg_class c
                                  WHERE c.oid = pg_catalog.to_regclass('holdfast.permit')), false)
                """)) {
      row.next();
      return row.getBoolean(1);
    }
  }
}
