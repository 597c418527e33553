package dev.holdfast.damage;

import dev.holdfast.row.TableName;

/**
 * A relation as the catalog knows it.
 *
 * @param database OID of its database; 0 for shared catalogs
 * @param databaseName the database's name
 * @param oid its OID in pg_class
 * @param name its name; for TOAST tables and indexes, the name of the table they belong to
 * @param kind what it is
 * @param unlogged whether WAL does not carry its rows: they cannot be recovered
 * @param estimatedRows the planner's estimate; -1 when unknown
 * @param bytes size of its main fork when the catalog was read; -1 when unknown
 */
public record Relation(
    long database,
    String databaseName,
    long oid,
    TableName name,
    Kind kind,
    boolean unlogged,
    long estimatedRows,
    long bytes) {
  /** What a relation is. */
  public enum Kind {
    /** An ordinary table, a partition included. */
    TABLE,
    /** The parent of partitions: it has no file of its own. */
    PARTITIONED_TABLE,
    /** A materialised view. */
    MATERIALIZED_VIEW,
    /** A sequence. */
    SEQUENCE,
    /** An index. */
    INDEX,
    /** Where a table's long values lie. */
    TOAST,
    /** One of PostgreSQL's own tables. */
    CATALOG,
    /** Anything else. */
    OTHER
  }

  /** Whether it holds rows somebody could miss. */
  boolean holdsRows() {
    return (kind == Kind.TABLE || kind == Kind.MATERIALIZED_VIEW) && !isTemporary();
  }

  /** Whether it goes with its session: only such tables are in schemas of that name. */
  boolean isTemporary() {
    return name.schema().startsWith("pg_temp_");
  }
}
