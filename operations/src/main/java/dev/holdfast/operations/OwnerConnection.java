package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.Repository;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The database that a command works on: given as a URL, or as a protected cluster with one. */
final class OwnerConnection {
  private OwnerConnection() {}

  /** Whether an argument is a connection itself, so that no repository is asked. */
  static boolean isUrl(String nameOrUrl) {
    return nameOrUrl.contains("://") || nameOrUrl.contains("=");
  }

  /**
   * Where to connect to.
   *
   * @param nameOrUrl a URL, keywords and values, or a cluster's name
   * @param ownerUrl with a name: connects as an owner of the tables; null when none was given
   * @param repository where a name is looked up; asked only then
   * @throws OperatorException USAGE where a name comes without a URL, REFUSED where the URL leads
   *     to another server
   */
  static PostgresUrl of(String nameOrUrl, @Nullable String ownerUrl, Supplier<String> repository) {
    if (isUrl(nameOrUrl)) {
      return PostgresUrl.parse(nameOrUrl);
    }
    ClusterDocument cluster = Repository.open(repository.get()).current(nameOrUrl).document();
    if (ownerUrl == null) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot connect to " + nameOrUrl + " as an owner of its tables",
          "what is kept of it is the recorder's connection, which can neither read nor write rows",
          "add --url postgresql://OWNER@HOST/DATABASE, or set HOLDFAST_URL; it is kept nowhere");
    }
    PostgresUrl url = PostgresUrl.parse(ownerUrl);
    ServerFacts facts = ServerFacts.read(url);
    if (!facts.systemIdentifier().equals(cluster.systemIdentifier())) {
      throw new OperatorException(
          Kind.REFUSED,
          "that is not " + cluster.name(),
          "the server at "
              + url.redacted()
              + " has the system identifier "
              + facts.systemIdentifier()
              + "; "
              + cluster.name()
              + " has "
              + cluster.systemIdentifier(),
          "give the URL of %s itself with --url; where this server took its place, upgraded or moved: holdfast protect NEW_NAME URL --environment %s --continues %s"
              .formatted(cluster.name(), cluster.environment(), cluster.name()));
    }
    return url;
  }
}
