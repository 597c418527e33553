package dev.holdfast.operations;

import org.jspecify.annotations.Nullable;

/**
 * What recording from an archive's folder came to.
 *
 * @param taken segments and history files that were not recorded before
 * @param refused files that are no WAL of this cluster, or differ from what is recorded
 * @param removed files removed once they were recorded
 * @param recordedThrough the last byte of WAL in the repository; null when there is none
 */
public record ArchiveResult(
    long taken, int refused, long removed, @Nullable String recordedThrough) {}
