package dev.holdfast.damage;

import dev.holdfast.row.TableName;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.Tid;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Snapshots of a running server's catalogs, with the places of their rows or without. */
final class ServerCatalog implements RecordedCatalog {
  private record One(
      CatalogSnapshot snapshot,
      Map<Long, String> databases,
      Map<RelFile, Relation> byFile,
      Map<List<Long>, Relation> byOid) {}

  private final NavigableMap<Lsn, One> snapshots = new TreeMap<>();
  private final boolean places;

  ServerCatalog(boolean places) {
    this.places = places;
  }

  /** Reads the catalogs as they are now; answers where WAL stood before. */
  Lsn take(TestServer server) {
    return take(server, () -> {});
  }

  /**
   * @param meanwhile what happens after the position was read and before the catalogs are
   */
  Lsn take(TestServer server, Runnable meanwhile) {
    String[] moment =
        server
            .query("SELECT pg_snapshot_xmin(pg_current_snapshot()), pg_current_wal_insert_lsn()")
            .getFirst()
            .split("\\|", -1);
    long oldest = Long.parseLong(moment[0]);
    Lsn position = Lsn.parse(moment[1]);
    meanwhile.run();
    Lsn readThrough = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
    One one =
        new One(
            new CatalogSnapshot(position, readThrough, places, oldest),
            new HashMap<>(),
            new HashMap<>(),
            new HashMap<>());
    for (String line :
        server.query(
            "SELECT oid, datname, datallowconn, dattablespace, ctid, xmin,"
                + " pg_column_size(d) - CASE WHEN d IS NOT NULL THEN 24 ELSE 32 END"
                + " FROM pg_database d")) {
      String[] c = line.split("\\|", -1);
      long oid = Long.parseLong(c[0]);
      boolean connect = c[2].equals("t");
      one.snapshot.addDatabase(oid, c[1], connect, place(c, 4, oldest));
      one.databases.put(oid, c[1]);
      if (connect) {
        read(server, one, oid, c[1], Long.parseLong(c[3]), oldest);
      }
    }
    snapshots.put(position, one);
    return position;
  }

  private void read(
      TestServer server, One one, long database, String name, long tablespace, long oldest) {
    for (String line :
        server.queryIn(
            name, "SELECT oid, nspname, ctid, xmin, pg_column_size(n) - 24 FROM pg_namespace n")) {
      String[] c = line.split("\\|", -1);
      one.snapshot.addSchema(database, Long.parseLong(c[0]), c[1], place(c, 2, oldest));
    }
    for (String line :
        server.queryIn(
            name,
            "SELECT a.attrelid, a.attnum, a.attname, a.ctid, a.xmin,"
                + " pg_column_size(a) - CASE WHEN a IS NOT NULL THEN 24 ELSE 32 END"
                + " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
                + " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid >= 16384")) {
      String[] c = line.split("\\|", -1);
      one.snapshot.addColumn(
          database, Long.parseLong(c[0]), Integer.parseInt(c[1]), c[2], place(c, 3, oldest));
    }
    for (String line :
        server.queryIn(
            name,
            "SELECT t.oid, t.tgrelid, t.tgname, t.tgfoid, t.tgenabled, t.ctid, t.xmin,"
                + " pg_column_size(t) - 32"
                + " FROM pg_trigger t WHERE t.tgname LIKE 'holdfast%' AND t.tgqual IS NULL")) {
      String[] c = line.split("\\|", -1);
      CatalogSnapshot.Place place = place(c, 5, oldest);
      if (place != null) {
        one.snapshot.addTrigger(
            database,
            new CatalogSnapshot.TriggerRow(
                Long.parseLong(c[0]),
                Long.parseLong(c[1]),
                c[2],
                Long.parseLong(c[3]),
                c[4].charAt(0)),
            place);
      }
    }
    for (Seen seen : Seen.all(server, name, tablespace)) {
      CatalogSnapshot.Place place = place(seen.place().toArray(String[]::new), 0, oldest);
      if (place != null) {
        one.snapshot.addRelation(database, seen.row(), place);
      }
      if (seen.owner() != 0) {
        one.snapshot.addOwner(database, seen.oid(), seen.owner());
      }
      if (seen.file() != null && seen.oid() < 16384) {
        one.snapshot.addCatalogFile(seen.oid(), seen.file());
      }
      Relation relation = seen.relation(database, name);
      one.byOid.put(List.of(database, seen.oid()), relation);
      if (seen.file() != null) {
        one.byFile.put(seen.file(), relation);
      }
    }
  }

  private CatalogSnapshot.@Nullable Place place(String[] columns, int at, long oldest) {
    if (!places) {
      return null;
    }
    String[] tid = columns[at].substring(1, columns[at].length() - 1).split(",", -1);
    long xmin = Long.parseLong(columns[at + 1]);
    return new CatalogSnapshot.Place(
        new Tid(Long.parseLong(tid[0]), Integer.parseInt(tid[1])).pack(),
        Integer.parseInt(columns[at + 2]),
        (int) (xmin - oldest) < 0 ? 0 : xmin);
  }

