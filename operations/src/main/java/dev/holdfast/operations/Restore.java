package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.GuardedCopy;
import dev.holdfast.postgres.BeforeAnybody;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.postgres.DeltaPlan;
import dev.holdfast.postgres.DeltaRestore;
import dev.holdfast.postgres.DeltaRestored;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.RecoveryProgress;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.postgres.RestoreOptions;
import dev.holdfast.postgres.RestoredCluster;
import dev.holdfast.revert.PlanDigest;
import dev.holdfast.server.LastingServer;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ServerUser;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The whole cluster, from the repository alone, into a directory, as it was at a moment. */
public final class Restore {
  private final ClusterStore cluster;

  /** Of one cluster of a repository. */
  public Restore(String repository, String name) {
    this.cluster = Repository.open(repository).cluster(name);
  }

  /**
   * What is wanted.
   *
   * @param to the data directory to make
   * @param tablespaces new folders of tablespaces by production's
   * @param owner the operating system's user that files are to belong to; null: for root {@code
   *     postgres}, else oneself
   * @param start whether to start the server, which then stays
   * @param port the port to set; null: production's, or with {@code start} the first free one from
   *     there
   * @param threads how many files and segments are fetched at once; null: one for each processor
   * @param environment what the server is from now on, for the guard in its databases, with {@code
   *     start}; null: nothing is written into them, and they say that they are what they were
   */
  public record Request(
      Target target,
      Path to,
      Map<String, String> tablespaces,
      @Nullable String owner,
      boolean start,
      @Nullable Integer port,
      @Nullable Integer threads,
      @Nullable String environment) {
    /** Copies the map. */
    public Request {
      tablespaces = Map.copyOf(tablespaces);
    }

    /** Whose databases are left as they were. */
    public Request(
        Target target,
        Path to,
        Map<String, String> tablespaces,
        @Nullable String owner,
        boolean start,
        @Nullable Integer port,
        @Nullable Integer threads) {
      this(target, to, tablespaces, owner, start, port, threads, null);
    }
  }

  /**
   * Restores.
   *
   * @throws OperatorException USAGE or REFUSED before anything is written when it cannot be done as
   *     wanted; says what can be
   */
  public RestoreResult run(Request request, Progress progress) {
    long began = System.nanoTime();
    checkEnvironment(request);
    RestoreOptions options = options(request, ServerUser.of(request.owner, cannotRestore(request)));
    RecoveryTarget target = RecoveryTargets.resolve(cluster, "restore", request.target, progress);
    try (Forks.Told told = told(progress)) {
      RestoredCluster restored =
          dev.holdfast.postgres.Restore.run(cluster, target, options.telling(told));
      if (restored.startedOver()) {
        progress.say(
            "what an interrupted restore had left in "
                + options.directory()
                + " was removed first");
      }
      return finished(restored, request.environment, null, told, began);
    }
  }

  /**
   * A restore into an existing data directory.
   *
   * @param overwriteUnidentified whether one may be overwritten of which cannot be told whose it is
   * @throws OperatorException USAGE or REFUSED when there is no such target
   */
  public Delta delta(Request request, boolean overwriteUnidentified, Progress progress) {
    checkEnvironment(request);
    return new Delta(
        RecoveryTargets.resolve(cluster, "restore", request.target, progress),
        options(
            request, ServerUser.ofData(request.owner, directory(request), cannotRestore(request))),
        request.environment,
        overwriteUnidentified);
  }

  /** A restore into an existing data directory: looked at first, then applied. */
  public final class Delta {
    private final RecoveryTarget target;
    private final RestoreOptions options;
    private final @Nullable String environment;
    private final boolean overwriteUnidentified;

    private Delta(
        RecoveryTarget target,
        RestoreOptions options,
        @Nullable String environment,
        boolean overwriteUnidentified) {
      this.target = target;
      this.options = options;
      this.environment = environment;
      this.overwriteUnidentified = overwriteUnidentified;
    }

    /**
     * Looks at what it would do, and changes nothing.
     *
     * @throws OperatorException REFUSED when the directory must not be restored into
     */
    public RestorePlan plan(Progress progress) {
      try (Forks.Told told = told(progress)) {
        return Restore.this.plan(
            target,
            options.owner(),
            DeltaRestore.plan(cluster, target, options.telling(told), overwriteUnidentified));
      }
    }

