package dev.holdfast.postgres;

import dev.holdfast.wal.ExcludedFiles;
import dev.holdfast.wal.FilteredLog;
import dev.holdfast.wal.FilteredSegment;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalDamagedException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Recorded WAL without what was done to excluded relations, for the spool of a sparse fork: a few
 * segments are read, unpacked and filtered ahead on several threads, and handed out in order.
 *
 * <p>A segment is handed out when the next one has been read: their common record is overwritten in
 * both. Whatever is handed out was checked for {@link ReplayHazards} as far as replay goes, and all
 * before it. Memory: {@value #AHEAD_BYTES} bytes of segments are worked on, but never fewer than
 * two.
 *
 * <p>{@link #read} belongs to one thread.
 */
final class FilteredWal implements AutoCloseable {
  /** Where a segment's recorded bytes come from; called by several threads. */
  interface Recorded {
    /** A new array each time: it is filtered in place. */
    byte[] read(String name);
  }

  private static final int AHEAD_BYTES = 64 << 20;

  private final List<String> route;
  private final Map<String, Integer> indexes = new HashMap<>();
  private final int segmentSize;
  private final Recorded recorded;
  private final ReplayHazards hazards;
  private final Consumer<RawRecord> seen;
  private final ExecutorService threads;
  private final int aheadMax;

  /** What is excluded at the start of each segment, as far as the route was read. */
  private final List<ExcludedFiles> excludedAt = new ArrayList<>();

  private final Deque<Future<FilteredSegment>> ahead = new ArrayDeque<>();
  private FilteredLog log;
  private volatile ExcludedFiles excluded;

  /** The next segment to read ahead, to join, and to hand out. */
  private int nextAhead;

  private int nextJoined;
  private int nextOut;

  /**
   * @param route segments in the order in which they will be replayed
   * @param excluded at the start of the first segment
   * @param seen told of each record before what holds its end is handed out, perhaps several times,
   *     by several threads and in any order
   * @param threads at least 1, besides the one that reads from here
   */
  FilteredWal(
      List<String> route,
      int segmentSize,
      Recorded recorded,
      ExcludedFiles excluded,
      ReplayHazards hazards,
      Consumer<RawRecord> seen,
      int threads) {
    this.route = List.copyOf(route);
    this.segmentSize = segmentSize;
    this.recorded = recorded;
    this.hazards = hazards;
    this.seen =
        record -> {
          hazards.check(record);
          seen.accept(record);
        };
    for (int index = 0; index < this.route.size(); index++) {
      indexes.put(this.route.get(index), index);
    }
    // The joined one is held besides those ahead.
    this.aheadMax = Math.max(1, AHEAD_BYTES / segmentSize - 1);
    this.threads =
        Executors.newFixedThreadPool(
            Math.min(threads, aheadMax),
            Thread.ofPlatform().daemon().name("filtered-wal-", 1).factory());
    this.log = new FilteredLog(excluded, this.seen);
    this.excluded = excluded;
  }

  /**
   * A segment of the route, fewer bytes when it was recorded in part; null for any other file.
   * Asking for them in order costs least; a server that is started again asks for earlier ones
   * again.
   *
   * @throws dev.holdfast.failure.OperatorException REFUSED for a record that must not be replayed,
   *     DAMAGED_DATA for bytes that cannot be
   */
  byte @Nullable [] read(String name) {
    Integer index = indexes.get(name);
    if (index == null) {
      return null;
    }
    if (index < nextOut) {
      goBack(index);
    }
    while (true) {
      FilteredSegment segment = log.poll();
      if (segment == null) {
        join();
      } else if (nextOut++ == index) {
        return segment.bytes();
      }
    }
  }

  /** The excluded files at the end of all that was read so far, copies included. Any thread. */
  ExcludedFiles excluded() {
    return excluded;
  }

  /** One segment further: the record before may end in it and set bytes of its beginning. */
  private void goBack(int index) {
    ahead.forEach(segment -> segment.cancel(false));
    ahead.clear();
    int from = Math.max(0, index - 1);
    log = new FilteredLog(excludedAt.get(from), seen);
    nextAhead = from;
    nextJoined = from;
    nextOut = from;
  }

  private void join() {
    while (nextAhead < route.size() && ahead.size() < aheadMax) {
      FilteredLog current = log;
      String name = route.get(nextAhead++);
      ahead.addLast(threads.submit(() -> prepare(name, current)));
    }
    if (nextJoined == route.size()) {
      log.finish();
      return;
    }
    FilteredSegment segment = get(ahead.removeFirst());
    log.add(segment);
    if (nextJoined == excludedAt.size()) {
      excludedAt.add(Objects.requireNonNull(segment.before()));
      excluded = log.excluded();
    }
    nextJoined++;
    WalDamagedException damage = log.damage();
    if (damage != null) {
      hazards.check(damage);
    }
  }

  private FilteredSegment prepare(String name, FilteredLog log) {
    FilteredSegment segment =
        new FilteredSegment(SegmentName.parse(name, segmentSize), recorded.read(name));
    segment.filter(log.excluded(), seen);
    return segment;
  }

  private static FilteredSegment get(Future<FilteredSegment> segment) {
    try {
      return segment.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case null, default -> throw new IllegalStateException(e);
      }
    }
  }

  /** Ends the threads; what they were about to read is not read. */
  @Override
  public void close() {
    threads.shutdownNow();
    threads.close();
  }
}
