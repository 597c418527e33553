package dev.holdfast.compare;

import java.util.Iterator;

/** The same table in two databases, each as one snapshot shows it. */
public interface RowSides {
  /** What both sides answered. */
  record Both<T>(T a, T b) {}

  /** Sums of some rows by part. */
  Both<PartSums> sums(Selection selection, Split split);

  /** Rows sorted by order, then identity (code points), that can be read once, and closed. */
  interface Rows extends AutoCloseable {
    /** The rows; to be read to the end or not. */
    Both<Iterator<DigestedRow>> both();

    @Override
    void close();
  }

  /** Reads some rows. */
  Rows rows(Selection selection);
}
