package dev.holdfast.damage;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
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

  /** Where the next record starts, for there is one: what is recorded from now on comes after. */
  static Lsn begin(TestServer server) {
    Lsn start = end(server);
    server.execute("SELECT pg_logical_emit_message(false, 'test', 'begins')");
    return start;
  }

  /** Hands over every record that starts from {@code from} on, to the end. */
  static void read(TestServer server, Lsn from, Consumer<RawRecord> records) throws IOException {
    read(server, SegmentName.containing(from, 1, SegmentName.DEFAULT_SIZE), from, records);
  }

  /** The same from the start of a segment of any size. */
  static void read(TestServer server, SegmentName first, Consumer<RawRecord> records)
      throws IOException {
    read(server, first, first.start(), records);
  }

  private static void read(
      TestServer server, SegmentName first, Lsn from, Consumer<RawRecord> records)
      throws IOException {
    Lsn end = end(server);
    server.execute("CHECKPOINT"); // flushes what asynchronous commits left in memory
    Lsn flushed = end(server);
    Path folder = server.server().data().resolve("pg_wal");
    SegmentName segment = first;
    WalReader reader = new WalReader(segment.start());
    for (; segment.start().isBefore(flushed); segment = segment.next()) {
      byte[] bytes = Files.readAllBytes(folder.resolve(segment.toString()));
      reader.feed(bytes, 0, bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        if (Long.compareUnsigned(record.lsn(), from.position()) >= 0) {
          records.accept(record);
        }
      }
    }
    if (reader.position().isBefore(end)) {
      throw new IllegalStateException(
          "the log was read up to %s, it ends after %s".formatted(reader.position(), end));
    }
  }
}
