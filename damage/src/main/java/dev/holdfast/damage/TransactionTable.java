package dev.holdfast.damage;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Open transactions by xid: open addressing, without an object per entry. */
final class TransactionTable {
  private @Nullable OpenTransaction[] slots = new OpenTransaction[64];
  private int size;

  @Nullable OpenTransaction get(long xid) {
    return slots[slot(xid)];
  }

  void put(OpenTransaction transaction) {
    if (2 * (size + 1) > slots.length) {
      @Nullable OpenTransaction[] old = slots;
      slots = new OpenTransaction[2 * old.length];
      for (OpenTransaction one : old) {
        if (one != null) {
          slots[slot(one.xid)] = one;
        }
      }
    }
    slots[slot(transaction.xid)] = transaction;
    size++;
  }

  @Nullable OpenTransaction remove(long xid) {
    int gap = slot(xid);
    OpenTransaction removed = slots[gap];
    if (removed == null) {
      return null;
    }
    slots[gap] = null;
    size--;
    // What was pushed on by the removed one moves back, so that no search ends at the gap.
    int mask = slots.length - 1;
    for (int at = (gap + 1) & mask; slots[at] != null; at = (at + 1) & mask) {
      OpenTransaction moved = slots[at];
      slots[at] = null;
      slots[slot(moved.xid)] = moved;
    }
    return removed;
  }

  /** All of them, as they are now. */
  List<OpenTransaction> all() {
    List<OpenTransaction> all = new ArrayList<>(size);
    for (OpenTransaction one : slots) {
      if (one != null) {
        all.add(one);
      }
    }
    return all;
  }

  private int slot(long xid) {
    int mask = slots.length - 1;
    int slot = (int) ((xid * 0x9E37_79B9_7F4A_7C15L) >>> 40) & mask;
    for (OpenTransaction one = slots[slot]; one != null && one.xid != xid; one = slots[slot]) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }
}
