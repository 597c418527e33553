package dev.holdfast.operations;

import dev.holdfast.damage.SegmentScan;
import dev.holdfast.damage.SegmentSummaries;
import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.SummaryStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineSegments;
import dev.holdfast.wal.WalReader;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes the summaries that complete recorded segments lack.
 *
 * <p>A summary is exact wherever making it began: reading starts where the summary before it says
 * that the oldest transaction open then did, or at the beginning of what is recorded.
 */
final class SummaryMaker {
  private static final Logger LOG = LoggerFactory.getLogger(SummaryMaker.class);

  /** Up to so many segments one thread goes on where it stopped. */
  private static final int BACKLOG_MIN = 32;

  private final ClusterStore cluster;
  private final SummaryStore summaries;
  private final RecordedNames names = RecordedNames.none();

  /** Names of segments that have a summary, as far as this knows. */
  private final Set<String> made = new HashSet<>();

  /** Names of segments that cannot be read: tried once in a run. */
  private final Set<String> passedOver = new HashSet<>();

  // Where an earlier run stopped; another run goes on from there.
  private @Nullable SegmentScan scan;
  private @Nullable WalReader reader;

  /** Names of segments whose summaries were removed: they were made without a segment before. */
  private final Set<String> forgotten = new HashSet<>();

  /** The end of the segment that came late, on whose account. */
  private Lsn lateEnd = Lsn.NONE;

  /** Whether a backlog met something that cannot be read. */
  private boolean oneByOne;

  private Lsn readTo = Lsn.NONE;
  private int timeline;

  SummaryMaker(ClusterStore cluster) {
    this.cluster = cluster;
    this.summaries = cluster.summaries();
    made.addAll(summaries.list());
  }

  /**
   * Makes all that are missing of the newest timeline's log.
   *
   * <p>A segment that cannot be read is told once, by an exception; the next call goes on behind
   * it.
   *
   * @param goOn asked before each segment
   * @return how many were made
   * @throws OperatorException when a segment, or the repository, cannot be read
   */
  int make(BooleanSupplier goOn, Progress.Phase progress) {
    names.update(cluster);
    RecordedWal wal = new RecordedWal(cluster);
    List<TimelineSegments.Held> segments = wal.segments();
    int count = 0;
    for (int index = 0; index < segments.size() && goOn.getAsBoolean(); index++) {
      if (!lacksSummary(segments.get(index))) {
        continue;
      }
      int end = index + 1;
      while (end < segments.size() && lacksSummary(segments.get(end)) && follows(segments, end)) {
        end++;
      }
      if (end - index > BACKLOG_MIN && !oneByOne) {
        try {
          count += makeMany(wal, segments, index, end, goOn, progress);
        } catch (OperatorException e) {
          oneByOne = true; // finds out which segment it is
          throw e;
        }
        index = end - 1;
      } else {
        makeOne(wal, segments, index);
        progress.advance(segments.get(index).bytes());
        count++;
      }
    }
    return count;
  }

  private void makeOne(RecordedWal wal, List<TimelineSegments.Held> segments, int index) {
    try {
      prepare(wal, segments, index);
      summarise(wal, segments, index);
    } catch (OperatorException e) {
      if (e.kind() == Kind.DAMAGED_DATA) {
        passedOver.add(segments.get(index).name().toString()); // in this run: on to the next
      }
      throw e;
    }
  }

  /** On all processors: what was recorded before there were summaries, or while nobody made any. */
  private int makeMany(
      RecordedWal wal,
      List<TimelineSegments.Held> segments,
      int begin,
      int end,
      BooleanSupplier goOn,
      Progress.Phase progress) {
    int from = warmUpFrom(segments, begin);
    List<TimelineSegments.Held> read = segments.subList(from, end);
    SegmentSummaries.Segments source =
        new SegmentSummaries.Segments() {
          @Override
          public int count() {
            return read.size();
          }

          @Override
          public SegmentName name(int index) {
            return read.get(index).name();
          }

          @Override
          public void feed(int index, WalReader to, Runnable poll) {
            byte[] bytes = wal.bytes(read.get(index));
            to.feed(bytes, 0, bytes.length);
            poll.run();
          }
        };
    int[] count = new int[1];
    new SegmentSummaries(source, names, threads(read.getFirst().name().segmentSize()))
        .make(
            begin - from,
            read.getFirst().name().start(),
            goOn,
            (index, summary, blocks) -> {
              put(segments, from + index, summary, blocks);
              count[0]++;
              progress.advance(read.get(index).bytes());
            });
    scan = null;
    return count[0];
  }

  /** Each thread holds a segment, packed and unpacked, and the summaries of those it dealt with. */
  private static int threads(int segmentSize) {
    long memory = Runtime.getRuntime().maxMemory() / (8L * segmentSize);
    return Math.toIntExact(Math.clamp(memory, 1, Runtime.getRuntime().availableProcessors()));
  }

  /** How many segments could not be read in this run. */
  int passedOver() {
    return passedOver.size();
  }

