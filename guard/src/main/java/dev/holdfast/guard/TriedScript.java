package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A script that was run in a transaction that has not ended: what it did can be looked at, then it
 * is committed or rolled back. Closed, or cut off, it is rolled back.
 *
 * <p>Rows as they were are read over a second connection, which still sees them: they are those
 * that our transaction has marked as deleted or replaced (xmax). No trigger is needed.
 *
 * <p>For one thread.
 */
public final class TriedScript implements AutoCloseable {
  private static final String WHAT = "cannot try the script";
  private static final int LOOKED_MAX = 10_000;
  private static final int SAMPLES = 5;
  private static final int ROW_CHARACTERS_MAX = 1_000;
  private static final int KEYS_NAMED = 20;
  private static final Pattern POSITION = Pattern.compile("Position: (\\d+)");

  private static final String USERS =
      "n.nspname NOT IN ('information_schema') AND n.nspname !~ '^pg_'";

  private final Connection ours;
  private final Connection other;
  private final Limits limits;
  private @Nullable String xid;
  private boolean ended;

  /**
   * How long things may take, in seconds.
   *
   * @param lockSeconds a statement's wait for a lock
   * @param statementSeconds one statement
   * @param lookSeconds looking at the rows of one table
   * @param decideSeconds somebody's decision, while the transaction holds its locks
   */
  public record Limits(
      double lockSeconds, double statementSeconds, double lookSeconds, double decideSeconds) {}

  /**
   * One statement that was run.
   *
   * @param line where it begins
   * @param rows hit or returned; −1 where it tells none
   */
  public record Ran(int line, String statement, long rows, double seconds) {}

  /**
   * What happened to the rows of one table.
   *
   * @param partitionOf the topmost partitioned table above it, as SQL spells it; null where none is
   * @param action {@code changed}, {@code truncated} or {@code rewritten}
   * @param rowsGone with {@code truncated}: how many there were, by the server's estimate
   * @param keysLost of JSON columns, among the rows looked at
   * @param samples rows before and after, a few of them
   * @param looked how many rows were compared
   * @param notLooked why not all were; null when all were
   */
  public record TableTried(
      String schema,
      String table,
      @Nullable String partitionOf,
      String action,
      long inserted,
      long updated,
      long deleted,
      long rowsGone,
      List<KeysTried> keysLost,
      List<Sample> samples,
      long looked,
      @Nullable String notLooked) {}

  /** JSON keys that updated rows had before and have no longer. */
  public record KeysTried(
      String column,
      long rows,
      long keysBeforeMin,
      long keysBeforeMax,
      long keysLostMin,
      long keysLostMax,
      List<String> keys) {}

  /** A row as JSON; null where it is not there. */
  public record Sample(@Nullable String before, @Nullable String after) {}

  /**
   * What DDL did to one object.
   *
   * @param action {@code dropped}, {@code created} or {@code changed}
   * @param was its definition in short before; null for a new one
   * @param is and after; null for a dropped one
   * @param rows of a dropped table, by the server's estimate; −1 where there are none
   */
  public record ObjectTried(
      String action, String kind, @Nullable String was, @Nullable String is, long rows) {}

  /** Everything. */
  public record Tried(
      String database,
      String user,
      List<Ran> statements,
      List<TableTried> tables,
      List<ObjectTried> objects) {}

  /** An object of the catalog: what it is, and the table it belongs to (0 for none). */
  private record Item(String kind, String text, long table, long file, long rows) {}

  private record Old(
      String ctid, String xid, @Nullable String key, String row, List<List<String>> keys) {}

  /**
   * Over two connections of one role to one database, both fresh.
   *
   * @param ours is in autocommit mode; everything is done over this one
   * @param other only reads
   */
  public TriedScript(Connection ours, Connection other, Limits limits) {
    this.ours = ours;
    this.other = other;
    this.limits = limits;
  }

