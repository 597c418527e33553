package dev.holdfast.store;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What is where in one part of a base backup; see FORMAT.md. */
record TableOfContents(List<Frame> frames, List<Hole> holes) {
  /** A run of bytes of one file inside a frame. */
  record Piece(String path, long offset, int length) {}

  /** One zstd frame. */
  record Frame(
      long position, int storedLength, int contentLength, int checksum, List<Piece> pieces) {}

  /** A run of zero bytes of one file. */
  record Hole(String path, long offset, long length) {}

  byte[] encode() {
    var paths = new LinkedHashMap<String, Integer>();
    for (Frame frame : frames) {
      for (Piece piece : frame.pieces()) {
        paths.putIfAbsent(piece.path(), paths.size());
      }
    }
    for (Hole hole : holes) {
      paths.putIfAbsent(hole.path(), paths.size());
    }
    var bytes = new ByteArrayOutputStream();
    try (var out = new DataOutputStream(bytes)) {
      out.writeInt(paths.size());
      for (String path : paths.keySet()) {
        BasePath.write(path, out);
      }
      out.writeInt(frames.size());
      for (Frame frame : frames) {
        out.writeLong(frame.position());
        out.writeInt(frame.storedLength());
        out.writeInt(frame.contentLength());
        out.writeInt(frame.checksum());
        out.writeInt(frame.pieces().size());
        for (Piece piece : frame.pieces()) {
          out.writeInt(index(paths, piece.path()));
          out.writeLong(piece.offset());
          out.writeInt(piece.length());
        }
      }
      out.writeInt(holes.size());
      for (Hole hole : holes) {
        out.writeInt(index(paths, hole.path()));
        out.writeLong(hole.offset());
        out.writeLong(hole.length());
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail
    }
    return bytes.toByteArray();
  }

  private static int index(Map<String, Integer> paths, String path) {
    Integer index = paths.get(path);
    if (index == null) {
      throw new IllegalStateException("no index for " + path);
    }
    return index;
  }

  /** Reads what {@link #encode} wrote; {@code name} is the part, for the message. */
  static TableOfContents decode(String name, byte[] bytes) {
    try (var in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      int pathCount = count(in);
      var paths = new ArrayList<String>();
      for (int i = 0; i < pathCount; i++) {
        paths.add(BasePath.read(in));
      }
      int frameCount = count(in);
      var frames = new ArrayList<Frame>();
      for (int i = 0; i < frameCount; i++) {
        long position = in.readLong();
        int storedLength = in.readInt();
        int contentLength = in.readInt();
        int checksum = in.readInt();
        int pieceCount = count(in);
        var pieces = new ArrayList<Piece>();
        long covered = 0;
        for (int p = 0; p < pieceCount; p++) {
          Piece piece = new Piece(paths.get(in.readInt()), in.readLong(), in.readInt());
          require(piece.offset() >= 0 && piece.length() >= 0);
          covered += piece.length();
          pieces.add(piece);
        }
        require(
            position >= Envelope.HEADER_BYTES
                && storedLength > 0
                && contentLength <= PartWriter.EXTENT
                && covered == contentLength);
        frames.add(new Frame(position, storedLength, contentLength, checksum, pieces));
      }
      int holeCount = count(in);
      var holes = new ArrayList<Hole>();
      for (int i = 0; i < holeCount; i++) {
        Hole hole = new Hole(paths.get(in.readInt()), in.readLong(), in.readLong());
        require(hole.offset() >= 0 && hole.length() >= 0);
        holes.add(hole);
      }
      require(in.available() == 0);
      return new TableOfContents(frames, holes);
    } catch (IOException | IndexOutOfBoundsException | IllegalArgumentException e) {
      var damaged =
          new DamagedObjectException(name, "its table of contents is broken: " + e.getMessage());
      damaged.addSuppressed(e);
      throw damaged;
    }
  }

  private static int count(DataInputStream in) throws IOException {
    int count = in.readInt();
    require(count >= 0);
    return count;
  }

  private static void require(boolean holds) throws IOException {
    if (!holds) {
      throw new IOException("an entry is out of range");
    }
  }
}
