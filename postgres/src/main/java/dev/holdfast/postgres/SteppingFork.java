package dev.holdfast.postgres;

import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.sql.Connection;
import org.jspecify.annotations.Nullable;

/** STUB. */
public final class SteppingFork implements AutoCloseable {
  private final ClusterStore cluster;
  private final ForkOptions options;
  private @Nullable Fork fork;

  private SteppingFork(ClusterStore cluster, ForkOptions options) {
    this.cluster = cluster;
    this.options = options;
  }

  public static SteppingFork start(ClusterStore cluster, Lsn first, ForkOptions options) {
    SteppingFork fork = new SteppingFork(cluster, options);
    fork.moveTo(first);
    return fork;
  }

  public void moveTo(Lsn lsn) {
    if (fork != null) {
      if (fork.target().equals(lsn)) {
        return;
      }
      fork.close();
    }
    fork = Fork.start(cluster, ForkTarget.before(lsn), options);
  }

  public Connection connect(String database) {
    return java.util.Objects.requireNonNull(fork).connect(database);
  }

  @Override
  public void close() {
    if (fork != null) {
      fork.close();
    }
  }
}
