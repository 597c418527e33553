package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Fork;
import dev.holdfast.postgres.ForkContents;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.RecoveredTable;
import dev.holdfast.postgres.RecoveryOutline;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.store.WalStore;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What a restore of a moment would hold and take, told in seconds, before anybody waits for it. */
public final class Preview {
  private final ClusterStore cluster;
  private final ForkOptions options;

  /**
   * @param scratch the folder a fork of the definitions is made in; null: the machine's temporary
   *     one
   */
  public Preview(String repository, String name, @Nullable Path scratch) {
    this.cluster = Repository.open(repository).cluster(name);
    this.options = scratch == null ? ForkOptions.defaults() : ForkOptions.defaults().in(scratch);
  }

  /**
   * Looks. Production is not asked.
   *
   * @param withTables whether a fork of the definitions is to tell the tables; where that cannot be
   *     made on this machine, the result says so and holds the rest
   * @throws OperatorException as a restore would refuse the target
   */
  public PreviewResult run(Target target, boolean withTables, Progress progress) {
    long began = System.nanoTime();
    String name = cluster.document().name();
    RecoveryTarget moment = RecoveryTargets.resolve(cluster, "preview", target, progress);
    RecoveryOutline outline =
        RecoveryOutline.of("cannot preview %s %s".formatted(name, moment), cluster, moment);
    Map<String, BaseManifest> all = new HashMap<>();
    cluster.bases().list().forEach(base -> all.put(base.label(), base));
    List<BaseManifest> chain = BaseStore.chain(outline.base(), all);
    List<BaseManifest> layers = chain == null ? List.of(outline.base()) : chain.reversed();
    List<String> notes = new ArrayList<>();
    @Nullable List<PreviewResult.Table> tables = null;
    @Nullable Instant lastCommitAt = null;
    if (withTables) {
      try (Fork fork =
          Forks.start(
              cluster,
              moment,
              options.holding(ForkContents.Sparse.SCHEMA_ONLY),
              "preview " + moment,
              progress)) {
        lastCommitAt = fork.lastCommitAt();
        tables =
            RecoveredTable.of(fork, cluster.bases().open(fork.base())).stream()
                .map(Preview::table)
                .toList();
      } catch (OperatorException e) {
        if (e.kind() == Kind.INTERRUPTED || e.kind() == Kind.DAMAGED_DATA) {
          throw e; // a restore would fail the same way
        }
        notes.add("the tables there are not known: " + e.what() + ": " + e.why() + "; " + e.next());
      }
    }
    ProofDocument proof = new Proofs(cluster).latestProven().orElse(null);
    return new PreviewResult(
        name,
        moment.lsn().toString(),
        moment.inclusive() ? "after" : "before",
        outline.timeline(),
        lastCommitAt,
        layers.stream()
            .map(base ->
                new PreviewResult.Base(
                    base.label(), base.kind(), base.finishedAt(), base.storedBytes()))
            .toList(),
        outline.from().toString(),
        outline.segments().size(),
        outline.walBytes(),
        layers.stream().mapToLong(BaseManifest::storedBytes).sum()
            + storedBytes(outline.segments()),
        outline.base().bytes() + outline.walBytes(),
        proof == null ? null : expectedSeconds(proof, outline.base().bytes(), outline.walBytes()),
        proof == null ? null : proof.label(),
        tables,
        notes,
        Duration.ofNanos(System.nanoTime() - began).toMillis() / 1e3);
  }

  /**
   * What is fetched takes time by its bytes, so does what is replayed; starting does not. Null when
   * the proof says nothing of a kind that is needed.
   */
  static @Nullable Double expectedSeconds(ProofDocument proof, long baseBytes, long walBytes) {
    ProofDocument.Recovery took = proof.recovery();
    if (took == null || proof.baseBytes() <= 0 || (proof.walBytes() <= 0 && walBytes > 0)) {
      return null;
    }
    double base = (took.baseSeconds() + took.durableSeconds()) / proof.baseBytes();
    double wal = walBytes == 0 ? 0 : (took.walSeconds() + took.replaySeconds()) / proof.walBytes();
    return baseBytes * base + walBytes * wal + took.startSeconds();
  }

  private long storedBytes(List<String> segments) {
    Set<String> wanted = new HashSet<>(segments);
    return cluster.wal().objects().stream()
        .filter(object -> wanted.contains(object.name()))
        .mapToLong(WalStore.SegmentObject::bytes)
        .sum();
  }

  private static PreviewResult.Table table(RecoveredTable table) {
    return new PreviewResult.Table(
        table.database(),
        table.name().schema(),
        table.name().table(),
        switch (table.kind()) {
          case "p" -> "partitioned table";
          case "m" -> "materialised view";
          default -> "table";
        },
        table.rows() < 0 ? null : table.rows(),
        table.bytes());
  }
}
