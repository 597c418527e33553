package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A cluster that was restored.
 *
 * @param name the protected cluster
 * @param directory the data directory
 * @param owner the operating system's user that its files belong to
 * @param base the base backup it was made from
 * @param timeline the timeline that the target lies on; the server promotes itself to a new one
 * @param lsn the target
 * @param state {@code before} or {@code after} the record at that position
 * @param end where the last record ends that is replayed
 * @param startedOver whether what an interrupted restore had left was removed first
 * @param bytes of the base backup
 * @param walBytes of WAL in pg_wal
 * @param tablespaces their folders
 * @param overridden settings that it has otherwise than production
 * @param notes what else is otherwise than in production, or should be known
 * @param guards the databases that have the guard inside
 * @param server the running server; null when it was not to be started
 * @param next what to do now, as commands and sentences
 * @param delta what was done to a directory that was there; null when it was absent or empty
 * @param replaySeconds until the started server took writes; 0 when it was not started
 */
public record RestoreResult(
    String name,
    String directory,
    String owner,
    String base,
    int timeline,
    String lsn,
    String state,
    String end,
    boolean startedOver,
    long bytes,
    long walBytes,
    List<String> tablespaces,
    List<Setting> overridden,
    List<String> notes,
    List<Guarded> guards,
    @Nullable Server server,
    @Nullable Delta delta,
    List<String> next,
    double walSeconds,
    double baseSeconds,
    double durableSeconds,
    double replaySeconds,
    double durationSeconds) {
  /**
   * A setting that is otherwise than in production.
   *
   * @param production null when production's files do not set it
   * @param restored null when nothing sets it any more
   */
  public record Setting(
      String name, @Nullable String production, @Nullable String restored, String why) {}

  /**
   * A database that has the guard inside.
   *
   * @param name what its stamp calls the cluster; null where it was left as it was
   * @param environment what it says now that it is; null where it was left as it was
   */
  public record Guarded(String database, @Nullable String name, @Nullable String environment) {}

  /**
   * A server that takes writes, and stays.
   *
   * @param binaries the folder of its programs
   * @param log where it writes its messages until it is started again
   */
  public record Server(int port, String version, String binaries, String log) {}

  /**
   * What was done to a data directory that was there.
   *
   * @param digest of the plan
   * @param filesAdded that were not there
   * @param bytesKept of files, that were there as they are to be
   * @param bytesFetched of the base backup, as stored
   * @param bytesWritten of files
   * @param bytesRemoved of files
   * @param setAside the folder with the pg_wal and the settings that were there; null for none
   * @param setAsideNames what is in it, as paths in the data directory
   */
  public record Delta(
      String digest,
      int filesKept,
      int filesChanged,
      int filesAdded,
      int filesRemoved,
      long bytesKept,
      long bytesFetched,
      long bytesWritten,
      long bytesRemoved,
      @Nullable String setAside,
      List<String> setAsideNames,
      double comparingSeconds) {
    /** Copies the list. */
    public Delta {
      setAsideNames = List.copyOf(setAsideNames);
    }
  }

  /** Copies the lists. */
  public RestoreResult {
    tablespaces = List.copyOf(tablespaces);
    overridden = List.copyOf(overridden);
    notes = List.copyOf(notes);
    guards = List.copyOf(guards);
    next = List.copyOf(next);
  }
}
