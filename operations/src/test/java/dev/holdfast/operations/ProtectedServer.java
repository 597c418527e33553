package dev.holdfast.operations;

import dev.holdfast.postgres.Catalog;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/** A real server, protected and being recorded, as an operator would have it. */
final class ProtectedServer implements AutoCloseable {
  static final String NAME = "acme";

  /** The recorder asks for catalogs once a minute when they change without need. */
  private static final long CAUGHT_UP_SECONDS_MAX = 180;

  final TestServer server;
  final String repository;

  /** What the recorder said. */
  private final List<String> told = Collections.synchronizedList(new ArrayList<>());

  final List<LogEntry> alarms = Collections.synchronizedList(new ArrayList<>());
  private @Nullable Record recorder;
  private @Nullable CompletableFuture<Void> recording;

  private ProtectedServer(TestServer server, String repository) {
    this.server = server;
    this.repository = repository;
  }

  /** An embedded server of this major version; {@code statements} run before the base backup. */
  static ProtectedServer start(int major, String... statements) {
    return start(PostgresBinaries.embedded(major), statements);
  }

  static ProtectedServer start(PostgresBinaries binaries, String... statements) {
    return start(binaries, true, statements);
  }

  /** As {@link #start(PostgresBinaries, String...)}, with or without checksums of pages. */
  static ProtectedServer start(PostgresBinaries binaries, boolean checksums, String... statements) {
    List<String> initdb =
        checksums
            ? List.of("--data-checksums")
            : binaries.major() >= 18 ? List.of("--no-data-checksums") : List.of();
    return start(binaries, Map.of("max_prepared_transactions", "10"), initdb, statements);
  }

  static ProtectedServer start(
      PostgresBinaries binaries,
      Map<String, String> settings,
      List<String> initdb,
      String... statements) {
    TestServer server = TestServer.start(binaries, settings, initdb);
    try {
      server.execute(statements);
      Path repository = server.folder().resolve("repository");
      ProtectedServer made = new ProtectedServer(server, repository.toString());
      new Protect(made.repository)
          .run(
              new Protect.Request(
                  NAME,
                  server.url("postgres"),
                  "production",
                  server.url("postgres"),
                  true,
                  false,
                  2),
              Progress.SILENT);
      made.record();
      return made;
    } catch (RuntimeException | Error e) {
      server.close();
      throw e;
    }
  }

  /** Begins to record. */
  void record() {
    Record begun = new Record(repository, NAME, null, 0.2);
    recorder = begun;
    recording =
        CompletableFuture.runAsync(
            () ->
                begun.run(
                    new Record.Listener() {
                      @Override
                      public void destructive(LogEntry entry) {
                        alarms.add(entry);
                      }

                      @Override
                      public void say(String line) {
                        told.add(line);
                      }
                    }),
            Thread::startVirtualThread);
  }

  /** Waits until everything the server has written is in the repository. */
  void caughtUp() throws Exception {
    server.execute("SELECT pg_logical_emit_message(true, 'test', 'flush')");
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(CAUGHT_UP_SECONDS_MAX);
    String target = server.value("SELECT pg_current_wal_flush_lsn()");
    while (true) {
      ClusterStatus status = new Status(repository).of(NAME).getFirst();
      if (status.recordedThrough() != null
          && server
              .value(
                  "SELECT '" + status.recordedThrough() + "'::pg_lsn >= '" + target + "'::pg_lsn")
              .equals("t")) {
        return;
      }
      if (System.nanoTime() > deadline) {
        throw new TimeoutException("recorded " + status.recordedThrough() + " of " + target);
      }
      Thread.sleep(50); // the recorder tells the repository, and only that
    }
  }

  /** Waits until a recorded catalog knows a table of this name. */
  void awaitRecorded(String table) throws Exception {
    caughtUp();
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(CAUGHT_UP_SECONDS_MAX);
    ClusterStore cluster = Repository.open(repository).cluster(NAME);
    while (true) {
      List<String> names = new ArrayList<>();
      for (String lsn : cluster.catalogs()) {
        cluster
            .catalog(lsn, Catalog.class)
            .databases()
            .forEach(database -> database.relations().forEach(each -> names.add(each.name())));
      }
      if (names.contains(table)) {
        return;
      }
      if (System.nanoTime() > deadline) {
        throw new TimeoutException(
            "no recorded catalog knows " + table + "; the recorder said " + told);
      }
      Thread.sleep(50); // the recorder tells the repository, and only that
    }
  }

  /** The log as an operator sees it. */
  List<LogEntry> log(Log.Filter filter) {
    List<LogEntry> entries = new ArrayList<>();
    new Log(repository, NAME).run(filter, Progress.SILENT, entries::add);
    return entries;
  }

  Revert revert(Revert.Options options) {
    return new Revert(repository, NAME, server.url("postgres"), options);
  }

  /** Plans and applies. */
  RevertResult undo(String xid, Revert.Options options) {
    try (Revert.Planned planned =
        revert(options).planAgain(Revert.Selection.of(xid), Progress.SILENT)) {
      return planned.apply(planned.plan().digest(), Progress.SILENT);
    }
  }

  /** Stops recording. */
  void stopRecording() {
    if (recorder != null && recording != null) {
      recorder.stop();
      recording.orTimeout(60, TimeUnit.SECONDS).join();
      recorder = null;
    }
  }

  @Override
  public void close() {
    try {
      stopRecording();
    } finally {
      server.close();
    }
  }
}
