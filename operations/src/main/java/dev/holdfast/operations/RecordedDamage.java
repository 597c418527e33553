package dev.holdfast.operations;

import dev.holdfast.damage.DamageScan;
import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.SummaryStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineSegments;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * What the recorded log did: from summaries as far as they say it, and by reading the log itself
 * where they do not.
 */
final class RecordedDamage {
  /** Segments that are read for {@link #noted}: those being filled and summarised just now. */
  private static final int TAIL_MAX = 4;

  private final ClusterStore cluster;
  private final RecordedWal wal;
  private final RecordedNames names;

  /** What there is of one segment: its log, a summary, or both. */
  private record Known(SegmentName name, TimelineSegments.@Nullable Held log, boolean summarised) {
    long bytes() {
      return log == null ? 0 : log.bytes();
    }

    Lsn end() {
      return log == null ? name.end() : log.end();
    }
  }

  private final SummaryStore.Reader summaries;

  // The summary read last: it is mostly asked for again.
  private @Nullable Known last;
  private @Nullable SegmentSummary lastSummary;

  RecordedDamage(ClusterStore cluster, RecordedWal wal, RecordedNames names) {
    this.cluster = cluster;
    this.summaries = cluster.summaries().reader();
    this.wal = wal;
    this.names = names;
  }

  /**
   * Tells of transactions that may have destroyed something, oldest commit first.
   *
   * @param wanted segments whose summary does not fit it are passed over
   */
  void destructive(
      Predicate<SegmentSummary> wanted, Progress progress, Consumer<TransactionDamage> sink) {
    List<Known> known = known();
    long bytes = known.stream().mapToLong(Known::bytes).sum();
    try (Progress.Phase phase = progress.begin("reading WAL", bytes, Progress.Unit.BYTES)) {
      walk(
          known,
          summary -> wanted.test(summary) && isNotEnough(summary),
          phase,
          damage -> {
            if (damage.isDestructive()) {
              sink.accept(damage);
            }
          },
          summary -> {
            if (wanted.test(summary)) {
              summary.destructive().forEach(sink);
            }
          });
    }
  }

  /**
   * Tells of every transaction that changed a table, oldest commit first. Where the log itself is
   * gone and its summary is left, only of those that may have destroyed something.
   *
   * @param wanted segments whose summary does not fit it are not read
   */
  void all(Predicate<SegmentSummary> wanted, Progress progress, Consumer<TransactionDamage> sink) {
    List<Known> known = known();
    long bytes = known.stream().mapToLong(Known::bytes).sum();
    try (Progress.Phase phase = progress.begin("reading WAL", bytes, Progress.Unit.BYTES)) {
      walk(
          known,
          wanted,
          phase,
          sink,
          summary -> {
            if (wanted.test(summary)) {
              summary.destructive().forEach(sink);
            }
          });
    }
  }

  /**
   * What was told of guards.
   *
   * @param transactions newest first
   * @param lookedBackTo where looking ended; null when nothing is recorded
   */
  record Noted(List<TransactionDamage> transactions, @Nullable Lsn lookedBackTo) {}

  /**
   * The newest transactions that have notes and were not Holdfast's own, from the newest segment
   * back. WAL without summaries is read only as far as one segment is likely to be the newest ones.
   *
   * @param max this many are enough
   * @param goOn asked before each segment
   */
  Noted noted(int max, BooleanSupplier goOn) {
    List<Known> known = known();
    List<TransactionDamage> found = new ArrayList<>();
    int index = known.size();
    while (index > 0 && summary(known.get(index - 1)) == null && known.size() - index < TAIL_MAX) {
      index--;
    }
    if (index < known.size()) {
      int begin = known.size() - 1;
      while (begin > index && follows(known, begin)) {
        begin--;
      }
      index = begin;
      RecordedNames near = RecordedNames.near(cluster, known.get(begin).name.start());
      try (Progress.Phase phase = Progress.SILENT.begin("", 0, Progress.Unit.BYTES)) {
        new RecordedDamage(cluster, wal, near)
            .read(known, begin, known.size(), phase, damage -> addNoted(found, damage));
      }
    }
    while (index > 0 && found.size() < max && goOn.getAsBoolean()) {
      SegmentSummary summary = summary(known.get(index - 1));
      if (summary == null) {
        break;
      }
      summary.destructive().forEach(damage -> addNoted(found, damage));
      index--;
    }
    found.sort(Comparator.comparing(TransactionDamage::commitLsn).reversed());
    return new Noted(
        found.stream().limit(max).toList(),
        known.isEmpty() ? null : known.get(Math.min(index, known.size() - 1)).name.start());
  }

