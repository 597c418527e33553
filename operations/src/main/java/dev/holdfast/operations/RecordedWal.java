package dev.holdfast.operations;

import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * The WAL of one cluster as the repository holds it, read as one stream of records.
 *
 * <p>Where a segment was recorded on two timelines the newer one wins: both hold the same bytes up
 * to the switch, and what follows on the older one never became this cluster's history.
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
  private final NavigableMap<Long, Recorded> segments = new TreeMap<>();

  private record Recorded(SegmentName name, StoredSegment stored) {
    Lsn end() {
      return name.start().plus(stored.bytes());
    }
  }

  RecordedWal(ClusterStore cluster) {
    this.cluster = cluster;
    int segmentSize = cluster.document().walSegmentSize();
    for (StoredSegment stored : cluster.wal().list()) {
      SegmentName name = SegmentName.parse(stored.name(), segmentSize);
      segments.merge(
          name.number(),
          new Recorded(name, stored),
          (one, other) ->
              Integer.compareUnsigned(one.name.timeline(), other.name.timeline()) > 0
                  ? one
                  : other);
    }
    leaveDeadTimelines();
  }

  /** What an older timeline recorded past the beginning of the newest one never became history. */
  private void leaveDeadTimelines() {
    int newest =
        segments.values().stream().mapToInt(segment -> segment.name.timeline()).max().orElse(0);
    long first =
        segments.values().stream()
            .filter(segment -> segment.name.timeline() == newest)
            .mapToLong(segment -> segment.name.number())
            .min()
            .orElse(0);
    segments
        .values()
        .removeIf(segment -> segment.name.timeline() != newest && segment.name.number() > first);
  }

  /** The recorded stretches, in order; more than one means that WAL between them was lost. */
  List<Span> spans() {
    List<Span> spans = new ArrayList<>();
    for (Recorded segment : segments.values()) {
      Span last = spans.isEmpty() ? null : spans.getLast();
      if (last != null && last.to.equals(segment.name.start())) {
        spans.set(spans.size() - 1, new Span(last.from, segment.end()));
      } else {
        spans.add(new Span(segment.name.start(), segment.end()));
      }
    }
    return spans;
  }

  /** Position just past the last recorded byte; {@link Lsn#NONE} when nothing is recorded. */
  Lsn end() {
    return segments.isEmpty() ? Lsn.NONE : segments.lastEntry().getValue().end();
  }

  /** Recorded bytes from this position on: what a reader starting there will have to read. */
  long bytesFrom(Lsn from) {
    return segments.values().stream()
        .filter(segment -> segment.end().isAfter(from))
        .mapToLong(segment -> segment.stored.bytes())
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
  void read(
      Lsn from,
      @org.jspecify.annotations.Nullable Lsn to,
      Progress.Phase progress,
      Consumer<RawRecord> sink) {
    WalReader reader = null;
    Lsn expected = Lsn.NONE;
    for (Recorded segment : segments.values()) {
      if (!segment.end().isAfter(from)) {
        continue;
      }
      if (to != null && !segment.name.start().isBefore(to)) {
        break;
      }
      if (reader == null || !expected.equals(segment.name.start())) {
        reader = new WalReader(segment.name.start()); // the beginning, or past a hole
      }
      byte[] bytes = cluster.wal().read(segment.stored.name());
      reader.feed(bytes, 0, bytes.length);
      expected = segment.name.start().plus(bytes.length);
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
    if (segments.isEmpty()) {
      return "no WAL yet";
    }
    List<String> texts = spans().stream().map(span -> span.from + " to " + span.to).toList();
    return String.join(", then ", texts);
  }
}
