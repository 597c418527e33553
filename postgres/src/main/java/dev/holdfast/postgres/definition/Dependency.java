package dev.holdfast.postgres.definition;

/**
 * One row of {@code pg_depend}: an object cannot exist without another.
 *
 * @param type {@code deptype}: {@code n}ormal, {@code a}uto, {@code i}nternal, {@code e}xtension,
 *     {@code P} and {@code S} of partitions
 */
record Dependency(ObjectKey object, ObjectKey needs, char type) {}
