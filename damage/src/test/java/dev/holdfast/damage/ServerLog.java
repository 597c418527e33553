package dev.holdfast.damage;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Decoded;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import dev.holdfast.wal.WalRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;

/** Reads a running server's own pg_wal. */
final class ServerLog {
  private ServerLog() {}

  /** Where the log ends now. */
  static Lsn end(TestServer server) {
    return Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
  }

  /** Hands over every record that starts from {@code from} on, to the end. */
  static void read(TestServer server, Lsn from, Consumer<WalRecord> records) throws IOException {
    server.execute("CHECKPOINT"); // flushes what asynchronous commits left in memory
    Path folder = server.server().data().resolve("pg_wal");
    SegmentName segment = SegmentName.containing(from, 1, SegmentName.DEFAULT_SIZE);
    WalReader reader = new WalReader(segment.start());
    for (; Files.exists(folder.resolve(segment.toString())); segment = segment.next()) {
      byte[] bytes = Files.readAllBytes(folder.resolve(segment.toString()));
      reader.feed(bytes, 0, bytes.length);
      while (reader.next() instanceof Decoded.Complete complete) {
        if (!complete.record().lsn().isBefore(from)) {
          records.accept(complete.record());
        }
      }
      if (reader.position().isBefore(segment.end())) {
        return;
      }
    }
  }
}
