package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The schema {@code holdfast_watch} of a throw-away database and its triggers, which tell what
 * statements do to tables, rolled back or not. The triggers do nothing once the connection that
 * made them is gone.
 *
 * <p>For one thread. The connection is in autocommit mode, and a session of its own on the server.
 */
public final class WatchSchema {
  /** What takes every trace away by hand. */
  public static final String REMOVAL = "DROP SCHEMA holdfast_watch CASCADE";

  private static final String WHAT = "cannot watch the database";
  private static final int LOCK_CLASS = 1212239724;

  /** Sequences of eight bytes that a box has: each session that writes holds a lock on each. */
  private static final int WORDS = 64;

  private static final int BOXES = 4;
  private static final int LOCK_ATTEMPTS = 20;

  /** Schemas whose tables nobody means when they say a database's. */
  private static final String USERS =
      "n.nspname NOT IN ('information_schema', 'holdfast', 'holdfast_watch', 'holdfast_freeze')"
          + " AND n.nspname !~ '^pg_'";

  private final Connection connection;
  private final Map<Long, Table> known = new TreeMap<>();
  private final Set<Long> covered = new HashSet<>();
  private final Map<Long, String> refused = new TreeMap<>();
  private final Map<Integer, Piece> unfinished = new HashMap<>();
  private boolean eventTriggers;
  private long broken;

  /** The beginning of a message, of which the rest comes. */
  private record Piece(long number, ByteArrayOutputStream bytes) {}

  /** A message, in the order in which they began. */
  private record Told(long number, String text) {}

  /**
   * A table as it was when it was last looked at.
   *
   * @param columns their names by number
   */
  public record Table(long oid, String schema, String name, Map<Integer, String> columns) {}

  /**
   * Something that vanished between two looks.
   *
   * @param kind {@code table}, {@code column} or {@code schema}
   * @param column null where it is none
   */
  public record Gone(String kind, long oid, String schema, String name, @Nullable String column) {}

  /**
   * What was not told.
   *
   * @param lost messages that found no room in time
   * @param failures of our own triggers, swallowed
   */
  public record Unseen(long lost, long failures) {}

  /** Over a connection that nothing else uses. */
  public WatchSchema(Connection connection) {
    this.connection = connection;
  }

  /**
   * Takes away what an earlier run left, makes the schema, and puts triggers on every ordinary and
   * partitioned table that there is.
   *
   * @throws OperatorException REFUSED while another run watches, or where the role may make no
   *     schema
   */
  public void install() {
    try (Statement statement = connection.createStatement()) {
      if (!flag(statement, "SELECT pg_try_advisory_lock(" + LOCK_CLASS + ", 0)")) {
        throw new OperatorException(
            Kind.REFUSED,
            WHAT,
            "another `holdfast watch` is at work on it",
            "wait until that has ended, or watch another database");
      }
      statement.execute("SET lock_timeout = '2s'");
      removeSchema(statement);
      known.putAll(tables(statement));
      connection.setAutoCommit(false);
      statement.execute("CREATE SCHEMA holdfast_watch");
      statement.execute(Guard.resource("watch.sql"));
      connection.commit();
      connection.setAutoCommit(true);
      makeBoxes(statement);
      makeEventTriggers(statement);
      cover(statement);
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    }
  }

  private void makeBoxes(Statement statement) throws SQLException {
    boolean unlogged = number(statement, "SHOW server_version_num") >= 150000;
    String sequence = unlogged ? "CREATE UNLOGGED SEQUENCE" : "CREATE SEQUENCE";
    for (int box = 1; box <= BOXES; box++) {
      // One at a time: each of its sequences is a lock, of which a server has only so many.
      statement.execute(
          """
          DO $do$
          DECLARE
            words oid[] := '{}';
          BEGIN
            FOR i IN 0..%2$d LOOP
              EXECUTE format('%3$s holdfast_watch.word_%1$d_%%s MINVALUE -9223372036854775808', i);
              words := words || format('holdfast_watch.word_%1$d_%%s', i)::regclass::oid;
            END LOOP;
            %3$s holdfast_watch.head_%1$d MINVALUE 0;
            %3$s holdfast_watch.ack_%1$d MINVALUE 0;
            PERFORM setval('holdfast_watch.head_%1$d', 0), setval('holdfast_watch.ack_%1$d', 0);
            INSERT INTO holdfast_watch.box
              VALUES (%1$d, 'holdfast_watch.head_%1$d'::regclass, 'holdfast_watch.ack_%1$d'::regclass, words);
          END
          $do$
          """
              .formatted(box, WORDS - 1, sequence));
    }
  }

