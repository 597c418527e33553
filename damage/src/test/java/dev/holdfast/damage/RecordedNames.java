package dev.holdfast.damage;

import dev.holdfast.row.TableName;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The catalog of a running server, read when the test says so and never again. Rows of the catalogs
 * are understood in a log that is read from before the recording on.
 */
final class RecordedNames implements RecordedCatalog {
  private final ServerCatalog rows;
  private final Map<RelFile, Relation> byFile = new HashMap<>();
  private final List<Relation> relations = new ArrayList<>();
  private final Map<Long, String> databases = new HashMap<>();

  private final Map<List<Long>, Long> roots = new HashMap<>();

  RecordedNames() {
    this(true);
  }

  /**
   * @param places whether it is recorded where the catalogs' rows lie
   */
  RecordedNames(boolean places) {
    rows = new ServerCatalog(places);
  }

  /** Adds what the server's databases hold now; what was recorded before stays. */
  void record(TestServer server) {
    rows.take(server);
    for (String line : server.query("SELECT oid, datname FROM pg_database WHERE datallowconn")) {
      String[] database = line.split("\\|", -1);
      databases.put(Long.parseLong(database[0]), database[1]);
      record(server, Long.parseLong(database[0]), database[1]);
    }
  }

  private void record(TestServer server, long oid, String name) {
    List<String> lines =
        server.queryIn(
            name,
            "SELECT c.oid, coalesce(n.nspname, ''), c.relname, c.relkind, c.relpersistence,"
                + " c.reltuples::bigint, coalesce(pg_relation_size(c.oid), -1),"
                + " coalesce(nullif(c.reltablespace, 0), d.dattablespace),"
                + " coalesce(pg_relation_filenode(c.oid), 0), c.oid < 16384,"
                + " CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE 0 END"
                + " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                + " JOIN pg_database d ON d.datname = current_database()"
                + " WHERE c.relpersistence <> 't'");
    for (String line : lines) {
      String[] column = line.split("\\|", -1);
      Relation relation =
          new Relation(
              oid,
              name,
              Long.parseLong(column[0]),
              new TableName(column[1], column[2]),
              kind(column[3], column[9].equals("t")),
              column[4].equals("u"),
              Long.parseLong(column[5]),
              Long.parseLong(column[6]));
      relations.add(relation);
      roots.put(List.of(oid, relation.oid()), Long.parseLong(column[10]));
      long number = Long.parseLong(column[8]);
      if (number != 0) {
        byFile.put(new RelFile(Long.parseLong(column[7]), oid, number), relation);
      }
    }
  }

  private static Relation.Kind kind(String relkind, boolean catalog) {
    if (catalog && relkind.equals("r")) {
      return Relation.Kind.CATALOG;
    }
    return switch (relkind) {
      case "r" -> Relation.Kind.TABLE;
      case "p" -> Relation.Kind.PARTITIONED_TABLE;
      case "m" -> Relation.Kind.MATERIALIZED_VIEW;
      case "S" -> Relation.Kind.SEQUENCE;
      case "i", "I" -> Relation.Kind.INDEX;
      case "t" -> Relation.Kind.TOAST;
      default -> Relation.Kind.OTHER;
    };
  }

  @Override
  public @Nullable CatalogSnapshot snapshot(Lsn at) {
    return rows.snapshot(at);
  }

  @Override
  public long partitionRoot(long database, long oid, Lsn at) {
    return roots.getOrDefault(List.of(database, oid), UNKNOWN_ROOT);
  }

  @Override
  public @Nullable Relation byFile(RelFile file, Lsn at) {
    return byFile.get(file);
  }

  @Override
  public @Nullable Relation byOid(long database, long oid, Lsn at) {
    return relations.stream()
        .filter(relation -> relation.database() == database && relation.oid() == oid)
        .findFirst()
        .orElse(null);
  }

  @Override
  public @Nullable String database(long oid, Lsn at) {
    return databases.get(oid);
  }

  @Override
  public List<Relation> tablesOf(long database, Lsn at) {
    return relations.stream()
        .filter(relation -> relation.database() == database)
        .filter(
            relation -> relation.holdsRows() || relation.kind() == Relation.Kind.PARTITIONED_TABLE)
        .toList();
  }
}
