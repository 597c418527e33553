package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.Column;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.TableName;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Applies planned row changes to production in one transaction: all of them or none.
 *
 * <p>The rows are locked and compared with what the plan expects of them; one difference refuses
 * the whole plan. Users' triggers and rules stay off, foreign keys are checked in both directions,
 * and what was written is read back and compared before the commit. Interrupted at any point, the
 * server rolls back. Other rows and tables stay open to everybody; tables without a key, and tables
 * whose triggers must be switched off one by one, are closed to writers while the plan is applied.
 */
public final class PlanApplier {
  /** How long a lock is waited for unless the operator says otherwise. */
  public static final Duration LOCK_TIMEOUT = Duration.ofSeconds(5);

  private static final String WHAT = "cannot apply the plan";

  /** So that a million planned rows are joined in memory; more stays more. In kB. */
  private static final String ENOUGH_WORK_MEM =
      """
      SELECT set_config('work_mem', '65536', true)
        FROM pg_catalog.pg_settings WHERE name = 'work_mem' AND setting::int8 < 65536
      """;

  /**
   * @param inserted rows put in
   * @param updated rows changed
   * @param deleted rows taken out
   * @param took from the first statement to the commit, or to the last one when the caller commits
   */
  public record Applied(long inserted, long updated, long deleted, Duration took) {
    /** All rows written. */
    public long rows() {
      return inserted + updated + deleted;
    }
  }

  private record Prepared(
      StagedTable staged,
      TableStructure structure,
      List<ForeignKey> outgoing,
      List<ForeignKey> incoming) {}

  private final Connection connection;
  private final Duration lockTimeout;
  private final Map<Long, StagedTable> staged = new HashMap<>();

  /**
   * @param connection to production as the tables' owner; stays the caller's to close
   * @param lockTimeout how long any one lock is waited for
   */
  public PlanApplier(Connection connection, Duration lockTimeout) {
    this.connection = connection;
    this.lockTimeout = lockTimeout;
  }

  /** With the usual {@link #LOCK_TIMEOUT}. */
  public PlanApplier(Connection connection) {
    this(connection, LOCK_TIMEOUT);
  }

  /**
   * Applies and commits.
   *
   * @throws OperatorException when the plan no longer fits, a privilege is missing, a lock cannot
   *     be had or a foreign key would not hold; nothing was written then
   */
  public Applied apply(List<TableChanges> plan) {
    try {
      connection.setAutoCommit(false);
      boolean committed = false;
      try {
        Applied applied = applyInTransaction(plan);
        connection.commit();
        committed = true;
        return applied;
      } finally {
        if (!committed) {
          rollBack();
        }
        if (!connection.isClosed()) {
          connection.setAutoCommit(true);
        }
      }
    } catch (SQLException e) {
      throw SqlFailures.told(WHAT, e);
    }
  }

  /**
   * Applies inside the connection's open transaction, which stays the caller's to commit or roll
   * back. Until its end the transaction reads and writes values in canonical form, waits for locks
   * as long as we do, and has {@code search_path = pg_catalog}.
   *
   * @throws OperatorException as {@link #apply}; the transaction must be rolled back then
   */
  public Applied applyInTransaction(List<TableChanges> plan) {
    long start = System.nanoTime();
    try {
      begin();
      UserTriggers triggers = UserTriggers.begin(connection);
      boolean utf8 = isUtf8();
      List<Prepared> tables = new ArrayList<>();
      List<TableChanges> ordered =
          plan.stream().sorted(java.util.Comparator.comparingLong(TableChanges::oid)).toList();
      for (TableChanges table : ordered) {
        tables.add(prepare(table, triggers, tables.size(), utf8));
      }
      List<Prepared> parentsFirst = parentsFirst(tables);
      for (Prepared table : tables) {
        if (!staged.containsKey(table.structure().oid())) {
          table.staged().stage();
        }
        chooseAtOnce(table, triggers);
      }
      for (Prepared table : tables) {
        Set<Integer> old = new TreeSet<>();
        table
            .incoming()
            .forEach(key -> old.addAll(ForeignKey.numbers(table.structure(), key.parentColumns())));
        table.staged().find(old);
      }
      write(parentsFirst, triggers);
      ForeignKeyCheck check = new ForeignKeyCheck(connection);
      for (Prepared table : tables) {
        table.staged().readBack();
        check.check(table.staged(), table.outgoing(), table.incoming(), table.structure());
      }
      triggers.enable();
      return new Applied(
          tables.stream().mapToLong(table -> table.staged().inserts()).sum(),
          tables.stream().mapToLong(table -> table.staged().updates()).sum(),
          tables.stream().mapToLong(table -> table.staged().deletes()).sum(),
          Duration.ofNanos(System.nanoTime() - start));
    } catch (SQLException e) {
      throw "55P03".equals(e.getSQLState()) ? lockRefused(plan, e) : SqlFailures.told(WHAT, e);
    }
  }

