/**
 * What Holdfast puts inside a PostgreSQL database: the guard that refuses or tells of destructive
 * statements, for every client.
 *
 * <p>Lives here: the guard's SQL (schema {@code holdfast}; plain SQL and PL/pgSQL, PostgreSQL 14 to
 * 18), how it is installed, upgraded, asked and removed over a {@code java.sql.Connection}, and the
 * triggers that watching and freezing put on tables for a while. Does not: finding a server,
 * repositories, what is printed. May use {@code dev.holdfast.failure} and the JDK.
 */
@NullMarked
package dev.holdfast.guard;

import org.jspecify.annotations.NullMarked;
