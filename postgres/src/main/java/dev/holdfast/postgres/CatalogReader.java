package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the catalogs of every database. Takes no lock on any table, so it neither waits for DDL nor
 * holds it up: sizes come from the files, not from pg_relation_size().
 */
public final class CatalogReader {
  private static final Logger LOG = LoggerFactory.getLogger(CatalogReader.class);

  /** Those below stand for rows as old as the cluster ("access/transam.h", PostgreSQL 18). */
  private static final long FIRST_NORMAL_XID = 3;

  /** Bytes in a page of every server Holdfast takes. */
  private static final double PAGE = 8192;

  private static final String POSITION =
      """
      SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                  ELSE pg_current_wal_insert_lsn() END::text
      """;

  // The statement's snapshot is taken before its functions are called: whatever had ended by then
  // had written all it wrote before the position they tell.
  private static final String MOMENT =
      """
      SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                  ELSE pg_current_wal_insert_lsn() END::text,
             (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::bigint
      """;

  // A row's header is 32 bytes where a column is null in catalogs of more than 8 columns, else 24.
  private static final String DATABASES =
      """
      SELECT oid, datname, dattablespace, datallowconn, d.ctid::text, d.xmin::text,
             pg_column_size(d) - CASE WHEN d IS NOT NULL THEN 24 ELSE 32 END AS length
      FROM pg_database d ORDER BY oid
      """;

  private static final String SCHEMAS =
      """
      SELECT oid, nspname, n.ctid::text, n.xmin::text, pg_column_size(n) - 24 AS length
      FROM pg_namespace n ORDER BY oid
      """;

  // tgqual is null of all of them, so the header is one of rows with nulls.
  private static final String GUARD_TRIGGERS =
      """
      SELECT t.oid, t.tgrelid, t.tgname, t.tgfoid, t.tgenabled, t.ctid::text, t.xmin::text,
             pg_column_size(t) - 32 AS length
      FROM pg_trigger t
      WHERE t.tgname LIKE 'holdfast\\_%' AND NOT t.tgisinternal AND t.tgqual IS NULL
      ORDER BY t.oid
      """;

  private static final String RELATIONS =
      """
      SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence,
             CASE WHEN c.relkind IN ('r', 'm', 'S', 'i', 't')
                  THEN coalesce(nullif(c.relfilenode, 0), pg_relation_filenode(c.oid)::oid, 0)
                  ELSE 0 END AS file,
             CASE WHEN c.relisshared THEN 1664
                  ELSE coalesce(nullif(c.reltablespace, 0), d.dattablespace) END AS tablespace,
             coalesce(i.indrelid, t.oid, 0) AS owner,
             c.reltuples, c.relpages, pg_stat_get_live_tuples(c.oid) AS live,
             CASE WHEN c.relispartition
                  THEN (SELECT h.inhparent FROM pg_inherits h WHERE h.inhrelid = c.oid LIMIT 1)
                  END AS parent,
             c.relnamespace, c.relfilenode, c.reltablespace, c.reltoastrelid,
             c.ctid::text, c.xmin::text,
             pg_column_size(c) - CASE WHEN c IS NOT NULL THEN 24 ELSE 32 END AS length
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_database d ON d.datname = current_database()
      LEFT JOIN pg_index i ON i.indexrelid = c.oid
      LEFT JOIN pg_class t ON t.reltoastrelid = c.oid AND c.relkind = 't'
      WHERE c.relkind IN ('r', 'p', 'm', 'S', 'i', 'I', 't', 'v', 'f')
      ORDER BY c.oid
      """;

  private static final String COLUMNS =
      """
      SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
             a.ctid::text, a.xmin::text,
             pg_column_size(a) - CASE WHEN a IS NOT NULL THEN 24 ELSE 32 END AS length
      FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid
      WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid >= 16384
        AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
      ORDER BY a.attrelid, a.attnum
      """;

  private static final String KEYS =
      """
      SELECT DISTINCT ON (i.indrelid) i.indrelid,
             (SELECT array_agg(a.attname ORDER BY k.place)
              FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              WHERE k.place <= i.indnkeyatts)
      FROM pg_index i
      WHERE i.indrelid >= 16384 AND i.indisunique AND i.indisvalid
        AND i.indpred IS NULL AND i.indexprs IS NULL
        AND (i.indisprimary OR i.indimmediate AND NOT EXISTS (
              SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull))
      ORDER BY i.indrelid, NOT i.indisprimary, i.indnkeyatts, i.indexrelid
      """;

  private static final String SIZES =
      """
      SELECT substring(f.name FROM '^[0-9]+')::bigint, sum(s.size)::bigint
      FROM pg_ls_dir(?, true, false) AS f (name),
           LATERAL pg_stat_file(? || '/' || f.name, true) AS s
      WHERE f.name ~ '^[0-9]+([.][0-9]+)?$' AND s.size IS NOT NULL
      GROUP BY 1
      """;

  private CatalogReader() {}

