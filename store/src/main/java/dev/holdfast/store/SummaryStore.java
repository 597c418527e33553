package dev.holdfast.store;

import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What was derived from one cluster's WAL: for each segment a summary (what it did) and the blocks
 * it changed. Both are opaque bytes here. They may be deleted and made again while the WAL is
 * there, and they outlive it. Any number of readers may work beside one writer.
 */
public final class SummaryStore {
  private static final HexFormat HEX = HexFormat.of().withUpperCase();
  private static final int TIMELINE_NAME = 8;
  static final String BLOCKS = ".blocks";
  static final String PACK = ".pack";

  /** Segments whose summaries share a pack, unless segments are so large that fewer share 4 GiB. */
  private static final int PACKED_MAX = 256;

  /** A pack is read whole. */
  private static final int PACK_BYTES_MAX = 8 << 20;

  private static final int SEGMENT_NAME = 24;

  private final ObjectStore objects;
  private final String folder;
  private final int packed;
  private final int compressionLevel;

  SummaryStore(ObjectStore objects, String folder, int segmentSize, int compressionLevel) {
    this.objects = objects;
    this.compressionLevel = compressionLevel;
    this.folder = folder;
    this.packed = (int) Math.min(PACKED_MAX, (1L << 32) / segmentSize);
  }

  /**
   * Reads summaries in about the order of the log, many at once where they are packed. For one
   * thread.
   */
  public final class Reader {
    private String pack = "";
    private Map<String, byte[]> summaries = Map.of();

    private Reader() {}

    /** As {@link SummaryStore#read}. */
    public byte @Nullable [] read(String segment) {
      String wanted = packName(segment);
      if (!wanted.equals(pack)) {
        summaries = unpack(wanted);
        pack = wanted;
      }
      byte[] summary = summaries.get(segment);
      return summary != null ? summary : SummaryStore.this.read(segment);
    }
  }

  /** For reading many. */
  public Reader reader() {
    return new Reader();
  }

  /**
   * Stores what one segment did, in the place of what was stored for it; durable on return. The
   * blocks come first, so a summary that can be seen has its blocks.
   *
   * @param segment 24 upper-case hexadecimal digits
   */
  public void put(String segment, byte[] summary, byte[] blocks) {
    String name = name(segment);
    objects.delete(packName(segment)); // it holds what is replaced now
    objects.replace(
        name + BLOCKS,
        Envelope.wrap(
            name + BLOCKS, Envelope.CHANGED_BLOCKS, blocks, blocks.length, compressionLevel));
    objects.replace(
        name, Envelope.wrap(name, Envelope.SUMMARY, summary, summary.length, compressionLevel));
    if (number(segment) % packed == packed - 1) {
      pack(segment);
    }
  }

  /**
   * Writes copies of neighbours' summaries into one object, when all of them are there and small.
   */
  private void pack(String last) {
    var content = new ByteArrayOutputStream();
    for (long number = number(last) - packed + 1; number <= number(last); number++) {
      String segment = last.substring(0, 16) + HEX.toHexDigits(number, 8);
      byte[] summary = readOrNull(segment);
      if (summary == null || content.size() + summary.length > PACK_BYTES_MAX) {
        return;
      }
      content.writeBytes(segment.getBytes(StandardCharsets.US_ASCII));
      content.writeBytes(ByteBuffer.allocate(Integer.BYTES).putInt(summary.length).array());
      content.writeBytes(summary);
    }
    String name = packName(last);
    byte[] bytes = content.toByteArray();
    objects.replace(
        name, Envelope.wrap(name, Envelope.SUMMARY_PACK, bytes, bytes.length, compressionLevel));
  }

  private byte @Nullable [] readOrNull(String segment) {
    try {
      return read(segment);
    } catch (DamagedObjectException e) {
      return null; // who reads it is told; what was just stored is stored
    }
  }

