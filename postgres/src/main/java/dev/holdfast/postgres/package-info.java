/**
 * PostgreSQL as an engine: connections, catalog, base backup, WAL receiver, restore, forks, rows.
 *
 * <p>Lives here: everything that speaks to a PostgreSQL server or knows its directory layout. Does
 * not: the bytes of WAL ({@code wal}), the repository's files ({@code store}), starting processes
 * ({@code server}), decisions about rows ({@code revert}). May use {@code wal}, {@code row}, {@code
 * store}, {@code server} and {@code failure}.
 */
@NullMarked
package dev.holdfast.postgres;

import org.jspecify.annotations.NullMarked;
