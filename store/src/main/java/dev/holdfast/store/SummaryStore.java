package dev.holdfast.store;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What was derived from one cluster's WAL: for each segment a summary (what it did) and the blocks
 * it changed. Both are opaque bytes here. They may be deleted and made again while the WAL is
 * there, and they outlive it. Any number of readers may work beside one writer.
 */
public final class SummaryStore {
  private static final Pattern TIMELINE = Pattern.compile("[0-9A-F]{8}");
  private static final Pattern SEGMENT = Pattern.compile("[0-9A-F]{24}");
  private static final String BLOCKS = ".blocks";

  private final ObjectStore objects;
  private final String folder;

  SummaryStore(ObjectStore objects, String folder) {
    this.objects = objects;
    this.folder = folder;
  }

  /**
   * Stores what one segment did, in the place of what was stored for it; durable on return. The
   * blocks come first, so a summary that can be seen has its blocks.
   *
   * @param segment 24 upper-case hexadecimal digits
   */
  public void put(String segment, byte[] summary, byte[] blocks) {
    String name = name(segment);
    objects.replace(
        name + BLOCKS,
        Envelope.wrap(name + BLOCKS, Envelope.CHANGED_BLOCKS, blocks, blocks.length));
    objects.replace(name, Envelope.wrap(name, Envelope.SUMMARY, summary, summary.length));
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
        throw new DamagedObjectException(name + BLOCKS, "it is missing, and the summary is there");
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
      if (TIMELINE.matcher(timeline).matches()) {
        for (String segment : objects.children(folder + timeline + "/")) {
          if (segment.startsWith(timeline) && SEGMENT.matcher(segment).matches()) {
            segments.add(segment);
          }
        }
      }
    }
    return segments;
  }

  /** Removes what is stored for a segment, the summary first; nothing happens when it is absent. */
  public void delete(String segment) {
    String name = name(segment);
    objects.delete(name);
    objects.delete(name + BLOCKS);
  }

  private String name(String segment) {
    if (!SEGMENT.matcher(segment).matches()) {
      throw new IllegalArgumentException("\"" + segment + "\" is not a WAL segment");
    }
    return folder + segment.substring(0, 8) + "/" + segment;
  }
}
