/**
 * Definitions of database objects: what a transaction dropped, and the SQL that makes it again.
 *
 * <p>Lives here: every question about DDL: which objects are gone, their definitions, the order in
 * which they must be made, copying their rows. Does not: choosing the moment (the caller brings a
 * connection to a fork), merging rows of tables that still exist. May use {@code dev.holdfast.row},
 * {@code dev.holdfast.failure} and pgjdbc.
 */
@NullMarked
package dev.holdfast.postgres.definition;

import org.jspecify.annotations.NullMarked;
