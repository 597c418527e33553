package dev.holdfast.wal;

import net.jpountz.lz4.LZ4Exception;
import net.jpountz.lz4.LZ4Factory;
import net.jpountz.lz4.LZ4SafeDecompressor;

/** An LZ4 block without a frame, as page images use it: the length is known. */
final class Lz4Block {
  /** The one that checks every bound and runs on any JVM: an image may hold anything. */
  private static final LZ4SafeDecompressor LZ4 = LZ4Factory.safeInstance().safeDecompressor();

  private Lz4Block() {}

  /**
   * Unpacks {@code bytes[from..to)} to exactly {@code output.length} bytes.
   *
   * @throws MalformedRecordException when it is not that
   */
  static void unpack(byte[] bytes, int from, int to, byte[] output) {
    int unpacked;
    try {
      unpacked = LZ4.decompress(bytes, from, to - from, output, 0, output.length);
    } catch (LZ4Exception e) {
      throw new MalformedRecordException("its LZ4 image is broken: " + e.getMessage());
    }
    if (unpacked != output.length) {
      throw new MalformedRecordException(
          "its LZ4 image gives %d bytes where %d are missing".formatted(unpacked, output.length));
    }
  }
}
