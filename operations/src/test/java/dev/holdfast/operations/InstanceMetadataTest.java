package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** What instances are told about themselves, by stand-ins of those who rent them out. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class InstanceMetadataTest {
  /** By path; what is not there is answered with 404. */
  private final Map<String, String> answers = new HashMap<>();

  private String header = "";
  private String value = "";

  @SuppressWarnings("NullAway.Init")
  private HttpServer server;

  @BeforeEach
  void start() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 10);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/", this::answer);
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  private void answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().toString();
    boolean token = path.equals("/latest/api/token") && exchange.getRequestMethod().equals("PUT");
    String answer = answers.get(path);
    boolean may =
        token
            ? exchange.getRequestHeaders().containsKey("X-aws-ec2-metadata-token-ttl-seconds")
            : value.equals(exchange.getRequestHeaders().getFirst(header));
    byte[] body = (answer == null ? "" : answer).getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(
        answer == null ? 404 : may ? 200 : 401, body.length == 0 ? -1 : body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  private InstanceMetadata asked() {
    return InstanceMetadata.ask(
        Map.of(InstanceMetadata.VARIABLE, "http://127.0.0.1:" + server.getAddress().getPort()));
  }

  @Test
  void aws_tells_who_shows_a_token_of_the_spot_market_and_of_scaling_groups() {
    header = "X-aws-ec2-metadata-token";
    value = "secret-token";
    answers.put("/latest/api/token", "secret-token");
    answers.put("/latest/meta-data/instance-life-cycle", "on-demand");
    assertThat(asked().mayBeEndedBy()).isEmpty();

    answers.put("/latest/meta-data/instance-life-cycle", "spot");
    answers.put("/latest/meta-data/autoscaling/target-lifecycle-state", "InService");
    assertThat(asked().mayBeEndedBy()).containsExactly("AWS's spot market", "an AWS scaling group");
    assertThat(asked().advice("the repository on its disks").getFirst())
        .isEqualTo(
            new Advice(
                "danger",
                "this instance may be ended by AWS's spot market at any time, and the repository on"
                    + " its disks with it",
                "keep the repository in a bucket (--repository s3://BUCKET/PREFIX) or on another"
                    + " machine, and the server on an instance that stays"));
  }

  @Test
  void google_tells_of_preemptible_instances_and_of_groups() {
    header = "Metadata-Flavor";
    value = "Google";
    answers.put("/computeMetadata/v1/instance/scheduling/preemptible", "TRUE");
    answers.put(
        "/computeMetadata/v1/instance/attributes/created-by",
        "projects/1/zones/z/instanceGroupManagers/g");
    assertThat(asked().mayBeEndedBy())
        .containsExactly("Google, as it is preemptible,", "a Google instance group");
    answers.put("/computeMetadata/v1/instance/scheduling/preemptible", "FALSE");
    answers.remove("/computeMetadata/v1/instance/attributes/created-by");
    assertThat(asked().mayBeEndedBy()).isEmpty();
  }

  @Test
  void azure_tells_of_spot_instances_and_of_scale_sets() {
    header = "Metadata";
    value = "true";
    String path = "/metadata/instance/compute?api-version=2021-02-01";
    answers.put(path, "{\"priority\": \"Spot\", \"vmScaleSetName\": \"web\"}");
    assertThat(asked().mayBeEndedBy()).containsExactly("Azure's spot market", "an Azure scale set");
    answers.put(path, "{\"priority\": \"Regular\", \"vmScaleSetName\": \"\"}");
    assertThat(asked().mayBeEndedBy()).isEmpty();
    answers.put(path, "<html>no instance</html>");
    assertThat(asked().mayBeEndedBy()).isEmpty();
  }

  @Test
  void who_takes_calls_and_never_answers_holds_nobody_up() throws IOException {
    try (ServerSocket silent = new ServerSocket(0, 10, InetAddress.getLoopbackAddress())) {
      long began = System.nanoTime();
      InstanceMetadata asked =
          InstanceMetadata.ask(
              Map.of(InstanceMetadata.VARIABLE, "http://127.0.0.1:" + silent.getLocalPort()));
      assertThat(asked.mayBeEndedBy()).isEmpty();
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(5));
    }
    assertThat(InstanceMetadata.ask(Map.of(InstanceMetadata.VARIABLE, "off")).mayBeEndedBy())
        .isEmpty();
  }
}
