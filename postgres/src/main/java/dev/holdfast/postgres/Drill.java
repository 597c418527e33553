package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.server.ServerUser;
import dev.holdfast.store.ClusterStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A restore that is only tried: {@link Restore} into a scratch folder, as an operator would have
 * it, and its server, up to where it would take writes.
 *
 * <p>It holds production's data and production's configuration. So for this run the server is told
 * on its command line what wins over every file: it listens on nothing but a Unix socket in a
 * folder of mode 0700, loads none of production's libraries, archives nothing, follows nobody.
 *
 * <p>When closed, or when this process dies, the server is stopped and its folder removed.
 */
public final class Drill implements AutoCloseable {
  private static final Pattern REDONE =
      Pattern.compile("(?m)^(\\d+)\\.(\\d{3}) LOG:\\s+redo done at");

  /** The server's processes died of a fault of their own: SIGILL, ABRT, BUS, FPE, SEGV, SYS. */
  private static final Pattern FAULT =
      Pattern.compile("was terminated by signal (?:4|6|7|8|10|11|12|31)\\b.*");

  /** A server ends at once when one of its processes has died: it is told not to go on. */
  private static final Duration LEAVING_MAX = Duration.ofSeconds(5);

  private final ScratchFolder scratch;
  private final PrivateSocket socket;
  private final RestoredCluster restored;
  private final StartedServer started;
  private final String superuser;
  private final int threads;
  private final DrillTimings timings;

  private Drill(
      ScratchFolder scratch,
      PrivateSocket socket,
      RestoredCluster restored,
      StartedServer started,
      String superuser,
      int threads,
      DrillTimings timings) {
    this.scratch = scratch;
    this.socket = socket;
    this.restored = restored;
    this.started = started;
    this.superuser = superuser;
    this.threads = threads;
    this.timings = timings;
  }

  /**
   * Restores and starts.
   *
   * @throws NoRoomException before anything is written
   * @throws UndecidedException when this machine is the reason why it cannot be told
   * @throws OperatorException as {@link Restore#run}, and as a server that does not come up
   */
  public static Drill run(ClusterStore cluster, RecoveryTarget target, DrillOptions options) {
    ScratchFolder scratch = ScratchFolder.create(options.parent(), "holdfast-prove-");
    boolean done = false;
    try {
      RestoredCluster restored = restore(cluster, target, options, scratch.path());
      Drill drill = start(cluster, target, options, scratch, restored);
      done = true;
      return drill;
    } catch (IOException e) {
      throw new UndecidedException(
          what(cluster),
          "what is needed cannot be written in " + options.parent() + ": " + e.getMessage(),
          "make room, or name another folder with --scratch",
          e);
    } finally {
      if (!done) {
        scratch.close();
      }
    }
  }

  private static RestoredCluster restore(
      ClusterStore cluster, RecoveryTarget target, DrillOptions options, Path scratch) {
    try {
      return Restore.run(
          cluster,
          target,
          new RestoreOptions(
              scratch.resolve("data"),
              Map.of(),
              scratch.resolve("tablespaces"),
              ServerUser.ourselves(),
              null,
              false,
              options.threads(),
              options.progress()));
    } catch (OperatorException e) {
      // What cannot be written says nothing about what is stored.
      throw e.kind() == Kind.FAILED ? new UndecidedException(e.what(), e.why(), e.next(), e) : e;
    }
  }

  private static String what(ClusterStore cluster) {
    return "cannot start " + cluster.document().name() + " restored into a scratch folder";
  }

