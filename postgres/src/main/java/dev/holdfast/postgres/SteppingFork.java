package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Set;
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
  private static final int ATTEMPTS_MAX = 2;

  private final ClusterStore cluster;
  private final ForkOptions options;
  private final ForkSource source;
  private ScratchFolder scratch;
  private ForkRoute route;
  private @Nullable Standby standby;
  private @Nullable Fork promoted;
  private ForkTimings timings =
      new ForkTimings(Duration.ZERO, Duration.ZERO, Duration.ZERO, Duration.ZERO);
  private Duration moving = Duration.ZERO;
  private Lsn position = Lsn.NONE;
  private int stops;
  private int promotedStops;

  private SteppingFork(ClusterStore cluster, ForkOptions options, Lsn first) {
    this.cluster = cluster;
    this.options = options;
    this.source = new ForkSource(cluster, ForkTarget.before(first), options);
    this.route = source.routeOnwards();
    source.checkRoom(route);
    this.scratch = ScratchFolder.create(options.parent(), "holdfast-fork-");
  }

  /**
   * Makes one and waits until it stands at its first stop.
   *
   * @param first where a record begins or ends, such as the start of a commit record
   * @throws OperatorException as {@link Fork#start}
   */
  public static SteppingFork start(ClusterStore cluster, Lsn first, ForkOptions options) {
    SteppingFork fork = new SteppingFork(cluster, options, first);
    boolean ready = false;
    try {
      fork.assemble(first);
      fork.stopAt(first);
      ready = true;
      return fork;
    } catch (IOException e) {
      throw fork.source.unwritable(e);
    } finally {
      if (!ready) {
        fork.close();
      }
    }
  }

  private void assemble(Lsn stop) throws IOException {
    long beganNanos = System.nanoTime();
    source.fetch(route.base(), scratch.path().resolve("data"));
    long fetchedNanos = System.nanoTime();
    Standby made =
        new Standby(
            source,
            route,
            source.binaries(route.base()),
            scratch,
            stop,
            PostgresUrl.parse(cluster.document().url()).user(),
            options.progress());
    standby = made;
    made.moveTo(stop);
    long readyNanos = System.nanoTime();
    long takenNanos = made.firstTakenNanos() == 0 ? readyNanos : made.firstTakenNanos();
    timings =
        timings.plus(
            new ForkTimings(
                Duration.ofNanos(fetchedNanos - beganNanos),
                Duration.ofNanos(takenNanos - fetchedNanos),
                Duration.ofNanos(readyNanos - takenNanos),
                Duration.ZERO));
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
      throw source.unwritable(e);
    }
    moving = moving.plusNanos(System.nanoTime() - beganNanos);
  }

  private void stopAt(Lsn stop) throws IOException {
    boolean reached = standby != null && !stop.isAfter(route.recordedEnd()) && standby.moveTo(stop);
    for (int attempt = 1; reached && !holdsWhatIsWanted(); attempt++) {
      // A table has got another one's file since the base backup: that file is wanted, too.
      if (attempt == ATTEMPTS_MAX) {
        source.keepEverything();
      }
      closeStandby();
      route = source.routeOnwards();
      source.checkRoom(route);
      scratch = ScratchFolder.create(options.parent(), "holdfast-fork-");
      assemble(stop);
      reached = standby != null && standby.moveTo(stop);
    }
    if (reached) {
      closePromoted();
    } else {
      // What it is refused for, a fork says; what was recorded since, a fork reaches.
      Fork made = Fork.start(cluster, ForkTarget.before(stop), options);
      closePromoted();
      promoted = made;
      promotedStops++;
      if (standby != null) {
        standby.endConnections();
      }
    }
    position = stop;
    stops++;
  }

  /** Whether no file of a wanted table, as it is at this stop, was left out. */
  private boolean holdsWhatIsWanted() throws IOException {
    if (standby == null || !(source.contents() instanceof ForkContents.Sparse sparse)) {
      return true;
    }
    try {
      Set<Long> missed = standby.missed(sparse, source.leftOut());
      source.keep(missed);
      return missed.isEmpty();
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          source.what(),
          "the fork cannot be asked what it holds: " + e.getMessage(),
          "run the same command again",
          e);
    }
  }

  private void closeStandby() {
    try {
      if (standby != null) {
        standby.close();
        standby = null;
      }
    } finally {
      scratch.close();
    }
  }

  private void closePromoted() {
    if (promoted != null) {
      promoted.close();
      promoted = null;
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
      return promoted().connect(database);
    }
    try {
      return standby.connect(database);
    } catch (SQLException | IOException e) {
      throw new OperatorException(
          Kind.DATABASE_UNREACHABLE,
          "cannot connect to database " + database + " of the fork at " + position,
          String.valueOf(e.getMessage()),
          "choose a database that existed then and accepts connections",
          e);
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
      closeStandby();
    }
  }
}
