package dev.holdfast.scenarios;

import dev.holdfast.server.Processes;
import dev.holdfast.server.TiedProcess;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A process of an application, until it listens or has ended, and on. */
final class RunningApplication implements AutoCloseable {
  /** As the examples say it, gunicorn and Tomcat. */
  private static final Pattern LISTENING =
      Pattern.compile(
          "(?:listening on |Listening at: http://127.0.0.1:|Tomcat started on port )(\\d+)\\D");

  private static final Duration STARTING_MAX = Duration.ofMinutes(5);
  private static final Duration ANSWERING_MAX = Duration.ofMinutes(1);

  private final TiedProcess process;
  private final HttpClient http = HttpClient.newHttpClient();
  private final CompletableFuture<Integer> exitCode = new CompletableFuture<>();
  private OptionalInt port = OptionalInt.empty();

  private RunningApplication(TiedProcess process) {
    this.process = process;
    Thread.startVirtualThread(this::await);
  }

  /** Starts one, and waits until it listens or has ended. */
  static RunningApplication start(List<String> command, String databaseUrl) {
    RunningApplication started =
        new RunningApplication(
            Processes.start(
                command,
                Map.of("DATABASE_URL", databaseUrl, "PORT", "0", "PYTHONDONTWRITEBYTECODE", "1")));
    long deadline = System.nanoTime() + STARTING_MAX.toNanos();
    while (!started.listens() && !started.exitCode.isDone()) {
      if (System.nanoTime() > deadline) {
        started.close();
        throw new IllegalStateException(command + " neither listens nor ends:\n" + started.said());
      }
      pause();
    }
    return started;
  }

  private void await() {
    try {
      exitCode.complete(process.await());
    } catch (InterruptedException e) {
      exitCode.completeExceptionally(e);
    }
  }

  /** Whether it has said that it listens. */
  boolean listens() {
    Matcher said = LISTENING.matcher(said());
    if (port.isEmpty() && said.find()) {
      port = OptionalInt.of(Integer.parseInt(said.group(1)));
    }
    return port.isPresent();
  }

  /** Whether it has ended. */
  boolean hasEnded() {
    return exitCode.isDone();
  }

  /** Its exit code; it has ended. */
  int exitCode() {
    return exitCode.join();
  }

  /** What it said so far: on standard error, then on standard output. */
  String said() {
    return process.errors() + process.output();
  }

  /** Asks it for its page: the status and the text. */
  HttpResponse<String> get() {
    try {
      return http.send(
          HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port.orElseThrow()))
              .timeout(ANSWERING_MAX)
              .build(),
          HttpResponse.BodyHandlers.ofString());
    } catch (IOException e) {
      throw new UncheckedIOException("it does not answer, and said:\n" + said(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  private static void pause() {
    try {
      Thread.sleep(20); // polling what a process says: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  /** Stops it, and waits for its end. */
  @Override
  public void close() {
    http.close();
    process.stop();
    exitCode.join();
  }
}
