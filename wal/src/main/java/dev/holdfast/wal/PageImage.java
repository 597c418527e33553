package dev.holdfast.wal;

/**
 * Restores a page from the copy that a record carries: unpacks it and puts the hole, the unused
 * middle of the page that is left out, back as zeros ("access/xlogrecord.h", PostgreSQL 14 to 18).
 */
final class PageImage {
  private PageImage() {}

  /** How a copy is packed. Bit 0x02 meant another thing in 14: see {@link WalVersion}. */
  private enum Packing {
    NONE,
    PGLZ,
    LZ4,
    ZSTD
  }

  /**
   * @param bytes holds the stored copy at {@code [at, at + stored)}
   * @param info bimg_info
   * @return a new array of {@code pageSize} bytes
   * @throws MalformedRecordException when the copy does not give a page
   */
  static byte[] restore(
      WalVersion version,
      byte[] bytes,
      int at,
      int stored,
      int info,
      int holeOffset,
      int holeLength,
      int pageSize) {
    int length = pageSize - holeLength;
    if (holeLength < 0 || length < 0 || holeOffset > length) {
      throw new MalformedRecordException(
          "it leaves out %d bytes at byte %d of a page".formatted(holeLength, holeOffset));
    }
    Packing packing = packing(version, info);
    byte[] page = new byte[pageSize];
    if (packing == Packing.NONE) {
      if (stored != length) {
        throw new MalformedRecordException(
            "its image has %d bytes where %d are missing".formatted(stored, length));
      }
      System.arraycopy(bytes, at, page, 0, length);
    } else {
      byte[] unpacked = holeLength == 0 ? page : new byte[length];
      switch (packing) {
        case PGLZ -> Pglz.unpack(bytes, at, at + stored, unpacked);
        case LZ4 -> Lz4Block.unpack(bytes, at, at + stored, unpacked);
        case ZSTD -> ZstdFrame.unpack(bytes, at, at + stored, unpacked);
        case NONE -> throw new AssertionError();
      }
      System.arraycopy(unpacked, 0, page, 0, length);
    }
    if (holeLength > 0) {
      System.arraycopy(page, holeOffset, page, holeOffset + holeLength, length - holeOffset);
      java.util.Arrays.fill(page, holeOffset, holeOffset + holeLength, (byte) 0);
    }
    return page;
  }

  private static Packing packing(WalVersion version, int info) {
    int methods = info & version.imageCompressed();
    if (methods == 0) {
      return Packing.NONE;
    }
    if (version == WalVersion.V14) {
      return Packing.PGLZ;
    }
    return switch (methods) {
      case 0x04 -> Packing.PGLZ;
      case 0x08 -> Packing.LZ4;
      case 0x10 -> Packing.ZSTD;
      default ->
          throw new MalformedRecordException(
              "its image is packed in more than one way: %02X".formatted(methods));
    };
  }
}
