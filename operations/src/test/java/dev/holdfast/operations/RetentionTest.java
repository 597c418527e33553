package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Random pasts: a server that writes, is backed up, promoted, taken back to an earlier moment; WAL
 * is lost, backups are interrupted, documents refer to things. Whatever is reachable in the window
 * stays reachable, as a way of walking through names tells that shares nothing with the code.
 */
final class RetentionTest {
  private static final int PASTS = 1000;
  private static final int SIZE = PastCluster.SEGMENT;
  private static final Instant BEGIN = Instant.parse("2026-01-01T00:00:00Z");

  @Test
  void whatever_could_be_reached_in_the_window_still_can() {
    long first = Long.getLong("tests.seed", System.nanoTime());
    int removedBases = 0;
    int removedSegments = 0;
    for (int round = 0; round < PASTS; round++) {
      long seed = first + round;
      var past = new Past(new Random(seed));
      past.live();
      var random = new Random(seed + 1);
      var rules =
          new RetentionRules(
              Duration.ofHours(random.nextInt(24 * 30)),
              1 + random.nextInt(3),
              Duration.ofDays(400));
      Retention retention = Retention.decide(past.held(), rules, past.now);
      Set<String> kept = retention.kept().keySet();
      Map<String, Instant> left = new TreeMap<>(past.segments);
      left.entrySet()
          .removeIf(segment ->
              retention.goes(SegmentName.parse(segment.getKey(), SIZE), segment.getValue()));
      List<BaseManifest> bases =
          past.bases.stream().filter(base -> kept.contains(base.label())).toList();
      removedBases += past.bases.size() - bases.size();
      removedSegments += past.segments.size() - left.size();
      String told = "-Dtests.seed=" + seed;

      Instant window = past.now.minus(rules.keepWindow());
      past.segments.forEach((name, storedAt) -> {
        if (!storedAt.isBefore(window)) {
          SegmentName segment = SegmentName.parse(name, SIZE);
          Lsn target = segment.start().plus(SIZE / 2);
          if (past.reaches(segment.timeline(), target, past.bases, past.segments.keySet())) {
            assertThat(past.reaches(segment.timeline(), target, bases, left.keySet()))
                .as("%s: %s on timeline %d", told, target, segment.timeline())
                .isTrue();
          }
        }
      });

      List<BaseManifest> usable = past.usable(past.bases, past.segments.keySet());
      List<String> usableAfter =
          past.usable(bases, left.keySet()).stream().map(BaseManifest::label).toList();
      if (!usable.isEmpty()) {
        assertThat(kept).as(told).contains(usable.getLast().label());
        assertThat(usableAfter).as(told).contains(usable.getLast().label());
        List<BaseManifest> fulls = usable.stream().filter(base -> base.parent() == null).toList();
        fulls
            .subList(Math.max(0, fulls.size() - rules.keepFull()), fulls.size())
            .forEach(base -> assertThat(usableAfter).as(told).contains(base.label()));
      } else {
        assertThat(bases).as(told).hasSameSizeAs(past.bases);
      }
      bases.forEach(base -> {
        if (base.parent() != null) {
          assertThat(kept).as("%s: what %s stands on", told, base.label()).contains(base.parent());
        }
      });
      past.named.forEach(label -> {
        if (past.bases.stream().anyMatch(base -> base.label().equals(label))) {
          assertThat(kept).as(told).contains(label);
        }
      });
      past.unpublished.forEach(unpublished -> {
        if (unpublished.madeFrom() != null
            && unpublished.newestAt().isAfter(past.now.minus(Duration.ofHours(3)))) {
          assertThat(kept)
              .as("%s: what %s is made from", told, unpublished.label())
              .contains(unpublished.madeFrom());
        }
      });
      past.namedPositions.forEach((lsn, timeline) -> {
        if (past.reaches(timeline, lsn, past.bases, past.segments.keySet())) {
          assertThat(past.reaches(timeline, lsn, bases, left.keySet())).as(told).isTrue();
        }
      });
      past.beingTaken.forEach((segment, label) ->
          assertThat(left).as("%s: WAL of %s, being taken", told, label).containsKey(segment));
      // What goes, goes in an order in which nothing stands on what is gone.
      Set<String> gone = new HashSet<>();
      for (BaseManifest base : retention.removed()) {
        gone.add(base.label());
        past.bases.stream()
            .filter(other -> base.label().equals(other.parent()))
            .forEach(child -> assertThat(gone).as(told).contains(child.label()));
      }
    }
    assertThat(removedBases).as("the pasts are worth something").isGreaterThan(PASTS);
    assertThat(removedSegments).isGreaterThan(PASTS);
  }

