package dev.holdfast.operations;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.wal.Lsn;

/**
 * A base backup that was taken.
 *
 * @param label names it; labels sort by time
 * @param startLsn where replay from it begins
 * @param stopLsn the earliest position it can be restored to
 * @param bytes size of the files it holds
 * @param storedBytes what it takes in the repository
 * @param durationSeconds from start to published
 */
public record BackupResult(
    String label,
    String startLsn,
    String stopLsn,
    long bytes,
    long storedBytes,
    double durationSeconds) {
  static BackupResult of(BaseManifest manifest, double durationSeconds) {
    return new BackupResult(
        manifest.label(),
        new Lsn(manifest.startLsn()).toString(),
        new Lsn(manifest.stopLsn()).toString(),
        manifest.bytes(),
        manifest.storedBytes(),
        durationSeconds);
  }
}
