package dev.holdfast.postgres;

import dev.holdfast.row.Row;
import dev.holdfast.row.RowSink;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Keeps rows in a file of this process alone and gives each back by its place, so that millions of
 * them need no memory. The file has no name once it is open: whatever ends the process frees it.
 *
 * <p>First every row is added, then they are read, best in the order they were added. Not for
 * several threads.
 */
public final class RowSpool implements AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 16;

  /** Stretches of the file held in memory: rows are read from a few places by turns. */
  private static final int WINDOWS = 6;

  /** In the place of the length of a row's line: the row has no values. */
  private static final int NO_VALUES = -1;

  private final FileChannel file;
  private final CopyText text = new CopyText();
  private final StringBuilder line = new StringBuilder();
  private ByteBuffer unwritten = ByteBuffer.allocate(BUFFER_BYTES);
  private final @Nullable Window[] windows = new Window[WINDOWS];
  private long written;
  private long uses;

  /** A stretch of the file. */
  private static final class Window {
    private byte[] bytes = new byte[BUFFER_BYTES];
    private ByteBuffer buffer = ByteBuffer.wrap(bytes);
    private long from;
    private long to;
    private long used;

    private boolean holds(long at, int length) {
      return at >= from && at + length <= to;
    }
  }

  /**
   * Makes an empty spool.
   *
   * @param folder where the file goes; it needs room for the rows
   * @throws UncheckedIOException when no file can be made there
   */
  public RowSpool(Path folder) {
    try {
      Path path =
          Files.createTempFile(
              folder,
              "holdfast-rows",
              ".spool",
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      file = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE);
      Files.delete(path);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot keep rows in " + folder, e);
    }
  }

  /** An empty spool in the folder for temporary files. */
  public static RowSpool create() {
    return new RowSpool(Path.of(System.getProperty("java.io.tmpdir")));
  }

  /** Adds a row; returns the place to read it from. */
  public long add(Row row) {
    if (row.size() == 0) {
      return addEmpty();
    }
    line.setLength(0);
    for (int i = 0; i < row.size(); i++) {
      if (i > 0) {
        line.append('\t');
      }
      CopyText.append(line, row.value(i));
    }
    long at = end();
    byte[] bytes = line.toString().getBytes(StandardCharsets.UTF_8);
    room(Integer.BYTES + bytes.length).putInt(bytes.length).put(bytes);
    return at;
  }

  /** As {@link #add(Row)}, without reading its values. */
  public long add(CopiedRow row) {
    if (row.isEmpty()) {
      return addEmpty();
    }
    long at = end();
    row.copyTo(room(Integer.BYTES + row.length()).putInt(row.length()));
    return at;
  }

  private long addEmpty() {
    long at = end();
    room(Integer.BYTES).putInt(NO_VALUES);
    return at;
  }

  private ByteBuffer room(int bytes) {
    if (unwritten.remaining() < bytes) {
      flush();
      if (unwritten.capacity() < bytes) {
        unwritten = ByteBuffer.allocate(bytes);
      }
    }
    return unwritten;
  }

  private void flush() {
    try {
      unwritten.flip();
      while (unwritten.hasRemaining()) {
        written += file.write(unwritten, written);
      }
      unwritten.clear();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot keep rows: is the disk full?", e);
    }
  }

  /** The place that the next row will have. */
  public long end() {
    return written + unwritten.position();
  }

  /** The rows added from one place up to another, in order. */
  public void forEach(long from, long to, RowSink sink) {
    for (long at = from; at < to; ) {
      Row row = read(at);
      at += Integer.BYTES + Math.max(0, length(at));
      sink.accept(row);
    }
  }

  /** The row added at a place. */
  public Row read(long at) {
    if (unwritten.position() > 0) {
      flush();
    }
    int length = length(at);
    if (length == NO_VALUES) {
      return Row.of();
    }
    Window window = window(at + Integer.BYTES, length);
    int from = (int) (at + Integer.BYTES - window.from);
    return text.row(window.bytes, from, from + length);
  }

  private int length(long at) {
    Window window = window(at, Integer.BYTES);
    return window.buffer.getInt((int) (at - window.from));
  }

  /** One that holds these bytes; else the one not used for longest is moved there. */
  private Window window(long at, int length) {
    Window oldest = null;
    for (int index = 0; index < WINDOWS; index++) {
      Window window = windows[index];
      if (window == null) {
        window = new Window();
        windows[index] = window;
        oldest = window;
        break;
      }
      if (window.holds(at, length)) {
        window.used = ++uses;
        return window;
      }
      oldest = oldest == null || window.used < oldest.used ? window : oldest;
    }
    Window moved = Objects.requireNonNull(oldest);
    if (moved.bytes.length < length) {
      moved.bytes = new byte[length];
      moved.buffer = ByteBuffer.wrap(moved.bytes);
    }
    moved.used = ++uses;
    moved.from = at;
    moved.buffer.clear();
    try {
      while (moved.buffer.hasRemaining()
          && file.read(moved.buffer, at + moved.buffer.position()) > 0) {}
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read rows back", e);
    }
    moved.to = at + moved.buffer.position();
    moved.buffer.clear();
    return moved;
  }

  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
