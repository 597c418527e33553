package dev.holdfast.store;

/**
 * One WAL segment in the repository.
 *
 * @param name 24 hexadecimal digits, as PostgreSQL names it
 * @param complete whether the whole segment is stored
 * @param bytes valid bytes from its beginning
 */
public record StoredSegment(String name, boolean complete, long bytes) {}
