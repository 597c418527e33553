package dev.holdfast.wal;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.zip.CRC32C;

/** Reads the fields of one record's main data in order, refusing to read past its end. */
final class Cursor {
  /** 2000-01-01 UTC in Unix seconds: PostgreSQL's timestamps count microseconds from there. */
  private static final long EPOCH_SECONDS = 946_684_800L;

  private final byte[] bytes;
  private final int start;
  private final int end;
  private int at;

  Cursor(byte[] bytes, int start, int length) {
    this.bytes = bytes;
    this.start = start;
    this.end = start + length;
    this.at = start;
  }

  /** Bytes read so far. */
  int position() {
    return at - start;
  }

  int remaining() {
    return end - at;
  }

  Cursor skip(int length) {
    take(length);
    return this;
  }

  /** Goes on at the next multiple of 8 bytes from the start of the main data. */
  Cursor align8() {
    int beyond = (at - start) & 7;
    return beyond == 0 ? this : skip(8 - beyond);
  }

  int u8() {
    return LittleEndian.u8(bytes, take(1));
  }

  boolean bool() {
    return u8() != 0;
  }

  int u16() {
    return LittleEndian.u16(bytes, take(2));
  }

  int i32() {
    return LittleEndian.i32(bytes, take(4));
  }

  long u32() {
    return LittleEndian.u32(bytes, take(4));
  }

  long i64() {
    return LittleEndian.i64(bytes, take(8));
  }

  Lsn lsn() {
    return new Lsn(i64());
  }

  RelFile relFile() {
    return new RelFile(u32(), u32(), u32());
  }

  Instant timestamp() {
    return instant(i64());
  }

  /** A time in Unix seconds. */
  Instant seconds() {
    long seconds = i64();
    if (seconds < Instant.MIN.getEpochSecond() || seconds > Instant.MAX.getEpochSecond()) {
      throw new MalformedRecordException(
          "%d seconds since 1970 are announced as a time".formatted(seconds));
    }
    return Instant.ofEpochSecond(seconds);
  }

  static Instant instant(long microseconds) {
    return Instant.ofEpochSecond(
        EPOCH_SECONDS + Math.floorDiv(microseconds, 1_000_000L),
        Math.floorMod(microseconds, 1_000_000L) * 1_000L);
  }

  /** A row's place as pages and records store it: the block number's upper half comes first. */
  Tid tid() {
    long upper = u16();
    return new Tid(upper << 16 | u16(), u16());
  }

  byte[] bytes(long length) {
    if (length < 0 || length > remaining()) {
      throw new MalformedRecordException(
          "%d bytes are announced where %d are left".formatted(length, remaining()));
    }
    int from = take((int) length);
    return java.util.Arrays.copyOfRange(bytes, from, from + (int) length);
  }

  /** Text ended by a zero byte, or by the end of the {@code length} bytes that hold it. */
  String text(long length) {
    byte[] raw = bytes(length);
    int terminator = 0;
    while (terminator < raw.length && raw[terminator] != 0) {
      terminator++;
    }
    return new String(raw, 0, terminator, StandardCharsets.UTF_8);
  }

  /** Text ended by a zero byte somewhere before the end of the main data. */
  String terminatedText() {
    int terminator = at;
    while (terminator < end && bytes[terminator] != 0) {
      terminator++;
    }
    return text(Math.min(terminator + 1, end) - at);
  }

  /** Items of {@code size} bytes each; the count is believed only if there is room for them. */
  <T> List<T> list(long count, int size, Supplier<T> item) {
    if (count < 0 || count * size > remaining()) {
      throw new MalformedRecordException(
          "%d items of %d bytes are announced where %d bytes are left"
              .formatted(count, size, remaining()));
    }
    if (count == 0) {
      return List.of();
    }
    List<T> items = new ArrayList<>((int) count);
    for (int i = 0; i < count; i++) {
      items.add(item.get());
    }
    return List.copyOf(items);
  }

  /** The CRC-32C of the first bytes of the main data. */
  int checksum(int from, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, start + from, length);
    return (int) crc.getValue();
  }

  private int take(int length) {
    if (length > end - at) {
      throw new MalformedRecordException(
          "%d bytes are needed where %d are left".formatted(length, end - at));
    }
    int from = at;
    at += length;
    return from;
  }
}
