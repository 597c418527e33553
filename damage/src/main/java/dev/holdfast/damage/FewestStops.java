package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * The fewest positions in the log at which every wanted row version can be seen: each is visible
 * from one position to another, and the fewest stops that hit every such interval are those at the
 * ends that no earlier stop serves.
 */
public final class FewestStops {
  /** Of the intervals that end at a position, only the one that begins last matters. */
  private final NavigableMap<Lsn, Lsn> lastBegins = new TreeMap<>();

  private final List<Lsn> stops = new ArrayList<>();

  /** Knows no interval yet. */
  public FewestStops() {}

  /**
   * Adds an interval; both ends belong to it.
   *
   * @throws IllegalArgumentException when it ends before it begins
   */
  public void add(Lsn from, Lsn to) {
    if (to.isBefore(from)) {
      throw new IllegalArgumentException("nothing is visible from " + from + " to " + to);
    }
    stops.clear();
    lastBegins.merge(to, from, (one, two) -> one.isAfter(two) ? one : two);
  }

  /** The stops, in order. */
  public List<Lsn> stops() {
    if (stops.isEmpty()) {
      lastBegins.forEach((to, from) -> {
        if (stops.isEmpty() || from.isAfter(stops.getLast())) {
          stops.add(to);
        }
      });
    }
    return List.copyOf(stops);
  }
}
