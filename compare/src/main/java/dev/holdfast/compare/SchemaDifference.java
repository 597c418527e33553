package dev.holdfast.compare;

import org.jspecify.annotations.Nullable;

/**
 * One property of an object that differs, or an object that only one side has.
 *
 * @param property null where one side lacks the object
 * @param a what the first side has; null where it has nothing
 * @param b what the second side has; null where it has nothing
 */
public record SchemaDifference(
    String kind,
    String name,
    @Nullable String table,
    Change change,
    @Nullable String property,
    @Nullable String a,
    @Nullable String b) {}
