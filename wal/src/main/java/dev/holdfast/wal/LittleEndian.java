package dev.holdfast.wal;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Integers as 64-bit little-endian servers (x86-64, arm64) write them. */
final class LittleEndian {
  private static final VarHandle SHORT =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private LittleEndian() {}

  static int u8(byte[] bytes, int offset) {
    return bytes[offset] & 0xFF;
  }

  static int u16(byte[] bytes, int offset) {
    return (short) SHORT.get(bytes, offset) & 0xFFFF;
  }

  static int i32(byte[] bytes, int offset) {
    return (int) INT.get(bytes, offset);
  }

  static void putI32(byte[] bytes, int offset, int value) {
    INT.set(bytes, offset, value);
  }

  static long u32(byte[] bytes, int offset) {
    return (int) INT.get(bytes, offset) & 0xFFFF_FFFFL;
  }

  static long i64(byte[] bytes, int offset) {
    return (long) LONG.get(bytes, offset);
  }
}
