package dev.holdfast.operations;

import dev.holdfast.postgres.Fork;
import dev.holdfast.postgres.ForkContents;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.RecoveryProgress;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.postgres.SteppingFork;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** Makes forks, telling an operator's progress. */
final class Forks {
  private Forks() {}

  static Fork start(
      ClusterStore cluster,
      RecoveryTarget target,
      ForkOptions options,
      String name,
      Progress progress) {
    try (Told told = new Told(name, progress)) {
      return Fork.start(cluster, target, options.telling(told));
    }
  }

  static SteppingFork stepping(
      ClusterStore cluster, Lsn first, ForkOptions options, String name, Progress progress) {
    try (Told told = new Told(name, progress)) {
      return SteppingFork.start(cluster, first, options.telling(told));
    }
  }

  static ForkReady ready(ClusterStore cluster, Fork fork, RecoveryTarget target) {
    String database = fork.database();
    return new ForkReady(
        cluster.document().name(),
        fork.url(database == null ? "postgres" : database),
        target.lsn().toString(),
        target.inclusive() ? "after" : "before",
        fork.base(),
        fork.walBytes(),
        switch (fork.contents()) {
          case ForkContents.Whole _ -> "everything";
          case ForkContents.Sparse sparse -> sparse.tables().isEmpty() ? "schema" : "tables";
        },
        database,
        fork.tables().stream().map(TableName::toString).toList(),
        switch (fork.contents()) {
          case ForkContents.Whole _ -> true;
          case ForkContents.Sparse sparse -> sparse.largeObjects();
        },
        fork.attempts(),
        seconds(fork.timings().fetch()),
        seconds(fork.timings().start()),
        seconds(fork.timings().replay()),
        seconds(fork.timings().ready()),
        seconds(fork.timings().total()));
  }

  private static double seconds(Duration duration) {
    return duration.toMillis() / 1e3;
  }

  /** Turns positions into progress: the base backup's bytes, those of WAL. */
  static final class Told implements RecoveryProgress, AutoCloseable {
    private final String name;
    private final Progress progress;
    private Progress.@Nullable Phase phase;
    private @Nullable Lsn replayedFrom;
    private long replayed;
    private boolean replaying;
    private String counted = "";
    private long count;

    Told(String name, Progress progress) {
      this.name = name;
      this.progress = progress;
    }

    @Override
    public synchronized void fetched(long bytes, long total) {
      if (!replaying) {
        count("base backup", bytes, total);
      }
    }

    @Override
    public synchronized void compared(long bytes, long total) {
      count("comparing", bytes, total);
    }

    @Override
    public void needs(long bytes, long base, long wal) {
      progress.say(
          "%s: takes %,d MB of room: base backup %,d MB, WAL %,d MB"
              .formatted(name, bytes >> 20, base >> 20, wal >> 20));
    }

    @Override
    public synchronized void walFetched(long bytes, long total) {
      count("WAL", bytes, total);
    }

    @Override
    public synchronized void synced(long bytes, long total) {
      count("making it durable", bytes, total);
    }

    private void count(String what, long bytes, long total) {
      if (!counted.equals(what)) {
        close();
        counted = what;
        count = 0;
        phase = progress.begin(name + ": " + what, total, Progress.Unit.BYTES);
      }
      if (phase != null) {
        phase.advance(bytes - count);
        count = bytes;
      }
    }

    @Override
    public synchronized void replayed(Lsn through, Lsn target) {
      if (replayedFrom == null) {
        close();
        replaying = true;
        replayedFrom = through;
        phase =
            progress.begin(
                name + ": replaying WAL", Math.max(0, target.minus(through)), Progress.Unit.BYTES);
      }
      long done = Math.max(0, through.minus(replayedFrom));
      if (phase != null && done > replayed) {
        phase.advance(done - replayed);
        replayed = done;
      }
    }

    @Override
    public synchronized void close() {
      if (phase != null) {
        phase.close();
        phase = null;
      }
    }
  }
}
