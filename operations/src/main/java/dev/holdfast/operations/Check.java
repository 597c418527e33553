package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Identity;
import dev.holdfast.guard.Stamp;
import dev.holdfast.operations.CheckResult.Missing;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.postgres.DatabaseShape;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.store.Succession;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which database is this, really? By what it says of itself, by which server it is on, by what is
 * recorded of the clusters in the repository, and by whether its WAL is what is recorded.
 */
public final class Check {
  private static final Logger LOG = LoggerFactory.getLogger(Check.class);
  private static final String APPLICATION = "holdfast:check";

  /** The recorder renews its mark once a minute. */
  private static final Duration MARK_MAX = Duration.ofMinutes(3);

  /** Of a cluster's tables: with fewer in common it is a coincidence of names. */
  private static final double COPY_HAS_AT_LEAST = 0.3;

  /** An answer after that is none: a deploy waits for it. */
  private static final int DATABASE_SECONDS = 8;

  private static final Duration REPOSITORY_MAX = Duration.ofSeconds(15);

  private final @Nullable String location;
  private final @Nullable Asker asker;

  /**
   * Asks.
   *
   * @param repository where clusters are recorded; null without one: then a database is what it
   *     says to be, and a copy of its files cannot be told from it
   * @param asker on whose behalf, to be kept in the database and the repository; null: nothing is
   *     kept
   */
  public Check(@Nullable String repository, @Nullable Asker asker) {
    this.location = repository;
    this.asker = asker;
  }

  /**
   * What the database at this address is.
   *
   * @param address a URL, or keywords and values
   * @param source where it was found; null when it was given
   */
  public CheckResult of(String address, @Nullable String source, Expectation expectation) {
    PostgresUrl url = PostgresUrl.ofApplication(address);
    try (Connection connection =
        url.withApplicationName(APPLICATION).openBriefly(DATABASE_SECONDS)) {
      DatabaseShape shape = DatabaseShape.read(connection);
      Stamp stamp = Stamp.read(connection);
      Found found =
          withRepository(url, source, expectation, shape, stamp, () -> receivers(connection));
      return found.result.notedIn(note(connection, found.repository, expectation, found.result));
    } catch (OperatorException e) {
      if (e.kind() != Kind.DATABASE_UNREACHABLE) {
        throw e;
      }
      return unreachable(url, source, expectation, String.valueOf(e.getMessage()));
    } catch (SQLException e) {
      return unreachable(url, source, expectation, String.valueOf(e.getMessage()));
    }
  }

  private static List<String> receivers(Connection connection) {
    try {
      return DatabaseShape.receivers(connection);
    } catch (SQLException e) {
      LOG.debug("who receives its WAL is not known any more", e);
      return List.of();
    }
  }

  private record Found(@Nullable Repository repository, CheckResult result) {}

