package dev.holdfast.store;

/**
 * One file of a base backup while it is written. One thread at a time.
 *
 * <p>Closing ends the file with what it has: after a failure in the middle of it, the base backup
 * must not be published.
 */
public final class FileWriter implements AutoCloseable {
  private final BaseWriter base;
  private final String path;
  private int filled;
  private long offset;
  private PartWriter part;
  private boolean closed;

  FileWriter(BaseWriter base, String path, PartWriter part) {
    this.base = base;
    this.path = path;
    this.part = part;
  }

  /** Appends bytes to the file. */
  public void write(byte[] bytes, int from, int length) {
    if (closed) {
      throw new IllegalStateException(path + " is closed");
    }
    int taken = 0;
    byte[] extent = part.extent();
    while (taken < length) {
      if (filled == 0 && length - taken >= extent.length) { // whole: spare the copy
        flush(bytes, from + taken, extent.length);
        taken += extent.length;
        extent = part.extent();
        continue;
      }
      int now = Math.min(length - taken, extent.length - filled);
      System.arraycopy(bytes, from + taken, extent, filled, now);
      filled += now;
      taken += now;
      if (filled == extent.length) {
        flush(extent, 0, filled);
        filled = 0;
        extent = part.extent();
      }
    }
  }

  private void flush(byte[] bytes, int from, int length) {
    part.add(path, offset, bytes, from, length);
    offset += length;
    part = base.continueIn(part);
  }

  /** Ends the file: it has exactly the bytes written. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      part.add(path, offset, part.extent(), 0, filled);
      base.ended(path, offset + filled, part);
    }
  }
}
