package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** Commits that wait for the repository wait no longer than was agreed. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SynchronousRecordTest {
  private static final String US = "ANY 1 (\"holdfast:acme\")";

  /** Lets bytes through to a server, or holds them. */
  private static final class Gate implements AutoCloseable {
    private final ServerSocket listening =
        new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final URI behind;
    private volatile boolean closed;
    private boolean shut;

    Gate(URI behind) throws IOException {
      this.behind = behind;
      Thread.startVirtualThread(this::accept);
    }

    URI endpoint() {
      return URI.create("http://127.0.0.1:" + listening.getLocalPort());
    }

    synchronized void shut(boolean now) {
      shut = now;
      notifyAll();
    }

    private synchronized void pass() throws InterruptedException {
      while (shut) {
        wait();
      }
    }

    private void accept() {
      try {
        while (!closed) {
          Socket from = listening.accept();
          Socket to = new Socket(behind.getHost(), behind.getPort());
          Thread.startVirtualThread(() -> copy(from, to));
          Thread.startVirtualThread(() -> copy(to, from));
        }
      } catch (IOException e) {
        return; // closed
      }
    }

    private void copy(Socket from, Socket to) {
      try (from;
          to;
          InputStream in = from.getInputStream();
          OutputStream out = to.getOutputStream()) {
        byte[] bytes = new byte[65536];
        for (int read = in.read(bytes); read >= 0; read = in.read(bytes)) {
          pass();
          out.write(bytes, 0, read);
        }
      } catch (IOException | InterruptedException e) {
        return; // one side has gone
      }
    }

    @Override
    public void close() throws IOException {
      closed = true;
      shut(false);
      listening.close();
    }
  }

  private static void protect(TestServer server, String repository) {
    server.execute("CREATE TABLE told (n int)");
    new Protect(repository)
        .run(
            new Protect.Request(
                "acme", server.url("postgres"), "staging", server.url("postgres"), true, false, 1),
            Progress.SILENT);
  }

  private static CompletableFuture<Void> commit(TestServer server, int n) {
    return CompletableFuture.runAsync(
        () -> server.execute("INSERT INTO told VALUES (" + n + ")"), Thread::startVirtualThread);
  }

  @Test
  void a_repository_that_takes_no_wal_holds_commits_up_for_the_stated_time_only() throws Exception {
    try (TestServer server = TestServer.start(18);
        S3Server bucket = S3Server.start("acme-backups");
        Gate gate = new Gate(bucket.endpoint());
        S3Server.Environment _ = S3Server.environment(gate.endpoint())) {
      String repository = "s3://acme-backups/holdfast";
      protect(server, repository);
      try (HeardRecorder recording =
          new HeardRecorder(repository, "acme", RecordOptions.DEFAULT.synchronously(2))) {
        HeardRecorder.awaitUntil(() -> server.value("SHOW synchronous_standby_names").equals(US));
        commit(server, 1).orTimeout(60, TimeUnit.SECONDS).join();

        gate.shut(true);
        long begun = System.nanoTime();
        CompletableFuture<Void> waiting = commit(server, 2);
        HeardRecorder.awaitUntil(waiting::isDone);
        waiting.join();
        assertThat((System.nanoTime() - begun) / 1e9).as("it did wait").isGreaterThan(1.5);
        HeardRecorder.awaitUntil(
            () -> recording.heard("critical", "commits do not wait for the repository any more"));
        assertThat(server.value("SHOW synchronous_standby_names")).isEmpty();
        commit(server, 3).orTimeout(60, TimeUnit.SECONDS).join();

        gate.shut(false);
        HeardRecorder.awaitUntil(() -> server.value("SHOW synchronous_standby_names").equals(US));
        commit(server, 4).orTimeout(60, TimeUnit.SECONDS).join();
      }
      assertThat(server.value("SHOW synchronous_standby_names")).isEmpty();
      commit(server, 5).orTimeout(60, TimeUnit.SECONDS).join(); // nobody waits for who is gone
    }
  }

  @Test
  void a_recorder_that_may_not_leave_says_so_before_and_how_to_let_commits_go() throws Exception {
    try (TestServer server = TestServer.start(17, Map.of())) {
      String repository = server.folder().resolve("repository").toString();
      protect(server, repository);
      server.execute(
          "CREATE ROLE weak LOGIN REPLICATION",
          "GRANT pg_monitor TO weak",
          "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (\"holdfast:acme\")'",
          "SELECT pg_reload_conf()");
      String url = server.url("postgres").replace("postgres@", "weak@");
      assertThat(url).contains("weak@");
      HeardRecorder recording =
          new HeardRecorder(
              repository, "acme", RecordOptions.DEFAULT.withUrl(url).synchronously(2));
      try (recording) {
        HeardRecorder.awaitUntil(
            () -> recording.heard("warning", "may not take itself out of the list"));
        assertThat(recording.alarms.toString())
            .contains("GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO weak")
            .contains("ANY 1 (\"holdfast:acme\", \"YOUR_STANDBY\")");
        commit(server, 1).orTimeout(60, TimeUnit.SECONDS).join();
      }
      assertThat(recording.heard("critical", "COMMITS HANG")).isTrue();
      CompletableFuture<Void> hanging = commit(server, 2);
      HeardRecorder.awaitUntil(() ->
          server
              .value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
              .equals("1"));
      String next = recording.alarms.getLast().next();
      assertThat(next).startsWith("as an administrator: ALTER SYSTEM");
      for (String sql : next.substring("as an administrator: ".length()).split(";", -1)) {
        if (!sql.isBlank()) {
          server.execute(sql.strip());
        }
      }
      hanging.orTimeout(60, TimeUnit.SECONDS).join();
    }
  }

  @Test
  void with_a_second_standby_in_the_list_it_is_left_alone() throws Exception {
    try (TestServer server = TestServer.start(16)) {
      String repository = server.folder().resolve("repository").toString();
      protect(server, repository);
      String list = "ANY 1 (\"holdfast:acme\", \"other\")";
      server.execute(
          "ALTER SYSTEM SET synchronous_standby_names = '" + list + "'", "SELECT pg_reload_conf()");
      try (HeardRecorder recording =
          new HeardRecorder(repository, "acme", RecordOptions.DEFAULT.synchronously(2))) {
        HeardRecorder.awaitUntil(() -> recording.heard("note", "commits wait for " + list));
        commit(server, 1).orTimeout(60, TimeUnit.SECONDS).join();
      }
      assertThat(server.value("SHOW synchronous_standby_names")).isEqualTo(list);
    }
  }

  @Test
  void a_recorder_that_another_has_replaced_leaves_the_list_to_it() throws Exception {
    try (TestServer server = TestServer.start(18)) {
      String repository = server.folder().resolve("repository").toString();
      protect(server, repository);
      String list = "ANY 2 (\"holdfast:acme\", \"other\")"; // neither can be done without
      server.execute(
          "ALTER SYSTEM SET synchronous_standby_names = '" + list + "'", "SELECT pg_reload_conf()");
      ClusterStore cluster = Repository.open(repository).cluster("acme");
      Lease paused =
          Objects.requireNonNull(
              cluster
                  .candidate(RecorderPlace.ROLE, "holdfast record acme", Duration.ofMillis(500))
                  .ask()
                  .lease());
      RecordOptions options =
          RecordOptions.DEFAULT.synchronously(2).withTakeoverAfter(Duration.ofSeconds(3));
      try (paused;
          HeardRecorder second = new HeardRecorder(repository, "acme", options)) {
        second.await(() -> second.heard("note", "commits wait for the repository (" + list));

        List<RecordingAlarm> heard = Collections.synchronizedList(new ArrayList<>());
        SynchronousRecording first =
            new SynchronousRecording(
                Connections.recorder(cluster.document(), null),
                paused,
                () -> Duration.ofSeconds(90),
                () -> {},
                "acme",
                18,
                Duration.ofSeconds(2),
                heard::add);
        first.begin(); // it wakes up, and does not know yet
        paused.keep(() -> {});
        HeardRecorder.awaitUntil(() -> paused.isLost() || !heard.isEmpty());
        first.end();
        assertThat(heard).isEmpty();
        assertThat(server.value("SHOW synchronous_standby_names")).isEqualTo(list);

        server.execute(
            "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (\"other\")'",
            "SELECT pg_reload_conf()");
        second.await(() -> server.value("SHOW synchronous_standby_names").equals(list));
      }
      assertThat(server.value("SHOW synchronous_standby_names")).isEqualTo("ANY 1 (\"other\")");
    }
  }

  /** Takes every connection that applications can get. */
  private static List<Connection> fill(String url) {
    List<Connection> taken = new ArrayList<>();
    while (true) {
      try {
        taken.add(DriverManager.getConnection(url));
      } catch (SQLException e) {
        assertThat(e.getSQLState()).isEqualTo("53300");
        return taken;
      }
    }
  }

  @Test
  void it_leaves_though_hanging_applications_have_taken_every_connection() throws Exception {
    try (TestServer server = TestServer.start(18, Map.of("max_connections", "15"));
        S3Server bucket = S3Server.start("acme-backups");
        Gate gate = new Gate(bucket.endpoint());
        S3Server.Environment _ = S3Server.environment(gate.endpoint())) {
      String repository = "s3://acme-backups/holdfast";
      protect(server, repository);
      server.execute(
          "CREATE ROLE recorder LOGIN REPLICATION",
          "CREATE ROLE app LOGIN",
          "GRANT INSERT ON told TO app",
          "GRANT pg_monitor TO recorder",
          "GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO recorder",
          "GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO recorder");
      String url = server.url("postgres").replace("postgres@", "recorder@");
      String app =
          "jdbc:postgresql://127.0.0.1:"
              + URI.create(server.url("postgres")).getPort()
              + "/postgres?user=app";
      List<Connection> taken = List.of();
      try (HeardRecorder recording =
          new HeardRecorder(
              repository, "acme", RecordOptions.DEFAULT.withUrl(url).synchronously(2))) {
        HeardRecorder.awaitUntil(() -> recording.heard("note", "commits wait for the repository"));
        taken = fill(app);
        try {
          gate.shut(true);
          Statement statement = taken.getLast().createStatement();
          CompletableFuture<Void> hanging =
              CompletableFuture.runAsync(
                  () -> {
                    try (statement) {
                      statement.execute("INSERT INTO told VALUES (1)");
                    } catch (SQLException e) {
                      throw new IllegalStateException(e);
                    }
                  },
                  Thread::startVirtualThread);
          taken.addAll(fill(app)); // what the recorder had open for a moment is free by now
          HeardRecorder.awaitUntil(hanging::isDone);
          hanging.join();
          HeardRecorder.awaitUntil(
              () -> recording.heard("critical", "commits do not wait for the repository"));
        } finally {
          gate.shut(false);
          for (Connection connection : taken) {
            connection.close();
          }
        }
      }
    }
  }

  @Test
  void a_list_that_the_command_line_sets_is_told_to_hang_commits_when_it_leaves() throws Exception {
    try (TestServer server =
        TestServer.start(
            16, Map.of("synchronous_standby_names", US, "synchronous_commit", "local"))) {
      String repository = server.folder().resolve("repository").toString();
      protect(server, repository);
      HeardRecorder recording =
          new HeardRecorder(repository, "acme", RecordOptions.DEFAULT.synchronously(2));
      try (recording) {
        HeardRecorder.awaitUntil(
            () -> recording.heard("warning", "commits do not wait for the repository"));
      }
      assertThat(server.value("SHOW synchronous_standby_names")).isEqualTo(US);
      assertThat(recording.heard("critical", "COMMITS HANG until it goes on")).isTrue();
      assertThat(recording.heard("critical", "any more")).isFalse();
    }
  }

  @Test
  void where_alter_system_is_not_allowed_it_is_said_before_and_when_it_stops() throws Exception {
    try (TestServer server = TestServer.start(17)) {
      String repository = server.folder().resolve("repository").toString();
      protect(server, repository);
      Files.writeString(
          server.server().data().resolve("postgresql.conf"),
          "\nallow_alter_system = off\nsynchronous_standby_names = '" + US + "'\n",
          StandardOpenOption.APPEND);
      server.execute("SELECT pg_reload_conf()");
      HeardRecorder recording =
          new HeardRecorder(repository, "acme", RecordOptions.DEFAULT.synchronously(2));
      try (recording) {
        HeardRecorder.awaitUntil(
            () -> recording.heard("warning", "may not take itself out of the list"));
        assertThat(recording.alarms.toString()).doesNotContain("GRANT ALTER SYSTEM");
      }
      assertThat(recording.heard("critical", "COMMITS HANG")).isTrue();
      assertThat(recording.alarms.getLast().next()).contains("in postgresql.conf");
    }
  }
}
