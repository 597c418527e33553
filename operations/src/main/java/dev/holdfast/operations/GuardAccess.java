package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Guard;
import dev.holdfast.postgres.PooledSession;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.Repository;
import java.sql.Connection;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A database that is guarded, or is to be: how its owner reaches it, what it is called.
 *
 * @param url of the guard's owner, never stored
 * @param name what Holdfast calls the cluster; null where only a URL was given
 * @param environment as the repository has it; null where only a URL was given
 */
public record GuardAccess(PostgresUrl url, @Nullable String name, @Nullable String environment) {
  private static final String APPLICATION = "holdfast:guard";

  /**
   * Finds it.
   *
   * @param nameOrUrl a protected cluster, or a connection, with which no repository is asked
   * @param ownerUrl with a name: connects as an owner; null when none was given
   * @param repository where a name is looked up; asked only then
   */
  public static GuardAccess of(
      String nameOrUrl, @Nullable String ownerUrl, Supplier<String> repository) {
    PostgresUrl url = OwnerConnection.of(nameOrUrl, ownerUrl, repository);
    if (OwnerConnection.isUrl(nameOrUrl)) {
      return new GuardAccess(url, null, null);
    }
    ClusterDocument cluster = Repository.open(repository.get()).current(nameOrUrl).document();
    return new GuardAccess(url, cluster.identity(), cluster.environment());
  }

  /** The database's name. */
  public String database() {
    return url.database();
  }

  Connection open() {
    return PooledSession.withoutNamedStatements(url.withApplicationName(APPLICATION).open());
  }

  /** What to install, with what was said where the repository does not know. */
  Guard.Installation installation(@Nullable String saidName, @Nullable String saidEnvironment) {
    String cluster = saidName != null ? saidName : name;
    String kind = saidEnvironment != null ? saidEnvironment : environment;
    if (cluster == null || kind == null) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot install the guard without knowing what this database is",
          "with a URL no repository says what it is called and whether it is production",
          "add --name acme --environment production");
    }
    return new Guard.Installation(cluster, kind);
  }

  /** How locks are asked for where nothing is stamped. */
  static Guard.Installation patience() {
    return new Guard.Installation("", "development");
  }
}
