package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;

/**
 * The moment a fork is made at.
 *
 * @param lsn where recovery stops; usually the start of a commit record
 * @param inclusive whether the record that starts at {@code lsn} is replayed too. When false,
 *     replay stops before the first record that starts at or after {@code lsn}
 */
public record ForkTarget(Lsn lsn, boolean inclusive) {
  /**
   * Everything that committed before this transaction, and nothing of it.
   *
   * @param commitStart where its commit record starts
   */
  public static ForkTarget before(Lsn commitStart) {
    return new ForkTarget(commitStart, false);
  }

  /**
   * Everything that committed before this transaction, and all of it.
   *
   * @param commitStart where its commit record starts
   */
  public static ForkTarget after(Lsn commitStart) {
    return new ForkTarget(commitStart, true);
  }

  /** As an operator reads it: {@code just before 0/3002D50}. */
  @Override
  public String toString() {
    return (inclusive ? "just after the record at " : "just before ") + lsn;
  }
}
