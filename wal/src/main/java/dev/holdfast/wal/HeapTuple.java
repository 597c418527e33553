package dev.holdfast.wal;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.BitSet;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * One row version as bytes: its columns from t_hoff on ("access/htup_details.h", PostgreSQL 14 to
 * 18). What the log left out, because it stood in the version before, may be unknown: then reading
 * it gives empty or null, never a guess.
 *
 * <p>Offsets are those of fixed-width columns that are never null and stand first, as the leading
 * columns of PostgreSQL's own tables do; integers are little-endian. Immutable.
 */
public final class HeapTuple {
  private final byte[] bytes;

  /** Bytes that are known; null: all of them. */
  private final @Nullable BitSet known;

  /** Whether {@code bytes} reaches to the row's end. */
  private final boolean whole;

  private HeapTuple(byte[] bytes, @Nullable BitSet known, boolean whole) {
    this.bytes = bytes;
    this.known = known;
    this.whole = whole;
  }

  /** Takes over the array. */
  static HeapTuple ofColumns(byte[] columns) {
    return new HeapTuple(columns, null, true);
  }

  /**
   * A row version that only some columns are known of.
   *
   * @param length bytes of all its columns; of those that are said below when that is unknown
   * @param lengthKnown whether it is
   */
  public static Builder partly(int length, boolean lengthKnown) {
    return new Builder(length, lengthKnown);
  }

  /** Puts a row version together from columns known. */
  public static final class Builder {
    private final byte[] bytes;
    private final BitSet known = new BitSet();
    private final boolean whole;

    private Builder(int length, boolean whole) {
      this.bytes = new byte[length];
      this.whole = whole;
    }

    /** An unsigned 32-bit column, such as an OID. */
    public Builder u32(int offset, long value) {
      for (int index = 0; index < 4; index++) {
        bytes[offset + index] = (byte) (value >>> (8 * index));
      }
      known.set(offset, offset + 4);
      return this;
    }

    /** A column of one byte. */
    public Builder u8(int offset, int value) {
      bytes[offset] = (byte) value;
      known.set(offset);
      return this;
    }

    /** A column of type name, filled up with zeros. */
    public Builder name(int offset, String value) {
      byte[] text = value.getBytes(StandardCharsets.UTF_8);
      System.arraycopy(text, 0, bytes, offset, Math.min(text.length, NAME_BYTES - 1));
      known.set(offset, offset + NAME_BYTES);
      return this;
    }

    /** The row version. */
    public HeapTuple build() {
      return new HeapTuple(bytes.clone(), (BitSet) known.clone(), whole);
    }
  }

  /** Bytes of a column of type name: NAMEDATALEN of every common build. */
  public static final int NAME_BYTES = 64;

  /** Bytes of all its columns, when that is known. */
  public OptionalInt length() {
    return whole ? OptionalInt.of(bytes.length) : OptionalInt.empty();
  }

  /** Whether every byte is known. */
  public boolean isWhole() {
    return whole && known == null;
  }

  /** An unsigned 32-bit column. */
  public OptionalLong u32(int offset) {
    return isKnown(offset, 4)
        ? OptionalLong.of(LittleEndian.u32(bytes, offset))
        : OptionalLong.empty();
  }

  /** A 16-bit column, with its sign. */
  public OptionalInt i16(int offset) {
    return isKnown(offset, 2)
        ? OptionalInt.of((short) LittleEndian.u16(bytes, offset))
        : OptionalInt.empty();
  }

  /** A column of one byte, unsigned. */
  public OptionalInt u8(int offset) {
    return isKnown(offset, 1)
        ? OptionalInt.of(LittleEndian.u8(bytes, offset))
        : OptionalInt.empty();
  }

  /** A 32-bit floating point column. */
  public @Nullable Float f32(int offset) {
    return isKnown(offset, 4) ? Float.intBitsToFloat(LittleEndian.i32(bytes, offset)) : null;
  }

  /** A column of type name. */
  public @Nullable String name(int offset) {
    if (offset + NAME_BYTES > bytes.length) {
      return null;
    }
    int end = offset;
    while (end < offset + NAME_BYTES && isKnown(end, 1) && bytes[end] != 0) {
      end++;
    }
    if (end == offset + NAME_BYTES || !isKnown(end, 1)) {
      return null; // its end is not known, or it has none
    }
    return new String(bytes, offset, end - offset, StandardCharsets.UTF_8);
  }

  /** The same row version without what follows its first {@code length} bytes. */
  public HeapTuple head(int length) {
    if (bytes.length <= length) {
      return this;
    }
    BitSet head = known;
    if (head != null) {
      head = (BitSet) head.clone();
      head.clear(length, bytes.length);
    }
    return new HeapTuple(Arrays.copyOf(bytes, length), head, false);
  }

  private boolean isKnown(int offset, int width) {
    if (offset < 0 || offset + width > bytes.length) {
      return false;
    }
    return known == null || known.nextClearBit(offset) >= offset + width;
  }

  /**
   * A new version that begins and ends as the one before it.
   *
   * @param old the version before; null when nothing of it is known
   * @param prefix bytes at the beginning that are as they were
   * @param suffix bytes at the end that are as they were
   * @param source holds what is new, at {@code [from, to)}
   */
  static HeapTuple changed(
      @Nullable HeapTuple old, int prefix, int suffix, byte[] source, int from, int to) {
    int middle = to - from;
    byte[] columns = new byte[prefix + middle + suffix];
    BitSet known = new BitSet();
    System.arraycopy(source, from, columns, prefix, middle);
    known.set(prefix, prefix + middle);
    if (old != null) {
      old.copyKnown(0, Math.min(prefix, old.bytes.length), columns, 0, known);
      if (old.whole && suffix <= old.bytes.length) {
        int at = old.bytes.length - suffix;
        old.copyKnown(at, suffix, columns, prefix + middle, known);
      }
    }
    boolean all = known.nextClearBit(0) >= columns.length;
    return new HeapTuple(columns, all ? null : known, true);
  }

  private void copyKnown(int from, int length, byte[] columns, int to, BitSet knownThere) {
    System.arraycopy(bytes, from, columns, to, length);
    if (known == null) {
      knownThere.set(to, to + length);
    } else {
      for (int at = known.nextSetBit(from); at >= 0 && at < from + length; ) {
        int end = Math.min(known.nextClearBit(at), from + length);
        knownThere.set(to + at - from, to + end - from);
        at = known.nextSetBit(end);
      }
    }
  }
}
