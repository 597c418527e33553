package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** {@code prove} as an operator types it, and what {@code status} makes of it. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class ProveCommandTest {
  private static TestServer server;
  private static Path home;
  private static HoldfastProcess recorder;

  @BeforeAll
  static void protectOne() {
    server = TestServer.start(18);
    home = server.folder();
    server.execute(
        "CREATE TABLE users AS SELECT n AS id, md5(n::text) AS name FROM generate_series(1, 1000) n");
    Ended made =
        HoldfastProcess.run(
            home, "protect", "acme", server.url("postgres"), "--environment", "production");
    assertThat(made.exitCode()).as(made.err()).isZero();
    recorder = HoldfastProcess.start(home, "record", "acme");
    HoldfastProcess.until(() ->
        server
            .value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
            .equals("1"));
  }

  @AfterAll
  static void stop() {
    recorder.close();
    server.close();
  }

  private static Path scratch(String name) {
    return home.resolve(name);
  }

  private static JsonNode status(Map<String, String> environment) {
    try (HoldfastProcess status =
        HoldfastProcess.start(home, environment, "status", "acme", "--json")) {
      Ended ended = status.await();
      assertThat(ended.exitCode()).as(ended.err()).isZero();
      return ended.json();
    }
  }

  @Test
  void a_proof_is_kept_and_status_says_what_it_measured() throws IOException {
    Ended proved =
        HoldfastProcess.run(
            home,
            "prove",
            "acme",
            "--tables",
            "users",
            "--url",
            server.url("postgres"),
            "--scratch",
            scratch("proof").toString(),
            "--threads",
            "2",
            "--json");
    assertThat(proved.exitCode()).as(proved.out() + proved.err()).isZero();
    JsonNode proof = proved.json();
    assertThat(proof.get("result").asString()).isEqualTo("proven");
    assertThat(proof.propertyNames())
        .contains(
            "label", "target", "base", "baseBytes", "walBytes", "recovery", "checks", "machine");
    assertThat(proof.get("recovery").propertyNames())
        .contains("walSeconds", "baseSeconds", "replaySeconds", "startSeconds", "totalSeconds");
    assertThat(proof.get("checks").findValuesAsString("outcome")).containsOnly("passed").hasSize(7);
    assertThat(scratch("proof")).isEmptyDirectory();
    Path kept =
        home.resolve("repository/clusters/acme/proofs/" + proof.get("label").asString() + ".json");
    assertThat(kept).content().doesNotContain(server.url("postgres"));

    JsonNode status = status(Map.of("HOLDFAST_INSTANCE_METADATA", "off"));
    assertThat(status.get("proof").get("label")).isEqualTo(proof.get("label"));
    assertThat(status.get("lastProof")).isEqualTo(proof.get("finishedAt"));
    assertThat(status.get("outlook").get("recoverySeconds"))
        .isEqualTo(proof.get("recovery").get("totalSeconds"));
    assertThat(status.get("outlook").get("lossSeconds").asDouble()).isLessThan(3);
    JsonNode worst = status.get("advice").get(0);
    assertThat(worst.get("level").asString()).isEqualTo("danger");
    assertThat(worst.get("what").asString())
        .isEqualTo("the repository is on the volume of the server's data: both are lost together");
    Ended told = HoldfastProcess.run(home, "status", "acme");
    assertThat(told.out().lines().skip(1).findFirst().orElseThrow())
        .matches(
            "  if this machine vanished now, you would lose (nothing that was committed|[0-9.]+ s of"
                + " writes) and be back in [0-9.]+ s \\(proven (today|20..-..-..) ..:..Z\\)");
    assertThat(told.out()).contains("last proof          proven  ");
  }

  @Test
  void a_proof_killed_in_the_middle_leaves_no_server_and_no_folder() throws Exception {
    Path scratch = scratch("killed");
    try (HoldfastProcess prove =
        HoldfastProcess.start(home, "prove", "acme", "--scratch", scratch.toString())) {
      HoldfastProcess.until(() -> Files.exists(scratch) && !pidFiles(scratch).isEmpty());
      prove.kill();
    }
    HoldfastProcess.until(() -> list(scratch).isEmpty());
    assertThat(
            ProcessHandle.allProcesses()
                .map(process -> process.info().commandLine().orElse(""))
                .filter(command -> command.contains(scratch.toString()))
                .filter(command -> command.contains("postgres")))
        .isEmpty();
  }

  private static List<Path> pidFiles(Path scratch) {
    return list(scratch).stream()
        .map(folder -> folder.resolve("data/postmaster.pid"))
        .filter(Files::exists)
        .toList();
  }

  private static List<Path> list(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    } catch (IOException e) {
      return List.of();
    }
  }

  @Test
  void status_says_who_may_end_this_instance() throws IOException {
    HttpServer metadata =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 10);
    metadata.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    metadata.createContext(
        "/",
        exchange -> {
          String path = exchange.getRequestURI().getPath();
          byte[] answer =
              (path.endsWith("token") ? "t" : path.endsWith("life-cycle") ? "spot" : "")
                  .getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(answer.length == 0 ? 404 : 200, 0);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    metadata.start();
    try {
      JsonNode status =
          status(
              Map.of(
                  "HOLDFAST_INSTANCE_METADATA",
                  "http://127.0.0.1:" + metadata.getAddress().getPort()));
      assertThat(status.get("advice").findValuesAsString("what"))
          .contains(
              "this instance may be ended by AWS's spot market at any time, and the repository on its"
                  + " disks with it");
    } finally {
      metadata.stop(0);
    }
  }

  @Test
  void what_does_not_go_together_is_refused_with_the_way_out() {
    String[][] wrong = {
      {"--random", "--lsn", "0/3000000"},
      {"--random", "--tables", "users"},
      {"--tables", "users", "--before", "800"},
      {"--seed", "3"},
      {"--url", "postgresql://localhost/shop"},
      {"--threads", "0"},
      {"--nice", "20"},
    };
    for (String[] options : wrong) {
      String[] arguments =
          Stream.concat(Stream.of("prove", "acme"), Stream.of(options)).toArray(String[]::new);
      Ended ended = HoldfastProcess.run(home, arguments);
      assertThat(ended.exitCode()).as(String.join(" ", options)).isEqualTo(2);
      assertThat(ended.err()).contains("cannot prove acme").contains("next: ");
    }
    Ended unknown =
        HoldfastProcess.run(
            home, "prove", "acme", "--tables", "user", "--url", server.url("postgres"));
    assertThat(unknown.exitCode()).isEqualTo(2);
    assertThat(unknown.err())
        .contains("cannot compare user with production")
        .contains("known are, nearest first: public.users");
  }
}
