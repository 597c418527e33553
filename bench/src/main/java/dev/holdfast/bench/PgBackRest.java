package dev.holdfast.bench;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * How one table comes back with pgBackRest: restore, replay to the target, pg_dump, psql. At its
 * best: two processes for everything, zstd, WAL fetched ahead, no checkpoint waited for, a scratch
 * server that does not sync, given the exact position instead of a guessed time.
 */
final class PgBackRest {
  private static final String STANZA = "bench";
  private static final Duration WAITING_MAX = Duration.ofMinutes(15);

  private final Production production;
  private final Path folder;
  private final Path configuration;

  private PgBackRest(Production production, Path folder) {
    this.production = production;
    this.folder = folder;
    this.configuration = folder.resolve("pgbackrest.conf");
  }

  /** Makes production archive its WAL; it must run with {@code archive_mode=on}. */
  static PgBackRest archiving(Production production) throws IOException, SQLException {
    Path folder = Files.createDirectory(production.folder().resolve("pgbackrest"));
    PgBackRest made = new PgBackRest(production, folder);
    Files.createDirectory(folder.resolve("repository"));
    made.configure(
        made.configuration, "production", production.server().data(), production.server().port());
    command(made.configuration, "stanza-create");
    made.archive(
        "pgbackrest --config=%s --stanza=%s archive-push %%p"
            .formatted(made.configuration, STANZA));
    return made;
  }

  /**
   * A machine's configuration, with locks and queues of its own: what fetches WAL for the scratch
   * server must not wait for what archives production's.
   */
  private void configure(Path file, String machine, Path data, int port) throws IOException {
    Path own = Files.createDirectory(folder.resolve(machine));
    Files.writeString(
        file,
        """
        [global]
        repo1-path=%1$s/repository
        repo1-retention-full=1
        lock-path=%2$s/lock
        spool-path=%2$s/spool
        log-path=%2$s/log
        log-level-file=off
        compress-type=zst
        compress-level=1
        process-max=2
        start-fast=y
        archive-async=y

        [%3$s]
        pg1-path=%4$s
        pg1-port=%5$d
        pg1-socket-path=%6$s
        pg1-user=postgres
        """
            .formatted(folder, own, STANZA, data, port, production.folder()));
  }

  /** Lets production go on without archiving. */
  void stop() throws SQLException {
    archive("/bin/true");
  }

  private void archive(String command) throws SQLException {
    production.run(
        "ALTER SYSTEM SET archive_command = '" + command + "'", "SELECT pg_reload_conf()");
  }

  /** A full backup; what was there before it expires. */
  void backUp() {
    backUp("full");
  }

  /**
   * A backup.
   *
   * @param type {@code full}, {@code incr}
   */
  void backUp(String type) {
    command(configuration, "--type=" + type, "backup");
  }

  /** Bytes that the newest backup takes in the repository. */
  long newestBytes() throws IOException {
    try (Stream<Path> backups = Files.list(folder.resolve("repository/backup").resolve(STANZA))) {
      Path newest =
          backups
              .filter(path -> path.getFileName().toString().matches("\\d{8}-\\d{6}F.*"))
              .max(Comparator.comparing(path -> path.getFileName().toString()))
              .orElseThrow();
      return RepositoryBench.bytes(newest);
    }
  }

  /** Brings the newest backup, with those it stands on, into a folder. */
  void restore(Path to) throws IOException {
    Files.createDirectory(to);
    command(configuration, "--pg1-path=" + to, "--type=none", "restore");
  }

  /**
   * Brings a dropped table back.
   *
   * @param before where the log was just before the accident
   * @return seconds by phase
   */
  Map<String, Double> bringBack(String table, Lsn before) throws Exception {
    Map<String, Double> phases = new LinkedHashMap<>();
    Path restored = Files.createDirectory(folder.resolve("restored"));
    Path scratchConfiguration = folder.resolve("scratch.conf");
    Path machine = folder.resolve("scratch");
    Processes.run(List.of("rm", "-rf", machine.toString()));
    configure(scratchConfiguration, "scratch", restored, production.server().port());
    long begun = System.nanoTime();
    awaitArchived();
    begun = phase(phases, "archive", begun);
    command(
        scratchConfiguration,
        "--type=lsn",
        "--target=" + before,
        "--target-exclusive",
        "--target-action=pause",
        "--archive-mode=off",
        "restore");
    begun = phase(phases, "restore", begun);
    try (PostgresServer scratch =
        PostgresServer.start(
            production.binaries(),
            restored,
            Map.of("fsync", "off", "shared_buffers", "1GB", "max_wal_size", "16GB"),
            List.of(restored))) {
      awaitPaused(scratch);
      begun = phase(phases, "replay", begun);
      pipe(
          List.of(
              production.binaries().program("pg_dump").toString(),
              "--table=" + table,
              scratch.url(Production.DATABASE)),
          List.of(
              production.binaries().program("psql").toString(),
              "--no-psqlrc",
              "--quiet",
              "--single-transaction",
              "--set=ON_ERROR_STOP=1",
              "--output=/dev/null",
              production.url()));
      phase(phases, "dump and load", begun);
    }
    return phases;
  }

  private static long phase(Map<String, Double> phases, String name, long begun) {
    long now = System.nanoTime();
    phases.put(name, (now - begun) / 1e9);
    return now;
  }

  /** The segment with the accident must be in the archive before it can be replayed. */
  private void awaitArchived() throws SQLException, InterruptedException {
    String wanted = production.ask("SELECT pg_walfile_name(pg_switch_wal())");
    long deadline = System.nanoTime() + WAITING_MAX.toNanos();
    while (production
            .ask("SELECT coalesce(max(last_archived_wal), '') FROM pg_stat_archiver")
            .compareTo(wanted)
        < 0) {
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException(wanted + " is not archived");
      }
      Thread.sleep(20); // the server archives when it likes: there is nothing to wait on
    }
  }

  private static void awaitPaused(PostgresServer scratch) throws InterruptedException {
    long deadline = System.nanoTime() + WAITING_MAX.toNanos();
    while (scratch.isAlive() && System.nanoTime() < deadline) {
      try (Connection connection = Production.connect(scratch)) {
        while (System.nanoTime() < deadline) {
          if (Production.ask(connection, "SELECT pg_get_wal_replay_pause_state()")
              .equals("paused")) {
            return;
          }
          Thread.sleep(20); // nothing tells
        }
      } catch (SQLException e) {
        Thread.sleep(20); // not consistent yet
      }
    }
    throw new IllegalStateException("the target was not reached:\n" + scratch.logTail(20));
  }

  private static void pipe(List<String> from, List<String> to) throws IOException {
    List<ProcessBuilder> both =
        List.of(
            new ProcessBuilder(from).redirectError(ProcessBuilder.Redirect.INHERIT),
            new ProcessBuilder(to)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD));
    for (Process process : ProcessBuilder.startPipeline(both)) {
      if (process.onExit().join().exitValue() != 0) {
        throw new IllegalStateException("pg_dump | psql failed");
      }
    }
  }

  private static void command(Path configuration, String... arguments) {
    List<String> command =
        new ArrayList<>(List.of("pgbackrest", "--config=" + configuration, "--stanza=" + STANZA));
    command.addAll(List.of(arguments));
    ProcessResult result = Processes.run(command);
    if (result.exitCode() != 0) {
      throw new IllegalStateException(String.join(" ", command) + ": " + result.output());
    }
  }
}