  /**
   * Runs a script and looks at what it did. The transaction is open afterwards.
   *
   * @throws OperatorException FAILED with the line when a statement fails; then it is rolled back
   */
  public Tried run(SqlScript script) {
    try (Statement statement = ours.createStatement()) {
      prepare(statement);
      ours.setAutoCommit(false);
      String database = String.valueOf(text(statement, "SELECT current_database()"));
      String user = String.valueOf(text(statement, "SELECT session_user"));
      Map<String, Item> before = snapshot(statement);
      ours.rollback(); // so that the script may choose its isolation first
      List<Ran> ran = new ArrayList<>();
      for (SqlScript.Statement each : script.statements()) {
        ran.add(run(each));
      }
      checkDeferred(statement);
      xid = text(statement, "SELECT pg_current_xact_id_if_assigned()::text");
      Map<String, Item> after = snapshot(statement);
      return new Tried(
          database, user, ran, tables(statement, before, after), objects(before, after));
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    }
  }

  private void prepare(Statement statement) throws SQLException {
    statement.execute("SET lock_timeout = '" + ms(limits.lockSeconds()) + "ms'");
    statement.execute("SET statement_timeout = '" + ms(limits.statementSeconds()) + "ms'");
    statement.execute(
        "SET idle_in_transaction_session_timeout = '" + ms(limits.decideSeconds()) + "ms'");
    try {
      // When we are killed a long statement ends, too, and its locks go.
      statement.execute("SET client_connection_check_interval = '1s'");
    } catch (SQLException e) {
      if (String.valueOf(e.getSQLState()).startsWith("08")) {
        throw e;
      }
      return; // not on every platform
    }
  }

  private static long ms(double seconds) {
    return Math.max(1, (long) (seconds * 1000));
  }

  private Ran run(SqlScript.Statement each) {
    long began = System.nanoTime();
    long rows = -1;
    try (Statement statement = ours.createStatement()) {
      statement.setEscapeProcessing(false);
      statement.setFetchSize(1000);
      boolean hasRows = statement.execute(each.text());
      while (true) {
        if (hasRows) {
          long returned = 0;
          try (ResultSet result = statement.getResultSet()) {
            while (result.next()) {
              returned++; // each is computed: functions in it may write
            }
          }
          rows = returned;
        } else if (statement.getUpdateCount() >= 0) {
          rows = statement.getUpdateCount();
        } else {
          break;
        }
        hasRows = statement.getMoreResults();
      }
    } catch (SQLException e) {
      throw failed(each, e);
    }
    return new Ran(
        each.line(), StatementShape.of(each.text()), rows, (System.nanoTime() - began) / 1e9);
  }

  private OperatorException failed(SqlScript.Statement each, SQLException e) {
    String state = String.valueOf(e.getSQLState());
    int line = each.line();
    Matcher position = POSITION.matcher(String.valueOf(e.getMessage()));
    if (position.find()) {
      int at = Math.min(each.text().length(), Integer.parseInt(position.group(1)));
      line += (int) each.text().substring(0, at).chars().filter(c -> c == '\n').count();
    }
    String why =
        POSITION.matcher(StatementFailures.message(e)).replaceAll("").strip()
            + " (SQLSTATE "
            + state
            + ")";
    rollBackQuietly();
    boolean lost = state.startsWith("08") || state.startsWith("57P");
    return new OperatorException(
        lost ? Kind.DATABASE_UNREACHABLE : Kind.FAILED,
        "the statement at line %d failed; everything was rolled back".formatted(line),
        why,
        switch (state) {
          case "25001" ->
              "it cannot run in a transaction, so it cannot be tried: take it out, and run it by"
                  + " itself with psql when you know what it does";
          case "55P03" ->
              "others hold the lock: wait for them, or give --lock-timeout more seconds";
          case "57014" -> "give --statement-timeout more seconds, or make the statement faster";
          default -> "mend that line and run the same command again";
        },
        e);
  }