  private static void addNoted(List<TransactionDamage> found, TransactionDamage damage) {
    if (!damage.notes().isEmpty() && damage.guardSettings().isEmpty()) {
      found.add(damage);
    }
  }

  /**
   * Goes through everything, oldest first: by its summary where a segment has one, else by its
   * records.
   */
  void eachSegment(
      Progress progress, Consumer<SegmentSummary> fromSummary, Consumer<RawRecord> fromLog) {
    List<Known> known = known();
    long bytes = known.stream().mapToLong(Known::bytes).sum();
    try (Progress.Phase phase = progress.begin("reading WAL", bytes, Progress.Unit.BYTES)) {
      for (int index = 0; index < known.size(); index++) {
        Known one = known.get(index);
        SegmentSummary summary = summary(one);
        if (summary != null) {
          fromSummary.accept(summary);
          phase.advance(one.bytes());
          continue;
        }
        // A record belongs to the segment that holds its last byte.
        boolean follows = index > 0 && known.get(index - 1).log != null && follows(known, index);
        Lsn from = follows ? known.get(index - 1).name.start() : one.name.start();
        wal.read(
            from,
            one.end(),
            phase,
            record -> {
              if (Long.compareUnsigned(record.end(), one.name.start().position()) > 0
                  && Long.compareUnsigned(record.end(), one.end().position()) <= 0) {
                fromLog.accept(record);
              }
            });
      }
    }
  }

  /** Whether of any wanted segment the summary is left and its log gone. */
  boolean hasSummariesWithoutLog(Predicate<SegmentSummary> wanted) {
    for (Known one : known()) {
      SegmentSummary summary = one.log == null ? summary(one) : null;
      if (summary != null && wanted.test(summary)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Where to begin reading for the first commit decided after a time: what was open in the first
   * segment that may hold one is known from there. Null when nothing is recorded.
   *
   * @throws OperatorException REFUSED when the WAL of that time is gone
   */
  @Nullable Lsn mayCommitAfter(Instant time) {
    SegmentSummary before = null;
    for (Known one : known()) {
      SegmentSummary summary = summary(one);
      Instant latest = summary == null ? null : summary.latestCommitAt();
      boolean none = summary != null && (latest == null || !latest.isAfter(time));
      if (one.log == null && !none) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot find the moment " + time,
            "what was committed then is known from summaries only: the WAL of segment %s is gone"
                .formatted(one.name),
            "choose a later moment; holdfast log %s shows what is recorded"
                .formatted(cluster.document().name()));
      }
      if (!none) {
        boolean follows = before != null && before.to().equals(one.name.start());
        return follows && before != null ? before.openSince() : one.name.start();
      }
      before = summary;
    }
    return wal.segments().isEmpty() ? null : wal.end();
  }

  /**
   * Where to begin reading to know all that was written by transactions which were open at a
   * position, as far as is recorded.
   */
  Lsn openSince(Lsn at) {
    List<Known> known = known();
    for (int index = 0; index < known.size(); index++) {
      Lsn start = known.get(index).name.start();
      if (known.get(index).end().isAfter(at)) {
        SegmentSummary before = index == 0 ? null : summary(known.get(index - 1));
        return before != null && before.to().equals(start) ? before.openSince() : start;
      }
    }
    return at;
  }

  /** The latest time of a commit that a summary tells of; null when none does. */
  @Nullable Instant lastCommitAt() {
    for (Known one : known().reversed()) {
      SegmentSummary summary = summary(one);
      if (summary != null && summary.latestCommitAt() != null) {
        return summary.latestCommitAt();
      }
    }
    return null;
  }

  /**
   * @param mustRead whether a segment must be read although it has a summary
   * @param fromLog gets every transaction of the segments that are read
   * @param fromSummary gets the summaries of those that are not
   */
  private void walk(
      List<Known> known,
      Predicate<SegmentSummary> mustRead,
      Progress.Phase progress,
      Consumer<TransactionDamage> fromLog,
      Consumer<SegmentSummary> fromSummary) {
    for (int index = 0; index < known.size(); ) {
      Known one = known.get(index);
      SegmentSummary summary = summary(one);
      if (summary != null && (one.log == null || !mustRead.test(summary))) {
        fromSummary.accept(summary);
        progress.advance(one.bytes());
        index++;
        continue;
      }
      int end = index + 1;
      while (end < known.size() && isRead(known.get(end), mustRead) && follows(known, end)) {
        end++;
      }
      read(known, index, end, progress, fromLog);
      index = end;
    }
  }

  /** It keeps the names of its time, of which a later catalog may know more, and the worst only. */
  private static boolean isNotEnough(SegmentSummary summary) {
    return summary.moreDestructive()
        || summary.destructive().stream()
            .flatMap(damage -> damage.tables().stream())
            .anyMatch(table -> table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA));
  }

