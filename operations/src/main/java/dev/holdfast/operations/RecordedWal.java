package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import dev.holdfast.wal.TimelineSegments;
import dev.holdfast.wal.WalReader;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The WAL of one timeline of a cluster as the repository holds it when this is made, read as one
 * stream of records along that timeline's history.
 *
 * <p>What other timelines hold, and what the server before a promotion went on to write, never
 * became this timeline's log: it is not read, and told by {@link #leftOut}.
 */
final class RecordedWal {
  /**
   * WAL without a hole in it.
   *
   * @param from position of the first byte
   * @param to position just past the last recorded byte
   */
  record Span(Lsn from, Lsn to) {}

  private final ClusterStore cluster;
  private final TimelineSegments segments;

  /** Along the newest timeline that has WAL. */
  RecordedWal(ClusterStore cluster) {
    this(cluster, held(cluster), null);
  }

  /**
   * Along a timeline of choice.
   *
   * @throws OperatorException USAGE, naming the recorded ones, when nothing of it is recorded
   */
  RecordedWal(ClusterStore cluster, int timeline) {
    this(cluster, held(cluster), timeline);
  }

  /** Whether every byte from one position to another is here, along a timeline. */
  static boolean holds(ClusterStore cluster, int timeline, Lsn from, Lsn to) {
    List<TimelineSegments.Held> held = held(cluster);
    return held.stream().anyMatch(segment -> segment.name().timeline() == timeline)
        && new RecordedWal(cluster, held, timeline).holds(from, to);
  }

  private RecordedWal(
      ClusterStore cluster, List<TimelineSegments.Held> held, @Nullable Integer wanted) {
    this.cluster = cluster;
    var recorded = new TreeSet<Integer>(Integer::compareUnsigned);
    held.forEach(segment -> recorded.add(segment.name().timeline()));
    if (wanted != null && !recorded.contains(wanted)) {
      throw unknownTimeline(cluster, wanted, recorded);
    }
    int timeline = wanted != null ? wanted : recorded.isEmpty() ? 1 : recorded.last();
    @Nullable TimelineHistory history = history(cluster, timeline);
    this.segments =
        TimelineSegments.along(
            history == null ? TimelineHistory.withoutParents(timeline) : history,
            held,
            other -> historyIfWhole(cluster, other));
  }

  private static List<TimelineSegments.Held> held(ClusterStore cluster) {
    int segmentSize = cluster.document().walSegmentSize();
    return cluster.wal().list().stream()
        .filter(stored -> stored.bytes() > 0)
        .map(stored ->
            new TimelineSegments.Held(
                SegmentName.parse(stored.name(), segmentSize), stored.bytes()))
        .toList();
  }

  private static @Nullable TimelineHistory history(ClusterStore cluster, int timeline) {
    byte[] content = cluster.wal().readHistory(timeline);
    if (content != null) {
      return TimelineHistory.parse(timeline, content);
    }
    return timeline == 1 ? TimelineHistory.withoutParents(timeline) : null;
  }

  /** Of a timeline that is not read: whether its history can be told must stop nobody. */
  private static @Nullable TimelineHistory historyIfWhole(ClusterStore cluster, int timeline) {
    try {
      return history(cluster, timeline);
    } catch (OperatorException e) {
      if (e.kind() != Kind.DAMAGED_DATA) {
        throw e;
      }
      return null;
    }
  }

  private static OperatorException unknownTimeline(
      ClusterStore cluster, int wanted, Set<Integer> recorded) {
    return new OperatorException(
        Kind.USAGE,
        "cannot read timeline %s of %s"
            .formatted(Integer.toUnsignedString(wanted), cluster.document().name()),
        recorded.isEmpty()
            ? "no WAL of it is recorded yet"
            : "recorded are the timelines "
                + recorded.stream()
                    .map(Integer::toUnsignedString)
                    .collect(Collectors.joining(", ")),
        recorded.isEmpty()
            ? "holdfast record " + cluster.document().name()
            : "choose one of these, or none for the newest");
  }

  /** The timeline it is read along; 1 when nothing is recorded. */
  int timeline() {
    return segments.history().timeline();
  }

