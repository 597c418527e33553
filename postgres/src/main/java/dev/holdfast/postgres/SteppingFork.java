package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A throw-away server that stands at one position of recorded WAL and can be moved to later ones:
 * the rows at thousands of moments for the price of one fork. At each stop it shows what committed
 * in records that end at or before the position, and nothing else. Production is not touched.
 *
 * <p>It is a standby that is given no WAL past the stop, so transactions that are open or prepared
 * there are running: their rows are not seen, and tables they hold ACCESS EXCLUSIVE (TRUNCATE,
 * ALTER TABLE, DROP) make readers <em>wait</em> for a transaction that will not end while the fork
 * stands. Set {@code lock_timeout}; a table that is locked at a stop can be read at another stop,
 * or in a {@link Fork}. Sequences, unlogged tables and configuration are as in a {@link Fork}.
 *
 * <p>At a stop where PostgreSQL does not let readers into a standby (a transaction with more than
 * 64 subtransactions was open when the base backup's checkpoint was made, and no later record tells
 * which are running) a {@link Fork} is made for that stop, which takes seconds; {@link
 * #promotedStops} counts them.
 *
 * <p>It holds production's data. Only the operating system's user who started it reaches it,
 * through a Unix socket in a folder of its own. When closed, or when this process dies, the servers
 * are stopped and their folders removed. Not for several threads, except for {@link #connect}.
 */
public final class SteppingFork implements AutoCloseable {
  private final ClusterStore cluster;
  private final ForkOptions options;
  private final ScratchFolder scratch;
  private final RecoveryRoute route;
  private final Lsn first;
  private final ForkSource source;
  private @Nullable Standby standby;
  private @Nullable Fork promoted;
  private ForkTimings timings =
      new ForkTimings(Duration.ZERO, Duration.ZERO, Duration.ZERO, Duration.ZERO);
  private Duration moving = Duration.ZERO;
  private Lsn position = Lsn.NONE;
  private int stops;
  private int promotedStops;

  /** Where, and at which start of its server, the standby was last seen to hold what is wanted. */
  private @Nullable Lsn proven;

  private int provenStart;

  /** Handed out by the server that answers now. */
  private final List<Connection> handedOut = new ArrayList<>();

  private SteppingFork(
      ClusterStore cluster,
      ForkOptions options,
      ScratchFolder scratch,
      ForkSource source,
      RecoveryRoute route,
      Lsn first) {
    this.cluster = cluster;
    this.source = source;
    this.options = options;
    this.scratch = scratch;
    this.route = route;
    this.first = first;
  }

  /**
   * Makes one and waits until it stands at its first stop.
   *
   * @param first where a record begins or ends, such as the start of a commit record
   * @throws OperatorException as {@link Fork#start}
   */
  public static SteppingFork start(ClusterStore cluster, Lsn first, ForkOptions given) {
    ForkOptions options = given.holding(withIndexes(given.contents()));
    ForkSource source = new ForkSource(cluster, RecoveryTarget.before(first), options);
    RecoveryRoute route = source.routeOnwards();
    PostgresBinaries binaries = source.binaries(route.base());
    source.checkRoom(route);
    String user = PostgresUrl.parse(cluster.document().url()).user();
    ScratchFolder scratch = ScratchFolder.create(options.parent(), "holdfast-fork-");
    SteppingFork fork = new SteppingFork(cluster, options, scratch, source, route, first);
    boolean ready = false;
    try {
      fork.assemble(binaries, user);
      ready = true;
      return fork;
    } catch (IOException e) {
      throw source.unwritable(e);
    } finally {
      if (!ready) {
        fork.close();
      }
    }
  }

  private void assemble(PostgresBinaries binaries, String user) throws IOException {
    long beganNanos = System.nanoTime();
    source.fetch(route.base(), scratch.path().resolve("data"));
    long fetchedNanos = System.nanoTime();
    Standby made = new Standby(source, route, binaries, scratch, first, user, options.progress());
    standby = made;
    stopAt(first);
    long readyNanos = System.nanoTime();
    long takenNanos = made.firstTakenNanos() == 0 ? readyNanos : made.firstTakenNanos();
    timings =
        new ForkTimings(
            Duration.ofNanos(fetchedNanos - beganNanos),
            Duration.ofNanos(takenNanos - fetchedNanos),
            Duration.ofNanos(readyNanos - takenNanos),
            Duration.ZERO);
  }

  /**
   * Moves forward; returns when everything before the position is replayed.
   *
   * <p>Connections that are idle stay and see the new state. A transaction still open in one is
   * ended with its connection: replay would have to wait for it. All connections end where the
   * server behind them changes, at a stop that PostgreSQL allows no readers at.
   *
   * @param farther where a record begins or ends; not before {@link #position}
   * @throws OperatorException REFUSED when what is recorded does not reach it (the fork stays where
   *     it is), or when a record on the way must not be replayed; as {@link Fork#start} otherwise
   */
  public void moveTo(Lsn farther) {
    if (farther.isBefore(position)) {
      throw new IllegalArgumentException("a fork at " + position + " cannot go back to " + farther);
    }
    if (farther.equals(position)) {
      return;
    }
    long beganNanos = System.nanoTime();
    try {
      stopAt(farther);
    } catch (IOException e) {
      throw new ForkSource(cluster, RecoveryTarget.before(farther), options).unwritable(e);
    }
    moving = moving.plusNanos(System.nanoTime() - beganNanos);
  }

  private void stopAt(Lsn stop) throws IOException {
    if (standby != null
        && !stop.isAfter(route.recordedEnd())
        && standby.moveTo(stop)
        && holdsWhatIsWanted(standby, stop)) {
      closePromoted();
    } else {
      // What it is refused for, a fork says; what was recorded since, a fork reaches.
      Fork made = Fork.start(cluster, RecoveryTarget.before(stop), options);
      closePromoted();
      promoted = made;
      promotedStops++;
      closeHandedOut();
      if (standby != null) {
        standby.endConnections();
      }
    }
    position = stop;
    stops++;
  }

  /** A standby's catalogs cannot be told that an index is not there. */
  private static ForkContents withIndexes(ForkContents contents) {
    return switch (contents) {
      case ForkContents.Whole whole -> whole;
      case ForkContents.Sparse sparse ->
          new ForkContents.Sparse(
              sparse.databaseOid(), sparse.tables(), true, sparse.largeObjects());
    };
  }

  /** Where it does not, a fork of that stop alone is made, which finds out what it lacks. */
  private boolean holdsWhatIsWanted(Standby stopped, Lsn stop) throws IOException {
    if (!(source.contents() instanceof ForkContents.Sparse sparse)) {
      return true;
    }
    if (proven != null
        && provenStart == stopped.starts()
        && !source.changes().between(proven, stop)) {
      return true; // as it was found there
    }
    // Replay makes a file that it is to truncate: empty, which is not what the table was.
    UnwantedFiles.remove(scratch.path().resolve("data"), source.leftOut());
    boolean holds = sparse.databaseOid() == 0 || stopped.isProven(sparse, source.leftOut());
    proven = holds ? stop : null;
    provenStart = stopped.starts();
    return holds;
  }

  private void closePromoted() {
    if (promoted != null) {
      closeHandedOut();
      promoted.close();
      promoted = null;
    }
  }

  /** They would go on showing what another server holds. */
  private void closeHandedOut() {
    synchronized (handedOut) {
      for (Connection connection : handedOut) {
        try {
          connection.abort(Runnable::run); // in use or not
        } catch (SQLException e) {
          // It was lost already.
        }
      }
      handedOut.clear();
    }
  }

  /**
   * A connection as superuser, to read only.
   *
   * @throws OperatorException when there is no such database at this stop, or it cannot be used on
   *     this machine
   */
  public Connection connect(String database) {
    if (promoted != null || standby == null) {
      return handingOut(promoted().connect(database));
    }
    try {
      return handingOut(standby.connect(database));
    } catch (SQLException | IOException e) {
      throw new OperatorException(
          Kind.DATABASE_UNREACHABLE,
          "cannot connect to database " + database + " of the fork at " + position,
          String.valueOf(e.getMessage()),
          "choose a database that existed then and accepts connections",
          e);
    }
  }

  private Connection handingOut(Connection made) {
    synchronized (handedOut) {
      handedOut.removeIf(SteppingFork::isClosed);
      handedOut.add(made);
    }
    return made;
  }

  private static boolean isClosed(Connection connection) {
    try {
      return connection.isClosed();
    } catch (SQLException e) {
      return true;
    }
  }

  private Fork promoted() {
    if (promoted == null) {
      throw new IllegalStateException("closed");
    }
    return promoted;
  }

  /** Where it stands. */
  public Lsn position() {
    return position;
  }

  /** The label of the base backup it stands on. */
  public String base() {
    return route.base().label();
  }

  /** Stops so far, the first one counted. */
  public int stops() {
    return stops;
  }

  /** Stops among them at which a fork had to be made. */
  public int promotedStops() {
    return promotedStops;
  }

  /** Where the time went until the first stop; {@code ready} is part of {@code replay}. */
  public ForkTimings timings() {
    return timings;
  }

  /** The time all moves took together. */
  public Duration moving() {
    return moving;
  }

  @Override
  public void close() {
    try {
      closePromoted();
    } finally {
      try {
        if (standby != null) {
          standby.close();
          standby = null;
        }
      } finally {
        scratch.close();
      }
    }
  }
}