  private void checkDeferred(Statement statement) {
    try {
      statement.execute("SET CONSTRAINTS ALL IMMEDIATE");
    } catch (SQLException e) {
      rollBackQuietly();
      throw new OperatorException(
          Kind.FAILED,
          "a deferred constraint does not hold at the end of the script; everything was rolled back",
          StatementFailures.message(e),
          "mend the script and run the same command again",
          e);
    }
  }

  /** Reads as ourselves with a search path of our own, and leaves the script's settings alone. */
  private static void aside(Statement statement, double seconds) throws SQLException {
    statement.execute("SAVEPOINT holdfast_look");
    statement.execute("RESET ROLE");
    statement.execute("SET LOCAL search_path = pg_catalog, pg_temp");
    statement.execute("SET LOCAL row_security = off");
    statement.execute("SET LOCAL statement_timeout = '" + ms(seconds) + "ms'");
  }

  private static void back(Statement statement) throws SQLException {
    statement.execute("ROLLBACK TO SAVEPOINT holdfast_look");
    statement.execute("RELEASE SAVEPOINT holdfast_look");
  }

  private Map<String, Item> snapshot(Statement statement) throws SQLException {
    aside(statement, Math.max(limits.statementSeconds(), 60));
    Map<String, Item> items = new TreeMap<>();
    try (ResultSet rows =
        statement.executeQuery(
            """
            SELECT 'schema', 'n' || n.oid, format('%%I', n.nspname), 0::bigint, 0::bigint, -1::bigint
              FROM pg_namespace n WHERE %1$s
            UNION ALL
            SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view'
                  WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index'
                  WHEN 'S' THEN 'sequence' ELSE 'foreign table' END,
                'c' || c.oid, format('%%I.%%I', n.nspname, c.relname),
                coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = c.oid), 0)::bigint,
                CASE WHEN c.relkind = 'r' THEN coalesce(pg_relation_filenode(c.oid), 0) ELSE 0 END::bigint,
                CASE WHEN c.relkind = 'r' THEN greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid)) ELSE -1 END
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p', 'v', 'm', 'i', 'I', 'S', 'f') AND %1$s
            UNION ALL
            SELECT 'column', 'a' || c.oid || '.' || a.attnum,
                format('%%I.%%I.%%I %%s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
                  || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                c.oid::bigint, 0, -1
              FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND %1$s
            UNION ALL
            SELECT 'constraint', 'k' || k.oid, format('%%I on %%s: ', k.conname, k.conrelid::regclass) || pg_get_constraintdef(k.oid),
                k.conrelid::bigint, 0, -1
              FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
              WHERE k.conrelid <> 0 AND k.contype IN ('c', 'f', 'p', 'u', 'x') AND %1$s
            UNION ALL
            SELECT 'trigger', 't' || t.oid, format('%%I on %%s', t.tgname, t.tgrelid::regclass) || CASE t.tgenabled WHEN 'D' THEN ', disabled' ELSE '' END,
                t.tgrelid::bigint, 0, -1
              FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE NOT t.tgisinternal AND %1$s
            UNION ALL
            SELECT 'function', 'p' || p.oid, format('%%I.%%I(%%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), 0, 0, -1
              FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE %1$s
            UNION ALL
            SELECT 'type', 'y' || t.oid, format_type(t.oid, NULL)
                || coalesce(' (' || (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) || ')', ''),
                0, 0, -1
              FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
              WHERE t.typtype IN ('e', 'd', 'r') AND %1$s
            """
                .formatted(USERS))) {
      while (rows.next()) {
        items.put(
            rows.getString(2),
            new Item(
                rows.getString(1),
                rows.getString(3),
                rows.getLong(4),
                rows.getLong(5),
                rows.getLong(6)));
      }
    }
    back(statement);
    return items;
  }

