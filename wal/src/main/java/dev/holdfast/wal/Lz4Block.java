package dev.holdfast.wal;

/**
 * An LZ4 block without a frame (lz4_Block_format.md of the LZ4 project), as page images use it: the
 * length is known.
 *
 * <p>Sequences of a token, bytes to take as they are, and a copy of what was written before. The
 * last one has no copy.
 */
final class Lz4Block {
  private static final int SHORTEST_COPY = 4;

  private Lz4Block() {}

  /**
   * Unpacks {@code bytes[from..to)} to exactly {@code output.length} bytes.
   *
   * @throws MalformedRecordException when it is not that
   */
  static void unpack(byte[] bytes, int from, int to, byte[] output) {
    int in = from;
    int out = 0;
    while (in < to) {
      int token = bytes[in++] & 0xFF;
      int literals = token >>> 4;
      if (literals == 15) {
        int more;
        do {
          more = in < to ? bytes[in++] & 0xFF : cutOff();
          literals += more;
        } while (more == 255 && literals <= output.length);
      }
      if (literals > to - in || literals > output.length - out) {
        throw new MalformedRecordException(
            "its LZ4 image takes %d bytes at byte %d of %d"
                .formatted(literals, out, output.length));
      }
      System.arraycopy(bytes, in, output, out, literals);
      in += literals;
      out += literals;
      if (in == to) {
        break; // the last sequence
      }
      if (to - in < 2) {
        cutOff();
      }
      int distance = LittleEndian.u16(bytes, in);
      in += 2;
      int length = (token & 0x0F) + SHORTEST_COPY;
      if (length == 15 + SHORTEST_COPY) {
        int more;
        do {
          more = in < to ? bytes[in++] & 0xFF : cutOff();
          length += more;
        } while (more == 255 && length <= output.length);
      }
      if (distance == 0 || distance > out || length > output.length - out) {
        throw new MalformedRecordException(
            "its LZ4 image copies %d bytes from %d before byte %d of %d"
                .formatted(length, distance, out, output.length));
      }
      for (int end = out + length; out < end; out++) {
        output[out] = output[out - distance];
      }
    }
    if (out != output.length) {
      throw new MalformedRecordException(
          "its LZ4 image gives %d bytes of %d".formatted(out, output.length));
    }
  }

  private static int cutOff() {
    throw new MalformedRecordException("its LZ4 image is cut off");
  }
}
