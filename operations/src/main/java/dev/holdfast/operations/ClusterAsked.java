package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Identity;
import dev.holdfast.postgres.Databases;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterStore;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who asked whether they are at a cluster: at its databases, as they keep it, and elsewhere, as the
 * repository does.
 */
final class ClusterAsked {
  private static final Logger LOG = LoggerFactory.getLogger(ClusterAsked.class);
  private static final Duration STATEMENT_MAX = Duration.ofSeconds(2);
  private static final Duration DATABASES_MAX = Duration.ofSeconds(5);

  /** Somebody who was elsewhere and does not ask any more is nobody's worry for ever. */
  private static final Duration TOLD = Duration.ofDays(14);

  private final ClusterStore cluster;

  ClusterAsked(ClusterStore cluster) {
    this.cluster = cluster;
  }

  /**
   * Reads it, newest first.
   *
   * @param answers whether the server that is recorded answered just now
   */
  List<Asked> run(PostgresUrl recorder, boolean answers, Instant now, List<Advice> advice) {
    List<Asked> asked = new ArrayList<>();
    for (RecordedCheck check : new RecordedChecks(cluster).list()) {
      asked.add(
          new Asked(
              "repository",
              ClientFolding.name(check.application()),
              ClientFolding.name(check.host()),
              check.commit(),
              check.rightAt(),
              check.wrongAt(),
              check.wrongSince(),
              check.wrongSince() == null ? null : check.headline(),
              check.url()));
    }
    if (answers) {
      atDatabases(recorder, asked);
    }
    asked.sort(Comparator.comparing(Asked::lastAt).reversed());
    asked.stream()
        .filter(Asked::isElsewhere)
        .filter(one -> one.lastAt().plus(TOLD).isAfter(now))
        .map(this::advice)
        .forEach(advice::add);
    return List.copyOf(asked);
  }

  private static void atDatabases(PostgresUrl recorder, List<Asked> asked) {
    long until = System.nanoTime() + DATABASES_MAX.toNanos();
    try {
      for (String database : Databases.open(recorder)) {
        if (System.nanoTime() > until) {
          return;
        }
        try (Connection connection = recorder.withDatabase(database).open()) {
          for (Identity.Asked one : Identity.asked(connection, STATEMENT_MAX)) {
            asked.add(
                new Asked(
                    "database " + database,
                    ClientFolding.name(one.application()),
                    ClientFolding.name(one.host()),
                    one.commit(),
                    one.rightAt(),
                    one.wrongAt(),
                    null,
                    one.wrong() == null ? null : ClientFolding.name(one.wrong()),
                    null));
          }
        }
      }
    } catch (SQLException | OperatorException e) {
      LOG.debug("who asked is not known", e); // the rest of the status says what does not answer
    }
  }

  private Advice advice(Asked one) {
    String who = "%s on %s".formatted(one.application(), one.host());
    String name = cluster.document().identity();
    return one.url() == null
        ? new Advice(
            "warning",
            "%s was about to use %s of %s at %s, and meant %s"
                .formatted(who, one.keptIn(), name, seconds(one.wrongAt()), one.said()),
            "correct the address it was given")
        : new Advice(
            "warning",
            "%s is not at %s since %s: %s (%s)"
                .formatted(who, name, seconds(one.wrongSince()), one.said(), one.url()),
            "correct the address it was given, then: holdfast check URL --expect %s/%s"
                .formatted(cluster.document().identity(), cluster.document().environment()));
  }

  private static @Nullable Instant seconds(@Nullable Instant time) {
    return time == null ? null : time.truncatedTo(ChronoUnit.SECONDS);
  }
}