  private static List<ObjectTried> objects(Map<String, Item> before, Map<String, Item> after) {
    List<ObjectTried> objects = new ArrayList<>();
    before.forEach((id, was) -> {
      Item is = after.get(id);
      if (is == null) {
        boolean withItsTable = was.table() != 0 && !after.containsKey("c" + was.table());
        if (!withItsTable) {
          objects.add(new ObjectTried("dropped", was.kind(), was.text(), null, was.rows()));
        }
      } else if (!is.text().equals(was.text())) {
        Item table = was.table() == 0 ? null : before.get("c" + was.table());
        Item tableNow = was.table() == 0 ? null : after.get("c" + was.table());
        boolean renamedWithIt =
            table != null && tableNow != null && !table.text().equals(tableNow.text());
        if (!renamedWithIt) {
          objects.add(new ObjectTried("changed", was.kind(), was.text(), is.text(), -1));
        }
      }
    });
    after.forEach((id, is) -> {
      boolean withItsTable = is.table() != 0 && !before.containsKey("c" + is.table());
      if (!before.containsKey(id) && !withItsTable) {
        objects.add(new ObjectTried("created", is.kind(), null, is.text(), -1));
      }
    });
    return objects;
  }

  private record Counted(
      long oid,
      String schema,
      String table,
      @Nullable String root,
      long inserted,
      long updated,
      long deleted,
      boolean locked) {}

  private List<TableTried> tables(
      Statement statement, Map<String, Item> before, Map<String, Item> after) throws SQLException {
    List<TableTried> tables = new ArrayList<>();
    for (Counted counted : counted(statement)) {
      Item was = before.get("c" + counted.oid());
      Item is = after.get("c" + counted.oid());
      boolean newFile = was != null && is != null && was.file() != is.file();
      if (counted.inserted() + counted.updated() + counted.deleted() == 0 && !newFile) {
        continue;
      }
      String action =
          !newFile ? "changed" : isEmpty(statement, counted) ? "truncated" : "rewritten";
      tables.add(look(statement, counted, action, was));
    }
    return tables;
  }

  private List<Counted> counted(Statement statement) throws SQLException {
    aside(statement, Math.max(limits.statementSeconds(), 60));
    List<Counted> counted = new ArrayList<>();
    try (ResultSet rows =
        statement.executeQuery(
            """
            SELECT c.oid::bigint, n.nspname, c.relname,
                CASE WHEN c.relispartition THEN
                  (SELECT format('%%I.%%I', rn.nspname, r.relname) FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
                    WHERE r.oid = pg_partition_root(c.oid)) END,
                pg_stat_get_xact_tuples_inserted(c.oid), pg_stat_get_xact_tuples_updated(c.oid), pg_stat_get_xact_tuples_deleted(c.oid),
                EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.pid = pg_backend_pid() AND l.mode = 'AccessExclusiveLock')
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind = 'r' AND %s ORDER BY 2, 3
            """
                .formatted(USERS))) {
      while (rows.next()) {
        counted.add(
            new Counted(
                rows.getLong(1),
                rows.getString(2),
                rows.getString(3),
                rows.getString(4),
                rows.getLong(5),
                rows.getLong(6),
                rows.getLong(7),
                rows.getBoolean(8)));
      }
    }
    back(statement);
    return counted;
  }

  private static String name(Counted table) {
    return Quoted.identifier(table.schema()) + "." + Quoted.identifier(table.table());
  }

  private boolean isEmpty(Statement statement, Counted table) throws SQLException {
    aside(statement, limits.lookSeconds());
    boolean empty = false;
    try (ResultSet row =
        statement.executeQuery("SELECT NOT EXISTS (SELECT FROM ONLY " + name(table) + ")")) {
      row.next();
      empty = row.getBoolean(1);
    } catch (SQLException e) {
      requireConnected(e);
    }
    back(statement);
    return empty;
  }

  private static void requireConnected(SQLException e) throws SQLException {
    String state = String.valueOf(e.getSQLState());
    if (state.startsWith("08") || state.startsWith("57P")) {
      throw e;
    }
  }

