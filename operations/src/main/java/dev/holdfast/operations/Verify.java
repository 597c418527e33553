package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Problem;
import dev.holdfast.store.Repository;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.store.Verification;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Whether a repository holds: its objects, the chains they make, and what can be reached with them.
 * Changes nothing, and may run while others write.
 */
public final class Verify {
  /** Waiting for a bucket is most of the work there; a directory is read as fast as it can be. */
  private static final int THREADS_FOR_BUCKET = 8;

  /** What removing one problem would bring back is worked out one by one. */
  private static final int COSTED_MAX = 1000;

  private static final List<String> LEVELS = List.of("damaged", "missing", "gap", "note");

  private final String location;

  /** Of this repository, which need not even open. */
  public Verify(String repository) {
    this.location = repository;
  }

  /**
   * What to read.
   *
   * @param cluster one cluster; null: all of them
   * @param readDataPercent of the contents of base backups and WAL, from 0 to 100
   * @param seed chooses them unless that is all or nothing
   */
  public record Request(@Nullable String cluster, double readDataPercent, long seed) {}

  /**
   * Looks.
   *
   * @throws OperatorException REPOSITORY_UNREACHABLE; USAGE when there is no such cluster
   */
  public VerifyResult run(Request request, Progress progress) {
    long begun = System.nanoTime();
    Verification.Result found;
    try (Told told = new Told(progress)) {
      found =
          Repository.verification(location)
              .run(
                  request.cluster,
                  new Verification.Reading(request.readDataPercent / 100, request.seed, threads()),
                  told);
    }
    var problems = new ArrayList<VerifyProblem>();
    for (Problem problem : found.problems()) {
      problems.add(
          told(
              problem,
              null,
              found.opens()
                  ? "nothing yet: the other copy is read"
                  : "nothing of the repository can be used until it is back",
              new Moments()));
    }
    var clusters = new ArrayList<VerifyResult.Cluster>();
    for (Verification.Checked checked : found.clusters()) {
      clusters.add(cluster(checked, problems));
    }
    problems.sort(
        Comparator.<VerifyProblem>comparingInt(problem -> LEVELS.indexOf(problem.level()))
            .thenComparing(VerifyProblem::object));
    var counts = new LinkedHashMap<String, Integer>();
    LEVELS.forEach(level ->
        counts.put(
            level,
            Math.toIntExact(
                problems.stream().filter(problem -> problem.level().equals(level)).count())));
    boolean some = request.readDataPercent > 0 && request.readDataPercent < 100;
    return new VerifyResult(
        List.copyOf(problems),
        new VerifyResult.Summary(
            result(counts),
            counts,
            List.copyOf(clusters),
            request.readDataPercent,
            some ? request.seed : null,
            (System.nanoTime() - begun) / 1e9));
  }

  private static String result(Map<String, Integer> counts) {
    if (counts.getOrDefault("damaged", 0) + counts.getOrDefault("missing", 0) > 0) {
      return "damaged";
    }
    return counts.getOrDefault("gap", 0) > 0 ? "gaps" : "clean";
  }

  private int threads() {
    return location.contains("://") && !location.startsWith("file:")
        ? THREADS_FOR_BUCKET
        : Math.clamp(Runtime.getRuntime().availableProcessors(), 2, THREADS_FOR_BUCKET);
  }

  private VerifyResult.Cluster cluster(Verification.Checked checked, List<VerifyProblem> problems) {
    String name = checked.name();
    ClusterDocument document = checked.document();
    if (document == null) {
      for (Problem problem : checked.problems()) {
        problems.add(
            told(
                problem,
                name,
                "nothing of " + name + " can be used, or was looked at, until it is back",
                new Moments()));
      }
      return new VerifyResult.Cluster(name, 0, 0, checked.objects(), 0, 0, List.of());
    }
    var chains = new Chains(checked, document);
    chains.judge(problems);
    Reach reach = chains.whatHolds();
    return new VerifyResult.Cluster(
        name,
        reach.usable().size(),
        checked.segments().size(),
        checked.objects(),
        checked.contentBytes(),
        checked.contentBytesRead(),
        VerifyProblem.Stretch.of(reach.moments()));
  }

