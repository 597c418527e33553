package dev.holdfast.demo;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Restore;
import dev.holdfast.operations.RestoreResult;
import dev.holdfast.operations.Target;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.server.ServerUser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * C: the machine that took the database with it. A client counts its acknowledged commits; the
 * server is killed, its data directory removed, and the cluster brought back from the repository.
 * Nothing of the old server is there afterwards, so it comes last.
 */
final class MachineIncident implements Incident {
  private static final long ALIVE_NANOS = 2_000_000_000L;
  private static final long PAUSE_NANOS = 1_000_000L;

  /** What may be lost: the flush interval, and half a second to write. */
  private static final double LOST_SECONDS_MAX = Demo.FLUSH_SECONDS + 0.5;

  private final Setting setting;
  private final Runnable stopRecorder;
  private final ConcurrentLinkedQueue<Long> acknowledged = new ConcurrentLinkedQueue<>();
  private volatile boolean begun;

  /**
   * @param stopRecorder ends recording, as far as it came
   */
  MachineIncident(Setting setting, Runnable stopRecorder) {
    this.setting = setting;
    this.stopRecorder = stopRecorder;
  }

  @Override
  public void run(List<DemoResult.Figure> figures) throws SQLException {
    setting
        .say()
        .accept(
            "\nC. Somebody stops the machine, and its replacement takes the disks with it:\n"
                + "   kill -9 of the server under load, rm -rf of its data directory");
    Thread client = Thread.ofVirtual().name("traffic-counted").start(this::commit);
    while (!begun && client.isAlive()) {
      LockSupport.parkNanos(PAUSE_NANOS);
    }
    LockSupport.parkNanos(ALIVE_NANOS); // the client writes meanwhile
    setting.production().server().stop(PostgresServer.Stop.KILL);
    long died = System.nanoTime();
    join(client);
    remove(setting.production().server().data());
    stopRecorder.run();

    String owner = owner();
    Path data = setting.folder().resolve("new-machine");
    setting.say().accept("$ holdfast restore acme --to /var/lib/postgresql/new-machine --start");
    RestoreResult restored =
        new Restore(setting.repository(), Demo.CLUSTER)
            .run(
                new Restore.Request(
                    Target.LATEST, data, Map.of(), owner, true, PostgresServer.freePort(), null),
                Progress.SILENT);
    double back = (System.nanoTime() - died) / 1e9;
    RestoreResult.Server server = Objects.requireNonNull(restored.server(), "asked to be started");
    try {
      count(server, back, figures);
    } finally {
      stop(server, data, owner);
    }
  }

  private void count(RestoreResult.Server server, double back, List<DemoResult.Figure> figures)
      throws SQLException {
    int found;
    boolean whole;
    try (Connection connection =
            DriverManager.getConnection(
                "jdbc:postgresql://127.0.0.1:" + server.port() + "/postgres?user=postgres");
        Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT coalesce(max(sequence), 0), count(*) = coalesce(max(sequence), 0)"
                    + " FROM telemetry.pings WHERE client = 2")) {
      row.next();
      found = row.getInt(1);
      whole = row.getBoolean(2);
    }
    List<Long> times = List.copyOf(acknowledged);
    int lost = Math.max(0, times.size() - found);
    double lostSeconds = lost == 0 ? 0 : (times.getLast() - times.get(found)) / 1e9;
    setting
        .say()
        .accept(
            "   a new server takes writes after %.1f s; of %,d acknowledged commits %,d are lost"
                .formatted(back, times.size(), lost));
    figures.add(
        new DemoResult.Figure(
            "C: acknowledged commits lost with the machine",
            "all; no backup",
            "%,d of %,d: the last %.2f s".formatted(lost, times.size(), lostSeconds),
            whole && !times.isEmpty() && lostSeconds <= LOST_SECONDS_MAX));
    figures.add(
        new DemoResult.Figure(
            "C: from the machine's end to a server that takes writes",
            "a day of regenerating",
            "%.1f s".formatted(back),
            back < 120));
  }

  private void commit() {
    try (Connection connection = setting.production().connect();
        PreparedStatement insert =
            connection.prepareStatement(
                "INSERT INTO telemetry.pings (client, sequence) VALUES (2, ?)")) {
      for (long sequence = 1; ; sequence++) {
        insert.setLong(1, sequence);
        insert.executeUpdate();
        acknowledged.add(System.nanoTime());
        begun = true;
        LockSupport.parkNanos(PAUSE_NANOS);
      }
    } catch (SQLException e) {
      begun = true; // the machine is gone
    }
  }

  private static void join(Thread client) {
    try {
      client.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED, "the demo was stopped", "interrupted", "run it again", e);
    }
  }

  /** Who is to run it where we are root and there is no user postgres; null: the usual one. */
  private static @Nullable String owner() {
    boolean usual =
        !"root".equals(System.getProperty("user.name"))
            || Processes.run(List.of("id", "-u", "postgres")).exitCode() == 0;
    return usual ? null : "nobody";
  }

  private static void remove(Path folder) {
    try (Stream<Path> inside = Files.walk(folder)) {
      for (Path path : inside.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void stop(RestoreResult.Server server, Path data, @Nullable String owner) {
    String pgCtl = Path.of(server.binaries()).resolve("pg_ctl").toString();
    Processes.run(
        ServerUser.of(owner, "cannot stop the restored server")
            .command(List.of(pgCtl, "stop", "-D", data.toString(), "-m", "immediate")));
  }
}
