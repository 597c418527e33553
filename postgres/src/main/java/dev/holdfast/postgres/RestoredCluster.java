package dev.holdfast.postgres;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.LastingServer;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ServerUser;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A data directory that was restored and has not recovered yet.
 *
 * @param directory the data directory
 * @param owner who its files belong to
 * @param base the base backup it was made from
 * @param timeline the timeline that its target lies on; it promotes itself to a new one
 * @param last where the last record starts that it will replay
 * @param end where that record ends
 * @param walBytes of WAL in pg_wal
 * @param tablespaces their folders by OID
 * @param overridden settings it has otherwise than production
 * @param notes what else is otherwise
 * @param port the port it will listen on
 * @param binaries the programs to start it with; null when that was not asked for
 * @param startedOver whether what an interrupted restore left was removed first
 */
public record RestoredCluster(
    Path directory,
    ServerUser owner,
    BaseManifest base,
    RecoveryTarget target,
    int timeline,
    Lsn last,
    Lsn end,
    long walBytes,
    Map<Long, Path> tablespaces,
    List<Overridden> overridden,
    List<String> notes,
    int port,
    @Nullable PostgresBinaries binaries,
    boolean startedOver,
    Duration walFetch,
    Duration baseFetch,
    Duration finish) {
  private static final String LOG = "holdfast-restore.log";

  /** Copies the collections. */
  public RestoredCluster {
    tablespaces = Map.copyOf(tablespaces);
    overridden = List.copyOf(overridden);
    notes = List.copyOf(notes);
  }

  /** Where a server started by {@link #start} writes its messages. */
  public Path log() {
    return directory.resolve(LOG);
  }

  /**
   * Starts the server and waits until it has recovered and takes writes. It stays when this process
   * ends.
   *
   * @throws OperatorException when it does not come up; the files stay
   */
  public LastingServer start(PostgresBinaries programs, RecoveryProgress progress) {
    return start(programs, Map.of(), false, progress);
  }

  /**
   * As above.
   *
   * @param also more settings, for this run alone
   * @param tied whether it ends when this process does
   */
  LastingServer start(
      PostgresBinaries programs,
      Map<String, String> also,
      boolean tied,
      RecoveryProgress progress) {
    String what = "cannot start the server restored into " + directory;
    // For this run alone. Nobody is let in before recovery has ended, nor can anybody look at a
    // state in between; and what it says goes where we look for it.
    Map<String, String> settings = new TreeMap<>(also);
    settings.put("hot_standby", "off");
    settings.put("logging_collector", "off");
    settings.put("log_destination", "stderr");
    LastingServer server = LastingServer.start(programs, directory, owner, log(), settings);
    if (tied) {
      server.tie();
    }
    while (!server.isReady()) {
      if (!server.isAlive()) {
        OperatorException failure = RecoveryFailure.of(what, target, programs, said(server), null);
        throw new OperatorException(
            failure.kind(),
            what,
            failure.why(),
            failure.next().replace("run the same command again", "start it again")
                + "; what was restored stays: `pg_ctl -D "
                + directory
                + " start` starts it, "
                + log()
                + " says more",
            failure);
      }
      server
          .replaying()
          .map(name -> SegmentName.parse(name, base.walSegmentSize()).start())
          .ifPresent(at -> progress.replayed(at.isAfter(end) ? end : at, end));
      StartedServer.pause(what);
    }
    progress.replayed(end, end);
    return server;
  }

  private String said(LastingServer server) {
    try {
      return Files.exists(log()) ? Files.readString(log()) : server.said();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
