package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.time.Instant;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What the files of a cluster belonged to at one position of the WAL. Kept in the repository as
 * JSON: components are only ever added.
 *
 * @param lsn where WAL stood just before the catalog was read, as PostgreSQL writes it. A
 *     transaction whose commit record ends at or before it is in the catalog, save one that was
 *     committing in that very instant; later ones may be
 * @param takenAt when, by this machine's clock
 * @param major the server's major version
 * @param databases every database of the cluster, by OID
 * @param readThrough where WAL stood just after the catalog was read; null in snapshots of the
 *     first days, which do not tell places of rows either
 * @param oldestRunning the oldest transaction that ran at {@code lsn}; null as above
 */
public record Catalog(
    String lsn,
    Instant takenAt,
    int major,
    List<Database> databases,
    @Nullable String readThrough,
    @Nullable Long oldestRunning) {
  /** Copies the list. */
  public Catalog {
    databases = List.copyOf(databases);
  }

  /** The position as a value. */
  public Lsn position() {
    return Lsn.parse(lsn);
  }

  /**
   * One database.
   *
   * @param oid its OID, unsigned 32-bit
   * @param tablespace OID of its default tablespace, which its mapped catalogs live in
   * @param readable false when it refuses connections (template0), or us: then no relations are
   *     known
   * @param relations by OID; those shared by all databases stand in each
   * @param schemas by OID; empty when they were not recorded
   * @param place of its row in pg_database, as {@link Place} writes it; null when not recorded
   * @param guardTriggers the guard's triggers; empty when they were not recorded
   */
  public record Database(
      long oid,
      String name,
      long tablespace,
      boolean readable,
      List<Relation> relations,
      @Nullable List<Schema> schemas,
      @Nullable String place,
      @Nullable List<Trigger> guardTriggers) {
    /** Copies the lists. */
    public Database {
      relations = List.copyOf(relations);
      schemas = schemas == null ? List.of() : List.copyOf(schemas);
      guardTriggers = guardTriggers == null ? List.of() : List.copyOf(guardTriggers);
    }

    /** Never null. */
    @Override
    public List<Trigger> guardTriggers() {
      return guardTriggers == null ? List.of() : guardTriggers;
    }

    /** Never null. */
    @Override
    public List<Schema> schemas() {
      return schemas == null ? List.of() : schemas;
    }
  }

  /**
   * One schema.
   *
   * @param oid its OID
   * @param place of its row in pg_namespace, as {@link Place} writes it
   */
  public record Schema(long oid, String name, String place) {}

  /**
   * One trigger.
   *
   * @param oid its OID
   * @param table tgrelid
   * @param name tgname
   * @param function tgfoid
   * @param enabled tgenabled
   * @param place of its row in pg_trigger, as {@link Place} writes it
   */
  public record Trigger(
      long oid, long table, String name, long function, String enabled, String place) {}

  /**
   * What a row of pg_class says beside the names: what is needed to understand how WAL tells a
   * change to it, as a difference.
   *
   * @param place of the row, as {@link Place} writes it
   * @param schema relnamespace
   * @param fileNode relfilenode; 0 for mapped catalogs
   * @param tablespace reltablespace; 0 for the database's own
   * @param toast reltoastrelid
   */
  public record ClassRow(String place, long schema, long fileNode, long tablespace, long toast) {}

  /**
   * Where a row of a catalog lay. Written {@code (12,3)/172}, or {@code (12,3)/172/755} with its
   * writer: snapshots hold many.
   *
   * @param block block number of its ctid
   * @param offset line pointer of its ctid
   * @param length bytes of its columns, without the header
   * @param writer the transaction that wrote it; 0 when that had ended at the snapshot's position
   */
  public record Place(long block, int offset, int length, long writer) {
    private static final Pattern TEXT =
        Pattern.compile("\\((\\d{1,10}),(\\d{1,5})\\)/(\\d{1,5})(?:/(\\d{1,10}))?");

    /**
     * Reads what {@link #toString} wrote.
     *
     * @throws IllegalArgumentException when the text is no place
     */
    public static Place parse(String text) {
      Matcher matcher = TEXT.matcher(text);
      if (!matcher.matches()) {
        throw new IllegalArgumentException("\"" + text + "\" is not the place of a row");
      }
      return new Place(
          Long.parseLong(matcher.group(1)),
          Integer.parseInt(matcher.group(2)),
          Integer.parseInt(matcher.group(3)),
          matcher.group(4) == null ? 0 : Long.parseLong(matcher.group(4)));
    }

    @Override
    public String toString() {
      return "(%d,%d)/%d%s".formatted(block, offset, length, writer == 0 ? "" : "/" + writer);
    }
  }

  /**
   * One row of pg_class ("catalog/pg_class.h", PostgreSQL 18).
   *
   * @param oid its OID, unsigned 32-bit
   * @param kind relkind: {@code r} table, {@code p} partitioned table, {@code m} materialised view,
   *     {@code S} sequence, {@code i} index, {@code I} partitioned index, {@code t} TOAST, {@code
   *     v} view, {@code f} foreign table
   * @param file the relfilenumber; 0 when it has no file. Mapped catalogs are resolved
   * @param tablespace OID, the database's default resolved; 1664 for shared catalogs; 0 without
   *     file
   * @param persistence {@code p} permanent, {@code u} unlogged, {@code t} temporary
   * @param owner OID of the table that a TOAST table or an index belongs to (the index of a TOAST
   *     table: the table above both); 0 for others
   * @param estimatedRows from the statistics; -1 when unknown
   * @param bytes size of its main fork's files; -1 when unknown
   * @param columns of what an operator would name (kinds r, p, m, v, f with OID from 16384), by
   *     attnum, without dropped ones
   * @param key the columns of its primary key, else of a unique index over columns that cannot be
   *     null; empty when there is none
   * @param row where its row of pg_class lay, and more of what that says; null when not recorded
   * @param columnPlaces of the rows of pg_attribute, in the order of {@code columns}; empty when
   *     not recorded
   * @param parent OID of the partitioned table it is a partition of; 0 for none; null when not
   *     recorded
   */
  public record Relation(
      long oid,
      String schema,
      String name,
      String kind,
      long file,
      long tablespace,
      String persistence,
      long owner,
      long estimatedRows,
      long bytes,
      List<Column> columns,
      List<String> key,
      @Nullable ClassRow row,
      @Nullable List<String> columnPlaces,
      @Nullable Long parent) {
    /** Copies the lists. */
    public Relation {
      columns = List.copyOf(columns);
      key = List.copyOf(key);
      columnPlaces = columnPlaces == null ? List.of() : List.copyOf(columnPlaces);
    }

    /** Never null. */
    @Override
    public List<String> columnPlaces() {
      return columnPlaces == null ? List.of() : columnPlaces;
    }

    /**
     * Its file as WAL names it.
     *
     * @param database OID of the database it was read in
     */
    public RelFile fileIn(long database) {
      return new RelFile(tablespace, tablespace == GLOBAL_TABLESPACE ? 0 : database, file);
    }
  }

  /**
   * One column.
   *
   * @param number attnum, from 1; stays when columns before it are dropped
   * @param type as format_type writes it, with its schema unless that is pg_catalog
   */
  public record Column(int number, String name, String type, boolean notNull) {}

  /** OID of pg_global ("catalog/pg_tablespace.dat", PostgreSQL 18). */
  public static final long GLOBAL_TABLESPACE = 1664;
}
