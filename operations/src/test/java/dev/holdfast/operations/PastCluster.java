package dev.holdfast.operations;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseWriter;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A cluster's recorded past made by hand, in segments of 1 MiB: what is in the WAL is never read.
 */
final class PastCluster {
  static final int SEGMENT = 1 << 20;
  static final String SYSTEM = "7443211234567890123";

  final String location;
  final ClusterStore cluster;

  PastCluster(String location) {
    this.location = location;
    this.cluster =
        Repository.openOrCreate(location)
            .register(
                new ClusterDocument(
                    "acme",
                    "postgresql",
                    SYSTEM,
                    18,
                    "production",
                    SEGMENT,
                    "postgresql://recorder@db.example/shop",
                    null,
                    Instant.parse("2026-01-01T00:00:00Z"),
                    Map.of()));
  }

  static String segment(int timeline, long number) {
    return new SegmentName(timeline, number, SEGMENT).toString();
  }

  /** The position a part of the way through a segment. */
  static Lsn lsn(double segments) {
    return new Lsn((long) (segments * SEGMENT));
  }

  /** Complete segments from one number to before another. */
  PastCluster wal(int timeline, long from, long to) {
    for (long number = from; number < to; number++) {
      cluster.wal().put(segment(timeline, number), bytes(number));
    }
    return this;
  }

  /** The same on every timeline, so that a segment in which one was left is the same in both. */
  private static byte[] bytes(long number) {
    byte[] bytes = new byte[SEGMENT];
    bytes[0] = (byte) number;
    bytes[SEGMENT / 2] = 1;
    return bytes;
  }

  PastCluster partial(int timeline, long number, int bytes) {
    cluster.wal().putPartial(segment(timeline, number), bytes(number), bytes);
    return this;
  }

  /** Says that a timeline was left for another at a position. */
  PastCluster history(int timeline, String content) {
    cluster.wal().putHistory(timeline, content.getBytes(StandardCharsets.UTF_8));
    return this;
  }

  static BaseManifest manifest(
      String label,
      int timeline,
      Lsn start,
      Lsn stop,
      Instant finishedAt,
      @Nullable String parent) {
    return new BaseManifest(
        label,
        parent == null ? "full" : "incr",
        parent,
        timeline,
        start.position(),
        stop.position(),
        finishedAt.minusSeconds(60),
        finishedAt,
        18,
        SYSTEM,
        SEGMENT,
        "START WAL LOCATION\n",
        null,
        Map.of(),
        0,
        0);
  }

  PastCluster base(String label, int timeline, double start, double stop, Instant finishedAt) {
    return base(manifest(label, timeline, lsn(start), lsn(stop), finishedAt, null));
  }

  PastCluster base(BaseManifest manifest) {
    try (BaseWriter writer = cluster.bases().begin(manifest.label())) {
      byte[] content = manifest.label().repeat(500).getBytes(StandardCharsets.US_ASCII);
      writer.file("base/5/1259", content.length, new ByteArrayInputStream(content));
      writer.file("global/pg_control", 8192, new ByteArrayInputStream(new byte[8192]));
      writer.publish(manifest);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return this;
  }

  /** Has everything that is stored look as if it had been stored then; of a directory. */
  PastCluster storedAt(Instant time) {
    try (Stream<Path> files = Files.walk(Path.of(location))) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.setLastModifiedTime(file, FileTime.from(time));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return this;
  }

  Path file(String object) {
    return Path.of(location).resolve("clusters/acme").resolve(object);
  }
}