  /** A row of pg_class as the server shows it, and whose it is. */
  record Seen(
      long oid,
      TableName own,
      TableName named,
      CatalogSnapshot.RelationRow row,
      @Nullable RelFile file,
      long owner,
      List<String> place) {
    static List<Seen> all(TestServer server, String database, long tablespace) {
      List<Seen> all = new ArrayList<>();
      for (String line :
          server.queryIn(
              database,
              "SELECT c.oid, n.nspname, c.relname, c.relnamespace, c.relfilenode, c.reltablespace,"
                  + " c.relkind, c.relpersistence, c.reltoastrelid,"
                  + " coalesce(pg_relation_filenode(c.oid), 0), c.relisshared,"
                  + " coalesce(ti.oid, i.indrelid, t.oid, 0) AS owner,"
                  + " coalesce(tin.nspname, ino.nspname, tn.nspname, n.nspname),"
                  + " coalesce(ti.relname, io.relname, t.relname, c.relname), d.oid,"
                  + " c.ctid, c.xmin,"
                  + " pg_column_size(c) - CASE WHEN c IS NOT NULL THEN 24 ELSE 32 END"
                  + " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                  + " JOIN pg_database d ON d.datname = current_database()"
                  + " LEFT JOIN pg_index i ON i.indexrelid = c.oid"
                  + " LEFT JOIN pg_class io ON io.oid = i.indrelid"
                  + " LEFT JOIN pg_namespace ino ON ino.oid = io.relnamespace"
                  + " LEFT JOIN pg_class ti ON ti.reltoastrelid = i.indrelid AND io.relkind = 't'"
                  + " LEFT JOIN pg_namespace tin ON tin.oid = ti.relnamespace"
                  + " LEFT JOIN pg_class t ON t.reltoastrelid = c.oid AND c.relkind = 't'"
                  + " LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace")) {
        String[] c = line.split("\\|", -1);
        long space = Long.parseLong(c[5]);
        long number = Long.parseLong(c[9]);
        boolean shared = c[10].equals("t");
        all.add(
            new Seen(
                Long.parseLong(c[0]),
                new TableName(c[1], c[2]),
                new TableName(c[12], c[13]),
                new CatalogSnapshot.RelationRow(
                    Long.parseLong(c[0]),
                    c[2],
                    Long.parseLong(c[3]),
                    Long.parseLong(c[4]),
                    space,
                    c[6].charAt(0),
                    c[7].charAt(0),
                    Long.parseLong(c[8])),
                number == 0
                    ? null
                    : new RelFile(
                        space == 0 ? tablespace : space,
                        shared ? 0 : Long.parseLong(c[14]),
                        number),
                Long.parseLong(c[11]),
                List.of(c[15], c[16], c[17])));
      }
      return all;
    }

    Relation relation(long database, String name) {
      boolean system =
          own.schema().equals("pg_catalog") || own.schema().equals("information_schema");
      return new Relation(
          database,
          name,
          oid,
          named,
          switch (row.kind()) {
            case 'r' -> system ? Relation.Kind.CATALOG : Relation.Kind.TABLE;
            case 'p' -> Relation.Kind.PARTITIONED_TABLE;
            case 'm' -> Relation.Kind.MATERIALIZED_VIEW;
            case 'S' -> Relation.Kind.SEQUENCE;
            case 'i', 'I' -> Relation.Kind.INDEX;
            case 't' -> Relation.Kind.TOAST;
            default -> Relation.Kind.OTHER;
          },
          row.persistence() == 'u',
          -1,
          -1);
    }
  }

  // ---- what was recorded -----------------------------------------------------------------------

  @Override
  public @Nullable CatalogSnapshot snapshot(Lsn at) {
    if (snapshots.isEmpty()) {
      return null;
    }
    Map.Entry<Lsn, One> before = snapshots.floorEntry(at);
    return (before == null ? snapshots.firstEntry() : before).getValue().snapshot;
  }

  @Override
  public @Nullable Relation byFile(RelFile file, Lsn at) {
    return nearest(at, one -> one.byFile.get(file));
  }

  @Override
  public @Nullable Relation byOid(long database, long oid, Lsn at) {
    return nearest(at, one -> one.byOid.get(List.of(database, oid)));
  }

  @Override
  public @Nullable String database(long oid, Lsn at) {
    return nearest(at, one -> one.databases.get(oid));
  }

  @Override
  public List<Relation> tablesOf(long database, Lsn at) {
    Map.Entry<Lsn, One> before = snapshots.floorEntry(at);
    return before == null
        ? List.of()
        : before.getValue().byOid.values().stream()
            .filter(relation -> relation.database() == database)
            .filter(relation ->
                relation.holdsRows() || relation.kind() == Relation.Kind.PARTITIONED_TABLE)
            .toList();
  }

  private interface Asked<T> {
    @Nullable T of(One one);
  }

  private <T> @Nullable T nearest(Lsn at, Asked<T> asked) {
    for (One one : snapshots.headMap(at, true).descendingMap().values()) {
      T found = asked.of(one);
      if (found != null) {
        return found;
      }
    }
    for (One one : snapshots.tailMap(at, false).values()) {
      T found = asked.of(one);
      if (found != null) {
        return found;
      }
    }
    return null;
  }
}
