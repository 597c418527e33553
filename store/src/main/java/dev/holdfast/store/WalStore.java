package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectStore;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * One cluster's WAL. Segments are complete or, the newest one, partial; bytes once stored are never
 * replaced by other bytes. Any number of readers may work beside one writer.
 */
public final class WalStore {
  static final Pattern TIMELINE = Pattern.compile("[0-9A-F]{8}");
  static final Pattern SEGMENT = Pattern.compile("[0-9A-F]{24}");
  private static final Pattern HISTORY = Pattern.compile("([0-9A-F]{8})\\.history");
  static final String PARTIAL = ".partial";

  private final ObjectStore objects;
  private final String folder;
  private final int segmentSize;
  private final int compressionLevel;

  /** What the header of a partial segment says. */
  private record Partial(int bytes, int checksum) {}

  WalStore(ObjectStore objects, String folder, int segmentSize, int compressionLevel) {
    this.objects = objects;
    this.folder = folder;
    this.segmentSize = segmentSize;
    this.compressionLevel = compressionLevel;
  }

  /**
   * Stores a complete segment, durable on return, and drops its partial. Storing the same bytes
   * again is fine.
   *
   * @param segment 24 upper-case hexadecimal digits
   * @param bytes exactly one segment's
   * @throws OperatorException REFUSED when other bytes are recorded for it
   */
  public synchronized void put(String segment, byte[] bytes) {
    if (bytes.length != segmentSize) {
      throw new IllegalArgumentException(
          "a segment has %d bytes, not %d".formatted(segmentSize, bytes.length));
    }
    String name = name(segment);
    if (objects.exists(name)) {
      if (!Arrays.equals(complete(name), bytes)) {
        throw diverged(segment);
      }
    } else {
      Partial stored = storedPartial(segment);
      if (stored != null && !isPrefix(stored, bytes, bytes.length)) {
        throw diverged(segment);
      }
      try {
        objects.put(
            name, Envelope.wrap(name, Envelope.WAL_SEGMENT, bytes, bytes.length, compressionLevel));
      } catch (ObjectExistsException e) {
        // Another recorder was faster; the same bytes are fine from it too.
        if (!Arrays.equals(complete(name), bytes)) {
          OperatorException diverged = diverged(segment);
          diverged.addSuppressed(e);
          throw diverged;
        }
      }
    }
    objects.delete(name + PARTIAL);
  }

  /**
   * Stores the beginning of a segment that is still filling, in the place of a shorter beginning;
   * durable on return. Nothing happens when as much or more of it is stored already.
   *
   * @param segment 24 upper-case hexadecimal digits
   * @param bytes the segment's bytes from its start
   * @param length how many of them are valid
   * @throws OperatorException REFUSED when what is stored differs from these bytes
   */
  public synchronized void putPartial(String segment, byte[] bytes, int length) {
    if (length < 0 || length > bytes.length || length > segmentSize) {
      throw new IllegalArgumentException(length + " bytes of a segment of " + segmentSize);
    }
    String name = name(segment);
    Partial stored = storedPartial(segment);
    if (stored == null && objects.exists(name)) {
      byte[] complete = complete(name);
      if (!Arrays.equals(complete, 0, length, bytes, 0, length)) {
        throw diverged(segment);
      }
      return;
    }
    if (stored != null) {
      boolean holds =
          length < stored.bytes()
              ? Arrays.equals(read(segment), 0, length, bytes, 0, length)
              : isPrefix(stored, bytes, length);
      if (!holds) {
        throw diverged(segment);
      }
      if (length <= stored.bytes()) {
        return;
      }
    }
    String partial = name + PARTIAL;
    objects.replace(
        partial, Envelope.wrap(partial, Envelope.PARTIAL_SEGMENT, bytes, length, compressionLevel));
  }

  /**
   * The valid bytes of a segment: all of a complete one, else the beginning that is stored.
   *
   * @throws OperatorException DAMAGED_DATA when it does not hold, or is not recorded at all
   */
  public byte[] read(String segment) {
    String name = name(segment);
    for (int attempt = 0; ; attempt++) {
      try {
        return complete(name);
      } catch (NoSuchObjectException noComplete) {
        try {
          return Envelope.unwrap(
              name + PARTIAL, Envelope.PARTIAL_SEGMENT, objects.get(name + PARTIAL));
        } catch (NoSuchObjectException noPartial) {
          // Completed between the two looks: the complete one is there now.
          if (attempt == 1) {
            throw new OperatorException(
                Kind.DAMAGED_DATA,
                "cannot read WAL segment " + segment,
                "it is not recorded in " + objects.location(),
                "a restore can reach any point before this segment, or start from a base backup"
                    + " after it",
                noPartial);
          }
        }
      }
    }
  }

  private byte[] complete(String name) {
    byte[] bytes = Envelope.unwrap(name, Envelope.WAL_SEGMENT, objects.get(name));
    if (bytes.length != segmentSize) {
      throw new DamagedObjectException(
          name, "it has %d bytes where a segment has %d".formatted(bytes.length, segmentSize));
    }
    return bytes;
  }

  /** Whether any of the segment is stored, complete or partial. */
  public boolean has(String segment) {
    String name = name(segment);
    // The complete one again: it may have taken the partial's place between the two looks.
    return objects.exists(name) || objects.exists(name + PARTIAL) || objects.exists(name);
  }

