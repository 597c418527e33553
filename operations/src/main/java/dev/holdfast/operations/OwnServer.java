package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.store.ClusterDocument;

/** Makes sure that a connection for writing leads to the cluster the plan is about. */
final class OwnServer {
  private OwnServer() {}

  static void require(ClusterDocument cluster, PostgresUrl url, TransactionSet set) {
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
          "give the URL of %s itself with --url; where another server has its place now, upgraded or moved, the rows can be had from a fork: holdfast fork %s"
              .formatted(cluster.name(), cluster.name()));
    }
    if (facts.inRecovery()) {
      throw new OperatorException(
          Kind.REFUSED,
          "nothing can be written to " + url.redacted(),
          "it is a standby",
          "give the URL of the primary with --url");
    }
    if (facts.role().name().equals(Protect.ROLE)) {
      throw new OperatorException(
          Kind.REFUSED,
          set.told() + " cannot be undone over this connection",
          "the role " + Protect.ROLE + " records; it can neither read nor write rows",
          "add --url postgresql://OWNER@HOST/"
              + set.database()
              + " with an owner of the tables, or set HOLDFAST_URL; it is kept nowhere");
    }
  }
}
