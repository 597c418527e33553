package dev.holdfast.operations;

import dev.holdfast.damage.CatalogSnapshot;
import dev.holdfast.damage.RecordedCatalog;
import dev.holdfast.damage.Relation;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Names for the files and OIDs that WAL speaks of, from the catalog snapshots in the repository.
 *
 * <p>A file's name at an LSN is that of the newest snapshot at or before it which knows the file,
 * or else of the oldest one after it: a file number is not used again while a snapshot interval
 * lasts, so whoever knows it knows it rightly. Of a table that came and went between two snapshots
 * nothing is known, and nothing is guessed.
 */
final class RecordedNames implements RecordedCatalog {
  private static final char INDEX = 'i';
  private static final char TOAST = 't';

  /** A trace asks for the snapshot in force and the one before it, while it passes to the next. */
  private static final int OPENED_MAX = 3;

  private final Map<RelFile, NavigableMap<Lsn, Relation>> byFile = new HashMap<>();
  private final Map<Oid, NavigableMap<Lsn, Relation>> byOid = new HashMap<>();
  private final Map<Long, NavigableMap<Lsn, String>> databases = new HashMap<>();

  /** Of partitions: the table at the top of their tree. */
  private final Map<Oid, NavigableMap<Lsn, Long>> roots = new HashMap<>();

  private final NavigableMap<Lsn, Map<Long, List<Relation>>> tables = new TreeMap<>();

  /** Where the snapshots were taken, with what gives them again. */
  private final NavigableMap<Lsn, Supplier<Catalog>> snapshots = new TreeMap<>();

