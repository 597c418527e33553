package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a restore into an existing data directory would do.
 *
 * @param digest names exactly what would be done to the directory; applying asks for it
 * @param name the protected cluster
 * @param found what the directory is, in words
 * @param lsn the target
 * @param state {@code before} or {@code after} the record at that position
 * @param base the base backup
 * @param filesChanged that are there and differ, among them those that only may
 * @param filesAdded that are not there
 * @param bytesKept of files, that are there as they are to be
 * @param bytesDiffering of files, that differ, or may
 * @param bytesToFetch of the base backup, as stored
 * @param walBytes of WAL to fetch
 * @param setAside the folder that the pg_wal that is there is moved to, and the settings copied;
 *     null for none
 * @param setAsideNames what it is, as paths in the data directory: {@code pg_wal}, and settings
 * @param walSegmentsSetAside WAL segments in that pg_wal
 * @param owner the operating system's user that all files are to belong to
 * @param removed paths of files and links that the base backup has not
 * @param tablespaces their folders
 * @param notes what else should be known
 */
public record RestorePlan(
    String digest,
    String name,
    String directory,
    String found,
    String lsn,
    String state,
    String base,
    int filesKept,
    int filesChanged,
    int filesAdded,
    int filesRemoved,
    long bytesKept,
    long bytesDiffering,
    long bytesToFetch,
    long bytesRemoved,
    long walBytes,
    @Nullable String setAside,
    List<String> setAsideNames,
    int walSegmentsSetAside,
    String owner,
    List<String> removed,
    List<String> tablespaces,
    List<String> notes) {
  /** Copies the lists. */
  public RestorePlan {
    setAsideNames = List.copyOf(setAsideNames);
    removed = List.copyOf(removed);
    tablespaces = List.copyOf(tablespaces);
    notes = List.copyOf(notes);
  }
}
