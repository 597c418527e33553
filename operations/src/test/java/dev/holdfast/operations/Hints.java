package dev.holdfast.operations;

/**
 * Pages without what a server sets in them as a hint, with no record of it: as "access/bufmask.c"
 * and the heap's and B-tree's masks do it (PostgreSQL 18), which compare a page with its replay.
 */
final class Hints {
  private static final int HEADER = 24;
  private static final int LP_DEAD = 3;
  private static final int LP_NORMAL = 1;
  private static final int XACT_HINTS = 0x0F00;
  private static final int FLAGS_HINTS = 0x0003; // PD_HAS_FREE_LINES, PD_PAGE_FULL

  private Hints() {}

  static byte[] masked(byte[] page) {
    byte[] masked = page.clone();
    int lower = unsigned(page, 12);
    int special = unsigned(page, 16);
    if (lower < HEADER || lower > page.length) {
      return masked;
    }
    put(masked, 10, unsigned(page, 10) & ~FLAGS_HINTS);
    put(masked, 20, 0); // pd_prune_xid
    put(masked, 22, 0);
    boolean heap = special == page.length;
    for (int at = HEADER; at < lower; at += 4) {
      int item = unsigned(page, at) | (unsigned(page, at + 2) << 16);
      int offset = item & 0x7FFF;
      int flags = (item >>> 15) & 3;
      int length = item >>> 17;
      if (heap && flags == LP_NORMAL && length >= HEADER - 1) {
        put(masked, offset + 20, unsigned(page, offset + 20) & ~XACT_HINTS);
      } else if (!heap && flags == LP_DEAD && length > 0) {
        int alive = (item & ~(3 << 15)) | (LP_NORMAL << 15);
        put(masked, at, alive & 0xFFFF);
        put(masked, at + 2, alive >>> 16);
      }
    }
    if (page.length - special == 16) {
      put(masked, special + 12, unsigned(page, special + 12) & ~0x40); // BTP_HAS_GARBAGE
      put(masked, special + 12, unsigned(masked, special + 12) & ~0x80); // hash: dead tuples
    }
    return masked;
  }

  private static int unsigned(byte[] bytes, int at) {
    return (bytes[at] & 0xFF) | ((bytes[at + 1] & 0xFF) << 8);
  }

  private static void put(byte[] bytes, int at, int value) {
    bytes[at] = (byte) value;
    bytes[at + 1] = (byte) (value >> 8);
  }
}
