package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.GuardedCopy;
import dev.holdfast.postgres.ForkContents;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A throw-away server holding the data as it was at a moment. */
public final class Fork {
  private final ClusterStore cluster;
  private final ForkOptions options;

  /**
   * @param scratch the folder it is made in; null: the machine's temporary one
   */
  public Fork(String repository, String name, @Nullable Path scratch) {
    this.cluster = Repository.open(repository).cluster(name);
    this.options = scratch == null ? ForkOptions.defaults() : ForkOptions.defaults().in(scratch);
  }

  /**
   * What of the cluster is wanted.
   *
   * @param tables as SQL writes them, with commas between: {@code TABLE}, {@code SCHEMA.TABLE} or
   *     {@code DATABASE.SCHEMA.TABLE}; null: not only tables
   * @param database the database they are in; null: wherever all of them are
   * @param largeObjects whether that database's large objects are wanted with the tables
   * @param schemaOnly the catalogs alone; then no tables are named
   */
  public record Wanted(
      @Nullable String tables,
      @Nullable String database,
      boolean largeObjects,
      boolean schemaOnly) {
    /** Everything. */
    public static final Wanted ALL = new Wanted(null, null, false, false);
  }

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

  /**
   * Makes a fork.
   *
   * @throws OperatorException USAGE for a table that is not known, with those of a like name;
   *     REFUSED for one that was not there at that moment
   */
  public Running start(Target target, Wanted wanted, Progress progress) {
    List<GivenTable> given = wanted.tables == null ? List.of() : GivenTable.parse(wanted.tables);
    RecoveryTarget moment = RecoveryTargets.resolve(cluster, "fork", target, progress);
    ForkContents contents = new ForkContents.Whole();
    Map<Long, TableName> tables = Map.of();
    if (wanted.schemaOnly) {
      contents = ForkContents.Sparse.SCHEMA_ONLY;
    } else if (!given.isEmpty()) {
      WantedTables found = WantedTables.find(cluster, moment.lsn(), given, wanted.database);
      tables = found.byOid();
      contents =
          new ForkContents.Sparse(found.databaseOid(), tables.keySet(), true, wanted.largeObjects);
    }
    dev.holdfast.postgres.Fork fork =
        Forks.start(cluster, moment, options.holding(contents), "fork " + moment, progress);
    if (!fork.absent().isEmpty()) {
      fork.close();
      throw absent(moment, fork.absent().stream().map(tables::get).sorted().toList());
    }
    releaseGuards(fork, progress);
    return new Running(fork, Forks.ready(cluster, fork, moment));
  }

  /** It is used to try what production refuses, and must not pass for it. */
  private static void releaseGuards(dev.holdfast.postgres.Fork fork, Progress progress) {
    boolean whole = fork.contents() instanceof ForkContents.Whole;
    for (String database : fork.databases()) {
      try (Connection connection = fork.connect(database)) {
        GuardedCopy.stamp(connection, "development");
      } catch (SQLException | OperatorException e) {
        if (whole) { // a sparse fork has no rows of the guard, which lets everything pass then
          progress.say(
              "the guard in database %s of the fork still says that it is production: %s"
                  .formatted(database, e.getMessage()));
        }
      }
    }
  }

  private OperatorException absent(RecoveryTarget moment, List<TableName> tables) {
    return new OperatorException(
        Kind.REFUSED,
        "cannot fork " + cluster.document().name() + " " + moment + " with these tables",
        tables.stream().map(TableName::toString).collect(Collectors.joining(", "))
            + (tables.size() == 1 ? " was" : " were")
            + " not there at that moment",
        "holdfast log "
            + cluster.document().name()
            + " --destructive tells when a table went; choose a moment before it");
  }
}
