package dev.holdfast.damage;

import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a catalog snapshot knows of the catalogs' own rows: what they say and, if it was recorded,
 * where they lay. A change that the log tells only as a difference can then be understood.
 *
 * <p>Filled once, by whoever keeps snapshots, then only read.
 */
public final class CatalogSnapshot {
  /**
   * Where a row lay.
   *
   * @param tid its ctid, see {@link dev.holdfast.wal.Tid#pack}
   * @param length bytes of its columns: the row version without its header
   * @param writer the transaction that wrote it, its xmin; 0 when that had ended before the
   *     position of the snapshot, so that the row lay there then
   */
  public record Place(long tid, int length, long writer) {}

  /**
   * A row of pg_class, as it stands there.
   *
   * @param oid its OID
   * @param name relname
   * @param schema relnamespace
   * @param fileNode relfilenode; 0 for mapped catalogs and relations without a file
   * @param tablespace reltablespace; 0 for the database's own
   * @param kind relkind
   * @param persistence relpersistence
   * @param toast reltoastrelid
   */
  public record RelationRow(
      long oid,
      String name,
      long schema,
      long fileNode,
      long tablespace,
      char kind,
      char persistence,
      long toast) {}

  private record Row(Place place, Object content) {}

  /**
   * A row of pg_trigger, as it stands there.
   *
   * @param oid its OID
   * @param table tgrelid
   * @param name tgname
   * @param function tgfoid
   * @param enabled tgenabled
   */
  public record TriggerRow(long oid, long table, String name, long function, char enabled) {}

  private record Named(long oid, String name) {}

  private static final class Database {
    private final Map<Long, String> schemas = new HashMap<>();
    private final Map<String, Long> schemaOids = new HashMap<>();
    private final Map<Long, Long> owners = new HashMap<>();
    private final Map<Long, Row> relationsAt = new HashMap<>();
    private final Map<Long, Row> schemasAt = new HashMap<>();
    private final Map<Long, Row> triggersAt = new HashMap<>();
    private final Columns columns = new Columns();
  }

  /** Columns are many and asked for seldom: arrays, searched from end to end. */
  private static final class Columns {
    private int count;
    private long[] relation = new long[64];
    private int[] number = new int[64];
    private String[] name = new String[64];
    private long[] tid = new long[64];
    private int[] length = new int[64];
    private long[] writer = new long[64];

    void add(long ofRelation, int numbered, String named, @Nullable Place place) {
      if (count == relation.length) {
        int size = 2 * count;
        relation = Arrays.copyOf(relation, size);
        number = Arrays.copyOf(number, size);
        name = Arrays.copyOf(name, size);
        tid = Arrays.copyOf(tid, size);
        length = Arrays.copyOf(length, size);
        writer = Arrays.copyOf(writer, size);
      }
      relation[count] = ofRelation;
      number[count] = numbered;
      name[count] = named;
      tid[count] = place == null ? -1 : place.tid;
      length[count] = place == null ? 0 : place.length;
      writer[count] = place == null ? 0 : place.writer;
      count++;
    }
  }

  private final Lsn position;
  private final Lsn readThrough;
  private final boolean hasPlaces;
  private final long oldestRunning;
  private final Set<Long> covered = new HashSet<>();
  private final Map<Long, Database> databases = new HashMap<>();
  private final Map<Long, Row> databasesAt = new HashMap<>();
  private final Map<RelFile, Long> catalogFiles = new HashMap<>();

  /**
   * @param position where WAL stood before the catalog was read
   * @param readThrough where it stood after; the position again when that was not recorded
   * @param hasPlaces whether places of rows were recorded
   * @param oldestRunning the oldest transaction that ran at that position, if places were recorded
   */
  public CatalogSnapshot(Lsn position, Lsn readThrough, boolean hasPlaces, long oldestRunning) {
    this.position = position;
    this.readThrough = readThrough;
    this.hasPlaces = hasPlaces;
    this.oldestRunning = oldestRunning;
  }

  /**
   * Adds a database.
   *
   * @param covered whether its relations could be read, and are added too
   * @param place of its row in pg_database, if recorded
   */
  public void addDatabase(long oid, String name, boolean covered, @Nullable Place place) {
    if (covered) {
      this.covered.add(oid);
    }
    if (place != null) {
      databasesAt.put(place.tid, new Row(place, new Named(oid, name)));
    }
  }

  /** Adds a schema of a database. */
  public void addSchema(long database, long oid, String name, @Nullable Place place) {
    Database in = database(database);
    in.schemas.put(oid, name);
    in.schemaOids.put(name, oid);
    if (place != null) {
      in.schemasAt.put(place.tid, new Row(place, new Named(oid, name)));
    }
  }

  /** Adds a row of pg_class that lay at a place. */
  public void addRelation(long database, RelationRow relation, Place place) {
    database(database).relationsAt.put(place.tid, new Row(place, relation));
  }

  /** Adds a row of pg_trigger that lay at a place: the guard's are enough. */
  public void addTrigger(long database, TriggerRow trigger, Place place) {
    database(database).triggersAt.put(place.tid, new Row(place, trigger));
  }

  /** Adds the table that an index or a TOAST table belongs to. */
  public void addOwner(long database, long relation, long owner) {
    database(database).owners.put(relation, owner);
  }

  /**
   * Adds the file of one of PostgreSQL's own tables; those that stand elsewhere than it first did.
   */
  public void addCatalogFile(long oid, RelFile file) {
    if (SystemCatalog.ofOid(oid) != null && file.number() != oid) {
      catalogFiles.put(file, oid);
    }
  }

