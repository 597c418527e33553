package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Servers that descend from one initdb: primaries, standbys, restored copies; one repository. */
final class ServerFamily implements AutoCloseable {
  private static final Duration WAITING_MAX = Duration.ofSeconds(60);
  private static final Map<String, String> SETTINGS =
      Map.of(
          "fsync", "off",
          "shared_buffers", "32MB",
          "wal_level", "replica",
          "max_wal_senders", "10",
          "wal_keep_size", "1GB",
          "autovacuum", "off",
          "checkpoint_timeout", "1h");

  private final PostgresBinaries binaries;
  private final Path folder;
  private final List<Member> members = new ArrayList<>();
  private @Nullable String repository;

  /** One server. */
  final class Member {
    private final Path data;
    private final Map<String, String> settings;
    private PostgresServer server;

    private Member(Path data, Map<String, String> more) {
      this.data = data;
      this.settings = new TreeMap<>(SETTINGS);
      this.settings.putAll(more);
      this.server = PostgresServer.start(binaries, data, settings, List.of());
      members.add(this);
      awaitReady();
    }

    Path walFolder() {
      return data.resolve("pg_wal");
    }

    List<String> query(String sql) {
      try (Connection connection = open();
          Statement statement = connection.createStatement();
          ResultSet rows = statement.executeQuery(sql)) {
        List<String> lines = new ArrayList<>();
        while (rows.next()) {
          List<String> texts = new ArrayList<>();
          for (int column = 1; column <= rows.getMetaData().getColumnCount(); column++) {
            texts.add(String.valueOf(rows.getString(column)));
          }
          lines.add(String.join(" ", texts));
        }
        return lines;
      } catch (SQLException e) {
        throw new IllegalStateException(sql, e);
      }
    }

    /** Leaves a mark in the log; returns the position up to which the log is on disk. */
    Lsn mark(String text) {
      query("SELECT pg_logical_emit_message(true, '" + text + "', '')");
      return Lsn.parse(query("SELECT pg_current_wal_flush_lsn()").getFirst());
    }

    void execute(String... statements) {
      try (Connection connection = open();
          Statement statement = connection.createStatement()) {
        for (String sql : statements) {
          statement.execute(sql);
        }
      } catch (SQLException e) {
        throw new IllegalStateException(String.join("; ", statements), e);
      }
    }

    int port() {
      return server.port();
    }

    void kill() {
      server.stop(PostgresServer.Stop.KILL);
    }

    String url() {
      return server.url("postgres");
    }

    /** Writes about this many megabytes of log. */
    void write(int megabytes) {
      for (int i = 0; i < megabytes; i++) {
        execute("INSERT INTO noise SELECT repeat(md5(i::text), 8) FROM generate_series(1, 3200) i");
      }
    }

    /** A copy of the stopped server's files. */
    Path copy(String name) {
      server.stop(PostgresServer.Stop.FAST);
      Path copied = folder.resolve(name);
      run("cp", "-a", data.toString(), copied.toString());
      server = PostgresServer.startOn(server.port(), binaries, data, settings, List.of());
      awaitReady();
      return copied;
    }

    /** A standby of this server, made of a copy of its files. */
    Member standby(String name, Map<String, String> more) throws IOException {
      return standby(copy(name), more);
    }

    /** A standby of this server, made by {@code pg_basebackup}. */
    Member standbyByBaseBackup(String name) throws IOException {
      Path copied = folder.resolve(name);
      run(
          binaries.program("pg_basebackup").toString(),
          "--dbname=" + server.url("postgres"),
          "--pgdata=" + copied,
          "--checkpoint=fast",
          "--wal-method=stream",
          "--no-sync");
      return standby(copied, Map.of());
    }

    private Member standby(Path copied, Map<String, String> more) throws IOException {
      Files.createFile(copied.resolve("standby.signal"));
      var all = new TreeMap<>(more);
      all.putIfAbsent("primary_conninfo", "host=127.0.0.1 user=postgres port=" + server.port());
      return new Member(copied, all);
    }

    void awaitReplayed(Lsn lsn) {
      await("replayed " + lsn, "SELECT pg_last_wal_replay_lsn() >= '" + lsn + "'::pg_lsn");
    }

    /** Returns where its new timeline began. */
    Lsn promote() {
      query("SELECT pg_promote()");
      return awaitPromoted();
    }

