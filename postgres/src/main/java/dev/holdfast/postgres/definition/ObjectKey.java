package dev.holdfast.postgres.definition;

/**
 * An object as {@code pg_depend} names it.
 *
 * @param column the attnum when this is a column of a table that itself survives; 0 otherwise
 */
record ObjectKey(SystemCatalog catalog, long oid, int column) {
  ObjectKey(SystemCatalog catalog, long oid) {
    this(catalog, oid, 0);
  }
}
