package dev.holdfast.server;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A program of the operator's that has our terminal, and is stopped when we end, however we end: a
 * watchdog holds the other end of a pipe.
 */
public final class ForegroundProcess {
  private static final long BY_ITSELF_MS = 2_000;
  private static final long STOPPING_MS = 5_000;

  /** Children first: a shell that is told to end leaves its own behind. */
  private static final String WATCHDOG =
      """
      trap '' INT TERM HUP
      if read -r word; then exit 0; fi
      tries=0
      while [ ! -s "$1" ] && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
      pid=$(cat "$1")
      rm -f "$1"
      [ -n "$pid" ] || exit 0
      all() { for p in $(ps -o pid= --ppid "$1" 2>/dev/null); do all "$p"; done; echo "$1"; }
      for p in $(all "$pid"); do kill -TERM "$p" 2>/dev/null; done
      tries=0
      while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
      for p in $(all "$pid"); do kill -KILL "$p" 2>/dev/null; done
      """;

  private final Process process;
  private final Process watchdog;

  private final Path number;

  private ForegroundProcess(Process process, Process watchdog, Path number) {
    this.process = process;
    this.watchdog = watchdog;
    this.number = number;
  }

  static ForegroundProcess start(
      List<String> command, Map<String, String> environment, boolean outputToErrors)
      throws IOException {
    requireProgram(command.getFirst());
    // The watchdog is there first, and the program says its number itself: whenever we are killed,
    // one knows the other.
    Path number = Files.createTempFile("holdfast-foreground", ".pid");
    Process watchdog =
        Processes.withoutSecrets(
                new ProcessBuilder(
                    "/bin/sh", "-c", WATCHDOG, "holdfast-watchdog", number.toString()))
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try {
      List<String> whole =
          new ArrayList<>(
              List.of(
                  "/bin/sh",
                  "-c",
                  "echo $$ >\"$0\"; exec \"$@\"" + (outputToErrors ? " >&2" : ""),
                  number.toString()));
      whole.addAll(command);
      ProcessBuilder builder = new ProcessBuilder(whole).inheritIO();
      builder.environment().putAll(environment);
      return new ForegroundProcess(builder.start(), watchdog, number);
    } catch (IOException e) {
      watchdog.destroyForcibly();
      Files.deleteIfExists(number);
      throw e;
    }
  }

  /**
   * Waits for its end, for a while.
   *
   * @return whether it has ended
   */
  public boolean await(long ms) throws InterruptedException {
    boolean ended = process.waitFor(ms, TimeUnit.MILLISECONDS);
    if (ended) {
      watchdog.destroyForcibly();
      forget();
    }
    return ended;
  }

  /** A shell starts it, which would not tell a program that is not there from one that fails. */
  private static void requireProgram(String name) throws IOException {
    boolean found =
        name.contains("/")
            ? Files.isExecutable(Path.of(name))
            : Stream.of(System.getenv().getOrDefault("PATH", "").split(":", -1))
                .anyMatch(folder -> Files.isExecutable(Path.of(folder, name)));
    if (!found) {
      throw new IOException("there is no program " + name);
    }
  }

  private void forget() {
    try {
      Files.deleteIfExists(number);
    } catch (IOException e) {
      // an empty file in the folder for such files is all that is left
    }
  }

  /** Its exit code: 128 and the signal's number where one ended it. It has ended. */
  public int exitCode() {
    return process.exitValue();
  }

  /**
   * Has it end: by itself at first, as Ctrl-C reaches it as it reached us; then it and all that it
   * started are told, then killed. Returns when it is gone.
   */
  public void stop() {
    try {
      if (process.waitFor(BY_ITSELF_MS, TimeUnit.MILLISECONDS)) {
        return;
      }
      List<ProcessHandle> started = process.descendants().toList();
      started.forEach(ProcessHandle::destroy);
      process.destroy();
      if (!process.waitFor(STOPPING_MS, TimeUnit.MILLISECONDS)) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        process.waitFor();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
