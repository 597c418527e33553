package dev.holdfast.compare;

import java.util.List;

/** Which rows of a table are meant. */
public sealed interface Selection {
  /** All of them. */
  record Everything() implements Selection {}

  /** Those with keys in a range. */
  record InRange(KeyRange range) implements Selection {}

  /** Those in some parts of a split by hash. */
  record InParts(Split.ByHash split, List<Integer> parts) implements Selection {
    /** Copies. */
    public InParts {
      parts = List.copyOf(parts);
    }
  }
}
