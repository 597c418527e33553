package dev.holdfast.postgres;

import java.sql.SQLException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Reads files of a running server's data directory. One thread. */
interface ServerFiles extends AutoCloseable {
  /**
   * Bytes of a file.
   *
   * @param path relative to the data directory, with slashes
   * @param length at most {@link BaseBackup#READ_BYTES}, unless the file is read whole
   */
  record Piece(String path, long offset, int length) {}

  /** Takes what was read. */
  @FunctionalInterface
  interface Sink {
    /**
     * The pieces come in the order in which they were asked for.
     *
     * @param bytes at their beginning what the file has of the piece, valid until this returns, and
     *     free to be changed; null when there is no such file (any more)
     * @param length how many; fewer than asked for when the file ends before
     */
    void take(int index, byte @Nullable [] bytes, int length) throws SQLException;
  }

  /** Reads pieces. */
  void read(List<Piece> pieces, Sink sink) throws SQLException;

  /**
   * Reads a piece while a sink has another one.
   *
   * @return what the file has of it; null when there is no such file (any more)
   */
  byte @Nullable [] readAgain(Piece piece) throws SQLException;

  @Override
  void close() throws SQLException;
}
