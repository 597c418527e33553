package dev.holdfast.compare;

import java.util.BitSet;

/**
 * How many rows each part of a table holds, and two independent sums of 64 bits over what is in
 * them. Sums of the same rows are equal in whatever order the rows come, and may be added up from
 * several readings.
 */
public final class PartSums {
  private final long[] rows;
  private final long[] first;
  private final long[] second;

  /** Of a table without rows. */
  public PartSums(int parts) {
    this.rows = new long[parts];
    this.first = new long[parts];
    this.second = new long[parts];
  }

  /** How many parts there are. */
  public int parts() {
    return rows.length;
  }

  /** Adds what a reading found in one part; sums wrap around. */
  public void add(int part, long moreRows, long moreFirst, long moreSecond) {
    rows[part] += moreRows;
    first[part] += moreFirst;
    second[part] += moreSecond;
  }

  /** How many rows one part holds. */
  public long rows(int part) {
    return rows[part];
  }

  /** How many rows there are in all parts. */
  public long rows() {
    long sum = 0;
    for (long each : rows) {
      sum += each;
    }
    return sum;
  }

  /** The parts in which two tables differ. */
  public BitSet differing(PartSums other) {
    if (parts() != other.parts()) {
      throw new IllegalArgumentException("%d parts and %d".formatted(parts(), other.parts()));
    }
    BitSet differing = new BitSet(parts());
    for (int part = 0; part < parts(); part++) {
      if (rows[part] != other.rows[part]
          || first[part] != other.first[part]
          || second[part] != other.second[part]) {
        differing.set(part);
      }
    }
    return differing;
  }
}