  private static VerifyProblem told(
      Problem problem, @Nullable String cluster, String cost, Moments lost) {
    return new VerifyProblem(
        problem.missing() ? "missing" : "damaged",
        cluster,
        problem.object(),
        problem.found(),
        cost,
        VerifyProblem.Stretch.of(lost),
        problem.next());
  }

  /** What the objects of one cluster are to each other. */
  private final class Chains {
    private final Verification.Checked checked;
    private final ClusterDocument document;
    private final Map<Integer, TimelineHistory> histories = new HashMap<>();
    private final List<VerifyProblem> unreadHistories = new ArrayList<>();
    private final List<BaseManifest> bases = new ArrayList<>();
    private final List<BaseManifest> strangers = new ArrayList<>();
    private final Reach all;
    private final Moments reachable;
    private int costed;

    Chains(Verification.Checked checked, ClusterDocument document) {
      this.checked = checked;
      this.document = document;
      checked.histories().forEach(this::read);
      for (BaseManifest base : checked.bases()) {
        (base.systemIdentifier().equals(document.systemIdentifier()) ? bases : strangers).add(base);
      }
      this.all = reach(bases, checked.segments());
      this.reachable = all.moments();
    }

    private void read(int timeline, String content) {
      try {
        histories.put(
            timeline, TimelineHistory.parse(timeline, content.getBytes(StandardCharsets.UTF_8)));
      } catch (OperatorException e) {
        unreadHistories.add(
            new VerifyProblem(
                "damaged",
                checked.name(),
                TimelineHistory.fileName(timeline),
                e.why(),
                costOfHistory(timeline),
                List.of(),
                e.next()));
      }
    }

    private Reach reach(Collection<BaseManifest> manifests, Collection<StoredSegment> segments) {
      return new Reach(manifests, segments, histories, document.walSegmentSize());
    }

    /** With nothing that is damaged. */
    Reach whatHolds() {
      Set<String> gone = new HashSet<>();
      for (Problem problem : checked.problems()) {
        if (problem.subject() == Problem.Subject.BASE
            || problem.subject() == Problem.Subject.SEGMENT) {
          gone.add(problem.item());
        }
      }
      if (gone.isEmpty()) {
        return all;
      }
      return reach(
          bases.stream().filter(base -> !gone.contains(base.label())).toList(),
          checked.segments().stream().filter(segment -> !gone.contains(segment.name())).toList());
    }

    void judge(List<VerifyProblem> problems) {
      checked.problems().forEach(problem -> problems.add(judge(problem)));
      problems.addAll(unreadHistories);
      strangers.forEach(base -> problems.add(stranger(base)));
      parents(problems);
      timelines(problems);
      gaps().forEach(gap -> problems.add(gap(gap)));
      for (Problem note : checked.notes()) {
        problems.add(note(note.object(), note.found(), note.next()));
      }
      for (StoredSegment segment : checked.segments()) {
        if (!segment.complete()) {
          problems.add(partial(segment));
        }
      }
    }

    private VerifyProblem note(String object, String found, String next) {
      return new VerifyProblem("note", checked.name(), object, found, "nothing", List.of(), next);
    }

    private VerifyProblem partial(StoredSegment segment) {
      SegmentName name = SegmentName.parse(segment.name(), document.walSegmentSize());
      boolean newest = checked.segments().getLast().equals(segment);
      return note(
          segment.name(),
          "the segment is recorded in part, through " + name.start().plus(segment.bytes()),
          newest ? "nothing: it is being filled" : "nothing: its timeline was left there");
    }

    // --- what a damaged object costs

    private VerifyProblem judge(Problem problem) {
      return switch (problem.subject()) {
        case REPOSITORY, CLUSTER, UNKNOWN -> plain(problem, "nothing of it can be used");
        case SEGMENT -> segment(problem);
        case BASE -> base(problem);
        case HISTORY -> plain(problem, costOfHistory(Integer.parseUnsignedInt(problem.item())));
        case SUMMARY ->
            plain(
                problem,
                checked.segments().stream().anyMatch(held -> held.name().equals(problem.item()))
                    ? "no moment; `holdfast log` reads the WAL itself, more slowly"
                    : "no moment; what segment %s did is known from nothing else any more"
                        .formatted(problem.item()));
        case CATALOG ->
            plain(
                problem,
                "no moment; `holdfast log`, `show` and `revert` stop at it, since they take names"
                    + " of tables from it");
        case DOCUMENT ->
            plain(
                problem,
                "no moment; what it says, and `holdfast expire`, which must know what it refers"
                    + " to");
      };
    }

