package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.time.Instant;
import java.util.List;

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
 */
public record Catalog(String lsn, Instant takenAt, int major, List<Database> databases) {
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
   */
  public record Database(
      long oid, String name, long tablespace, boolean readable, List<Relation> relations) {
    /** Copies the list. */
    public Database {
      relations = List.copyOf(relations);
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
      List<String> key) {
    /** Copies the lists. */
    public Relation {
      columns = List.copyOf(columns);
      key = List.copyOf(key);
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
