package dev.holdfast.operations;

import dev.holdfast.damage.DamageScan;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import java.time.Instant;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** What was done to a cluster, transaction by transaction, out of its recorded WAL. */
public final class Log {
  private final ClusterStore cluster;

  /** The log of one protected cluster. */
  public Log(String repository, String name) {
    this.cluster = Repository.open(repository).cluster(name);
  }

  /**
   * Which transactions are wanted.
   *
   * @param destructive only those that may have destroyed something
   * @param table only those that touched this table, named {@code table} or {@code schema.table};
   *     null for all
   * @param since only those committed at or after this; null for all
   * @param until only those committed before this; null for all
   * @param user only this role's; null for all. Transactions whose user the log does not say are
   *     left out
   * @param application as {@code user}, by application_name
   */
  public record Filter(
      boolean destructive,
      @Nullable String table,
      @Nullable Instant since,
      @Nullable Instant until,
      @Nullable String user,
      @Nullable String application) {
    /** Everything. */
    public static final Filter ALL = new Filter(false, null, null, null, null, null);

    boolean wants(TransactionDamage damage) {
      return (!destructive || damage.isDestructive())
          && (since == null || !damage.committedAt().isBefore(since))
          && (until == null || damage.committedAt().isBefore(until))
          && (user == null || user.equals(damage.user()))
          && (application == null || application.equals(damage.application()))
          && (table == null
              || damage.tables().stream()
                  .anyMatch(touched ->
                      touched.table().toString().equals(table)
                          || touched.table().table().equals(table)));
    }
  }

  /** Tells {@code sink} of every wanted transaction, oldest first. */
  public void run(Filter filter, Progress progress, Consumer<LogEntry> sink) {
    RecordedWal wal = new RecordedWal(cluster);
    DamageScan scan =
        new DamageScan(
            RecordedNames.of(cluster),
            damage -> {
              if (filter.wants(damage)) {
                sink.accept(LogEntry.of(damage));
              }
            });
    try (Progress.Phase phase =
        progress.begin("reading WAL", wal.bytesFrom(Lsn.NONE), Progress.Unit.BYTES)) {
      wal.readAll(phase, scan::accept);
    }
  }
}
