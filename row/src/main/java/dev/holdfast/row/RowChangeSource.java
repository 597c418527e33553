package dev.holdfast.row;

/** Planned changes that can be gone through more than once, without holding them in memory. */
@FunctionalInterface
public interface RowChangeSource {
  /** Gives every change to the sink, each time the same ones. */
  void forEach(RowChangeSink sink);
}
