package dev.holdfast.operations;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Which base backups go, and from where on WAL stays. Pure: it decides on lists, and removes
 * nothing.
 *
 * <p>Kept are: the newest that can be used; the newest full ones that the rules ask for; all that
 * are newer than the window's beginning; for the log of each timeline that was written to since,
 * the newest one before it that can be used there; what documents refer to; what another is being
 * made from; all that is newer than the newest one that can be used; and whatever any of these
 * stands on. WAL stays from the start of the earliest of them on, on every timeline.
 */
final class Retention {
  /** Younger objects may belong to something that is still being made. */
  static final Duration YOUNG = Duration.ofDays(1);

  /**
   * What is at hand.
   *
   * @param bases those whose manifest holds
   * @param whole labels of those whose objects are all there
   * @param reach of these bases and the recorded WAL
   * @param writtenAt when WAL of a timeline was last stored
   * @param unpublished base backups without a manifest
   * @param references what documents refer to: labels and positions, with the documents' names
   */
  record Held(
      List<BaseManifest> bases,
      Set<String> whole,
      Reach reach,
      Map<Integer, Instant> writtenAt,
      List<BaseStore.Unpublished> unpublished,
      References references) {}

  /**
   * What documents need.
   *
   * @param labels by base backup, the documents that name it
   * @param positions by position, likewise
   */
  record References(Map<String, Set<String>> labels, Map<Lsn, Set<String>> positions) {}

  /**
   * Of two of the same moment the one that needs no other: a chain and what it was rolled up to.
   */
  private static final Comparator<BaseManifest> STANDS_ALONE =
      Comparator.comparing(base -> !base.isIncremental());

  private final Held held;
  private final RetentionRules rules;
  private final Instant now;
  private final List<BaseManifest> newestFirst;
  private final Map<String, BaseManifest> byLabel = new HashMap<>();
  private final Map<String, Set<String>> kept = new TreeMap<>();
  private boolean anyUsable;
  private @Nullable Lsn floor;

  private Retention(Held held, RetentionRules rules, Instant now) {
    this.held = held;
    this.rules = rules;
    this.now = now;
    this.newestFirst =
        held.bases.stream()
            .sorted(
                Comparator.comparing(BaseManifest::finishedAt)
                    .thenComparing(STANDS_ALONE)
                    .thenComparing(BaseManifest::label)
                    .reversed())
            .toList();
    held.bases.forEach(base -> byLabel.put(base.label(), base));
  }

  static Retention decide(Held held, RetentionRules rules, Instant now) {
    var retention = new Retention(held, rules, now);
    retention.decide();
    retention.floor = retention.anyUsable ? retention.lowest() : null;
    return retention;
  }

  private void decide() {
    Set<String> usable = new TreeSet<>(held.reach.usable());
    usable.removeIf(label -> !isWhole(label));
    anyUsable = !usable.isEmpty();
    if (!anyUsable) {
      newestFirst.forEach(base -> keep(base, "no base backup can be used: none is removed"));
      return;
    }
    Instant begin = windowBegin();
    int fulls = 0;
    boolean newerThanUsable = true;
    for (BaseManifest base : newestFirst) {
      if (usable.contains(base.label())) {
        newerThanUsable = false;
        if (base.parent() == null && fulls < rules.keepFull()) {
          fulls++;
          keep(
              base,
              fulls == 1 ? "newest full backup" : "full backup " + fulls + " from the newest");
        }
      } else if (newerThanUsable) {
        keep(base, "newer than the newest that can be used");
      }
      if (!base.finishedAt().isBefore(begin)) {
        keep(base, "in the window");
      }
    }
    keep(newestUsable(usable), "newest that can be used");
    held.reach
        .usableByTimeline()
        .forEach((timeline, bases) -> {
          Instant writtenAt = held.writtenAt.get(timeline);
          boolean inWindow = writtenAt == null || !writtenAt.isBefore(begin);
          if (inWindow) {
            bases.stream()
                .filter(base -> usable.contains(base.label()))
                .filter(base -> base.finishedAt().isBefore(begin))
                .max(Comparator.comparing(BaseManifest::finishedAt).thenComparing(STANDS_ALONE))
                .ifPresent(base -> keep(base, "reaches the window's beginning"));
          }
        });
    held.references.labels.forEach((label, documents) -> {
      BaseManifest base = byLabel.get(label);
      if (base != null) {
        keep(base, "named by " + String.join(", ", documents));
      }
    });
    for (BaseStore.Unpublished unpublished : held.unpublished) {
      BaseManifest source =
          unpublished.madeFrom() == null ? null : byLabel.get(unpublished.madeFrom());
      if (source != null && !unpublished.newestAt().isBefore(now.minus(YOUNG))) {
        keep(source, unpublished.label() + " is being made from it");
      }
    }
    held.references.positions.forEach((lsn, documents) ->
        held.reach
            .usableByTimeline()
            .values()
            .forEach(bases ->
                bases.stream()
                    .filter(base -> usable.contains(base.label()))
                    .filter(base -> !new Lsn(base.stopLsn()).isAfter(lsn))
                    .max(
                        Comparator.<BaseManifest, Lsn>comparing(base -> new Lsn(base.stopLsn()))
                            .thenComparing(STANDS_ALONE))
                    .ifPresent(base ->
                        keep(
                            base,
                            "reaches %s, named by %s"
                                .formatted(lsn, String.join(", ", documents))))));
  }