  /**
   * Takes the changes of one table while they are being planned and copies them into a temporary
   * table of the session, so that the server has them when the plan is made. Nothing else is
   * written and no table of the user's is locked; {@link #applyInTransaction} looks whether the
   * table is still as it was.
   *
   * @param table what the changes are of; its own are not asked for
   * @return takes the changes; {@link Ahead#end} before anything else is asked of the connection
   */
  public Ahead stage(TableChanges table) {
    return new Ahead(table);
  }

  /** Changes on their way to production's temporary tables. Close it; to end it is what counts. */
  public final class Ahead implements RowChangeSink, AutoCloseable {
    private final TableChanges table;
    private @Nullable StagedTable begun;

    private Ahead(TableChanges table) {
      this.table = table;
    }

    @Override
    public void accept(RowChange change) {
      if (begun == null) {
        begun = begin(table);
      }
      begun.accept(change);
    }

    /** Of a table without changes nothing is left. */
    public void end() {
      if (begun == null) {
        return;
      }
      try {
        begun.end();
        connection.commit();
        staged.put(table.oid(), begun);
      } catch (SQLException e) {
        throw SqlFailures.told(WHAT, e);
      }
    }

    @Override
    public void close() {
      try {
        if (begun != null) {
          begun.cancel();
        }
      } catch (SQLException e) {
        return; // the server has thrown away what it got, and the first failure tells
      }
    }
  }

  private StagedTable begin(TableChanges table) {
    try {
      execute("SET idle_session_timeout = 0"); // other tables are planned before all is applied
      begin();
      TableStructure structure = structure(table.oid());
      Set<Integer> moving = moving(table, structure, UserTriggers.begin(connection));
      StagedTable begun =
          new StagedTable(connection, structure, table, moving, staged.size(), isUtf8());
      begun.begin("ON COMMIT PRESERVE ROWS");
      return begun;
    } catch (SQLException e) {
      throw SqlFailures.told(WHAT, e);
    }
  }

  private void begin() throws SQLException {
    // Every check must see what was committed until it runs, whatever the role's default is.
    execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE");
    CanonicalText.setLocal(connection);
    execute("SET LOCAL lock_timeout = " + lockTimeout.toMillis());
    execute("SET LOCAL idle_in_transaction_session_timeout = 0");
    execute("SET LOCAL jit = off"); // compiling each statement costs more than it saves
    execute(ENOUGH_WORK_MEM);
  }

  /** A row is put in anew only when every one of its values is known. */
  private Set<Integer> moving(TableChanges table, TableStructure structure, UserTriggers triggers)
      throws SQLException {
    boolean moves =
        !triggers.foreignKeysAct()
            && Set.copyOf(structure.shape().columns()).size() == table.columns().size();
    return moves ? uniqueColumns(table.oid()) : Set.of();
  }

  /**
   * Where constraints of foreign keys act by themselves, rows found are asked for by others; where
   * an update takes a referenced value away, it is asked what the value was.
   */
  private static void chooseAtOnce(Prepared table, UserTriggers triggers) {
    boolean referenced =
        table.incoming().stream()
            .anyMatch(key ->
                table
                    .staged()
                    .changesInPlace(ForeignKey.numbers(table.structure(), key.parentColumns())));
    boolean constraintsAct =
        triggers.foreignKeysAct() && !(table.incoming().isEmpty() && table.outgoing().isEmpty());
    if (table.staged().hasKey() && !referenced && !constraintsAct) {
      table.staged().updateAtOnce(!table.outgoing().isEmpty());
    }
  }

