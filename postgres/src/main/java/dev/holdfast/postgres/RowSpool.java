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
import java.util.ArrayList;
import java.util.List;
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

  private static final int NULL_LENGTH = -1;

  private final FileChannel file;
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
    long at = written + unwritten.position();
    List<byte @Nullable []> texts = new ArrayList<>(row.size());
    int length = Integer.BYTES;
    for (@Nullable String value : row.values()) {
      byte[] text = value == null ? null : value.getBytes(StandardCharsets.UTF_8);
      texts.add(text);
      length += Integer.BYTES + (text == null ? 0 : text.length);
    }
    ByteBuffer room = room(Integer.BYTES + length);
    room.putInt(length).putInt(row.size());
    for (byte @Nullable [] text : texts) {
      if (text == null) {
        room.putInt(NULL_LENGTH);
      } else {
        room.putInt(text.length).put(text);
      }
    }
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
      at += Integer.BYTES + length(at);
      sink.accept(row);
    }
  }

  /** The row added at a place. */
  public Row read(long at) {
    if (unwritten.position() > 0) {
      flush();
    }
    int length = length(at);
    Window window = window(at + Integer.BYTES, length);
    ByteBuffer row = window.buffer.position((int) (at + Integer.BYTES - window.from));
    int size = row.getInt();
    List<@Nullable String> values = new ArrayList<>(size);
    for (int i = 0; i < size; i++) {
      int text = row.getInt();
      if (text == NULL_LENGTH) {
        values.add(null);
      } else {
        values.add(new String(window.bytes, row.position(), text, StandardCharsets.UTF_8));
        row.position(row.position() + text);
      }
    }
    return Row.copyOf(values);
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