    private VerifyProblem plain(Problem problem, String cost) {
      return told(problem, checked.name(), cost, new Moments());
    }

    private VerifyProblem segment(Problem problem) {
      if (costed++ >= COSTED_MAX) {
        return plain(problem, "moments from this segment on, as with those before it");
      }
      SegmentName name = SegmentName.parse(problem.item(), document.walSegmentSize());
      Moments lost = reachable.minus(all.without(name));
      Set<String> broken = all.basesAcross(name);
      String cost = cost(lost);
      if (!broken.isEmpty()) {
        cost += "; base backup " + String.join(", ", broken) + " cannot be used without it";
      }
      if (lost.isEmpty() && broken.isEmpty()) {
        cost = "no moment that could be reached with it; `holdfast log` cannot read what it did";
      }
      return told(problem, checked.name(), cost, lost);
    }

    private VerifyProblem base(Problem problem) {
      if (bases.stream().noneMatch(base -> base.label().equals(problem.item()))) {
        return plain(
            problem,
            "base backup "
                + problem.item()
                + " cannot be used; those beside it can, and those that stand on it cannot");
      }
      if (costed++ >= COSTED_MAX) {
        return plain(problem, "base backup " + problem.item() + " cannot be used");
      }
      Moments lost = reachable.minus(all.withoutBases(Set.of(problem.item())));
      return told(
          problem,
          checked.name(),
          "base backup "
              + problem.item()
              + " cannot be used: "
              + (lost.isEmpty()
                  ? "its moments can be reached from the one before it, with more WAL to replay"
                  : cost(lost)),
          lost);
    }

    private static String cost(Moments lost) {
      if (lost.isEmpty()) {
        return "no moment";
      }
      return "the moments from "
          + String.join(
              ", from ", lost.stretches().stream().map(Moments.Stretch::toString).toList())
          + " cannot be reached";
    }

    private String costOfHistory(int timeline) {
      return "moments on timeline %s cannot be reached from base backups of the timelines before it"
          .formatted(Integer.toUnsignedString(timeline));
    }

    // --- chains

    private VerifyProblem stranger(BaseManifest base) {
      return new VerifyProblem(
          "damaged",
          checked.name(),
          base.label(),
          "it is a base backup of another server: its system identifier is %s, not %s"
              .formatted(base.systemIdentifier(), document.systemIdentifier()),
          "no moment; whoever forks from it gets another server's data",
          List.of(),
          "move its folder to where it belongs");
    }

    private void parents(List<VerifyProblem> problems) {
      Map<String, BaseManifest> known = new TreeMap<>();
      bases.forEach(base -> known.put(base.label(), base));
      for (BaseManifest base : bases) {
        String parent = base.parent();
        if (BaseStore.chain(base, known) == null && parent != null && !known.containsKey(parent)) {
          problems.add(
              new VerifyProblem(
                  "missing",
                  checked.name(),
                  base.label(),
                  "it stands on base backup " + parent + ", which is not there or does not hold",
                  "neither it nor what stands on it can be used",
                  List.of(),
                  "put "
                      + parent
                      + " back from another copy of the repository; else take a new"
                      + " full backup: holdfast backup "
                      + checked.name()));
        }
      }
    }

    private void timelines(List<VerifyProblem> problems) {
      var recorded = new TreeSet<Integer>(Integer::compareUnsigned);
      for (StoredSegment segment : checked.segments()) {
        recorded.add(SegmentName.parse(segment.name(), document.walSegmentSize()).timeline());
      }
      bases.forEach(base -> recorded.add(base.timeline()));
      for (int timeline : recorded) {
        boolean known =
            timeline == 1
                || checked.histories().containsKey(timeline)
                || checked.problems().stream()
                    .anyMatch(problem ->
                        problem.subject() == Problem.Subject.HISTORY
                            && problem.item().equals(Integer.toUnsignedString(timeline)));
        if (known) {
          continue;
        }
        boolean first = recorded.first() == timeline;
        problems.add(
            new VerifyProblem(
                first ? "note" : "missing",
                checked.name(),
                TimelineHistory.fileName(timeline),
                "the history of timeline %s is not recorded: it does not say what it descends from"
                    .formatted(Integer.toUnsignedString(timeline)),
                first ? "nothing: nothing older is recorded" : costOfHistory(timeline),
                List.of(),
                "holdfast record "
                    + checked.name()
                    + " stores it when the server has it; or put it back from another copy of the"
                    + " repository"));
      }
    }

