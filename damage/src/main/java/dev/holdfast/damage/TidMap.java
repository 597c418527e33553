package dev.holdfast.damage;

import java.util.Arrays;

/**
 * Row positions to numbers, without an object per entry: open addressing over two arrays, at most
 * half full.
 */
final class TidMap {
  /** No row position packs to this: offsets have 16 bits, blocks 32. */
  static final long NONE = -1;

  private static final long REMOVED = -2;

  private long[] keys = new long[16];
  private int[] values = new int[16];
  private int used; // entries and removed marks
  private int size;

  TidMap() {
    Arrays.fill(keys, NONE);
  }

  void put(long key, int value) {
    if (2 * (used + 1) > keys.length) {
      grow();
    }
    int slot = slot(key);
    while (keys[slot] != NONE && keys[slot] != key) {
      slot = (slot + 1) & (keys.length - 1);
    }
    if (keys[slot] == NONE) {
      used++;
      size++;
    }
    keys[slot] = key;
    values[slot] = value;
  }

  /** The number at this position; -1 for none. */
  int get(long key) {
    int slot = find(key);
    return slot < 0 ? -1 : values[slot];
  }

  /** As {@link #get}, and the position is free again. */
  int remove(long key) {
    int slot = find(key);
    if (slot < 0) {
      return -1;
    }
    keys[slot] = REMOVED;
    size--;
    return values[slot];
  }

  private int find(long key) {
    int slot = slot(key);
    while (keys[slot] != NONE) {
      if (keys[slot] == key) {
        return slot;
      }
      slot = (slot + 1) & (keys.length - 1);
    }
    return -1;
  }

  private int slot(long key) {
    long mixed = key * 0x9E37_79B9_7F4A_7C15L;
    return (int) (mixed >>> 32) & (keys.length - 1);
  }

  private void grow() {
    long[] oldKeys = keys;
    int[] oldValues = values;
    // Full of removed marks it needs no more room, only to be swept.
    keys = new long[4 * size < oldKeys.length ? oldKeys.length : 2 * oldKeys.length];
    values = new int[keys.length];
    Arrays.fill(keys, NONE);
    used = 0;
    size = 0;
    for (int i = 0; i < oldKeys.length; i++) {
      if (oldKeys[i] != NONE && oldKeys[i] != REMOVED) {
        put(oldKeys[i], oldValues[i]);
      }
    }
  }
}