  /**
   * Reads all databases that let us in.
   *
   * @param url any database of the cluster; sizes are known when its user may execute pg_ls_dir and
   *     pg_stat_file there
   * @throws DatabaseUnreachableException when the server does not let us in
   */
  public static Catalog read(PostgresUrl url) {
    try (Connection connection = url.open()) {
      Instant takenAt = Instant.now();
      String lsn;
      long oldest;
      try (Statement statement = connection.createStatement();
          ResultSet moment = statement.executeQuery(MOMENT)) {
        moment.next();
        lsn = moment.getString(1);
        oldest = moment.getLong(2);
      }
      int major = connection.getMetaData().getDatabaseMajorVersion();
      String catalogVersion =
          text(connection, "SELECT catalog_version_no::text FROM pg_control_system()");
      List<Catalog.Database> databases = new ArrayList<>();
      Sizes sizes = new Sizes(connection, "PG_" + major + "_" + catalogVersion);
      try (Statement statement = connection.createStatement();
          ResultSet rows = statement.executeQuery(DATABASES)) {
        while (rows.next()) {
          databases.add(
              database(
                  url,
                  rows.getLong(1),
                  rows.getString(2),
                  rows.getLong(3),
                  rows.getBoolean(4),
                  place(rows, oldest),
                  oldest,
                  sizes));
        }
      }
      String readThrough = text(connection, POSITION);
      return new Catalog(lsn, takenAt, major, databases, readThrough, oldest);
    } catch (SQLException e) {
      throw failed(url, e);
    }
  }

  private static OperatorException failed(PostgresUrl url, SQLException e) {
    return new OperatorException(
        Kind.FAILED,
        "cannot read the catalogs of " + url.redacted(),
        ConnectFailures.firstLine(e),
        "check the server's log for this moment, then run the same command again",
        e);
  }

  private static Catalog.Database database(
      PostgresUrl url,
      long oid,
      String name,
      long tablespace,
      boolean connectable,
      String place,
      long oldest,
      Sizes sizes)
      throws SQLException {
    var unread =
        new Catalog.Database(oid, name, tablespace, false, List.of(), List.of(), place, List.of());
    if (!connectable) {
      return unread;
    }
    try (Connection connection = url.withDatabase(name).open()) {
      connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
      connection.setReadOnly(true);
      connection.setAutoCommit(false);
      try (Statement statement = connection.createStatement()) {
        // Types are written with their schema, and nobody's own operators are called.
        statement.execute("SET LOCAL search_path = pg_catalog");
      }
      List<Catalog.Schema> schemas = schemas(connection, oldest);
      List<Catalog.Relation> relations = relations(connection, oid, oldest, sizes);
      List<Catalog.Trigger> triggers = guardTriggers(connection, oldest);
      connection.rollback();
      return new Catalog.Database(oid, name, tablespace, true, relations, schemas, place, triggers);
    } catch (DatabaseUnreachableException e) {
      if (e.temporary()) {
        throw e;
      }
      LOG.warn("catalog of database {} is not read: {}", name, e.why());
      return unread;
    }
  }

