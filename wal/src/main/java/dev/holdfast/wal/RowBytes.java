package dev.holdfast.wal;

import static dev.holdfast.wal.LittleEndian.u16;
import static dev.holdfast.wal.LittleEndian.u8;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads row versions out of the block data of heap records, {@code bytes[from..to)}
 * ("access/heapam_xlog.h", PostgreSQL 14 to 18).
 */
final class RowBytes {
  /** Bytes of a row's header before its null bitmap: offsetof(HeapTupleHeaderData, t_bits). */
  static final int TUPLE_HEADER = 23;

  private static final int INSERT_HEADER = 5;
  private static final int MULTI_INSERT_HEADER = 7;

  private RowBytes() {}

  static HeapTuple inserted(byte[] bytes, int from, int to) {
    return columns(bytes, from, from + INSERT_HEADER, to);
  }

  /** The rows of an insert of several: each begins at an even distance from the first. */
  static List<@Nullable HeapTuple> inserted(byte[] bytes, int from, int to, int rows) {
    List<@Nullable HeapTuple> tuples = new ArrayList<>();
    int at = from;
    for (int row = 0; row < rows; row++) {
      at += (at - from) & 1;
      need(at, MULTI_INSERT_HEADER, to);
      int end = at + MULTI_INSERT_HEADER + u16(bytes, at);
      need(at, end - at, to);
      tuples.add(columns(bytes, at + 2, at + MULTI_INSERT_HEADER, end));
      at = end;
    }
    return tuples;
  }

  /**
   * @param flags of the update: 0x20 and 0x40 say that it begins, ends as the row before
   */
  static HeapTuple updated(byte[] bytes, int from, int to, int flags, @Nullable HeapTuple old) {
    int at = from;
    int prefix = 0;
    int suffix = 0;
    if ((flags & 0x20) != 0) {
      need(at, 2, to);
      prefix = u16(bytes, at);
      at += 2;
    }
    if ((flags & 0x40) != 0) {
      need(at, 2, to);
      suffix = u16(bytes, at);
      at += 2;
    }
    if (prefix + suffix == 0) {
      return columns(bytes, at, at + INSERT_HEADER, to);
    }
    return HeapTuple.changed(
        old, prefix, suffix, bytes, columnsFrom(bytes, at, at + INSERT_HEADER, to), to);
  }

  /** A row whose columns were overwritten in place. */
  static HeapTuple overwritten(byte[] bytes, int from, int to) {
    return HeapTuple.ofColumns(Arrays.copyOfRange(bytes, from, to));
  }

  private static HeapTuple columns(byte[] bytes, int header, int body, int end) {
    return HeapTuple.ofColumns(
        Arrays.copyOfRange(bytes, columnsFrom(bytes, header, body, end), end));
  }

  /** Past the null bitmap and its padding, which t_hoff counts with the header. */
  private static int columnsFrom(byte[] bytes, int header, int body, int end) {
    need(header, INSERT_HEADER, end);
    int columns = u8(bytes, header + 4);
    if (columns < TUPLE_HEADER || columns - TUPLE_HEADER > end - body) {
      throw new MalformedRecordException(
          "a row of %d bytes has columns from byte %d".formatted(end - body, columns));
    }
    return body + columns - TUPLE_HEADER;
  }

  private static void need(int at, int length, int to) {
    if (length > to - at) {
      throw new MalformedRecordException("a row goes past its end");
    }
  }
}
