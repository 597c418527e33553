package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Writeback;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The WAL of a restored data directory: every record up to the target, and none past it. What
 * follows the last record in its segment is zeros, so even a server whose recovery settings were
 * taken away ends there.
 *
 * <p>So that recovery may stop after a record that is known, every target is put as one: the last
 * record to be replayed, inclusive. A recovery that does not come that far fails.
 *
 * @param last where the last record starts
 * @param end where it ends
 * @param bytes of the segment files
 * @param settings what recovery from it needs at least, by setting
 */
record RestoredWal(Lsn last, Lsn end, long bytes, Map<String, Integer> settings) {
  /** How many segments may be in memory, besides one for each thread; and how many bytes. */
  private static final int AHEAD = 2;

  private static final int MEMORY_BYTES_MAX = 96 << 20;

  /** Bytes that the segments of a route take up to its target. */
  static long bytes(RecoveryRoute route, RecoveryTarget target) {
    return (long) count(route, bound(target)) * route.base().walSegmentSize();
  }

  /** Records that start before here are replayed. */
  private static Lsn bound(RecoveryTarget target) {
    return target.inclusive() ? target.lsn().plus(1) : target.lsn();
  }

  private static int count(RecoveryRoute route, Lsn bound) {
    return (int)
        route.segments().stream()
            .filter(name -> segment(route, name).start().isBefore(bound))
            .count();
  }

  private static SegmentName segment(RecoveryRoute route, String name) {
    return SegmentName.parse(name, route.base().walSegmentSize());
  }

  /**
   * Fetches and checks it.
   *
   * @param folder pg_wal
   * @param writeback told of each segment; what is changed later in the last one is not synced
   * @throws OperatorException REFUSED for what must not be replayed, or is not recorded to its end;
   *     DAMAGED_DATA
   */
  static RestoredWal fetch(
      String what,
      ClusterStore cluster,
      RecoveryRoute route,
      RecoveryTarget target,
      Path folder,
      int threads,
      Writeback writeback,
      RecoveryProgress progress)
      throws IOException {
    int segmentSize = route.base().walSegmentSize();
    Lsn bound = bound(target);
    Lsn first = SegmentName.containing(route.start(), route.base().timeline(), segmentSize).start();
    ReplayHazards hazards = new ReplayHazards(what, first, segmentSize, route.start(), bound);
    List<String> names = route.segments();
    int count = count(route, bound);
    long total = (long) count * segmentSize;
    int atOnce = Math.max(1, Math.min(threads + AHEAD, MEMORY_BYTES_MAX / segmentSize));
    Deque<Future<byte[]>> reading = new ArrayDeque<>();
    try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
      try {
        int asked = 0;
        for (int index = 0; index < count; index++) {
          while (asked < count && reading.size() < atOnce) {
            String name = names.get(asked++);
            reading.add(
                executor.submit(() -> {
                  byte[] bytes = cluster.wal().read(name);
                  Path file = folder.resolve(name);
                  write(file, bytes, segmentSize);
                  writeback.written(file);
                  return bytes;
                }));
          }
          byte[] bytes = get(what, reading.remove());
          hazards.read(bytes);
          hazards.check();
          progress.walFetched((long) (index + 1) * segmentSize, total);
        }
      } finally {
        reading.forEach(future -> future.cancel(true));
      }
    }
    // The last record may reach into segments in which none starts that is wanted.
    List<String> more = new ArrayList<>();
    for (int index = count; index < names.size() && !hazards.isRead(); index++) {
      more.add(names.get(index));
      hazards.read(cluster.wal().read(names.get(index)));
      hazards.check();
    }
    checkReached(what, route, target, hazards);
    Lsn end = hazards.lastEnd();
    for (String name : more) {
      if (segment(route, name).start().isBefore(end)) {
        write(folder.resolve(name), cluster.wal().read(name), segmentSize);
      }
    }
    long bytes = cut(route, names, folder, end);
    for (int timeline : cluster.wal().histories()) {
      byte[] history = cluster.wal().readHistory(timeline);
      if (history != null) {
        // All of them: a server that promotes itself takes a timeline that nobody has.
        write(folder.resolve(TimelineHistory.fileName(timeline)), history, history.length);
      }
    }
    return new RestoredWal(hazards.lastStart(), end, bytes, hazards.settings());
  }

  private static void checkReached(
      String what, RecoveryRoute route, RecoveryTarget target, ReplayHazards hazards) {
    boolean complete =
        target.inclusive()
            ? hazards.lastStart().equals(target.lsn())
            : route.toTheEnd() || hazards.isRead();
    if (!complete) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          target.inclusive() && hazards.isRead()
              ? "no record starts at " + target.lsn()
              : "the record at " + target.lsn() + " is not recorded to its end",
          "choose a target through "
              + hazards.lastEnd()
              + ", or wait until more WAL is recorded and run the same command again");
    }
    if (route.toTheEnd()) {
      hazards.finish(route.recordedEnd());
    }
    if (hazards.lastEnd().isBefore(new Lsn(route.base().stopLsn()))) {
      throw new OperatorException(
          Kind.DAMAGED_DATA,
          what,
          "recorded WAL ends at "
              + hazards.lastEnd()
              + ", before base backup "
              + route.base().label()
              + " is consistent",
          "choose a target that another base backup reaches");
    }
  }

  private static byte[] get(String what, Future<byte[]> future) throws IOException {
    try {
      return future.get();
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case null -> throw new IllegalStateException(e);
        case UncheckedIOException unchecked -> throw unchecked;
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case IOException cause -> throw cause;
        default -> throw new IllegalStateException(e);
      }
    } catch (InterruptedException e) {
      throw StartedServer.interrupted(what, e);
    }
  }

  /** Zeros after the last record, and no segment past it; returns how many bytes are left. */
  private static long cut(RecoveryRoute route, List<String> names, Path folder, Lsn end)
      throws IOException {
    long bytes = 0;
    for (String name : names) {
      Path file = folder.resolve(name);
      SegmentName segment = segment(route, name);
      if (!segment.start().isBefore(end)) {
        Files.deleteIfExists(file);
        continue;
      }
      bytes += segment.segmentSize();
      if (end.isBefore(segment.end())) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
          channel.truncate(end.minus(segment.start()));
          channel.write(ByteBuffer.wrap(new byte[1]), segment.segmentSize() - 1L);
        }
      }
    }
    return bytes;
  }

  /** What is recorded in part is filled up with zeros. */
  private static void write(Path file, byte[] bytes, int size) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            file,
            Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE),
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
      ByteBuffer buffer = ByteBuffer.wrap(bytes);
      while (buffer.hasRemaining()) {
        channel.write(buffer);
      }
      if (bytes.length < size) {
        channel.write(ByteBuffer.wrap(new byte[1]), size - 1L);
      }
    }
  }
}
