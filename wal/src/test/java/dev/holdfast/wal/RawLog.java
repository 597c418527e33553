package dev.holdfast.wal;

import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;

/** Reads a running server's own pg_wal through the window. */
final class RawLog {
  private RawLog() {}

  static Lsn end(TestServer server) {
    return Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
  }

  /** Hands over every record that starts at {@code from} or later and before {@code to}. */
  static void read(TestServer server, Lsn from, Lsn to, Consumer<RawRecord> records)
      throws IOException {
    LiveLog log = new LiveLog(server, from, to);
    WalReader reader = new WalReader(log.start());
    for (Path file : log.files()) {
      byte[] bytes = Files.readAllBytes(file);
      reader.feed(bytes, 0, bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        if (Long.compareUnsigned(record.lsn(), to.position()) >= 0) {
          return;
        }
        if (Long.compareUnsigned(record.lsn(), from.position()) >= 0) {
          records.accept(record);
        }
      }
    }
  }
}
