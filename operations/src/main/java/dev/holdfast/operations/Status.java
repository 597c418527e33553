package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Finding;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.Preflight;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.postgres.SlotState;
import dev.holdfast.postgres.WalPosition;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Problem;
import dev.holdfast.store.Repository;
import dev.holdfast.store.Succession;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import dev.holdfast.wal.TimelineSegments;
import dev.holdfast.wal.WalRecord;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What is recorded, what would be lost, what should be looked at. */
public final class Status {
  /** A recorder stores what it received about once a second. */
  private static final Duration RECORDED_MAX = Duration.ofMillis(2500);

  private static final Logger LOG = LoggerFactory.getLogger(Status.class);

  private final Repository repository;
  private final RepositoryPlace place;
  private final @Nullable Map<String, String> environment;

  /** Of the clusters in this repository; who may end this machine is not asked. */
  public Status(String repository) {
    this.repository = Repository.open(repository);
    this.place = RepositoryPlace.of(repository, Map.of());
    this.environment = null;
  }

  /**
   * Of the clusters in this repository.
   *
   * @param environment may say where instances are told about themselves
   */
  public Status(String repository, Map<String, String> environment) {
    this.repository = Repository.open(repository);
    this.place = RepositoryPlace.of(repository, environment);
    this.environment = Map.copyOf(environment);
  }

  /**
   * Measures now.
   *
   * @param name one cluster; null: all of them
   */
  public List<ClusterStatus> of(@Nullable String name) {
    List<String> names = name == null ? repository.clusterNames() : List.of(name);
    List<ClusterStore> clusters = names.stream().map(repository::cluster).toList();
    boolean here =
        place.isHere()
            || clusters.stream()
                .map(cluster -> Connections.recorder(cluster.document(), null))
                .anyMatch(RepositoryPlace::isOnThisMachine);
    // Begun first: what it takes is over by the time it is needed.
    InstanceMetadata instance =
        environment != null && here ? InstanceMetadata.ask(environment) : InstanceMetadata.none();
    return clusters.stream().map(cluster -> measure(cluster, instance)).toList();
  }

  private ClusterStatus measure(ClusterStore cluster, InstanceMetadata instance) {
    ClusterDocument document = cluster.document();
    RecordedWal wal = new RecordedWal(cluster);
    BaseStore.Listing listing = cluster.bases().listing();
    List<BaseManifest> bases = listing.bases();
    List<Advice> advice = new ArrayList<>();
    for (Problem damaged : listing.damaged()) {
      advice.add(
          new Advice(
              "warning",
              "base backup %s cannot be used: its manifest does not hold: %s"
                  .formatted(damaged.item(), damaged.found()),
              "holdfast verify " + document.name() + ", which says what it costs"));
    }
    Lsn end = wal.end();
    Succession taken = cluster.succession();
    // Of one of the past only what is stored matters.
    List<Advice> present = taken == null ? advice : new ArrayList<>();
    Answer answer = taken == null ? ask(cluster, end, present) : Answer.NOT_ASKED;
    Map<String, BaseManifest> known = new HashMap<>();
    bases.forEach(base -> known.put(base.label(), base));
    for (BaseManifest base : bases) {
      String parent = base.parent();
      if (parent != null && !known.containsKey(parent)) {
        advice.add(
            new Advice(
                "warning",
                "base backup %s cannot be used: it stands on %s, which is not there or damaged"
                    .formatted(base.label(), parent),
                "holdfast verify " + document.name() + ", which says what it costs"));
      }
    }
    BaseManifest oldest =
        bases.stream()
            .filter(base -> BaseStore.chain(base, known) != null)
            .filter(base -> reachesTheEnd(wal, base))
            .min(Comparator.comparing(base -> new Lsn(base.stopLsn())))
            .orElse(null);
    @Nullable Lsn from = oldest == null ? null : new Lsn(oldest.stopLsn());
    advise(document, wal, bases, answer, from, present);
    PostgresUrl server = Connections.recorder(document, null);
    present.addAll(place.advice(server, answer.dataDirectory));
    present.addAll(place.advice());
    if (place.isHere()) {
      present.addAll(instance.advice("the repository on its disks"));
    } else if (RepositoryPlace.isOnThisMachine(server)) {
      present.addAll(instance.advice("the server"));
    }
    Proofs proofs = new Proofs(cluster);
    Instant now = Instant.now();
    if (!bases.isEmpty()) {
      present.addAll(ProofAdvice.of(document.name(), proofs, now));
    }
    List<ScheduleState> schedules = List.copyOf(cluster.schedules(ScheduleState.class).values());
    Instant provenAt =
        proofs.latest().filter(ProofDocument::isProven).map(ProofDocument::finishedAt).orElse(null);
    present.addAll(ScheduleAdvice.of(document.name(), schedules, provenAt, now));
    ClusterGuard guard =
        new ClusterGuardCheck(cluster, wal).run(server, answer.isTheServer(), present);
    List<Asked> asked = new ClusterAsked(cluster).run(server, answer.isTheServer(), now, present);
    ClusterClients clients =
        new ClusterClientsCheck(repository, cluster)
            .run(server, answer.isTheServer(), Boolean.TRUE.equals(answer.recording), now, present);
    if (taken != null) {
      advice.add(past(taken));
      if (from == null) {
        advice.add(
            new Advice(
                "warning",
                "no moment of %s can be brought back".formatted(document.name()),
                "holdfast verify " + document.name() + " says why"));
      }
    }
    advice.sort(Comparator.comparingInt(one -> Advice.LEVELS.indexOf(one.level())));
    Instant lastCommitAt = lastCommit(cluster, wal);
    return new ClusterStatus(
        document.name(),
        document.identity(),
        document.continues(),
        taken == null ? null : taken.name(),
        document.environment(),
        document.engine(),
        document.major(),
        document.systemIdentifier(),
        answer.reachable,
        answer.recording,
        end.equals(Lsn.NONE) ? null : end.toString(),
        answer.unrecordedBytes,
        lastCommitAt,
        from == null ? null : from.toString(),
        from == null ? null : end.toString(),
        oldest == null ? null : oldest.finishedAt(),
        wal.bytesFrom(Lsn.NONE),
        bases.stream()
            .map(base ->
                new ClusterStatus.Base(
                    base.label(),
                    base.kind(),
                    base.finishedAt(),
                    base.bytes(),
                    base.storedBytes(),
                    base.parent()))
            .toList(),
        proofs.latestProven().map(ProofDocument::finishedAt).orElse(null),
        RepositoryKeys.Report.of(repository),
        proofs.latest().orElse(null),
        Outlook.of(from != null, answer.lag, lastCommitAt, proofs.latestProven(), now),
        wal.gaps().stream()
            .map(gap -> new ClusterStatus.Gap(gap.from().toString(), gap.to().toString()))
            .toList(),
        answer.slot == null ? null : ClusterStatus.Slot.of(answer.slot),
        ClusterStatus.Recorder.of(cluster.leaseHolder(RecorderPlace.ROLE), now),
        schedules,
        guard,
        asked,
        clients,
        List.copyOf(advice));
  }

