package dev.holdfast.store;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.TreeMap;

/** The list of files of a layer as bytes; see FORMAT.md. */
final class FileList {
  private FileList() {}

  /**
   * One file, or one directory that is listed for itself.
   *
   * @param size bytes; {@link BaseWriter#DIRECTORY} for a directory
   * @param held of these, those that the layer holds itself; the rest are its parent's
   */
  record Entry(long size, long held) {
    boolean isDirectory() {
      return size == BaseWriter.DIRECTORY;
    }

    /** Whether the layer holds all of it, so that no older one is asked. */
    boolean isWhole() {
      return held == size;
    }
  }

  /** With {@code held} only where a layer may hold less than the whole. */
  static byte[] encode(Map<String, Entry> files, boolean incremental) {
    var bytes = new ByteArrayOutputStream();
    try (var out = new DataOutputStream(bytes)) {
      out.writeInt(files.size());
      for (Map.Entry<String, Entry> file : files.entrySet()) {
        BasePath.write(file.getKey(), out);
        out.writeLong(file.getValue().size);
        if (incremental) {
          out.writeLong(file.getValue().held);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail
    }
    return bytes.toByteArray();
  }

  /** Reads what {@link #encode} wrote; {@code name} is the object, for the message. */
  static Map<String, Entry> decode(String name, byte[] bytes, boolean incremental) {
    var files = new TreeMap<String, Entry>();
    try (var in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      int count = in.readInt();
      for (int i = 0; i < count; i++) {
        String path = BasePath.read(in);
        long size = in.readLong();
        long held = incremental ? in.readLong() : size;
        if (size < BaseWriter.DIRECTORY || held > size || (held < 0 && held != size)) {
          throw new IOException("the length of %s is out of range".formatted(path));
        }
        files.put(path, new Entry(size, held));
      }
    } catch (IOException | IllegalArgumentException e) {
      var damaged = new DamagedObjectException(name, String.valueOf(e.getMessage()));
      damaged.addSuppressed(e);
      throw damaged;
    }
    return files;
  }
}