  private TableTried look(Statement statement, Counted table, String action, @Nullable Item was)
      throws SQLException {
    Looked looked = new Looked();
    String not;
    if (action.equals("truncated") || action.equals("rewritten")) {
      not = "its file is a new one: the rows before are not compared";
    } else if (was == null) {
      not = null; // new: nothing was there before
      readNew(statement, table, looked, "r");
    } else if (table.locked()) {
      not = "the script locks it, so that nobody else can read it as it was";
    } else {
      not = compare(statement, table, looked);
    }
    return new TableTried(
        table.schema(),
        table.table(),
        table.root(),
        action,
        table.inserted(),
        table.updated(),
        table.deleted(),
        action.equals("truncated") && was != null ? was.rows() : -1,
        looked.keysLost(),
        looked.samples,
        looked.rows,
        not);
  }

  /** What was found in one table. */
  private static final class Looked {
    private final List<Sample> samples = new ArrayList<>();
    private final List<String> jsonColumns = new ArrayList<>();
    private final List<Lost> lost = new ArrayList<>();
    private long rows;

    private static final class Lost {
      private long rows;
      private long hadMin = Long.MAX_VALUE;
      private long hadMax;
      private long lostMin = Long.MAX_VALUE;
      private long lostMax;
      private final Set<String> keys = new TreeSet<>();
    }

    private void compare(Old before, Old after) {
      for (int column = 0; column < jsonColumns.size(); column++) {
        List<String> had = before.keys().get(column);
        Set<String> gone = new TreeSet<>(had);
        gone.removeAll(new HashSet<>(after.keys().get(column)));
        if (!gone.isEmpty()) {
          Lost of = lost.get(column);
          of.rows++;
          of.hadMin = Math.min(of.hadMin, had.size());
          of.hadMax = Math.max(of.hadMax, had.size());
          of.lostMin = Math.min(of.lostMin, gone.size());
          of.lostMax = Math.max(of.lostMax, gone.size());
          gone.stream().limit(Math.max(0, KEYS_NAMED - of.keys.size())).forEach(of.keys::add);
        }
      }
    }

    private List<KeysTried> keysLost() {
      List<KeysTried> found = new ArrayList<>();
      for (int column = 0; column < jsonColumns.size(); column++) {
        Lost of = lost.get(column);
        if (of.rows > 0) {
          found.add(
              new KeysTried(
                  jsonColumns.get(column),
                  of.rows,
                  of.hadMin,
                  of.hadMax,
                  of.lostMin,
                  of.lostMax,
                  List.copyOf(of.keys)));
        }
      }
      return found;
    }

    private void sample(@Nullable String before, @Nullable String after) {
      if (samples.size() < SAMPLES) {
        samples.add(new Sample(before, after));
      }
    }
  }

  /**
   * Rows before against rows after.
   *
   * @return why not all were compared; null when all were
   */
  private @Nullable String compare(Statement statement, Counted table, Looked looked)
      throws SQLException {
    String key = key(statement, table, looked);
    if (xid == null) {
      return null; // it wrote nothing
    }
    List<Old> before = new ArrayList<>();
    String stopped = null;
    try (Statement reading = other.createStatement()) {
      reading.execute("SET lock_timeout = '500ms'");
      reading.execute("SET row_security = off");
      reading.execute("SET statement_timeout = '" + ms(limits.lookSeconds()) + "ms'");
      read(reading, table, looked, key, "xmax", before);
    } catch (SQLException e) {
      stopped = StatementFailures.message(e);
    }
    if (stopped != null) {
      return "the rows before could not be read: " + stopped;
    }
    boolean all = before.size() <= LOOKED_MAX;
    removeLocked(statement, table, before);
    keepOurs(statement, before);
    List<Old> after = new ArrayList<>();
    aside(statement, limits.lookSeconds());
    try {
      read(statement, table, looked, key, "xmin", after);
    } catch (SQLException e) {
      requireConnected(e);
      stopped = StatementFailures.message(e);
    }
    back(statement);
    if (stopped != null) {
      return "the rows after could not be read: " + stopped;
    }
    all &= after.size() <= LOOKED_MAX;
    keepOurs(statement, after);
    pair(before, after, key != null, looked);
    if (!all) {
      return "only the first %d rows were compared".formatted(LOOKED_MAX);
    }
    if (key == null && table.updated() > 0) {
      return "it has no primary key: which row became which is not known";
    }
    return before.size() < table.updated() + table.deleted()
        ? "%d changed row versions were not found: changed more than once, made by the script itself, or within a savepoint"
            .formatted(table.updated() + table.deleted() - before.size())
        : null;
  }

