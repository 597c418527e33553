package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.TableName;
import dev.holdfast.wal.Lsn;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.postgresql.PGConnection;

/**
 * One side of a comparison: a database as one snapshot shows it. Only reads; a standby serves as
 * well. Locks on tables are given back after each statement, so that nobody waits for more than
 * one.
 *
 * <p>Not for several threads at once.
 */
public final class ComparedDatabase implements AutoCloseable {
  /** In the place of a setting's value where a database's or role's own overlays the server's. */
  public static final String SET_ELSEWHERE = SchemaQueries.SET_ELSEWHERE;

  /** In the place of what the role may not see. */
  public static final String NOT_TOLD = SchemaQueries.NOT_TOLD;

  private static final long STANDBY_WAIT_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final String label;
  private final PostgresUrl url;
  private final Connection connection;
  private final Facts facts;
  private long deadlineNanos = Long.MAX_VALUE;

  /**
   * What a side is.
   *
   * @param systemIdentifier null where the role may not ask
   * @param position of the log when the snapshot was taken, or a moment before; of a standby what
   *     it had replayed
   * @param serverDefaultsReadable whether the role sees the settings of the server's files
   * @param largeObjectsReadable whether the role may read all large objects there are
   */
  public record Facts(
      String version,
      int major,
      String encoding,
      boolean standby,
      @Nullable String systemIdentifier,
      Lsn position,
      boolean serverDefaultsReadable,
      boolean largeObjectsReadable) {}

  /** A table as the list of a side has it. */
  public record Entry(long oid, TableName name, double rowsEstimate, long bytes) {}

  private ComparedDatabase(String label, PostgresUrl url, Connection connection, Facts facts) {
    this.label = label;
    this.url = url;
    this.connection = connection;
    this.facts = facts;
  }