  private static List<Catalog.Schema> schemas(Connection connection, long oldest)
      throws SQLException {
    List<Catalog.Schema> schemas = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(SCHEMAS)) {
      while (rows.next()) {
        schemas.add(new Catalog.Schema(rows.getLong(1), rows.getString(2), place(rows, oldest)));
      }
    }
    return schemas;
  }

  private static List<Catalog.Trigger> guardTriggers(Connection connection, long oldest)
      throws SQLException {
    List<Catalog.Trigger> triggers = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(GUARD_TRIGGERS)) {
      while (rows.next()) {
        triggers.add(
            new Catalog.Trigger(
                rows.getLong(1),
                rows.getLong(2),
                rows.getString(3),
                rows.getLong(4),
                rows.getString(5),
                place(rows, oldest)));
      }
    }
    return triggers;
  }

  /** Where the row lay, whose xmin tells whether it did so from the snapshot's position on. */
  private static String place(ResultSet row, long oldest) throws SQLException {
    String ctid = row.getString("ctid");
    int comma = ctid.indexOf(',');
    long writer = row.getLong("xmin");
    boolean ended = writer < FIRST_NORMAL_XID || (int) (writer - oldest) < 0;
    return new Catalog.Place(
            Long.parseLong(ctid.substring(1, comma)),
            Integer.parseInt(ctid.substring(comma + 1, ctid.length() - 1)),
            row.getInt("length"),
            ended ? 0 : writer)
        .toString();
  }

  private static final class Columns {
    private final List<Catalog.Column> columns = new ArrayList<>();
    private final List<String> places = new ArrayList<>();
  }

  private static List<Catalog.Relation> relations(
      Connection connection, long database, long oldest, Sizes sizes) throws SQLException {
    Map<Long, Columns> columns = columns(connection, oldest);
    Columns none = new Columns();
    Map<Long, List<String>> keys = keys(connection);
    List<Catalog.Relation> relations = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(RELATIONS)) {
      while (rows.next()) {
        long oid = rows.getLong("oid");
        long file = rows.getLong("file");
        long tablespace = rows.getLong("tablespace");
        long bytes = file == 0 ? -1 : sizes.of(tablespace, database, file);
        relations.add(
            new Catalog.Relation(
                oid,
                rows.getString("nspname"),
                rows.getString("relname"),
                rows.getString("relkind"),
                file,
                file == 0 ? 0 : tablespace,
                rows.getString("relpersistence"),
                rows.getLong("owner"),
                estimatedRows(rows, bytes),
                bytes,
                columns.getOrDefault(oid, none).columns,
                keys.getOrDefault(oid, List.of()),
                new Catalog.ClassRow(
                    place(rows, oldest),
                    rows.getLong("relnamespace"),
                    rows.getLong("relfilenode"),
                    rows.getLong("reltablespace"),
                    rows.getLong("reltoastrelid")),
                columns.getOrDefault(oid, none).places,
                rows.getLong("parent")));
      }
    }
    Map<Long, Long> tableOfToast = new HashMap<>();
    for (Catalog.Relation relation : relations) {
      if (relation.kind().equals("t")) {
        tableOfToast.put(relation.oid(), relation.owner());
      }
    }
    relations.replaceAll(relation -> {
      Long table = tableOfToast.get(relation.owner());
      return table == null || table == 0 ? relation : withOwner(relation, table);
    });
    return relations;
  }

  /**
   * As the planner estimates: the density of the last VACUUM or ANALYZE over the pages of now; the
   * counters of the statistics system when there was none.
   */
  private static long estimatedRows(ResultSet row, long bytes) throws SQLException {
    if (!List.of("r", "m", "t").contains(row.getString("relkind"))) {
      return -1;
    }
    double tuples = row.getDouble("reltuples");
    long pages = row.getLong("relpages");
    long live = row.getLong("live");
    if (bytes == 0) {
      return 0;
    }
    if (tuples > 0 && pages > 0 && bytes > 0) {
      return Math.round(tuples / pages * (bytes / PAGE));
    }
    return live > 0 ? live : tuples > 0 ? Math.round(tuples) : -1;
  }

  private static Catalog.Relation withOwner(Catalog.Relation r, long owner) {
    return new Catalog.Relation(
        r.oid(),
        r.schema(),
        r.name(),
        r.kind(),
        r.file(),
        r.tablespace(),
        r.persistence(),
        owner,
        r.estimatedRows(),
        r.bytes(),
        r.columns(),
        r.key(),
        r.row(),
        r.columnPlaces(),
        r.parent());
  }

  private static Map<Long, Columns> columns(Connection connection, long oldest)
      throws SQLException {
    Map<Long, Columns> columns = new HashMap<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(COLUMNS)) {
      while (rows.next()) {
        Columns of = columns.computeIfAbsent(rows.getLong(1), _ -> new Columns());
        of.columns.add(
            new Catalog.Column(
                rows.getInt(2), rows.getString(3), rows.getString(4), rows.getBoolean(5)));
        of.places.add(place(rows, oldest));
      }
    }
    return columns;
  }

  private static Map<Long, List<String>> keys(Connection connection) throws SQLException {
    Map<Long, List<String>> keys = new HashMap<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(KEYS)) {
      while (rows.next()) {
        keys.put(rows.getLong(1), List.of((String[]) rows.getArray(2).getArray()));
      }
    }
    return keys;
  }

  private static String text(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getString(1);
    }
  }

  /** Sizes of files by relfilenumber, one listing for each folder. */
  private static final class Sizes {
    private static final long DEFAULT_TABLESPACE = 1663;

    private final Connection connection;
    private final String versionFolder;
    private final Map<String, Map<Long, Long>> byFolder = new HashMap<>();
    private boolean allowed = true;

    Sizes(Connection connection, String versionFolder) {
      this.connection = connection;
      this.versionFolder = versionFolder;
    }

    long of(long tablespace, long database, long file) throws SQLException {
      String folder =
          tablespace == Catalog.GLOBAL_TABLESPACE
              ? "global"
              : tablespace == DEFAULT_TABLESPACE
                  ? "base/" + database
                  : "pg_tblspc/" + tablespace + "/" + versionFolder + "/" + database;
      Map<Long, Long> sizes = byFolder.get(folder);
      if (sizes == null) {
        sizes = list(folder);
        byFolder.put(folder, sizes);
      }
      return sizes.getOrDefault(file, -1L);
    }

    private Map<Long, Long> list(String folder) throws SQLException {
      if (!allowed) {
        return Map.of();
      }
      try (PreparedStatement statement = connection.prepareStatement(SIZES)) {
        statement.setString(1, folder);
        statement.setString(2, folder);
        Map<Long, Long> sizes = new HashMap<>();
        try (ResultSet rows = statement.executeQuery()) {
          while (rows.next()) {
            sizes.put(rows.getLong(1), rows.getLong(2));
          }
        }
        return sizes;
      } catch (SQLException e) {
        if ("42501".equals(e.getSQLState())) {
          allowed = false; // sizes are a courtesy: the catalog is right without them
          return Map.of();
        }
        throw e;
      }
    }
  }
}