  /**
   * What is recorded says more, if it can be had: a store that is down must not keep production
   * from being deployed.
   */
  private Found withRepository(
      PostgresUrl url,
      @Nullable String source,
      Expectation expectation,
      DatabaseShape shape,
      @Nullable Stamp stamp,
      Supplier<List<String>> receivers) {
    String place = location;
    if (place == null) {
      return new Found(
          null,
          new Judgement(url, source, expectation, shape, stamp, receivers, null, null).result());
    }
    CompletableFuture<Found> asked = new CompletableFuture<>();
    Thread.ofVirtual()
        .name("check-repository")
        .start(() -> {
          try {
            Repository repository = Repository.open(place);
            asked.complete(
                new Found(
                    repository,
                    new Judgement(
                            url, source, expectation, shape, stamp, receivers, repository, null)
                        .result()));
          } catch (RuntimeException e) {
            asked.completeExceptionally(e);
          }
        });
    String why;
    try {
      return asked.get(REPOSITORY_MAX.toSeconds(), TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      why = "the repository did not answer within " + REPOSITORY_MAX.toSeconds() + " s";
    } catch (ExecutionException e) {
      if (e.getCause() instanceof OperatorException told && told.kind() != Kind.USAGE) {
        why = "the repository could not be asked: %s: %s".formatted(told.what(), told.why());
      } else if (e.getCause() instanceof RuntimeException other) {
        throw other;
      } else {
        throw new IllegalStateException(e);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED, "the check was stopped", "interrupted", "check again", e);
    }
    return new Found(
        null, new Judgement(url, source, expectation, shape, stamp, receivers, null, why).result());
  }

  /** Where a client was told something else than the cluster it asked for, only the repository. */
  private List<String> note(
      Connection connection,
      @Nullable Repository repository,
      Expectation expectation,
      CheckResult result) {
    List<String> places = new ArrayList<>();
    if (asker == null) {
      return places;
    }
    if (result.verdict() == Verdict.SAME || result.verdict() == Verdict.UNPROVEN) {
      try {
        if (Identity.note(
            connection,
            asker.application(),
            asker.host(),
            asker.commit(),
            result.expectation(),
            result.expected())) {
          places.add("database");
        }
      } catch (SQLException e) {
        LOG.debug("what was checked is not kept in the database", e);
      }
    }
    String name = expectation.not() ? null : expectation.cluster();
    try {
      if (repository != null
          && name != null
          && repository.clusterNames().contains(name)
          && new RecordedChecks(repository.current(name)).note(asker, result, Instant.now())) {
        places.add("repository");
      }
    } catch (OperatorException e) {
      LOG.debug("what was checked is not kept in the repository", e);
    }
    return places;
  }

  private static CheckResult unreachable(
      PostgresUrl url, @Nullable String source, Expectation expectation, String why) {
    return new CheckResult(
        url.redacted(),
        source,
        Verdict.UNREACHABLE,
        false,
        expectation.toString(),
        null,
        null,
        "the database does not answer, so nobody knows what it is",
        List.of(why),
        Missing.NONE,
        List.of(),
        null,
        List.of(),
        "see that the server runs and the address is right, then check again");
  }

  private static final class Judgement {
    private final PostgresUrl url;
    private final @Nullable String source;
    private final Expectation expectation;
    private final DatabaseShape shape;
    private final @Nullable Stamp stamp;
    private final Supplier<List<String>> receivers;
    private final @Nullable Repository repository;
    private final List<String> reasons = new ArrayList<>();
    private final String toBeSure;
    private final Map<String, Optional<Succession>> successions = new HashMap<>();
    private @Nullable List<ClusterStore> readable;

    /** The name under which the cluster is recorded that it is, where there is one. */
    private @Nullable String recordedAs;

    Judgement(
        PostgresUrl url,
        @Nullable String source,
        Expectation expectation,
        DatabaseShape shape,
        @Nullable Stamp stamp,
        Supplier<List<String>> receivers,
        @Nullable Repository repository,
        @Nullable String withoutRepository) {
      this.repository = repository;
      this.receivers = receivers;
      if (withoutRepository != null) {
        reasons.add(withoutRepository);
      }
      this.toBeSure =
          withoutRepository == null
              ? "name the repository to be sure: --repository URL, or HOLDFAST_REPOSITORY"
              : "see that the repository can be reached, then check again to be sure";
      this.url = url;
      this.source = source;
      this.expectation = expectation;
      this.shape = shape;
      this.stamp = stamp;
    }

    CheckResult result() {
      if (stamp != null) {
        reasons.add(
            "its stamp says %s/%s%s"
                .formatted(
                    stamp.cluster(),
                    stamp.environment(),
                    fits() ? "" : ", and was made on another server or under another name"));
      } else {
        reasons.add("it has no stamp of Holdfast's");
      }
      Told itself = withIdentifier();
      return itself == null ? elsewhere() : onItsServer(itself.cluster, itself.history);
    }

    private boolean fits() {
      return stamp != null
          && stamp.systemIdentifier().equals(shape.systemIdentifier())
          && stamp.database().equals(shape.database());
    }

    /**
     * A copy of a cluster may be protected, too, and has the same system identifier: it is the one
     * whose history it shares, else the one it says to be, else the one that is meant.
     */
    private @Nullable Told withIdentifier() {
      List<ClusterStore> candidates = new ArrayList<>();
      for (ClusterStore cluster : clusters()) {
        if (cluster.document().systemIdentifier().equals(shape.systemIdentifier())) {
          candidates.add(cluster);
        }
      }
      candidates.sort(
          Comparator.comparing((ClusterStore c) -> successor(c) != null)
              .thenComparing(c -> !isNamed(c, stamp == null ? null : stamp.cluster()))
              .thenComparing(c -> !isNamed(c, expectation.cluster())));
      long deadline = SameHistory.deadline(); // for all of them together
      Told first = null;
      for (ClusterStore cluster : candidates) {
        if (successor(cluster) != null) {
          return first == null ? new Told(cluster, SameHistory.NOT_RECORDED) : first;
        }
        Told told = new Told(cluster, SameHistory.of(shape, receivers, cluster, deadline));
        if (told.history == SameHistory.YES) {
          return told;
        }
        first = first == null ? told : first;
      }
      return first;
    }

    /** A cluster whose system identifier it has, and whether its log is that cluster's. */
    private record Told(ClusterStore cluster, SameHistory history) {}

    private static boolean isNamed(ClusterStore cluster, @Nullable String name) {
      return cluster.document().identity().equals(name);
    }

    /** Whichever took its place; null when none did. */
    private @Nullable Succession successor(ClusterStore cluster) {
      return successions
          .computeIfAbsent(
              cluster.document().name(), _ -> Optional.ofNullable(cluster.succession()))
          .orElse(null);
    }

    /** Whoever has the place of one of the past today, as far as it is known. */
    private String successorOf(ClusterStore cluster, Succession taken) {
      try {
        ClusterDocument current =
            Objects.requireNonNull(repository).current(cluster.document().name()).document();
        return current.name() + " has its place, " + PostgresUrl.parse(current.url()).redacted();
      } catch (OperatorException e) {
        reasons.add("what is recorded of %s cannot be read: %s".formatted(taken.name(), e.why()));
        return taken.name() + " has its place";
      }
    }

    /** Those that can be read: what is wrong with another one is not asked here. */
    private List<ClusterStore> clusters() {
      if (readable != null) {
        return readable;
      }
      List<ClusterStore> clusters = new ArrayList<>();
      readable = clusters;
      if (repository != null) {
        for (String name : repository.clusterNames()) {
          try {
            clusters.add(repository.cluster(name));
          } catch (OperatorException e) {
            if (e.kind() == Kind.REPOSITORY_UNREACHABLE) {
              throw e;
            }
            reasons.add("what is recorded of %s cannot be read: %s".formatted(name, e.why()));
          }
        }
      }
      return clusters;
    }

    /** The system identifier is a recorded cluster's: it is that one, or a copy of its files. */
    private CheckResult onItsServer(ClusterStore cluster, SameHistory history) {
      ClusterDocument document = cluster.document();
      String name = document.identity();
      String environment = stamp == null ? document.environment() : stamp.environment();
      reasons.add(
          "its system identifier %s is that of %s"
              .formatted(shape.systemIdentifier(), document.name()));
      recordedAs = document.name();
      Succession taken = successor(cluster);
      if (taken != null) {
        return told(
            Verdict.FORMER,
            name,
            environment,
            "this is an old server of %s/%s, or a copy of one: since %s %s"
                .formatted(
                    name,
                    environment,
                    taken.at().truncatedTo(ChronoUnit.SECONDS),
                    successorOf(cluster, taken)),
            null,
            "correct the URL; what is written here does not reach %s".formatted(name));
      }
      if (stamp != null && !stamp.database().equals(shape.database())) {
        reasons.add(
            "it was stamped as \"%s\" and is called \"%s\""
                .formatted(stamp.database(), shape.database()));
        return told(
            Verdict.DUMP_COPY,
            name,
            environment,
            "this is a copy of a database of %s, made on its own server".formatted(name),
            difference(cluster),
            "use the original, or say what it is: SELECT holdfast.adopt('development')");
      }
      String usual = PostgresUrl.parse(document.url()).database();
      if (ShapeDifference.isEmpty(shape) && !usual.equals(shape.database())) {
        return told(
            Verdict.EMPTY,
            name,
            environment,
            "this database on %s's server is empty: it is called \"%s\", %s's is \"%s\""
                .formatted(name, shape.database(), name, usual),
            null,
            "correct the database's name in the URL");
      }
      DatabaseShape.Checkpoint checkpoint = shape.checkpoint();
      Integer timeline = shape.timeline();
      String at =
          checkpoint == null
              ? ""
              : " (its newest checkpoint: %s%s)"
                  .formatted(
                      checkpoint.lsn(),
                      timeline == null
                          ? ""
                          : "; it writes on timeline " + Integer.toUnsignedString(timeline));
      return switch (history) {
        case YES -> {
          reasons.add("its WAL is what is recorded of " + document.name() + at);
          yield told(
              shape.inRecovery() ? Verdict.STANDBY : Verdict.SAME,
              name,
              environment,
              shape.inRecovery()
                  ? "this is a standby of %s/%s: it can be read, and not written to"
                      .formatted(name, environment)
                  : "this is %s/%s itself".formatted(name, environment),
              null,
              null);
        }
        case NO -> {
          reasons.add("its WAL is not what is recorded of " + document.name() + at);
          yield physicalCopy(cluster, environment);
        }
        case RECORDED_ELSEWHERE -> {
          reasons.add(
              "%s is being recorded, and not from this server%s".formatted(document.name(), at));
          if (markIsStale()) {
            reasons.add("the recorder's mark in it is from " + aliveAt());
            yield physicalCopy(cluster, environment);
          }
          yield told(
              Verdict.DOUBTFUL,
              name,
              environment,
              "this is a copy of %s's files, made a moment ago, or %s itself cut off from its recorder, as after a failover"
                  .formatted(name, name),
              null,
              "check again in a minute; holdfast status %s says what is recorded, and holdfast record %s --url takes the address of the server that was promoted"
                  .formatted(document.name(), document.name()));
        }
        case WENT_ON -> {
          reasons.add(
              "%s is recorded on an older timeline than it writes on%s"
                  .formatted(document.name(), at));
          yield told(
              Verdict.DOUBTFUL,
              name,
              environment,
              "this is %s after a failover (a standby that was promoted) and not recorded yet, or a copy that was restored and started"
                  .formatted(name),
              null,
              "if it was promoted, point the recorder at it: holdfast record %s --url URL; then check again"
                  .formatted(document.name()));
        }
        case NOT_RECORDED, UNKNOWN -> {
          reasons.add(
              history == SameHistory.UNKNOWN
                  ? "its WAL could not be compared with what is recorded" + at
                  : "nobody records %s at the moment, so its newest WAL could not be compared%s"
                      .formatted(document.name(), at));
          yield told(
              Verdict.UNPROVEN,
              name,
              environment,
              "this is %s/%s, as far as it can be told: a copy of its files would look the same"
                  .formatted(name, environment),
              null,
              "holdfast status " + document.name() + " says whether it is recorded");
        }
      };
    }

    private CheckResult physicalCopy(ClusterStore cluster, String environment) {
      return told(
          Verdict.PHYSICAL_COPY,
          cluster.document().identity(),
          environment,
          "this is a copy of %s's files (a snapshot of its disks, an old primary, a restored backup), and not %s itself"
              .formatted(cluster.document().identity(), cluster.document().identity()),
          null,
          "what is written here does not reach %s, which is recorded from %s: correct the URL"
              .formatted(
                  cluster.document().identity(),
                  PostgresUrl.parse(cluster.document().url()).redacted()));
    }

    private boolean markIsStale() {
      Instant alive = aliveAt();
      return alive != null && alive.plus(MARK_MAX).isBefore(Instant.now());
    }

    private @Nullable Instant aliveAt() {
      return stamp == null ? null : stamp.aliveAt();
    }

    /** Another server than any that is recorded, or nothing is recorded. */
    private CheckResult elsewhere() {
      ClusterStore compared = comparable();
      ShapeDifference difference = compared == null ? null : difference(compared);
      String name =
          stamp != null
              ? stamp.cluster()
              : compared == null ? null : compared.document().identity();
      // Stamped here, it is the one, before its first migration or after its last accident.
      if (ShapeDifference.isEmpty(shape) && !fits()) {
        return told(
            Verdict.EMPTY,
            stamp == null ? null : name,
            stamp == null ? null : stamp.environment(),
            compared == null
                ? "this database is empty: it has no table"
                : "this database is empty: it has none of the %d tables of %s"
                    .formatted(
                        difference == null ? 0 : difference.missing().tables(),
                        compared.document().identity()),
            difference,
            "it may be a new one, or the address of another environment: correct the URL");
      }
      if (stamp != null) {
        return stamped(stamp, compared, difference);
      }
      if (difference != null
          && compared != null
          && difference.common() > 0
          && difference.common() >= COPY_HAS_AT_LEAST * difference.missing().tables()) {
        int gone = difference.missing().missingTables().size();
        return told(
            Verdict.PARTIAL_COPY,
            compared.document().identity(),
            null,
            "this is a clone of %s, made by copying: %s"
                .formatted(
                    compared.document().identity(),
                    gone == 0
                        ? "all of its %d tables are here, and it is another server"
                            .formatted(difference.missing().tables())
                        : "%d of %d tables are missing"
                            .formatted(gone, difference.missing().tables())),
            difference,
            "use %s's own address; what is written here does not reach it"
                .formatted(compared.document().identity()));
      }
      if (compared == null) {
        return told(
            Verdict.UNPROTECTED,
            null,
            null,
            "this database was never protected: it may be a new, empty or hand-made one",
            null,
            repository == null
                ? toBeSure
                : "if it is the one: holdfast protect NAME URL --environment ENV");
      }
      return told(
          Verdict.OTHER,
          null,
          null,
          "this is another database: it has %d of the %d tables of %s"
              .formatted(
                  difference == null ? 0 : difference.common(),
                  difference == null ? 0 : difference.missing().tables(),
                  compared.document().identity()),
          null,
          "correct the URL");
    }

    private CheckResult stamped(
        Stamp itsStamp, @Nullable ClusterStore compared, @Nullable ShapeDifference difference) {
      if (!fits()) {
        return told(
            Verdict.DUMP_COPY,
            itsStamp.cluster(),
            itsStamp.environment(),
            "this is a copy of %s, made by dump and restore or moved to a new server: its stamp was made elsewhere"
                .formatted(itsStamp.cluster()),
            difference,
            "a copy is released by SELECT holdfast.adopt('development'); where it is %s itself, upgraded or moved: SELECT holdfast.adopt('%s')%s"
                .formatted(
                    itsStamp.cluster(),
                    itsStamp.environment(),
                    compared != null && isNamed(compared, itsStamp.cluster())
                        ? ", then holdfast protect NEW_NAME URL --environment %s --continues %s"
                            .formatted(itsStamp.environment(), compared.document().name())
                        : ""));
      }
      if (compared != null && isNamed(compared, itsStamp.cluster())) {
        reasons.add(
            "%s is recorded from a server with the system identifier %s, this one has %s"
                .formatted(
                    itsStamp.cluster(),
                    compared.document().systemIdentifier(),
                    shape.systemIdentifier()));
        return told(
            Verdict.DUMP_COPY,
            itsStamp.cluster(),
            itsStamp.environment(),
            "this is not the %s that is recorded: it was adopted as %s/%s on another server"
                .formatted(itsStamp.cluster(), itsStamp.cluster(), itsStamp.environment()),
            difference,
            "use %s's own address; where this one took its place, upgraded or moved: holdfast protect NEW_NAME URL --environment %s --continues %s"
                .formatted(itsStamp.cluster(), itsStamp.environment(), compared.document().name()));
      }
      return told(
          Verdict.UNPROVEN,
          itsStamp.cluster(),
          itsStamp.environment(),
          "this is %s/%s, as far as it can be told without a repository: a copy of its files would look the same"
              .formatted(itsStamp.cluster(), itsStamp.environment()),
          null,
          toBeSure);
    }

    /** The cluster it is most likely about. */
    private @Nullable ClusterStore comparable() {
      if (repository == null) {
        return null;
      }
      List<ClusterStore> known = clusters().stream().filter(c -> successor(c) == null).toList();
      List<String> names = known.stream().map(c -> c.document().identity()).toList();
      String wanted =
          !expectation.not() && expectation.cluster() != null
              ? expectation.cluster()
              : stamp != null && names.contains(stamp.cluster()) ? stamp.cluster() : null;
      if (wanted != null && !names.contains(wanted)) {
        return repository.current(wanted); // says that it is not there, or why it cannot be read
      }
      return known.stream()
          .filter(c -> wanted == null ? names.size() == 1 : isNamed(c, wanted))
          .findFirst()
          .orElse(null);
    }

    private @Nullable ShapeDifference difference(ClusterStore cluster) {
      Catalog newest;
      try {
        List<String> catalogs = cluster.catalogs();
        if (catalogs.isEmpty()) {
          return null;
        }
        newest = cluster.catalog(catalogs.getLast(), Catalog.class);
      } catch (OperatorException e) {
        if (e.kind() == Kind.REPOSITORY_UNREACHABLE) {
          throw e;
        }
        reasons.add("its tables could not be compared with what is recorded: " + e.why());
        return null;
      }
      String usual = PostgresUrl.parse(cluster.document().url()).database();
      String wanted = stamp == null ? usual : stamp.database();
      return newest.databases().stream()
          .filter(database -> database.name().equals(wanted))
          .findFirst()
          .map(database -> ShapeDifference.of(database, shape))
          .orElse(null);
    }

    private CheckResult told(
        Verdict verdict,
        @Nullable String cluster,
        @Nullable String environment,
        String headline,
        @Nullable ShapeDifference difference,
        @Nullable String next) {
      boolean itself =
          switch (verdict) {
            case SAME, STANDBY, UNPROVEN, DOUBTFUL -> true;
            default -> false;
          };
      // Until somebody adopts it, a stamp that was made elsewhere counts as what it says for those
      // who must not be there: it may be production itself, upgraded or renamed. And the old server
      // may hold what the new one has not.
      boolean unfit =
          expectation.not()
              && (verdict == Verdict.FORMER || (verdict == Verdict.DUMP_COPY && !fits()));
      boolean named = (itself || unfit) && expectation.names(cluster, environment);
      return new CheckResult(
          url.redacted(),
          source,
          verdict,
          expectation.not() ? !named : named && verdict != Verdict.DOUBTFUL,
          expectation.toString(),
          cluster,
          environment,
          headline
              + (itself && !named && !expectation.not()
                  ? ", and " + expectation + " was expected"
                  : ""),
          List.copyOf(reasons),
          difference == null ? Missing.NONE : difference.missing(),
          difference == null ? List.of() : difference.fallen(),
          aliveAt(),
          List.of(),
          itself && !named && !expectation.not() && isRecordedAsExpected(cluster)
              ? "its databases are called %s: say --expect %s/%s"
                  .formatted(cluster, cluster, environment)
              : next);
    }

    /** Whether the name of what is recorded was said, and its databases have another one. */
    private boolean isRecordedAsExpected(@Nullable String identity) {
      return recordedAs != null
          && recordedAs.equals(expectation.cluster())
          && !recordedAs.equals(identity);
    }
  }
}