  /** Else a removal by this order is refused at the lower one, for ever. */
  @Test
  void of_a_chain_whose_full_one_is_lost_the_newest_goes_first() {
    int chains = 0;
    for (long seed = 1; seed <= 300; seed++) {
      var past = new Past(new Random(seed));
      past.live();
      past.bases.removeIf(base -> base.parent() == null && !base.equals(past.newestFull()));
      List<String> removed =
          Retention.decide(
                  past.held(),
                  new RetentionRules(Duration.ofHours(1), 1, Duration.ofDays(400)),
                  past.now)
              .removed()
              .stream()
              .map(BaseManifest::label)
              .toList();
      for (BaseManifest base : past.bases) {
        if (removed.contains(base.label()) && removed.contains(base.parent())) {
          chains++;
          assertThat(removed.indexOf(base.label()))
              .as("seed %d: %s before its parent", seed, base.label())
              .isLessThan(removed.indexOf(base.parent()));
        }
      }
    }
    assertThat(chains).isGreaterThan(20);
  }

  /** What happened to one server. */
  private static final class Past {
    private final Random random;
    private final List<BaseManifest> bases = new ArrayList<>();
    private final Map<String, Instant> segments = new TreeMap<>();
    private final Map<Integer, TimelineHistory> histories = new HashMap<>();
    private final Map<Integer, String> historyTexts = new HashMap<>();
    private final List<BaseStore.Unpublished> unpublished = new ArrayList<>();
    private final Set<String> named = new HashSet<>();
    private final Map<Lsn, Integer> namedPositions = new HashMap<>();

    /** Segments that a base backup which is still being taken needs, with its label. */
    private final Map<String, String> beingTaken = new TreeMap<>();

    private final Set<String> damaged = new HashSet<>();
    private Instant now = BEGIN;
    private int timeline = 1;
    private long next = 3;

    @Nullable BaseManifest newestFull() {
      return bases.stream()
          .filter(base -> base.parent() == null)
          .reduce((_, last) -> last)
          .orElse(null);
    }

    Past(Random random) {
      this.random = random;
      historyTexts.put(1, "");
      histories.put(1, TimelineHistory.withoutParents(1));
    }

    void live() {
      int steps = 20 + random.nextInt(100);
      @Nullable String taking = null;
      for (int step = 0; step < steps; step++) {
        now = now.plus(Duration.ofMinutes(30 + random.nextInt(24 * 60)));
        int what = random.nextInt(100);
        if (what < 60) {
          write(1 + random.nextInt(3), taking);
        } else if (what < 85) {
          back(taking);
        } else if (what < 89) {
          next += 1 + random.nextInt(2); // WAL was lost
          taking = null;
          beingTaken.clear();
        } else if (what < 92) {
          leave(new Lsn(next * SIZE + SIZE / 4));
          taking = null;
          beingTaken.clear();
        } else if (what < 94 && next > 8) {
          next -= 1 + random.nextInt(5); // the server was taken back
          leave(new Lsn(next * SIZE + SIZE / 4));
          taking = null;
          beingTaken.clear();
        } else if (what < 96 && !bases.isEmpty()) {
          named.add(bases.get(random.nextInt(bases.size())).label());
        } else if (what < 97) {
          namedPositions.put(new Lsn(next * SIZE - SIZE / 2), timeline);
        } else if (what < 98 && !bases.isEmpty()) {
          damaged.add(bases.get(random.nextInt(bases.size())).label());
        } else if (step > steps / 2 && taking == null) {
          taking = label("taking");
          write(1, taking);
        }
      }
      if (taking != null) {
        // Its newest part was stored a short while ago, or it was given up a long time ago.
        boolean alive = random.nextBoolean();
        unpublished.add(
            new BaseStore.Unpublished(
                taking,
                1,
                100,
                now.minus(alive ? Duration.ofHours(2) : Duration.ofDays(3)),
                bases.isEmpty() ? null : bases.get(random.nextInt(bases.size())).label()));
        if (!alive) {
          beingTaken.clear();
        }
      }
    }

    private String label(String kind) {
      return "%06d-%s".formatted(Duration.between(BEGIN, now).toMinutes(), kind);
    }