    Lsn awaitPromoted() {
      await("promoted", "SELECT NOT pg_is_in_recovery()");
      String history =
          query(
                  "SELECT name FROM pg_ls_waldir() WHERE name LIKE '%.history' ORDER BY name DESC"
                      + " LIMIT 1")
              .getFirst();
      try {
        String text = Files.readString(walFolder().resolve(history));
        return Lsn.parse(text.strip().replaceFirst("(?s).*\n", "").split("\t", -1)[1]);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    /** A receiver of this server's log that tells why it is not connected. */
    WalReceiver receiver(Consumer<OperatorException> disconnected) {
      return new WalReceiver(
          PostgresUrl.parse(server.url("postgres")),
          cluster(),
          WalReceiver.Options.DEFAULT.withFlushInterval(Duration.ofMillis(50)),
          new WalReceiver.Listener() {
            @Override
            public void durable(int timeline, Lsn from, byte[] bytes, int offset, int length) {}

            @Override
            public void disconnected(OperatorException why, Duration pause) {
              disconnected.accept(why);
            }
          });
    }

    /** Records until this position of this server is in the repository. */
    void record(Lsn through) throws Exception {
      WalReceiver receiver = receiver(_ -> {});
      int timeline =
          Integer.parseInt(
              query("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").getFirst(), 16);
      var running = CompletableFuture.runAsync(receiver::run, Thread::startVirtualThread);
      try {
        long deadline = System.nanoTime() + WAITING_MAX.toNanos();
        while (receiver.timeline() != timeline || receiver.storedThrough().isBefore(through)) {
          if (running.isDone()) {
            running.join();
          }
          if (System.nanoTime() > deadline) {
            throw new IllegalStateException(
                "recorded " + receiver.storedThrough() + " of " + through);
          }
          Thread.sleep(10); // positions of two timelines: there is no one thing to wait for
        }
      } finally {
        receiver.stop();
        running.orTimeout(60, TimeUnit.SECONDS).join();
      }
    }

    private Connection open() throws SQLException {
      return DriverManager.getConnection(
          "jdbc:postgresql://127.0.0.1:" + server.port() + "/postgres", "postgres", "");
    }

    private void await(String what, String sql) {
      long deadline = System.nanoTime() + WAITING_MAX.toNanos();
      while (!query(sql).equals(List.of("t"))) {
        if (System.nanoTime() > deadline) {
          throw new IllegalStateException("not " + what + ":\n" + server.logTail(30));
        }
        pause();
      }
    }

    private void awaitReady() {
      long deadline = System.nanoTime() + WAITING_MAX.toNanos();
      while (true) {
        try (Connection _ = open()) {
          return;
        } catch (SQLException e) {
          if (!server.isAlive() || System.nanoTime() > deadline) {
            throw new IllegalStateException("did not start:\n" + server.logTail(40), e);
          }
          pause();
        }
      }
    }
  }

  private ServerFamily(PostgresBinaries binaries, Path folder) {
    this.binaries = binaries;
    this.folder = folder;
  }

  /** A family with its first primary, which has a table {@code noise}. */
  static ServerFamily begin(PostgresBinaries binaries, int segmentMegabytes) throws IOException {
    Path folder = Files.createTempDirectory("holdfast-family");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    var family = new ServerFamily(binaries, folder);
    try {
      Path data = folder.resolve("first");
      PostgresServer.initialise(binaries, data, List.of("--wal-segsize=" + segmentMegabytes));
      Member first = family.new Member(data, Map.of());
      first.execute("CREATE TABLE noise (t text)");
      if (binaries.major() >= 15) {
        first.execute("CREATE EXTENSION pg_walinspect");
      }
      String repository = folder.resolve("repository").toString();
      Repository.create(repository)
          .register(
              new ClusterDocument(
                  "acme",
                  "postgresql",
                  first.query("SELECT system_identifier FROM pg_control_system()").getFirst(),
                  binaries.major(),
                  "production",
                  segmentMegabytes << 20,
                  first.server.url("postgres"),
                  null,
                  Instant.now(),
                  Map.of()));
      family.repository = repository;
      return family;
    } catch (RuntimeException | Error e) {
      family.close();
      throw e;
    }
  }

  Member first() {
    return members.getFirst();
  }

  String repository() {
    if (repository == null) {
      throw new IllegalStateException("not begun");
    }
    return repository;
  }

  ClusterStore cluster() {
    return Repository.open(repository()).cluster("acme");
  }

  /** A server started on these files. */
  Member start(Path data, Map<String, String> settings) {
    return new Member(data, settings);
  }

  private static void run(String... command) {
    ProcessResult result = Processes.run(List.of(command));
    if (result.exitCode() != 0) {
      throw new IllegalStateException(String.join(" ", command) + "\n" + result.output());
    }
  }

  private static void pause() {
    try {
      Thread.sleep(20); // polling a server: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    members.forEach(member -> member.server.close());
    Processes.run(List.of("rm", "-rf", folder.toString()));
  }
}