  private boolean lacksSummary(TimelineSegments.Held segment) {
    String name = segment.name().toString();
    return isComplete(segment) && !made.contains(name) && !passedOver.contains(name);
  }

  /** Bytes of the segments that lack a summary. */
  long missingBytes() {
    return new RecordedWal(cluster)
        .segments().stream()
            .filter(this::lacksSummary)
            .mapToLong(TimelineSegments.Held::bytes)
            .sum();
  }

  private static boolean isComplete(TimelineSegments.Held segment) {
    return segment.bytes() == segment.name().segmentSize();
  }

  /** Has the scan know everything that is open where this segment begins. */
  private void prepare(RecordedWal wal, List<TimelineSegments.Held> segments, int index) {
    SegmentName wanted = segments.get(index).name();
    if (scan != null && readTo.equals(wanted.start()) && timeline == wanted.timeline()) {
      return;
    }
    int from = warmUpFrom(segments, index);
    SegmentScan fresh = new SegmentScan(names, _ -> {});
    scan = fresh;
    reader = new WalReader(segments.get(from).name().start(), wanted.segmentSize());
    for (int before = from; before < index; before++) {
      read(wal, segments.get(before));
      cut(segments.get(before).name());
    }
  }

  /**
   * Where to begin reading to know what is open at a segment's start: what the nearest summary
   * before it says, or the beginning of the stretch.
   */
  private int warmUpFrom(List<TimelineSegments.Held> segments, int index) {
    int from = index;
    while (from > 0
        && follows(segments, from)
        && !passedOver.contains(segments.get(from - 1).name().toString())) {
      SegmentSummary before = summary(segments.get(from - 1).name().toString());
      if (before == null) {
        from--;
        continue;
      }
      while (from > 0
          && follows(segments, from)
          && segments.get(from).name().start().isAfter(before.openSince())) {
        from--;
      }
      break;
    }
    return from;
  }

  /** A stored summary; null when there is none that holds: it will be made again. */
  private @Nullable SegmentSummary summary(String segment) {
    try {
      byte[] bytes = summaries.read(segment);
      return bytes == null ? null : SegmentSummary.decode(bytes);
    } catch (IllegalArgumentException e) {
      LOG.warn("the summary of {} is of another kind; making it again", segment, e);
    } catch (OperatorException e) {
      if (e.kind() != Kind.DAMAGED_DATA) {
        throw e;
      }
      LOG.warn("the summary of {} does not hold; making it again", segment, e);
    }
    summaries.delete(segment);
    made.remove(segment);
    return null;
  }

  /** Whether this segment begins where the one before it ends. */
  static boolean follows(List<TimelineSegments.Held> segments, int index) {
    return segments.get(index - 1).end().equals(segments.get(index).name().start());
  }

  private void read(RecordedWal wal, TimelineSegments.Held segment) {
    SegmentScan scanning = Objects.requireNonNull(scan);
    WalReader reading = Objects.requireNonNull(reader);
    scan = null; // whatever is thrown now, the next run begins afresh
    byte[] bytes = wal.bytes(segment);
    reading.feed(bytes, 0, bytes.length);
    for (RawRecord record = reading.poll(); record != null; record = reading.poll()) {
      scanning.accept(record);
    }
    reading.finish(segment.end());
    scan = scanning;
    readTo = segment.end();
    timeline = segment.name().timeline();
  }

  private SegmentSummary cut(SegmentName segment) {
    return Objects.requireNonNull(scan)
        .cut(segment.start(), segment.end(), Objects.requireNonNull(reader).position());
  }

  private void summarise(RecordedWal wal, List<TimelineSegments.Held> segments, int index) {
    TimelineSegments.Held segment = segments.get(index);
    read(wal, segment);
    byte[] blocks = Objects.requireNonNull(scan).changedBlocks();
    put(segments, index, cut(segment.name()), blocks);
  }

  private void put(
      List<TimelineSegments.Held> segments, int index, SegmentSummary summary, byte[] blocks) {
    String name = segments.get(index).name().toString();
    forgetNext(segments, index, summary);
    summaries.put(name, summary.encode(), blocks);
    made.add(name);
    forgotten.remove(name);
  }

  /**
   * A segment that is recorded after the one behind it was summarised makes that summary wrong: it
   * lacks the record that begins in the one and ends in the other, and what open transactions had
   * done before. It is removed first, so that nobody can be stopped between the two; so are those
   * behind it, as far as something open reaches.
   */
  private void forgetNext(List<TimelineSegments.Held> segments, int index, SegmentSummary summary) {
    if (index + 1 == segments.size() || !follows(segments, index + 1)) {
      return;
    }
    String next = segments.get(index + 1).name().toString();
    if (!made.contains(next)) {
      return;
    }
    if (!forgotten.contains(segments.get(index).name().toString())) {
      lateEnd = segments.get(index).end();
    } else if (!summary.openSince().isBefore(lateEnd)) {
      return;
    }
    summaries.delete(next);
    made.remove(next);
    forgotten.add(next);
  }
}
