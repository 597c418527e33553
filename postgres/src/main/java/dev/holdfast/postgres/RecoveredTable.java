package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.TableName;
import dev.holdfast.store.BaseReader;
import dev.holdfast.wal.RelFile;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A table or materialised view that is there at a moment.
 *
 * @param database its database's name
 * @param kind {@code r} table, {@code p} partitioned table, {@code m} materialised view
 * @param rows estimated from the statistics of that moment; -1 when there are none, and for a
 *     partitioned table, whose partitions hold them; 0 for an unlogged one, which comes back empty
 * @param bytes of it, its TOAST table and indexes, as the base backup has them; files made since
 *     then as they are at that moment. 0 for a partitioned table
 */
public record RecoveredTable(String database, TableName name, String kind, long rows, long bytes) {
  /**
   * Asks a fork, which may hold definitions alone: what its files would be the base backup tells.
   *
   * @param base the one the fork was made from
   * @return those that are not the server's own, by database and name
   */
  public static List<RecoveredTable> of(Fork fork, BaseReader base) {
    Map<RelFile, Long> files = new HashMap<>();
    base.files()
        .forEach((path, size) -> {
          RelFile file = BackupFiles.relation(path);
          if (file != null && size > 0) {
            files.merge(file, size, Long::sum);
          }
        });
    List<RecoveredTable> tables = new ArrayList<>();
    Catalog catalog = CatalogReader.read(PostgresUrl.parse(fork.url("postgres")));
    for (Catalog.Database database : catalog.databases()) {
      Map<Long, Long> byTable = new HashMap<>();
      for (Catalog.Relation relation : database.relations()) {
        if (relation.file() != 0) {
          Long known = files.get(relation.fileIn(database.oid()));
          long bytes = known == null ? Math.max(0, relation.bytes()) : known;
          long table = relation.owner() == 0 ? relation.oid() : relation.owner();
          byTable.merge(table, bytes, Long::sum);
        }
      }
      Map<Long, Long> rows = database.readable() ? rows(fork, database.name()) : Map.of();
      for (Catalog.Relation relation : database.relations()) {
        if (isTable(relation)) {
          tables.add(
              new RecoveredTable(
                  database.name(),
                  new TableName(relation.schema(), relation.name()),
                  relation.kind(),
                  relation.persistence().equals("u") ? 0 : rows.getOrDefault(relation.oid(), -1L),
                  byTable.getOrDefault(relation.oid(), 0L)));
        }
      }
    }
    tables.sort(Comparator.comparing(RecoveredTable::database).thenComparing(RecoveredTable::name));
    return List.copyOf(tables);
  }

  /**
   * As the statistics have it, -1 for none: a fork's files are of other sizes than those that the
   * statistics were made of, so there is nothing to scale them by.
   */
  private static Map<Long, Long> rows(Fork fork, String database) {
    Map<Long, Long> rows = new HashMap<>();
    try (Connection connection = fork.connect(database);
        Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT oid, reltuples::bigint FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm')")) {
      while (row.next()) {
        rows.put(row.getLong(1), row.getLong(2));
      }
      return rows;
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot read the statistics of database " + database + " in the fork",
          String.valueOf(e.getMessage()),
          "run the same command again",
          e);
    }
  }

  private static boolean isTable(Catalog.Relation relation) {
    return List.of("r", "p", "m").contains(relation.kind())
        && !relation.persistence().equals("t")
        && !relation.schema().equals("pg_catalog")
        && !relation.schema().equals("information_schema");
  }
}