  private static void pair(List<Old> before, List<Old> after, boolean keyed, Looked looked) {
    looked.rows = Math.max(before.size(), after.size());
    Map<String, Old> afterByKey = new LinkedHashMap<>();
    if (keyed) {
      after.forEach(row -> afterByKey.put(String.valueOf(row.key()), row));
    }
    for (Old was : before) {
      Old is = keyed ? afterByKey.remove(String.valueOf(was.key())) : null;
      if (is != null) {
        looked.compare(was, is);
      }
      looked.sample(was.row(), is == null ? null : is.row());
    }
    (keyed ? afterByKey.values() : after).forEach(row -> looked.sample(null, row.row()));
  }

  /** Rows that were only locked, by a foreign key for example, are where they were. */
  private void removeLocked(Statement statement, Counted table, List<Old> before)
      throws SQLException {
    if (before.isEmpty()) {
      return;
    }
    aside(statement, limits.lookSeconds());
    Set<String> there = new HashSet<>();
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT ctid::text FROM ONLY "
                + name(table)
                + " WHERE ctid = ANY (ARRAY["
                + String.join(",", before.stream().map(row -> Quoted.literal(row.ctid())).toList())
                + "]::tid[])")) {
      while (rows.next()) {
        there.add(rows.getString(1));
      }
    } catch (SQLException e) {
      requireConnected(e);
    }
    back(statement);
    before.removeIf(row -> there.contains(row.ctid()));
  }

  /**
   * Row versions of our transaction, or of one within it (a savepoint, an exception block), which
   * have numbers of their own: those are in progress as long as we are. What others have committed
   * meanwhile is not; what they have not is no different for us, and left out before.
   */
  private void keepOurs(Statement statement, List<Old> rows) throws SQLException {
    Set<String> xids = new TreeSet<>();
    rows.forEach(row -> xids.add(row.xid()));
    if (xids.isEmpty()) {
      return;
    }
    Set<String> running = new HashSet<>();
    try (ResultSet found =
        statement.executeQuery(
            """
            SELECT t.x FROM pg_catalog.unnest(ARRAY[%1$s]::text[]) AS t(x)
              WHERE pg_catalog.pg_xact_status((
                  %2$s::bigint / 4294967296 * 4294967296 + t.x::bigint
                  + CASE WHEN t.x::bigint < %2$s::bigint %% 4294967296 THEN 4294967296 ELSE 0 END
                )::text::xid8) = 'in progress'
            """
                .formatted(
                    String.join(",", xids.stream().map(Quoted::literal).toList()), ownXid()))) {
      while (found.next()) {
        running.add(found.getString(1));
      }
    }
    rows.removeIf(row -> !running.contains(row.xid()));
  }

  private String ownXid() {
    return Quoted.literal(String.valueOf(xid));
  }

  private @Nullable String key(Statement statement, Counted table, Looked looked)
      throws SQLException {
    aside(statement, limits.lookSeconds());
    String key =
        text(
            statement,
            "SELECT 'ROW(' || string_agg(format('r.%%I', a.attname), ', ' ORDER BY k.i) || ')::text' FROM pg_index x CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(attnum, i) JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum WHERE x.indisprimary AND x.indrelid = %d::oid"
                .formatted(table.oid()));
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT attname FROM pg_attribute WHERE attrelid = %d::oid AND attnum > 0 AND NOT attisdropped AND atttypid IN ('json'::regtype, 'jsonb'::regtype) ORDER BY attnum"
                .formatted(table.oid()))) {
      while (rows.next()) {
        looked.jsonColumns.add(rows.getString(1));
        looked.lost.add(new Looked.Lost());
      }
    }
    back(statement);
    return key;
  }

  private void read(
      Statement statement,
      Counted table,
      Looked looked,
      @Nullable String key,
      String mark,
      List<Old> into)
      throws SQLException {
    StringBuilder sql = new StringBuilder("SELECT r.ctid::text, r." + mark + "::text, ");
    sql.append(key == null ? "NULL" : key)
        .append(", left(pg_catalog.to_jsonb(r)::text, " + ROW_CHARACTERS_MAX + ")");
    for (String column : looked.jsonColumns) {
      String value = "r." + Quoted.identifier(column) + "::jsonb";
      sql.append(", ARRAY(SELECT pg_catalog.jsonb_object_keys(CASE WHEN pg_catalog.jsonb_typeof(")
          .append(value)
          .append(") = 'object' THEN ")
          .append(value)
          .append(" ELSE '{}' END))");
    }
    sql.append(" FROM ONLY ")
        .append(name(table))
        .append(" AS r WHERE pg_catalog.age(r.")
        .append(mark)
        .append(") <= pg_catalog.age((")
        .append(ownXid())
        .append("::text::xid8)::xid) LIMIT ")
        .append(LOOKED_MAX + 1);
    try (ResultSet rows = statement.executeQuery(sql.toString())) {
      while (rows.next()) {
        List<List<String>> keys = new ArrayList<>();
        for (int column = 0; column < looked.jsonColumns.size(); column++) {
          keys.add(List.of((String[]) rows.getArray(5 + column).getArray()));
        }
        into.add(
            new Old(
                rows.getString(1), rows.getString(2), rows.getString(3), rows.getString(4), keys));
      }
    }
  }

  private void readNew(Statement statement, Counted table, Looked looked, String as)
      throws SQLException {
    aside(statement, limits.lookSeconds());
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT left(to_jsonb(%1$s)::text, %2$d) FROM ONLY %3$s AS %1$s LIMIT %4$d"
                .formatted(as, ROW_CHARACTERS_MAX, name(table), SAMPLES))) {
      while (rows.next()) {
        looked.sample(null, rows.getString(1));
      }
    } catch (SQLException e) {
      requireConnected(e);
    }
    back(statement);
  }

  private static @Nullable String text(Statement statement, String sql) throws SQLException {
    try (ResultSet row = statement.executeQuery(sql)) {
      return row.next() ? row.getString(1) : null;
    }
  }

  /**
   * Makes it last.
   *
   * @throws OperatorException FAILED when it was rolled back instead, or nobody can tell
   */
  public void commit() {
    try (Statement statement = ours.createStatement()) {
      String now = text(statement, "SELECT pg_current_xact_id_if_assigned()::text");
      if (xid != null && !xid.equals(now)) {
        throw new OperatorException(
            Kind.FAILED,
            "cannot commit the script",
            "its transaction was ended by something in it",
            "look at what is there; run the script by hand if need be");
      }
      ours.commit();
      ended = true;
    } catch (SQLException e) {
      boolean decidedTooLate = "25P03".equals(e.getSQLState());
      throw new OperatorException(
          Kind.FAILED,
          decidedTooLate ? "nothing was committed" : "cannot tell that the script was committed",
          StatementFailures.message(e),
          decidedTooLate || xid == null
              ? "run the same command again"
              : "ask the server: SELECT pg_xact_status('%s')".formatted(xid),
          e);
    }
  }

  /** Undoes everything. */
  public void rollBack() {
    try {
      ours.rollback();
      ended = true;
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "the connection was lost before the script was rolled back",
          StatementFailures.message(e),
          "nothing to do: what was not committed is rolled back by the server",
          e);
    }
  }

  private void rollBackQuietly() {
    try {
      ours.rollback();
    } catch (SQLException e) {
      ended = true; // gone, and rolled back with it
    }
  }

  @Override
  public void close() {
    if (!ended) {
      rollBackQuietly();
    }
  }
}
