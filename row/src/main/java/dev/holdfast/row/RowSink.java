package dev.holdfast.row;

/** Takes rows one by one; they may be too many for memory. */
@FunctionalInterface
public interface RowSink {
  /** Takes the next row. */
  void accept(Row row);
}