  private boolean isRead(Known one, Predicate<SegmentSummary> mustRead) {
    if (one.log == null) {
      return false;
    }
    SegmentSummary summary = summary(one);
    return summary == null || mustRead.test(summary);
  }

  private static boolean follows(List<Known> known, int index) {
    return known.get(index - 1).end().equals(known.get(index).name.start());
  }

  /** Reads neighbouring segments, and before them what transactions still open there had done. */
  private void read(
      List<Known> known,
      int first,
      int end,
      Progress.Phase progress,
      Consumer<TransactionDamage> sink) {
    Lsn from = known.get(first).name.start();
    Lsn to = known.get(end - 1).end();
    Lsn since = from;
    if (first > 0 && follows(known, first)) {
      SegmentSummary before = summary(known.get(first - 1));
      since = before == null || known.get(first - 1).log == null ? from : before.openSince();
    }
    DamageScan scan =
        new DamageScan(
            names,
            damage -> {
              // A transaction belongs to the segment that holds the end of its commit record.
              if (damage.commitEnd().isAfter(from) && !damage.commitEnd().isAfter(to)) {
                sink.accept(damage);
              }
            });
    wal.read(since, to, progress, scan::accept);
  }

  private List<Known> known() {
    int segmentSize = cluster.document().walSegmentSize();
    List<TimelineSegments.Held> summarised = new ArrayList<>();
    for (String name : cluster.summaries().list()) {
      summarised.add(new TimelineSegments.Held(SegmentName.parse(name, segmentSize), segmentSize));
    }
    Map<Long, Known> known = new TreeMap<>(Long::compareUnsigned);
    for (TimelineSegments.Held held :
        TimelineSegments.along(wal.history(), summarised, _ -> null).segments()) {
      if (held.bytes() == segmentSize) { // else it goes past the switch to the next timeline
        known.put(held.name().number(), new Known(held.name(), null, true));
      }
    }
    for (TimelineSegments.Held held : wal.segments()) {
      known.merge(
          held.name().number(),
          new Known(held.name(), held, false),
          (summary, log) -> new Known(log.name, log.log, summary.name.equals(log.name)));
    }
    return List.copyOf(known.values());
  }

  /** Its summary; null when there is none, or none that holds while the log itself is there. */
  private @Nullable SegmentSummary summary(Known one) {
    if (!one.equals(last)) {
      lastSummary = one.summarised ? read(one) : null;
      last = one;
    }
    return lastSummary;
  }

  private @Nullable SegmentSummary read(Known one) {
    try {
      byte[] bytes = summaries.read(one.name.toString());
      return bytes == null ? null : SegmentSummary.decode(bytes);
    } catch (OperatorException e) {
      if (one.log != null && e.kind() == Kind.DAMAGED_DATA) {
        return null;
      }
      throw e;
    } catch (IllegalArgumentException e) {
      if (one.log != null) {
        return null;
      }
      throw new OperatorException(
          Kind.DAMAGED_DATA,
          "cannot read the summary of segment " + one.name,
          String.valueOf(e.getMessage()),
          "the segment itself is gone from the repository: what it did is not known any more",
          e);
    }
  }
}
