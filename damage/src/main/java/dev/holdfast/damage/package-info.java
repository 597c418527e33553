/**
 * What transactions did to tables: WAL records in, damage per transaction out.
 *
 * <p>Lives here: who lost which rows, tables dropped and truncated, how bad it is, and which rows
 * exactly. Does not: reading files or servers, table names (they come through {@link
 * dev.holdfast.damage.RelationNames}), undoing. Pure: no connections, no files. May use {@code
 * dev.holdfast.wal}, {@code dev.holdfast.row} and {@code dev.holdfast.failure}.
 */
@NullMarked
package dev.holdfast.damage;

import org.jspecify.annotations.NullMarked;
