package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;
import org.jspecify.annotations.Nullable;

/**
 * The moment that recovery stops at, of a fork or a restore.
 *
 * @param lsn where recovery stops; usually the start of a commit record
 * @param inclusive whether the record that starts at {@code lsn} is replayed too. When false,
 *     replay stops before the first record that starts at or after {@code lsn}
 * @param timeline the timeline it lies on, or one that goes on from there; null for the newest
 *     recorded one that does
 */
public record RecoveryTarget(Lsn lsn, boolean inclusive, @Nullable Integer timeline) {
  /** Of the newest recorded timeline. */
  public RecoveryTarget(Lsn lsn, boolean inclusive) {
    this(lsn, inclusive, null);
  }

  /**
   * Everything that committed before this transaction, and nothing of it.
   *
   * @param commitStart where its commit record starts
   */
  public static RecoveryTarget before(Lsn commitStart) {
    return new RecoveryTarget(commitStart, false);
  }

  /**
   * Everything that committed before this transaction, and all of it.
   *
   * @param commitStart where its commit record starts
   */
  public static RecoveryTarget after(Lsn commitStart) {
    return new RecoveryTarget(commitStart, true);
  }

  /** The same on a timeline of choice; null for the newest. */
  public RecoveryTarget on(@Nullable Integer other) {
    return new RecoveryTarget(lsn, inclusive, other);
  }

  /** As an operator reads it: {@code just before 0/3002D50}. */
  @Override
  public String toString() {
    return (inclusive ? "just after the record at " : "just before ")
        + lsn
        + (timeline == null ? "" : " on timeline " + Integer.toUnsignedString(timeline));
  }
}
