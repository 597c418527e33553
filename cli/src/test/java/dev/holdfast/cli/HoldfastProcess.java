package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.S3Server;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/** {@code holdfast} as a process of its own, so that it can be killed like one. */
final class HoldfastProcess implements AutoCloseable {
  private static final long SECONDS_MAX = 120;

  private final Process process;
  private final Path out;
  private final Path err;

  private HoldfastProcess(Process process, Path out, Path err) {
    this.process = process;
    this.out = out;
    this.err = err;
  }

  /**
   * Starts it.
   *
   * @param home holds its repository ({@code repository}), its configuration and its output
   */
  static HoldfastProcess start(Path home, String... arguments) {
    return start(home, Map.of(), arguments);
  }

  /** As {@link #start(Path, String...)}, with environment variables of the test's own. */
  static HoldfastProcess start(Path home, Map<String, String> environment, String... arguments) {
    List<String> command = command(arguments);
    try {
      Path out = Files.createTempFile(home, "out", ".txt");
      Path err = Files.createTempFile(home, "err", ".txt");
      ProcessBuilder builder =
          new ProcessBuilder(command)
              .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
              .redirectOutput(out.toFile())
              .redirectError(err.toFile());
      builder.environment().put("HOLDFAST_REPOSITORY", home.resolve("repository").toString());
      builder.environment().put("XDG_CONFIG_HOME", home.resolve("config").toString());
      builder.environment().putAll(environment);
      return new HoldfastProcess(builder.start(), out, err);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What starts it, to be part of another command. */
  static List<String> command(String... arguments) {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
    command.addAll(List.of(arguments));
    return command;
  }

  /** Runs it to its end. */
  static Ended run(Path home, String... arguments) {
    try (HoldfastProcess started = start(home, arguments)) {
      return started.await();
    }
  }

  /** Waits until something is so that processes brought about. */
  static void until(BooleanSupplier condition) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS_MAX);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
      try {
        TimeUnit.MILLISECONDS.sleep(100); // another process tells nothing but by what it leaves
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(e);
      }
    }
  }

  Ended await() {
    try {
      if (!process.waitFor(SECONDS_MAX, TimeUnit.SECONDS)) {
        throw new IllegalStateException("still running: " + out() + err());
      }
      return new Ended(process.exitValue(), out(), err());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  String out() {
    return read(out);
  }

  String err() {
    return read(err);
  }

  long pid() {
    return process.pid();
  }

  boolean isAlive() {
    return process.isAlive();
  }

  /** {@code kill -9}, while others are killed as well. */
  void killWithoutWaiting() {
    process.destroyForcibly();
  }

  /** {@code kill -9}. */
  void kill() {
    process.destroyForcibly();
    await();
  }

  /** SIGTERM, as a service manager stops it, which waits ten seconds as a rule. */
  Ended terminate() {
    process.destroy();
    try {
      if (!process.waitFor(8, TimeUnit.SECONDS)) {
        throw new IllegalStateException("does not end when told to: " + err());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return await();
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Of a repository in a bucket; nothing when there is none. */
  static Map<String, String> environment(@Nullable S3Server bucket) {
    return bucket == null
        ? Map.of()
        : Map.of(
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
            "true");
  }
}
