package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.BaseBackup;
import dev.holdfast.postgres.Increment;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What a new base backup stands on, or why it is a full one. */
final class ParentChoice implements BaseBackup.LayerChoice {
  /** Left to itself, a chain ends with so many incremental layers: every restore reads them all. */
  static final int LAYERS_MAX = 14;

  private static final String BLOCK_SIZE = "8192";
  private static final String SEGMENT_SIZE = "131072";

  private final ClusterStore cluster;
  private final Backup.Wanted wanted;
  private final Recorded recorded;
  private @Nullable String fullBecause;

  /** Waits for a recorder. */
  @FunctionalInterface
  interface Recorded {
    /**
     * Returns when all WAL of a timeline before a position is stored; where a record begins there,
     * when that is, too.
     */
    void await(int timeline, Lsn position);
  }

  ParentChoice(ClusterStore cluster, Backup.Wanted wanted, Recorded recorded) {
    this.cluster = cluster;
    this.wanted = wanted;
    this.recorded = recorded;
  }

  /** Why it is a full one though none was asked for; null when it is none, or was asked for. */
  @Nullable String fullBecause() {
    return fullBecause;
  }

  @Override
  public @Nullable Increment choose(ServerFacts facts, Lsn start) {
    if (wanted == Backup.Wanted.FULL) {
      return null;
    }
    if (!facts.setting("block_size").equals(BLOCK_SIZE)
        || !facts.setting("segment_size").equals(SEGMENT_SIZE)) {
      return full("the server was built with another size of blocks or files");
    }
    var known = new HashMap<String, BaseManifest>();
    cluster.bases().listing().bases().forEach(base -> known.put(base.label(), base));
    List<BaseManifest> newestFirst =
        known.values().stream()
            .sorted(
                Comparator.<BaseManifest, Lsn>comparing(base -> new Lsn(base.stopLsn()))
                    .reversed()
                    .thenComparing(base -> base.isIncremental())
                    .thenComparing(BaseManifest::label))
            .toList();
    if (newestFirst.isEmpty()) {
      return full("there is no base backup that it could stand on");
    }
    Lsn end = end(start);
    recorded.await(facts.timeline(), end);
    RecordedWal wal = new RecordedWal(cluster, facts.timeline());
    var reasons = new ArrayList<String>();
    for (BaseManifest base : newestFirst) {
      String against = against(base, known, facts, wal, start);
      if (against == null) {
        return onto(base, known, wal, start);
      }
      reasons.add(against);
    }
    return full(reasons.getFirst());
  }

  /**
   * Where the records end that come before a position. A server that begins a base backup begins a
   * segment, too, and unless others write at that moment the backup starts with its first record:
   * then they end with the segment before, and what is recorded of the new one need not be waited
   * for.
   */
  private Lsn end(Lsn start) {
    SegmentName segment = SegmentName.containing(start, 1, cluster.document().walSegmentSize());
    return start.equals(segment.firstRecord()) ? segment.start() : start;
  }

  private ChangedSince.Found changed(BaseManifest parent, RecordedWal wal, Lsn start) {
    Lsn from = new Lsn(parent.startLsn());
    Lsn end = end(start);
    ChangedSince.Found found = ChangedSince.between(cluster, wal, from, end);
    if (found.blocks() != null || end.equals(start)) {
      return found;
    }
    recorded.await(wal.timeline(), start);
    return ChangedSince.between(cluster, new RecordedWal(cluster, wal.timeline()), from, start);
  }

  private @Nullable Increment full(String because) {
    fullBecause = because;
    return null;
  }

  /** What speaks against a base backup as the parent; null when nothing does. */
  private @Nullable String against(
      BaseManifest base,
      Map<String, BaseManifest> known,
      ServerFacts facts,
      RecordedWal wal,
      Lsn start) {
    String label = "base backup " + base.label();
    if (!base.systemIdentifier().equals(facts.systemIdentifier())) {
      return label + " is of another server: its system identifier is " + base.systemIdentifier();
    }
    if (base.major() != facts.major()) {
      return label + " is of PostgreSQL " + base.major();
    }
    Integer checksums = base.pageChecksums();
    if (checksums == null) {
      return label + " does not say whether the server's pages carried checksums";
    }
    if (checksums != facts.pageChecksums()) {
      return "page checksums were switched %s since %s"
          .formatted(facts.dataChecksums() ? "on" : "off", label);
    }
    TimelineHistory.Part part = wal.history().part(base.timeline());
    Lsn stop = new Lsn(base.stopLsn());
    if (part == null || (part.to() != null && part.to().isBefore(stop))) {
      return "timeline %s of the server does not go on from %s, which is of timeline %s"
          .formatted(
              Integer.toUnsignedString(facts.timeline()),
              label,
              Integer.toUnsignedString(base.timeline()));
    }
    if (stop.isAfter(start)) {
      return label + " ends at " + stop + ", and the server is at " + start;
    }
    List<BaseManifest> chain = BaseStore.chain(base, known);
    if (chain == null) {
      return label + " stands on one that is missing or damaged";
    }
    for (BaseManifest layer : chain) {
      if (!cluster.bases().isWhole(layer.label())) {
        return "objects of base backup " + layer.label() + " are missing or damaged";
      }
    }
    return null;
  }

  private @Nullable Increment onto(
      BaseManifest parent, Map<String, BaseManifest> known, RecordedWal wal, Lsn start) {
    List<BaseManifest> chain = Objects.requireNonNull(BaseStore.chain(parent, known));
    List<BaseManifest> increments = chain.subList(0, chain.size() - 1);
    if (wanted == Backup.Wanted.AUTOMATIC) {
      if (increments.size() >= LAYERS_MAX) {
        return full("%d incremental ones stand on the last".formatted(increments.size()));
      }
      long stored = increments.stream().mapToLong(BaseManifest::storedBytes).sum();
      if (stored > chain.getLast().storedBytes()) {
        return full("the incremental ones since the last are larger than that");
      }
    }
    Map<String, Long> files;
    try {
      files = cluster.bases().open(parent.label()).files();
    } catch (OperatorException e) {
      if (e.kind() != Kind.DAMAGED_DATA) {
        throw e;
      }
      return full("base backup " + parent.label() + " cannot be read: " + e.why());
    }
    ChangedSince.Found changed = changed(parent, wal, start);
    return changed.blocks() == null
        ? full(changed.why())
        : new Increment(parent, files, changed.blocks());
  }
}
