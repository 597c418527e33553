package dev.holdfast.wal;

/**
 * Where a row version lies in its table: ctid ("storage/itemptr.h", PostgreSQL 18).
 *
 * @param block block number, unsigned 32-bit
 * @param offset line pointer, from 1
 */
public record Tid(long block, int offset) implements Comparable<Tid> {
  /** Block number and offset in one number that sorts as they do: {@code block << 16 | offset}. */
  public long pack() {
    return block << 16 | offset;
  }

  /** The inverse of {@link #pack}. */
  public static Tid unpack(long packed) {
    return new Tid(packed >>> 16, (int) (packed & 0xFFFF));
  }

  @Override
  public int compareTo(Tid other) {
    int byBlock = Long.compare(block, other.block);
    return byBlock != 0 ? byBlock : Integer.compare(offset, other.offset);
  }

  /** As PostgreSQL writes it: {@code (12,3)}. */
  @Override
  public String toString() {
    return "(" + block + "," + offset + ")";
  }
}
