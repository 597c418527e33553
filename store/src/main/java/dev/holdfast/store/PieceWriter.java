package dev.holdfast.store;

import java.util.HashMap;
import java.util.Map;

/**
 * Writes runs of bytes of files, in any order, into a layer that is being made. One thread.
 *
 * <p>Closing it ends no file: {@link BaseWriter#sized} says how long each is. After a failure the
 * layer must not be published, and is not: its writer was not closed.
 */
public final class PieceWriter implements AutoCloseable {
  private final BaseWriter base;
  private final Map<String, Long> written = new HashMap<>();
  private PartWriter part;
  private boolean closed;

  PieceWriter(BaseWriter base, PartWriter part) {
    this.base = base;
    this.part = part;
  }

  /**
   * Adds a run of bytes of a file.
   *
   * @param path relative to the data directory, with slashes
   * @param offset in the file; of a file that is not held whole, a multiple of the block size
   */
  public void write(String path, long offset, byte[] bytes, int from, int length) {
    if (closed) {
      throw new IllegalStateException("closed");
    }
    int taken = 0;
    while (taken < length) {
      int now = Math.min(length - taken, PartWriter.EXTENT);
      part.add(path, offset + taken, bytes, from + taken, now);
      part = base.continueIn(part);
      taken += now;
    }
    written.merge(BasePath.check(path), (long) length, Long::sum);
  }

  /** Adds a run of zeros. */
  void hole(String path, long offset, long length) {
    part.hole(path, offset, length);
    written.merge(BasePath.check(path), length, Long::sum);
  }

  /** What was written is part of the layer. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      base.ended(written, part);
    }
  }
}