  /** Only a superuser may, as a rule; some managed services let their own administrators. */
  private void makeEventTriggers(Statement statement) throws SQLException {
    connection.setAutoCommit(false);
    try {
      statement.execute(
          "CREATE EVENT TRIGGER holdfast_watch_made ON ddl_command_end"
              + " EXECUTE FUNCTION holdfast_watch.made()");
      statement.execute(
          "CREATE EVENT TRIGGER holdfast_watch_dropped ON sql_drop"
              + " EXECUTE FUNCTION holdfast_watch.dropped()");
      statement.execute("ALTER EVENT TRIGGER holdfast_watch_made ENABLE ALWAYS");
      statement.execute("ALTER EVENT TRIGGER holdfast_watch_dropped ENABLE ALWAYS");
      connection.commit();
      eventTriggers = true;
    } catch (SQLException e) {
      connection.rollback();
      if (!StatementFailures.INSUFFICIENT_PRIVILEGE.equals(e.getSQLState())) {
        throw e;
      }
    } finally {
      connection.setAutoCommit(true);
    }
  }

  /** Whether DDL is told by the server itself, and tables are covered at the moment of birth. */
  public boolean hasEventTriggers() {
    return eventTriggers;
  }

  /** The tables that there were when the watch began, by OID. */
  public Map<Long, Table> known() {
    return Map.copyOf(known);
  }

  /** Tables that have no triggers, with the reason. */
  public List<String> refused() {
    return List.copyOf(refused.values());
  }

