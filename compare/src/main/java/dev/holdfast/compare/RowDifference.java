package dev.holdfast.compare;

import org.jspecify.annotations.Nullable;

/**
 * A row that differs.
 *
 * @param a null where the first side has none of this identity
 * @param b null where the second side has none of this identity
 */
public record RowDifference(Change change, @Nullable DigestedRow a, @Nullable DigestedRow b) {}
