package dev.holdfast.operations;

import dev.holdfast.postgres.ComparedDatabase;
import dev.holdfast.postgres.PostgresUrl;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A side of {@link Diff} while it is open: a server, or a fork of a protected cluster's newest
 * recorded state, which ends with it.
 */
final class DiffSide implements AutoCloseable {
  private final ComparedDatabase database;
  private final Fork.@Nullable Running fork;
  private final @Nullable String name;

  private DiffSide(ComparedDatabase database, Fork.@Nullable Running fork, @Nullable String name) {
    this.database = database;
    this.fork = fork;
    this.name = name;
  }

  /**
   * Opens it.
   *
   * @param given a URL, keywords and values, or {@code NAME[/DATABASE]}
   * @param otherDatabase the database of a name that comes without one
   * @param primary may be the primary that this side is a standby of; null for none
   */
  static DiffSide open(
      String label,
      String given,
      String otherDatabase,
      Supplier<String> repository,
      @Nullable Path scratch,
      @Nullable DiffSide primary,
      Progress progress) {
    ComparedDatabase other = primary == null || primary.fork != null ? null : primary.database;
    if (OwnerConnection.isUrl(given)) {
      return new DiffSide(
          ComparedDatabase.open(label, PostgresUrl.parse(given), other), null, null);
    }
    int slash = given.indexOf('/');
    String name = slash < 0 ? given : given.substring(0, slash);
    Fork.Running fork =
        new Fork(repository.get(), name, scratch).start(Target.LATEST, Fork.Wanted.ALL, progress);
    try {
      PostgresUrl url =
          PostgresUrl.parse(fork.ready().url())
              .withDatabase(slash < 0 ? otherDatabase : given.substring(slash + 1));
      return new DiffSide(ComparedDatabase.open(label, url, null), fork, name);
    } catch (RuntimeException e) {
      fork.close();
      throw e;
    }
  }

  ComparedDatabase database() {
    return database;
  }

  boolean isFork() {
    return fork != null;
  }

  DiffSummary.Side described() {
    return new DiffSummary.Side(
        database.redactedUrl(),
        name,
        database.facts().version(),
        database.facts().standby(),
        database.facts().position().toString());
  }

  @Override
  public void close() {
    database.close();
    if (fork != null) {
      fork.close();
    }
  }
}
