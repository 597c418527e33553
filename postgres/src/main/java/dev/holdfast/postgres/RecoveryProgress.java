package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;

/** What a fork or a restore tells while it is being made; from several threads, never at once. */
public interface RecoveryProgress {
  /** Tells nobody. */
  RecoveryProgress NONE = new RecoveryProgress() {};

  /** A restore needs this much room, for a base backup and WAL; told before it begins. */
  default void needs(long bytes, long base, long wal) {}

  /** This many bytes of the base backup's {@code total} are compared with what is there. */
  default void compared(long bytes, long total) {}

  /** This many bytes of the base backup's {@code total} are in place. */
  default void fetched(long bytes, long total) {}

  /** This many bytes of the {@code total} of WAL are in place; forks get theirs as they replay. */
  default void walFetched(long bytes, long total) {}

  /** This many bytes of the {@code total} are on the disk for good. */
  default void synced(long bytes, long total) {}

  /**
   * WAL has been replayed at least up to {@code through}: estimated from the segments the server
   * took, so up to two segments behind.
   */
  default void replayed(Lsn through, Lsn target) {}
}
