package dev.holdfast.store;

import com.dynatrace.hash4j.hashing.HashValue128;
import com.dynatrace.hash4j.hashing.Hasher128;
import com.dynatrace.hash4j.hashing.Hashing;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What tells whether bytes elsewhere are those of a part's pieces, without fetching these: a sum of
 * 128 bits for each block of each piece, in the order of the table of contents. A piece's blocks
 * are counted from its first byte; its last one may be short.
 *
 * <p>XXH3 rather than a cryptographic sum: it finds accidents, as every checksum here, at a tenth
 * of the time that compression takes. A CRC-32C finds most of them, which is not enough to leave
 * bytes in place unseen: of a terabyte of damaged pages one in 2³² would stay.
 *
 * <p>Memory: 16 bytes for each 8192 of the content of one part.
 */
final class BlockSums {
  /** Bytes of one sum. */
  static final int SUM_BYTES = 16;

  /** Sums are written as they are: nothing makes them shorter. */
  private static final Hasher128 XXH3 = Hashing.xxh3_128();

  private byte[] sums = new byte[64 * SUM_BYTES];
  private int length;

  BlockSums() {}

  private BlockSums(byte[] sums) {
    this.sums = sums;
    this.length = sums.length;
  }

  /** Adds those of a piece. */
  void add(byte[] bytes, int from, int pieceLength) {
    for (int at = 0; at < pieceLength; at += Fold.BLOCK) {
      if (length == sums.length) {
        sums = Arrays.copyOf(sums, Math.multiplyExact(length, 2));
      }
      HashValue128 sum =
          XXH3.hashBytesTo128Bits(bytes, from + at, Math.min(Fold.BLOCK, pieceLength - at));
      ByteBuffer.wrap(sums, length, SUM_BYTES)
          .putLong(sum.getMostSignificantBits())
          .putLong(sum.getLeastSignificantBits());
      length += SUM_BYTES;
    }
  }

  /** How many sums a piece has. */
  static int count(int pieceLength) {
    return (pieceLength + Fold.BLOCK - 1) / Fold.BLOCK;
  }

  /** Whether bytes have the sum at this index of the part. */
  boolean isAt(int index, byte[] bytes, int from, int blockLength) {
    HashValue128 sum = XXH3.hashBytesTo128Bits(bytes, from, blockLength);
    ByteBuffer stored = ByteBuffer.wrap(sums, index * SUM_BYTES, SUM_BYTES);
    return stored.getLong() == sum.getMostSignificantBits()
        && stored.getLong() == sum.getLeastSignificantBits();
  }

  /**
   * Whether a frame's content has its sums, from an index on; returns the next frame's.
   *
   * @throws DamagedObjectException when not
   */
  int check(String part, TableOfContents.Frame frame, byte[] content, int index) {
    int next = index;
    int piece = 0;
    for (TableOfContents.Piece each : frame.pieces()) {
      for (int at = 0; at < each.length(); at += Fold.BLOCK) {
        if (!isAt(next++, content, piece + at, Math.min(Fold.BLOCK, each.length() - at))) {
          throw new DamagedObjectException(
              part,
              "the sum of %s at %d is not that of its bytes"
                  .formatted(each.path(), each.offset() + at));
        }
      }
      piece += each.length();
    }
    return next;
  }

  /** Blocks so far. */
  int blocks() {
    return length / SUM_BYTES;
  }

  byte[] encode() {
    return Arrays.copyOf(sums, length);
  }

  /**
   * Reads what {@link #encode} wrote.
   *
   * @param part for the message
   * @return null when there are none: the part was written before there were
   */
  static @Nullable BlockSums decode(
      String part, byte[] bytes, int checksum, TableOfContents contents) {
    if (bytes.length == 0) {
      return null;
    }
    int found = Envelope.checksum(bytes, 0, bytes.length);
    if (found != checksum) {
      throw new DamagedObjectException(part, "its sums: " + Envelope.mismatch(checksum, found));
    }
    long blocks =
        contents.frames().stream()
            .flatMap(frame -> frame.pieces().stream())
            .mapToLong(piece -> count(piece.length()))
            .sum();
    if (blocks * SUM_BYTES != bytes.length) {
      throw new DamagedObjectException(
          part, "it has %d bytes of sums for %d blocks".formatted(bytes.length, blocks));
    }
    return new BlockSums(bytes);
  }
}
