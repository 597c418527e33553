package dev.holdfast.damage;

import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Changes the definitions of a database at random: every statement that gives a relation another
 * name, schema or file, alone, in transactions, in savepoints, rolled back. A statement that cannot
 * be done in the state it meets fails and changes nothing.
 */
final class DefinitionHistory implements AutoCloseable {
  private static final int TABLES = 9;

  private final TestServer server;
  private final Random random;
  private final int major;
  private Connection connection;
  private int made;

  DefinitionHistory(TestServer server, Random random) {
    this.server = server;
    this.random = random;
    this.major = server.server().binaries().major();
    this.connection = server.connect();
  }

  void prepare() throws SQLException {
    try (Statement sql = connection.createStatement()) {
      sql.execute("CREATE SCHEMA s0");
      sql.execute("CREATE SCHEMA s1");
      sql.execute("SET allow_in_place_tablespaces = on");
      sql.execute("CREATE TABLESPACE space LOCATION ''");
      for (int table = 0; table < TABLES; table++) {
        sql.execute(create("s" + table % 2 + ".t" + table));
      }
    }
  }

  /** One step: a statement or a transaction of some. Answers what was tried. */
  String step() throws SQLException {
    try (Statement sql = connection.createStatement()) {
      int kind = random.nextInt(20);
      if (kind == 0) {
        return newConnection(sql);
      }
      if (kind == 1) {
        return tried(sql, "CHECKPOINT");
      }
      if (kind == 2) {
        return tried(sql, pick("VACUUM pg_class", "VACUUM pg_attribute", "ANALYZE", "VACUUM"));
      }
      if (kind < 9) {
        return transaction(sql);
      }
      return tried(sql, random.nextInt(3) == 0 ? alone() : anywhere());
    }
  }

  /** Waits until the old one's temporary tables are gone: it drops them after it was closed. */
  private String newConnection(Statement sql) throws SQLException {
    String session;
    try (ResultSet row = sql.executeQuery("SELECT pg_backend_pid()")) {
      row.next();
      session = row.getString(1);
    }
    connection.close();
    while (!server.query("SELECT FROM pg_stat_activity WHERE pid = " + session).isEmpty()) {
      Thread.onSpinWait();
    }
    connection = server.connect();
    return "new connection";
  }

  private String transaction(Statement sql) throws SQLException {
    StringBuilder all = new StringBuilder(tried(sql, "BEGIN"));
    List<String> savepoints = new ArrayList<>();
    for (int count = 1 + random.nextInt(5); count > 0; count--) {
      if (random.nextInt(4) == 0) {
        savepoints.add("p" + savepoints.size());
        all.append(tried(sql, "SAVEPOINT " + savepoints.getLast()));
      }
      sql.execute("SAVEPOINT guard");
      String tried = tried(sql, anywhere());
      all.append(tried);
      sql.execute(
          tried.endsWith("!; ") ? "ROLLBACK TO SAVEPOINT guard" : "RELEASE SAVEPOINT guard");
      if (!savepoints.isEmpty() && random.nextInt(3) == 0) {
        String savepoint = savepoints.remove(random.nextInt(savepoints.size()));
        while (!savepoints.isEmpty() && savepoints.getLast().compareTo(savepoint) > 0) {
          savepoints.removeLast();
        }
        all.append(tried(sql, "ROLLBACK TO SAVEPOINT " + savepoint));
      }
    }
    String end = pick("COMMIT", "COMMIT", "COMMIT", "ROLLBACK", "PREPARE TRANSACTION 'x'");
    all.append(tried(sql, end));
    if (end.startsWith("PREPARE")) {
      sql.execute("ROLLBACK"); // of what could not be prepared
      all.append(tried(sql, pick("COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'")));
    }
    return all.toString();
  }

  private static String tried(Statement sql, String statement) {
    try {
      sql.execute(statement);
      return statement + "; ";
    } catch (SQLException e) {
      return statement + " !; ";
    }
  }

  /** What cannot be done inside a transaction. */
  private String alone() {
    return switch (random.nextInt(6)) {
      case 0, 1 -> "VACUUM FULL " + table();
      case 2 -> "CREATE INDEX CONCURRENTLY i" + random.nextInt(9) + " ON " + table() + " (a)";
      case 3 -> "CREATE DATABASE d" + random.nextInt(3);
      case 4 -> "DROP DATABASE d" + random.nextInt(3);
      default -> "ALTER DATABASE d" + random.nextInt(3) + " RENAME TO d" + random.nextInt(3);
    };
  }

