package dev.holdfast.postgres;

import dev.holdfast.wal.Tid;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Places that rows are looked for at, in the order they lie in, each with who asked for it. */
final class SoughtPlaces {
  private static final int MAX = 1 << 16;

  /** Each place with its request behind it; turned around so that the highest block sorts last. */
  private final long[] sorted;

  private final long[] tids;
  private final int offsetMax;
  private int next;

  /**
   * @param tids packed
   */
  SoughtPlaces(long[] tids) {
    if (tids.length > MAX) {
      throw new IllegalArgumentException(tids.length + " places are too many for one statement");
    }
    this.tids = tids.clone();
    sorted = new long[tids.length];
    int highest = 0;
    for (int request = 0; request < tids.length; request++) {
      sorted[request] = (tids[request] << 16 | request) ^ Long.MIN_VALUE;
      highest = Math.max(highest, (int) (tids[request] & 0xFFFF));
    }
    Arrays.sort(sorted);
    offsetMax = highest;
  }

  /** Whether on the pages from the first to the last at least every other row is looked for. */
  boolean areDense() {
    return (lastBlock() - firstBlock() + 1) * offsetMax <= 2L * sorted.length;
  }

  long firstBlock() {
    return place(0) >>> 16;
  }

  long lastBlock() {
    return place(sorted.length - 1) >>> 16;
  }

  List<String> texts() {
    return IntStream.range(0, sorted.length)
        .mapToObj(index -> Tid.unpack(place(index)).toString())
        .toList();
  }

  /** The first index of a place; negative when nobody looks for it. */
  int find(long place) {
    int index = next;
    if (index >= sorted.length || place(index) != place) {
      index = Arrays.binarySearch(sorted, place << 16 ^ Long.MIN_VALUE);
      index = index < 0 ? -index - 1 : index;
      if (!isAt(index, place)) {
        return -1;
      }
    }
    next = index + 1; // rows come in the order they lie in, as a rule
    return index;
  }

  boolean isAt(int index, long place) {
    return index < sorted.length && place(index) == place;
  }

  /** Which of the places asked for it is. */
  int request(int index) {
    return (int) ((sorted[index] ^ Long.MIN_VALUE) & 0xFFFF);
  }

  private long place(int index) {
    return tids[request(index)];
  }
}
