package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

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
   * @param goOn asked before each segment; what was not told of when it says no is not made
   */
  public void make(int begin, Lsn openSince, BooleanSupplier goOn, Sink sink) {
    if (threads == 1) {
      new Pass(from(begin, openSince)).readTo(begin, segments.count(), goOn, sink);
      return;
    }
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      Deque<Stretch> stretches = new ArrayDeque<>(); // in work or waiting to be told: a few
      int next = begin;
      Lsn since = openSince;
      @Nullable Pass again = null;
      try {
        while (goOn.getAsBoolean() && (next < segments.count() || !stretches.isEmpty())) {
          while (next < segments.count() && stretches.size() <= threads) {
            int from = next == begin ? from(begin, openSince) : next - 1;
            Stretch stretch =
                new Stretch(from, next, Math.min(next + this.stretch, segments.count()));
            stretch.read = pool.submit(() -> stretch.read(goOn));
            stretches.addLast(stretch);
            next = stretch.end;
          }
          Stretch stretch = stretches.removeFirst();
          Objects.requireNonNull(stretch.read).get();
          int needed = from(stretch.first, since);
          if (needed >= stretch.from) {
            again = null;
            stretch.tell(sink);
            since = stretch.openSince;
          } else { // it began too late; one pass goes on for as long as that is so
            again = again == null ? new Pass(needed) : again;
            since = again.readTo(stretch.first, stretch.end, goOn, sink);
          }
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

  /** Reads segments one after the other. */
  private final class Pass {
    private final SegmentScan scan = new SegmentScan(names, _ -> {});
    private final WalReader reader;
    private int next;
    private Lsn since;

    private Pass(int from) {
      SegmentName name = segments.name(from);
      reader = new WalReader(name.start(), name.segmentSize());
      next = from;
      since = name.start();
    }

    /**
     * Reads on.
     *
     * @param first the first segment to tell of
     * @return where reading for the segment after the last must begin
     */
    private Lsn readTo(int first, int end, BooleanSupplier goOn, Sink sink) {
      for (; next < end && goOn.getAsBoolean(); next++) {
        segments.feed(
            next,
            reader,
            () -> {
              for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
                scan.accept(record);
              }
            });
        SegmentName name = segments.name(next);
        reader.finish(name.end());
        byte[] blocks = scan.changedBlocks();
        SegmentSummary summary = scan.cut(name.start(), name.end(), reader.position());
        since = summary.openSince();
        if (next >= first) {
          sink.made(next, summary, blocks);
        }
      }
      return since;
    }
  }

  /** A stretch of segments and what was found of it, until its turn comes to be told. */
  private final class Stretch implements Sink {
    private final int from;
    private final int first;
    private final int end;
    private final List<SegmentSummary> summaries = new ArrayList<>();
    private final List<byte[]> blocks = new ArrayList<>();
    private Lsn openSince = Lsn.NONE;
    private @Nullable Future<?> read;

    private Stretch(int from, int first, int end) {
      this.from = from;
      this.first = first;
      this.end = end;
    }

    private void read(BooleanSupplier goOn) {
      openSince = new Pass(from).readTo(first, end, goOn, this);
    }

    @Override
    public void made(int index, SegmentSummary summary, byte[] changedBlocks) {
      summaries.add(summary);
      blocks.add(changedBlocks);
    }

    private void tell(Sink sink) {
      for (int index = 0; index < summaries.size(); index++) {
        sink.made(first + index, summaries.get(index), blocks.get(index));
      }
    }
  }
}
