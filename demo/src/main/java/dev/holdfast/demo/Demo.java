package dev.holdfast.demo;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.LogEntry;
import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Protect;
import dev.holdfast.operations.ProtectResult;
import dev.holdfast.operations.Record;
import dev.holdfast.operations.RecordOptions;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.KeySources;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Replays the incidents on an embedded PostgreSQL 18 and undoes them, as an operator would. */
public final class Demo {
  static final String CLUSTER = "acme";
  static final int MAJOR = 18;
  private static final long STARTING_MAX_NANOS = 60_000_000_000L;
  private static final long ALARM_MAX_SECONDS = 30;

  /** How often the recorder makes durable what it has, at least. */
  static final double FLUSH_SECONDS = 0.2;

  /** Which incidents are replayed. */
  public enum Scenario {
    /** A: the application that was given the address of another database. */
    ADDRESS,
    /** B: the UPDATE that ate a JSON column. */
    JSON,
    /** D: the migration that dropped every table. */
    DROP,
    /** C: the machine that took the database with it. */
    MACHINE,
    /** All, on one server; C comes last, since nothing is left of that server then. */
    ALL;

    boolean holds(Scenario one) {
      return this == ALL || this == one;
    }
  }

  /** Something done to the database after it was repaired: a test proves that it is noticed. */
  interface Sabotage {
    void commit(Connection production) throws SQLException;
  }

  private final @Nullable Sabotage sabotage;

  /** The demo as an operator runs it. */
  public Demo() {
    this(null);
  }

  Demo(@Nullable Sabotage sabotage) {
    this.sabotage = sabotage;
  }

