package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** The proofs of one cluster that its repository keeps. */
public final class Proofs {
  /** The kind of their documents. */
  static final String KIND = "proofs";

  /** A repository with more damaged proofs than this has other worries. */
  private static final int DAMAGED_MAX = 20;

  private final ClusterStore cluster;
  private final List<String> newestFirst;
  private final List<String> damaged = new ArrayList<>();
  private @Nullable ProofDocument latest;

  /** Of this cluster, as they are now. */
  public Proofs(ClusterStore cluster) {
    this.cluster = cluster;
    this.newestFirst = cluster.documents(KIND).reversed();
  }

  /** The newest one, whatever it came to. */
  public Optional<ProofDocument> latest() {
    if (latest == null) {
      latest = first(_ -> true).orElse(null);
    }
    return Optional.ofNullable(latest);
  }

  /** The newest one that proved that the cluster comes back. */
  public Optional<ProofDocument> latestProven() {
    Optional<ProofDocument> newest = latest();
    return newest.isPresent() && newest.get().isProven() ? newest : first(ProofDocument::isProven);
  }

  /** Names of those that could not be read on the way. */
  List<String> damaged() {
    return List.copyOf(damaged);
  }

  private Optional<ProofDocument> first(Predicate<ProofDocument> wanted) {
    for (String name : newestFirst) {
      if (damaged.contains(name)) {
        continue;
      }
      try {
        ProofDocument proof = cluster.document(KIND, name, ProofDocument.class);
        if (wanted.test(proof)) {
          return Optional.of(proof);
        }
      } catch (OperatorException e) {
        if (e.kind() != Kind.DAMAGED_DATA || damaged.size() == DAMAGED_MAX) {
          throw e;
        }
        damaged.add(name);
      }
    }
    return Optional.empty();
  }
}
