package dev.holdfast.operations;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import dev.holdfast.wal.TimelineSegments;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Which moments can be reached with the base backups and the WAL at hand, along every timeline that
 * is recorded, and what stands between. Pure: it reads lists, not the repository.
 */
final class Reach {
  /**
   * WAL that is not there and lies after a base backup that goes on into it.
   *
   * @param timeline whose log it is
   * @param bases labels of those that cannot be used without it: they need it to be consistent
   */
  record Gap(int timeline, Lsn from, Lsn to, Set<String> bases) {}

  /** The log that ends in one timeline. */
  private record Lineage(
      TimelineHistory history,
      List<TimelineSegments.Held> segments,
      List<TimelineSegments.Stretch> stretches,
      List<BaseManifest> bases) {}

  private final Map<String, BaseManifest> bases = new HashMap<>();
  private final List<Lineage> lineages = new ArrayList<>();

  /**
   * @param manifests of base backups; one that stands on another that is not among them, or on none
   *     that is full, is not counted
   * @param histories by timeline, as far as they are known
   * @param segmentSize bytes in a WAL segment
   */
  Reach(
      Collection<BaseManifest> manifests,
      Collection<StoredSegment> segments,
      Map<Integer, TimelineHistory> histories,
      int segmentSize) {
    Map<String, BaseManifest> all = new HashMap<>();
    manifests.forEach(base -> all.put(base.label(), base));
    manifests.stream()
        .filter(base -> BaseStore.chain(base, all) != null)
        .forEach(base -> bases.put(base.label(), base));
    var timelines = new TreeSet<Integer>(Integer::compareUnsigned);
    var held = new ArrayList<TimelineSegments.Held>();
    for (StoredSegment segment : segments) {
      SegmentName name = SegmentName.parse(segment.name(), segmentSize);
      timelines.add(name.timeline());
      held.add(new TimelineSegments.Held(name, segment.bytes()));
    }
    bases.values().forEach(base -> timelines.add(base.timeline()));
    for (int timeline : timelines) {
      TimelineHistory known = histories.get(timeline);
      TimelineHistory history = known == null ? TimelineHistory.withoutParents(timeline) : known;
      TimelineSegments chosen = TimelineSegments.along(history, held, histories::get);
      lineages.add(
          new Lineage(
              history,
              chosen.segments(),
              chosen.stretches(),
              bases.values().stream()
                  .filter(base -> isOn(history, base))
                  .sorted(Comparator.comparing(Reach::start))
                  .toList()));
    }
  }

  private static boolean isOn(TimelineHistory history, BaseManifest base) {
    TimelineHistory.Part part = history.part(base.timeline());
    return part != null && (part.to() == null || !part.to().isBefore(stop(base)));
  }

  private static Lsn start(BaseManifest base) {
    return new Lsn(base.startLsn());
  }

  private static Lsn stop(BaseManifest base) {
    return new Lsn(base.stopLsn());
  }

  /** The base backups that stand on no missing one, and have the WAL they need to be consistent. */
  Set<String> usable() {
    var usable = new HashSet<String>();
    for (Lineage lineage : lineages) {
      for (BaseManifest base : lineage.bases) {
        if (end(lineage.stretches, base) != null) {
          usable.add(base.label());
        }
      }
    }
    return usable;
  }

  /** The base backups of each timeline's log that can be used there, by that timeline. */
  Map<Integer, List<BaseManifest>> usableByTimeline() {
    var usable = new HashMap<Integer, List<BaseManifest>>();
    for (Lineage lineage : lineages) {
      usable.put(
          lineage.history.timeline(),
          lineage.bases.stream().filter(base -> end(lineage.stretches, base) != null).toList());
    }
    return usable;
  }

  /** Where the log goes on to from a base backup; null when its own part is not all there. */
  private static @Nullable Lsn end(List<TimelineSegments.Stretch> stretches, BaseManifest base) {
    for (TimelineSegments.Stretch stretch : stretches) {
      if (!stretch.from().isAfter(start(base)) && stretch.to().isAfter(start(base))) {
        return stretch.to().isBefore(stop(base)) ? null : stretch.to();
      }
    }
    return null;
  }

  /** All that can be reached. */
  Moments moments() {
    var moments = new Moments();
    lineages.forEach(lineage -> reach(lineage, lineage.stretches, Set.of(), moments));
    return moments;
  }

  private static void reach(
      Lineage lineage,
      List<TimelineSegments.Stretch> stretches,
      Set<String> without,
      Moments moments) {
    for (BaseManifest base : lineage.bases) {
      Lsn end = without.contains(base.label()) ? null : end(stretches, base);
      if (end != null) {
        // Its own stop is one moment even when nothing follows.
        Lsn to = end.equals(stop(base)) ? end.plus(1) : end;
        moments.add(lineage.history, stop(base), to);
      }
    }
  }

  /** What could be reached without these base backups and those that stand on them. */
  Moments withoutBases(Set<String> labels) {
    var gone = new HashSet<>(labels);
    for (BaseManifest base : bases.values()) {
      List<BaseManifest> chain = BaseStore.chain(base, bases);
      if (chain != null && chain.stream().anyMatch(layer -> labels.contains(layer.label()))) {
        gone.add(base.label());
      }
    }
    var moments = new Moments();
    lineages.forEach(lineage -> reach(lineage, lineage.stretches, gone, moments));
    return moments;
  }