    private void write(int count, @Nullable String taking) {
      for (int i = 0; i < count; i++) {
        String name = PastCluster.segment(timeline, next++);
        segments.put(name, now);
        if (taking != null) {
          beingTaken.put(name, taking);
        }
      }
    }

    private void back(@Nullable String taking) {
      BaseManifest parent =
          bases.isEmpty() || random.nextBoolean()
              ? null
              : bases.get(bases.size() - 1 - random.nextInt(Math.min(3, bases.size())));
      String label = label(parent == null ? "full" : "incr");
      long start = next * SIZE + SIZE / 3;
      write(1 + random.nextInt(2), taking);
      bases.add(
          PastCluster.manifest(
              label,
              timeline,
              new Lsn(start),
              new Lsn(next * SIZE - SIZE / 5),
              now,
              parent == null ? null : parent.label()));
    }

    private void leave(Lsn at) {
      String text =
          history(timeline).switches().stream()
                  .filter(left -> left.at().isBefore(at))
                  .map(left -> left.from() + "\t" + left.at() + "\treason\n")
                  .reduce("", String::concat)
              + history(timeline).timelineAt(at)
              + "\t"
              + at
              + "\treason\n";
      timeline = histories.keySet().stream().mapToInt(Integer::intValue).max().orElseThrow() + 1;
      historyTexts.put(timeline, text);
      histories.put(
          timeline, TimelineHistory.parse(timeline, text.getBytes(StandardCharsets.UTF_8)));
    }

    private TimelineHistory history(int of) {
      return Objects.requireNonNull(histories.get(of));
    }

    Retention.Held held() {
      var stored = segments.keySet().stream().map(s -> new StoredSegment(s, true, SIZE)).toList();
      var writtenAt = new HashMap<Integer, Instant>();
      segments.forEach((name, at) ->
          writtenAt.merge(
              SegmentName.parse(name, SIZE).timeline(), at, (a, b) -> a.isAfter(b) ? a : b));
      var whole = new HashSet<String>();
      bases.forEach(base -> whole.add(base.label()));
      whole.removeAll(damaged);
      var labels = new HashMap<String, Set<String>>();
      named.forEach(label -> labels.put(label, Set.of("incidents/one")));
      var positions = new HashMap<Lsn, Set<String>>();
      namedPositions.keySet().forEach(lsn -> positions.put(lsn, Set.of("incidents/two")));
      return new Retention.Held(
          bases,
          whole,
          new Reach(bases, stored, histories, SIZE),
          writtenAt,
          unpublished,
          new Retention.References(labels, positions));
    }

    /** By walking from segment to segment. */
    boolean reaches(int target, Lsn lsn, Collection<BaseManifest> with, Collection<String> stored) {
      return with.stream().anyMatch(base -> reaches(base, target, lsn, with, stored));
    }

    private boolean reaches(
        BaseManifest base,
        int target,
        Lsn lsn,
        Collection<BaseManifest> with,
        Collection<String> stored) {
      TimelineHistory history = history(target);
      TimelineHistory.Part part = history.part(base.timeline());
      if (part == null
          || (part.to() != null && part.to().isBefore(new Lsn(base.stopLsn())))
          || lsn.isBefore(new Lsn(base.stopLsn()))
          || !stands(base, with)) {
        return false;
      }
      for (long number = base.startLsn() / SIZE; number * SIZE < lsn.position(); number++) {
        Lsn wanted = new Lsn(Math.min((number + 1) * SIZE, lsn.position()));
        boolean found = false;
        for (TimelineHistory.Part each : history.parts()) {
          boolean holds =
              each.from().isBefore(new Lsn((number + 1) * SIZE))
                  && (each.to() == null || !each.to().isBefore(wanted));
          found |= holds && stored.contains(PastCluster.segment(each.timeline(), number));
        }
        if (!found) {
          return false;
        }
      }
      return true;
    }

    private boolean stands(BaseManifest base, Collection<BaseManifest> with) {
      BaseManifest layer = base;
      while (layer != null && !damaged.contains(layer.label())) {
        if (layer.parent() == null) {
          return true;
        }
        String parent = layer.parent();
        layer = with.stream().filter(each -> each.label().equals(parent)).findFirst().orElse(null);
      }
      return false;
    }

    /** Oldest first. */
    List<BaseManifest> usable(Collection<BaseManifest> with, Collection<String> stored) {
      return with.stream()
          .filter(base ->
              histories.keySet().stream()
                  .anyMatch(target -> reaches(base, target, new Lsn(base.stopLsn()), with, stored)))
          .toList();
    }
  }
}
