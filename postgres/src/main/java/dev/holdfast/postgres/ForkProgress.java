package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;

/** What a fork tells while it is being made; called from several threads, never at once. */
public interface ForkProgress {
  /** Tells nobody. */
  ForkProgress NONE = new ForkProgress() {};

  /** This many bytes of the base backup's {@code total} are in place. */
  default void fetched(long bytes, long total) {}

  /**
   * WAL has been replayed at least up to {@code through}: estimated from the segments the server
   * took, so up to two segments behind.
   */
  default void replayed(Lsn through, Lsn target) {}
}