  /**
   * Connects and takes the snapshot.
   *
   * @param label how it is called when it fails: {@code A}
   * @param primary a side that may be the primary of this one, whose snapshot a standby is waited
   *     for, ten seconds at most; null for none
   * @throws DatabaseUnreachableException when the server does not let us in
   */
  public static ComparedDatabase open(
      String label, PostgresUrl url, @Nullable ComparedDatabase primary) {
    Connection connection =
        PooledSession.withoutNamedStatements(url.withApplicationName("holdfast:diff").open());
    boolean done = false;
    try {
      connection.setAutoCommit(false);
      Facts facts = begin(connection);
      if (primary != null
          && facts.standby
          && !primary.facts.standby
          && primary.facts.systemIdentifier != null
          && primary.facts.systemIdentifier.equals(facts.systemIdentifier)) {
        long until = System.nanoTime() + STANDBY_WAIT_NANOS;
        while (facts.position.compareTo(primary.facts.position) < 0 && System.nanoTime() < until) {
          connection.rollback();
          Thread.sleep(50); // nothing tells when a standby has replayed a position
          facts = begin(connection);
        }
      }
      done = true;
      return new ComparedDatabase(label, url, connection, facts);
    } catch (SQLException e) {
      throw told(label, url, "connecting", e, Long.MAX_VALUE);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while waiting for a standby",
          "interrupted",
          "run it again",
          e);
    } finally {
      if (!done) {
        close(connection);
      }
    }
  }

  private static Facts begin(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      // Of this transaction alone: the driver would set the session, which behind a pooler is
      // somebody else's afterwards, and our next transaction another session's.
      statement.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    }
    CanonicalText.setLocal(connection);
    noticeWhenWeAreGone(connection);
    try (Statement statement = connection.createStatement()) {
      for (String setting :
          List.of(
              "lock_timeout = '5s'",
              "idle_in_transaction_session_timeout = 0",
              "xmlbinary = base64",
              "work_mem = '64MB'",
              "jit = off")) {
        statement.execute("SET LOCAL " + setting);
      }
      int number = Integer.parseInt(ServerFacts.value(connection, "SHOW server_version_num"));
      if (number >= 170000) {
        statement.execute("SET LOCAL transaction_timeout = 0");
      }
      try (ResultSet row =
          statement.executeQuery(
              """
              SELECT current_setting('server_version'), current_setting('server_encoding'),
                     pg_is_in_recovery(),
                     CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
                          THEN (SELECT system_identifier::text FROM pg_control_system()) END,
                     CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                          ELSE pg_current_wal_flush_lsn() END,
                     has_function_privilege('pg_show_all_file_settings()', 'EXECUTE')
                       AND has_table_privilege('pg_file_settings', 'SELECT'),
                     has_table_privilege('pg_largeobject', 'SELECT')
                       OR NOT EXISTS (SELECT FROM pg_largeobject_metadata)
              """)) {
        row.next();
        String position = row.getString(5);
        return new Facts(
            row.getString(1),
            number / 10000,
            row.getString(2),
            row.getBoolean(3),
            row.getString(4),
            position == null ? Lsn.NONE : Lsn.parse(position),
            row.getBoolean(6),
            row.getBoolean(7));
      }
    }
  }

  /** A killed comparison's statement ends within seconds, where the server's system can tell it. */
  private static void noticeWhenWeAreGone(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute("SAVEPOINT holdfast_reading");
      try {
        statement.execute("SET LOCAL client_connection_check_interval = '5s'");
      } catch (SQLException e) {
        if (!"22023".equals(e.getSQLState())) {
          throw e;
        }
        statement.execute("ROLLBACK TO SAVEPOINT holdfast_reading"); // not on this system
      }
      statement.execute("RELEASE SAVEPOINT holdfast_reading");
    }
  }

  /** What it is. */
  public Facts facts() {
    return facts;
  }

  /** How it is reached, without a password. */
  public String redactedUrl() {
    return url.redacted();
  }

  /** The database's name. */
  public String database() {
    return url.database();
  }

  /**
   * No statement goes on after this moment.
   *
   * @param nanos of {@link System#nanoTime}
   */
  public void stopAt(long nanos) {
    deadlineNanos = nanos;
  }

  /** What the server's hash gives for some texts, so that two servers can be held together. */
  public String probe() {
    return within(
        "asking for its hash",
        statement ->
            one(
                statement,
                "SELECT string_agg(hashtextextended((repeat('Holdfast', g) || g) COLLATE \"C\", g % 3)::text, ',')"
                    + " FROM generate_series(0, 40) g"));
  }

  /** The kinds of objects, in the order they are to be compared. */
  public static Iterable<String> kinds() {
    return SchemaQueries.kinds();
  }

  /**
   * The objects of a kind; to be closed before anything else is asked of this side.
   *
   * @param majorMin the major version of the older side
   */
  public CatalogObjects objects(String kind, int majorMin) {
    return objects(
        SchemaQueries.of(kind, majorMin), kind.equals("view") || kind.equals("materialised view"));
  }

  /** What the server's configuration files say; only where {@link Facts} calls it readable. */
  public CatalogObjects serverDefaults() {
    return objects(SchemaQueries.sorted(SchemaQueries.SERVER_DEFAULTS, facts.major), false);
  }

  private CatalogObjects objects(String query, boolean views) {
    try {
      beginReading();
      return new CatalogObjects(this, connection, query, views);
    } catch (SQLException e) {
      throw toldAfterReading(told("reading the schema", e));
    }
  }

  /**
   * The tables and populated materialised views that hold rows, sorted by name as UTF-8. How large
   * they are is what was last counted, as far as it was: to look would ask for a lock on each.
   */
  public List<Entry> tables() {
    return within(
        "listing tables",
        statement -> {
          List<Entry> tables = new ArrayList<>();
          try (ResultSet row =
              statement.executeQuery(
                  SchemaQueries.sorted(
                      """
                      SELECT c.oid, n.nspname, c.relname,
                             leaves.rows, leaves.bytes,
                             n.nspname || '.' || c.relname AS name
                        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       CROSS JOIN LATERAL (
                         WITH RECURSIVE tree AS (
                           SELECT c.oid
                            UNION ALL
                           SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
                            WHERE c.relkind = 'p')
                         SELECT sum(greatest(l.reltuples, 0)) AS rows,
                                coalesce(sum(CASE
                                  WHEN l.relkind NOT IN ('r', 'm') THEN 0
                                  WHEN l.relpages > 0 THEN l.relpages::int8 * current_setting('block_size')::int8
                                  WHEN EXISTS (SELECT FROM pg_locks k
                                                WHERE k.relation = l.oid AND k.mode = 'AccessExclusiveLock'
                                                  AND k.locktype = 'relation') THEN 0
                                  ELSE pg_relation_size(l.oid) END), 0)::int8 AS bytes
                           FROM tree JOIN pg_class l ON l.oid = tree.oid) leaves
                       WHERE {own n} AND {free pg_class c.oid} AND c.relpersistence <> 't'
                         AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition
                         AND (c.relkind <> 'm' OR c.relispopulated)
                          OR c.oid = 'pg_largeobject'::regclass AND EXISTS (SELECT FROM pg_largeobject_metadata)
                         AND has_table_privilege('pg_largeobject', 'SELECT')
                      """,
                      facts.major))) {
            while (row.next()) {
              tables.add(
                  new Entry(
                      row.getLong(1),
                      new TableName(row.getString(2), row.getString(3)),
                      Math.max(0, row.getDouble(4)),
                      row.getLong(5)));
            }
          }
          return tables;
        });
  }

  /**
   * What there is to know of a table before its rows are read.
   *
   * @throws TableUnreadableException when it is gone
   */
  public ComparedTable table(Entry entry) {
    return within(
        "reading the columns of " + entry.name,
        _ -> {
          List<ComparedTable.Column> columns = new ArrayList<>();
          Map<Integer, String> key = new TreeMap<>();
          try (PreparedStatement query =
              connection.prepareStatement(
                  """
                  SELECT a.attname, format_type(a.atttypid, NULL), array_position(
                           (SELECT i.indkey::int2[] FROM pg_index i
                             WHERE i.indrelid = a.attrelid AND i.indisprimary), a.attnum),
                         (SELECT i.indnkeyatts FROM pg_index i
                           WHERE i.indrelid = a.attrelid AND i.indisprimary)
                    FROM pg_attribute a
                   WHERE a.attrelid = ?::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
                   ORDER BY convert_to(a.attname, 'UTF8')
                  """)) {
            query.setLong(1, entry.oid);
            try (ResultSet row = query.executeQuery()) {
              while (row.next()) {
                columns.add(new ComparedTable.Column(row.getString(1), row.getString(2)));
                int place = row.getInt(3); // an int2vector counts from 0
                if (!row.wasNull() && place < row.getInt(4)) {
                  key.put(place, row.getString(1));
                }
              }
            }
          }
          List<ComparedTable.Leaf> leaves = new ArrayList<>();
          List<String> foreign = new ArrayList<>();
          boolean partitioned = false;
          try (PreparedStatement query =
              connection.prepareStatement(
                  """
                  SELECT c.oid, c.oid::regclass::text, c.relkind, c.relispartition,
                         coalesce(pg_relation_size(c.oid), 0), c.relfilenode
                    FROM pg_class c
                   WHERE c.oid = ?::oid AND c.relkind <> 'p'
                      OR c.oid IN (SELECT t.relid FROM pg_partition_tree(?::oid) t WHERE t.isleaf)
                   ORDER BY 1
                  """)) {
            query.setLong(1, entry.oid);
            query.setLong(2, entry.oid);
            try (ResultSet row = query.executeQuery()) {
              while (row.next()) {
                partitioned |= row.getBoolean(4);
                switch (row.getString(3)) {
                  case "f" -> foreign.add(row.getString(2));
                  case "p" -> partitioned = true; // without any partition
                  default ->
                      leaves.add(
                          new ComparedTable.Leaf(
                              row.getLong(1), row.getString(2), row.getLong(5), row.getLong(6)));
                }
              }
            }
          }
          ComparedTable table =
              new ComparedTable(
                  entry.oid,
                  entry.name,
                  partitioned,
                  columns,
                  List.copyOf(key.values()),
                  leaves,
                  foreign);
          // Its size is what it is now, and may be that of another file than the snapshot's.
          sameFiles(table, leaves);
          return table;
        });
  }

  /** Work on this side's connection. */
  interface Work<T> {
    T with(Statement statement) throws SQLException;
  }

  /** Runs statements, and gives back the locks that they took. */
  <T> T within(String what, Work<T> work) {
    try (Statement statement = connection.createStatement()) {
      beginReading();
      T value = work.with(statement);
      endReading();
      return value;
    } catch (SQLException e) {
      throw toldAfterReading(told(what, e));
    } catch (TableUnreadableException e) {
      throw toldAfterReading(e);
    }
  }

  /** The snapshot is still good for other tables where one could not be read. */
  OperatorException toldAfterReading(OperatorException told) {
    if (told instanceof TableUnreadableException) {
      endReading();
    }
    return told;
  }

  /** Ends the statement that runs, if one does; from any thread. What it was for fails. */
  public void cancel() {
    try {
      connection.unwrap(PGConnection.class).cancelQuery();
    } catch (SQLException e) {
      return; // then it ends by itself
    }
  }

  Connection connection() {
    return connection;
  }

  void beginReading() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute("SAVEPOINT holdfast_reading");
      if (deadlineNanos != Long.MAX_VALUE) {
        long left = TimeUnit.NANOSECONDS.toMillis(deadlineNanos - System.nanoTime());
        if (left <= 0) {
          statement.execute("ROLLBACK TO SAVEPOINT holdfast_reading");
          throw new TimeIsUpException(null);
        }
        statement.execute("SET LOCAL statement_timeout = " + Math.min(left, Integer.MAX_VALUE));
      }
    }
  }

  void endReading() {
    try (Statement statement = connection.createStatement()) {
      // Rolling back to a savepoint gives back the locks taken since; the snapshot stays.
      statement.execute("ROLLBACK TO SAVEPOINT holdfast_reading");
      statement.execute("RELEASE SAVEPOINT holdfast_reading");
    } catch (SQLException e) {
      throw told("reading", e);
    }
  }

  /**
   * Refuses what a truncation or a rewrite left, which every snapshot sees: a query on pg_class
   * shows the file that the snapshot knew, the function the one that there is. To be asked while
   * the lock of the reading is held.
   */
  void sameFiles(ComparedTable table, List<ComparedTable.Leaf> leaves) throws SQLException {
    for (ComparedTable.Leaf leaf : leaves) {
      try (PreparedStatement query =
          connection.prepareStatement("SELECT coalesce(pg_relation_filenode(?::oid), 0)")) {
        query.setLong(1, leaf.oid());
        try (ResultSet row = query.executeQuery()) {
          row.next();
          if (row.getLong(1) != leaf.fileNumber()) {
            throw new TableUnreadableException(
                "cannot compare " + table.name(),
                "it was truncated, dropped or rewritten on side %s while it was compared"
                    .formatted(label),
                "compare it again",
                null);
          }
        }
      }
    }
  }

  static String one(Statement statement, String query) throws SQLException {
    try (ResultSet row = statement.executeQuery(query)) {
      row.next();
      return row.getString(1);
    }
  }

  OperatorException told(String what, SQLException e) {
    return told(label, url, what, e, deadlineNanos);
  }

  private static OperatorException told(
      String label, PostgresUrl url, String what, SQLException e, long deadlineNanos) {
    String state = e.getSQLState() == null ? "" : e.getSQLState();
    String why = SqlFailures.message(e);
    if (state.startsWith("08") || state.startsWith("57P") || state.isEmpty()) {
      return new DatabaseUnreachableException(
          true,
          "lost side %s, %s, while %s".formatted(label, url.redacted(), what),
          why,
          "check that the server is running, then run the same command again: a snapshot cannot be"
              + " taken up where it was lost",
          e);
    }
    if (state.equals("57014") && System.nanoTime() >= deadlineNanos) {
      return new TimeIsUpException(e);
    }
    if (state.equals("40001") || state.startsWith("25")) {
      return new OperatorException(
          Kind.FAILED,
          "side %s, %s, gave up its snapshot while %s".formatted(label, url.redacted(), what),
          why,
          "on a standby raise max_standby_streaming_delay or set hot_standby_feedback = on; or compare"
              + " the primary",
          e);
    }
    return new TableUnreadableException(
        "side %s failed while %s".formatted(label, what),
        why,
        switch (state) {
          case "42501" -> "connect as a role that may SELECT it (pg_read_all_data has all tables)";
          case "55P03" -> "somebody holds its lock; compare it again when that has ended";
          default -> "see the server's log for this moment";
        },
        e);
  }

  @Override
  public void close() {
    close(connection);
  }

  private static void close(Connection connection) {
    try (connection) {
      connection.rollback(); // a pooler throws away a session that is left in a transaction
    } catch (SQLException e) {
      return; // it is only read
    }
  }
}
