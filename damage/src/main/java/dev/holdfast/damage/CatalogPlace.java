package dev.holdfast.damage;

/**
 * Where a row of a catalog lies.
 *
 * @param database OID of the database; 0 for shared catalogs
 * @param tid see {@link dev.holdfast.wal.Tid#pack}
 */
record CatalogPlace(SystemCatalog catalog, long database, long tid) {}
