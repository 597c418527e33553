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
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import dev.holdfast.wal.TimelineSegments;
import dev.holdfast.wal.WalRecord;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What is recorded, what would be lost, what should be looked at. */
public final class Status {
  private final Repository repository;
  private final String location;

  /** Of the clusters in this repository. */
  public Status(String repository) {
    this.location = repository;
    this.repository = Repository.open(repository);
  }

  /**
   * Measures now.
   *
   * @param name one cluster; null: all of them
   */
  public List<ClusterStatus> of(@Nullable String name) {
    List<String> names = name == null ? repository.clusterNames() : List.of(name);
    return names.stream().map(repository::cluster).map(this::measure).toList();
  }

  private ClusterStatus measure(ClusterStore cluster) {
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
    Answer answer = ask(document, end, advice);
    BaseManifest oldest =
        bases.stream()
            .filter(base -> reachesTheEnd(wal, base))
            .min(Comparator.comparing(base -> new Lsn(base.stopLsn())))
            .orElse(null);
    @Nullable Lsn from = oldest == null ? null : new Lsn(oldest.stopLsn());
    advise(document, wal, bases, answer, from, advice);
    return new ClusterStatus(
        document.name(),
        document.environment(),
        document.engine(),
        document.major(),
        document.systemIdentifier(),
        answer.reachable,
        answer.recording,
        end.equals(Lsn.NONE) ? null : end.toString(),
        answer.unrecordedBytes,
        lastCommit(cluster, wal),
        from == null ? null : from.toString(),
        from == null ? null : end.toString(),
        oldest == null ? null : oldest.finishedAt(),
        wal.bytesFrom(Lsn.NONE),
        bases.stream()
            .map(base ->
                new ClusterStatus.Base(
                    base.label(), base.kind(), base.finishedAt(), base.bytes(), base.storedBytes()))
            .toList(),
        null,
        wal.gaps().stream()
            .map(gap -> new ClusterStatus.Gap(gap.from().toString(), gap.to().toString()))
            .toList(),
        answer.slot == null ? null : ClusterStatus.Slot.of(answer.slot),
        List.copyOf(advice));
  }

  private record Answer(
      boolean reachable,
      @Nullable Boolean recording,
      @Nullable Long unrecordedBytes,
      @Nullable SlotState slot) {}

  private static Answer ask(ClusterDocument document, Lsn end, List<Advice> advice) {
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
                "find out where "
                    + document.name()
                    + " is; nothing is recorded from a server that is not it"));
        return new Answer(true, false, null, null);
      }
      boolean recording = WalReceiver.isActive(url, document.name());
      Lsn now = WalPosition.flushed(url);
      Preflight.check(url, document.slot() != null).stream()
          .filter(finding -> finding.severity() != Finding.Severity.NOTE)
          .map(Protect::advice)
          .forEach(advice::add);
      SlotState slot = SlotState.read(url, document.slot());
      advice.addAll(RecordingWatch.advice(slot));
      return new Answer(true, recording, Math.max(0, now.minus(end)), slot);
    } catch (OperatorException e) {
      advice.add(new Advice("warning", e.what() + ": " + e.why(), e.next()));
      return new Answer(false, null, null, null);
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
              "warning",
              "there is no base backup: nothing can be brought back",
              "holdfast backup " + name));
    } else if (from == null) {
      advice.add(
          new Advice(
              "warning",
              "no base backup has all the WAL after it: the newest moments cannot be brought back",
              "holdfast backup " + name));
    }
    if (Boolean.FALSE.equals(answer.recording)) {
      advice.add(new Advice("warning", "nothing is recording " + name, "holdfast record " + name));
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
    if (Connections.recorder(document, null).hosts().stream().allMatch(Status::isThisMachine)
        && !location.contains("://")) {
      advice.add(
          new Advice(
              "warning",
              "the repository is on the machine of the server: both can be lost together",
              "move it to another machine's disk, or mount one here, and point --repository at it"));
    }
    advice.add(
        new Advice(
            "note",
            "never proven: no restore of " + name + " has been tried",
            "holdfast fork " + name + " starts the newest moment as a server; look at it"));
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

  private static boolean isThisMachine(PostgresUrl.Host host) {
    return host.name().equals("localhost")
        || host.name().startsWith("127.")
        || host.name().equals("::1")
        || host.name().startsWith("/");
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