  /** Those asked for last, as {@link CatalogSnapshot}: many are kept by their position alone. */
  private final Map<Lsn, CatalogSnapshot> opened =
      new LinkedHashMap<>(4, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Lsn, CatalogSnapshot> eldest) {
          return size() > OPENED_MAX;
        }
      };

  /** Snapshots of the repository that were read. */
  private final Set<String> read = new HashSet<>();

  private record Oid(long database, long oid) {}

  private RecordedNames() {}

  /** Knows nothing yet. */
  static RecordedNames none() {
    return new RecordedNames();
  }

  /** Reads every catalog snapshot of the cluster. */
  static RecordedNames of(ClusterStore cluster) {
    RecordedNames names = new RecordedNames();
    names.update(cluster);
    return names;
  }

  /** Reads the newest catalog snapshot at or before a position, and those after it. */
  static RecordedNames near(ClusterStore cluster, Lsn at) {
    RecordedNames names = new RecordedNames();
    String wanted = "%016X".formatted(at.position());
    List<String> all = cluster.catalogs().stream().sorted().toList();
    long older = all.stream().filter(lsn -> lsn.compareTo(wanted) <= 0).count();
    all.stream().skip(Math.max(0, older - 1)).forEach(lsn -> names.read(cluster, lsn));
    return names;
  }

  /** Reads the snapshots that came since. */
  void update(ClusterStore cluster) {
    for (String lsn : cluster.catalogs()) {
      if (!read.contains(lsn)) {
        read(cluster, lsn);
      }
    }
  }

  private void read(ClusterStore cluster, String lsn) {
    Catalog catalog = cluster.catalog(lsn, Catalog.class);
    add(catalog);
    snapshots.put(catalog.position(), () -> cluster.catalog(lsn, Catalog.class));
    read.add(lsn);
  }

  /** Learns one more snapshot: the recorder does after every change of the schema. */
  void add(Catalog catalog) {
    Lsn at = catalog.position();
    Map<Long, List<Relation>> tablesNow = new HashMap<>();
    for (Catalog.Database database : catalog.databases()) {
      databases.computeIfAbsent(database.oid(), _ -> new TreeMap<>()).put(at, database.name());
      Map<Long, Catalog.Relation> owners = new HashMap<>();
      database.relations().forEach(relation -> owners.put(relation.oid(), relation));
      for (Catalog.Relation relation : database.relations()) {
        Relation named = named(database, relation, owners);
        byOid
            .computeIfAbsent(new Oid(database.oid(), relation.oid()), _ -> new TreeMap<>())
            .put(at, named);
        Long root = root(relation, owners);
        boolean mayBePartition =
            named.kind() == Relation.Kind.TABLE || named.kind() == Relation.Kind.PARTITIONED_TABLE;
        if (root != null && mayBePartition) {
          roots
              .computeIfAbsent(new Oid(database.oid(), relation.oid()), _ -> new TreeMap<>())
              .put(at, root);
        }
        if (relation.file() != 0) {
          byFile
              .computeIfAbsent(relation.fileIn(database.oid()), _ -> new TreeMap<>())
              .put(at, named);
        }
        if (named.kind() == Relation.Kind.TABLE
            || named.kind() == Relation.Kind.PARTITIONED_TABLE
            || named.kind() == Relation.Kind.MATERIALIZED_VIEW) {
          tablesNow.computeIfAbsent(database.oid(), _ -> new ArrayList<>()).add(named);
        }
      }
    }
    tables.put(at, tablesNow);
    snapshots.put(at, () -> catalog);
  }

  @Override
  public @Nullable CatalogSnapshot snapshot(Lsn at) {
    if (snapshots.isEmpty()) {
      return null;
    }
    Map.Entry<Lsn, Supplier<Catalog>> before = snapshots.floorEntry(at);
    Map.Entry<Lsn, Supplier<Catalog>> found = before == null ? snapshots.firstEntry() : before;
    CatalogSnapshot snapshot = opened.get(found.getKey());
    if (snapshot == null) {
      snapshot = CatalogRows.of(found.getValue().get());
      opened.put(found.getKey(), snapshot);
    }
    return snapshot;
  }

  /** Where the newest snapshot before a position was taken; null when there is none. */
  @Nullable Lsn takenBefore(Lsn at) {
    return snapshots.lowerKey(at);
  }

  /** The topmost parent; 0 for no partition, null when parents were not recorded. */
  private static @Nullable Long root(
      Catalog.Relation relation, Map<Long, Catalog.Relation> relations) {
    Long root = relation.parent();
    for (Long next = root; next != null && next != 0; ) {
      root = next;
      Catalog.Relation parent = relations.get(next);
      next = parent == null ? null : parent.parent();
    }
    return root;
  }

  @Override
  public long partitionRoot(long database, long oid, Lsn at) {
    Long root = nearest(roots.get(new Oid(database, oid)), at);
    return root == null ? UNKNOWN_ROOT : root;
  }

  @Override
  public @Nullable Relation byFile(RelFile file, Lsn at) {
    return nearest(byFile.get(file), at);
  }

  @Override
  public @Nullable Relation byOid(long database, long oid, Lsn at) {
    return nearest(byOid.get(new Oid(database, oid)), at);
  }

  @Override
  public @Nullable String database(long oid, Lsn at) {
    return nearest(databases.get(oid), at);
  }

  /**
   * The OID of the database that was called so at a position, or the last one that was before; null
   * when none is known.
   */
  @Nullable Long databaseOid(String name, Lsn at) {
    @Nullable Long found = null;
    Lsn foundAt = Lsn.NONE;
    for (Map.Entry<Long, NavigableMap<Lsn, String>> database : databases.entrySet()) {
      Lsn known = database.getValue().floorKey(at);
      Lsn knownAt = known == null ? Lsn.NONE : known;
      if (name.equals(nearest(database.getValue(), at))
          && (found == null || knownAt.isAfter(foundAt))) {
        found = database.getKey();
        foundAt = knownAt;
      }
    }
    return found;
  }

  @Override
  public List<Relation> tablesOf(long database, Lsn at) {
    Map.Entry<Lsn, Map<Long, List<Relation>>> snapshot = tables.floorEntry(at);
    return snapshot == null ? List.of() : snapshot.getValue().getOrDefault(database, List.of());
  }

  /** Every file number the snapshots know for one table, over time. */
  Set<RelFile> filesOf(long database, long oid) {
    Set<RelFile> files = new HashSet<>();
    byFile.forEach((file, over) -> {
      if (over.values().stream().anyMatch(r -> r.database() == database && r.oid() == oid)) {
        files.add(file);
      }
    });
    return files;
  }

  private static <T> @Nullable T nearest(@Nullable NavigableMap<Lsn, T> over, Lsn at) {
    if (over == null) {
      return null;
    }
    Map.Entry<Lsn, T> before = over.floorEntry(at);
    return before != null ? before.getValue() : over.firstEntry().getValue();
  }

  private static Relation named(
      Catalog.Database database, Catalog.Relation relation, Map<Long, Catalog.Relation> owners) {
    Catalog.Relation owner = owners.getOrDefault(relation.owner(), relation);
    Relation.Kind kind =
        switch (relation.kind().charAt(0)) {
          case 'r' -> isSystem(relation) ? Relation.Kind.CATALOG : Relation.Kind.TABLE;
          case 'p' -> Relation.Kind.PARTITIONED_TABLE;
          case 'm' -> Relation.Kind.MATERIALIZED_VIEW;
          case 'S' -> Relation.Kind.SEQUENCE;
          case INDEX, 'I' -> Relation.Kind.INDEX;
          case TOAST -> Relation.Kind.TOAST;
          default -> Relation.Kind.OTHER;
        };
    return new Relation(
        database.oid(),
        database.name(),
        relation.oid(),
        new TableName(owner.schema(), owner.name()),
        kind,
        relation.persistence().equals("u"),
        relation.estimatedRows(),
        relation.bytes());
  }

  private static boolean isSystem(Catalog.Relation relation) {
    return relation.schema().equals("pg_catalog") || relation.schema().equals("information_schema");
  }
}
