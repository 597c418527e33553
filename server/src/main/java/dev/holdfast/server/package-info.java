/**
 * PostgreSQL server binaries and processes on this machine: find or unpack them, initdb, start,
 * wait, stop, and clean up even when this process is killed.
 *
 * <p>Lives here: everything that starts an operating system process, and which binaries it runs.
 * Does not: SQL, connections, what a server is used for. May use {@code dev.holdfast.failure},
 * commons-compress and xz.
 */
@NullMarked
package dev.holdfast.server;

import org.jspecify.annotations.NullMarked;
