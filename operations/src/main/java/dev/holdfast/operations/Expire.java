package dev.holdfast.operations;

import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.revert.PlanDigest;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Problem;
import dev.holdfast.store.Removal;
import dev.holdfast.store.Repository;
import dev.holdfast.store.SummaryStore;
import dev.holdfast.store.WalStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import java.time.Instant;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Removes what a cluster need not keep: base backups, then the WAL that none of the kept ones
 * needs, then summaries and catalogs that are old enough. What goes is planned first, and removed
 * only when the plan is still the same.
 *
 * <p>Removing may stop between any two objects: what is left verifies, and the next run goes on.
 */
public final class Expire {
  private static final Pattern LSN = Pattern.compile("[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}");
  private static final Pattern LSN_DIGITS = Pattern.compile("[0-9A-F]{16}");

  private final ClusterStore cluster;
  private final RetentionRules rules;
  private final InstantSource clock;

  /** Of one cluster of this repository. */
  public Expire(String repository, String name, RetentionRules rules) {
    this(Repository.open(repository).cluster(name), rules, InstantSource.system());
  }

  Expire(ClusterStore cluster, RetentionRules rules, InstantSource clock) {
    this.cluster = cluster;
    this.rules = rules;
    this.clock = clock;
  }

  /** The clusters of a repository. */
  public static List<String> clusters(String repository) {
    return Repository.open(repository).clusterNames();
  }

  /** A plan, and what it takes to carry it out. */
  public final class Planned {
    private final ExpirePlan plan;
    private final Removal removal;

    private Planned(ExpirePlan plan, Removal removal) {
      this.plan = plan;
      this.removal = removal;
    }

    /** What it would remove. */
    public ExpirePlan plan() {
      return plan;
    }

    /**
     * Removes it.
     *
     * @param digest the plan's, as the operator was shown it
     * @throws OperatorException REFUSED when it is another one's
     */
    public ExpireResult apply(String digest, Progress progress) {
      Planned now = Expire.this.plan(); // somebody may have taken an hour to agree
      if (!now.plan.digest().equals(digest)) {
        throw new OperatorException(
            Kind.REFUSED,
            "the plan " + digest + " is not this one",
            "what would be removed has changed since, or other rules are given: its digest is "
                + now.plan.digest()
                + " now",
            "look at it: holdfast expire " + plan.cluster());
      }
      return now.remove(progress);
    }

    private ExpireResult remove(Progress progress) {
      long begun = System.nanoTime();
      try (Progress.Phase phase =
          progress.begin("expiring " + plan.cluster(), plan.objects(), Progress.Unit.OBJECTS)) {
        cluster.remove(removal, () -> phase.advance(1));
      }
      return new ExpireResult(
          plan.cluster(),
          plan.digest(),
          removal.bases().size(),
          removal.segments().size(),
          removal.summaries().size(),
          removal.catalogs().size(),
          plan.bytes(),
          (System.nanoTime() - begun) / 1e9);
    }
  }

  /**
   * Plans.
   *
   * @throws OperatorException DAMAGED_DATA when what must be kept cannot be known
   */
  public Planned plan() {
    // To the hour: so that the plan that is shown is still the plan when it is agreed to.
    Instant now = clock.instant().truncatedTo(ChronoUnit.HOURS);
    BaseStore.Listing listing = cluster.bases().listing();
    for (Problem damaged : listing.damaged()) {
      throw unknown(damaged.object(), damaged.found(), damaged.next());
    }
    List<BaseManifest> bases = listing.bases();
    List<WalStore.SegmentObject> objects = cluster.wal().objects();
    Reach reach = new Reach(bases, cluster.wal().list(), histories(), segmentSize());
    var writtenAt = new HashMap<Integer, Instant>();
    for (WalStore.SegmentObject object : objects) {
      writtenAt.merge(
          name(object.name()).timeline(),
          object.storedAt(),
          (one, other) -> one.isAfter(other) ? one : other);
    }
    Retention retention =
        Retention.decide(
            new Retention.Held(
                bases, whole(bases), reach, writtenAt, cluster.bases().unpublished(), references()),
            rules,
            now);
    return planned(retention, bases, objects, reach, now);
  }