  private String anywhere() {
    int number = random.nextInt(TABLES);
    return switch (random.nextInt(34)) {
      case 0, 1, 2 -> create(schema() + ".t" + number);
      case 3 -> "CREATE TABLE " + schema() + ".t" + number + " AS SELECT 1 AS a, 'x' AS b, 2 AS c";
      case 4 ->
          "CREATE TABLE "
              + schema()
              + ".t"
              + number
              + " (a int, b text, c int)"
              + " PARTITION BY RANGE (a)";
      case 5 -> {
        int from = 10 * random.nextInt(20);
        yield "CREATE TABLE %s.t%d PARTITION OF %s FOR VALUES FROM (%d) TO (%d)"
            .formatted(schema(), number, table(), from, from + 10);
      }
      case 6, 7 -> "DROP TABLE " + table() + pick("", " CASCADE");
      case 8, 9, 10 -> "ALTER TABLE " + table() + " RENAME TO t" + number;
      case 11, 12 -> "ALTER TABLE " + table() + " SET SCHEMA " + schema();
      case 13, 14 -> "TRUNCATE " + table();
      case 15 -> "TRUNCATE " + table() + ", " + table();
      case 16 -> "ALTER TABLE " + table() + " ALTER a TYPE " + pick("int", "bigint", "numeric");
      case 17 -> "CLUSTER " + table() + " USING i" + random.nextInt(9);
      case 18 -> "CREATE INDEX i" + random.nextInt(9) + " ON " + table() + " (a)";
      case 19 -> "DROP INDEX " + schema() + ".i" + random.nextInt(9);
      case 20 -> "REINDEX TABLE " + table();
      case 21 -> "ALTER TABLE " + table() + " SET " + pick("LOGGED", "UNLOGGED");
      case 22 -> "ALTER TABLE " + table() + " SET TABLESPACE " + pick("space", "pg_default");
      case 23 -> "ALTER TABLE " + table() + " ADD COLUMN " + column() + " int";
      case 24, 25 -> "ALTER TABLE " + table() + " DROP COLUMN " + column();
      case 26 -> "ALTER TABLE " + table() + " RENAME COLUMN " + column() + " TO " + column();
      case 27 -> "GRANT SELECT ON " + table() + " TO PUBLIC";
      case 28 ->
          "CREATE MATERIALIZED VIEW " + schema() + ".t" + number + " AS SELECT 1 AS a, 'y' AS b";
      case 29 ->
          pick("REFRESH MATERIALIZED VIEW ", "DROP MATERIALIZED VIEW ", "DROP VIEW ") + table();
      case 30 -> "CREATE TEMPORARY TABLE t" + number + " (a int, b text)";
      case 31 -> "INSERT INTO " + table() + " (a) SELECT generate_series(1, 200)";
      case 32 ->
          pick(
              "CREATE SCHEMA s" + random.nextInt(4),
              "ALTER SCHEMA s" + random.nextInt(4) + " RENAME TO s" + random.nextInt(4),
              "DROP SCHEMA s" + (2 + random.nextInt(2)) + " CASCADE");
      default ->
          major >= 15 && random.nextInt(4) == 0
              ? "ALTER TABLE " + table() + " SET ACCESS METHOD heap"
              : "CREATE VIEW " + schema() + ".t" + number + " AS SELECT " + made++ + " AS a";
    };
  }

  private static String create(String name) {
    return "CREATE TABLE " + name + " (a int, b text, c int, d int, e text UNIQUE)";
  }

  private String table() {
    return random.nextInt(12) == 0
        ? "t" + random.nextInt(TABLES)
        : schema() + ".t" + random.nextInt(TABLES);
  }

  private String schema() {
    return random.nextInt(6) == 0 ? "public" : "s" + random.nextInt(random.nextInt(4) == 0 ? 4 : 2);
  }

  private String column() {
    return pick("b", "c", "d", "e", "f", "g", "..h");
  }

  private String pick(String... choices) {
    String choice = choices[random.nextInt(choices.length)];
    return choice.equals("..h") ? "\"..h\"" : choice;
  }

  @Override
  public void close() throws SQLException {
    connection.close();
  }
}
