package dev.holdfast.store;

import java.util.List;

/**
 * What of a cluster is removed, in this order: see FORMAT.md. A stop between any two objects leaves
 * a repository that verifies, and what is left can be removed by the next one.
 *
 * @param bases labels of base backups, published or not: none before one that stands on it
 * @param segments names of WAL segments, oldest first
 * @param summaries names of the segments whose summaries go, their changed blocks with them
 * @param catalogs LSNs of catalog snapshots, oldest first
 */
public record Removal(
    List<String> bases, List<String> segments, List<String> summaries, List<String> catalogs) {
  /** Copies the lists. */
  public Removal {
    bases = List.copyOf(bases);
    segments = List.copyOf(segments);
    summaries = List.copyOf(summaries);
    catalogs = List.copyOf(catalogs);
  }
}
