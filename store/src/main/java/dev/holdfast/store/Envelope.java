package dev.holdfast.store;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectName;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.zip.CRC32C;

/** The envelope of binary objects: a 40-byte header, then the payload. See FORMAT.md. */
final class Envelope {
  static final int VERSION = 1;
  static final int HEADER_BYTES = 40;
  static final byte BASE_PART = 1;
  static final byte BASE_FILES = 2;
  static final byte WAL_SEGMENT = 3;
  static final byte PARTIAL_SEGMENT = 4;
  static final byte TIMELINE_HISTORY = 5;
  static final byte CATALOG = 6;
  static final byte SUMMARY = 7;
  static final byte CHANGED_BLOCKS = 8;
  static final byte SUMMARY_PACK = 9;

  private static final byte[] MAGIC = "HOLDFAST".getBytes(StandardCharsets.US_ASCII);
  private static final byte ZSTD = 1;
  private static final byte NOT_ENCRYPTED = 0;
  private static final int PIECE = 1 << 20;

  /** Making a decompressor costs more than decompressing a small object; each starts afresh. */
  private static final ArrayBlockingQueue<ZstdDecompressCtx> IDLE = new ArrayBlockingQueue<>(8);

  private Envelope() {}

  /**
   * @param contentBytes before compression; -1 in a base's part
   * @param payloadBytes after the header; -1 in a base's part
   */
  record Header(byte kind, long contentBytes, long payloadBytes, int contentChecksum) {}

  /** Wraps the first {@code length} bytes for the object of that name. */
  static byte[] wrap(String name, byte kind, byte[] content, int length) {
    // Pieces bound the compressor's memory; concatenated frames are one valid zstd stream.
    int pieces = Math.max(1, (length + PIECE - 1) / PIECE);
    long bound = pieces * Zstd.compressBound(Math.min(PIECE, length));
    byte[] wrapped = new byte[Math.toIntExact(HEADER_BYTES + bound)];
    int end = HEADER_BYTES;
    try (var compressor = new ZstdCompressCtx()) {
      compressor.setLevel(1);
      for (int from = 0, piece = 0; piece < pieces; piece++, from += PIECE) {
        end +=
            compressor.compressByteArray(
                wrapped, end, wrapped.length - end, content, from, Math.min(PIECE, length - from));
      }
    }
    byte[] header =
        header(name, new Header(kind, length, end - HEADER_BYTES, checksum(content, 0, length)));
    System.arraycopy(header, 0, wrapped, 0, HEADER_BYTES);
    return Arrays.copyOf(wrapped, end);
  }

  /** The content of an object read whole. */
  static byte[] unwrap(String name, byte kind, byte[] wrapped) {
    Header header = header(name, kind, wrapped);
    if (header.payloadBytes() != wrapped.length - HEADER_BYTES) {
      throw new DamagedObjectException(
          name,
          "it has %d bytes where its header says %d"
              .formatted(wrapped.length, HEADER_BYTES + header.payloadBytes()));
    }
    // A segment has at most 1 GiB; more than 2 GiB of anything else is not ours.
    if (header.contentBytes() < 0 || header.contentBytes() > Integer.MAX_VALUE - 8) {
      throw new DamagedObjectException(
          name, "its header says %d bytes of content".formatted(header.contentBytes()));
    }
    byte[] content = new byte[(int) header.contentBytes()];
    decompress(name, wrapped, HEADER_BYTES, wrapped.length - HEADER_BYTES, content, content.length);
    int found = checksum(content, 0, content.length);
    if (found != header.contentChecksum()) {
      throw new DamagedObjectException(name, mismatch(header.contentChecksum(), found));
    }
    return content;
  }

  /** Decompresses exactly {@code length} bytes into the start of {@code content}. */
  static void decompress(
      String name, byte[] stored, int offset, int storedLength, byte[] content, int length) {
    ZstdDecompressCtx idle = IDLE.poll();
    ZstdDecompressCtx decompressor = idle == null ? new ZstdDecompressCtx() : idle;
    try {
      int decompressed =
          decompressor.decompressByteArray(content, 0, length, stored, offset, storedLength);
      if (decompressed != length) {
        throw new DamagedObjectException(
            name, "%d bytes came out where %d went in".formatted(decompressed, length));
      }
    } catch (ZstdException e) {
      var damaged =
          new DamagedObjectException(name, "its compressed data is broken: " + e.getMessage());
      damaged.addSuppressed(e);
      throw damaged;
    } finally {
      if (!IDLE.offer(decompressor)) {
        decompressor.close();
      }
    }
  }

  static byte[] header(String name, Header header) {
    ByteBuffer bytes = ByteBuffer.allocate(HEADER_BYTES);
    bytes.put(MAGIC).putShort((short) VERSION).put(header.kind()).put(ZSTD).put(NOT_ENCRYPTED);
    bytes.position(16);
    bytes.putLong(header.contentBytes()).putLong(header.payloadBytes());
    bytes.putInt(header.contentChecksum());
    bytes.putInt(boundChecksum(name, bytes.array(), 0, 36));
    return bytes.array();
  }

  /** Reads and checks a header; the bytes may be longer. */
  static Header header(String name, byte kind, byte[] start) {
    if (start.length < HEADER_BYTES) {
      throw new DamagedObjectException(
          name, "it ends after %d bytes, inside its header".formatted(start.length));
    }
    ByteBuffer bytes = ByteBuffer.wrap(start);
    if (!Arrays.equals(start, 0, MAGIC.length, MAGIC, 0, MAGIC.length)) {
      throw new DamagedObjectException(name, "it does not start as Holdfast's objects do");
    }
    int found = boundChecksum(name, start, 0, 36);
    if (found != bytes.getInt(36)) {
      throw new DamagedObjectException(
          name,
          "its header has checksum %08x where %08x is recorded: damaged, or moved under another name"
              .formatted(found, bytes.getInt(36)));
    }
    checkVersion(name, bytes.getShort(8));
    if (bytes.get(10) != kind || bytes.get(11) != ZSTD || bytes.get(12) != NOT_ENCRYPTED) {
      throw new DamagedObjectException(
          name,
          "it is of kind %d, codec %d, encryption %d, where %d, %d, %d is expected"
              .formatted(bytes.get(10), bytes.get(11), bytes.get(12), kind, ZSTD, NOT_ENCRYPTED));
    }
    return new Header(kind, bytes.getLong(16), bytes.getLong(24), bytes.getInt(32));
  }

  /** Refuses what a later Holdfast wrote. */
  static void checkVersion(String name, int version) {
    if (version != VERSION) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot read " + name,
          "it has repository format version %d, and this Holdfast reads version %d"
              .formatted(version, VERSION),
          "use the Holdfast release that wrote it, or a newer one");
    }
  }

  static int checksum(byte[] bytes, int offset, int length) {
    var checksum = new CRC32C();
    checksum.update(bytes, offset, length);
    return (int) checksum.getValue();
  }

  /** Over the bytes and then the object's bound name. */
  static int boundChecksum(String name, byte[] bytes, int offset, int length) {
    var checksum = new CRC32C();
    checksum.update(bytes, offset, length);
    checksum.update(ObjectName.bound(name).getBytes(StandardCharsets.UTF_8));
    return (int) checksum.getValue();
  }

  static String mismatch(int recorded, int found) {
    return "its content has checksum %08x where %08x is recorded".formatted(found, recorded);
  }
}
