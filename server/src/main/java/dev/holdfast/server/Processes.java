package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;

/** Runs a program to its end, or beside us. The only place that does. */
public final class Processes {
  /**
   * All of ours, as one may hold a password in a URL or a token in a command; all of AWS, as some
   * name a place where credentials are served; of libpq's the password, and the files that hold
   * passwords.
   */
  private static final Pattern SECRET =
      Pattern.compile("(HOLDFAST_|AWS_).*|PGPASSWORD|PGPASSFILE|PGSERVICEFILE|PGSSLPASSWORD");

  private Processes() {}

  /**
   * Runs a program, waits for it and collects what it prints. Messages are asked for in English so
   * that they can be recognised. It is not told what our environment says of keys and passwords.
   */
  public static ProcessResult run(List<String> command) {
    return run(command, "", Map.of());
  }

  /** How a program that answers in bytes ended. */
  public static final class Answer {
    private final int exitCode;
    private final byte[] bytes;
    private final String errors;

    private Answer(int exitCode, byte[] bytes, String errors) {
      this.exitCode = exitCode;
      this.bytes = bytes;
      this.errors = errors;
    }

    /** Its exit code. */
    public int exitCode() {
      return exitCode;
    }

    /** What it wrote on standard output. */
    public byte[] bytes() {
      return bytes.clone();
    }

    /** What it wrote on standard error, as text. */
    public String errors() {
      return errors;
    }
  }

  /**
   * Runs a program that reads some bytes and answers with some: what is given and what it answers
   * is in no argument, no variable and no file. It has our whole environment, to reach its service.
   *
   * @param input a few kilobytes at most
   * @param secondsMax how long it may take
   * @throws OperatorException FAILED when it takes longer
   */
  public static Answer ask(List<String> command, byte[] input, long secondsMax) {
    try {
      Process process = new ProcessBuilder(command).start();
      try {
        var errors = new CompletableFuture<byte[]>();
        Thread.startVirtualThread(() -> readInto(process.getErrorStream(), errors));
        var answer = new CompletableFuture<byte[]>();
        Thread.startVirtualThread(() -> readInto(process.getInputStream(), answer));
        try (OutputStream in = process.getOutputStream()) {
          in.write(input);
        } catch (IOException e) {
          // It left without reading its input; its errors and exit code say why.
        }
        if (!process.waitFor(secondsMax, TimeUnit.SECONDS)) {
          throw new OperatorException(
              Kind.FAILED,
              "gave up on " + command.getLast(),
              "it did not end within %d s".formatted(secondsMax),
              "see by hand what it waits for; it is started again by the same command");
        }
        return new Answer(
            process.exitValue(),
            answer.get(secondsMax, TimeUnit.SECONDS),
            new String(errors.get(secondsMax, TimeUnit.SECONDS), StandardCharsets.UTF_8));
      } finally {
        process.destroyForcibly();
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot run " + command.getFirst(), e);
    } catch (ExecutionException | TimeoutException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot read what " + command.getLast() + " answers",
          "it ended and left its output open, or it broke off",
          "see by hand what it leaves running",
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while running " + command.getLast(),
          "interrupted",
          "run the same command again",
          e);
    }
  }

  /**
   * Starts a program that may take hours, and ends when we do. It has our whole environment: it is
   * one of our own commands.
   *
   * @param environment what is different for it; unlike arguments, others cannot read it
   */
  public static TiedProcess start(List<String> command, Map<String, String> environment) {
    try {
      return TiedProcess.start(command, environment);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot run " + command.getFirst(), e);
    }
  }

  /**
   * Starts a program of the operator's that has our terminal and our whole environment, and ends
   * when we do.
   *
   * @param environment what is different for it
   * @param outputToErrors whether what it prints goes to standard error, so that ours stays a value
   * @throws OperatorException USAGE when there is no such program
   */
  public static ForegroundProcess startInForeground(
      List<String> command, Map<String, String> environment, boolean outputToErrors) {
    try {
      return ForegroundProcess.start(command, environment, outputToErrors);
    } catch (IOException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot run " + command.getFirst(),
          String.valueOf(e.getMessage()),
          "check the command behind --; a shell's own words need: -- sh -c \"…\"",
          e);
    }
  }

  private static void readInto(InputStream source, CompletableFuture<byte[]> target) {
    try {
      target.complete(source.readAllBytes());
    } catch (IOException e) {
      target.completeExceptionally(e);
    }
  }

  /**
   * Takes from its environment what opens a repository, a bucket or a server. A superuser of a
   * server sees the environment that it was started with, by {@code COPY FROM PROGRAM}, and that of
   * a restored or forked server is not the operator of the repository. No program that we start
   * needs any of it but the key command.
   */
  static ProcessBuilder withoutSecrets(ProcessBuilder builder) {
    builder.environment().keySet().removeIf(SECRET.asMatchPredicate());
    return builder;
  }

  /** As {@link #run(List)}, with a standard input and variables added to the environment. */
  static ProcessResult run(List<String> command, String input, Map<String, String> environment) {
    ProcessBuilder builder = withoutSecrets(new ProcessBuilder(command)).redirectErrorStream(true);
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