  /** Where it comes from. */
  TimelineHistory history() {
    return segments.history();
  }

  /**
   * Whether this timeline must descend from another one, and its history file is not there to say
   * from which: only its own segments are read then, as the server would.
   */
  boolean lacksHistory() {
    return timeline() != 1 && history().switches().isEmpty();
  }

  /** Recorded WAL that is no part of this timeline's log. */
  List<TimelineSegments.LeftOut> leftOut() {
    return segments.leftOut();
  }

  /** The recorded stretches, in order; more than one means that WAL between them was lost. */
  List<Span> spans() {
    return segments.stretches().stream()
        .map(stretch -> new Span(stretch.from(), stretch.to()))
        .toList();
  }

  /** What is missing between the recorded stretches: WAL that was lost. */
  List<Span> gaps() {
    return segments.gaps().stream().map(gap -> new Span(gap.from(), gap.to())).toList();
  }

  /** Its segments, in order; there may be holes between them. */
  List<TimelineSegments.Held> segments() {
    return segments.segments();
  }

  /** The bytes of a segment that belong to this timeline's log. */
  byte[] bytes(TimelineSegments.Held segment) {
    byte[] bytes = cluster.wal().read(segment.name().toString());
    // Past its end an old timeline's segment holds what never became this timeline's log.
    return bytes.length > segment.bytes()
        ? Arrays.copyOf(bytes, Math.toIntExact(segment.bytes()))
        : bytes;
  }

  /** Position just past the last recorded byte; {@link Lsn#NONE} when nothing is recorded. */
  Lsn end() {
    return segments.segments().isEmpty() ? Lsn.NONE : segments.segments().getLast().end();
  }

  /** Recorded bytes from this position on: what a reader starting there will have to read. */
  long bytesFrom(Lsn from) {
    return bytes(from, null);
  }

  /** How many bytes {@link #read} goes through. */
  long bytes(Lsn from, @Nullable Lsn to) {
    return segments.segments().stream()
        .filter(segment -> segment.end().isAfter(from))
        .filter(segment -> to == null || segment.name().start().isBefore(to))
        .mapToLong(TimelineSegments.Held::bytes)
        .sum();
  }

  /** Reads every record, oldest first. */
  void readAll(Progress.Phase progress, Consumer<RawRecord> sink) {
    read(Lsn.NONE, null, progress, sink);
  }

  /**
   * Reads the records that start at or after {@code from} and before {@code to}.
   *
   * @param to null: to the end of what is recorded
   */
  void read(Lsn from, @Nullable Lsn to, Progress.Phase progress, Consumer<RawRecord> sink) {
    WalReader reader = null;
    Lsn expected = Lsn.NONE;
    for (TimelineSegments.Held segment : segments.segments()) {
      if (!segment.end().isAfter(from)) {
        continue;
      }
      if (to != null && !segment.name().start().isBefore(to)) {
        break;
      }
      if (reader == null || !expected.equals(segment.name().start())) {
        if (reader != null) {
          reader.finish(expected); // zeros before a hole would go unnoticed otherwise
        }
        reader = new WalReader(segment.name().start()); // the beginning, or past a hole
      }
      byte[] bytes = bytes(segment);
      reader.feed(bytes, 0, bytes.length);
      expected = segment.name().start().plus(bytes.length);
      progress.advance(bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        if (to != null && Long.compareUnsigned(record.lsn(), to.position()) >= 0) {
          return;
        }
        if (Long.compareUnsigned(record.lsn(), from.position()) >= 0) {
          sink.accept(record);
        }
      }
    }
  }

  /** Whether every byte from one position to another is here. */
  boolean holds(Lsn from, Lsn to) {
    return spans().stream().anyMatch(span -> !span.from.isAfter(from) && !span.to.isBefore(to));
  }

  /** What is recorded, for people: {@code 0/3000000 to 0/51F2A38}. */
  String describe() {
    List<String> texts = spans().stream().map(span -> span.from + " to " + span.to).toList();
    if (texts.isEmpty()) {
      return "no WAL yet";
    }
    return String.join(", then ", texts);
  }
}
