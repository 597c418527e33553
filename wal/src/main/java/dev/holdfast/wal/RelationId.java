package dev.holdfast.wal;

/**
 * A relation by OID, as locks and cache invalidations name it.
 *
 * @param database OID of its database; 0 for shared catalogs
 * @param relation OID in pg_class; 0 means every relation of the database
 */
public record RelationId(long database, long relation) {}
