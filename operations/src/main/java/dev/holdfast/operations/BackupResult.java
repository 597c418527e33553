package dev.holdfast.operations;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.wal.Lsn;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A base backup that was taken.
 *
 * @param label names it; labels sort by time
 * @param kind {@code full} or {@code incr}
 * @param parent the one it stands on; null for a full one
 * @param fullBecause why it is a full one though none was asked for; null otherwise
 * @param startLsn where replay from it begins
 * @param stopLsn the earliest position it can be restored to
 * @param bytes size of the files as they are restored
 * @param heldBytes of these, what was read and is held by this one itself
 * @param storedBytes what it takes in the repository
 * @param filesReadFrom the server's data directory, when it is on this machine and was read without
 *     asking the server for each file; null otherwise
 * @param damagedPages pages that failed their checksum on the server; of very many the first
 * @param damagedPageCount how many there are
 * @param warnings of the WAL that was received for it: what of it was lost, whether the slot was
 *     made anew; as a rule none
 * @param durationSeconds from start to published
 */
public record BackupResult(
    String label,
    String kind,
    @Nullable String parent,
    @Nullable String fullBecause,
    String startLsn,
    String stopLsn,
    long bytes,
    long heldBytes,
    long storedBytes,
    @Nullable String filesReadFrom,
    List<DamagedPage> damagedPages,
    long damagedPageCount,
    List<String> warnings,
    double durationSeconds) {
  /** Copies the lists. */
  public BackupResult {
    damagedPages = List.copyOf(damagedPages);
    warnings = List.copyOf(warnings);
  }

  /**
   * A page that is copied as it is.
   *
   * @param file relative to the data directory
   * @param block its number in the relation
   */
  public record DamagedPage(String file, long block) {}

  static BackupResult of(
      BaseManifest manifest,
      @Nullable String fullBecause,
      @Nullable String filesReadFrom,
      List<DamagedPage> damagedPages,
      long damagedPageCount,
      List<String> warnings,
      double durationSeconds) {
    return new BackupResult(
        manifest.label(),
        manifest.kind(),
        manifest.parent(),
        fullBecause,
        new Lsn(manifest.startLsn()).toString(),
        new Lsn(manifest.stopLsn()).toString(),
        manifest.bytes(),
        manifest.heldBytes(),
        manifest.storedBytes(),
        filesReadFrom,
        damagedPages,
        damagedPageCount,
        warnings,
        durationSeconds);
  }
}
