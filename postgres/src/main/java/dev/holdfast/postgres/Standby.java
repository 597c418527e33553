package dev.holdfast.postgres;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.wal.ExcludedFiles;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A server in recovery without an end, given WAL up to a position and, later, up to the next. In
 * between it lets readers in.
 *
 * <p>In a standby no role can be made, and production's passwords are not known. So it trusts
 * everybody and listens on nothing but a Unix socket in a folder that only its owner can enter.
 */
final class Standby implements AutoCloseable {
  /**
   * The bytes of a page's header, and of the one that begins a segment ("access/xlog_internal.h").
   */
  private static final int PAGE_HEADER = 24;

  private static final int SEGMENT_HEADER = 40;
  private static final int PAGE = 8192;

  /** From the moment it has replayed all it was given until it lets readers in, if it ever does. */
  private static final Duration ANSWER_MAX = Duration.ofSeconds(3);

  private static final Duration LOG_READ_EVERY = Duration.ofSeconds(1);

  private final ForkSource source;
  private final RecoveryRoute route;
  private final PostgresBinaries binaries;
  private final ScratchFolder scratch;
  private final Path data;
  private final ForkConfiguration configuration;
  private final ForkLocales locales;
  private final WalSpool.Source wal;
  private final WalSpool spool;
  private final PrivateSocket socket;
  private Lsn end;
  private StartedServer started;
  private @Nullable Connection control;
  private @Nullable String superuser;
  private int starts = 1;
  private volatile long firstTakenNanos;

  /**
   * Starts it.
   *
   * @param first where it will be moved first: it begins to replay up to there
   * @param scratch holds the base backup's files in {@code data}; stays the caller's to close
   * @param user a role of production's that can log in: the one the base backup was made by
   */
  Standby(
      ForkSource source,
      RecoveryRoute route,
      PostgresBinaries binaries,
      ScratchFolder scratch,
      Lsn first,
      String user,
      RecoveryProgress progress)
      throws IOException {
    this.source = source;
    this.route = route;
    this.binaries = binaries;
    this.scratch = scratch;
    this.data = scratch.path().resolve("data");
    this.locales = new ForkLocales(scratch.path().resolve("locale"));
    this.configuration = new ForkConfiguration(data, route.base().settings());
    this.wal = source.wal(route);
    this.end = recordEnd(first, route.base().walSegmentSize());
    this.socket = new PrivateSocket(scratch, binaries.major(), user, null);
    boolean whole = false;
    @Nullable WalSpool made = null;
    try {
      int segmentSize = route.base().walSegmentSize();
      wal.moveTo(first);
      made =
          new WalSpool(
              scratch.path().resolve("spool"),
              route.segments(),
              segmentSize,
              ForkSource.SEGMENTS_AHEAD,
              end,
              wal,
              scratch::giveToServer,
              name -> taken(SegmentName.parse(name, segmentSize), progress));
      spool = made;
      configuration.writeForStepping(
          route, spool.restoreCommand(), scratch.path().resolve("tablespaces"));
      scratch.giveToServer(scratch.path());
      started = startServer();
      whole = true;
    } finally {
      if (!whole) {
        if (made != null) {
          made.close();
        }
        wal.close();
        socket.close();
      }
    }
  }

  private StartedServer startServer() throws IOException {
    return StartedServer.start(
        source.what(),
        binaries,
        scratch,
        data,
        Map.of("listen_addresses", "", "unix_socket_directories", socket.setting()),
        locales.environment());
  }

  private void taken(SegmentName segment, RecoveryProgress progress) {
    if (firstTakenNanos == 0) {
      firstTakenNanos = System.nanoTime();
    }
    Lsn target = end;
    progress.replayed(segment.start().isAfter(target) ? target : segment.start(), target);
  }

  /** When it took its first segment, by {@link System#nanoTime}; 0 before that. */
  long firstTakenNanos() {
    return firstTakenNanos;
  }

  /** Where the last record that ends at or before this position ends; no page header counts. */
  private static Lsn recordEnd(Lsn position, int segmentSize) {
    long inPage = position.position() & (PAGE - 1);
    boolean beginsSegment = (position.position() & (segmentSize - 1)) < PAGE;
    return inPage <= (beginsSegment ? SEGMENT_HEADER : PAGE_HEADER)
        ? position.plus(-inPage)
        : position;
  }

  /**
   * Replays everything before a position. Transactions still open in readers' connections are
   * ended: replay would wait for them.
   *
   * @return false when it has done so and still lets nobody in, or cannot let anybody in at all
   * @throws dev.holdfast.failure.OperatorException when it left, or what is recorded must not or
   *     cannot be replayed
   */
  boolean moveTo(Lsn position) throws IOException {
    endConnections("state IS DISTINCT FROM 'idle'");
    end = recordEnd(position, route.base().walSegmentSize());
    wal.moveTo(position);
    spool.feedTo(end);
    for (int attempt = 1; ; attempt++) {
      String complaint;
      @Nullable SQLException cause = null;
      try {
        if (awaitDrained()) {
          return answers();
        }
        complaint = started.log();
      } catch (SQLException e) {
        complaint = String.valueOf(e.getMessage());
        cause = e;
      }
      if (attempt == StartedServer.ATTEMPTS_MAX || !remedied(complaint)) {
        if (complaint.contains("hot standby is not possible")) {
          return false;
        }
        throw RecoveryFailure.of(
            source.what(), RecoveryTarget.before(position), binaries, complaint, cause);
      }
      startAgain();
    }
  }

