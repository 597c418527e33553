package dev.holdfast.store;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * The last bytes of a part; see FORMAT.md.
 *
 * @param position of the table of contents
 * @param storedLength its length as stored
 * @param contentLength its length
 * @param sumsLength bytes of the sums right before it; 0 for none
 */
record PartTrailer(
    long position, int storedLength, int contentLength, int sumsLength, int sumsChecksum) {

  /** Reads one; {@code trailer} is what was there, at most a byte more than there should be. */
  static PartTrailer decode(String name, BaseDocument.Part part, byte[] trailer) {
    if (trailer.length != PartWriter.TRAILER_BYTES) {
      throw new DamagedObjectException(
          name, "it has not the %d bytes that the manifest says".formatted(part.storedBytes()));
    }
    ByteBuffer bytes = ByteBuffer.wrap(trailer);
    if (!Arrays.equals(trailer, 32, 40, PartWriter.TRAILER_MAGIC, 0, 8)
        || Envelope.boundChecksum(name, trailer, 0, 28) != bytes.getInt(28)
        || bytes.getInt(16) != part.contentsChecksum()) {
      throw new DamagedObjectException(name, "its trailer does not hold");
    }
    PartTrailer read =
        new PartTrailer(
            bytes.getLong(0),
            bytes.getInt(8),
            bytes.getInt(12),
            bytes.getInt(20),
            bytes.getInt(24));
    if (read.storedLength < 0
        || read.contentLength < 0
        || read.sumsLength < 0
        || read.position - read.sumsLength < Envelope.HEADER_BYTES
        || read.position + read.storedLength + PartWriter.TRAILER_BYTES != part.storedBytes()) {
      throw new DamagedObjectException(name, "its trailer points out of it");
    }
    return read;
  }
}