    /**
     * Looks again, and restores.
     *
     * @param digest the plan's, as the operator was shown it
     * @throws OperatorException REFUSED when what would be done is no longer that; nothing is
     *     changed then
     */
    public RestoreResult apply(String digest, Progress progress) {
      long began = System.nanoTime();
      try (Forks.Told told = told(progress)) {
        DeltaRestored done =
            DeltaRestore.run(
                cluster,
                target,
                options.telling(told),
                overwriteUnidentified,
                now -> {
                  RestorePlan again = Restore.this.plan(target, options.owner(), now);
                  if (!again.digest().equals(digest)) {
                    throw new OperatorException(
                        Kind.REFUSED,
                        "cannot restore " + again.name() + " into " + again.directory(),
                        "the plan "
                            + digest
                            + " is not this one: what is in the directory has changed since, or"
                            + " the base backup or the options are others",
                        "look at the plan as it is now: run the same command without --apply; its"
                            + " digest is "
                            + again.digest());
                  }
                });
        return finished(done.cluster(), environment, brought(digest, done), told, began);
      }
    }
  }

  private static RestoreResult.Delta brought(String digest, DeltaRestored done) {
    DeltaPlan plan = done.plan();
    Path aside = plan.aside();
    return new RestoreResult.Delta(
        digest,
        plan.kept(),
        plan.changed().size(),
        plan.added(),
        plan.removed().size(),
        plan.bytesKept(),
        done.bytesFetched(),
        done.bytesWritten(),
        plan.bytesRemoved(),
        aside == null ? null : aside.toString(),
        plan.namesAside(),
        seconds(done.comparing()));
  }

  /** The target is not in the digest: while recording goes on the newest one is always another. */
  private RestorePlan plan(RecoveryTarget target, ServerUser owner, DeltaPlan plan) {
    Path aside = plan.aside();
    List<String> removed = plan.removed().stream().sorted().toList();
    List<String> tablespaces =
        plan.tablespaces().values().stream().map(Path::toString).sorted().toList();
    PlanDigest digest = new PlanDigest();
    digest.add("restore " + plan.directory(), plan.systemIdentifier() + " " + plan.base());
    digest.add("found", plan.found());
    digest.add("differs", plan.bytesKept() + " " + plan.bytesDiffering() + " " + plan.added());
    digest.add("set aside", aside == null ? "nothing" : plan.walSegmentsAside() + " segments");
    plan.namesAside().forEach(path -> digest.add("set aside", path));
    digest.add("owner", owner.name());
    removed.forEach(path -> digest.add("removed", path));
    plan.changed().stream().sorted().forEach(path -> digest.add("changed", path));
    tablespaces.forEach(folder -> digest.add("tablespace", folder));
    List<String> notes = new ArrayList<>(plan.notes());
    if (plan.withoutSums()) {
      notes.add(
          "base backup "
              + plan.base()
              + ", or one that it stands on, was taken before base backups had sums of their blocks:"
              + " what it holds has to be fetched to be compared; only what differs is written");
    }
    return new RestorePlan(
        digest.shown(),
        cluster.document().name(),
        plan.directory().toString(),
        plan.found(),
        target.lsn().toString(),
        state(target),
        plan.base(),
        plan.kept(),
        plan.changed().size(),
        plan.added(),
        removed.size(),
        plan.bytesKept(),
        plan.bytesDiffering(),
        plan.bytesToFetch(),
        plan.bytesRemoved(),
        plan.walBytes(),
        aside == null ? null : aside.toString(),
        plan.namesAside(),
        plan.walSegmentsAside(),
        owner.name(),
        removed,
        tablespaces,
        notes);
  }

  private static String state(RecoveryTarget target) {
    return target.inclusive() ? "after" : "before";
  }

  private Forks.Told told(Progress progress) {
    return new Forks.Told("restore " + cluster.document().name(), progress);
  }

  private static Path directory(Request request) {
    return request.to.toAbsolutePath().normalize();
  }

