package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.ForkTarget;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A throw-away server holding the data as it was at a moment. */
public final class Fork {
  private final String repository;
  private final ClusterStore cluster;
  private final ForkOptions options;

  /**
   * @param scratch the folder it is made in; null: the machine's temporary one
   */
  public Fork(String repository, String name, @Nullable Path scratch) {
    this.repository = repository;
    this.cluster = Repository.open(repository).cluster(name);
    this.options = scratch == null ? ForkOptions.defaults() : ForkOptions.defaults().in(scratch);
  }

  /**
   * The moment: at most one is given; none means the newest recorded one.
   *
   * @param before just before this transaction committed
   * @param after just after it committed
   * @param at before the first transaction that committed after this time
   * @param lsn before the record at this position
   */
  public record Target(
      @Nullable String before,
      @Nullable String after,
      @Nullable Instant at,
      @Nullable String lsn) {}

  /** A fork that runs until it is closed; then it is gone with its files. */
  public static final class Running implements AutoCloseable {
    private final dev.holdfast.postgres.Fork fork;
    private final ForkReady ready;

    private Running(dev.holdfast.postgres.Fork fork, ForkReady ready) {
      this.fork = fork;
      this.ready = ready;
    }

    /** How to reach it, and what making it took. */
    public ForkReady ready() {
      return ready;
    }

    @Override
    public void close() {
      fork.close();
    }
  }

  /** Makes a fork. */
  public Running start(Target target, Progress progress) {
    ForkTarget moment = resolve(target, progress);
    dev.holdfast.postgres.Fork fork =
        Forks.start(cluster, moment, options, "fork " + moment, progress);
    return new Running(fork, Forks.ready(cluster, fork, moment));
  }

  private ForkTarget resolve(Target target, Progress progress) {
    RecordedWal wal = new RecordedWal(cluster);
    if (target.lsn != null) {
      try {
        return ForkTarget.before(Lsn.parse(target.lsn));
      } catch (IllegalArgumentException e) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot fork at \"" + target.lsn + "\"",
            String.valueOf(e.getMessage()),
            "for a transaction number use --before " + target.lsn);
      }
    }
    RecordedTransactions transactions =
        new RecordedTransactions(cluster, wal, RecordedNames.of(cluster));
    if (target.before != null) {
      return ForkTarget.before(transactions.find(target.before, progress).targetLsn());
    }
    if (target.after != null) {
      return ForkTarget.after(transactions.find(target.after, progress).commitLsn());
    }
    if (target.at != null) {
      if (target.at.isAfter(Instant.now())) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot fork at " + target.at,
            "that is in the future: it is " + Instant.now() + " now",
            "check the offset from UTC, or leave --at out for the newest recorded moment");
      }
      var next = transactions.firstAfter(target.at, progress);
      if (next == null) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot fork at " + target.at,
            "nothing that committed after it is recorded; the newest recorded commit is of "
                + new Status(repository).of(cluster.document().name()).getFirst().lastCommitAt(),
            "leave --at out for the newest recorded moment, or see whether `holdfast record "
                + cluster.document().name()
                + "` is running");
      } else {
        return ForkTarget.before(next);
      }
    }
    return ForkTarget.before(Objects.requireNonNull(wal.end()));
  }
}
