package dev.holdfast.wal;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdException;

/** One Zstandard frame (RFC 8878), as page images use it: the length is known. */
final class ZstdFrame {
  private ZstdFrame() {}

  /**
   * Unpacks {@code bytes[from..to)} to exactly {@code output.length} bytes.
   *
   * @throws MalformedRecordException when it is not that
   */
  static void unpack(byte[] bytes, int from, int to, byte[] output) {
    long unpacked;
    try {
      unpacked = Zstd.decompressByteArray(output, 0, output.length, bytes, from, to - from);
    } catch (ZstdException e) {
      throw new MalformedRecordException("its Zstandard image is broken: " + e.getMessage());
    }
    if (Zstd.isError(unpacked)) {
      throw new MalformedRecordException(
          "its Zstandard image is broken: " + Zstd.getErrorName(unpacked));
    }
    if (unpacked != output.length) {
      throw new MalformedRecordException(
          "its Zstandard image gives %d bytes where %d are missing"
              .formatted(unpacked, output.length));
    }
  }
}
