package dev.holdfast.store;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Writes one part of a base backup; see FORMAT.md. One thread at a time. */
final class PartWriter implements AutoCloseable {
  /** Content bytes in a frame at most. */
  static final int EXTENT = 1 << 20;

  /** Of 8192 bytes each; what shrinks to next to nothing would fill a part with terabytes. */
  private static final int BLOCKS_MAX = 1 << 18;

  static final int TRAILER_BYTES = 40;
  static final byte[] TRAILER_MAGIC = "HOLDPART".getBytes(StandardCharsets.US_ASCII);

  private static final byte[] ZEROS = new byte[EXTENT];

  private final String name;
  private final ObjectWriter out;
  private final int compressionLevel;
  private final ZstdCompressCtx compressor = new ZstdCompressCtx();
  private final byte[] compressed = new byte[Math.toIntExact(Zstd.compressBound(EXTENT))];
  private final List<TableOfContents.Frame> frames = new ArrayList<>();
  private final List<TableOfContents.Hole> holes = new ArrayList<>();
  private final BlockSums sums = new BlockSums();

  private final byte[] extent = new byte[EXTENT];
  private final byte[] group = new byte[EXTENT];
  private final List<TableOfContents.Piece> grouped = new ArrayList<>();
  private int groupLength;
  private long position;
  private boolean broken;

  PartWriter(ObjectStore objects, String name, int compressionLevel) {
    this.name = name;
    this.compressionLevel = compressionLevel;
    this.compressor.setLevel(compressionLevel);
    this.out = objects.create(name);
    write(
        Envelope.header(name, new Envelope.Header(Envelope.BASE_PART, -1, -1, 0)),
        Envelope.HEADER_BYTES);
  }

  /** Bytes written so far. */
  long storedBytes() {
    return position;
  }

  /** Whether writing to it has failed, so that it cannot be ended any more. */
  boolean isBroken() {
    return broken;
  }

  /** Whether it holds so many blocks that their sums would not stay small in memory. */
  boolean isFull() {
    return sums.blocks() >= BLOCKS_MAX;
  }

  /** Where the file that has this part collects its next extent. */
  byte[] extent() {
    return extent;
  }

  /** Adds up to {@link #EXTENT} bytes of a file. */
  void add(String path, long offset, byte[] bytes, int from, int length) {
    if (length == 0) {
      return;
    }
    if (Arrays.equals(bytes, from, from + length, ZEROS, 0, length)) {
      holes.add(new TableOfContents.Hole(path, offset, length));
      return;
    }
    var piece = new TableOfContents.Piece(path, offset, length);
    if (length == EXTENT) {
      frame(bytes, from, length, List.of(piece));
      return;
    }
    if (groupLength + length > EXTENT) {
      flushGroup();
    }
    System.arraycopy(bytes, from, group, groupLength, length);
    groupLength += length;
    grouped.add(piece);
  }

  /** Adds a run of zeros of a file. */
  void hole(String path, long offset, long length) {
    holes.add(new TableOfContents.Hole(path, offset, length));
  }

  private void flushGroup() {
    if (groupLength > 0) {
      frame(group, 0, groupLength, List.copyOf(grouped));
      grouped.clear();
      groupLength = 0;
    }
  }

  private void frame(byte[] bytes, int from, int length, List<TableOfContents.Piece> pieces) {
    int at = from;
    for (TableOfContents.Piece piece : pieces) {
      sums.add(bytes, at, piece.length());
      at += piece.length();
    }
    int stored =
        compressor.compressByteArray(compressed, 0, compressed.length, bytes, from, length);
    frames.add(
        new TableOfContents.Frame(
            position, stored, length, Envelope.checksum(bytes, from, length), pieces));
    write(compressed, stored);
  }

  private void write(byte[] bytes, int length) {
    if (broken) {
      throw new IllegalStateException(name + " has failed before");
    }
    broken = true; // until it succeeded: after half a write no position would be right
    out.write(bytes, 0, length);
    position += length;
    broken = false;
  }

  /** Ends the part and makes it durable. */
  BaseDocument.Part finish() {
    flushGroup();
    byte[] blockSums = sums.encode();
    write(blockSums, blockSums.length);
    byte[] contents = new TableOfContents(frames, holes).encode();
    byte[] stored = Zstd.compress(contents, compressionLevel);
    int checksum = Envelope.checksum(contents, 0, contents.length);
    ByteBuffer trailer = ByteBuffer.allocate(TRAILER_BYTES);
    trailer.putLong(position).putInt(stored.length).putInt(contents.length).putInt(checksum);
    trailer.putInt(blockSums.length).putInt(Envelope.checksum(blockSums, 0, blockSums.length));
    trailer.putInt(Envelope.boundChecksum(name, trailer.array(), 0, 28)).put(TRAILER_MAGIC);
    write(stored, stored.length);
    write(trailer.array(), TRAILER_BYTES);
    out.commit();
    return new BaseDocument.Part(name.substring(name.lastIndexOf('/') + 1), position, checksum);
  }

  @Override
  public void close() {
    compressor.close();
    out.close();
  }
}
