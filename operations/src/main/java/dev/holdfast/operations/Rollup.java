package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Folds an incremental base backup and all it stands on into a full one of the same moment. Reads
 * and writes the repository only; production is not asked.
 */
public final class Rollup {
  private final ClusterStore cluster;
  private final int threads;

  /** Of one cluster of this repository; {@code threads} work at once. */
  public Rollup(String repository, String name, int threads) {
    this(Repository.open(repository).cluster(name), threads);
  }

  Rollup(ClusterStore cluster, int threads) {
    this.cluster = cluster;
    this.threads = threads;
  }

  /**
   * Folds one. When that was done before, or it is a full one, there is nothing to do.
   *
   * @param label null for the newest
   * @throws OperatorException USAGE when there is none of that label; DAMAGED_DATA
   */
  public RollupResult run(@Nullable String label, Progress progress) {
    long begun = System.nanoTime();
    String name = cluster.document().name();
    BaseManifest newest = label == null ? newest() : cluster.bases().open(label).manifest();
    String full = newest.isIncremental() ? BaseStore.rolledUp(newest.label()) : newest.label();
    if (cluster.bases().exists(full)) {
      BaseManifest known = cluster.bases().open(full).manifest();
      return RollupResult.of(name, newest, known, 0, false, seconds(begun));
    }
    int layers = layers(newest);
    try (Progress.Phase phase =
        progress.begin("rolling up " + newest.label(), newest.bytes(), Progress.Unit.BYTES)) {
      BaseManifest made = cluster.bases().rollUp(newest.label(), threads, phase::advance);
      return RollupResult.of(name, newest, made, layers, true, seconds(begun));
    }
  }

  private static double seconds(long begun) {
    return (System.nanoTime() - begun) / 1e9;
  }

  private BaseManifest newest() {
    List<BaseManifest> bases = cluster.bases().list();
    if (bases.isEmpty()) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot roll up a base backup of " + cluster.document().name(),
          "there is none that can be used",
          "holdfast backup " + cluster.document().name());
    }
    return bases.getLast();
  }

  private int layers(BaseManifest newest) {
    int layers = 1;
    for (BaseManifest layer = newest;
        layer.parent() != null;
        layer = cluster.bases().open(layer.parent()).manifest()) {
      layers++;
    }
    return layers;
  }
}