  private String cannotRestore(Request request) {
    return "cannot restore " + cluster.document().name() + " to " + directory(request);
  }

  private static RestoreOptions options(Request request, ServerUser owner) {
    return new RestoreOptions(
        directory(request),
        request.tablespaces,
        null,
        owner,
        request.port,
        request.start,
        request.threads == null
            ? Math.max(2, Runtime.getRuntime().availableProcessors())
            : request.threads,
        RecoveryProgress.NONE);
  }

  private void checkEnvironment(Request request) {
    if (request.environment == null) {
      return;
    }
    GuardedCopy.checkEnvironment(request.environment);
    if (!request.start) {
      throw new OperatorException(
          Kind.USAGE,
          cannotRestore(request) + " as " + request.environment,
          "what a database is stands inside it, and can be written there only by a server that runs",
          "add --start, or leave --environment out and do it when you have started the server: what the"
              + " restore says in the end tells how");
    }
  }

  private RestoreResult finished(
      RestoredCluster restored,
      @Nullable String environment,
      RestoreResult.@Nullable Delta delta,
      Forks.Told told,
      long began) {
    PostgresBinaries binaries = restored.binaries();
    long starting = System.nanoTime();
    List<RestoreResult.Guarded> guards;
    if (environment == null || binaries == null) {
      guards =
          guarded().stream()
              .map(database -> new RestoreResult.Guarded(database, null, null))
              .toList();
    } else {
      guards = stamp(restored, binaries, environment, told);
    }
    LastingServer server = binaries == null ? null : restored.start(binaries, told);
    Duration replay =
        server == null ? Duration.ZERO : Duration.ofNanos(System.nanoTime() - starting);
    return result(
        restored,
        server,
        guards,
        environment,
        delta,
        replay,
        Duration.ofNanos(System.nanoTime() - began));
  }

  /** Before any client can take it for something else. */
  private List<RestoreResult.Guarded> stamp(
      RestoredCluster restored, PostgresBinaries binaries, String environment, Forks.Told told) {
    List<RestoreResult.Guarded> stamped = new ArrayList<>();
    BeforeAnybody.run(
        restored,
        binaries,
        "cannot say in the databases restored into %s that they are %s"
            .formatted(restored.directory(), environment),
        () ->
            (stamped.isEmpty()
                    ? "they say what they were"
                    : stamped.stream()
                            .map(RestoreResult.Guarded::database)
                            .collect(Collectors.joining(", ", "done in ", ""))
                        + "; the others say what they were")
                + ", with their guards armed: start the server ("
                + startCommand(restored)
                + "), then, as a superuser in each of them that has schema holdfast: "
                + restamp(environment),
        PostgresUrl.parse(cluster.document().url()).user(),
        (database, connection) -> {
          GuardedCopy.Stamp stamp = GuardedCopy.stamp(connection, environment);
          if (stamp != null) {
            stamped.add(new RestoreResult.Guarded(database, stamp.cluster(), stamp.environment()));
          }
        },
        told);
    return stamped;
  }

  private static String restamp(String environment) {
    return "SELECT holdfast.restamp('" + environment + "')";
  }

  private RestoreResult result(
      RestoredCluster restored,
      @Nullable LastingServer server,
      List<RestoreResult.Guarded> guards,
      @Nullable String environment,
      RestoreResult.@Nullable Delta delta,
      Duration replay,
      Duration all) {
    PostgresBinaries binaries = restored.binaries();
    int port = server == null ? restored.port() : server.port().orElse(restored.port());
    return new RestoreResult(
        cluster.document().name(),
        restored.directory().toString(),
        restored.owner().name(),
        restored.base().label(),
        restored.timeline(),
        restored.target().lsn().toString(),
        state(restored.target()),
        restored.end().toString(),
        restored.startedOver(),
        restored.base().bytes(),
        restored.walBytes(),
        restored.tablespaces().values().stream().map(Path::toString).sorted().toList(),
        restored.overridden().stream()
            .map(setting ->
                new RestoreResult.Setting(
                    setting.name(), setting.production(), setting.restored(), setting.why()))
            .toList(),
        notes(restored, guards, environment),
        guards,
        server == null || binaries == null
            ? null
            : new RestoreResult.Server(
                port, binaries.version(), binaries.bin().toString(), restored.log().toString()),
        delta,
        next(cluster.document().name(), restored, server != null, port, delta, guards),
        seconds(restored.walFetch()),
        seconds(restored.baseFetch()),
        seconds(restored.finish()),
        seconds(replay),
        seconds(all));
  }

