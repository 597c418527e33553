package dev.holdfast.store;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Paths of files in a base backup: relative, never leaving the data directory. */
final class BasePath {
  private static final int BYTES_MAX = 4096;

  private BasePath() {}

  /** Returns the path; throws {@link IllegalArgumentException} when it could lead elsewhere. */
  static String check(String path) {
    for (String component : path.split("/", -1)) {
      if (component.isEmpty()
          || component.equals(".")
          || component.equals("..")
          || component.indexOf('\0') >= 0) {
        throw new IllegalArgumentException(
            "\"" + path + "\" is not a path inside a data directory");
      }
    }
    if (path.getBytes(StandardCharsets.UTF_8).length > BYTES_MAX) {
      throw new IllegalArgumentException("a path has more than " + BYTES_MAX + " bytes");
    }
    return path;
  }

  static void write(String path, DataOutputStream out) throws IOException {
    byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
    out.writeShort(bytes.length);
    out.write(bytes);
  }

  static String read(DataInputStream in) throws IOException {
    int length = in.readUnsignedShort();
    byte[] bytes = in.readNBytes(length);
    if (bytes.length < length) {
      throw new EOFException("a path is cut off");
    }
    return check(new String(bytes, StandardCharsets.UTF_8));
  }
}
