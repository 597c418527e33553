package dev.holdfast.damage;

import java.io.IOException;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.postgresql.PGConnection;

/** One client connection and the transaction it is in. */
final class Session {
  private final Connection connection;
  private final Statement statement;

  /** The share of the data that belongs to the transaction alone, so that nobody waits. */
  int slot;

  /** Statements to go until the transaction ends. */
  int toGo;

  /** False once it did what PREPARE TRANSACTION refuses. */
  boolean preparable;

  private @Nullable Ledger ledger;

  Session(Connection connection) throws SQLException {
    this.connection = connection;
    statement = connection.createStatement();
    // Nobody should ever wait here: there is but one thread to wait for.
    statement.execute("SET lock_timeout = '5s'");
  }

  boolean isIdle() {
    return ledger == null;
  }

  Ledger ledger() {
    Ledger open = ledger;
    if (open == null) {
      throw new IllegalStateException("no transaction is open");
    }
    return open;
  }

  void begin(Ledger ledger) {
    this.ledger = ledger;
    preparable = true;
  }

  void end() {
    ledger = null;
  }

  /** Runs a statement; the number of rows it says it changed. */
  long update(String sql) throws SQLException {
    note(sql);
    return statement.executeLargeUpdate(sql);
  }

  /** Runs anything; results are thrown away. */
  void execute(String sql) throws SQLException {
    note(sql);
    statement.execute(sql);
  }

  /** Runs COPY … FROM STDIN with these lines. */
  long copy(String sql, String lines) throws SQLException {
    note(sql + "\n" + lines.lines().map(Session::shortened).toList());
    try {
      return connection
          .unwrap(PGConnection.class)
          .getCopyAPI()
          .copyIn(sql, new StringReader(lines));
    } catch (IOException e) {
      throw new SQLException(e);
    }
  }

  /** A query's only value, a number. */
  long number(String sql) throws SQLException {
    try (ResultSet rows = statement.executeQuery(sql)) {
      return rows.next() ? rows.getLong(1) : 0;
    }
  }

  /** A query's two columns, a text and a number. */
  Map<String, Long> numbers(String sql) throws SQLException {
    Map<String, Long> numbers = new TreeMap<>();
    try (ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        numbers.put(rows.getString(1), rows.getLong(2));
      }
    }
    return numbers;
  }

  /** A query's two columns, a number and a text. */
  Map<Long, String> texts(String sql) throws SQLException {
    Map<Long, String> texts = new TreeMap<>();
    try (ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        texts.put(rows.getLong(1), rows.getString(2));
      }
    }
    return texts;
  }

  void close() throws SQLException {
    connection.close();
  }

  private void note(String sql) {
    if (ledger != null) {
      ledger.statements.add(sql);
    }
  }

  private static String shortened(String line) {
    return line.length() > 60 ? line.substring(0, 60) + "…" : line;
  }
}
