package dev.holdfast.compare;

import java.util.List;

/** How the rows of a table fall into parts, alike on both sides whatever sorts their texts. */
public sealed interface Split {
  /** How many parts there are. */
  int parts();

  /** By the key itself, where it is a number: an index finds the rows of a part. */
  record ByRange(List<KeyRange> ranges) implements Split {
    /** Copies. */
    public ByRange {
      ranges = List.copyOf(ranges);
    }

    @Override
    public int parts() {
      return ranges.size();
    }
  }

  /**
   * By the lowest bits of the key's hash, or of the whole row's where there is no key.
   *
   * @param parts a power of two
   */
  record ByHash(int parts) implements Split {
    /** Refuses anything but a power of two. */
    public ByHash {
      if (Integer.bitCount(parts) != 1) {
        throw new IllegalArgumentException(parts + " is no power of two");
      }
    }
  }
}
