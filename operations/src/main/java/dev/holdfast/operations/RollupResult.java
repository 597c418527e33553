package dev.holdfast.operations;

import dev.holdfast.store.BaseManifest;

/**
 * A chain of base backups folded into a full one.
 *
 * @param cluster whose
 * @param label the full one's
 * @param from the newest layer of the chain; the same as {@code label} when that is full itself
 * @param layers how many the chain has; 0 when nothing had to be done
 * @param made whether the full one is new: it is not when it was there already
 * @param bytes size of the files it holds
 * @param storedBytes what it takes in the repository
 * @param durationSeconds of all this
 */
public record RollupResult(
    String cluster,
    String label,
    String from,
    int layers,
    boolean made,
    long bytes,
    long storedBytes,
    double durationSeconds) {
  static RollupResult of(
      String cluster,
      BaseManifest from,
      BaseManifest full,
      int layers,
      boolean made,
      double seconds) {
    return new RollupResult(
        cluster,
        full.label(),
        from.label(),
        layers,
        made,
        full.bytes(),
        full.storedBytes(),
        seconds);
  }
}
