package dev.holdfast.demo;

import dev.holdfast.operations.Check;
import dev.holdfast.operations.CheckResult;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.operations.Expectation;
import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Protect;
import dev.holdfast.operations.Record;
import dev.holdfast.operations.RecordOptions;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Of incident A what looks like a copy and is none: a standby that was promoted. It has a small
 * cluster of its own, since its primary is killed.
 */
final class Failover {
  private static final String CLUSTER = "acme_eu";
  private static final Expectation EXPECTED =
      Expectation.to(CLUSTER + "/" + AddressIncident.ENVIRONMENT);
  private static final long WAITING_MAX_NANOS = 60_000_000_000L;
  private static final long LOOKING_AGAIN_NANOS = 20_000_000L;

  private final Path folder;
  private final Consumer<String> say;

  Failover(Path folder, Consumer<String> say) {
    this.folder = folder;
    this.say = say;
  }

  void run(List<DemoResult.Figure> figures) throws SQLException {
    PostgresBinaries binaries = PostgresBinaries.embedded(Demo.MAJOR);
    Path first = folder.resolve("eu-first");
    PostgresServer.initialise(binaries, first, List.of());
    PostgresServer stopped = PostgresServer.start(binaries, first, Map.of(), List.of());
    new Demo.Production(stopped).awaitReady(WAITING_MAX_NANOS);
    stopped.stop(PostgresServer.Stop.FAST);
    Path second = folder.resolve("eu-second");
    AddressIncident.copy(first, second);
    int port = PostgresServer.freePort();
    try (PostgresServer primary =
            PostgresServer.startOn(port, binaries, first, settings(), List.of());
        PostgresServer standby = standby(binaries, second, port)) {
      Demo.Production there = new Demo.Production(primary);
      there.awaitReady(WAITING_MAX_NANOS);
      new Demo.Production(standby).awaitReady(WAITING_MAX_NANOS);
      failOver(binaries, there, standby, figures);
    }
  }

  private void failOver(
      PostgresBinaries binaries,
      Demo.Production there,
      PostgresServer standby,
      List<DemoResult.Figure> figures)
      throws SQLException {
    Demo.Production promoted = new Demo.Production(standby);
    String repository = folder.resolve("eu-repository").toString();
    new Protect(repository)
        .run(
            new Protect.Request(
                CLUSTER, there.url(), AddressIncident.ENVIRONMENT, there.url(), true, true, 1),
            Progress.SILENT);
    String both =
        there
            .url()
            .replace(
                "127.0.0.1:" + there.server().port(),
                "127.0.0.1:%d,127.0.0.1:%d".formatted(there.server().port(), standby.port()));
    Record recorder =
        new Record(
            repository,
            CLUSTER,
            RecordOptions.DEFAULT.withUrl(both).withFlushSeconds(Demo.FLUSH_SECONDS));
    CompletableFuture<Void> recording =
        CompletableFuture.runAsync(
            () -> recorder.run(new Demo.Alarms()), Thread::startVirtualThread);
    try {
      await(
          there,
          "SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name LIKE 'holdfast%'");
      execute(there, "CREATE TABLE orders (id int)", "INSERT INTO orders VALUES (1)");
      await(promoted, "SELECT to_regclass('orders') IS NOT NULL");
      there.server().stop(PostgresServer.Stop.KILL);
      execute(promoted, "SELECT pg_promote()");
      await(promoted, "SELECT NOT pg_is_in_recovery()");
      say.accept(
          "\n   The primary of another cluster is killed, its standby promoted; the recorder follows.");
      execute(promoted, "INSERT INTO orders VALUES (2)");
      await(
          promoted,
          "SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name LIKE 'holdfast%'");
      figures.add(figure(repository, promoted.url(), "a standby that was promoted", Verdict.SAME));
      Files.deleteIfExists(there.server().data().resolve("postmaster.pid"));
      try (PostgresServer old =
          PostgresServer.start(binaries, there.server().data(), settings(), List.of())) {
        new Demo.Production(old).awaitReady(WAITING_MAX_NANOS);
        figures.add(
            figure(
                repository,
                old.url("postgres"),
                "its old primary, started again",
                Verdict.PHYSICAL_COPY));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      end(recorder, recording);
    }
  }

  private DemoResult.Figure figure(String repository, String url, String what, Verdict verdict) {
    long begun = System.nanoTime();
    CheckResult result = new Check(repository, null).of(url, null, EXPECTED);
    double seconds = (System.nanoTime() - begun) / 1e9;
    say.accept("$ holdfast check %s --expect %s".formatted(url, EXPECTED));
    say.accept("   " + result.headline());
    return new DemoResult.Figure(
        "A: led to " + what,
        "",
        "%s in %.1f s".formatted(AddressIncident.named(result.verdict()), seconds),
        result.verdict() == verdict && seconds < 10);
  }

  private static Map<String, String> settings() {
    return Map.of(
        "shared_buffers",
        "32MB",
        "fsync",
        "off",
        "wal_keep_size",
        "256MB",
        "max_slot_wal_keep_size",
        "1GB");
  }

  private static PostgresServer standby(PostgresBinaries binaries, Path data, int primary) {
    try {
      Files.createFile(data.resolve("standby.signal"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Map<String, String> settings = new java.util.TreeMap<>(settings());
    settings.put("primary_conninfo", "host=127.0.0.1 user=postgres port=" + primary);
    return PostgresServer.start(binaries, data, settings, List.of());
  }

  private static void execute(Demo.Production server, String... statements) throws SQLException {
    try (Connection connection = server.connect();
        Statement statement = connection.createStatement()) {
      for (String sql : statements) {
        statement.execute(sql);
      }
    }
  }

  /** A server tells nobody when it has come so far. */
  private static void await(Demo.Production server, String condition) throws SQLException {
    long deadline = System.nanoTime() + WAITING_MAX_NANOS;
    while (true) {
      try (Connection connection = server.connect();
          Statement statement = connection.createStatement();
          ResultSet row = statement.executeQuery(condition)) {
        row.next();
        if (row.getBoolean(1)) {
          return;
        }
      }
      if (System.nanoTime() > deadline) {
        throw new SQLException("it did not become true within a minute: " + condition);
      }
      LockSupport.parkNanos(LOOKING_AGAIN_NANOS);
    }
  }

  private static void end(Record recorder, CompletableFuture<Void> recording) {
    recorder.stop();
    try {
      recording.get(30, TimeUnit.SECONDS);
    } catch (java.util.concurrent.ExecutionException | TimeoutException e) {
      throw new IllegalStateException("the recorder ended badly", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