  private Advice past(Succession taken) {
    String current = taken.name();
    try {
      current = repository.current(current).document().name();
    } catch (OperatorException e) {
      LOG.debug(
          "whether another has the place of {} cannot be read", current, e); // status of it says
    }
    return new Advice(
        "note",
        "%s took its place at %s: this is its past"
            .formatted(taken.name(), taken.at().truncatedTo(ChronoUnit.SECONDS)),
        "holdfast status " + current);
  }

  /**
   * @param lag null when it did not answer
   */
  private record Answer(
      boolean reachable,
      @Nullable Boolean recording,
      @Nullable Long unrecordedBytes,
      @Nullable RecordingLag lag,
      @Nullable String dataDirectory,
      @Nullable SlotState slot) {
    static final Answer NOT_ASKED = new Answer(false, null, null, null, null, null);

    /** Whether it was the one that is recorded who answered, and to everything. */
    boolean isTheServer() {
      return reachable && slot != null;
    }
  }

  private static Answer ask(ClusterStore cluster, Lsn end, List<Advice> advice) {
    ClusterDocument document = cluster.document();
    PostgresUrl url = Connections.recorder(document, null);
    try {
      ServerFacts facts = ServerFacts.read(url);
      if (!facts.systemIdentifier().equals(document.systemIdentifier())) {
        advice.add(
            new Advice(
                "warning",
                "another server answers at "
                    + url.redacted()
                    + ": its system identifier is "
                    + facts.systemIdentifier()
                    + ", not "
                    + document.systemIdentifier(),
                "find out where %s is; nothing is recorded from a server that is not it. Where it is %s itself, upgraded or moved: holdfast protect NEW_NAME URL --environment %s --continues %s"
                    .formatted(
                        document.name(),
                        document.name(),
                        document.environment(),
                        document.name())));
        return new Answer(true, false, null, null, null, null);
      }
      boolean recording = WalReceiver.isActive(url, document.name());
      Lsn now = WalPosition.flushed(url);
      Preflight.check(url, document.slot() != null).stream()
          .filter(finding -> finding.severity() != Finding.Severity.NOTE)
          .map(Protect::advice)
          .forEach(advice::add);
      SlotState slot = SlotState.read(url, document.slot());
      advice.addAll(RecordingWatch.advice(slot));
      // What is on its way gets there while this waits, if anything is recording.
      RecordingLag lag = RecordingLag.until(cluster, now, recording ? RECORDED_MAX : Duration.ZERO);
      if (recording && lag.behind() == null) {
        advice.add(
            new Advice(
                Advice.DANGER,
                "WAL is not arriving: what %s has written is not recorded after %.1f s"
                    .formatted(document.name(), RECORDED_MAX.toMillis() / 1e3),
                "look at what `holdfast record " + document.name() + "` says"));
      }
      return new Answer(
          true,
          recording,
          Math.max(0, now.minus(end)),
          lag,
          facts.settings().get("data_directory"),
          slot);
    } catch (OperatorException e) {
      advice.add(new Advice("warning", e.what() + ": " + e.why(), e.next()));
      return new Answer(false, null, null, null, null, null);
    }
  }