  /**
   * Counted back from the newest WAL: a recorder that stood still for weeks must not have the
   * moments before it expire.
   */
  private Instant windowBegin() {
    Instant newest =
        held.writtenAt.values().stream()
            .filter(writtenAt -> writtenAt.isBefore(now))
            .max(Comparator.naturalOrder())
            .orElse(now);
    boolean young = held.writtenAt.values().stream().anyMatch(at -> !at.isBefore(now));
    return (young ? now : newest).minus(rules.keepWindow());
  }

  private boolean isWhole(String label) {
    BaseManifest base = byLabel.get(label);
    List<BaseManifest> chain = base == null ? null : BaseStore.chain(base, byLabel);
    return chain != null && chain.stream().allMatch(layer -> held.whole.contains(layer.label()));
  }

  private BaseManifest newestUsable(Set<String> usable) {
    return newestFirst.stream()
        .filter(base -> usable.contains(base.label()))
        .findFirst()
        .orElseThrow();
  }

  private void keep(BaseManifest base, String why) {
    kept.computeIfAbsent(base.label(), _ -> new TreeSet<>()).add(why);
    BaseManifest layer = base;
    var seen = new TreeSet<String>();
    while (layer != null && layer.parent() != null && seen.add(layer.label())) {
      layer = byLabel.get(layer.parent());
      if (layer != null) {
        kept.computeIfAbsent(layer.label(), _ -> new TreeSet<>())
            .add(base.label() + " stands on it");
      }
    }
  }

  /** Base backups that stay, by label, and why. */
  Map<String, Set<String>> kept() {
    return kept;
  }

  /** Base backups that go, in the order of their going: none before one that stands on it. */
  List<BaseManifest> removed() {
    var order = new ArrayList<BaseManifest>();
    var chains = new TreeMap<String, List<BaseManifest>>();
    for (BaseManifest base : newestFirst.reversed()) {
      if (!kept.containsKey(base.label())) {
        chains.computeIfAbsent(root(base), _ -> new ArrayList<>()).addFirst(base);
      }
    }
    chains.values().forEach(order::addAll);
    return order;
  }

  /**
   * The lowest layer that is known: of a chain that lost its full one, too, the newest goes first.
   */
  private String root(BaseManifest base) {
    BaseManifest lowest = base;
    var seen = new TreeSet<String>();
    for (BaseManifest layer = base;
        layer != null && seen.add(layer.label());
        layer = layer.parent() == null ? null : byLabel.get(layer.parent())) {
      lowest = layer;
    }
    return lowest.label();
  }

  /** What is left of base backups whose taking or removing was interrupted, a day ago or longer. */
  List<BaseStore.Unpublished> leftovers() {
    return held.unpublished.stream()
        .filter(unpublished -> unpublished.newestAt().isBefore(now.minus(YOUNG)))
        .toList();
  }

  /** Where the WAL that stays begins; null when all of it stays. */
  @Nullable Lsn floor() {
    return floor;
  }

  /**
   * A base backup that is being taken has its start in no manifest yet. It began after the newest
   * published one whose label sorts before its own, and on the same log its start lies behind that
   * one's.
   */
  private @Nullable Lsn lowest() {
    Lsn lowest =
        held.bases.stream()
            .filter(base -> kept.containsKey(base.label()))
            .map(base -> new Lsn(base.startLsn()))
            .min(Comparator.naturalOrder())
            .orElse(null);
    for (BaseStore.Unpublished unpublished : held.unpublished) {
      if (lowest != null && !unpublished.newestAt().isBefore(now.minus(YOUNG))) {
        Lsn before =
            held.bases.stream()
                .filter(base -> base.label().compareTo(unpublished.label()) < 0)
                .max(Comparator.comparing(BaseManifest::label))
                .map(base -> new Lsn(base.startLsn()))
                .orElse(null);
        lowest = before == null || before.isBefore(lowest) ? before : lowest;
      }
    }
    return lowest;
  }

  /**
   * Whether a segment goes: it ends before the WAL that stays begins, was stored more than a day
   * ago, and belongs to a timeline that a kept base backup was taken on or after. Of a newer
   * timeline positions may be lower, after the server was taken back, and its first base backup may
   * not be published yet.
   */
  boolean goes(SegmentName segment, Instant storedAt) {
    Lsn begin = floor;
    return begin != null
        && !segment.end().isAfter(begin)
        && storedAt.isBefore(now.minus(YOUNG))
        && held.bases.stream()
            .anyMatch(base ->
                kept.containsKey(base.label())
                    && Integer.compareUnsigned(segment.timeline(), base.timeline()) <= 0);
  }
}
