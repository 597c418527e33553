package dev.holdfast.wal;

import java.util.HexFormat;

/**
 * The name of one WAL segment file: 24 upper-case hexadecimal digits ("access/xlog_internal.h",
 * PostgreSQL 18).
 *
 * @param timeline the timeline (TLI) the segment belongs to, from 1
 * @param number position of its first byte divided by the segment size
 * @param segmentSize bytes in a segment: a power of two from 1 MiB to 1 GiB
 */
public record SegmentName(int timeline, long number, int segmentSize) {
  /** What initdb chooses unless told otherwise. */
  public static final int DEFAULT_SIZE = 16 * 1024 * 1024;

  /** Bytes of the page header at a segment's beginning. */
  static final int LONG_PAGE_HEADER = 40;

  private static final int DIGITS = 24;
  private static final HexFormat HEX = HexFormat.of().withUpperCase();

  /** Refuses sizes no cluster can have. */
  public SegmentName {
    if (segmentSize < 1 << 20 || segmentSize > 1 << 30 || Integer.bitCount(segmentSize) != 1) {
      throw new IllegalArgumentException(
          "a WAL segment has a power of two from 1 MiB to 1 GiB, not " + segmentSize + " bytes");
    }
  }

  /** Whether the text could name a complete segment. */
  public static boolean isSegmentName(String text) {
    if (text.length() != DIGITS) {
      return false;
    }
    for (int at = 0; at < DIGITS; at++) { // no regular expression: archives hold many names
      char digit = text.charAt(at);
      if (!(digit >= '0' && digit <= '9') && !(digit >= 'A' && digit <= 'F')) {
        return false;
      }
    }
    return true;
  }

  /**
   * Reads a segment's name.
   *
   * @throws IllegalArgumentException when it is not 24 upper-case hexadecimal digits
   */
  public static SegmentName parse(String text, int segmentSize) {
    if (!isSegmentName(text)) {
      throw new IllegalArgumentException(
          "\"" + text + "\" is not a WAL segment; one looks like 000000010000000000000003");
    }
    long perLogicalFile = 0x1_0000_0000L / segmentSize;
    long high = Long.parseLong(text.substring(8, 16), 16);
    long low = Long.parseLong(text.substring(16), 16);
    return new SegmentName(
        Integer.parseUnsignedInt(text.substring(0, 8), 16),
        high * perLogicalFile + low,
        segmentSize);
  }

  /** The segment that holds the byte at this position. */
  public static SegmentName containing(Lsn lsn, int timeline, int segmentSize) {
    return new SegmentName(timeline, Long.divideUnsigned(lsn.position(), segmentSize), segmentSize);
  }

  /** Position of the first byte. */
  public Lsn start() {
    return new Lsn(number * segmentSize);
  }

  /** Position just past the last byte. */
  public Lsn end() {
    return new Lsn((number + 1) * segmentSize);
  }

  /**
   * Where a record starts when none goes on from the segment before: past the long page header.
   * (XLogLongPageHeaderData, access/xlog_internal.h, PostgreSQL 18)
   */
  public Lsn firstRecord() {
    return start().plus(LONG_PAGE_HEADER);
  }

  /** The segment after this one on the same timeline. */
  public SegmentName next() {
    return new SegmentName(timeline, number + 1, segmentSize);
  }

  @Override
  public String toString() {
    long perLogicalFile = 0x1_0000_0000L / segmentSize;
    return HEX.toHexDigits(timeline)
        + HEX.toHexDigits(number / perLogicalFile, 8)
        + HEX.toHexDigits(number % perLogicalFile, 8);
  }
}