  private Planned planned(
      Retention retention,
      List<BaseManifest> bases,
      List<WalStore.SegmentObject> objects,
      Reach reach,
      Instant now) {
    List<BaseManifest> removed = retention.removed();
    List<BaseStore.Unpublished> leftovers = retention.leftovers();
    Map<String, Long> segments = going(retention, objects);
    var staying = new HashSet<String>();
    objects.forEach(object -> staying.add(object.name()));
    staying.removeAll(segments.keySet());
    List<String> summaries = oldSummaries(staying, now);
    List<String> catalogs = oldCatalogs(staying, summaries, bases, removed);
    List<ExpirePlan.Wal> wal = runs(segments);
    long bytes =
        removed.stream().mapToLong(BaseManifest::storedBytes).sum()
            + leftovers.stream().mapToLong(BaseStore.Unpublished::bytes).sum()
            + segments.values().stream().mapToLong(Long::longValue).sum();
    long count =
        removed.stream().mapToLong(base -> cluster.bases().objects(base.label())).sum()
            + leftovers.stream().mapToLong(BaseStore.Unpublished::objects).sum()
            + segments.size()
            + summaries.size()
            + catalogs.size();
    ExpirePlan plan =
        new ExpirePlan(
            cluster.document().name(),
            digest(removed, leftovers, wal, summaries, catalogs),
            RetentionRules.text(rules.keepWindow()),
            rules.keepFull(),
            RetentionRules.text(rules.keepSummaries()),
            reachableSince(retention, bases, reach),
            segments.isEmpty() || retention.floor() == null
                ? null
                : String.valueOf(retention.floor()),
            bases.stream()
                .filter(base -> retention.kept().containsKey(base.label()))
                .map(base ->
                    new ExpirePlan.Kept(
                        base.label(),
                        base.finishedAt(),
                        List.copyOf(retention.kept().getOrDefault(base.label(), Set.of()))))
                .toList(),
            removedBases(removed, leftovers),
            wal,
            summaries.size(),
            catalogs.size(),
            count,
            bytes,
            notes(retention, segments));
    return new Planned(
        plan,
        new Removal(
            plan.removed().stream().map(ExpirePlan.Removed::label).toList(),
            List.copyOf(segments.keySet()),
            summaries,
            catalogs));
  }

  private static List<ExpirePlan.Removed> removedBases(
      List<BaseManifest> removed, List<BaseStore.Unpublished> leftovers) {
    var all = new ArrayList<ExpirePlan.Removed>();
    removed.forEach(base ->
        all.add(new ExpirePlan.Removed(base.label(), base.finishedAt(), base.storedBytes())));
    leftovers.forEach(left -> all.add(new ExpirePlan.Removed(left.label(), null, left.bytes())));
    return all;
  }

  private static String digest(
      List<BaseManifest> removed,
      List<BaseStore.Unpublished> leftovers,
      List<ExpirePlan.Wal> wal,
      List<String> summaries,
      List<String> catalogs) {
    var digest = new PlanDigest();
    removed.forEach(base -> digest.add("base " + base.label(), "removed"));
    leftovers.forEach(leftover -> digest.add("unpublished " + leftover.label(), "removed"));
    wal.forEach(run -> digest.add("wal " + run.first(), run.last() + " " + run.segments()));
    summaries.forEach(segment -> digest.add("summary " + segment, "removed"));
    catalogs.forEach(lsn -> digest.add("catalog " + lsn, "removed"));
    return digest.shown();
  }

  private static @Nullable Instant reachableSince(
      Retention retention, List<BaseManifest> bases, Reach reach) {
    Set<String> usable = reach.usable();
    return bases.stream()
        .filter(base -> retention.kept().containsKey(base.label()))
        .filter(base -> usable.contains(base.label()))
        .map(BaseManifest::finishedAt)
        .min(Comparator.naturalOrder())
        .orElse(null);
  }

  private List<String> notes(Retention retention, Map<String, Long> segments) {
    var notes = new ArrayList<String>();
    var summarised = new HashSet<>(cluster.summaries().list());
    long without =
        segments.keySet().stream().filter(segment -> !summarised.contains(segment)).count();
    if (without > 0) {
      notes.add(
          "%,d of the segments have no summary: `holdfast log` will not know what they did"
                  .formatted(without)
              + "; `holdfast record` makes summaries while it runs");
    }
    for (BaseStore.Unpublished unpublished : cluster.bases().unpublished()) {
      if (retention.leftovers().stream()
          .noneMatch(leftover -> leftover.label().equals(unpublished.label()))) {
        notes.add(
            "base backup "
                + unpublished.label()
                + " is being taken, or was interrupted less than a day ago: the WAL it may need"
                + " stays");
      }
    }
    return notes;
  }

