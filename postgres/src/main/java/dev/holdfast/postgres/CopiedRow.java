package dev.holdfast.postgres;

import dev.holdfast.row.Row;
import java.nio.ByteBuffer;

/**
 * A row's values as COPY's text format has them, without the line feed: to be kept as they are
 * ({@link RowSpool#add(CopiedRow)}), and read only when they are needed.
 */
public final class CopiedRow {
  private final CopyText text = new CopyText();
  private byte[] line = {};
  private int from;
  private int to;
  private boolean isEmpty;

  /**
   * Makes it stand for a part of a line.
   *
   * @param isEmpty whether it has no values at all: one empty text looks the same
   */
  CopiedRow of(byte[] line, int from, int to, boolean isEmpty) {
    this.line = line;
    this.from = from;
    this.to = to;
    this.isEmpty = isEmpty;
    return this;
  }

  /** The values. */
  public Row read() {
    return isEmpty ? Row.of() : text.row(line, from, to);
  }

  boolean isEmpty() {
    return isEmpty;
  }

  int length() {
    return to - from;
  }

  void copyTo(ByteBuffer buffer) {
    buffer.put(line, from, to - from);
  }
}
