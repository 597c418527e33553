package dev.holdfast.wal;

/**
 * Cumulative statistics a transaction dropped with their object: from PostgreSQL 15 on, the one
 * place where a commit record names a dropped relation by its OID ("access/xact.h", PostgreSQL 18).
 *
 * @param kind {@link #DATABASE}, {@link #RELATION}, or another of pgstat's kinds
 * @param database OID of its database; 0 for shared objects
 * @param object the object's OID, 64 bits since PostgreSQL 18
 */
public record DroppedStat(int kind, long database, long object) {
  /** The object is a database. */
  public static final int DATABASE = 1;

  /** The object is a table, TOAST table, index or materialised view. */
  public static final int RELATION = 2;
}
