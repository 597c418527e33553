package dev.holdfast.operations;

import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterDocument;
import org.jspecify.annotations.Nullable;

/** How a protected cluster is reached. */
final class Connections {
  private Connections() {}

  /**
   * The recorder's connection.
   *
   * @param given a URL of the operator's choice; null: what {@code protect} kept
   */
  static PostgresUrl recorder(ClusterDocument cluster, @Nullable String given) {
    return PostgresUrl.parse(given == null ? cluster.url() : given)
        .withApplicationName("holdfast:" + cluster.name());
  }

  /**
   * An owner's connection to one database, for writing. Never stored.
   *
   * @param given a URL of the operator's choice; null: the recorder's, which suffices only where it
   *     owns the tables
   */
  static PostgresUrl owner(ClusterDocument cluster, @Nullable String given, String database) {
    return PostgresUrl.parse(given == null ? cluster.url() : given)
        .withDatabase(database)
        .withApplicationName(Revert.APPLICATION);
  }
}
