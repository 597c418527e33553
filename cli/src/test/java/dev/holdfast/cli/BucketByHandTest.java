package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The commands as an operator types them, with the repository in a bucket. */
class BucketByHandTest {
  private static final String LOCATION = "s3://acme-backups/holdfast";

  @TempDir Path home;
  private TestServer server;
  private S3Server bucket;
  private final Map<String, String> environment = new HashMap<>();

  @BeforeEach
  void start() {
    server = TestServer.start(17);
    server.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text)",
        "INSERT INTO users SELECT n, n || '@example.org' FROM generate_series(1, 3000) n");
    bucket = S3Server.start("acme-backups");
    environment.putAll(
        Map.of(
            "HOLDFAST_REPOSITORY",
            LOCATION,
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

  @AfterEach
  void stop() {
    bucket.close();
    server.close();
  }

  @Test
  void from_protect_to_revert_and_a_fork_with_nothing_but_the_bucket() throws Exception {
    Ended made = run("protect", "acme", server.url("postgres"), "--environment", "production");
    assertThat(made.exitCode()).as(made.err()).isZero();

    for (int round = 0; round < 2; round++) {
      try (HoldfastProcess recorder = holdfast("record", "acme")) {
        HoldfastProcess.until(() -> recorder.err().contains("receiving WAL"));
        server.execute("UPDATE users SET email = email || '" + round + "'");
        recorder.kill();
      }
    }
    try (HoldfastProcess recorder = holdfast("record", "acme", "--json")) {
      server.execute("DROP TABLE users");
      HoldfastProcess.until(() -> recorder.out().contains("\"dropped\""));
      Ended log = run("log", "acme", "--destructive", "--json");
      assertThat(log.exitCode()).as(log.err()).isZero();
      String xid = log.lines().getLast().get("xid").asString();

      String[] revert = {
        "revert", "acme", xid, "--url", server.url("postgres"), "--json", "--apply", "0"
      };
      JsonNode plan = run("revert", "acme", xid, "--url", server.url("postgres"), "--json").json();
      assertThat(plan.get("counts").get("restored").asLong()).isEqualTo(3_000);
      revert[revert.length - 1] = plan.get("digest").asString();
      Ended applied = run(revert);
      assertThat(applied.exitCode()).as(applied.err()).isZero();
      assertThat(server.value("SELECT count(*) || min(right(email, 2)) FROM users"))
          .as("with the updates recorded by recorders that were killed")
          .isEqualTo("300001");

      Ended backup = run("backup", "acme", "--json");
      assertThat(backup.exitCode()).as(backup.err()).isZero();
      JsonNode status = run("status", "acme", "--json").json();
      assertThat(status.get("recording").asBoolean()).isTrue();
      assertThat(status.get("bases").size()).isEqualTo(2);
      assertThat(status.get("advice").toString()).doesNotContain("on the machine of the server");

      try (HoldfastProcess fork = holdfast("fork", "acme", "--json", "--before", xid)) {
        HoldfastProcess.until(() -> fork.out().contains("\n") || !fork.isAlive());
        assertThat(fork.out()).as(fork.err()).contains("\"url\"");
        fork.terminate();
      }
      Ended recorded = recorder.terminate();
      assertThat(recorded.err()).contains("recorded through");
    }
    assertThat(home.resolve("repository")).as("nothing is kept beside the bucket").doesNotExist();
  }

  @Test
  void a_wrong_secret_is_told_with_exit_code_5_and_never_shown() {
    environment.put("AWS_SECRET_ACCESS_KEY", "hunter2/hunter2");
    environment.put("HOLDFAST_LOG", "trace");
    Ended ended = run("status");
    assertThat(ended.exitCode()).as(ended.err()).isEqualTo(5);
    assertThat(ended.err())
        .contains("cannot read holdfast.json in " + LOCATION)
        .contains("does not accept the credentials")
        .contains("AWS_SECRET_ACCESS_KEY")
        .doesNotContain("hunter2");
    environment.put("AWS_SESSION_TOKEN", "token-of-hunter2");
    ended = run("status");
    assertThat(ended.exitCode()).as("this server knows no tokens").isEqualTo(5);
    assertThat(ended.err()).contains("NotImplemented").doesNotContain("hunter2");
  }

  @Test
  void a_directory_as_repository_costs_no_class_of_the_sdk() throws IOException {
    Path classes = home.resolve("classes.txt");
    environment.put("JAVA_TOOL_OPTIONS", "-Xlog:class+load:file=" + classes);
    environment.put("HOLDFAST_REPOSITORY", home.resolve("repository").toString());
    Ended ended = run("protect", "acme", server.url("postgres"), "--environment", "staging");
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    assertThat(Files.readString(classes))
        .contains("dev.holdfast.store.local.LocalObjectStore")
        .doesNotContain("software.amazon")
        .doesNotContain("dev.holdfast.store.s3");
  }

  private HoldfastProcess holdfast(String... arguments) {
    return HoldfastProcess.start(home, environment, arguments);
  }

  private Ended run(String... arguments) {
    try (HoldfastProcess started = holdfast(arguments)) {
      return started.await();
    }
  }
}
