package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/**
 * Incident C: the machine that took the database with it. Clients keep book of what was
 * acknowledged to them; recorder and server are killed at a random moment and the data directory is
 * removed; from the repository alone, and the key that was kept elsewhere, with nothing else left
 * of the old machine, the cluster comes back.
 *
 * <p>What was lost is measured by the commits' own times: from the first acknowledged commit that
 * is not there to the last one that was acknowledged. How long this machine stood still meanwhile
 * is measured beside, by a thread that does nothing but wake up, and allowed for.
 *
 * <p>{@code -Dholdfast.lost-machine.rounds=20} runs more rounds, {@code -Dtests.seed=N} the same
 * again.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class LostMachineTest {
  private static final double FLUSH_SECONDS = 1;

  /** What it takes to receive, compress and write. */
  private static final double WRITING_SECONDS_MAX = 0.5;

  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());
  private static final int ROUNDS = Integer.getInteger("holdfast.lost-machine.rounds", 1);
  private static final int[] MAJORS = {18, 14, 17, 16, 15};
  private static final int CLIENTS = 3;

  /** What a careful operator keeps elsewhere than on the machine. */
  private static final String KEY = "kept.key";

  private static final int PAUSE_MILLIS = 2;

  @Test
  void from_a_directory_all_but_the_last_moment_comes_back() throws Exception {
    rounds("directory", SEED, false, false);
  }

  @Test
  void from_a_bucket_all_but_the_last_moment_comes_back() throws Exception {
    rounds("bucket", SEED + 1, true, false);
  }

  @Test
  void from_a_directory_recorded_synchronously_everything_comes_back() throws Exception {
    rounds("directory, synchronous", SEED + 2, false, true);
  }

  @Test
  void from_a_bucket_recorded_synchronously_everything_comes_back() throws Exception {
    rounds("bucket, synchronous", SEED + 3, true, true);
  }

  /** What a round found. */
  private record Loss(long acknowledged, long lost, double lostSeconds, double stalledSeconds) {}

  private static void rounds(String what, long seed, boolean inBucket, boolean synchronous)
      throws Exception {
    System.err.println("-Dtests.seed=" + SEED);
    Random random = new Random(seed);
    int offset = random.nextInt(MAJORS.length);
    List<Loss> losses = new ArrayList<>();
    for (int round = 0; round < ROUNDS; round++) {
      int major = MAJORS[(round + offset) % MAJORS.length];
      int aliveMs = 1500 + random.nextInt(3000);
      try (S3Server bucket = inBucket ? S3Server.start("acme-backups") : null) {
        Loss loss = round(major, aliveMs, bucket, synchronous);
        losses.add(loss);
        System.err.printf(
            Locale.ROOT,
            "%s, PostgreSQL %d, killed after %.1f s: %d of %d acknowledged commits lost, %.2f s of"
                + " commits (%.2f s without a processor)%n",
            what,
            major,
            aliveMs / 1000.0,
            loss.lost,
            loss.acknowledged,
            loss.lostSeconds,
            loss.stalledSeconds);
        if (synchronous) {
          assertThat(loss.lost).as("%s, PostgreSQL %d", what, major).isZero();
        } else {
          assertThat(loss.lostSeconds)
              .as("%s, PostgreSQL %d", what, major)
              .isLessThanOrEqualTo(FLUSH_SECONDS + WRITING_SECONDS_MAX + loss.stalledSeconds);
        }
      }
    }
    List<Double> sorted = losses.stream().map(Loss::lostSeconds).sorted().toList();
    System.err.printf(
        Locale.ROOT,
        "%s: %d rounds, lost min %.2f s, median %.2f s, max %.2f s%n",
        what,
        sorted.size(),
        sorted.getFirst(),
        sorted.get(sorted.size() / 2),
        sorted.getLast());
  }

  private static Loss round(int major, int aliveMs, @Nullable S3Server bucket, boolean synchronous)
      throws Exception {
    Path fresh = Files.createTempDirectory("holdfast-fresh");
    Files.setPosixFilePermissions(fresh, PosixFilePermissions.fromString("rwxr-xr-x"));
    try (Metronome metronome = new Metronome()) {
      List<Book> books = new ArrayList<>();
      try (TestServer server = TestServer.start(major, Map.of("autovacuum", "off"))) {
        record(server, major, aliveMs, bucket, synchronous, books, metronome, fresh.resolve(KEY));
        if (bucket == null) {
          Files.move(server.folder().resolve("repository"), fresh.resolve("repository"));
        }
      }
      return restore(fresh, HoldfastProcess.environment(bucket), books, metronome);
    } finally {
      Processes.run(List.of("rm", "-rf", fresh.toString()));
    }
  }

  /** The life and the death of the machine. */
  private static void record(
      TestServer server,
      int major,
      int aliveMs,
      @Nullable S3Server bucket,
      boolean synchronous,
      List<Book> books,
      Metronome metronome,
      Path keptKey)
      throws Exception {
    Path home = server.folder(); // others can enter it: root's files go to another user
    Map<String, String> environment = HoldfastProcess.environment(bucket);
    server.execute("CREATE TABLE told (client int, n int, filler text, PRIMARY KEY (client, n))");
    Ended made =
        run(
            home,
            environment,
            "protect",
            "acme",
            server.url("postgres"),
            "--environment",
            "staging");
    assertThat(made.exitCode()).as(made.err()).isZero();
    assertThat(made.out()).contains("which is nowhere else");
    assertThat(run(home, environment, "key", "export", keptKey.toString()).exitCode()).isZero();
    if (synchronous && major >= 15) {
      server.execute(
          "GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO holdfast",
          "GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO holdfast");
    }
    String[] recording =
        synchronous
            ? new String[] {"record", "acme", "--synchronous"}
            : new String[] {"record", "acme", "--flush-interval", Double.toString(FLUSH_SECONDS)};
    try (HoldfastProcess recorder = HoldfastProcess.start(home, environment, recording)) {
      metronome.watch(recorder.pid());
      HoldfastProcess.until(() -> recorder.err().contains("receiving WAL"));
      if (synchronous) {
        if (major < 15) { // there only a superuser can
          server.execute(
              "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (\"holdfast:acme\")'",
              "SELECT pg_reload_conf()");
        }
        HoldfastProcess.until(() ->
            server.query("SELECT sync_state FROM pg_stat_replication").equals(List.of("quorum")));
      }
      for (int client = 0; client < CLIENTS; client++) {
        books.add(new Book(server, client));
      }
      // What a process that has just begun has to load is not what is measured.
      HoldfastProcess.until(() -> books.stream().allMatch(book -> book.acknowledged.size() > 200));
      Thread.sleep(aliveMs); // any moment will do

      recorder.killWithoutWaiting(); // it was on the same machine
      server.stop(PostgresServer.Stop.KILL);
      for (Book book : books) {
        book.end();
      }
    }
    Processes.run(
        List.of("rm", "-rf", server.server().data().toString(), home.resolve("config").toString()));
  }

  private static Loss restore(
      Path fresh, Map<String, String> environment, List<Book> books, Metronome metronome)
      throws Exception {
    Path data = fresh.resolve("restored");
    Ended locked = run(fresh, environment, "restore", "acme", "--to", data.toString());
    assertThat(locked.exitCode()).as("without the key").isEqualTo(2);
    assertThat(locked.err()).contains("no key was found for repository");
    Ended restored =
        run(
            fresh,
            environment,
            "restore",
            "acme",
            "--passphrase-file",
            fresh.resolve(KEY).toString(),
            "--to",
            data.toString(),
            "--start",
            "--port",
            Integer.toString(PostgresServer.freePort()),
            "--json");
    assertThat(restored.exitCode()).as(restored.err()).isZero();
    JsonNode result = restored.json();
    try (RunningServer back = new RunningServer(data)) {
      assertThat(result.get("server").get("port").asInt()).isEqualTo(back.port());
      long acknowledged = 0;
      long lost = 0;
      long firstLost = Long.MAX_VALUE;
      long last = 0;
      for (Book book : books) {
        int found =
            Integer.parseInt(
                back.value("SELECT coalesce(max(n), 0) FROM told WHERE client = " + book.client));
        assertThat(back.value("SELECT count(*) FROM told WHERE client = " + book.client))
            .as("exactly the first %d of what was committed", found)
            .isEqualTo(Integer.toString(found));
        List<Long> times = List.copyOf(book.acknowledged);
        assertThat(found).isLessThanOrEqualTo(times.size() + 1); // one may have been on its way
        assertThat(times).as("commits of client %d", book.client).isNotEmpty();
        acknowledged += times.size();
        lost += Math.max(0, times.size() - found);
        if (found < times.size()) {
          firstLost = Math.min(firstLost, times.get(found));
        }
        last = Math.max(last, times.getLast());
      }
      back.execute("INSERT INTO told VALUES (-1, -1)");
      return lost == 0
          ? new Loss(acknowledged, 0, 0, 0)
          : new Loss(
              acknowledged, lost, (last - firstLost) / 1e9, metronome.stalled(firstLost, last));
    }
  }

  private static Ended run(Path home, Map<String, String> environment, String... arguments) {
    try (HoldfastProcess process = HoldfastProcess.start(home, environment, arguments)) {
      return process.await();
    }
  }

  /** A client that commits one row after the other, and when each was acknowledged to it. */
  private static final class Book {
    final int client;
    final ConcurrentLinkedQueue<Long> acknowledged = new ConcurrentLinkedQueue<>();
    private final Connection connection;
    private final Thread thread;

    Book(TestServer server, int client) {
      this.client = client;
      this.connection = server.connect();
      this.thread = Thread.ofPlatform().start(this::commit);
    }

    private void commit() {
      try (Statement statement = connection.createStatement()) {
        for (int n = 1; ; n++) {
          statement.execute(
              "INSERT INTO told SELECT %d, %d, md5(random()::text)".formatted(client, n));
          acknowledged.add(System.nanoTime());
          Thread.sleep(PAUSE_MILLIS); // the clients are not what is to use up the processors
        }
      } catch (SQLException e) {
        return; // the machine is gone
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }

    void end() throws Exception {
      thread.join();
      connection.close();
    }
  }

  /** Keeps when nobody, or not the recorder, was given a processor. */
  private static final class Metronome implements AutoCloseable {
    private static final long BEAT_NANOS = 20_000_000;
    private static final long LATE_NANOS = 50_000_000;

    /** A stretch of time, and for how much of it a thread of the recorder was waiting to be run. */
    private record Beat(long from, long to, long late, long waited) {}

    private final ConcurrentLinkedQueue<Beat> beats = new ConcurrentLinkedQueue<>();
    private volatile long recorder;
    private final Thread thread = Thread.ofPlatform().daemon().start(this::beat);

    void watch(long pid) {
      recorder = pid;
    }

    private void beat() {
      Map<String, Long> waited = Map.of();
      try {
        for (long before = System.nanoTime(); ; ) {
          Thread.sleep(BEAT_NANOS / 1_000_000); // it is this sleep that is measured
          long now = System.nanoTime();
          long late = now - before - BEAT_NANOS;
          Map<String, Long> earlier = waited;
          waited = waited(recorder);
          long longest =
              waited.entrySet().stream()
                  .mapToLong(each ->
                      each.getValue() - earlier.getOrDefault(each.getKey(), each.getValue()))
                  .max()
                  .orElse(0);
          beats.add(new Beat(before, now, late > LATE_NANOS ? late : 0, longest));
          before = now;
        }
      } catch (InterruptedException e) {
        return; // closed
      }
    }

    /** Nanoseconds by thread, as far as the kernel says; the compiler's hold nobody up. */
    private static Map<String, Long> waited(long pid) {
      Map<String, Long> waited = new HashMap<>();
      if (pid == 0) {
        return waited;
      }
      try (var tasks = Files.newDirectoryStream(Path.of("/proc", Long.toString(pid), "task"))) {
        for (Path task : tasks) {
          if (!Files.readString(task.resolve("comm")).matches("C[12] .*\\s*")) {
            waited.put(
                task.toString(),
                Long.parseLong(Files.readString(task.resolve("schedstat")).split(" ", -1)[1]));
          }
        }
      } catch (IOException e) {
        return waited; // a thread has ended
      }
      return waited;
    }

    /** Seconds of the time between these two. */
    double stalled(long from, long to) {
      long late = 0;
      long waited = 0;
      for (Beat beat : beats) {
        if (beat.to > from && beat.from < to) {
          late += beat.late;
          waited += beat.waited;
        }
      }
      return Math.max(late, waited) / 1e9;
    }

    @Override
    public void close() {
      thread.interrupt(); // a daemon that touches nothing
    }
  }
}