  private void cover(Statement statement) throws SQLException {
    Map<Long, String> wanted = new TreeMap<>();
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT c.oid::bigint, c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                + " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND "
                + USERS
                + " AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid"
                + " AND t.tgname LIKE 'holdfast\\_watch\\_%') < 4")) {
      while (rows.next()) {
        wanted.put(rows.getLong(1), rows.getString(2));
      }
    }
    for (Map.Entry<Long, String> table : wanted.entrySet()) {
      try {
        statement.execute("SELECT holdfast_watch.cover(" + table.getKey() + "::oid)");
        covered.add(table.getKey());
        refused.remove(table.getKey());
      } catch (SQLException e) {
        if (String.valueOf(e.getSQLState()).startsWith("08")) {
          throw e;
        }
        // Dropped meanwhile, locked (the next look tries again), or somebody else's.
        refused.put(table.getKey(), table.getValue() + ": " + StatementFailures.message(e));
      }
    }
  }

  /**
   * Covers tables made since, and tells what is gone. Only what was committed is seen.
   *
   * @return nothing where event triggers tell it
   */
  public List<Gone> look() {
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET lock_timeout = '100ms'");
      cover(statement);
      Map<Long, Table> now = tables(statement);
      refused.keySet().retainAll(now.keySet());
      List<Gone> gone = new ArrayList<>();
      if (!eventTriggers) {
        known.values().forEach(before -> difference(before, now.get(before.oid()), gone));
      }
      known.clear();
      known.putAll(now);
      return gone;
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    }
  }

  private static void difference(Table before, @Nullable Table now, List<Gone> gone) {
    if (now == null) {
      gone.add(new Gone("table", before.oid(), before.schema(), before.name(), null));
      return;
    }
    before
        .columns()
        .forEach((column, name) -> {
          if (!now.columns().containsKey(column)) {
            gone.add(new Gone("column", before.oid(), before.schema(), before.name(), name));
          }
        });
  }

  private static Map<Long, Table> tables(Statement statement) throws SQLException {
    Map<Long, Table> tables = new TreeMap<>();
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT c.oid::bigint, n.nspname, c.relname, a.attnum, a.attname"
                + " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                + " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                + " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND "
                + USERS)) {
      while (rows.next()) {
        Table table =
            tables.computeIfAbsent(
                rows.getLong(1),
                oid -> new Table(oid, string(rows, 2), string(rows, 3), new TreeMap<>()));
        String column = rows.getString(5);
        if (column != null) {
          table.columns().put(rows.getInt(4), column);
        }
      }
    }
    return tables;
  }

  private static String string(ResultSet rows, int column) {
    try {
      return rows.getString(column);
    } catch (SQLException e) {
      throw new IllegalStateException(e); // a row that was read already
    }
  }

  /**
   * What triggers told since the last time: JSON objects, the earlier first.
   *
   * @param waitMs how long to wait for one; it comes back at once when there is one
   */
  public List<String> take(int waitMs) {
    List<Told> told = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT box, number, last, bytes FROM holdfast_watch.take(" + waitMs + ")")) {
      while (rows.next()) {
        int box = rows.getInt(1);
        long number = rows.getLong(2);
        Piece piece = unfinished.remove(box);
        if (piece != null && piece.number() != number) {
          broken++; // its writer was stopped in the middle
          piece = null;
        }
        if (piece == null) {
          piece = new Piece(number, new ByteArrayOutputStream());
        }
        piece.bytes().writeBytes(rows.getBytes(4));
        if (rows.getBoolean(3)) {
          told.add(new Told(number, piece.bytes().toString(StandardCharsets.UTF_8)));
        } else {
          unfinished.put(box, piece);
        }
      }
    } catch (SQLException e) {
      throw StatementFailures.told("cannot read what the triggers told", e);
    }
    told.sort(Comparator.comparingLong(Told::number));
    return told.stream().map(Told::text).toList();
  }

  /** What did not get through until now. */
  public Unseen unseen() {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM holdfast_watch.lost),"
                    + " (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM holdfast_watch.failures)")) {
      row.next();
      return new Unseen(row.getLong(1) + broken + unfinished.size(), row.getLong(2));
    } catch (SQLException e) {
      throw StatementFailures.told("cannot read what the triggers told", e);
    }
  }

  /**
   * Of some transactions, those that were rolled back.
   *
   * @param xids as the messages name them
   */
  public Set<String> rolledBack(Set<String> xids) {
    Set<String> found = new HashSet<>();
    if (xids.isEmpty()) {
      return found;
    }
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT x FROM unnest("
                    + Quoted.literal("{" + String.join(",", xids) + "}")
                    + "::text[]) AS x WHERE pg_xact_status(x::xid8) = 'aborted'")) {
      while (rows.next()) {
        found.add(rows.getString(1));
      }
      return found;
    } catch (SQLException e) {
      throw StatementFailures.told("cannot tell which transactions were rolled back", e);
    }
  }

  /**
   * Takes everything away again.
   *
   * @throws OperatorException FAILED when others held locks on tables for too long
   */
  public void remove() {
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET lock_timeout = '500ms'");
      removeSchema(statement);
      statement.execute("SELECT pg_advisory_unlock(" + LOCK_CLASS + ", 0)");
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot take the triggers of the watch away",
          StatementFailures.message(e),
          "they do nothing any more; the next watch takes them away, or, as the same role: "
              + REMOVAL,
          e);
    }
  }

  /** Table by table: all at once would need a lock on every table together. */
  private void removeSchema(Statement statement) throws SQLException {
    if (!flag(statement, "SELECT to_regnamespace('holdfast_watch') IS NOT NULL")) {
      return;
    }
    statement.execute("DROP EVENT TRIGGER IF EXISTS holdfast_watch_made");
    statement.execute("DROP EVENT TRIGGER IF EXISTS holdfast_watch_dropped");
    List<String> drops = new ArrayList<>();
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT string_agg(format('DROP TRIGGER IF EXISTS %I ON %s', t.tgname, t.tgrelid::regclass), '; ')"
                + " FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
                + " JOIN pg_namespace n ON n.oid = p.pronamespace"
                + " WHERE n.nspname = 'holdfast_watch' GROUP BY t.tgrelid")) {
      while (rows.next()) {
        drops.add(rows.getString(1));
      }
    }
    for (String drop : drops) {
      retried(statement, drop);
    }
    retried(statement, REMOVAL);
  }

  private static void retried(Statement statement, String sql) throws SQLException {
    for (int attempt = 1; ; attempt++) {
      try {
        statement.execute(sql);
        return;
      } catch (SQLException e) {
        boolean gone = "42P01".equals(e.getSQLState());
        if (gone) {
          return; // the table was dropped meanwhile, its triggers with it
        }
        if (attempt == LOCK_ATTEMPTS
            || !StatementFailures.LOCK_NOT_AVAILABLE.equals(e.getSQLState())) {
          throw e;
        }
      }
    }
  }

  private static boolean flag(Statement statement, String sql) throws SQLException {
    try (ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getBoolean(1);
    }
  }

  private static long number(Statement statement, String sql) throws SQLException {
    try (ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getLong(1);
    }
  }
}