  // --- what is there

  private int segmentSize() {
    return cluster.document().walSegmentSize();
  }

  private SegmentName name(String segment) {
    return SegmentName.parse(segment, segmentSize());
  }

  private Map<Integer, TimelineHistory> histories() {
    var histories = new HashMap<Integer, TimelineHistory>();
    for (int timeline : cluster.wal().histories()) {
      byte[] content = cluster.wal().readHistory(timeline);
      if (content != null) {
        histories.put(timeline, TimelineHistory.parse(timeline, content));
      }
    }
    return histories;
  }

  private Set<String> whole(List<BaseManifest> bases) {
    var whole = new HashSet<String>();
    for (BaseManifest base : bases) {
      if (cluster.bases().isWhole(base.label())) {
        whole.add(base.label());
      }
    }
    return whole;
  }

  /** Every label and every position that a document names, wherever in it. */
  private Retention.References references() {
    var labels = new TreeMap<String, Set<String>>();
    var positions = new TreeMap<Lsn, Set<String>>();
    for (String kind : cluster.documentKinds()) {
      if (kind.equals(RecordedChecks.KIND)) {
        continue; // the clients' own words, whatever they look like
      }
      for (String name : kind.equals(Proofs.KIND) ? neededProof() : cluster.documents(kind)) {
        String document = kind + "/" + name;
        JsonNode content;
        try {
          content = cluster.document(kind, name, JsonNode.class);
        } catch (OperatorException e) {
          if (e.kind() == Kind.REPOSITORY_UNREACHABLE) {
            throw e;
          }
          throw unknown(document, e.why(), e.next());
        }
        texts(
            content,
            text -> {
              labels.computeIfAbsent(text, _ -> new TreeSet<>()).add(document);
              Lsn position =
                  LSN.matcher(text).matches()
                      ? Lsn.parse(text)
                      : LSN_DIGITS.matcher(text).matches()
                          ? new Lsn(Long.parseUnsignedLong(text, 16))
                          : null;
              if (position != null) {
                positions.computeIfAbsent(position, _ -> new TreeSet<>()).add(document);
              }
            });
      }
    }
    return new Retention.References(labels, positions);
  }

  /** Of the proofs only the newest proven one: what is known to come back stays until more is. */
  private List<String> neededProof() {
    return new Proofs(cluster).latestProven().map(ProofDocument::label).stream().toList();
  }

  private static void texts(JsonNode node, Consumer<String> sink) {
    if (node.isString()) {
      sink.accept(node.asString());
    }
    node.forEach(child -> texts(child, sink));
  }

  private OperatorException unknown(String object, String why, String next) {
    return new OperatorException(
        Kind.DAMAGED_DATA,
        "cannot say what of " + cluster.document().name() + " may be removed",
        object + " cannot be read, so what it needs is not known: " + why,
        next + "; holdfast verify shows what else there is. Nothing was removed");
  }

  // --- what goes

  /** In the order of their going: the oldest first. */
  private Map<String, Long> going(Retention retention, List<WalStore.SegmentObject> objects) {
    var going =
        new TreeMap<SegmentName, Long>(
            Comparator.comparingLong(SegmentName::number)
                .thenComparing(SegmentName::timeline, Integer::compareUnsigned));
    var young = new HashSet<String>();
    for (WalStore.SegmentObject object : objects) {
      if (retention.goes(name(object.name()), object.storedAt())) {
        going.merge(name(object.name()), object.bytes(), Long::sum);
      } else {
        young.add(object.name());
      }
    }
    var ordered = new LinkedHashMap<String, Long>();
    going.forEach((segment, bytes) -> {
      if (!young.contains(segment.toString())) {
        ordered.put(segment.toString(), bytes);
      }
    });
    return ordered;
  }

