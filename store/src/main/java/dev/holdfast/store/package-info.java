/**
 * The repository: everything recorded about the protected clusters, compressed and checksummed.
 *
 * <p>Lives here: objects, their format ({@code FORMAT.md}), base backups, WAL segments, catalogs
 * and small documents. Does not: connections, the meaning of WAL bytes, what is in a catalog; LSNs
 * are {@code long}s and segments are names here; how a directory or a bucket holds objects, which
 * {@code store.local} and {@code store.s3} hide. Every failure is an {@code OperatorException}. May
 * use {@code dev.holdfast.failure} and the JDK.
 */
@NullMarked
package dev.holdfast.store;

import org.jspecify.annotations.NullMarked;
