package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.TableName;
import dev.holdfast.wal.Lsn;
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

/**
 * Production's tables as one snapshot shows them, and which transactions that snapshot sees: so the
 * position of the log can be found that leaves exactly these rows. Only reads. While it is open
 * nobody can change the tables' definitions or truncate them, and VACUUM keeps what it sees.
 */
public final class ProductionSnapshot implements AutoCloseable {
  private static final long PAGE_BYTES = 8192;

  /** "access/xlog_internal.h": headers of a page, and of a segment's first page. */
  private static final Set<Long> PAGE_HEADER_BYTES = Set.of(24L, 40L);

  private final PostgresUrl url;
  private final Connection connection;

  /** Whether a table is partitioned. */
  private final Map<TableName, Boolean> tables;

  private final Set<Long> running = new HashSet<>();
  private long xmin;
  private long xmax;
  private Lsn flushed = Lsn.NONE;
  private Lsn after = Lsn.NONE;

  private ProductionSnapshot(
      PostgresUrl url, Connection connection, Map<TableName, Boolean> tables) {
    this.url = url;
    this.connection = connection;
    this.tables = tables;
  }

  /** Finds out which tables a list means. */
  public interface Choice {
    /**
     * Chooses.
     *
     * @param all the database's tables and partitioned tables
     * @throws OperatorException USAGE for a name that is none
     */
    List<TableName> of(String database, List<TableName> all);
  }

  /**
   * Connects; {@link #take} takes the snapshot.
   *
   * @param systemIdentifier the cluster that it has to be
   * @throws DatabaseUnreachableException when the server does not let us in
   * @throws OperatorException REFUSED when another cluster answers, or a standby
   */
  public static ProductionSnapshot connect(
      PostgresUrl url, String systemIdentifier, Choice choice) {
    Connection connection = url.open();
    boolean done = false;
    try (Statement statement = connection.createStatement()) {
      String found =
          ServerFacts.value(
              connection, "SELECT system_identifier::text FROM pg_catalog.pg_control_system()");
      if (!found.equals(systemIdentifier)) {
        throw OtherCluster.found(what(url), systemIdentifier, found);
      }
      if (ServerFacts.value(connection, "SELECT pg_catalog.pg_is_in_recovery()").equals("t")) {
        throw new OperatorException(
            Kind.REFUSED,
            what(url),
            "it is a standby",
            "give --url of the primary: only its snapshots have a place in the log");
      }
      Map<TableName, Boolean> all = new LinkedHashMap<>();
      try (ResultSet rows =
          statement.executeQuery(
              "SELECT n.nspname, c.relname, c.relkind = 'p' FROM pg_catalog.pg_class c"
                  + " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                  + " WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'"
                  // Partitions elsewhere: a copy must not go and ask for them.
                  + " AND NOT (c.relkind = 'p' AND EXISTS (SELECT FROM"
                  + " pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class f"
                  + " ON f.oid = t.relid WHERE f.relkind = 'f'))"
                  + " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
                  + " ORDER BY 1, 2")) {
        while (rows.next()) {
          all.put(new TableName(rows.getString(1), rows.getString(2)), rows.getBoolean(3));
        }
      }
      Map<TableName, Boolean> tables = new LinkedHashMap<>();
      for (TableName table : choice.of(url.database(), List.copyOf(all.keySet()))) {
        tables.put(table, Boolean.TRUE.equals(all.get(table)));
      }
      connection.setAutoCommit(false);
      connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
      connection.setReadOnly(true);
      done = true;
      return new ProductionSnapshot(url, connection, tables);
    } catch (SQLException e) {
      throw unreadable(url, e);
    } finally {
      if (!done) {
        close(connection);
      }
    }
  }

  private static String what(PostgresUrl url) {
    return "cannot take the sums of tables at " + url.redacted();
  }

  private static OperatorException unreadable(PostgresUrl url, SQLException e) {
    return new OperatorException(
        Kind.FAILED,
        what(url),
        ConnectFailures.firstLine(e),
        "give --url of a role that may SELECT these tables; it is stored nowhere",
        e);
  }

  /**
   * Takes a snapshot, in the place of an earlier one.
   *
   * @throws OperatorException FAILED when the role may not read a table
   */
  public void take() {
    try (Statement statement = connection.createStatement()) {
      connection.rollback();
      TableSum.prepare(statement);
      statement.execute("SET LOCAL lock_timeout = '10s'"); // who waits here lets others wait
      // A truncation or a rewrite shows in every snapshot; these locks are had without one.
      for (TableName table : tables.keySet()) {
        statement.execute(
            "LOCK TABLE %s%s IN ACCESS SHARE MODE"
                .formatted(Boolean.TRUE.equals(tables.get(table)) ? "" : "ONLY ", table.quoted()));
      }
      // A query's snapshot is taken before it runs: whatever it sees has its commit record in the
      // log before the position that it returns.
      try (ResultSet row =
          statement.executeQuery(
              "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint,"
                  + " array_to_string(array(SELECT pg_snapshot_xip(s)), ','),"
                  + " pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()"
                  + " FROM pg_current_snapshot() s")) {
        row.next();
        xmin = row.getLong(1);
        xmax = row.getLong(2);
        running.clear();
        for (String xid : row.getString(3).split(",", -1)) {
          if (!xid.isEmpty()) {
            running.add(Long.parseLong(xid));
          }
        }
        after = recordEnd(Lsn.parse(row.getString(4)));
        flushed = Lsn.parse(row.getString(5));
      }
    } catch (SQLException e) {
      throw unreadable(url, e);
    }
  }