  /** Adds a column of a relation. */
  public void addColumn(
      long database, long relation, int number, String name, @Nullable Place place) {
    database(database).columns.add(relation, number, name, place);
  }

  private Database database(long oid) {
    return databases.computeIfAbsent(oid, _ -> new Database());
  }

  // ---- what a trace asks -----------------------------------------------------------------------

  Lsn position() {
    return position;
  }

  /** Before this position it may tell names that came only later. */
  Lsn readThrough() {
    return readThrough;
  }

  boolean hasPlaces() {
    return hasPlaces;
  }

  boolean covers(long database) {
    return database == 0 || covered.contains(database);
  }

  /** Whether it surely has what a transaction did at a position. */
  boolean has(Lsn done, long xid) {
    return done.isBefore(position) && (!hasPlaces || (int) (xid - oldestRunning) < 0);
  }

  /** OIDs of catalogs whose files are not those they first had. */
  Map<RelFile, Long> catalogFiles() {
    return catalogFiles;
  }

  /** Whether the catalog stood in this file when the places of its rows were read. */
  boolean stoodIn(RelFile file, SystemCatalog catalog) {
    for (Map.Entry<RelFile, Long> moved : catalogFiles.entrySet()) {
      if (moved.getValue() == catalog.oid && moved.getKey().database() == file.database()) {
        return moved.getKey().equals(file);
      }
    }
    return file.number() == catalog.oid;
  }

  @Nullable String schema(long database, long oid) {
    Database in = databases.get(database);
    return in == null ? null : in.schemas.get(oid);
  }

  @Nullable Long schemaOid(long database, String name) {
    Database in = databases.get(database);
    return in == null ? null : in.schemaOids.get(name);
  }

  /** Whether every database known has a schema of this OID and calls it so. */
  boolean allCall(long schema, String name) {
    return !databases.isEmpty()
        && databases.values().stream().allMatch(in -> name.equals(in.schemas.get(schema)));
  }

  /** The table an index or a TOAST table belongs to; 0 when it belongs to none. */
  long owner(long database, long oid) {
    Database in = databases.get(database);
    return in == null ? 0 : in.owners.getOrDefault(oid, 0L);
  }

  /** The column's name; null when there was none. */
  @Nullable String column(long database, long relation, int number) {
    Database in = databases.get(database);
    for (int index = 0; in != null && index < in.columns.count; index++) {
      if (in.columns.relation[index] == relation && in.columns.number[index] == number) {
        return in.columns.name[index];
      }
    }
    return null;
  }

  /**
   * The row that lay at a place, as far as it is known; null when none did.
   *
   * @param writer the transaction that is known to have written it; 0: whoever had ended by then
   */
  @Nullable HeapTuple rowAt(
      SystemCatalog catalog, long database, long tid, long writer, int major) {
    Database in = databases.get(database);
    if (catalog == SystemCatalog.ATTRIBUTE) {
      return in == null ? null : columnAt(in.columns, tid, writer, major);
    }
    Row row =
        switch (catalog) {
          case DATABASE -> databasesAt.get(tid);
          case CLASS -> in == null ? null : in.relationsAt.get(tid);
          case NAMESPACE -> in == null ? null : in.schemasAt.get(tid);
          case TRIGGER -> in == null ? null : in.triggersAt.get(tid);
          case ATTRIBUTE, INDEX -> null;
        };
    // A trigger that the catalog showed was committed, whoever was still running then.
    boolean shown = catalog == SystemCatalog.TRIGGER && writer == 0;
    if (row == null || (row.place.writer != writer && !shown)) {
      return null;
    }
    HeapTuple.Builder tuple = HeapTuple.partly(row.place.length, true);
    if (row.content instanceof RelationRow relation) {
      return tuple
          .u32(0, relation.oid)
          .name(SystemCatalog.NAME, relation.name)
          .u32(SystemCatalog.CLASS_NAMESPACE, relation.schema)
          .u32(SystemCatalog.CLASS_FILE, relation.fileNode)
          .u32(SystemCatalog.CLASS_TABLESPACE, relation.tablespace)
          .u32(SystemCatalog.classToast(major), relation.toast)
          .u8(SystemCatalog.classPersistence(major), relation.persistence)
          .u8(SystemCatalog.classKind(major), relation.kind)
          .build();
    }
    if (row.content instanceof TriggerRow trigger) {
      return tuple
          .u32(0, trigger.oid)
          .u32(SystemCatalog.TRIGGER_TABLE, trigger.table)
          .name(SystemCatalog.TRIGGER_NAME, trigger.name)
          .u32(SystemCatalog.TRIGGER_FUNCTION, trigger.function)
          .u8(SystemCatalog.TRIGGER_ENABLED, trigger.enabled)
          .build();
    }
    Named named = (Named) row.content;
    return tuple.u32(0, named.oid).name(SystemCatalog.NAME, named.name).build();
  }

  private static @Nullable HeapTuple columnAt(Columns columns, long tid, long writer, int major) {
    for (int index = 0; index < columns.count; index++) {
      if (columns.tid[index] == tid && columns.writer[index] == writer) {
        int number = columns.number[index];
        int at = SystemCatalog.attributeNumber(major);
        return HeapTuple.partly(columns.length[index], true)
            .u32(0, columns.relation[index])
            .name(SystemCatalog.NAME, columns.name[index])
            .u8(at, number & 0xFF)
            .u8(at + 1, number >>> 8)
            .build();
      }
    }
    return null;
  }
}
