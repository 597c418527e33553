package dev.holdfast.postgres;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Checksums of data pages: 32 interleaved FNV-1a sums ("storage/checksum_impl.h", PostgreSQL 18).
 * Pages of little-endian servers only, which is every platform PostgreSQL ships on today but z and
 * big-endian POWER.
 */
final class PageChecksum {
  /** Bytes in a page. */
  static final int PAGE = 8192;

  private static final int SUMS = 32;
  private static final int PRIME = 16777619;
  private static final int[] OFFSETS = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A,
    0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA,
    0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE,
    0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E,
    0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756
  };
  private static final int CHECKSUM_AT = 8;
  private static final int UPPER_AT = 14;
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle SHORT =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);

  private PageChecksum() {}

  /**
   * Whether a page is whole.
   *
   * @param from where the page begins in {@code bytes}
   * @param block its number in the relation
   * @param startLsn pages changed since are not judged: they may be torn, and replay writes them
   *     anew from their full images
   */
  static boolean holds(byte[] bytes, int from, long block, long startLsn) {
    int upper = (short) SHORT.get(bytes, from + UPPER_AT) & 0xFFFF;
    if (upper == 0) {
      return true; // a page that was never written to: PageIsNew
    }
    long high = (int) INT.get(bytes, from) & 0xFFFF_FFFFL;
    long low = (int) INT.get(bytes, from + 4) & 0xFFFF_FFFFL;
    if (Long.compareUnsigned(high << 32 | low, startLsn) >= 0) {
      return true;
    }
    return ((short) SHORT.get(bytes, from + CHECKSUM_AT) & 0xFFFF) == of(bytes, from, block);
  }

  static int of(byte[] bytes, int from, long block) {
    int[] sums = OFFSETS.clone();
    for (int at = 0; at < PAGE; at += SUMS * Integer.BYTES) {
      for (int i = 0; i < SUMS; i++) {
        int value = (int) INT.get(bytes, from + at + i * Integer.BYTES);
        if (at == 0 && i == CHECKSUM_AT / Integer.BYTES) {
          value &= 0xFFFF_0000; // pd_checksum itself counts as zero
        }
        int mixed = sums[i] ^ value;
        sums[i] = mixed * PRIME ^ (mixed >>> 17);
      }
    }
    int result = 0;
    for (int i = 0; i < SUMS; i++) {
      int sum = sums[i];
      sum = sum * PRIME ^ (sum >>> 17);
      sum = sum * PRIME ^ (sum >>> 17);
      result ^= sum;
    }
    return Integer.remainderUnsigned(result ^ (int) block, 65535) + 1;
  }
}
