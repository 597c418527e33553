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
import org.jspecify.annotations.Nullable;

/**
 * Keeps rows in a file of this process alone and gives each back by its place, so that millions of
 * them need no memory. The file has no name once it is open: whatever ends the process frees it.
 *
 * <p>First every row is added, then they are read, best in the order they were added. Not for
 * several threads.
 */
public final class RowSpool implements AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 18;
  private static final int NULL_LENGTH = -1;

  private final FileChannel file;
  private ByteBuffer unwritten = ByteBuffer.allocate(BUFFER_BYTES);
  private byte[] bytes = {};
  private ByteBuffer window = ByteBuffer.wrap(bytes);
  private long windowAt;
  private long written;

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
      at += Integer.BYTES + window(at, Integer.BYTES).getInt();
      sink.accept(row);
    }
  }

  /** The row added at a place. */
  public Row read(long at) {
    if (unwritten.position() > 0) {
      flush();
    }
    int length = window(at, Integer.BYTES).getInt();
    ByteBuffer row = window(at + Integer.BYTES, length);
    int size = row.getInt();
    List<@Nullable String> values = new ArrayList<>(size);
    for (int i = 0; i < size; i++) {
      int text = row.getInt();
      if (text == NULL_LENGTH) {
        values.add(null);
      } else {
        values.add(new String(bytes, row.position(), text, StandardCharsets.UTF_8));
        row.position(row.position() + text);
      }
    }
    return Row.copyOf(values);
  }

  /** The buffer at a place of the file, with at least so many bytes. */
  private ByteBuffer window(long at, int length) {
    if (at < windowAt || at + length > windowAt + window.limit()) {
      if (bytes.length < Math.max(length, BUFFER_BYTES)) {
        bytes = new byte[Math.max(length, BUFFER_BYTES)];
        window = ByteBuffer.wrap(bytes);
      }
      window.clear();
      windowAt = at;
      try {
        while (window.hasRemaining() && file.read(window, windowAt + window.position()) > 0) {}
      } catch (IOException e) {
        throw new UncheckedIOException("cannot read rows back", e);
      }
      window.flip();
    }
    return window.position((int) (at - windowAt));
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
