package dev.holdfast.operations;

import dev.holdfast.row.Row;
import dev.holdfast.row.RowKey;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** A set of keys by 64 bits of their fingerprints: 8 bytes each, and a stranger in 2^64 / size. */
final class KeyHashes {
  private long[] hashes = new long[64];
  private int size;
  private boolean sorted = true;

  void add(RowKey key) {
    if (size == hashes.length) {
      hashes = Arrays.copyOf(hashes, 2 * size);
    }
    hashes[size++] = hash(Row.copyOf(key.values()));
    sorted = false;
  }

  boolean isEmpty() {
    return size == 0;
  }

  boolean contains(RowKey key) {
    if (!sorted) {
      Arrays.sort(hashes, 0, size);
      sorted = true;
    }
    return size > 0 && Arrays.binarySearch(hashes, 0, size, hash(Row.copyOf(key.values()))) >= 0;
  }

  static long hash(Row row) {
    return ByteBuffer.wrap(row.fingerprint()).getLong();
  }
}