  /** The databases that had the guard inside when the catalog was last recorded. */
  private List<String> guarded() {
    try {
      List<String> recorded = cluster.catalogs();
      return recorded.isEmpty()
          ? List.of()
          : cluster.catalog(recorded.getLast(), Catalog.class).databases().stream()
              .filter(database ->
                  database.relations().stream()
                      .anyMatch(relation ->
                          relation.schema().equals("holdfast")
                              && relation.name().equals("identity")))
              .map(Catalog.Database::name)
              .toList();
    } catch (OperatorException e) {
      return List.of(); // a word more or less: what was restored is there
    }
  }

  private static List<String> notes(
      RestoredCluster restored, List<RestoreResult.Guarded> guards, @Nullable String environment) {
    List<String> notes = new ArrayList<>(restored.notes());
    if (environment != null && guards.isEmpty()) {
      notes.add(
          "no database was stamped by Holdfast, so nothing in them says that this is "
              + environment);
    }
    PostgresBinaries binaries = restored.binaries();
    if (binaries != null && binaries.source() == PostgresBinaries.Source.EMBEDDED) {
      notes.add(
          "it runs by the PostgreSQL that ships with Holdfast: install PostgreSQL "
              + binaries.major()
              + " before it serves in earnest");
    }
    return notes;
  }

  private static List<String> next(
      String name,
      RestoredCluster restored,
      boolean started,
      int port,
      RestoreResult.@Nullable Delta delta,
      List<RestoreResult.Guarded> guards) {
    List<String> next = new ArrayList<>();
    if (!started) {
      next.add("start it: " + startCommand(restored));
    }
    next.add(
        "connect to it: psql -h localhost -p " + port + " (roles and passwords are production's)");
    if (started) {
      next.add("stop it: " + control(restored) + " stop");
    }
    next.add(
        "when it takes production's place: what archives, waits for standbys or subscribes is off; set"
            + " it in postgresql.auto.conf as production needs it, restart, run holdfast protect "
            + name
            + " again with its URL, and record it");
    List<String> asTheyWere =
        guards.stream()
            .filter(guard -> guard.environment() == null)
            .map(RestoreResult.Guarded::database)
            .toList();
    if (!asTheyWere.isEmpty()) {
      // Not done by itself: it may be what takes production's place, and must be armed then.
      next.add(
          "the guard in it says that it is the server it was made from, and refuses what it refused there;"
              + " if it is a copy to work with, as a superuser in each of the databases "
              + String.join(", ", asTheyWere)
              + ": "
              + restamp("development")
              + (started ? "; another time: --environment development" : ""));
    }
    if (delta != null && delta.setAside() != null) {
      next.add(
          "keep "
              + delta.setAside()
              + (delta.setAsideNames().contains("pg_wal")
                  ? " until you are sure that no commit is missing: the pg_wal that was there is in it,"
                      + " with the settings; commits that were never recorded are nowhere else"
                  : " until you are sure that no setting is missing: those that were there are in it"));
    }
    return next;
  }

  private static String startCommand(RestoredCluster restored) {
    return control(restored) + " -l " + word(restored.log()) + " start";
  }

  private static String control(RestoredCluster restored) {
    PostgresBinaries binaries =
        restored.binaries() != null
            ? restored.binaries()
            : PostgresBinaries.of(restored.base().major());
    return (restored.owner().isAnother() ? "runuser -u " + restored.owner().name() + " -- " : "")
        + binaries.program("pg_ctl")
        + " -D "
        + word(restored.directory());
  }

  private static String word(Path path) {
    String text = path.toString();
    return text.matches("[\\w@%+=:,./-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
  }

  private static double seconds(Duration duration) {
    return duration.toMillis() / 1e3;
  }
}
