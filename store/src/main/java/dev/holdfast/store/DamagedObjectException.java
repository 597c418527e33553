package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** A stored object does not hold: its magic, a checksum, a length or its structure. */
final class DamagedObjectException extends OperatorException {
  private static final long serialVersionUID = 1L;

  private final String object;
  private final boolean missing;

  /**
   * @param object the object's name
   * @param found what does not hold
   */
  DamagedObjectException(String object, String found) {
    this(object, found, false);
  }

  private DamagedObjectException(String object, String found, boolean missing) {
    super(Kind.DAMAGED_DATA, "cannot read " + object, found, wayOut(object));
    this.object = object;
    this.missing = missing;
  }

  /**
   * One that is not there.
   *
   * @param found what says that it should be
   */
  static DamagedObjectException missing(String object, String found) {
    return new DamagedObjectException(object, found, true);
  }

  /** The name of the object. */
  String object() {
    return object;
  }

  /** Whether it is not there at all. */
  boolean missing() {
    return missing;
  }

  private static String wayOut(String object) {
    String copy = "put a good copy of this object in its place if the repository has one elsewhere";
    if (object.contains("/wal/")) {
      return copy
          + " (or delete the object and record the segment again while the server still has it);"
          + " a restore can reach any point before this segment, or start from a base backup after"
          + " it";
    }
    if (object.contains("/summaries/")) {
      return copy + "; or delete it, and it is made again from the WAL if that is still recorded";
    }
    if (object.endsWith("/" + BaseStore.MANIFEST)) {
      return copy + "; or move it away to go on without this base backup, and take a new one";
    }
    if (object.contains("/catalogs/")) {
      return copy + "; or move it away: names then come from the snapshots before and after it";
    }
    if (object.contains("/bases/")) {
      return copy + "; or use another base backup, and take a new one";
    }
    return copy;
  }
}
