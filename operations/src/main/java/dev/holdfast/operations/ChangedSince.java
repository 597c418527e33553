package dev.holdfast.operations;

import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.SummaryStore;
import dev.holdfast.wal.ChangedBlocks;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;

/**
 * Which blocks the log changed from one position to another: told by what is stored with summaries,
 * and from the first segment without that on by the WAL itself.
 */
final class ChangedSince {
  /** What waits for a bucket waits for several at once. */
  private static final int THREADS = 8;

  private static final int READ_AT_ONCE = 256;

  private final ClusterStore cluster;
  private final RecordedWal wal;
  private final int segmentSize;
  private final Lsn from;
  private final Lsn to;
  private final ChangedBlocks blocks = new ChangedBlocks();
  private @Nullable Lsn minimalBefore;

  private ChangedSince(ClusterStore cluster, RecordedWal wal, Lsn from, Lsn to) {
    this.cluster = cluster;
    this.wal = wal;
    this.segmentSize = cluster.document().walSegmentSize();
    this.from = from;
    this.to = to;
  }

  /**
   * What is known.
   *
   * @param blocks a superset of what was changed; null when it cannot be known
   * @param why it cannot
   */
  record Found(@Nullable ChangedBlocks blocks, String why) {}

  /**
   * Finds out.
   *
   * @param wal along the timeline that holds both positions
   * @param from where a record begins
   * @param to where a record begins that is recorded, or where a segment begins, after a server
   *     left the one before (XLOG_SWITCH, access/rmgr.h) so that it is all recorded
   */
  static Found between(ClusterStore cluster, RecordedWal wal, Lsn from, Lsn to) {
    var since = new ChangedSince(cluster, wal, from, to);
    String why = since.find();
    return new Found(why.isEmpty() ? since.blocks : null, why);
  }

  /** Returns why it cannot be known; empty when it is. */
  private String find() {
    List<String> segments = segments();
    int stored = addStored(segments);
    if (minimalBefore == null && stored < segments.size()) {
      String missing = addRead(SegmentName.parse(segments.get(stored), segmentSize), stored == 0);
      if (!missing.isEmpty()) {
        return missing;
      }
    }
    return minimalBefore == null
        ? ""
        : "wal_level was minimal before %s: what was written then is not in the log"
            .formatted(minimalBefore);
  }

  /**
   * All that hold a byte in between. Where the timeline changes inside a segment the newer one's
   * copy counts, which has both.
   */
  private List<String> segments() {
    var segments = new ArrayList<String>();
    SegmentName last = SegmentName.containing(to.plus(-1), 1, segmentSize);
    for (SegmentName segment = SegmentName.containing(from, 1, segmentSize);
        segment.number() <= last.number();
        segment = segment.next()) {
      Lsn lastByte = segment.end().isAfter(to) ? to : segment.end().plus(-1);
      segments.add(
          new SegmentName(wal.history().timelineAt(lastByte), segment.number(), segmentSize)
              .toString());
    }
    return segments;
  }

  /** Adds what is stored; returns how many segments, from the first on, are dealt with by that. */
  private int addStored(List<String> segments) {
    SummaryStore.Reader summaries = cluster.summaries().reader();
    int done = 0;
    try (ExecutorService executor = Executors.newFixedThreadPool(THREADS)) {
      while (done < segments.size()) {
        List<String> some = segments.subList(done, Math.min(segments.size(), done + READ_AT_ONCE));
        var reading = new ArrayList<Future<@Nullable ChangedBlocks>>();
        some.forEach(segment -> reading.add(executor.submit(() -> stored(segment))));
        for (int index = 0; index < some.size(); index++) {
          ChangedBlocks ofSegment = get(reading.get(index));
          Boolean minimal = ofSegment == null ? null : minimal(summaries, some.get(index));
          if (ofSegment == null || minimal == null) {
            return done;
          }
          blocks.add(ofSegment);
          if (minimal) {
            minimalBefore = SegmentName.parse(some.get(index), segmentSize).end();
          }
          done++;
        }
      }
    }
    return done;
  }

  private static @Nullable ChangedBlocks get(Future<@Nullable ChangedBlocks> future) {
    try {
      return future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while looking for what changed",
          "interrupted",
          "run the same command again",
          e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof OperatorException known) {
        throw known;
      }
      throw new CompletionException(e.getCause());
    }
  }

  /** Null when they are not there, or do not hold: then the WAL tells. */
  private @Nullable ChangedBlocks stored(String segment) {
    try {
      byte[] bytes = cluster.summaries().readBlocks(segment);
      return bytes == null ? null : ChangedBlocks.decode(bytes);
    } catch (IllegalArgumentException e) {
      return null; // of another kind
    } catch (OperatorException e) {
      if (e.kind() != Kind.DAMAGED_DATA) {
        throw e;
      }
      return null;
    }
  }

  /** Null when no summary says so: blocks without one do not count. */
  private static @Nullable Boolean minimal(SummaryStore.Reader summaries, String segment) {
    try {
      byte[] bytes = summaries.read(segment);
      return bytes == null ? null : SegmentSummary.decode(bytes).minimal();
    } catch (IllegalArgumentException e) {
      return null;
    } catch (OperatorException e) {
      if (e.kind() != Kind.DAMAGED_DATA) {
        throw e;
      }
      return null;
    }
  }

  /**
   * Reads the log from a segment on, and from before it where a record may reach into it: one
   * counts for the segment that has its last byte.
   */
  private String addRead(SegmentName first, boolean fromTheBeginning) {
    Lsn begin = fromTheBeginning ? from : before(first.start());
    while (true) {
      if (!wal.holds(begin, to)) {
        return "what changed in WAL from %s on is not known: neither are its changed blocks stored nor"
                .formatted(begin)
            + " all of the WAL (recorded is "
            + wal.describe()
            + ")";
      }
      var reading = new Reading();
      try {
        wal.read(
            begin, to.plus(1), Progress.SILENT.begin("", 0, Progress.Unit.BYTES), reading::take);
      } catch (OperatorException e) {
        if (e.kind() != Kind.DAMAGED_DATA) {
          throw e;
        }
        return e.what() + ": " + e.why();
      }
      Lsn seen = reading.first;
      boolean whole = begin.equals(from) || (seen != null && seen.isBefore(first.start()));
      if (!whole) {
        begin = before(begin); // one record fills a segment and more
        continue;
      }
      return reading.reachedEnd
          ? ""
          : "the WAL recorded up to " + to + " ends in itself before that";
    }
  }

  private Lsn before(Lsn position) {
    Lsn earlier = new Lsn(Math.max(0, position.position() - segmentSize));
    return earlier.isBefore(from) ? from : earlier;
  }

  private final class Reading {
    private @Nullable Lsn first;
    private boolean reachedEnd;

    void take(RawRecord record) {
      if (first == null) {
        first = new Lsn(record.lsn());
      }
      if (record.lsn() == to.position()) {
        reachedEnd = true; // it belongs to what is replayed
        return;
      }
      blocks.accept(record);
      WalRecord known = record.rmgr() == ResourceManager.XLOG ? record.decode() : null;
      reachedEnd = known instanceof WalRecord.Switch && record.end() == to.position();
      if (known instanceof WalRecord.ParameterChange change
          && change.walLevel() == WalRecord.ParameterChange.MINIMAL) {
        minimalBefore = new Lsn(record.lsn());
      }
    }
  }
}