  /** What a pack holds; nothing when there is none, or none that holds: these are only copies. */
  private Map<String, byte[]> unpack(String name) {
    byte[] content;
    try {
      content = readPack(name);
    } catch (NoSuchObjectException | DamagedObjectException e) {
      return Map.of();
    }
    var summaries = new HashMap<String, byte[]>();
    var bytes = ByteBuffer.wrap(content);
    var segment = new byte[SEGMENT_NAME];
    while (bytes.remaining() >= SEGMENT_NAME + Integer.BYTES) {
      bytes.get(segment);
      var summary = new byte[Math.clamp(bytes.getInt(), 0, bytes.remaining())];
      bytes.get(summary);
      summaries.put(new String(segment, StandardCharsets.US_ASCII), summary);
    }
    return summaries;
  }

  private byte[] readPack(String name) {
    return Envelope.unwrap(name, Envelope.SUMMARY_PACK, objects.get(name));
  }

  /** Throws when a pack does not hold. */
  void checkPack(String name) {
    readPack(name);
  }

  /**
   * What the segment did; null when no summary of it is stored.
   *
   * @throws dev.holdfast.failure.OperatorException DAMAGED_DATA when it does not hold
   */
  public byte @Nullable [] read(String segment) {
    return read(name(segment), Envelope.SUMMARY);
  }

  /**
   * Which blocks the segment changed; null when no summary of it is stored.
   *
   * @throws dev.holdfast.failure.OperatorException DAMAGED_DATA when they do not hold, or are
   *     missing under a summary
   */
  public byte @Nullable [] readBlocks(String segment) {
    String name = name(segment);
    byte[] blocks = read(name + BLOCKS, Envelope.CHANGED_BLOCKS);
    if (blocks != null) {
      return blocks;
    }
    if (objects.exists(name)) {
      // Stored between the two looks, unless they are gone for good.
      blocks = read(name + BLOCKS, Envelope.CHANGED_BLOCKS);
      if (blocks == null && objects.exists(name)) {
        throw DamagedObjectException.missing(
            name + BLOCKS, "it is missing, and the summary is there");
      }
    }
    return blocks;
  }

  private byte @Nullable [] read(String name, byte kind) {
    try {
      return Envelope.unwrap(name, kind, objects.get(name));
    } catch (NoSuchObjectException e) {
      return null;
    }
  }

  /** The segments that have a summary, sorted by timeline and number. */
  public List<String> list() {
    var segments = new ArrayList<String>();
    for (String timeline : objects.folders(folder)) {
      if (isHex(timeline, TIMELINE_NAME)) {
        for (String segment : objects.children(folder + timeline + "/")) {
          if (segment.startsWith(timeline) && isHex(segment, SEGMENT_NAME)) {
            segments.add(segment);
          }
        }
      }
    }
    return segments;
  }

  /** The first of the segments whose summaries share a pack with this one's. */
  public String packedWith(String segment) {
    return segment.substring(0, 16) + HEX.toHexDigits(number(segment) / packed * packed, 8);
  }

  /** Removes what is stored for a segment, the summary first; nothing happens when it is absent. */
  public void delete(String segment) {
    String name = name(segment);
    objects.delete(packName(segment));
    objects.delete(name);
    objects.delete(name + BLOCKS);
  }

  private String name(String segment) {
    if (!isHex(segment, SEGMENT_NAME)) {
      throw new IllegalArgumentException("\"" + segment + "\" is not a WAL segment");
    }
    return folder + segment.substring(0, 8) + "/" + segment;
  }

  /** The pack is named after the first segment it holds. */
  private String packName(String segment) {
    return name(packedWith(segment)) + PACK;
  }

  /** The last 8 digits: the segment's place in its 4 GiB. */
  private static long number(String segment) {
    return Long.parseLong(segment.substring(16), 16);
  }

  /** Upper-case hexadecimal digits; no regular expression, since there are many names. */
  static boolean isHex(String text, int length) {
    if (text.length() != length) {
      return false;
    }
    for (int at = 0; at < length; at++) {
      char digit = text.charAt(at);
      if (!(digit >= '0' && digit <= '9') && !(digit >= 'A' && digit <= 'F')) {
        return false;
      }
    }
    return true;
  }
}
