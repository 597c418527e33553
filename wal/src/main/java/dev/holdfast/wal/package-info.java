/**
 * Reads PostgreSQL write-ahead log: segment bytes in, typed records out.
 *
 * <p>Lives here: positions, segment names, page and record decoding for every supported major
 * version. Does not: connections, catalogs, table names, storage. No other package may know the
 * byte layout of WAL. May use {@code dev.holdfast.failure} and the JDK.
 */
@NullMarked
package dev.holdfast.wal;

import org.jspecify.annotations.NullMarked;
