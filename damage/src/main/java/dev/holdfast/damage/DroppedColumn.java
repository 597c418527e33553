package dev.holdfast.damage;

import dev.holdfast.wal.RelationId;
import org.jspecify.annotations.Nullable;

/**
 * A column that a transaction dropped.
 *
 * @param relation the table; null when the log does not tell
 * @param column its name; null when the log does not tell
 * @param number attnum, from 1
 */
public record DroppedColumn(@Nullable RelationId relation, @Nullable String column, int number) {}