  private List<ExpirePlan.Wal> runs(Map<String, Long> segments) {
    var runs = new TreeMap<Integer, List<ExpirePlan.Wal>>(Integer::compareUnsigned);
    segments.forEach((segment, bytes) -> {
      SegmentName name = name(segment);
      List<ExpirePlan.Wal> ofTimeline =
          runs.computeIfAbsent(name.timeline(), _ -> new ArrayList<>());
      ExpirePlan.Wal last = ofTimeline.isEmpty() ? null : ofTimeline.getLast();
      if (last != null && name(last.last()).next().equals(name)) {
        ofTimeline.set(
            ofTimeline.size() - 1,
            new ExpirePlan.Wal(last.first(), segment, last.segments() + 1, last.bytes() + bytes));
      } else {
        ofTimeline.add(new ExpirePlan.Wal(segment, segment, 1, bytes));
      }
    });
    return runs.values().stream().flatMap(List::stream).toList();
  }

  /**
   * Summaries of WAL that is gone, when all that share a pack with them are old enough: one that
   * goes takes the pack with it.
   */
  private List<String> oldSummaries(Set<String> staying, Instant now) {
    Instant limit = now.minus(rules.keepSummaries());
    SummaryStore summaries = cluster.summaries();
    SummaryStore.Reader reader = summaries.reader();
    var groups = new LinkedHashMap<String, List<String>>();
    for (String segment : summaries.list()) {
      groups.computeIfAbsent(summaries.packedWith(segment), _ -> new ArrayList<>()).add(segment);
    }
    var old = new ArrayList<String>();
    // Of a group without any commit nothing says how old it is: one after it may.
    var undated = new ArrayList<String>();
    String timeline = "";
    boolean young = false;
    for (List<String> group : groups.values()) {
      if (!group.getFirst().startsWith(timeline) || timeline.isEmpty()) {
        timeline = group.getFirst().substring(0, 8);
        young = false;
        undated.clear();
      }
      if (young || group.stream().anyMatch(staying::contains)) {
        young = true; // and so is what comes after it
        continue;
      }
      Instant newest = newestCommit(reader, group);
      if (newest == null) {
        undated.addAll(group);
      } else if (newest.isBefore(limit)) {
        old.addAll(undated);
        undated.clear();
        old.addAll(group);
      } else {
        young = true;
      }
    }
    return old;
  }

  private static @Nullable Instant newestCommit(SummaryStore.Reader reader, List<String> group) {
    Instant newest = null;
    for (String segment : group) {
      Instant latest = lastCommit(reader, segment);
      newest = latest != null && (newest == null || latest.isAfter(newest)) ? latest : newest;
    }
    return newest;
  }

  /** Null of one without a commit, and of one that does not hold: its neighbours are dated. */
  private static @Nullable Instant lastCommit(SummaryStore.Reader reader, String segment) {
    try {
      byte[] bytes = reader.read(segment);
      return bytes == null ? null : SegmentSummary.decode(bytes).latestCommitAt();
    } catch (IllegalArgumentException e) {
      return null; // of another kind
    } catch (OperatorException e) {
      if (e.kind() == Kind.REPOSITORY_UNREACHABLE) {
        throw e;
      }
      return null;
    }
  }

  /**
   * All before the newest that is not newer than what a summary, WAL or a base backup begins at.
   */
  private List<String> oldCatalogs(
      Set<String> staying,
      List<String> goingSummaries,
      List<BaseManifest> bases,
      List<BaseManifest> goingBases) {
    var going = new HashSet<>(goingSummaries);
    Lsn needed = null;
    for (String segment : cluster.summaries().list()) {
      if (!going.contains(segment)) {
        needed = earlier(needed, name(segment).start());
      }
    }
    for (String segment : staying) {
      needed = earlier(needed, name(segment).start());
    }
    for (BaseManifest base : bases) {
      if (!goingBases.contains(base)) {
        needed = earlier(needed, new Lsn(base.startLsn()));
      }
    }
    List<String> catalogs = cluster.catalogs();
    if (needed == null) {
      return List.of();
    }
    Lsn from = needed;
    List<String> before =
        catalogs.stream()
            .filter(lsn -> !new Lsn(Long.parseUnsignedLong(lsn, 16)).isAfter(from))
            .toList();
    return before.isEmpty() ? List.of() : before.subList(0, before.size() - 1);
  }

  private static Lsn earlier(@Nullable Lsn one, Lsn other) {
    return one == null || other.isBefore(one) ? other : one;
  }
}
