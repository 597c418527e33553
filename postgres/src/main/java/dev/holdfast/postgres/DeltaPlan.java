package dev.holdfast.postgres;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a restore into an existing data directory would do to it.
 *
 * @param directory the data directory
 * @param found what it is, in words
 * @param systemIdentifier the cluster's
 * @param base label of the base backup
 * @param kept how many files of the base backup are there as they are to be
 * @param changed paths of files that are there and differ
 * @param added how many are not there
 * @param removed paths of what is there and not in the base backup: files and links
 * @param bytesKept of files, that stay as they are
 * @param bytesDiffering of files, that differ or, without sums, may differ
 * @param bytesToFetch stored bytes of the base backup
 * @param bytesRemoved of files
 * @param walBytes of WAL to fetch
 * @param aside where what must not be lost is put; null when there is nothing to keep
 * @param namesAside paths of it in the data directory: the old pg_wal, and settings
 * @param walSegmentsAside segments in it
 * @param withoutSums whether the base backup, or one it stands on, has no sums to compare with
 * @param tablespaces their folders, by OID
 * @param notes what else should be known
 */
public record DeltaPlan(
    Path directory,
    String found,
    String systemIdentifier,
    String base,
    int kept,
    Set<String> changed,
    int added,
    Set<String> removed,
    long bytesKept,
    long bytesDiffering,
    long bytesToFetch,
    long bytesRemoved,
    long walBytes,
    @Nullable Path aside,
    List<String> namesAside,
    int walSegmentsAside,
    boolean withoutSums,
    Map<Long, Path> tablespaces,
    List<String> notes) {
  /** Copies the collections. */
  public DeltaPlan {
    changed = Set.copyOf(changed);
    removed = Set.copyOf(removed);
    namesAside = List.copyOf(namesAside);
    tablespaces = Map.copyOf(tablespaces);
    notes = List.copyOf(notes);
  }
}
