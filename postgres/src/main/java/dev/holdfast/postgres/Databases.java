package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** The databases of a server that people work in. */
public final class Databases {
  private Databases() {}

  /**
   * Those that let this role in, by name; without those that new ones are made of. A guarded one is
   * among them, though it is marked as a template.
   *
   * @throws OperatorException DATABASE_UNREACHABLE when the server does not answer
   */
  public static List<String> open(PostgresUrl url) {
    List<String> databases = new ArrayList<>();
    try (Connection connection = url.open();
        Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                """
                SELECT datname FROM pg_catalog.pg_database
                 WHERE datallowconn AND datconnlimit <> -2 AND datname NOT IN ('template0', 'template1')
                   AND pg_catalog.has_database_privilege(oid, 'CONNECT') ORDER BY 1
                """)) {
      while (rows.next()) {
        databases.add(rows.getString(1));
      }
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.DATABASE_UNREACHABLE,
          "cannot list the databases of " + url.redacted(),
          String.valueOf(e.getMessage()),
          "see whether the server is up, then run it again",
          e);
    }
    return databases;
  }
}
