package dev.holdfast.compare;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;

/** Keys that are numbers (or a uuid read as one), both ends included. */
public record KeyRange(BigInteger low, BigInteger high) {
  /** Refuses an empty range. */
  public KeyRange {
    if (low.compareTo(high) > 0) {
      throw new IllegalArgumentException("no keys from %s to %s".formatted(low, high));
    }
  }

  /** How many keys it could hold. */
  public BigInteger size() {
    return high.subtract(low).add(BigInteger.ONE);
  }

  /** The smallest range with both in it. */
  public KeyRange with(KeyRange other) {
    return new KeyRange(low.min(other.low), high.max(other.high));
  }

  /** Parts of nearly the same width, in order; fewer than wanted where there are fewer keys. */
  public List<KeyRange> split(int parts) {
    BigInteger count = size().min(BigInteger.valueOf(parts));
    List<KeyRange> ranges = new ArrayList<>();
    BigInteger from = low;
    for (int part = 1; part <= count.intValueExact(); part++) {
      BigInteger to =
          low.add(size().multiply(BigInteger.valueOf(part)).divide(count)).subtract(BigInteger.ONE);
      ranges.add(new KeyRange(from, to));
      from = to.add(BigInteger.ONE);
    }
    return ranges;
  }
}
