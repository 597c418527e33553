package dev.holdfast.wal;

import static dev.holdfast.wal.LittleEndian.u16;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A page of a table as bytes ("storage/bufpage.h", "storage/itemid.h", PostgreSQL 14 to 18): line
 * pointers from byte 24 up, the rows they point to from the page's end down.
 */
final class HeapPage {
  private static final int HEADER = 24;
  private static final int NORMAL = 1;

  private HeapPage() {}

  /**
   * The row version at a line pointer; null when none is stored there.
   *
   * @param offset from 1
   * @throws MalformedRecordException when the page does not add up
   */
  static @Nullable HeapTuple tuple(byte[] page, int offset) {
    int lower = u16(page, 12);
    if (lower < HEADER || lower > page.length) {
      throw new MalformedRecordException(
          "its image has line pointers up to byte %d".formatted(lower));
    }
    if (offset < 1 || offset > (lower - HEADER) / 4) {
      return null;
    }
    int pointer = LittleEndian.i32(page, HEADER + 4 * (offset - 1));
    if (((pointer >>> 15) & 3) != NORMAL) {
      return null;
    }
    int at = pointer & 0x7FFF;
    int length = pointer >>> 17;
    if (length < RowBytes.TUPLE_HEADER || at > page.length - length) {
      throw new MalformedRecordException(
          "its image has a row of %d bytes at byte %d".formatted(length, at));
    }
    int columns = page[at + 22] & 0xFF;
    if (columns < RowBytes.TUPLE_HEADER || columns > length) {
      throw new MalformedRecordException(
          "its image has a row of %d bytes with columns from byte %d".formatted(length, columns));
    }
    return HeapTuple.ofColumns(Arrays.copyOfRange(page, at + columns, at + length));
  }
}
