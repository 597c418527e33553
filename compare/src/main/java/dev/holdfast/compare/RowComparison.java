package dev.holdfast.compare;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Iterator;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Compares the rows of one table: both sides read all of it once for sums, and only parts whose
 * sums differ are looked at again, in smaller parts, until they are few enough to be read row by
 * row.
 */
public final class RowComparison {
  /** Rows of a range that are read rather than split again. */
  private static final long READ_ROWS_MAX = 20_000;

  private static final int SPLIT_AGAIN = 256;

  /** Without an index each reading of some parts reads the table: more are read each time. */
  private static final long FIRST_BATCH_ROWS = 50_000;

  private static final long BATCH_GROWTH = 8;

  private final RowSides sides;
  private final Predicate<RowDifference> sink;

  /**
   * @param sink told each difference, in no particular order; whether to go on
   */
  public RowComparison(RowSides sides, Predicate<RowDifference> sink) {
    this.sides = sides;
    this.sink = sink;
  }

  /**
   * How many rows there are, and whether the comparison came to its end.
   *
   * @param finished false where the sink stopped it
   */
  public record Outcome(long rowsA, long rowsB, boolean finished) {}

  /** Compares. */
  public Outcome compare(Split split) {
    RowSides.Both<PartSums> sums = sides.sums(new Selection.Everything(), split);
    BitSet differing = sums.a().differing(sums.b());
    boolean finished =
        switch (split) {
          case Split.ByRange ranges -> ranges(ranges, sums, differing);
          case Split.ByHash hashes -> parts(hashes, sums, differing);
        };
    return new Outcome(sums.a().rows(), sums.b().rows(), finished);
  }

  private boolean ranges(Split.ByRange split, RowSides.Both<PartSums> sums, BitSet differing) {
    for (int part = differing.nextSetBit(0); part >= 0; part = differing.nextSetBit(part + 1)) {
      KeyRange range = split.ranges().get(part);
      long rows = Math.max(sums.a().rows(part), sums.b().rows(part));
      Selection selection = new Selection.InRange(range);
      boolean goOn;
      if (rows <= READ_ROWS_MAX || range.low().equals(range.high())) {
        goOn = merge(selection);
      } else {
        Split.ByRange smaller = new Split.ByRange(range.split(SPLIT_AGAIN));
        RowSides.Both<PartSums> again = sides.sums(selection, smaller);
        goOn = ranges(smaller, again, again.a().differing(again.b()));
      }
      if (!goOn) {
        return false;
      }
    }
    return true;
  }

  private boolean parts(Split.ByHash split, RowSides.Both<PartSums> sums, BitSet differing) {
    long room = FIRST_BATCH_ROWS;
    List<Integer> batch = new ArrayList<>();
    long rows = 0;
    for (int part = differing.nextSetBit(0); part >= 0; part = differing.nextSetBit(part + 1)) {
      batch.add(part);
      rows += Math.max(sums.a().rows(part), sums.b().rows(part));
      if (rows >= room) {
        if (!merge(new Selection.InParts(split, batch))) {
          return false;
        }
        batch.clear();
        rows = 0;
        room *= BATCH_GROWTH;
      }
    }
    return batch.isEmpty() || merge(new Selection.InParts(split, batch));
  }

  private boolean merge(Selection selection) {
    try (RowSides.Rows rows = sides.rows(selection)) {
      Iterator<DigestedRow> left = rows.both().a();
      Iterator<DigestedRow> right = rows.both().b();
      DigestedRow a = next(left, null);
      DigestedRow b = next(right, null);
      while (a != null || b != null) {
        int order = a == null ? 1 : b == null ? -1 : a.compareIdentity(b);
        RowDifference difference = null;
        if (order < 0) {
          difference = new RowDifference(Change.ONLY_IN_A, a, null);
          a = next(left, a);
        } else if (order > 0) {
          difference = new RowDifference(Change.ONLY_IN_B, null, b);
          b = next(right, b);
        } else if (a != null && b != null) {
          if (!a.sameContent(b)) {
            difference = new RowDifference(Change.DIFFERENT, a, b);
          }
          a = next(left, a);
          b = next(right, b);
        }
        if (difference != null && !sink.test(difference)) {
          return false;
        }
      }
      return true;
    }
  }

  private static @Nullable DigestedRow next(
      Iterator<DigestedRow> rows, @Nullable DigestedRow before) {
    if (!rows.hasNext()) {
      return null;
    }
    DigestedRow next = rows.next();
    if (before != null && before.compareIdentity(next) > 0) {
      throw new IllegalArgumentException(
          "row %s comes after %s".formatted(next.identity(), before.identity()));
    }
    return next;
  }
}