  /** Where the next record would start is past the header of a page that is not written yet. */
  private static Lsn recordEnd(Lsn next) {
    long inPage = Long.remainderUnsigned(next.position(), PAGE_BYTES);
    return PAGE_HEADER_BYTES.contains(inPage) ? next.plus(-inPage) : next;
  }

  /** The database. */
  public String database() {
    return url.database();
  }

  /** The tables. */
  public List<TableName> tables() {
    return List.copyOf(tables.keySet());
  }

  /** What was on production's disk when the snapshot was taken, or a moment later. */
  public Lsn flushed() {
    return flushed;
  }

  /** Every transaction that it sees has its commit record before this position. */
  public Lsn after() {
    return after;
  }

  /**
   * Whether it sees what this transaction did, provided that it committed.
   *
   * @param xid as the log has it: 32 bits, of the newest 2^31 transactions
   */
  public boolean sees(long xid) {
    long full = full(xid);
    return full < xmin || (full < xmax && !running.contains(full));
  }

  /** The same transaction with its epoch: the one nearest to the snapshot. */
  private long full(long xid) {
    long full = (xmax & ~0xFFFF_FFFFL) | xid;
    if (full > xmax + (1L << 31)) {
      return full - (1L << 32);
    }
    return full < xmax - (1L << 31) ? full + (1L << 32) : full;
  }

  /**
   * Reads the tables.
   *
   * @throws OperatorException FAILED
   */
  public List<TableSum> sums() {
    try {
      return sums(connection);
    } catch (SQLException e) {
      throw unreadable(url, e);
    }
  }

  private List<TableSum> sums(Connection reading) throws SQLException {
    List<TableSum> sums = new ArrayList<>();
    for (Map.Entry<TableName, Boolean> table : tables.entrySet()) {
      sums.add(TableSum.of(reading, table.getKey(), table.getValue()));
    }
    return sums;
  }

  /**
   * Compares a restored copy with what this snapshot saw. To be asked before anything is written
   * into the copy: then the copy's transactions are production's.
   *
   * @param sums what {@link #sums} gave
   */
  public Check compare(Drill drill, List<TableSum> sums) {
    CheckFindings findings = new CheckFindings("tables");
    try (Connection copy = drill.connect(url.database());
        Statement statement = copy.createStatement()) {
      copy.setAutoCommit(false);
      TableSum.prepare(statement);
      long others = others(statement);
      for (TableSum sum : sums) {
        findings.looked(sum.rows());
        String what = RelationWork.name(url.database(), sum.table().schema(), sum.table().table());
        TableSum found;
        try {
          found = TableSum.of(copy, sum.table(), Boolean.TRUE.equals(tables.get(sum.table())));
        } catch (SQLException e) {
          if (DamageSign.isIn(e) || "42P01".equals(e.getSQLState())) {
            findings.damaged(what, ConnectFailures.firstLine(e));
          } else {
            findings.undecided(what, "not compared: " + ConnectFailures.firstLine(e));
          }
          copy.rollback();
          TableSum.prepare(statement);
          continue;
        }
        if (found.equals(sum)) {
          continue;
        }
        String why =
            found.rows() == sum.rows()
                ? "%,d rows as in production, with other content".formatted(found.rows())
                : "%,d rows, and %,d in production".formatted(found.rows(), sum.rows());
        if (others > 0) {
          findings.undecided(
              what,
              "%s; %,d transactions were committing as production was asked, and are in the copy only"
                  .formatted(why, others));
        } else {
          findings.damaged(what, why);
        }
      }
      copy.rollback();
    } catch (SQLException e) {
      findings.undecided(
          "database " + url.database(), "not compared: " + ConnectFailures.firstLine(e));
    }
    return findings.end();
  }

  /** How many transactions the copy has that the snapshot did not see. */
  private long others(Statement statement) throws SQLException {
    StringBuilder xids = new StringBuilder("SELECT 0::bigint WHERE false");
    running.forEach(xid -> xids.append(" UNION ALL SELECT ").append(xid).append("::bigint"));
    try (ResultSet row =
        statement.executeQuery(
            """
            WITH next AS (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid),
              unseen AS (SELECT generate_series(%d, xid - 1) AS xid FROM next UNION ALL (%s))
            SELECT count(*) FROM unseen, next
            WHERE unseen.xid < next.xid AND pg_xact_status(unseen.xid::text::xid8) = 'committed'\
            """
                .formatted(xmax, xids))) {
      row.next();
      return row.getLong(1);
    }
  }

  /** Lets go of the snapshot and its locks; what it was is still known. */
  public void release() {
    close(connection);
  }

  @Override
  public void close() {
    close(connection);
  }

  private static void close(Connection connection) {
    try {
      connection.close();
    } catch (SQLException e) {
      return; // it is only read
    }
  }
}