  private void advise(
      ClusterDocument document,
      RecordedWal wal,
      List<BaseManifest> bases,
      Answer answer,
      @Nullable Lsn from,
      List<Advice> advice) {
    String name = document.name();
    if (bases.isEmpty()) {
      advice.add(
          new Advice(
              Advice.DANGER,
              "there is no base backup: nothing can be brought back",
              "holdfast backup " + name));
    } else if (from == null) {
      advice.add(
          new Advice(
              Advice.DANGER,
              "no base backup has all the WAL after it: the newest moments cannot be brought back",
              "holdfast backup " + name));
    }
    if (Boolean.FALSE.equals(answer.recording) && answer.isTheServer()) {
      advice.add(
          new Advice(
              Advice.DANGER,
              "no recorder is connected to %s: what is not recorded would be lost with it"
                  .formatted(name),
              "holdfast record "
                  + name
                  + "; where it takes WAL from a folder (--from-directory), which cannot be seen"
                  + " from here, up to a segment is missing, or archive_timeout: recording from the"
                  + " server as well has the newest, too"));
    }
    if (wal.spans().size() > 1) {
      Lsn begin = wal.spans().getLast().from();
      boolean healed = bases.stream().anyMatch(base -> !new Lsn(base.startLsn()).isBefore(begin));
      advice.add(
          healed
              ? new Advice(
                  "note",
                  "WAL was lost: recorded is " + wal.describe(),
                  "nothing: there is a base backup after the gap; moments in it cannot be reached")
              : new Advice(
                  "warning",
                  "WAL was lost: recorded is " + wal.describe(),
                  "holdfast backup " + name + ", so that moments after the gap can be reached"));
    }
    adviseOnTimelines(name, wal, advice);
  }

  private static void adviseOnTimelines(String name, RecordedWal wal, List<Advice> advice) {
    String timeline = Integer.toUnsignedString(wal.timeline());
    if (wal.lacksHistory()) {
      advice.add(
          new Advice(
              wal.leftOut().isEmpty() ? "note" : "warning",
              "the history of timeline "
                  + timeline
                  + " is not recorded ("
                  + TimelineHistory.fileName(wal.timeline())
                  + "): whether it goes on from what was recorded before is not known",
              "holdfast record " + name + ", which stores it when the server has it"));
    }
    for (TimelineSegments.LeftOut dead : wal.leftOut()) {
      advice.add(
          new Advice(
              "note",
              "WAL of timeline %s from %s to %s is recorded and is no part of timeline %s"
                  .formatted(
                      Integer.toUnsignedString(dead.timeline()), dead.from(), dead.to(), timeline),
              "nothing: it is kept, and not read; what was written there is not in the database"
                  + " that is recorded now"));
    }
  }

  /**
   * Whether every moment from the base backup's end to the end of what is recorded can be reached.
   */
  private static boolean reachesTheEnd(RecordedWal wal, BaseManifest base) {
    return wal.holds(new Lsn(base.startLsn()), wal.end());
  }

  /** The newest commit: in the last two segments, or as summaries of older ones tell. */
  static @Nullable Instant lastCommit(ClusterStore cluster, RecordedWal wal) {
    if (wal.end().equals(Lsn.NONE)) {
      return null;
    }
    SegmentName last =
        SegmentName.containing(wal.end().plus(-1), 1, cluster.document().walSegmentSize());
    Lsn from = new Lsn(Math.max(0, last.start().position() - last.segmentSize()));
    Instant[] newest = new Instant[1];
    wal.read(
        from,
        null,
        Progress.SILENT.begin("", 0, Progress.Unit.BYTES),
        record -> {
          if (record.rmgr() == ResourceManager.TRANSACTION
              && record.decode() instanceof WalRecord.Commit commit) {
            newest[0] = commit.time();
          }
        });
    return newest[0] != null
        ? newest[0]
        : new RecordedDamage(cluster, wal, RecordedNames.none()).lastCommitAt();
  }
}