  /** Every stored segment once, sorted by timeline and number. */
  public List<StoredSegment> list() {
    var complete = new TreeMap<String, Boolean>();
    for (String name : names()) {
      if (SEGMENT.matcher(name).matches()) {
        complete.put(name, true);
      } else if (name.endsWith(PARTIAL)) {
        String segment = name.substring(0, name.length() - PARTIAL.length());
        if (SEGMENT.matcher(segment).matches()) {
          complete.putIfAbsent(segment, false);
        }
      }
    }
    var segments = new ArrayList<StoredSegment>();
    complete.forEach((segment, whole) -> {
      Partial partial = whole ? null : storedPartial(segment);
      segments.add(
          partial == null
              ? new StoredSegment(segment, true, segmentSize)
              : new StoredSegment(segment, false, partial.bytes()));
    });
    return segments;
  }

  /**
   * The object of a segment, or of its beginning.
   *
   * @param name the segment's
   * @param bytes as stored
   * @param storedAt by the storage's clock
   */
  public record SegmentObject(String name, long bytes, Instant storedAt) {}

  /** The objects of all segments; a segment with a leftover of its beginning has two. */
  public List<SegmentObject> objects() {
    var found = new ArrayList<SegmentObject>();
    for (String timeline : objects.folders(folder)) {
      if (TIMELINE.matcher(timeline).matches()) {
        String prefix = folder + timeline + "/";
        for (ObjectStore.StoredObject object : objects.list(prefix)) {
          String name = object.name().substring(prefix.length());
          String segment =
              name.endsWith(PARTIAL) ? name.substring(0, name.length() - PARTIAL.length()) : name;
          if (name.startsWith(timeline) && SEGMENT.matcher(segment).matches()) {
            found.add(new SegmentObject(segment, object.bytes(), object.modifiedAt()));
          }
        }
      }
    }
    return found;
  }

  /** Removes a segment, its beginning too; nothing happens when it is absent. */
  synchronized void delete(String segment) {
    String name = name(segment);
    objects.delete(name + PARTIAL);
    objects.delete(name);
  }

  /**
   * Stores a timeline history file; the same bytes again are fine.
   *
   * @throws OperatorException REFUSED when other bytes are stored for this timeline
   */
  public synchronized void putHistory(int timeline, byte[] content) {
    String name = historyName(timeline);
    if (objects.exists(name)) {
      if (!Arrays.equals(
          Envelope.unwrap(name, Envelope.TIMELINE_HISTORY, objects.get(name)), content)) {
        throw diverged(name.substring(name.lastIndexOf('/') + 1));
      }
      return;
    }
    objects.put(
        name,
        Envelope.wrap(name, Envelope.TIMELINE_HISTORY, content, content.length, compressionLevel));
  }

  /** A timeline's history file; null when none is stored, as for timeline 1. */
  public byte @Nullable [] readHistory(int timeline) {
    String name = historyName(timeline);
    try {
      return Envelope.unwrap(name, Envelope.TIMELINE_HISTORY, objects.get(name));
    } catch (NoSuchObjectException e) {
      return null;
    }
  }

  /** The timelines that have a history file, sorted. */
  public List<Integer> histories() {
    return names().stream()
        .map(HISTORY::matcher)
        .filter(Matcher::matches)
        .map(history -> Integer.parseUnsignedInt(history.group(1), 16))
        .toList();
  }

  /** What lies in the folders of the timelines, where its name says that it belongs there. */
  private List<String> names() {
    var names = new ArrayList<String>();
    for (String timeline : objects.folders(folder)) {
      if (TIMELINE.matcher(timeline).matches()) {
        objects.children(folder + timeline + "/").stream()
            .filter(name -> name.startsWith(timeline))
            .forEach(names::add);
      }
    }
    return names;
  }

  private @Nullable Partial storedPartial(String segment) {
    String name = name(segment) + PARTIAL;
    try {
      Envelope.Header header =
          Envelope.header(
              name, Envelope.PARTIAL_SEGMENT, objects.get(name, 0, Envelope.HEADER_BYTES));
      return new Partial(Math.toIntExact(header.contentBytes()), header.contentChecksum());
    } catch (NoSuchObjectException e) {
      return null;
    }
  }

  private static boolean isPrefix(Partial stored, byte[] bytes, int length) {
    return stored.bytes() <= length
        && Envelope.checksum(bytes, 0, stored.bytes()) == stored.checksum();
  }

  private OperatorException diverged(String what) {
    return new OperatorException(
        Kind.REFUSED,
        "cannot store " + what + " in " + objects.location(),
        "different bytes are recorded under that name: this server's log has parted from the"
            + " recorded one, as after restoring the server from a copy",
        "check that this is the protected server; if it is, register it under another name and take"
            + " a new base backup; what is recorded stays readable");
  }

  private String name(String segment) {
    if (!SEGMENT.matcher(segment).matches()) {
      throw new IllegalArgumentException("\"" + segment + "\" is not a WAL segment");
    }
    return folder + segment.substring(0, 8) + "/" + segment;
  }

  private String historyName(int timeline) {
    String digits = String.format(Locale.ROOT, "%08X", timeline);
    return folder + digits + "/" + digits + ".history";
  }
}
