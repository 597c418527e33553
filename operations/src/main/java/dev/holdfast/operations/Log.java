package dev.holdfast.operations;

import dev.holdfast.damage.RelationNames;
import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.time.Instant;
import java.util.List;
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
   * @param table only those that touched one of these tables, as {@code TABLE}, {@code
   *     SCHEMA.TABLE} or {@code DATABASE.SCHEMA.TABLE}, with commas between; null for all
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

    /** Refuses names that are none. */
    public Filter {
      if (table != null) {
        GivenTable.parse(table);
      }
    }

    /** Whether a segment can hold a commit of the wanted time. */
    boolean mayHold(SegmentSummary summary) {
      Instant earliest = summary.earliestCommitAt();
      Instant latest = summary.latestCommitAt();
      return earliest != null
          && latest != null
          && (since == null || !latest.isBefore(since))
          && (until == null || earliest.isBefore(until));
    }

    /** Whether a segment can hold changes of the wanted table. */
    boolean mayTouch(SegmentSummary summary, RelationNames names) {
      return table == null
          || summary.destructive().stream().anyMatch(damage -> touches(damage, table))
          || summary.relations().stream()
              .map(counts -> names.byFile(counts.file(), summary.to()))
              .anyMatch(relation -> relation == null || isWanted(null, relation.name(), table));
    }

    private static boolean touches(TransactionDamage damage, String tables) {
      return damage.tables().stream()
          .anyMatch(touched -> isWanted(touched.database(), touched.table(), tables));
    }

    private static boolean isWanted(@Nullable String database, TableName name, String tables) {
      return GivenTable.parse(tables).stream().anyMatch(given -> given.means(database, name));
    }

    boolean wants(TransactionDamage damage) {
      return (!destructive || damage.isDestructive())
          && (since == null || !damage.committedAt().isBefore(since))
          && (until == null || damage.committedAt().isBefore(until))
          && (user == null || user.equals(damage.user()))
          && (application == null || application.equals(damage.application()))
          && (table == null || touches(damage, table));
    }
  }

  /** The stretches of positions of which nothing is recorded: what was done there is not known. */
  public List<ClusterStatus.Gap> gaps() {
    return new RecordedWal(cluster)
        .gaps().stream()
            .map(gap -> new ClusterStatus.Gap(gap.from().toString(), gap.to().toString()))
            .toList();
  }

  /** Tells {@code sink} of every wanted transaction, oldest first. */
  public void run(Filter filter, Progress progress, Consumer<LogEntry> sink) {
    RecordedWal wal = new RecordedWal(cluster);
    RecordedNames names = RecordedNames.of(cluster);
    RecordedDamage recorded = new RecordedDamage(cluster, wal, names);
    Consumer<TransactionDamage> told =
        damage -> {
          if (filter.wants(damage)) {
            sink.accept(LogEntry.of(damage));
          }
        };
    if (filter.destructive) {
      recorded.destructive(filter::mayHold, progress, told);
    } else {
      recorded.all(
          summary -> filter.mayHold(summary) && filter.mayTouch(summary, names), progress, told);
    }
  }
}