  /** What could be reached without this segment. */
  Moments without(SegmentName segment) {
    var moments = new Moments();
    for (Lineage lineage : lineages) {
      reach(lineage, cut(lineage, segment), Set.of(), moments);
    }
    return moments;
  }

  private static List<TimelineSegments.Stretch> cut(Lineage lineage, SegmentName segment) {
    TimelineSegments.Held held = find(lineage.segments, segment);
    if (held == null) {
      return lineage.stretches;
    }
    var cut = new ArrayList<TimelineSegments.Stretch>();
    for (TimelineSegments.Stretch stretch : lineage.stretches) {
      if (stretch.to().isAfter(segment.start()) && stretch.from().isBefore(held.end())) {
        if (stretch.from().isBefore(segment.start())) {
          cut.add(new TimelineSegments.Stretch(stretch.from(), segment.start()));
        }
        if (held.end().isBefore(stretch.to())) {
          cut.add(new TimelineSegments.Stretch(held.end(), stretch.to()));
        }
      } else {
        cut.add(stretch);
      }
    }
    return cut;
  }

  private static TimelineSegments.@Nullable Held find(
      List<TimelineSegments.Held> segments, SegmentName wanted) {
    int low = 0;
    int high = segments.size() - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      TimelineSegments.Held held = segments.get(middle);
      int order = Long.compareUnsigned(held.name().number(), wanted.number());
      if (order == 0) {
        return held.name().equals(wanted) ? held : null;
      }
      if (order < 0) {
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return null;
  }

  /** What could be reached if this gap were filled. */
  Moments filled(Gap gap) {
    var moments = new Moments();
    for (Lineage lineage : lineages) {
      List<TimelineSegments.Stretch> stretches = lineage.stretches;
      if (lineage.history.timelineAt(gap.from) == gap.timeline) {
        stretches = joined(stretches, gap);
      }
      reach(lineage, stretches, Set.of(), moments);
    }
    return moments;
  }

  private static List<TimelineSegments.Stretch> joined(
      List<TimelineSegments.Stretch> stretches, Gap gap) {
    var all = new ArrayList<>(stretches);
    all.add(new TimelineSegments.Stretch(gap.from, gap.to));
    all.sort(Comparator.comparing(TimelineSegments.Stretch::from));
    var joined = new ArrayList<TimelineSegments.Stretch>();
    for (TimelineSegments.Stretch stretch : all) {
      TimelineSegments.Stretch last = joined.isEmpty() ? null : joined.getLast();
      if (last != null && !last.to().isBefore(stretch.from())) {
        Lsn to = last.to().isAfter(stretch.to()) ? last.to() : stretch.to();
        joined.set(joined.size() - 1, new TimelineSegments.Stretch(last.from(), to));
      } else {
        joined.add(stretch);
      }
    }
    return joined;
  }

  /**
   * What is missing between the start of the oldest base backup of each timeline's log and the end
   * of what is recorded of it, or of what its base backups need; by timeline and position.
   */
  List<Gap> gaps() {
    var gaps = new LinkedHashSet<Gap>();
    for (Lineage lineage : lineages) {
      if (lineage.bases.isEmpty()) {
        continue;
      }
      Lsn at = start(lineage.bases.getFirst());
      Lsn end = lineage.bases.stream().map(Reach::stop).max(Comparator.naturalOrder()).orElse(at);
      for (TimelineSegments.Stretch stretch : lineage.stretches) {
        if (at.isBefore(stretch.from())) {
          gaps.add(gap(lineage, at, stretch.from()));
        }
        at = at.isBefore(stretch.to()) ? stretch.to() : at;
      }
      if (at.isBefore(end)) {
        gaps.add(gap(lineage, at, end));
      }
    }
    return gaps.stream()
        .sorted(Comparator.comparingInt(Gap::timeline).thenComparing(Gap::from))
        .toList();
  }

  private static Gap gap(Lineage lineage, Lsn from, Lsn to) {
    var broken = new TreeSet<String>();
    for (BaseManifest base : lineage.bases) {
      if (start(base).isBefore(to) && from.isBefore(stop(base))) {
        broken.add(base.label());
      }
    }
    return new Gap(lineage.history.timelineAt(from), from, to, broken);
  }

  /** The base backups whose own WAL goes through this segment. */
  Set<String> basesAcross(SegmentName segment) {
    var across = new TreeSet<String>();
    for (Lineage lineage : lineages) {
      TimelineSegments.Held held = find(lineage.segments, segment);
      for (BaseManifest base : lineage.bases) {
        if (held != null
            && start(base).isBefore(held.end())
            && segment.start().isBefore(stop(base))) {
          across.add(base.label());
        }
      }
    }
    return across;
  }

  /**
   * The base backup that brings one back soonest after a position, on a log that goes through it.
   */
  @Nullable BaseManifest nextAfter(int timeline, Lsn position) {
    return lineages.stream()
        .filter(lineage -> lineage.history.timelineAt(position) == timeline)
        .flatMap(lineage ->
            lineage.bases.stream()
                .filter(base -> !start(base).isBefore(position))
                .filter(base -> end(lineage.stretches, base) != null))
        .min(Comparator.comparing(Reach::stop))
        .orElse(null);
  }
}
