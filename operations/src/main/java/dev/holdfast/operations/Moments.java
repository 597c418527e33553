package dev.holdfast.operations;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.TimelineHistory;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Moments of a cluster's past: stretches of positions, each on the timeline whose log holds it.
 * Immutable once it was handed out.
 */
final class Moments {
  /**
   * Positions that lie together.
   *
   * @param timeline whose log holds them
   * @param from the first one
   * @param to just past the last one
   */
  record Stretch(int timeline, Lsn from, Lsn to) {
    /** {@code 0/3000138 to 0/5000000}, with the timeline unless it is the first. */
    @Override
    public String toString() {
      return from
          + " to "
          + to
          + (timeline == 1 ? "" : " (timeline " + Integer.toUnsignedString(timeline) + ")");
    }
  }

  private final Map<Integer, List<Stretch>> byTimeline = new TreeMap<>(Integer::compareUnsigned);

  /** Adds positions of a log, whatever timelines hold them. */
  void add(TimelineHistory history, Lsn from, Lsn to) {
    for (TimelineHistory.Part part : history.parts()) {
      Lsn begin = from.isAfter(part.from()) ? from : part.from();
      Lsn end = part.to() == null || to.isBefore(part.to()) ? to : part.to();
      if (begin.isBefore(end)) {
        List<Stretch> stretches =
            byTimeline.computeIfAbsent(part.timeline(), _ -> new ArrayList<>());
        stretches.add(new Stretch(part.timeline(), begin, end));
        merge(stretches);
      }
    }
  }

  private static void merge(List<Stretch> stretches) {
    stretches.sort(Comparator.comparing(Stretch::from));
    for (int i = 1; i < stretches.size(); ) {
      Stretch before = stretches.get(i - 1);
      Stretch next = stretches.get(i);
      if (before.to.isBefore(next.from)) {
        i++;
      } else {
        Lsn to = before.to.isAfter(next.to) ? before.to : next.to;
        stretches.set(i - 1, new Stretch(before.timeline, before.from, to));
        stretches.remove(i);
      }
    }
  }

  /** By timeline and position. */
  List<Stretch> stretches() {
    return byTimeline.values().stream().flatMap(List::stream).toList();
  }

  boolean isEmpty() {
    return byTimeline.isEmpty();
  }

  boolean holds(int timeline, Lsn lsn) {
    return byTimeline.getOrDefault(timeline, List.of()).stream()
        .anyMatch(stretch -> !lsn.isBefore(stretch.from) && lsn.isBefore(stretch.to));
  }

  /** Those that are here and not there. */
  Moments minus(Moments other) {
    var left = new Moments();
    byTimeline.forEach((timeline, stretches) -> {
      List<Stretch> rest = new ArrayList<>(stretches);
      for (Stretch gone : other.byTimeline.getOrDefault(timeline, List.of())) {
        List<Stretch> cut = new ArrayList<>();
        for (Stretch stretch : rest) {
          if (!gone.from.isBefore(stretch.to) || !stretch.from.isBefore(gone.to)) {
            cut.add(stretch);
            continue;
          }
          if (stretch.from.isBefore(gone.from)) {
            cut.add(new Stretch(timeline, stretch.from, gone.from));
          }
          if (gone.to.isBefore(stretch.to)) {
            cut.add(new Stretch(timeline, gone.to, stretch.to));
          }
        }
        rest = cut;
      }
      if (!rest.isEmpty()) {
        left.byTimeline.put(timeline, rest);
      }
    });
    return left;
  }
}
