package dev.holdfast.wal;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * Which of the segments at hand hold the log of one timeline, in order. Pure: it knows names and
 * lengths, not bytes.
 *
 * <p>A segment in which a timeline was left exists under both timelines, with the same bytes up to
 * the switch. The one that reaches furthest is read; what the older one holds past the switch never
 * became this timeline's log. A record that was cut off by the switch lies only there.
 */
public final class TimelineSegments {
  /**
   * A segment, complete or not.
   *
   * @param name its name
   * @param bytes valid from its beginning, at most a whole segment
   */
  public record Held(SegmentName name, long bytes) {
    /** Refuses lengths no segment can have. */
    public Held {
      if (bytes < 0 || bytes > name.segmentSize()) {
        throw new IllegalArgumentException(bytes + " bytes of a segment of " + name.segmentSize());
      }
    }

    /** Position just past the last valid byte. */
    public Lsn end() {
      return name.start().plus(bytes);
    }
  }

  /** The log from one position to just before another. */
  public record Stretch(Lsn from, Lsn to) {}

  /**
   * Log that is at hand and does not belong to this timeline.
   *
   * @param timeline whose segments hold it
   * @param from the first position that is not shared, as far as that is known
   * @param to just past the last byte at hand
   */
  public record LeftOut(int timeline, Lsn from, Lsn to) {}

  private final TimelineHistory history;
  private final List<Held> segments;
  private final List<LeftOut> leftOut;

  private TimelineSegments(TimelineHistory history, List<Held> segments, List<LeftOut> leftOut) {
    this.history = history;
    this.segments = List.copyOf(segments);
    this.leftOut = List.copyOf(leftOut);
  }

  /**
   * Chooses along a history.
   *
   * @param held all of one segment size, in any order
   * @param histories of other timelines, so that what they share with this one is not reported as
   *     left out; null where none is known
   */
  public static TimelineSegments along(
      TimelineHistory history,
      Collection<Held> held,
      IntFunction<@Nullable TimelineHistory> histories) {
    var best = new TreeMap<Long, Held>(Long::compareUnsigned);
    var dead = new TreeMap<Integer, List<LeftOut>>(Integer::compareUnsigned);
    var othersPart = new TreeMap<Integer, Lsn>();
    for (Held segment : held) {
      if (segment.bytes == 0) {
        continue;
      }
      int timeline = segment.name.timeline();
      TimelineHistory.@Nullable Part part = history.part(timeline);
      Lsn deadFrom;
      if (part == null) {
        deadFrom =
            othersPart.computeIfAbsent(timeline, other -> parting(history, other, histories));
      } else {
        @Nullable Held usable = usable(segment, part);
        if (usable != null) {
          best.merge(segment.name.number(), usable, TimelineSegments::further);
        }
        deadFrom = usable == null ? segment.name.start() : usable.end();
      }
      Lsn from = deadFrom.isAfter(segment.name.start()) ? deadFrom : segment.name.start();
      if (from.isBefore(segment.end())) {
        dead.computeIfAbsent(timeline, _ -> new ArrayList<>())
            .add(new LeftOut(timeline, from, segment.end()));
      }
    }
    var leftOut = new ArrayList<LeftOut>();
    dead.values().forEach(pieces -> leftOut.addAll(joined(pieces)));
    return new TimelineSegments(history, List.copyOf(best.values()), leftOut);
  }

  private static Lsn parting(
      TimelineHistory history, int other, IntFunction<@Nullable TimelineHistory> histories) {
    TimelineHistory others = histories.apply(other);
    Lsn parting = others == null ? Lsn.NONE : history.partsFrom(others);
    return parting == null ? Lsn.NONE : parting;
  }

  /** As much of the segment as belongs to the history; null when nothing does. */
  private static @Nullable Held usable(Held segment, TimelineHistory.Part part) {
    // No server writes a segment that ends before its timeline began.
    if (!part.from().isBefore(segment.name.end())) {
      return null;
    }
    if (part.to() == null || !part.to().isBefore(segment.end())) {
      return segment;
    }
    return part.to().isAfter(segment.name.start())
        ? new Held(segment.name, part.to().minus(segment.name.start()))
        : null;
  }

  private static Held further(Held one, Held other) {
    if (one.bytes != other.bytes) {
      return one.bytes > other.bytes ? one : other;
    }
    return Integer.compareUnsigned(one.name.timeline(), other.name.timeline()) >= 0 ? one : other;
  }

  private static List<LeftOut> joined(List<LeftOut> pieces) {
    pieces.sort(Comparator.comparing(LeftOut::from));
    var joined = new ArrayList<LeftOut>();
    for (LeftOut piece : pieces) {
      LeftOut last = joined.isEmpty() ? null : joined.getLast();
      if (last != null && last.to.equals(piece.from)) {
        joined.set(joined.size() - 1, new LeftOut(last.timeline, last.from, piece.to));
      } else {
        joined.add(piece);
      }
    }
    return joined;
  }

  /** The history they are chosen along. */
  public TimelineHistory history() {
    return history;
  }

  /** The segments to read, by position; their bytes end where the timeline was left. */
  public List<Held> segments() {
    return segments;
  }

  /** The stretches without a hole, by position. */
  public List<Stretch> stretches() {
    var stretches = new ArrayList<Stretch>();
    for (Held segment : segments) {
      Stretch last = stretches.isEmpty() ? null : stretches.getLast();
      if (last != null && last.to.equals(segment.name.start())) {
        stretches.set(stretches.size() - 1, new Stretch(last.from, segment.end()));
      } else {
        stretches.add(new Stretch(segment.name.start(), segment.end()));
      }
    }
    return stretches;
  }

  /** The holes between them, by position. */
  public List<Stretch> gaps() {
    List<Stretch> stretches = stretches();
    var gaps = new ArrayList<Stretch>();
    for (int i = 1; i < stretches.size(); i++) {
      gaps.add(new Stretch(stretches.get(i - 1).to, stretches.get(i).from));
    }
    return gaps;
  }

  /** What is at hand of other logs, by timeline and position. */
  public List<LeftOut> leftOut() {
    return leftOut;
  }
}
