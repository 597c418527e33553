package dev.holdfast.operations;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a fork or a restore of a moment would hold, and what it would take.
 *
 * @param lsn the position it would stop at
 * @param state {@code before} or {@code after} the record at that position
 * @param timeline that the moment lies on
 * @param lastCommitAt time of the newest commit it holds; null when that is not known: none is
 *     between the base backup and the moment, or definitions were not looked at
 * @param bases the base backup it begins with, after those that this one stands on
 * @param walFrom where replay begins
 * @param walSegments to be replayed, wholly or in part
 * @param walBytes of them, before compression
 * @param fetchBytes to be read from the repository for a whole restore
 * @param restoredBytes room that a whole restore takes, WAL included
 * @param expectedSeconds what a whole restore should take until it takes writes, by the newest
 *     proof: its durations, in the proportion of the bytes; null when nothing was ever proven
 * @param expectedBy label of that proof; null as above
 * @param tables what is there then; null when definitions were not looked at
 * @param notes what could not be told, and why
 */
public record PreviewResult(
    String name,
    String lsn,
    String state,
    int timeline,
    @Nullable Instant lastCommitAt,
    List<Base> bases,
    String walFrom,
    int walSegments,
    long walBytes,
    long fetchBytes,
    long restoredBytes,
    @Nullable Double expectedSeconds,
    @Nullable String expectedBy,
    @Nullable List<Table> tables,
    List<String> notes,
    double durationSeconds) {
  /** Copies the lists. */
  public PreviewResult {
    bases = List.copyOf(bases);
    tables = tables == null ? null : List.copyOf(tables);
    notes = List.copyOf(notes);
  }

  /** One layer. */
  public record Base(String label, String kind, Instant finishedAt, long storedBytes) {}

  /**
   * A table or materialised view.
   *
   * @param kind {@code table}, {@code partitioned table} or {@code materialised view}
   * @param estimatedRows by the statistics of that moment; null when there are none
   * @param estimatedBytes with its TOAST table and indexes, as the base backup has them
   */
  public record Table(
      String database,
      String schema,
      String table,
      String kind,
      @Nullable Long estimatedRows,
      long estimatedBytes) {}
}
