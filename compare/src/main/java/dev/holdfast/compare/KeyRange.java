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

  /**
   * Parts of one width, in order, so that a division finds the part of a key; the last may be
   * narrower, and there may be fewer than wanted.
   */
  public List<KeyRange> split(int parts) {
    BigInteger wanted = BigInteger.valueOf(parts);
    BigInteger width = size().add(wanted).subtract(BigInteger.ONE).divide(wanted);
    List<KeyRange> ranges = new ArrayList<>();
    for (BigInteger from = low; from.compareTo(high) <= 0; from = from.add(width)) {
      ranges.add(new KeyRange(from, from.add(width).subtract(BigInteger.ONE).min(high)));
    }
    return ranges;
  }
}
