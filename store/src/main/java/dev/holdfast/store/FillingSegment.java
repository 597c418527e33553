package dev.holdfast.store;

import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;

/**
 * What is stored of a segment that is not complete, as one look found it: stretches, numbered in
 * the order in which they were written, each telling which of the segment's bytes it holds and the
 * checksum of all of them up to its end. So one that came from another log does not pass for the
 * continuation of what is before it.
 *
 * <p>A new stretch holds what came since the last one, and now and then what some before it hold as
 * well, which are then removed: those that are of no higher {@link #level} than it, once there are
 * {@value #ALIKE_MAX} of them. So bytes are written again only when sixteen times as many have
 * come, and there are never many stretches, however long a segment takes to fill.
 *
 * <p>Invariant: {@link #chain} begins at the segment's first byte, has no gap, and reaches as far
 * as stretches without a gap do.
 */
final class FillingSegment {
  /** The folder of all stretches, in that of a timeline. */
  static final String FOLDER = "filling";

  /** So many stretches of one size wait for a larger one that takes their place. */
  private static final int ALIKE_MAX = 15;

  private static final int SMALLEST_BYTES = 2048;
  private static final int DIGITS = 8;

  /** What a look does when what it has just listed is gone, written anew by a recorder. */
  private static final int LOOKS_MAX = 5;

  /**
   * One object.
   *
   * @param object its whole name
   * @param number of the stretch; 0 is the {@code .partial} of an earlier Holdfast, which holds the
   *     beginning
   */
  record Stretch(String object, int number, Envelope.StretchHeader holds) {
    int from() {
      return holds.from();
    }

    int to() {
      return holds.to();
    }

    int bytes() {
      return to() - from();
    }
  }

  private final String segment;
  private final List<Stretch> stretches;
  private final List<Stretch> chain;

  private FillingSegment(String segment, List<Stretch> stretches) {
    this.segment = segment;
    this.stretches = stretches.stream().sorted(Comparator.comparingInt(Stretch::number)).toList();
    this.chain = chain(this.stretches);
  }

  /** Goes as far as there is no gap, by the fewest stretches. */
  private static List<Stretch> chain(List<Stretch> stretches) {
    var chain = new ArrayList<Stretch>();
    int reached = -1; // a stretch may hold nothing: the segment has begun, that is all
    while (true) {
      Stretch best = null;
      for (Stretch stretch : stretches) {
        boolean joins = stretch.from() <= Math.max(0, reached) && stretch.to() > reached;
        if (joins && (best == null || stretch.to() >= best.to())) {
          best = stretch;
        }
      }
      if (best == null) {
        return List.copyOf(chain);
      }
      chain.add(best);
      reached = best.to();
    }
  }

  /**
   * Looks what is stored of a segment.
   *
   * @param folder of its timeline, with a slash
   * @throws DamagedObjectException when a stretch does not say what it holds
   */
  static FillingSegment look(ObjectStore objects, String folder, String segment) {
    // Stretches are never replaced: those a look has seen need not be asked for again.
    var seen = new HashMap<String, Stretch>();
    for (int look = 1; ; look++) {
      var found = new ArrayList<Stretch>();
      boolean vanished = false;
      // This one first: a stretch that takes its place is there before it goes.
      String partial = folder + segment + WalStore.PARTIAL;
      try {
        found.add(new Stretch(partial, 0, partial(objects, partial)));
      } catch (NoSuchObjectException _) {
        // The usual case: recorded by this version of Holdfast.
      }
      String prefix = folder + FOLDER + "/";
      for (String name : objects.children(prefix)) {
        if (segment.equals(segment(name))) {
          String object = prefix + name;
          try {
            Stretch stretch = seen.get(object);
            if (stretch == null) {
              byte[] start = objects.get(object, 0, Envelope.STRETCH_HEADER_BYTES);
              stretch = new Stretch(object, number(name), Envelope.stretch(object, start));
              seen.put(object, stretch);
            }
            found.add(stretch);
          } catch (NoSuchObjectException _) {
            vanished = true;
          }
        }
      }
      var filling = new FillingSegment(segment, found);
      if ((!vanished && filling.apart().isEmpty()) || look == LOOKS_MAX) {
        return filling;
      }
    }
  }

  private static Envelope.StretchHeader partial(ObjectStore objects, String object) {
    Envelope.Header header =
        Envelope.header(
            object, Envelope.PARTIAL_SEGMENT, objects.get(object, 0, Envelope.HEADER_BYTES));
    return new Envelope.StretchHeader(
        0, Math.toIntExact(header.contentBytes()), header.contentChecksum());
  }

  /** The segment whose stretch has this name in {@link #FOLDER}; empty: it is no stretch's name. */
  static String segment(String name) {
    int dot = name.indexOf('.');
    boolean is =
        dot >= 0
            && WalStore.SEGMENT.matcher(name.substring(0, dot)).matches()
            && name.length() == dot + 1 + DIGITS
            && name.chars().skip(dot + 1).allMatch(digit -> digit >= '0' && digit <= '9');
    return is ? name.substring(0, dot) : "";
  }

  private static int number(String name) {
    return Integer.parseInt(name.substring(name.length() - DIGITS));
  }

  /** All that was found, by number. */
  List<Stretch> stretches() {
    return stretches;
  }

  /** Whether nothing of the segment's first bytes is stored. */
  boolean isEmpty() {
    return chain.isEmpty();
  }