  /**
   * Runs it; everything it starts and writes is gone afterwards.
   *
   * @param say told each thing that happens, as it happens
   */
  public DemoResult run(Scenario scenario, Consumer<String> say) {
    long begun = System.nanoTime();
    Path folder = scratch();
    PostgresBinaries binaries = PostgresBinaries.embedded(MAJOR);
    Path data = folder.resolve("production");
    PostgresServer.initialise(binaries, data, List.of());
    try (PostgresServer server =
        PostgresServer.start(
            binaries,
            data,
            Map.of(
                "shared_buffers", "128MB",
                "max_wal_size", "2GB",
                "max_slot_wal_keep_size", "2GB",
                "autovacuum_naptime", "5s"),
            List.of(folder))) {
      Production production = new Production(server);
      production.awaitReady(STARTING_MAX_NANOS);
      say.accept(
          "An email company's production database: PostgreSQL "
              + MAJOR
              + " with "
              + Company.TABLES
              + " tables, "
              + "%,d".formatted(Company.USERS)
              + " users, and clients that keep books of what they wrote.");
      try (Connection connection = production.connect()) {
        Company.found(connection);
      }
      return protectedAndHurt(scenario, say, folder, production, begun);
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "the demo could not go on",
          String.valueOf(e.getMessage()),
          "run it again with HOLDFAST_LOG=debug and report what it prints",
          e);
    }
  }

  private DemoResult protectedAndHurt(
      Scenario scenario, Consumer<String> say, Path folder, Production production, long begun)
      throws SQLException {
    String repository = folder.resolve("repository").toString();
    // Its key goes where everything else of the demo goes in the end.
    KeySources.useInProcess(
        KeySources.of(Map.of("XDG_CONFIG_HOME", folder.resolve("config").toString())));
    ProtectResult safe =
        new Protect(repository)
            .run(
                new Protect.Request(
                    CLUSTER, production.url(), "production", production.url(), true, true, 2),
                Progress.SILENT);
    say.accept(
        "$ holdfast protect acme … --environment production     (base backup: %.0f MB in %.1f s)"
            .formatted(safe.base().bytes() / 1e6, safe.base().durationSeconds()));
    say.accept("$ holdfast record acme &");
    Alarms alarms = new Alarms();
    Record recorder =
        new Record(repository, CLUSTER, RecordOptions.DEFAULT.withFlushSeconds(FLUSH_SECONDS));
    CompletableFuture<Void> recording =
        CompletableFuture.runAsync(() -> recorder.run(alarms), Thread::startVirtualThread);
    List<DemoResult.Figure> figures = new ArrayList<>();
    try {
      if (scenario.holds(Scenario.ADDRESS)) {
        new AddressIncident(repository, production, folder, say).run(figures);
      }
    } catch (SQLException | RuntimeException e) {
      end(recorder, recording, say);
      throw e;
    }
    if (scenario == Scenario.ADDRESS) {
      end(recorder, recording, say);
      return DemoResult.of(figures, 0, 0, 0, (System.nanoTime() - begun) / 1e9);
    }
    Afternoon afternoon = new Afternoon(production);
    Books books = new Books(production, afternoon);
    Traffic traffic = new Traffic(production.jdbc());
    try {
      Incident.Setting setting =
          new Incident.Setting(repository, production, folder, traffic, alarms, say);
      if (scenario != Scenario.MACHINE) {
        new Refusals(setting).run(figures);
      }
      if (scenario.holds(Scenario.JSON)) {
        new JsonIncident(setting, afternoon).run(figures);
      }
      if (scenario.holds(Scenario.DROP)) {
        new DropIncident(setting, books).run(figures);
      }
      traffic.awaitBegun();
      traffic.close();
      if (sabotage != null) {
        try (Connection connection = production.connect()) {
          sabotage.commit(connection);
        }
      }
      DemoResult repaired = books.check(scenario, traffic, figures);
      List<DemoResult.Figure> all = new ArrayList<>(repaired.figures());
      if (scenario.holds(Scenario.MACHINE)) {
        new MachineIncident(setting, () -> end(recorder, recording, say)).run(all);
      }
      return DemoResult.of(
          all,
          repaired.rowsLost(),
          repaired.rowsRecovered(),
          repaired.rowsKept(),
          (System.nanoTime() - begun) / 1e9);
    } finally {
      traffic.close();
      end(recorder, recording, say);
    }
  }

  private static void end(
      Record recorder, CompletableFuture<Void> recording, Consumer<String> say) {
    recorder.stop();
    try {
      recording.get(30, TimeUnit.SECONDS);
    } catch (java.util.concurrent.ExecutionException | TimeoutException e) {
      say.accept("the recorder ended badly: " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static Path scratch() {
    try {
      Path folder = Files.createTempDirectory("holdfast-demo");
      // A server run as another user must be able to reach its data inside.
      Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The server that plays production. */
  record Production(PostgresServer server) {
    String url() {
      return server.url("postgres");
    }

    String jdbc() {
      return "jdbc:postgresql://127.0.0.1:" + server.port() + "/postgres?user=postgres";
    }

    Connection connect() throws SQLException {
      return DriverManager.getConnection(jdbc() + "&ApplicationName=demo");
    }

    void awaitReady(long nanosMax) throws SQLException {
      long deadline = System.nanoTime() + nanosMax;
      while (true) {
        try (Connection _ = connect()) {
          return;
        } catch (SQLException e) {
          if (!server.isAlive() || System.nanoTime() > deadline) {
            throw new SQLException("the server did not start:\n" + server.logTail(20), e);
          }
          java.util.concurrent.locks.LockSupport.parkNanos(20_000_000L);
        }
      }
    }
  }

  /** What the recorder told, and when. */
  static final class Alarms implements Record.Listener {
    private final Map<String, CompletableFuture<Alarm>> byXid = new ConcurrentHashMap<>();

    record Alarm(LogEntry entry, long nanos) {}

    @Override
    public void destructive(LogEntry entry) {
      byXid
          .computeIfAbsent(entry.xid(), _ -> new CompletableFuture<>())
          .complete(new Alarm(entry, System.nanoTime()));
    }

    @Override
    public void say(String line) {}

    /** Waits for the alarm about this transaction. */
    Alarm await(String xid) {
      try {
        return byXid
            .computeIfAbsent(xid, _ -> new CompletableFuture<>())
            .get(ALARM_MAX_SECONDS, TimeUnit.SECONDS);
      } catch (TimeoutException | java.util.concurrent.ExecutionException e) {
        throw new OperatorException(
            Kind.DIFFERENT,
            "no alarm about transaction " + xid,
            "the recorder said nothing within " + ALARM_MAX_SECONDS + " s of its commit",
            "report this: the demo's recorder should have seen it",
            e);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new OperatorException(
            Kind.INTERRUPTED, "the demo was stopped", "interrupted", "run it again", e);
      }
    }
  }
}
