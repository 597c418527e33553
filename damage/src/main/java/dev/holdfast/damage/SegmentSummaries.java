package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;

/**
 * Summarises neighbouring segments on several threads.
 *
 * <p>The segments are dealt out in stretches. A thread begins one segment before its stretch, to
 * know the transactions open there; when the stretch before turns out to have had an older one, the
 * stretch is made again from where that one began. So summaries are the same for any number of
 * threads, and ordinary logs cost one segment in {@value #STRETCH_MAX} more.
 */
public final class SegmentSummaries {
  private static final int STRETCH_MIN = 4;
  private static final int STRETCH_MAX = 32;

  /** Neighbouring segments, whole. Asked from several threads at once. */
  public interface Segments {
    /** How many there are. */
    int count();

    /** The name of one of them; each begins where the one before it ends. */
    SegmentName name(int index);

    /** Hands all its bytes to a reader, piece by piece, and polls it after each. */
    void feed(int index, WalReader reader, Runnable poll);
  }

  /** Gets each segment's summary, in order, from one thread. */
  public interface Sink {
    /**
     * @param index of the segment
     * @param summary what it did
     * @param changedBlocks as {@link dev.holdfast.wal.ChangedBlocks#encode} has them
     */
    void made(int index, SegmentSummary summary, byte[] changedBlocks);
  }

  private final Segments segments;
  private final RelationNames names;
  private final int threads;
  private final int stretch;

  /**
   * @param names asked from several threads at once
   * @param threads at least 1
   */
  public SegmentSummaries(Segments segments, RelationNames names, int threads) {
    this(
        segments,
        names,
        threads,
        Math.clamp(Math.ceilDiv(segments.count(), threads), STRETCH_MIN, STRETCH_MAX));
  }

  /**
   * @param stretch segments dealt out at once
   */
  SegmentSummaries(Segments segments, RelationNames names, int threads, int stretch) {
    this.stretch = stretch;
    this.segments = segments;
    this.names = names;
    this.threads = threads;
  }

  /**
   * Makes the summaries of all segments but the first ones.
   *
   * @param begin index of the first segment wanted; those before it are read only as far as {@code
   *     openSince} asks for
   * @param openSince what the summary before {@code begin} says; the start of {@code begin} when
   *     there is none
   */
  public void make(int begin, Lsn openSince, Sink sink) {
    if (threads == 1) {
      read(from(begin, openSince), begin, segments.count(), sink);
      return;
    }
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      Semaphore ahead = new Semaphore(threads + 1); // bounds what waits to be told
      Deque<Future<Stretch>> stretches = new ArrayDeque<>();
      for (int first = begin; first < segments.count(); first += stretch) {
        int from = first == begin ? from(begin, openSince) : first - 1;
        Stretch part = new Stretch(from, first, Math.min(first + stretch, segments.count()));
        stretches.add(
            pool.submit(() -> {
              ahead.acquire();
              part.openSince = read(part.from, part.first, part.end, part);
              return part;
            }));
      }
      try {
        Lsn since = openSince;
        while (!stretches.isEmpty()) {
          Stretch made = stretches.removeFirst().get();
          int needed = from(made.first, since);
          if (needed < made.from) {
            since = read(needed, made.first, made.end, sink);
          } else {
            made.tell(sink);
            since = made.openSince;
          }
          ahead.release();
        }
      } finally {
        pool.shutdownNow();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException(e);
    }
  }

  /** The segment where reading must begin to know what was open since then at {@code index}. */
  private int from(int index, Lsn since) {
    int from = index;
    while (from > 0 && segments.name(from).start().isAfter(since)) {
      from--;
    }
    return from;
  }

  /**
   * Summarises segments one after the other.
   *
   * @param from where to begin reading
   * @param first the first segment to tell of
   * @return where reading for the segment after the last must begin
   */
  private Lsn read(int from, int first, int end, Sink sink) {
    SegmentScan scan = new SegmentScan(names, _ -> {});
    WalReader reader =
        new WalReader(segments.name(from).start(), segments.name(from).segmentSize());
    Lsn since = segments.name(from).start();
    for (int index = from; index < end; index++) {
      segments.feed(
          index,
          reader,
          () -> {
            for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
              scan.accept(record);
            }
          });
      SegmentName name = segments.name(index);
      reader.finish(name.end());
      byte[] blocks = scan.changedBlocks();
      SegmentSummary summary = scan.cut(name.start(), name.end(), reader.position());
      since = summary.openSince();
      if (index >= first) {
        sink.made(index, summary, blocks);
      }
    }
    return since;
  }

  /** A stretch of segments and what was found of it, until its turn comes to be told. */
  private static final class Stretch implements Sink {
    private final int from;
    private final int first;
    private final int end;
    private final List<SegmentSummary> summaries = new ArrayList<>();
    private final List<byte[]> blocks = new ArrayList<>();
    private Lsn openSince = Lsn.NONE;

    private Stretch(int from, int first, int end) {
      this.from = from;
      this.first = first;
      this.end = end;
    }

    @Override
    public void made(int index, SegmentSummary summary, byte[] changedBlocks) {
      summaries.add(summary);
      blocks.add(changedBlocks);
    }

    private void tell(Sink sink) {
      for (int index = first; index < end; index++) {
        sink.made(index, summaries.get(index - first), blocks.get(index - first));
      }
    }
  }
}