  private static Drill start(
      ClusterStore cluster,
      RecoveryTarget target,
      DrillOptions options,
      ScratchFolder scratch,
      RestoredCluster restored)
      throws IOException {
    String what = what(cluster);
    PostgresBinaries binaries;
    try {
      binaries = PostgresBinaries.of(restored.base().major());
    } catch (OperatorException e) {
      throw new UndecidedException(what, e.why(), e.next(), e);
    }
    String user = PostgresUrl.parse(cluster.document().url()).user();
    PrivateSocket socket = new PrivateSocket(scratch, binaries.major(), user, null);
    boolean done = false;
    StartedServer started = null;
    try {
      Path access = scratch.path().resolve("pg_hba.conf");
      Path names = scratch.path().resolve("pg_ident.conf");
      writePrivate(access, "local all all trust\n");
      writePrivate(names, "");
      Map<String, String> settings =
          ScratchSettings.overProduction(
              binaries.major(), socket.setting(), access.toString(), names.toString());
      scratch.giveToServer(scratch.path());
      long beganNanos = System.nanoTime();
      long beganMillis = System.currentTimeMillis();
      started =
          StartedServer.start(
              what,
              binaries,
              scratch,
              restored.directory(),
              settings,
              Map.of(),
              options.niceness());
      if (!started.awaitReady(null)) {
        String log = started.log();
        OperatorException failure = RecoveryFailure.of(what, target, binaries, log, null);
        throw RecoveryFailure.isOfThisMachine(log)
            ? new UndecidedException(what, failure.why(), failure.next(), failure)
            : failure;
      }
      Duration ready = Duration.ofNanos(System.nanoTime() - beganNanos);
      Duration replay = redone(started.log(), beganMillis, ready);
      options.progress().replayed(restored.end(), restored.end());
      Drill drill =
          new Drill(
              scratch,
              socket,
              restored,
              started,
              superuser(what, socket, started.server()),
              options.threads(),
              new DrillTimings(
                  restored.walFetch(),
                  restored.baseFetch(),
                  restored.finish(),
                  replay,
                  ready.minus(replay)));
      done = true;
      return drill;
    } finally {
      if (!done) {
        if (started != null) {
          started.server().close();
        }
        socket.close();
      }
    }
  }

  private static String superuser(String what, PrivateSocket socket, PostgresServer server) {
    String why = "none of production's superusers may log in";
    try (Connection connection = socket.openAny(what, server.port())) {
      if (connection != null) {
        return connection.getMetaData().getUserName();
      }
    } catch (SQLException e) {
      why = String.valueOf(e.getMessage());
      String locale = RecoveryFailure.missingLocale(why).orElse(null);
      if (locale != null) {
        throw new UndecidedException(what, why, RecoveryFailure.missingLocaleRemedy(locale), e);
      }
    }
    throw new UndecidedException(
        what,
        why,
        "give one superuser of production the right to log in (ALTER ROLE … LOGIN)",
        null);
  }

  /** The server's own word on when it had replayed all; all of it where it does not say. */
  private static Duration redone(String log, long beganMillis, Duration ready) {
    Matcher redone = REDONE.matcher(log);
    if (!redone.find()) {
      return ready;
    }
    long at = Long.parseLong(redone.group(1)) * 1000 + Long.parseLong(redone.group(2));
    Duration replay = Duration.ofMillis(Math.max(0, at - beganMillis));
    return replay.compareTo(ready) > 0 ? ready : replay;
  }

  private static void writePrivate(Path file, String text) throws IOException {
    Files.writeString(file, text, StandardCharsets.UTF_8);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
  }

  /** What was restored. */
  public RestoredCluster restored() {
    return restored;
  }

  /** The programs its server runs by. */
  public PostgresBinaries binaries() {
    return started.server().binaries();
  }

  /** What it took. */
  public DrillTimings timings() {
    return timings;
  }

  /** The server process. */
  public PostgresServer server() {
    return started.server();
  }

  /** How many connections may work at once. */
  int threads() {
    return threads;
  }

  /** A connection as superuser. */
  public Connection connect(String database) throws SQLException {
    return socket.open(started.server().port(), superuser, database);
  }

  /** A connection as superuser to some database. */
  Connection connect() throws SQLException {
    Connection connection = socket.open(started.server().port(), superuser);
    if (connection == null) {
      throw new SQLException("the restored server lets nobody in any more", "08006");
    }
    return connection;
  }

  /**
   * Why a connection was lost, when a fault of the server's own ended it, as damaged pages can;
   * empty while it runs, or when something else did.
   */
  String fault() {
    try {
      long deadline = System.nanoTime() + LEAVING_MAX.toNanos();
      while (started.server().isAlive() && System.nanoTime() < deadline) {
        StartedServer.pause("stopped while a server was looked at"); // it tells why before it goes
      }
      Matcher fault = FAULT.matcher(started.log());
      return fault.find() ? "a process of the server " + fault.group() : "";
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    try {
      started.server().close();
    } finally {
      socket.close();
      scratch.close();
    }
  }
}
