package dev.holdfast.operations;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Executors;

/** Passes requests on to a bucket's server until it loses power. */
final class PowerSocket implements AutoCloseable {
  private static final Set<String> NOT_PASSED_ON =
      Set.of("host", "content-length", "connection", "expect", "transfer-encoding");

  private final URI behind;
  private final HttpClient client = HttpClient.newHttpClient();
  private final HttpServer server =
      HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
  private int changes;
  private int cutAt = Integer.MAX_VALUE;
  private boolean lands;

  PowerSocket(URI behind) throws IOException {
    this.behind = behind;
    server.createContext("/", this::answer);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.start();
  }

  URI endpoint() {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  /** At the n-th change from now on, which lands or does not; from then on nothing is answered. */
  synchronized void cutAt(int change, boolean landing) {
    changes = 0;
    cutAt = change;
    lands = landing;
  }

  /** Back on. */
  synchronized void restore() {
    cutAt(Integer.MAX_VALUE, true);
  }

  /** Since power was last restored, or made to be cut. */
  synchronized int changes() {
    return changes;
  }

  synchronized boolean isCut() {
    return changes >= cutAt;
  }

  private void answer(HttpExchange exchange) throws IOException {
    boolean passes;
    boolean answers;
    synchronized (this) {
      boolean change = !Set.of("GET", "HEAD").contains(exchange.getRequestMethod());
      boolean dead = isCut();
      changes += change && !dead ? 1 : 0;
      passes = !dead && (!isCut() || lands);
      answers = !isCut();
    }
    try (exchange) {
      byte[] body = exchange.getRequestBody().readAllBytes();
      HttpResponse<byte[]> response = passes ? pass(exchange, body) : null;
      if (response == null || !answers) {
        byte[] none =
            "<Error><Code>PowerCut</Code><Message>no more</Message></Error>"
                .getBytes(StandardCharsets.US_ASCII);
        exchange.sendResponseHeaders(
            400, exchange.getRequestMethod().equals("HEAD") ? -1 : none.length);
        if (!exchange.getRequestMethod().equals("HEAD")) {
          exchange.getResponseBody().write(none);
        }
        return;
      }
      boolean head = exchange.getRequestMethod().equals("HEAD");
      response
          .headers()
          .map()
          .forEach((name, values) -> {
            if (head || !NOT_PASSED_ON.contains(name.toLowerCase(Locale.ROOT))) {
              exchange.getResponseHeaders().put(name, values);
            }
          });
      byte[] content = response.body();
      exchange.sendResponseHeaders(
          response.statusCode(), head || content.length == 0 ? -1 : content.length);
      if (!head && content.length > 0) {
        exchange.getResponseBody().write(content);
      }
    }
  }

  private HttpResponse<byte[]> pass(HttpExchange exchange, byte[] body) throws IOException {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(behind.resolve(exchange.getRequestURI()))
            .method(exchange.getRequestMethod(), HttpRequest.BodyPublishers.ofByteArray(body));
    exchange
        .getRequestHeaders()
        .forEach((name, values) -> {
          if (!NOT_PASSED_ON.contains(name.toLowerCase(Locale.ROOT))) {
            values.forEach(value -> request.header(name, value));
          }
        });
    try {
      return client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(e);
    }
  }

  @Override
  public void close() {
    server.stop(0);
    client.shutdownNow();
  }
}