  /** How many bytes from the segment's first on are stored. */
  int bytes() {
    return isEmpty() ? 0 : chain.getLast().to();
  }

  /** Of these bytes. */
  int checksum() {
    return isEmpty() ? 0 : chain.getLast().holds().checksum();
  }

  /** The one that was written last; not of an empty one. */
  Stretch newest() {
    return stretches.getLast();
  }

  /** Those that lie behind a gap. */
  List<Stretch> apart() {
    return stretches.stream().filter(stretch -> stretch.to() > bytes()).toList();
  }

  /**
   * The stretch to write so that bytes are stored up to a position.
   *
   * @param checksum of the segment's bytes up to there
   */
  Stretch next(String folder, int to, int checksum) {
    int number = stretches.isEmpty() ? 1 : newest().number() + 1;
    String object =
        folder + FOLDER + "/" + segment + "." + String.format(Locale.ROOT, "%08d", number);
    return new Stretch(object, number, new Envelope.StretchHeader(from(to), to, checksum));
  }

  /**
   * Where the next stretch begins: at the end of the last one, or before those that it replaces.
   */
  private int from(int to) {
    int from = bytes();
    for (boolean larger = true; larger; ) {
      larger = false;
      int level = level(to - from);
      int alike = 0;
      int begin = from;
      for (Stretch stretch : chain.reversed()) {
        if (stretch.from() >= from) {
          continue;
        }
        if (level(stretch.bytes()) > level) {
          break;
        }
        alike++;
        begin = stretch.from();
      }
      if (alike >= ALIKE_MAX) {
        from = begin;
        larger = true;
      }
    }
    return from;
  }

  /** How often a size can be divided by 16 until it is one of the smallest. */
  private static int level(int bytes) {
    int level = 0;
    for (long size = SMALLEST_BYTES * 16L; bytes >= size; size *= 16) {
      level++;
    }
    return level;
  }

  /** This with a stretch that was written since, without those that it replaces. */
  FillingSegment with(Stretch added) {
    var all = new ArrayList<Stretch>(stretches);
    all.removeAll(replacedBy(added));
    all.add(added);
    return new FillingSegment(segment, all);
  }

  /** Those of which every byte is in that one. */
  List<Stretch> replacedBy(Stretch added) {
    return stretches.stream()
        .filter(stretch -> stretch.from() >= added.from() && stretch.to() <= added.to())
        .toList();
  }

  /**
   * Whether everything found is of the log that these bytes begin with: what is behind a gap, and
   * what another recorder stored, as well.
   *
   * @param length how many there are; of a stretch that reaches further it cannot be told
   */
  boolean isAllOf(byte[] bytes, int length) {
    var checksum = new CRC32C();
    int summed = 0;
    for (Stretch stretch :
        stretches.stream().sorted(Comparator.comparingInt(Stretch::to)).toList()) {
      if (stretch.to() > length) {
        return true;
      }
      checksum.update(bytes, summed, stretch.to() - summed);
      summed = stretch.to();
      if ((int) checksum.getValue() != stretch.holds().checksum()) {
        return false;
      }
    }
    return true;
  }

  /** Whether these, and no others, are stored of the segment; costs a list. */
  boolean isStill(ObjectStore objects, String folder) {
    var names =
        new HashSet<>(
            objects.children(folder + FOLDER + "/").stream()
                .filter(name -> segment.equals(segment(name)))
                .map(name -> folder + FOLDER + "/" + name)
                .toList());
    return stretches.stream()
        .filter(stretch -> stretch.number() > 0)
        .map(Stretch::object)
        .collect(Collectors.toSet())
        .equals(names);
  }

  /**
   * The bytes stored, in an array of just that length.
   *
   * @param had what was read before of objects that are never replaced, by name; more is added
   * @throws NoSuchObjectException when one has gone since the look
   * @throws DamagedObjectException when one does not hold, or does not continue those before it
   */
  byte[] read(ObjectStore objects, Map<String, byte[]> had) {
    byte[] bytes = new byte[bytes()];
    var checksum = new CRC32C();
    int reached = 0;
    for (Stretch stretch : chain) {
      byte[] content =
          stretch.number() == 0
              ? Envelope.unwrap(
                  stretch.object(), Envelope.PARTIAL_SEGMENT, objects.get(stretch.object()))
              : had.computeIfAbsent(
                  stretch.object(), object -> Envelope.unwrapStretch(object, objects.get(object)));
      if (content.length != stretch.bytes()) {
        if (stretch.number() == 0) {
          throw new NoSuchObjectException(objects.location(), stretch.object()); // replaced since
        }
        throw new DamagedObjectException(
            stretch.object(), "its header has changed while it was read");
      }
      int known = reached - stretch.from();
      boolean agrees = Arrays.equals(bytes, stretch.from(), reached, content, 0, known);
      System.arraycopy(content, known, bytes, reached, content.length - known);
      checksum.update(bytes, reached, content.length - known);
      reached = stretch.to();
      if (!agrees || (int) checksum.getValue() != stretch.holds().checksum()) {
        throw new DamagedObjectException(
            stretch.object(),
            "it does not continue the bytes stored before it: with them, checksum %08x where %08x is"
                    .formatted((int) checksum.getValue(), stretch.holds().checksum())
                + " recorded");
      }
    }
    return bytes;
  }
}
