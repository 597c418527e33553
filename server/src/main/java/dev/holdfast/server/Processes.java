package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** Runs a program to its end. The only place that does. */
public final class Processes {
  private Processes() {}

  /**
   * Runs a program, waits for it and collects what it prints. Messages are asked for in English so
   * that they can be recognised.
   */
  public static ProcessResult run(List<String> command) {
    return run(command, "", Map.of());
  }

  /** As {@link #run(List)}, with a standard input and variables added to the environment. */
  static ProcessResult run(List<String> command, String input, Map<String, String> environment) {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("LC_MESSAGES", "C");
    builder.environment().putAll(environment);
    try {
      Process process = builder.start();
      try (OutputStream in = process.getOutputStream()) {
        // Small inputs only: they fit the pipe, so nobody waits for anybody.
        in.write(input.getBytes(StandardCharsets.UTF_8));
      } catch (IOException e) {
        // It left without reading its input; its output and exit code say why.
      }
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return new ProcessResult(process.waitFor(), output);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot run " + command.getFirst(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while running " + command.getFirst(),
          "interrupted",
          "run the same command again",
          e);
    }
  }
}
