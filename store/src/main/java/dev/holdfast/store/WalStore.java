package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectStore;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * One cluster's WAL. Segments are complete or, the newest one, filling; bytes once stored are never
 * replaced by other bytes. Any number of readers may work beside one writer. Of two writers each
 * sees, before it adds to a segment that is filling, what the other one has stored of it.
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

  // What this writer knows of the segment that it fills.
  private String fillingName = "";
  private @Nullable FillingSegment filling;
  private CRC32C checksum = new CRC32C();
  private int summed;

  /**
   * Of the segment that it fills: what stretches were made of, the complete segment is made of.
   * Only what is stored counts, since only that is compared with the bytes before it is used.
   */
  private Envelope.Frames frames = new Envelope.Frames();

  /** Written again and again: a segment's array is too large to be made anew each time. */
  private final Envelope.Wrapped wrapped = new Envelope.Wrapped();

  /** Another writer takes the number for its stretch so often in a row only if it is mad. */
  private static final int OVERTAKEN_MAX = 20;

  /** How often what is being read may have gone at the next look. */
  private static final int LOOKS_MAX = 10;

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
    FillingSegment written = segment.equals(fillingName) ? filling : null;
    FillingSegment stored =
        written != null && written.isStill(objects, timelineFolder(segment))
            ? written
            : filling(segment); // another recorder may have been here
    if (objects.exists(name)) {
      if (!Arrays.equals(complete(name), bytes)) {
        throw diverged(segment);
      }
    } else {
      if (!stored.isAllOf(bytes, bytes.length)) {
        throw diverged(segment);
      }
      try {
        Envelope.Frames known = written == null ? new Envelope.Frames() : frames;
        known.keepBefore(stored.bytes());
        Envelope.wrap(
            name, Envelope.WAL_SEGMENT, bytes, bytes.length, compressionLevel, known, wrapped);
        objects.put(name, wrapped.bytes(), wrapped.length());
      } catch (ObjectExistsException e) {
        // Another recorder was faster; the same bytes are fine from it too.
        if (!Arrays.equals(complete(name), bytes)) {
          OperatorException diverged = diverged(segment);
          diverged.addSuppressed(e);
          throw diverged;
        }
      }
    }
    filling = null;
    frames = new Envelope.Frames();
    objects.deleteAll(stored.stretches().stream().map(FillingSegment.Stretch::object).toList());
  }

  /**
   * Stores the beginning of a segment that is still filling: what is not stored of it yet; durable
   * on return. Nothing happens when as much or more of it is stored already.
   *
   * @param segment 24 upper-case hexadecimal digits
   * @param bytes the segment's bytes from its start
   * @param length how many of them are valid
   * @throws OperatorException REFUSED when what is stored differs from these bytes
   */
  public void putPartial(String segment, byte[] bytes, int length) {
    putPartial(segment, bytes, length, 0);
  }

  /**
   * As {@link #putPartial(String, byte[], int)}, for who adds to the same bytes again and again:
   * they need not all be looked at each time.
   *
   * @param unchanged so many of the bytes are what they were when this last returned, having been
   *     given at least as many of the same segment; 0 when that is not sure
   */
  public synchronized void putPartial(String segment, byte[] bytes, int length, int unchanged) {
    if (length < 0 || length > bytes.length || length > segmentSize) {
      throw new IllegalArgumentException(length + " bytes of a segment of " + segmentSize);
    }
    String name = name(segment);
    boolean sure = unchanged > 0 && segment.equals(fillingName) && summed == unchanged;
    if (!sure) {
      checksum = new CRC32C();
      summed = 0;
    }
    for (int attempt = 1; ; attempt++) {
      FillingSegment stored = known(segment);
      if (stored.isEmpty() && objects.exists(name)) {
        byte[] complete = complete(name);
        if (!Arrays.equals(complete, 0, length, bytes, 0, length)) {
          throw diverged(segment);
        }
        return;
      }
      if (length < stored.bytes()) {
        if (!Arrays.equals(read(segment), 0, length, bytes, 0, length)) {
          throw diverged(segment);
        }
        return;
      }
      if (summed > stored.bytes()) { // a write failed, or the repository was put back
        checksum = new CRC32C();
        summed = 0;
      }
      if (!stored.isEmpty() && sum(bytes, stored.bytes()) != stored.checksum()) {
        throw diverged(segment);
      }
      if (!stored.isEmpty() && length == stored.bytes()) {
        return;
      }
      FillingSegment.Stretch next =
          stored.next(timelineFolder(segment), length, sum(bytes, length));
      try {
        frames.keepBefore(stored.bytes());
        Envelope.wrapStretch(next.object(), bytes, next.holds(), compressionLevel, frames, wrapped);
        objects.put(next.object(), wrapped.bytes(), wrapped.length());
      } catch (ObjectExistsException e) {
        filling = null; // another recorder wrote the stretch of that number: see what it is
        if (attempt == OVERTAKEN_MAX) {
          throw e;
        }
        continue;
      }
      List<String> replaced =
          stored.replacedBy(next).stream().map(FillingSegment.Stretch::object).toList();
      filling = stored.with(next);
      if (!replaced.isEmpty()) {
        objects.deleteAll(replaced);
      }
      return;
    }
  }

  /** The checksum of the first bytes, of which some have been summed up before. */
  private int sum(byte[] bytes, int length) {
    checksum.update(bytes, summed, length - summed);
    summed = length;
    return (int) checksum.getValue();
  }

  /** What is stored of a segment that is filling: as it was left here if nobody else came by. */
  private FillingSegment known(String segment) {
    FillingSegment known = filling;
    if (known != null && segment.equals(fillingName) && objects.exists(known.newest().object())) {
      return known;
    }
    FillingSegment found = FillingSegment.look(objects, timelineFolder(segment), segment);
    if (!segment.equals(fillingName)) {
      frames = new Envelope.Frames();
    }
    fillingName = segment;
    filling = found.isEmpty() ? null : found;
    return found;
  }

  /**
   * The valid bytes of a segment: all of a complete one, else the beginning that is stored.
   *
   * @throws OperatorException DAMAGED_DATA when it does not hold, or is not recorded at all
   */
  public byte[] read(String segment) {
    String name = name(segment);
    var had = new HashMap<String, byte[]>();
    for (int look = 1; ; look++) {
      try {
        return complete(name);
      } catch (NoSuchObjectException noComplete) {
        try {
          FillingSegment beginning = filling(segment);
          if (!beginning.isEmpty()) {
            return beginning.read(objects, had);
          }
          if (look < LOOKS_MAX && objects.exists(name)) {
            continue; // completed between the two looks
          }
        } catch (NoSuchObjectException replaced) {
          if (look < LOOKS_MAX) {
            continue; // a recorder has just written these bytes anew, or all of the segment
          }
          noComplete.addSuppressed(replaced);
        }
        throw new OperatorException(
            Kind.DAMAGED_DATA,
            "cannot read WAL segment " + segment,
            "it is not recorded in " + objects.location(),
            "a restore can reach any point before this segment, or start from a base backup"
                + " after it",
            noComplete);
      }
    }
  }

  /** What is stored of a segment that is not complete. */
  FillingSegment filling(String segment) {
    return FillingSegment.look(objects, timelineFolder(segment), segment);
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
    return objects.exists(name) || !filling(segment).isEmpty() || objects.exists(name);
  }

  /** Every stored segment once, sorted by timeline and number. */
  public List<StoredSegment> list() {
    var complete = new TreeMap<String, Boolean>();
    for (String timeline : timelines()) {
      // What fills comes first: when it is completed meanwhile, the second list has it.
      var names = new ArrayList<String>();
      String stretches = FillingSegment.FOLDER + "/";
      objects
          .children(folder + timeline + "/" + stretches)
          .forEach(name -> names.add(stretches + name));
      names.addAll(objects.children(folder + timeline + "/"));
      for (String name : names) {
        String segment = segment(name);
        if (segment.startsWith(timeline)) {
          complete.merge(segment, segment.equals(name), Boolean::logicalOr);
        }
      }
    }
    var segments = new ArrayList<StoredSegment>();
    complete.forEach((segment, whole) -> {
      FillingSegment beginning = whole ? null : filling(segment);
      if (beginning == null || (beginning.isEmpty() && objects.exists(name(segment)))) {
        segments.add(new StoredSegment(segment, true, segmentSize));
      } else if (!beginning.isEmpty()) {
        segments.add(new StoredSegment(segment, false, beginning.bytes()));
      }
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

  /** The objects of all segments; one that is filling, or was left so, may have several. */
  public List<SegmentObject> objects() {
    var found = new ArrayList<SegmentObject>();
    for (String timeline : objects.folders(folder)) {
      if (TIMELINE.matcher(timeline).matches()) {
        String prefix = folder + timeline + "/";
        for (ObjectStore.StoredObject object : objects.list(prefix)) {
          String segment = segment(object.name().substring(prefix.length()));
          if (segment.startsWith(timeline)) {
            found.add(new SegmentObject(segment, object.bytes(), object.modifiedAt()));
          }
        }
      }
    }
    return found;
  }

  /**
   * The segment of which an object holds something; empty: of none.
   *
   * @param name below the folder of its timeline
   */
  static String segment(String name) {
    String stretches = FillingSegment.FOLDER + "/";
    if (name.startsWith(stretches)) {
      return FillingSegment.segment(name.substring(stretches.length()));
    }
    String segment =
        name.endsWith(PARTIAL) ? name.substring(0, name.length() - PARTIAL.length()) : name;
    return SEGMENT.matcher(segment).matches() ? segment : "";
  }

  /** Removes a segment, its beginning too; nothing happens when it is absent. */
  synchronized void delete(String segment) {
    filling = null;
    // From the end: stopped in between, what stays has no gap.
    filling(segment).stretches().stream()
        .sorted(Comparator.comparingInt(FillingSegment.Stretch::from).reversed())
        .forEach(stretch -> objects.delete(stretch.object()));
    objects.delete(name(segment));
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
    return timelines().stream()
        .flatMap(timeline ->
            objects.children(folder + timeline + "/").stream()
                .filter(name -> name.startsWith(timeline)))
        .map(HISTORY::matcher)
        .filter(Matcher::matches)
        .map(history -> Integer.parseUnsignedInt(history.group(1), 16))
        .toList();
  }

  private List<String> timelines() {
    return objects.folders(folder).stream()
        .filter(timeline -> TIMELINE.matcher(timeline).matches())
        .toList();
  }

  private OperatorException diverged(String what) {
    frames = new Envelope.Frames(); // of bytes that are not those of the repository
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
    return timelineFolder(segment) + segment;
  }

  private String timelineFolder(String segment) {
    return folder + segment.substring(0, 8) + "/";
  }

  private String historyName(int timeline) {
    String digits = String.format(Locale.ROOT, "%08X", timeline);
    return folder + digits + "/" + digits + ".history";
  }
}
