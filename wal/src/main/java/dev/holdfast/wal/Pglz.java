package dev.holdfast.wal;

/**
 * PostgreSQL's own compression ("common/pg_lzcompress.c", PostgreSQL 14 to 18), as page images use
 * it: without a header, the length is known.
 *
 * <p>A control byte says of the next eight items, lowest bit first, whether each is a byte (0) or a
 * piece of what was written before (1): 12 bits of distance and 4 of length, and a further byte of
 * length for the long ones.
 */
final class Pglz {
  private Pglz() {}

  /**
   * Unpacks {@code bytes[from..to)} to exactly {@code output.length} bytes.
   *
   * @throws MalformedRecordException when it is not that
   */
  static void unpack(byte[] bytes, int from, int to, byte[] output) {
    int in = from;
    int out = 0;
    while (in < to && out < output.length) {
      int control = bytes[in++];
      for (int item = 0; item < 8 && in < to && out < output.length; item++, control >>= 1) {
        if ((control & 1) == 0) {
          output[out++] = bytes[in++];
          continue;
        }
        if (to - in < 2) {
          throw new MalformedRecordException("its pglz image is cut off");
        }
        int length = (bytes[in] & 0x0F) + 3;
        int distance = ((bytes[in] & 0xF0) << 4) | (bytes[in + 1] & 0xFF);
        in += 2;
        if (length == 18) {
          if (in == to) {
            throw new MalformedRecordException("its pglz image is cut off");
          }
          length += bytes[in++] & 0xFF;
        }
        if (distance == 0 || distance > out) {
          throw new MalformedRecordException(
              "its pglz image copies from %d bytes before byte %d".formatted(distance, out));
        }
        // The server ends the copy with the output: the last piece may promise more.
        for (int end = Math.min(out + length, output.length); out < end; out++) {
          output[out] = output[out - distance];
        }
      }
    }
    if (out != output.length || in != to) {
      throw new MalformedRecordException(
          "its pglz image gives %d bytes of %d from %d of %d"
              .formatted(out, output.length, in - from, to - from));
    }
  }
}
