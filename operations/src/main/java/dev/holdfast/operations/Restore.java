package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.postgres.RestoreOptions;
import dev.holdfast.postgres.RestoredCluster;
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
   */
  public record Request(
      Target target,
      Path to,
      Map<String, String> tablespaces,
      @Nullable String owner,
      boolean start,
      @Nullable Integer port,
      @Nullable Integer threads) {
    /** Copies the map. */
    public Request {
      tablespaces = Map.copyOf(tablespaces);
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
    String name = cluster.document().name();
    Path directory = request.to.toAbsolutePath().normalize();
    ServerUser owner = ServerUser.of(request.owner, "cannot restore " + name + " to " + directory);
    RecoveryTarget target = RecoveryTargets.resolve(cluster, "restore", request.target, progress);
    RestoredCluster restored;
    @Nullable LastingServer server = null;
    Duration replay = Duration.ZERO;
    try (Forks.Told told = new Forks.Told("restore " + name, progress)) {
      restored =
          dev.holdfast.postgres.Restore.run(
              cluster,
              target,
              new RestoreOptions(
                  directory,
                  request.tablespaces,
                  null,
                  owner,
                  request.port,
                  request.start,
                  request.threads == null
                      ? Math.max(2, Runtime.getRuntime().availableProcessors())
                      : request.threads,
                  told));
      if (restored.startedOver()) {
        progress.say("what an interrupted restore had left in " + directory + " was removed first");
      }
      PostgresBinaries binaries = restored.binaries();
      if (binaries != null) {
        long starting = System.nanoTime();
        server = restored.start(binaries, told);
        replay = Duration.ofNanos(System.nanoTime() - starting);
      }
    }
    return result(restored, server, replay, Duration.ofNanos(System.nanoTime() - began));
  }

  private RestoreResult result(
      RestoredCluster restored, @Nullable LastingServer server, Duration replay, Duration all) {
    PostgresBinaries binaries = restored.binaries();
    int port = server == null ? restored.port() : server.port().orElse(restored.port());
    return new RestoreResult(
        cluster.document().name(),
        restored.directory().toString(),
        restored.owner().name(),
        restored.base().label(),
        restored.timeline(),
        restored.target().lsn().toString(),
        restored.target().inclusive() ? "after" : "before",
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
        notes(restored),
        server == null || binaries == null
            ? null
            : new RestoreResult.Server(
                port, binaries.version(), binaries.bin().toString(), restored.log().toString()),
        next(cluster.document().name(), restored, server != null, port),
        seconds(restored.walFetch()),
        seconds(restored.baseFetch()),
        seconds(restored.finish()),
        seconds(replay),
        seconds(all));
  }

  private static List<String> notes(RestoredCluster restored) {
    List<String> notes = new ArrayList<>(restored.notes());
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
      String name, RestoredCluster restored, boolean started, int port) {
    List<String> next = new ArrayList<>();
    PostgresBinaries binaries =
        restored.binaries() != null
            ? restored.binaries()
            : PostgresBinaries.of(restored.base().major());
    String pgCtl = binaries.program("pg_ctl").toString();
    String as =
        restored.owner().isAnother() ? "runuser -u " + restored.owner().name() + " -- " : "";
    String control = as + pgCtl + " -D " + word(restored.directory());
    if (!started) {
      next.add("start it: " + control + " -l " + word(restored.log()) + " start");
    }
    next.add(
        "connect to it: psql -h localhost -p " + port + " (roles and passwords are production's)");
    if (started) {
      next.add("stop it: " + control + " stop");
    }
    next.add(
        "when it takes production's place: what archives, waits for standbys or subscribes is off; set"
            + " it in postgresql.auto.conf as production needs it, restart, run holdfast protect "
            + name
            + " again with its URL, and record it");
    return next;
  }

  private static String word(Path path) {
    String text = path.toString();
    return text.matches("[\\w@%+=:,./-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
  }

  private static double seconds(Duration duration) {
    return duration.toMillis() / 1e3;
  }
}
