package dev.holdfast.store;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;
import com.github.luben.zstd.ZstdInputStream;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectName;
import dev.holdfast.store.objects.ObjectStore;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.TreeMap;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.function.LongConsumer;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

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
  static final byte STRETCH = 11; // 10 is SealedObjects.SEALED

  /** What a stretch's header says lies in its first bytes. */
  static final int STRETCH_HEADER_BYTES = HEADER_BYTES + 8;

  private static final byte[] MAGIC = "HOLDFAST".getBytes(StandardCharsets.US_ASCII);
  private static final byte ZSTD = 1;
  private static final byte STORED_AS_IS = 0;
  private static final byte NOT_ENCRYPTED = 0;
  private static final byte ENCRYPTED = 1;
  private static final int PIECE = 1 << 20;

  /** Of what is only checked: in a bucket each piece is a request. */
  private static final int FETCHED_AT_ONCE = 4 << 20;

  /** Making a decompressor costs more than decompressing a small object; each starts afresh. */
  private static final ArrayBlockingQueue<ZstdDecompressCtx> IDLE = new ArrayBlockingQueue<>(8);

  private static final ArrayBlockingQueue<ZstdCompressCtx> IDLE_COMPRESSORS =
      new ArrayBlockingQueue<>(4);

  private Envelope() {}

  /**
   * @param contentBytes before compression; -1 in a base's part
   * @param payloadBytes after the header; -1 in a base's part
   */
  record Header(byte kind, long contentBytes, long payloadBytes, int contentChecksum) {}

  /** Wraps the first {@code length} bytes for the object of that name, at the usual level. */
  static byte[] wrap(String name, byte kind, byte[] content, int length) {
    return wrap(name, kind, content, length, Repository.Creation.USUAL_LEVEL);
  }

  /**
   * Wraps the first {@code length} bytes for the object of that name.
   *
   * @param level zstd's
   */
  static byte[] wrap(String name, byte kind, byte[] content, int length, int level) {
    Wrapped wrapped = new Wrapped();
    wrap(name, kind, content, length, level, new Frames(), wrapped);
    return Arrays.copyOf(wrapped.bytes, wrapped.length);
  }

  /** An object to be stored, in an array that is longer and can be used for the next one. */
  static final class Wrapped {
    private byte[] bytes = {};
    private int length;

    byte[] bytes() {
      return bytes;
    }

    int length() {
      return length;
    }

    private void begin(int room) {
      makeRoom(room);
      length = room;
    }

    private void append(byte[] more) {
      makeRoom(more.length);
      System.arraycopy(more, 0, bytes, length, more.length);
      length += more.length;
    }

    private void makeRoom(int more) {
      if (bytes.length - length < more) {
        int atLeast = Math.addExact(length, more);
        bytes = Arrays.copyOf(bytes, Math.max(atLeast, length + length / 2));
      }
    }
  }

  /**
   * Compressed pieces of something that is wrapped in parts and then as a whole, by position: each
   * is compressed once. Whoever keeps them vouches that the bytes at these positions are still the
   * same.
   */
  static final class Frames {
    /** They are in memory; what is beyond is compressed again. */
    private static final int BYTES_MAX = 8 << 20;

    private final TreeMap<Integer, byte[]> byPosition = new TreeMap<>();
    private int bytes;

    private void add(int position, byte[] wrapped, int begin, int end) {
      if (end - begin <= BYTES_MAX - bytes && !byPosition.containsKey(position)) {
        byPosition.put(position, Arrays.copyOfRange(wrapped, begin, end));
        bytes += end - begin;
      }
    }

    /** Forgets all that reach beyond a position. */
    void keepBefore(int position) {
      while (!byPosition.isEmpty() && byPosition.lastKey() + PIECE > position) {
        bytes -= byPosition.pollLastEntry().getValue().length;
      }
    }

    private byte @Nullable [] at(int position) {
      return byPosition.get(position);
    }

    /** How many bytes there are from a position to the next one that is known, or to an end. */
    private int untilNext(int position, int end) {
      Integer next = byPosition.higherKey(position);
      return (next == null || next + PIECE > end ? end : next) - position;
    }
  }

  /** As {@link #wrap(String, byte, byte[], int, int)}, into something that is used again. */
  static void wrap(
      String name,
      byte kind,
      byte[] content,
      int length,
      int level,
      Frames known,
      Wrapped wrapped) {
    compress(HEADER_BYTES, content, 0, length, level, known, wrapped);
    byte[] header =
        header(
            name,
            new Header(kind, length, wrapped.length - HEADER_BYTES, checksum(content, 0, length)));
    System.arraycopy(header, 0, wrapped.bytes, 0, HEADER_BYTES);
  }

  /** Compressed bytes behind room for a header. */
  private static void compress(
      int room, byte[] content, int begin, int end, int level, Frames known, Wrapped wrapped) {
    wrapped.length = 0;
    wrapped.begin(room);
    ZstdCompressCtx idle = IDLE_COMPRESSORS.poll();
    ZstdCompressCtx compressor = idle == null ? new ZstdCompressCtx() : idle;
    try {
      compressor.setLevel(level);
      // Pieces bound the compressor's memory; concatenated frames are one valid zstd stream.
      int from = begin;
      do {
        byte[] frame = end - from < PIECE ? null : known.at(from);
        if (frame != null) {
          wrapped.append(frame);
          from += PIECE;
          continue;
        }
        int piece = Math.min(PIECE, known.untilNext(from, end));
        wrapped.makeRoom(Math.toIntExact(Zstd.compressBound(piece)));
        int at = wrapped.length;
        wrapped.length +=
            compressor.compressByteArray(
                wrapped.bytes, at, wrapped.bytes.length - at, content, from, piece);
        if (piece == PIECE) {
          known.add(from, wrapped.bytes, at, wrapped.length);
        }
        from += piece;
      } while (from < end);
    } finally {
      if (!IDLE_COMPRESSORS.offer(compressor)) {
        compressor.close();
      }
    }
  }

  /**
   * What a stretch of a segment that is filling says of itself.
   *
   * @param from the first of the segment's bytes that it holds
   * @param to the first behind them
   * @param checksum of the segment's bytes from its very first to {@code to}
   */
  record StretchHeader(int from, int to, int checksum) {}

  /** Wraps the bytes of a segment between two of its positions, see {@link StretchHeader}. */
  static void wrapStretch(
      String name,
      byte[] segment,
      StretchHeader stretch,
      int level,
      Frames known,
      Wrapped wrapped) {
    int from = stretch.from();
    compress(STRETCH_HEADER_BYTES, segment, from, stretch.to(), level, known, wrapped);
    byte[] header =
        header(
            name,
            new Header(STRETCH, stretch.to(), wrapped.length - HEADER_BYTES, stretch.checksum()));
    ByteBuffer bytes = ByteBuffer.wrap(wrapped.bytes).put(header).putInt(from);
    bytes.putInt(boundChecksum(name, wrapped.bytes, 0, HEADER_BYTES + 4));
  }

  /** Reads and checks the header of a stretch; the bytes may be longer. */
  static StretchHeader stretch(String name, byte[] start) {
    Header header = header(name, STRETCH, start);
    if (start.length < STRETCH_HEADER_BYTES) {
      throw new DamagedObjectException(
          name, "it ends after %d bytes, inside its header".formatted(start.length));
    }
    ByteBuffer bytes = ByteBuffer.wrap(start).position(HEADER_BYTES);
    int from = bytes.getInt();
    int recorded = bytes.getInt();
    int found = boundChecksum(name, start, 0, HEADER_BYTES + 4);
    if (found != recorded) {
      throw new DamagedObjectException(
          name, "its header has checksum %08x where %08x is recorded".formatted(found, recorded));
    }
    if (from < 0 || from > header.contentBytes() || header.contentBytes() > Integer.MAX_VALUE - 8) {
      throw new DamagedObjectException(
          name, "it says that it holds bytes %d to %d".formatted(from, header.contentBytes()));
    }
    return new StretchHeader(from, (int) header.contentBytes(), header.contentChecksum());
  }

  /** The bytes that a stretch holds; whether they are the right ones, its checksum says. */
  static byte[] unwrapStretch(String name, byte[] wrapped) {
    StretchHeader stretch = stretch(name, wrapped);
    checkLength(name, header(name, STRETCH, wrapped), wrapped.length);
    byte[] content = new byte[stretch.to() - stretch.from()];
    decompress(
        name,
        wrapped,
        STRETCH_HEADER_BYTES,
        wrapped.length - STRETCH_HEADER_BYTES,
        content,
        content.length);
    return content;
  }

  /** The content of an object read whole. */
  static byte[] unwrap(String name, byte kind, byte[] wrapped) {
    Header header = header(name, kind, wrapped);
    checkLength(name, header, wrapped.length);
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

  private static void checkLength(String name, Header header, long length) {
    if (header.payloadBytes() != length - HEADER_BYTES) {
      throw new DamagedObjectException(
          name,
          "it has %d bytes where its header says %d"
              .formatted(length, HEADER_BYTES + header.payloadBytes()));
    }
  }

  /** Reads the header of a stored object and compares its length with what the store says. */
  static Header head(ObjectStore objects, String name, byte kind, long length) {
    Header header = header(name, kind, objects.get(name, 0, HEADER_BYTES));
    checkLength(name, header, length);
    return header;
  }

  /**
   * As {@link #unwrap}, of an object that never changes, without keeping what comes out: a piece at
   * a time.
   *
   * @param length of the object, as the store says
   * @param onBytes told how many further stored bytes were read
   */
  static void check(
      ObjectStore objects, String name, byte kind, long length, LongConsumer onBytes) {
    Header header = head(objects, name, kind, length);
    onBytes.accept(HEADER_BYTES);
    var checksum = new CRC32C();
    long out = 0;
    try (var content = new ZstdInputStream(new Payload(objects, name, length, onBytes))) {
      byte[] piece = new byte[PIECE];
      for (int read = content.read(piece); read >= 0; read = content.read(piece)) {
        checksum.update(piece, 0, read);
        out += read;
      }
    } catch (IOException e) {
      var damaged =
          new DamagedObjectException(name, "its compressed data is broken: " + e.getMessage());
      damaged.addSuppressed(e);
      throw damaged;
    }
    if (out != header.contentBytes()) {
      throw new DamagedObjectException(
          name, "%d bytes came out where %d went in".formatted(out, header.contentBytes()));
    }
    if ((int) checksum.getValue() != header.contentChecksum()) {
      throw new DamagedObjectException(
          name, mismatch(header.contentChecksum(), (int) checksum.getValue()));
    }
  }

  /** What follows the header, fetched a piece at a time. One thread. */
  private static final class Payload extends InputStream {
    private final ObjectStore objects;
    private final String name;
    private final long length;
    private final LongConsumer onBytes;
    private long fetched = HEADER_BYTES;
    private byte[] piece = {};
    private int at;

    Payload(ObjectStore objects, String name, long length, LongConsumer onBytes) {
      this.objects = objects;
      this.name = name;
      this.length = length;
      this.onBytes = onBytes;
    }

    private boolean isAtEnd() {
      if (at == piece.length && fetched < length) {
        piece = objects.get(name, fetched, (int) Math.min(FETCHED_AT_ONCE, length - fetched));
        at = 0;
        fetched = piece.length == 0 ? length : fetched + piece.length;
        onBytes.accept(piece.length);
      }
      return at == piece.length;
    }

    @Override
    public int read() {
      return isAtEnd() ? -1 : piece[at++] & 0xFF;
    }

    @Override
    public int read(byte[] target, int offset, int wanted) {
      if (wanted == 0) {
        return 0;
      }
      if (isAtEnd()) {
        return -1;
      }
      int read = Math.min(wanted, piece.length - at);
      System.arraycopy(piece, at, target, offset, read);
      at += read;
      return read;
    }
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

  /** What comes before the encrypted bytes of the object of that name. */
  static byte[] sealedHeader(String name) {
    ByteBuffer bytes = ByteBuffer.allocate(HEADER_BYTES);
    bytes.put(MAGIC).putShort((short) VERSION).put(SealedObjects.SEALED).put(STORED_AS_IS);
    bytes.put(ENCRYPTED);
    bytes.position(16);
    bytes.putLong(-1).putLong(-1).putInt(0);
    bytes.putInt(boundChecksum(name, bytes.array(), 0, 36));
    return bytes.array();
  }

  /** Whether it begins as objects of an encrypted repository do; the bytes may be longer. */
  static boolean isSealed(byte[] start) {
    return start.length >= HEADER_BYTES
        && Arrays.equals(start, 0, MAGIC.length, MAGIC, 0, MAGIC.length)
        && start[12] == ENCRYPTED;
  }

  /** Refuses what is not the beginning of an encrypted object; the bytes may be longer. */
  static void checkSealed(String name, byte[] start) {
    if (start.length > 0 && start[0] == '{') {
      throw notSealed(name); // a document as an unencrypted repository has it
    }
    checkStart(name, start);
    if (start[10] != SealedObjects.SEALED || start[11] != STORED_AS_IS || start[12] != ENCRYPTED) {
      throw notSealed(name);
    }
  }

  private static DamagedObjectException notSealed(String name) {
    return new DamagedObjectException(
        name,
        "it is not encrypted, as everything in this repository is: somebody else put it there");
  }

  /** Reads and checks a header; the bytes may be longer. */
  static Header header(String name, byte kind, byte[] start) {
    checkStart(name, start);
    ByteBuffer bytes = ByteBuffer.wrap(start);
    if (bytes.get(10) != kind || bytes.get(11) != ZSTD || bytes.get(12) != NOT_ENCRYPTED) {
      throw new DamagedObjectException(
          name,
          "it is of kind %d, codec %d, encryption %d, where %d, %d, %d is expected"
              .formatted(bytes.get(10), bytes.get(11), bytes.get(12), kind, ZSTD, NOT_ENCRYPTED));
    }
    return new Header(kind, bytes.getLong(16), bytes.getLong(24), bytes.getInt(32));
  }

  /** What every version's headers have in common, and that it is this version. */
  private static void checkStart(String name, byte[] start) {
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
