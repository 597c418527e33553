package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import java.nio.charset.StandardCharsets;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * The way from a base backup through recorded WAL to a target: found, or refused, before a byte is
 * written. Pure: it reads lists, not the repository.
 *
 * @param base the newest base backup that reaches the target
 * @param timeline the timeline the target lies on
 * @param segments names of every recorded segment from the base backup's start on, in order; goes
 *     past the target, because the record at the target may reach into the next segment
 * @param recordedEnd where recorded WAL ends on this way
 * @param toTheEnd whether the target is exactly that end, where no record starts that recovery
 *     could stop at
 */
record RecoveryRoute(
    BaseManifest base, int timeline, List<String> segments, Lsn recordedEnd, boolean toTheEnd) {

  /** As the one below, in a repository. */
  static RecoveryRoute choose(String what, ClusterStore cluster, RecoveryTarget target) {
    return choose(
        what,
        cluster.document().name(),
        target,
        cluster.bases().list(),
        cluster.wal().list(),
        timeline -> history(cluster, timeline));
  }

  /** The text of a timeline's history file; null when none is recorded. */
  static @Nullable String history(ClusterStore cluster, int timeline) {
    byte @Nullable [] bytes = cluster.wal().readHistory(timeline);
    return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
  }

  /**
   * @param what the operation that fails when there is no way
   * @param histories the text of a timeline's history file; null when none is recorded
   * @throws OperatorException of kind REFUSED when the target cannot be reached; names the nearest
   *     targets that can
   */
  static RecoveryRoute choose(
      String what,
      String cluster,
      RecoveryTarget target,
      List<BaseManifest> bases,
      List<StoredSegment> recorded,
      IntFunction<@Nullable String> histories) {
    if (bases.isEmpty()) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          "there is no base backup of it",
          "make one: holdfast backup "
              + cluster
              + "; targets after that backup can then be reached");
    }
    Map<String, StoredSegment> byName = new HashMap<>();
    recorded.forEach(segment -> byName.put(segment.name(), segment));
    List<BaseManifest> newestFirst =
        bases.stream()
            .sorted(
                Comparator.<BaseManifest, Lsn>comparing(base -> new Lsn(base.stopLsn()))
                    .reversed()
                    .thenComparing(BaseManifest::isIncremental)) // a rolled-up one is read faster
            .toList();
    List<Reach> reaches = new ArrayList<>();
    for (BaseManifest base : newestFirst) {
      Lineage newest = lineage(base, target.timeline(), byName, histories);
      if (newest == null) {
        continue;
      }
      Lineage lineage = newest.until(target.lsn());
      Reach reach = reach(base, lineage, byName);
      if (!new Lsn(base.stopLsn()).isAfter(target.lsn())) {
        int order = target.lsn().compareTo(reach.end);
        if (order < 0 || (order == 0 && !target.inclusive())) {
          return new RecoveryRoute(base, lineage.newest(), reach.segments, reach.end, order == 0);
        }
      }
      reaches.add(reach);
    }
    throw unreachable(what, cluster, target, reaches);
  }

  /**
   * The same way, gone on with as far as WAL is recorded, past promotions of production that came
   * after the target; for a server that moves on.
   */
  RecoveryRoute onwards(List<StoredSegment> recorded, IntFunction<@Nullable String> histories) {
    Map<String, StoredSegment> byName = new HashMap<>();
    recorded.forEach(segment -> byName.put(segment.name(), segment));
    Lineage lineage = newest(base, byName, histories);
    Reach reach = reach(base, lineage, byName);
    // A newer timeline's copy of a segment may be recorded in part, and end sooner.
    return reach.end.isBefore(recordedEnd)
        ? this
        : new RecoveryRoute(base, lineage.newest(), reach.segments, reach.end, false);
  }

  /** Where replay begins: the redo position of the base backup's checkpoint. */
  Lsn start() {
    return new Lsn(base.startLsn());
  }

  private static OperatorException unreachable(
      String what, String cluster, RecoveryTarget target, List<Reach> reaches) {
    if (reaches.isEmpty()) {
      return new OperatorException(
          Kind.REFUSED,
          what,
          "no base backup leads to timeline "
              + Integer.toUnsignedString(Objects.requireNonNull(target.timeline())),
          "leave --timeline out for the newest, or choose another one");
    }
    @Nullable Reach below = null;
    @Nullable Reach above = null;
    for (Reach reach : reaches) {
      if (reach.end.isBefore(new Lsn(reach.base.stopLsn()))) {
        continue; // a base backup whose own WAL is not all there reaches nothing
      }
      if (new Lsn(reach.base.stopLsn()).isAfter(target.lsn())) {
        above = reach; // newest first: the last one seen is the nearest
      } else if (below == null || reach.end.isAfter(below.end)) {
        below = reach;
      }
    }
    List<String> why = new ArrayList<>();
    List<String> next = new ArrayList<>();
    if (below != null) {
      why.add(
          "WAL is recorded without a gap only through "
              + below.end
              + "; segment "
              + below.missing
              + (below.missingInPart ? " is recorded in part" : " is not recorded"));
      next.add(reachable(below));
    } else if (above != null) {
      why.add(
          "every base backup that can be used is newer than the target; the oldest, %s, reaches"
                  .formatted(above.base.label())
              + " back to "
              + new Lsn(above.base.stopLsn()));
    } else {
      why.add("no base backup has all the WAL that was written while it was made");
      next.add("make a new one: holdfast backup " + cluster);
    }
    if (above != null) {
      next.add(reachable(above));
    }
    return new OperatorException(
        Kind.REFUSED, what, String.join("; ", why), String.join("; ", next));
  }

  private static String reachable(Reach reach) {
    return "choose a target from %s (%s, when base backup %s was finished) through %s"
        .formatted(
            new Lsn(reach.base.stopLsn()),
            reach.base.finishedAt().truncatedTo(ChronoUnit.SECONDS),
            reach.base.label(),
            reach.end);
  }

  /**
   * How far recorded WAL goes without a gap from a base backup.
   *
   * @param missing the first segment that is not recorded in full
   */
  private record Reach(
      BaseManifest base, List<String> segments, Lsn end, String missing, boolean missingInPart) {}

  private static Reach reach(
      BaseManifest base, Lineage lineage, Map<String, StoredSegment> recorded) {
    SegmentName position =
        SegmentName.containing(new Lsn(base.startLsn()), base.timeline(), base.walSegmentSize());
    List<String> segments = new ArrayList<>();
    while (true) {
      @Nullable StoredSegment found = null;
      SegmentName wanted = position;
      for (Step step : lineage.newestFirst()) {
        // As the server does it: a segment with a switch in it is read from the newer timeline.
        if (!step.begin.isBefore(position.end())) {
          continue;
        }
        wanted = new SegmentName(step.timeline, position.number(), position.segmentSize());
        found = recorded.get(wanted.toString());
        if (found != null) {
          break;
        }
      }
      if (found == null) {
        return new Reach(base, segments, position.start(), wanted.toString(), false);
      }
      segments.add(found.name());
      if (!found.complete()) {
        return new Reach(base, segments, position.start().plus(found.bytes()), found.name(), true);
      }
      position = position.next();
    }
  }

  /** One timeline's part of a lineage; the part ends where the next one begins. */
  private record Step(int timeline, Lsn begin) {}

  /** Timelines, each branching off the one before it ("access/timeline.h", PostgreSQL 18). */
  private record Lineage(List<Step> steps) {
    int newest() {
      return steps.getLast().timeline;
    }

    List<Step> newestFirst() {
      return steps.reversed();
    }

    /** Without the timelines that begin after this position. */
    Lineage until(Lsn target) {
      List<Step> kept = new ArrayList<>(List.of(steps.getFirst()));
      steps.stream().skip(1).filter(step -> !step.begin.isAfter(target)).forEach(kept::add);
      return new Lineage(kept);
    }
  }

  /**
   * The wanted timeline, with those between it and the base backup's.
   *
   * @param wanted null for the newest recorded one that went on from this base backup
   * @return null when the wanted one did not go on from it
   */
  private static @Nullable Lineage lineage(
      BaseManifest base,
      @Nullable Integer wanted,
      Map<String, StoredSegment> recorded,
      IntFunction<@Nullable String> histories) {
    if (wanted == null) {
      return newest(base, recorded, histories);
    }
    if (wanted == base.timeline()) {
      return new Lineage(List.of(new Step(wanted, Lsn.NONE)));
    }
    return descent(base, wanted, histories.apply(wanted)).orElse(null);
  }

  private static Lineage newest(
      BaseManifest base,
      Map<String, StoredSegment> recorded,
      IntFunction<@Nullable String> histories) {
    return recorded.keySet().stream()
        .map(name -> SegmentName.parse(name, base.walSegmentSize()).timeline())
        .distinct()
        .sorted(Comparator.reverseOrder())
        .filter(timeline -> Integer.compareUnsigned(timeline, base.timeline()) > 0)
        .map(timeline -> descent(base, timeline, histories.apply(timeline)))
        .flatMap(Optional::stream)
        .findFirst()
        .orElseGet(() -> new Lineage(List.of(new Step(base.timeline(), Lsn.NONE))));
  }

  private static Optional<Lineage> descent(
      BaseManifest base, int timeline, @Nullable String history) {
    if (history == null) {
      return Optional.empty();
    }
    TimelineHistory parsed =
        TimelineHistory.parse(timeline, history.getBytes(StandardCharsets.UTF_8));
    TimelineHistory.Part part = parsed.part(base.timeline());
    // Branched off before the base backup was finished: not its future.
    if (part == null || part.to() == null || part.to().isBefore(new Lsn(base.stopLsn()))) {
      return Optional.empty();
    }
    return Optional.of(
        new Lineage(
            parsed.parts().stream()
                .dropWhile(older -> older.timeline() != base.timeline())
                .map(step -> new Step(step.timeline(), step.from()))
                .toList()));
  }
}
