package dev.holdfast.store;

import java.io.IOException;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Which bytes of a chain's layers count: of every block the newest. Layers are gone through from
 * the newest to the full one; within one, several threads may ask.
 *
 * <p>Invariant between layers: {@code covered} holds the blocks that newer layers have, and no byte
 * at or past {@code limit} counts any more, since a newer layer knew the file to be no longer.
 *
 * <p>Memory: two bits for each block of a file that no single layer holds whole.
 */
final class Fold {
  /** Bytes in a block. */
  static final int BLOCK = 8192;

  private final Predicate<String> wanted;
  private final Map<String, Continued> continued = new HashMap<>();
  private Map<String, FileList.Entry> files = Map.of();
  private boolean newest = true;

  Fold(Predicate<String> wanted) {
    this.wanted = wanted;
  }

  /** A file that goes on in older layers. */
  private static final class Continued {
    private final long size;
    private final BitSet covered = new BitSet();
    private final BitSet fresh = new BitSet();
    private long limit;

    Continued(long size) {
      this.size = size;
      this.limit = size;
    }

    boolean isComplete() {
      return covered.cardinality() == blocks(size);
    }
  }

  /** Takes a run of bytes that counts. */
  @FunctionalInterface
  interface Run {
    /**
     * One run.
     *
     * @param skipped bytes of the piece before it
     */
    void take(long skipped, long length) throws IOException;
  }

  /**
   * Goes on to a layer: the newest first, then the one it stands on.
   *
   * @param layer its manifest, as failures name it
   */
  void begin(Map<String, FileList.Entry> layerFiles, String layer) {
    files = layerFiles;
    if (newest) {
      files.forEach((path, entry) -> {
        if (!entry.isDirectory() && !entry.isWhole() && wanted.test(path)) {
          continued.put(path, new Continued(entry.size()));
        }
      });
      return;
    }
    for (String path : continued.keySet()) {
      FileList.Entry entry = files.get(path);
      if (entry == null || entry.isDirectory()) {
        throw new DamagedObjectException(
            layer, "a layer that stands on it takes bytes of %s, which it has not".formatted(path));
      }
    }
  }

  /** Whether anything is left to be had from older layers. */
  boolean goesOn() {
    return !continued.isEmpty();
  }

  /** Whether any byte of a piece counts. */
  boolean wants(String path, long offset, long length) {
    Continued file = continued.get(path);
    if (file == null) {
      return newest && wanted.test(path);
    }
    long end = Math.min(offset + length, file.limit);
    return offset < end && file.covered.nextClearBit(block(offset)) < blocks(end);
  }

  /** Tells which bytes of a piece count, and counts them as had. */
  void take(String part, String path, long offset, long length, Run run) throws IOException {
    Continued file = continued.get(path);
    if (file == null) {
      if (newest && wanted.test(path)) {
        run.take(0, length);
      }
      return;
    }
    if (offset % BLOCK != 0) {
      throw new DamagedObjectException(
          part, "it holds a piece of %s that begins inside a block".formatted(path));
    }
    long end = Math.min(offset + length, file.limit);
    int last = blocks(end);
    int from = file.covered.nextClearBit(block(offset));
    while (from < last) {
      int to = Math.min(last, nextSet(file.covered, from));
      long begin = (long) from * BLOCK;
      run.take(begin - offset, Math.min(end, (long) to * BLOCK) - begin);
      synchronized (file) {
        file.fresh.set(from, to);
      }
      from = file.covered.nextClearBit(to);
    }
  }

  private static int nextSet(BitSet bits, int from) {
    int next = bits.nextSetBit(from);
    return next < 0 ? Integer.MAX_VALUE : next;
  }

  /** After all parts of a layer. */
  void end(String layer) {
    for (Iterator<Map.Entry<String, Continued>> each = continued.entrySet().iterator();
        each.hasNext(); ) {
      Map.Entry<String, Continued> one = each.next();
      Continued file = one.getValue();
      FileList.Entry entry = files.get(one.getKey());
      file.covered.or(file.fresh);
      file.fresh.clear();
      if (file.isComplete()) {
        each.remove();
      } else if (entry == null || entry.isWhole()) {
        throw new DamagedObjectException(
            layer,
            "it and the layers that stand on it hold %d blocks too few of %s"
                .formatted(blocks(file.size) - file.covered.cardinality(), one.getKey()));
      } else {
        file.limit = Math.min(file.limit, entry.size());
      }
    }
    newest = false;
  }

  private static int block(long offset) {
    return Math.toIntExact(offset / BLOCK);
  }

  private static int blocks(long bytes) {
    return Math.toIntExact((bytes + BLOCK - 1) / BLOCK);
  }
}
