package dev.holdfast.server;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A program that runs beside us for long, with less of a claim to the processors, and that is
 * stopped when we end, however we end: a shell between the two holds the other end of a pipe.
 */
public final class TiedProcess {
  /** What a program that is told to stop may take, before it is killed. */
  public static final int STOP_SECONDS = 5;

  private static final int SAID_MAX = 64 << 10;

  private static final String SCRIPT =
      """
      trap : INT TERM HUP
      exec 3<&0
      "$@" </dev/null 3<&- &
      pid=$!
      {
        read -r word <&3
        kill -TERM "$pid" 2>/dev/null
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt %d ]; do sleep 0.1; tries=$((tries + 1)); done
        kill -KILL "$pid" 2>/dev/null
      } >/dev/null 2>&1 &
      reaper=$!
      exec 3<&-
      while :; do
        wait "$pid"
        code=$?
        kill -0 "$pid" 2>/dev/null || break
      done
      kill -KILL "$reaper" 2>/dev/null
      exit "$code"
      """
          .formatted(10 * STOP_SECONDS);

  private static final String POLITELY =
      "if command -v nice >/dev/null 2>&1; then exec nice -n 10 \"$@\"; else exec \"$@\"; fi";

  private final Process process;
  private final StringBuilder output = new StringBuilder();
  private final StringBuilder errors = new StringBuilder();
  private final Thread readingOutput;
  private final Thread readingErrors;
  private volatile boolean stopped;

  private TiedProcess(Process process) {
    this.process = process;
    this.readingOutput = Thread.startVirtualThread(() -> read(process.getInputStream(), output));
    this.readingErrors = Thread.startVirtualThread(() -> read(process.getErrorStream(), errors));
  }

  static TiedProcess start(List<String> command, Map<String, String> environment)
      throws IOException {
    List<String> tied = new ArrayList<>(List.of("/bin/sh", "-c", SCRIPT, "holdfast-job"));
    tied.addAll(List.of("/bin/sh", "-c", POLITELY, "holdfast-job"));
    tied.addAll(command);
    ProcessBuilder builder = new ProcessBuilder(tied);
    builder.environment().putAll(environment);
    return new TiedProcess(builder.start());
  }

  /** Everything, so that it never waits for us; the end of it is kept. */
  private static void read(InputStream from, StringBuilder into) {
    try (InputStream source = from) {
      byte[] chunk = new byte[4096];
      for (int read = source.read(chunk); read >= 0; read = source.read(chunk)) {
        synchronized (into) {
          into.append(new String(chunk, 0, read, StandardCharsets.UTF_8));
          into.delete(0, Math.max(0, into.length() - SAID_MAX));
        }
      }
    } catch (IOException e) {
      return; // it was killed: what it said until then is there
    }
  }

  /**
   * Waits for its end and returns its exit code: 128 and the signal's number where one ended it.
   */
  public int await() throws InterruptedException {
    int code = process.waitFor();
    // What it left running may hold its output open.
    readingOutput.join(TimeUnit.SECONDS.toMillis(1));
    readingErrors.join(TimeUnit.SECONDS.toMillis(1));
    return code;
  }

  /** Tells it to stop; after {@value #STOP_SECONDS} seconds it is killed. Waits for nothing. */
  public void stop() {
    stopped = true;
    try {
      OutputStream out = process.getOutputStream();
      out.close();
    } catch (IOException e) {
      return; // it has ended
    }
  }

  /** Whether it was told to stop. */
  public boolean isStopped() {
    return stopped;
  }

  /** The end of what it wrote on standard output. */
  public String output() {
    synchronized (output) {
      return output.toString();
    }
  }

  /** The end of what it wrote on standard error. */
  public String errors() {
    synchronized (errors) {
      return errors.toString();
    }
  }
}
