package dev.holdfast.compare;

/** How something differs. */
public enum Change {
  /** The second database lacks it. */
  ONLY_IN_A,
  /** The first database lacks it. */
  ONLY_IN_B,
  /** Both have it, and not alike. */
  DIFFERENT
}
