package dev.holdfast.postgres;

import dev.holdfast.row.TableName;
import dev.holdfast.wal.RelFile;
import java.sql.Array;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Whether a finished sparse fork holds what it was made for, by its own catalogs: since the base
 * backup a wanted table may have got another table's file (pg_repack), or another table as
 * partition. WAL carries every change of a file from the base backup on, so a relation whose file
 * was not left out is whole.
 *
 * @param tables the wanted tables by the names they have at the target, sorted
 * @param absent OIDs that were wanted and are no table at the target
 * @param holed file numbers of wanted relations that were left out: the fork is of no use
 * @param indexesLeftOut OIDs of indexes of wanted tables whose files were left out, as was asked
 */
record WantedProof(
    List<TableName> tables, Set<Long> absent, Set<Long> holed, List<Long> indexesLeftOut) {
  private static final String TABLES =
      """
      SELECT c.oid, n.nspname, c.relname
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = ANY (?) AND c.relkind IN ('r', 'p', 'm')
      ORDER BY 2, 3
      """;

  /** Kind {@code x} stands for the indexes of tables, which a fork may do without. */
  private static final String FILES =
      """
      WITH RECURSIVE wanted (oid) AS (
        SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY (?)
        UNION
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN wanted w ON w.oid = i.inhparent
      ), toast (oid) AS (
        SELECT c.reltoastrelid FROM pg_catalog.pg_class c JOIN wanted USING (oid)
        WHERE c.reltoastrelid <> 0
      ), parts (oid, kind) AS (
        SELECT oid, 'r' FROM wanted
        UNION ALL SELECT oid, 't' FROM toast
        UNION ALL SELECT i.indexrelid, 't'
                  FROM pg_catalog.pg_index i JOIN toast ON toast.oid = i.indrelid
        UNION ALL SELECT i.indexrelid, 'x'
                  FROM pg_catalog.pg_index i JOIN wanted ON wanted.oid = i.indrelid
        UNION ALL SELECT c.oid, 'S' FROM pg_catalog.pg_class c WHERE c.relkind = 'S'
      )
      SELECT c.oid, p.kind,
             coalesce(nullif(c.reltablespace, 0), d.dattablespace)::bigint AS tablespace,
             d.oid::bigint AS database, pg_catalog.pg_relation_filenode(c.oid)::bigint AS file
      FROM parts p
      JOIN pg_catalog.pg_class c USING (oid)
      JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
      WHERE c.relkind IN ('r', 'm', 'S', 'i', 't')
      """;

  private static final String HIDE =
      "UPDATE pg_catalog.pg_index SET indislive = false WHERE indexrelid = ANY (?)";

  /** Copies the collections. */
  WantedProof {
    tables = List.copyOf(tables);
    absent = Set.copyOf(absent);
    holed = Set.copyOf(holed);
    indexesLeftOut = List.copyOf(indexesLeftOut);
  }

  /**
   * Asks.
   *
   * @param fork the wanted database of the fork, as superuser
   * @param unwanted every file that was left out of the fork, copies made by replay too
   */
  static WantedProof of(Connection fork, ForkContents.Sparse contents, Set<RelFile> unwanted)
      throws SQLException {
    Set<Long> absent = new HashSet<>(contents.tables());
    List<TableName> tables = new ArrayList<>();
    each(
        fork,
        TABLES,
        contents.tables(),
        row -> {
          absent.remove(row.getLong(1));
          tables.add(new TableName(row.getString(2), row.getString(3)));
        });
    Set<Long> wanted = new HashSet<>(contents.tables());
    if (contents.largeObjects()) {
      wanted.addAll(UnwantedFiles.LARGE_OBJECTS);
    }
    Set<Long> holed = new HashSet<>();
    List<Long> indexesLeftOut = new ArrayList<>();
    each(
        fork,
        FILES,
        wanted,
        row -> {
          RelFile file =
              new RelFile(row.getLong("tablespace"), row.getLong("database"), row.getLong("file"));
          if (!unwanted.contains(file)) {
            return;
          }
          if (row.getString("kind").equals("x") && !contents.indexes()) {
            indexesLeftOut.add(row.getLong("oid"));
          } else {
            holed.add(file.number());
          }
        });
    return new WantedProof(tables, absent, holed, indexesLeftOut);
  }

  /**
   * Hides the indexes that were left out from the planner and from writers, which skip what is not
   * live ("utils/cache/relcache.c", RelationGetIndexList, PostgreSQL 14 to 18). Their definitions
   * stay.
   */
  void hideIndexes(Connection fork) throws SQLException {
    if (indexesLeftOut.isEmpty()) {
      return;
    }
    Array oids = fork.createArrayOf("oid", indexesLeftOut.toArray());
    try (PreparedStatement statement = fork.prepareStatement(HIDE)) {
      statement.setArray(1, oids);
      statement.executeUpdate();
    } finally {
      oids.free();
    }
  }

  private interface RowReader {
    void read(ResultSet row) throws SQLException;
  }

  private static void each(Connection fork, String sql, Set<Long> oids, RowReader reader)
      throws SQLException {
    Array array = fork.createArrayOf("oid", oids.toArray());
    try (PreparedStatement statement = fork.prepareStatement(sql)) {
      statement.setArray(1, array);
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) {
          reader.read(rows);
        }
      }
    } finally {
      array.free();
    }
  }
}