    /** Looks twice: what a writer put or removed while the first look went on is no gap. */
    private List<Reach.Gap> gaps() {
      List<Reach.Gap> first = all.gaps();
      if (first.isEmpty()) {
        return first;
      }
      ClusterStore cluster = Repository.open(location).cluster(checked.name());
      List<BaseManifest> basesNow =
          cluster.bases().listing().bases().stream()
              .filter(base -> base.systemIdentifier().equals(document.systemIdentifier()))
              .toList();
      List<Reach.Gap> second = reach(basesNow, segmentsNow(cluster)).gaps();
      return second.stream()
          .filter(gap ->
              first.stream()
                  .anyMatch(before ->
                      before.timeline() == gap.timeline() && before.from().equals(gap.from())))
          .toList();
    }

    /** Damaged ones as they were found: a length that cannot be read must not stop this. */
    private List<StoredSegment> segmentsNow(ClusterStore cluster) {
      try {
        return cluster.wal().list();
      } catch (OperatorException e) {
        return checked.segments();
      }
    }

    private VerifyProblem gap(Reach.Gap gap) {
      int segmentSize = document.walSegmentSize();
      SegmentName first = SegmentName.containing(gap.from(), gap.timeline(), segmentSize);
      SegmentName last = SegmentName.containing(gap.to().plus(-1), gap.timeline(), segmentSize);
      long count = last.number() - first.number() + 1;
      boolean inPart = !gap.from().equals(first.start());
      Moments lost = costed++ < COSTED_MAX ? all.filled(gap).minus(reachable) : new Moments();
      String cost = cost(lost);
      if (!gap.bases().isEmpty()) {
        cost += "; base backup " + String.join(", ", gap.bases()) + " cannot be used";
      }
      BaseManifest after = all.nextAfter(gap.timeline(), gap.to());
      String copies =
          "copy %s from another copy of the repository if it has %s"
              .formatted(count == 1 ? "the segment" : "the segments", count == 1 ? "it" : "them");
      return new VerifyProblem(
          gap.bases().isEmpty() ? "gap" : "missing",
          checked.name(),
          first.toString(),
          "WAL from %s to %s%s is not recorded: %s%s"
              .formatted(
                  gap.from(),
                  gap.to(),
                  gap.timeline() == 1
                      ? ""
                      : " of timeline " + Integer.toUnsignedString(gap.timeline()),
                  count == 1
                      ? "segment " + first
                      : "segments %s to %s (%,d)".formatted(first, last, count),
                  inPart ? ", of the first the rest" : ""),
          cost,
          VerifyProblem.Stretch.of(lost),
          after == null
              ? copies
                  + "; in any case take a new base backup now, so that moments from then on can be"
                  + " reached: holdfast backup "
                  + checked.name()
              : copies
                  + "; base backup %s reaches the moments from %s on"
                      .formatted(after.label(), new Lsn(after.stopLsn())));
    }
  }

  /** Turns what is looked at into progress. */
  private static final class Told implements Verification.Listener, AutoCloseable {
    private final Progress progress;
    private volatile Progress.@Nullable Phase phase;

    private Told(Progress progress) {
      this.progress = progress;
    }

    @Override
    public synchronized void structure(String cluster, long objects) {
      close();
      phase =
          progress.begin("verifying " + cluster + ": structure", objects, Progress.Unit.OBJECTS);
    }

    @Override
    public void looked() {
      advance(1);
    }

    @Override
    public synchronized void contents(String cluster, long bytes) {
      close();
      phase = progress.begin("verifying " + cluster + ": contents", bytes, Progress.Unit.BYTES);
    }

    @Override
    public void read(long bytes) {
      advance(bytes);
    }

    private void advance(long amount) {
      Progress.Phase current = phase;
      if (current != null) {
        current.advance(amount);
      }
    }

    @Override
    public synchronized void close() {
      Progress.Phase ending = phase;
      if (ending != null) {
        ending.close();
        phase = null;
      }
    }
  }
}
