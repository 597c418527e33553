package dev.holdfast.store;

/** What becomes of one file of a base backup when it is restored. */
public enum Restoration {
  /** All its bytes. */
  WHOLE,
  /** A file of the right size without content: reading it gives zeros, and it takes no room. */
  HOLE,
  /** No file. */
  LEFT_OUT
}