  /** Waits until it asks for more than it may have; false when it left, or waits for us. */
  private boolean awaitDrained() throws IOException {
    long logRead = System.nanoTime();
    while (true) {
      spool.throwFailure();
      if (spool.isDrained()) {
        return true;
      }
      if (!started.server().isAlive()) {
        spool.throwFailure();
        return false;
      }
      if (System.nanoTime() - logRead > LOG_READ_EVERY.toNanos()) {
        if (RecoveryFailure.tooSmall(started.log()).isPresent()) {
          return false; // it has paused, and waits for somebody to look
        }
        logRead = System.nanoTime();
      }
      try {
        spool.awaitDrained();
      } catch (InterruptedException e) {
        throw StartedServer.interrupted(source.what(), e);
      }
    }
  }

  /**
   * Whether readers are let in, and see what they should.
   *
   * @throws SQLException when they are not for want of a locale
   */
  private boolean answers() throws SQLException, IOException {
    long deadline = System.nanoTime() + ANSWER_MAX.toNanos();
    while (true) {
      // Not asked before it says so: each refusal is a line in its log.
      @Nullable Connection asked = started.status().equals("ready") ? control() : null;
      if (asked != null) {
        // As a prepared statement, which is planned once for many stops.
        try (PreparedStatement statement =
                asked.prepareStatement("SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()");
            ResultSet row = statement.executeQuery()) {
          row.next();
          // Short of it when the position lies inside a record.
          return row.getBoolean(1) && !Lsn.parse(row.getString(2)).isBefore(end);
        } catch (SQLException e) {
          closeControl(); // replaying DROP DATABASE ends connections
        }
      }
      if (System.nanoTime() > deadline || !started.server().isAlive()) {
        return false;
      }
      StartedServer.pause(source.what());
    }
  }

  /** Our own connection as superuser; null when there is none to be had now. */
  private @Nullable Connection control() throws SQLException {
    if (control != null) {
      return control;
    }
    int port = started.server().port();
    if (superuser == null) {
      superuser = socket.findSuperuser(port);
    }
    if (superuser != null) {
      control = socket.open(port, superuser);
    }
    if (control == null) {
      superuser = null; // renamed, perhaps
    }
    return control;
  }

  /**
   * A connection as superuser.
   *
   * @throws SQLException when the server refuses
   */
  Connection connect(String database) throws SQLException, IOException {
    for (int attempt = 1; ; attempt++) {
      control();
      try {
        return socket.open(
            started.server().port(), superuser == null ? socket.user() : superuser, database);
      } catch (SQLException e) {
        String complaint = String.valueOf(e.getMessage());
        if (attempt == StartedServer.ATTEMPTS_MAX
            || RecoveryFailure.missingLocale(complaint).isEmpty()
            || !remedied(complaint)) {
          throw e;
        }
        startAgain();
        if (!awaitDrained() || !answers()) {
          throw e;
        }
      }
    }
  }

  /** Whether it holds, where it stands, what was wanted; false when that cannot be told. */
  boolean isProven(ForkContents.Sparse contents, ExcludedFiles leftOut) throws IOException {
    Connection asked = control;
    if (asked == null) {
      return false;
    }
    try (PreparedStatement statement =
        asked.prepareStatement("SELECT datname FROM pg_catalog.pg_database WHERE oid = ?::oid")) {
      statement.setLong(1, contents.databaseOid());
      @Nullable String database = null;
      try (ResultSet row = statement.executeQuery()) {
        database = row.next() ? row.getString(1) : null;
      }
      if (database == null) {
        return true; // nothing of it is there at this stop, and nothing lacks
      }
      try (Connection wanted = connect(database);
          Statement impatient = wanted.createStatement()) {
        // A transaction that rewrites a catalog keeps it locked at this stop.
        impatient.execute("SET lock_timeout = " + ANSWER_MAX.toMillis());
        return WantedProof.of(wanted, contents, leftOut).holed().isEmpty();
      }
    } catch (SQLException e) {
      return false;
    }
  }

  /** Ends what readers left open. */
  void endConnections() {
    endConnections("true");
  }

  private void endConnections(String which) {
    if (control == null) {
      return;
    }
    try (PreparedStatement statement =
        control.prepareStatement(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                + " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND ("
                + which
                + ")")) {
      statement.execute();
    } catch (SQLException e) {
      closeControl(); // the server is gone, as whoever waits for it sees, or lost its database
    }
  }

  /** Makes what it complains to lack, if that can be made. */
  private boolean remedied(String complaint) throws IOException {
    Optional<String> locale = RecoveryFailure.missingLocale(complaint);
    Optional<String> tooSmall = RecoveryFailure.tooSmall(complaint);
    if (locale.isPresent()) {
      locales.make(source.what(), locale.get());
    } else if (tooSmall.isPresent()) {
      configuration.raise(tooSmall.get());
    }
    return locale.isPresent() || tooSmall.isPresent();
  }

  private void startAgain() throws IOException {
    closeControl();
    started.server().stop(PostgresServer.Stop.IMMEDIATE);
    spool.startAgain();
    scratch.giveToServer(scratch.path());
    started = startServer();
    starts++;
  }

  /** How often its server was started: each start replays again from an earlier place. */
  int starts() {
    return starts;
  }

  private void closeControl() {
    if (control != null) {
      try {
        control.close();
      } catch (SQLException e) {
        // It was lost already.
      }
      control = null;
    }
  }

  /** Its server process. */
  PostgresServer server() {
    return started.server();
  }

  @Override
  public void close() {
    closeControl();
    try {
      started.server().stop(PostgresServer.Stop.IMMEDIATE);
    } finally {
      spool.close();
      wal.close();
      socket.close();
    }
  }
}
