package dev.holdfast.postgres;

import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.RowChangeSource;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
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
 * Keeps planned changes in a file of this process alone, so that a plan over millions of rows needs
 * no memory. The file has no name once it is open: whatever ends the process frees it.
 */
public final class RowChangeSpool implements RowChangeSink, RowChangeSource, AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 16;
  private static final int NULL_LENGTH = -1;

  private final FileChannel file;
  private final DataOutputStream out;
  private long count;

  /**
   * Makes an empty spool.
   *
   * @param folder where the file goes; it needs room for the rows before and now
   * @throws UncheckedIOException when no file can be made there
   */
  public RowChangeSpool(Path folder) {
    try {
      Path path =
          Files.createTempFile(
              folder,
              "holdfast-plan",
              ".spool",
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      file = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE);
      Files.delete(path);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot keep the plan in " + folder, e);
    }
    out =
        new DataOutputStream(
            new BufferedOutputStream(Channels.newOutputStream(file), BUFFER_BYTES));
  }

  /** An empty spool in the folder for temporary files. */
  public static RowChangeSpool create() {
    return new RowChangeSpool(Path.of(System.getProperty("java.io.tmpdir")));
  }

  /** How many changes it holds. */
  public long count() {
    return count;
  }

  @Override
  public void accept(RowChange change) {
    try {
      // No switch over patterns: this is done a million times.
      if (change instanceof RowChange.Update update) {
        out.writeByte('u');
        write(update.now());
        write(update.wanted());
      } else if (change instanceof RowChange.Insert insert) {
        out.writeByte('i');
        write(insert.wanted());
      } else if (change instanceof RowChange.Delete delete) {
        out.writeByte('d');
        write(delete.now());
      }
      count++;
    } catch (IOException e) {
      throw new UncheckedIOException("cannot keep the plan: is the disk full?", e);
    }
  }

  @Override
  public void forEach(RowChangeSink sink) {
    try {
      out.flush();
      long end = file.position();
      file.position(0);
      // Not closed: it would close the file.
      DataInputStream in =
          new DataInputStream(new BufferedInputStream(Channels.newInputStream(file), BUFFER_BYTES));
      for (long i = 0; i < count; i++) {
        int verb = in.readByte();
        sink.accept(
            switch (verb) {
              case 'i' -> new RowChange.Insert(read(in));
              case 'u' -> new RowChange.Update(read(in), read(in));
              case 'd' -> new RowChange.Delete(read(in));
              default -> throw new IllegalStateException("no change is spooled as " + verb);
            });
      }
      file.position(end);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read the plan back", e);
    }
  }

  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void write(Row row) throws IOException {
    out.writeInt(row.size());
    for (@Nullable String value : row.values()) {
      if (value == null) {
        out.writeInt(NULL_LENGTH);
      } else {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        out.writeInt(bytes.length);
        out.write(bytes);
      }
    }
  }

  private static Row read(DataInputStream in) throws IOException {
    int size = in.readInt();
    List<@Nullable String> values = new ArrayList<>(size);
    for (int i = 0; i < size; i++) {
      int length = in.readInt();
      values.add(
          length == NULL_LENGTH ? null : new String(in.readNBytes(length), StandardCharsets.UTF_8));
    }
    return Row.copyOf(values);
  }
}
