package dev.holdfast.wal;

/** One step of {@link WalReader}. Damage is thrown, with its position. */
public sealed interface Decoded {
  /** The next record, whole and checked. */
  record Complete(WalRecord record) implements Decoded {}

  /**
   * Valid so far; the bytes fed end here, or go on with nothing but the zeros and recycled pages
   * that follow the end of a log. At the end of the log this is normal.
   *
   * @param from where the next record starts or will start
   */
  record NeedsMore(Lsn from) implements Decoded {}
}
