package dev.holdfast.wal;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;

/**
 * What a reader is fed: where it starts, and pieces of log, each with the zeros that follow it.
 *
 * @param start where the reader is told to start
 * @param segmentSize what it is told of segments; 0 for nothing
 * @param pieces fed one after the other
 * @param cut bytes fed at a time
 */
record FuzzInput(long start, int segmentSize, List<Piece> pieces, int cut) {
  /** Bytes, and how many zeros follow them. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Piece(byte[] bytes, int zeros) {}

  /** Bytes other than zeros between pieces. */
  long length() {
    return pieces.stream().mapToLong(piece -> piece.bytes.length).sum();
  }

  void write(OutputStream file) throws IOException {
    DataOutputStream out = new DataOutputStream(file);
    out.writeLong(start);
    out.writeInt(segmentSize);
    out.writeInt(cut);
    out.writeInt(pieces.size());
    for (Piece piece : pieces) {
      out.writeInt(piece.bytes.length);
      out.write(piece.bytes);
      out.writeInt(piece.zeros);
    }
  }

  static FuzzInput read(InputStream file) throws IOException {
    DataInputStream in = new DataInputStream(file);
    long start = in.readLong();
    int segmentSize = in.readInt();
    int cut = in.readInt();
    List<Piece> pieces = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      byte[] bytes = in.readNBytes(in.readInt());
      pieces.add(new Piece(bytes, in.readInt()));
    }
    return new FuzzInput(start, segmentSize, pieces, cut);
  }
}
