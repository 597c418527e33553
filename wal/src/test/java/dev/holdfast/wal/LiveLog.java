package dev.holdfast.wal;

import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The segments a running server has in its pg_wal, from one position to another. */
final class LiveLog {
  private final Path folder;
  private final SegmentName first;
  private final SegmentName last;

  LiveLog(TestServer server, Lsn from, Lsn to) {
    this.folder = server.server().data().resolve("pg_wal");
    int size =
        Integer.parseInt(
            server.value("SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'"));
    this.first = SegmentName.containing(from, 1, size);
    this.last = SegmentName.containing(to, 1, size);
  }

  Lsn start() {
    return first.start();
  }

  List<Path> files() {
    List<Path> files = new ArrayList<>();
    for (SegmentName name = first; name.number() <= last.number(); name = name.next()) {
      files.add(folder.resolve(name.toString()));
    }
    return files;
  }

  /** Everything that ends at or before {@code to}, fed in pieces of {@code piece} bytes. */
  List<WalRecord> decode(Lsn to, int piece) throws IOException {
    List<WalRecord> records = new ArrayList<>();
    WalReader reader = new WalReader(start());
    for (Path file : files()) {
      byte[] bytes = Files.readAllBytes(file);
      for (int at = 0; at < bytes.length; at += piece) {
        reader.feed(bytes, at, Math.min(piece, bytes.length - at));
        while (reader.next() instanceof Decoded.Complete complete) {
          if (complete.record().end().isAfter(to)) {
            return records;
          }
          records.add(complete.record());
        }
      }
    }
    return records;
  }
}
