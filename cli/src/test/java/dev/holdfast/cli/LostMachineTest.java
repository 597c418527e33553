package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Random;
import java.util.concurrent.ConcurrentSkipListMap;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/**
 * Incident C: the machine that took the database with it. A client keeps book of what was
 * acknowledged to it; the server is killed and its data directory removed; from the repository
 * alone the cluster comes back.
 *
 * <p>{@code -Dlost-machine.rounds=20} runs more rounds, {@code -Dtests.seed=N} the same again.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class LostMachineTest {
  /** What may be lost: the flush interval, and what it takes to write. */
  private static final long LOST_NANOS_MAX = 1_500_000_000L;

  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());
  private static final int ROUNDS = Integer.getInteger("lost-machine.rounds", 2);
  private static final int[] MAJORS = {18, 14, 17, 16, 15};

  @Test
  void what_was_acknowledged_a_moment_before_the_machine_died_is_in_the_repository()
      throws Exception {
    System.err.println("-Dtests.seed=" + SEED);
    Random random = new Random(SEED);
    for (int round = 0; round < ROUNDS; round++) {
      round(MAJORS[round % MAJORS.length], 1500 + random.nextInt(3000), Map.of());
    }
  }

  @Test
  void and_in_a_bucket() throws Exception {
    Random random = new Random(SEED + 1);
    for (int round = 0; round < (ROUNDS + 1) / 2; round++) {
      try (S3Server bucket = S3Server.start("acme-backups")) {
        round(
            MAJORS[(round + 2) % MAJORS.length],
            1500 + random.nextInt(3000),
            Map.of(
                "HOLDFAST_REPOSITORY",
                "s3://acme-backups/holdfast",
                "AWS_ENDPOINT_URL",
                bucket.endpoint().toString(),
                "AWS_REGION",
                "us-east-1",
                "AWS_ACCESS_KEY_ID",
                S3Server.ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY",
                S3Server.SECRET_KEY,
                "AWS_EC2_METADATA_DISABLED",
                "true"));
      }
    }
  }

  private static HoldfastProcess.Ended run(
      Path home, Map<String, String> environment, String... arguments) {
    try (HoldfastProcess process = HoldfastProcess.start(home, environment, arguments)) {
      return process.await();
    }
  }

  private static void round(int major, int aliveMs, Map<String, String> environment)
      throws Exception {
    try (TestServer server = TestServer.start(major)) {
      Path home = server.folder(); // others can enter it: root's files go to another user
      server.execute("CREATE TABLE told (n int PRIMARY KEY, at timestamptz DEFAULT now())");
      HoldfastProcess.Ended made =
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
      Path kept = home.resolve("kept.key");
      assertThat(run(home, environment, "key", "export", kept.toString()).exitCode()).isZero();
      NavigableMap<Integer, Long> acknowledged = new ConcurrentSkipListMap<>();
      long killed;
      try (HoldfastProcess recorder = HoldfastProcess.start(home, environment, "record", "acme")) {
        HoldfastProcess.until(() -> recorder.err().contains("receiving WAL"));
        Thread client = Thread.ofPlatform().start(() -> commit(server, acknowledged));
        Thread.sleep(aliveMs); // any moment will do
        killed = System.nanoTime();
        server.stop(PostgresServer.Stop.KILL);
        recorder.kill(); // it was on the same machine
        client.join();
      }
      Processes.run(List.of("rm", "-rf", server.server().data().toString()));
      Processes.run(List.of("rm", "-rf", home.resolve("config").toString()));

      Path data = home.resolve("restored");
      HoldfastProcess.Ended locked =
          run(home, environment, "restore", "acme", "--to", data.toString());
      assertThat(locked.exitCode()).as("without the key").isEqualTo(2);
      assertThat(locked.err()).contains("no key was found for repository");
      HoldfastProcess.Ended restored =
          run(
              home,
              environment,
              "restore",
              "acme",
              "--passphrase-file",
              kept.toString(),
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
        int last = Integer.parseInt(back.value("SELECT coalesce(max(n), 0) FROM told"));
        assertThat(back.value("SELECT count(*) = coalesce(max(n), 0) FROM told"))
            .as("exactly the first %d of what was committed", last)
            .isEqualTo("t");
        int promised =
            acknowledged.entrySet().stream()
                .filter(entry -> entry.getValue() < killed - LOST_NANOS_MAX)
                .mapToInt(Map.Entry::getKey)
                .max()
                .orElse(0);
        assertThat(last)
            .as("PostgreSQL %d, killed after %d ms, of %s", major, aliveMs, acknowledged.size())
            .isGreaterThanOrEqualTo(promised)
            .isLessThanOrEqualTo(acknowledged.lastKey() + 1); // one more may have been on its way
        back.execute("INSERT INTO told VALUES (-1)");
      }
    }
  }

  private static void commit(TestServer server, NavigableMap<Integer, Long> acknowledged) {
    try (Connection connection = server.connect();
        Statement statement = connection.createStatement()) {
      for (int n = 1; ; n++) {
        statement.execute("INSERT INTO told VALUES (" + n + ")");
        acknowledged.put(n, System.nanoTime());
      }
    } catch (SQLException e) {
      return; // the machine is gone
    }
  }
}
