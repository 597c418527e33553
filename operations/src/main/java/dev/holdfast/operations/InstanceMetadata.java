package dev.holdfast.operations;

import dev.holdfast.store.Json;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/**
 * Whether this machine is rented from somebody who may end it: asked of the address at which AWS,
 * Google and Azure tell instances about themselves. Asked in the background, all at once; who gets
 * no answer within the moment that it is waited for knows nothing, and says nothing.
 */
final class InstanceMetadata {
  /** The address, or {@code off}. AWS's own variables are taken as well. */
  static final String VARIABLE = "HOLDFAST_INSTANCE_METADATA";

  private static final String ADDRESS = "http://169.254.169.254";
  private static final String AWS_ADDRESS = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
  private static final String AWS_OFF = "AWS_EC2_METADATA_DISABLED";
  private static final int CONNECT_MS = 250;
  private static final int READ_MS = 500;
  private static final Duration WAIT_MAX = Duration.ofMillis(900);
  private static final int ANSWER_BYTES_MAX = 1 << 16;

  private final List<CompletableFuture<List<String>>> asked;
  private final long deadlineNanos;

  private InstanceMetadata(List<CompletableFuture<List<String>>> asked) {
    this.asked = asked;
    this.deadlineNanos = System.nanoTime() + WAIT_MAX.toNanos();
  }

  /** Asks nobody. */
  static InstanceMetadata none() {
    return new InstanceMetadata(List.of());
  }

  /** Begins to ask. */
  static InstanceMetadata ask(Map<String, String> environment) {
    String address = environment.getOrDefault(VARIABLE, ADDRESS);
    if (address.equals("off")) {
      return none();
    }
    List<CompletableFuture<List<String>>> asked = new ArrayList<>();
    if (!"true".equalsIgnoreCase(environment.get(AWS_OFF))) {
      String aws =
          environment.containsKey(VARIABLE)
              ? address
              : environment.getOrDefault(AWS_ADDRESS, address);
      asked.add(begin(() -> aws(aws)));
    }
    asked.add(begin(() -> google(address)));
    asked.add(begin(() -> azure(address)));
    return new InstanceMetadata(asked);
  }

  private static CompletableFuture<List<String>> begin(Supplier<List<String>> question) {
    // Where a virtual thread has used a socket, the JVM ends 0.3 s later than it could.
    return CompletableFuture.supplyAsync(
        question, task -> Thread.ofPlatform().daemon().name("instance-metadata").start(task));
  }

  /** Who may end this machine, in words; empty when nobody is known to. */
  List<String> mayBeEndedBy() {
    List<String> all = new ArrayList<>();
    for (CompletableFuture<List<String>> one : asked) {
      try {
        all.addAll(one.get(Math.max(0, deadlineNanos - System.nanoTime()), TimeUnit.NANOSECONDS));
      } catch (TimeoutException e) {
        one.cancel(true);
      } catch (ExecutionException e) {
        throw new IllegalStateException("instance metadata", e.getCause());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
    return all;
  }

  /**
   * What should be looked at, where something is on this machine.
   *
   * @param what that is
   */
  List<Advice> advice(String what) {
    return mayBeEndedBy().stream()
        .map(who ->
            new Advice(
                Advice.DANGER,
                "this instance may be ended by %s at any time, and %s with it".formatted(who, what),
                "keep the repository in a bucket (--repository s3://BUCKET/PREFIX) or on another"
                    + " machine, and the server on an instance that stays"))
        .toList();
  }

  /** IMDSv2: a token first. */
  private static List<String> aws(String address) {
    String token =
        answer(
            address + "/latest/api/token",
            "PUT",
            Map.of("X-aws-ec2-metadata-token-ttl-seconds", "60"));
    if (token == null) {
      return List.of();
    }
    Map<String, String> with = Map.of("X-aws-ec2-metadata-token", token);
    String data = address + "/latest/meta-data/";
    List<String> by = new ArrayList<>();
    if ("spot".equals(answer(data + "instance-life-cycle", "GET", with))) {
      by.add("AWS's spot market");
    }
    if (answer(data + "autoscaling/target-lifecycle-state", "GET", with) != null) {
      by.add("an AWS scaling group");
    }
    return by;
  }

  private static List<String> google(String address) {
    Map<String, String> with = Map.of("Metadata-Flavor", "Google");
    String data = address + "/computeMetadata/v1/instance/";
    List<String> by = new ArrayList<>();
    if ("TRUE".equals(answer(data + "scheduling/preemptible", "GET", with))) {
      by.add("Google, as it is preemptible,");
    }
    String group = answer(data + "attributes/created-by", "GET", with);
    if (group != null && group.contains("/instanceGroupManagers/")) {
      by.add("a Google instance group");
    }
    return by;
  }

  private static List<String> azure(String address) {
    String answer =
        answer(
            address + "/metadata/instance/compute?api-version=2021-02-01",
            "GET",
            Map.of("Metadata", "true"));
    if (answer == null) {
      return List.of();
    }
    List<String> by = new ArrayList<>();
    try {
      JsonNode compute = Json.read(answer.getBytes(StandardCharsets.UTF_8), JsonNode.class);
      if (compute.path("priority").asString("").equalsIgnoreCase("Spot")) {
        by.add("Azure's spot market");
      }
      if (!compute.path("vmScaleSetName").asString("").isEmpty()) {
        by.add("an Azure scale set");
      }
    } catch (JacksonException e) {
      return List.of(); // somebody else's answer
    }
    return by;
  }

  /** The body of an answer of 200; null for any other, and for none. */
  private static @Nullable String answer(String url, String method, Map<String, String> headers) {
    try {
      HttpURLConnection connection =
          (HttpURLConnection) URI.create(url).toURL().openConnection(Proxy.NO_PROXY);
      connection.setRequestMethod(method);
      connection.setConnectTimeout(CONNECT_MS);
      connection.setReadTimeout(READ_MS);
      connection.setInstanceFollowRedirects(false);
      headers.forEach(connection::setRequestProperty);
      try (InputStream body = connection.getInputStream()) {
        return connection.getResponseCode() == 200
            ? new String(body.readNBytes(ANSWER_BYTES_MAX), StandardCharsets.UTF_8).strip()
            : null;
      }
    } catch (IOException | IllegalArgumentException | ClassCastException e) {
      return null; // nobody there: not rented, or not told
    }
  }
}
