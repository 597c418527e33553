package dev.holdfast.store;

import java.time.Instant;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What one base backup is.
 *
 * @param label sorts by time, UTC: {@code 20261121T013957Z-full}
 * @param kind {@link #FULL} or {@link #INCREMENTAL}
 * @param parent label of the layer this one stands on; null for a full backup
 * @param timeline the server's timeline at the start
 * @param startLsn where replay has to start, unsigned
 * @param stopLsn replay is consistent from here on, unsigned
 * @param startedAt by the clock of the server
 * @param finishedAt by the clock of the server
 * @param major the server's major version
 * @param systemIdentifier PostgreSQL's, decimal
 * @param walSegmentSize bytes in a WAL segment
 * @param backupLabel content of {@code backup_label}
 * @param tablespaceMap content of {@code tablespace_map}; null when there are no tablespaces
 * @param settings server settings a restored server has to have at least
 * @param bytes of all files; {@link BaseWriter#publish} fills it in
 * @param storedBytes of all objects; {@link BaseWriter#publish} fills it in
 * @param heldBytes of the files, those that this layer holds itself; {@link BaseWriter#publish}
 *     fills it in
 * @param pageChecksums version of the checksums that the server's pages carried, 0 for none; null
 *     when nobody looked
 */
public record BaseManifest(
    String label,
    String kind,
    @Nullable String parent,
    int timeline,
    long startLsn,
    long stopLsn,
    Instant startedAt,
    Instant finishedAt,
    int major,
    String systemIdentifier,
    int walSegmentSize,
    String backupLabel,
    @Nullable String tablespaceMap,
    Map<String, String> settings,
    long bytes,
    long storedBytes,
    long heldBytes,
    @Nullable Integer pageChecksums) {
  /** Holds every file whole. */
  public static final String FULL = "full";

  /** Holds what changed since its parent was begun. */
  public static final String INCREMENTAL = "incr";

  /** Takes the settings as they are now, sorted, so that equal ones are stored as equal bytes. */
  public BaseManifest {
    settings = Collections.unmodifiableMap(new TreeMap<>(settings));
  }

  /** Of a server about whose page checksums nothing is known. */
  public BaseManifest(
      String label,
      String kind,
      @Nullable String parent,
      int timeline,
      long startLsn,
      long stopLsn,
      Instant startedAt,
      Instant finishedAt,
      int major,
      String systemIdentifier,
      int walSegmentSize,
      String backupLabel,
      @Nullable String tablespaceMap,
      Map<String, String> settings,
      long bytes,
      long storedBytes) {
    this(
        label,
        kind,
        parent,
        timeline,
        startLsn,
        stopLsn,
        startedAt,
        finishedAt,
        major,
        systemIdentifier,
        walSegmentSize,
        backupLabel,
        tablespaceMap,
        settings,
        bytes,
        storedBytes,
        bytes,
        null);
  }

  /** Whether it stands on another one. */
  public boolean isIncremental() {
    return parent != null;
  }

  BaseManifest withSizes(long newBytes, long newStoredBytes, long newHeldBytes) {
    return with(label, kind, parent, newBytes, newStoredBytes, newHeldBytes);
  }

  /** The same moment, as a layer that stands on no other one. */
  BaseManifest asFull(String newLabel) {
    return with(newLabel, FULL, null, 0, 0, 0);
  }

  private BaseManifest with(
      String newLabel,
      String newKind,
      @Nullable String newParent,
      long newBytes,
      long newStoredBytes,
      long newHeldBytes) {
    return new BaseManifest(
        newLabel,
        newKind,
        newParent,
        timeline,
        startLsn,
        stopLsn,
        startedAt,
        finishedAt,
        major,
        systemIdentifier,
        walSegmentSize,
        backupLabel,
        tablespaceMap,
        settings,
        newBytes,
        newStoredBytes,
        newHeldBytes,
        pageChecksums);
  }
}
