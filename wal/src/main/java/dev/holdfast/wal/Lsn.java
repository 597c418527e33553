package dev.holdfast.wal;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A byte position in the write-ahead log, written as PostgreSQL writes it: {@code 16/3002D50}.
 *
 * @param position bytes since the beginning of the log, unsigned ("access/xlogdefs.h", PostgreSQL
 *     18)
 */
public record Lsn(long position) implements Comparable<Lsn> {
  /** No position: PostgreSQL's InvalidXLogRecPtr, {@code 0/0}. */
  public static final Lsn NONE = new Lsn(0);

  private static final Pattern TEXT = Pattern.compile("([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})");

  /**
   * Reads {@code HI/LO} in hexadecimal.
   *
   * @throws IllegalArgumentException when the text is not an LSN; the message says how one looks
   */
  public static Lsn parse(String text) {
    Matcher matcher = TEXT.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException(
          "\"" + text + "\" is not an LSN; one looks like 16/3002D50");
    }
    return new Lsn(
        Long.parseLong(matcher.group(1), 16) << 32 | Long.parseLong(matcher.group(2), 16));
  }

  /** The position this many bytes further on. */
  public Lsn plus(long bytes) {
    return new Lsn(position + bytes);
  }

  /** Bytes from {@code earlier} to this position; negative when it is not earlier. */
  public long minus(Lsn earlier) {
    return position - earlier.position;
  }

  /** Whether this position comes before the other. */
  public boolean isBefore(Lsn other) {
    return compareTo(other) < 0;
  }

  /** Whether this position comes after the other. */
  public boolean isAfter(Lsn other) {
    return compareTo(other) > 0;
  }

  @Override
  public int compareTo(Lsn other) {
    return Long.compareUnsigned(position, other.position);
  }

  // Written out: what a record gets is slow until it is compiled to the last, and millions are
  // compared.
  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Lsn lsn && position == lsn.position;
  }

  @Override
  public int hashCode() {
    return Long.hashCode(position);
  }

  @Override
  public String toString() {
    return (Long.toHexString(position >>> 32) + "/" + Long.toHexString(position & 0xFFFF_FFFFL))
        .toUpperCase(Locale.ROOT);
  }
}