  private boolean isUtf8() throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet encoding = statement.executeQuery("SHOW server_encoding")) {
      encoding.next();
      return encoding.getString(1).equals("UTF8");
    }
  }

  private Prepared prepare(TableChanges table, UserTriggers triggers, int number, boolean utf8)
      throws SQLException {
    TableStructure structure = structure(table.oid());
    String mode = table.key().isEmpty() ? "SHARE ROW EXCLUSIVE" : "ROW EXCLUSIVE";
    execute("LOCK TABLE ONLY %s IN %s MODE".formatted(structure.shape().name().quoted(), mode));
    TableStructure locked = structure(table.oid());
    Set<Column> present = new HashSet<>(locked.shape().columns());
    Set<Integer> moving = moving(table, locked, triggers);
    StagedTable ahead = staged.get(table.oid());
    if (!locked.equals(structure)
        || !present.containsAll(table.columns())
        || (!table.key().isEmpty() && present.size() > table.columns().size())
        || !fits(locked, table)
        || (ahead != null && !ahead.fits(locked, moving))) {
      throw new OperatorException(
          Kind.REFUSED,
          WHAT,
          "table %s has other columns or another key than when the plan was made"
              .formatted(locked.shape().name()),
          "nothing was written; run revert again to see the plan as it is now");
    }
    triggers.disable(locked);
    return new Prepared(
        ahead != null
            ? ahead
            : new StagedTable(connection, locked, table, moving, staged.size() + number, utf8),
        locked,
        ForeignKey.from(connection, table.oid()),
        ForeignKey.to(connection, table.oid()));
  }

  private void write(List<Prepared> parentsFirst, UserTriggers triggers) throws SQLException {
    List<Prepared> childrenFirst = parentsFirst.reversed();
    if (triggers.foreignKeysAct()) {
      List<StagedTable> staged = parentsFirst.stream().map(Prepared::staged).toList();
      ForeignKeyCheck check = new ForeignKeyCheck(connection);
      for (Prepared table : parentsFirst) {
        check.refuseCascades(table.staged(), table.incoming(), table.structure(), staged);
      }
      execute("SET CONSTRAINTS ALL DEFERRED");
      // Every row is checked as it is written: parents come before and go after their children.
      for (Prepared table : parentsFirst) {
        table.staged().insert();
      }
      for (Prepared table : parentsFirst) {
        table.staged().update();
      }
      for (Prepared table : childrenFirst) {
        table.staged().delete();
      }
      execute("SET CONSTRAINTS ALL IMMEDIATE");
      return;
    }
    // What goes makes room for what comes: values that must be unique may pass from one to the
    // other.
    for (Prepared table : childrenFirst) {
      table.staged().delete();
    }
    for (Prepared table : parentsFirst) {
      table.staged().update();
    }
    for (Prepared table : parentsFirst) {
      table.staged().insert();
    }
  }

  /** The plan's key must be the one the operators were read for. */
  private static boolean fits(TableStructure structure, TableChanges table) {
    List<Integer> numbers =
        table.key().stream().map(position -> table.columns().get(position).number()).toList();
    return numbers.isEmpty() || numbers.equals(structure.shape().key());
  }

  private TableStructure structure(long oid) throws SQLException {
    return TableStructure.read(connection, oid)
        .orElseThrow(() ->
            new OperatorException(
                Kind.REFUSED,
                WHAT,
                "the table with OID %d was dropped since the plan was made".formatted(oid),
                "nothing was written; run revert again to see the plan as it is now"));
  }

  /** Numbers of the columns that a unique index or an exclusion constraint covers. */
  private Set<Integer> uniqueColumns(long oid) throws SQLException {
    Set<Integer> numbers = new TreeSet<>();
    try (PreparedStatement query =
        connection.prepareStatement(
            """
            SELECT k.attnum
              FROM pg_catalog.pg_index i, unnest(i.indkey::int2[]) AS k(attnum)
             WHERE i.indrelid = ?::oid AND (i.indisunique OR i.indisexclusion) AND k.attnum > 0
            UNION
            SELECT d.refobjsubid
              FROM pg_catalog.pg_index i
              JOIN pg_catalog.pg_depend d
                ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
               AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
             WHERE i.indrelid = ?::oid AND (i.indisunique OR i.indisexclusion)
               AND d.refobjsubid > 0
            """)) {
      query.setLong(1, oid);
      query.setLong(2, oid);
      try (ResultSet row = query.executeQuery()) {
        while (row.next()) {
          numbers.add(row.getInt(1));
        }
      }
    }
    return numbers;
  }

  /** Parents before children; of tables that refer to each other in a circle, any one first. */
  private static List<Prepared> parentsFirst(List<Prepared> tables) {
    Map<Long, Prepared> remaining = new java.util.LinkedHashMap<>();
    tables.forEach(table -> remaining.put(table.structure().oid(), table));
    Map<Long, Set<Long>> parents = new HashMap<>();
    for (Prepared parent : tables) {
      for (ForeignKey key : parent.incoming()) {
        parents.computeIfAbsent(key.child(), _ -> new HashSet<>()).add(parent.structure().oid());
      }
    }
    List<Prepared> ordered = new ArrayList<>();
    while (!remaining.isEmpty()) {
      Prepared next =
          remaining.values().stream()
              .filter(table ->
                  parents.getOrDefault(table.structure().oid(), Set.of()).stream()
                      .noneMatch(parent ->
                          parent != table.structure().oid() && remaining.containsKey(parent)))
              .findFirst()
              .orElseGet(() -> remaining.values().iterator().next());
      ordered.add(next);
      remaining.remove(next.structure().oid());
    }
    return ordered;
  }

  /** Rolls back, then asks who holds the locks: in the failed transaction nothing can be asked. */
  private OperatorException lockRefused(List<TableChanges> plan, SQLException e) {
    String holders = "";
    try {
      connection.rollback();
      holders = holders(plan);
    } catch (SQLException asking) {
      e.addSuppressed(asking);
    }
    return new OperatorException(
        Kind.FAILED,
        WHAT,
        "a lock could not be had within %d ms: %s%s"
            .formatted(lockTimeout.toMillis(), SqlFailures.message(e), holders),
        "nothing was written; wait until that transaction ends or end it"
            + " (SELECT pg_terminate_backend(PID)), and run the"
            + " same command again",
        e);
  }

  private String holders(List<TableChanges> plan) throws SQLException {
    List<String> holders = new ArrayList<>();
    try (PreparedStatement query =
        connection.prepareStatement(
            """
            SELECT DISTINCT n.nspname, c.relname, l.mode, a.pid, a.usename, a.application_name
              FROM pg_catalog.pg_locks l
              JOIN pg_catalog.pg_class c ON c.oid = l.relation
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
             WHERE l.granted AND l.relation = ANY (?::oid[]) AND l.pid <> pg_backend_pid()
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
               AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
             ORDER BY a.pid LIMIT 5
            """)) {
      query.setArray(
          1, connection.createArrayOf("int8", plan.stream().map(TableChanges::oid).toArray()));
      try (ResultSet row = query.executeQuery()) {
        while (row.next()) {
          holders.add(
              "%s on %s by PID %d (user %s, application %s)"
                  .formatted(
                      row.getString(3),
                      new TableName(row.getString(1), row.getString(2)),
                      row.getInt(4),
                      row.getString(5),
                      row.getString(6)));
        }
      }
    }
    return holders.isEmpty() ? "" : "; held: " + String.join(", ", holders);
  }

  private void rollBack() {
    try {
      connection.rollback();
    } catch (SQLException e) {
      // The connection is gone; the server has rolled back by itself, and the first failure tells.
      return;
    }
  }

  private void execute(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }
}
