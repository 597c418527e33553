package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Runs a program to its end. The only place that does. */
public final class Processes {
  private Processes() {}

  /**
   * Runs a program, waits for it and collects what it prints. Messages are asked for in English so
   * that they can be recognised.
   */
  public static ProcessResult run(List<String> command) {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("LC_MESSAGES", "C");
    try {
      Process process = builder.start();
      process.getOutputStream().close();
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
