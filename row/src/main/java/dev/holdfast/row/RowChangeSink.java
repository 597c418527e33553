package dev.holdfast.row;

/** Takes planned changes one by one; they may be too many for memory. */
@FunctionalInterface
public interface RowChangeSink {
  /** Takes the next change, in any order. */
  void accept(RowChange change);
}
