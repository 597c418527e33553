package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ScratchFolder;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A fork's server from its start until it is ready or has left, and what it wrote into its log
 * since. It does not stop the server: whoever started it does.
 */
final class StartedServer {
  /** More than the settings, and the locales, that one cluster can lack. */
  static final int ATTEMPTS_MAX = 12;

  private static final long POLL_MS = 5;

  private final String what;
  private final PostgresServer server;
  private final long logStart;

  private StartedServer(String what, PostgresServer server, long logStart) {
    this.what = what;
    this.server = server;
    this.logStart = logStart;
  }

  /**
   * Starts it on a free port.
   *
   * @param what the operation that fails when it does
   * @param settings override what the data directory's own files say
   */
  static StartedServer start(
      String what,
      PostgresBinaries binaries,
      ScratchFolder scratch,
      Path data,
      Map<String, String> settings,
      Map<String, String> environment)
      throws IOException {
    return start(what, binaries, scratch, data, settings, environment, 0);
  }

  /** As above, with processes that give way to others by this niceness. */
  static StartedServer start(
      String what,
      PostgresBinaries binaries,
      ScratchFolder scratch,
      Path data,
      Map<String, String> settings,
      Map<String, String> environment,
      int niceness)
      throws IOException {
    Path log = data.resolveSibling(data.getFileName() + ".log");
    long logStart = Files.exists(log) ? Files.size(log) : 0;
    PostgresServer server =
        PostgresServer.startOn(
            PostgresServer.freePort(),
            binaries,
            data,
            settings,
            environment,
            List.of(scratch.path()),
            niceness);
    return new StartedServer(what, server, logStart);
  }

  PostgresServer server() {
    return server;
  }

  /**
   * Waits until it takes connections; false when it left instead.
   *
   * @param spool what it recovers from; null for none
   * @throws OperatorException when the spool failed
   */
  boolean awaitReady(@Nullable WalSpool spool) throws IOException {
    while (true) {
      if (spool != null) {
        spool.throwFailure();
      }
      if (status().equals("ready")) {
        return true;
      }
      if (!server.isAlive()) {
        if (spool != null) {
          spool.throwFailure();
        }
        return false;
      }
      pause(what);
    }
  }

  /**
   * The postmaster's own word, in line 8 of postmaster.pid ("utils/pidfile.h", PostgreSQL 14 to
   * 18): {@code ready} when it lets somebody in, a standby too; empty before it says anything.
   */
  String status() throws IOException {
    try {
      List<String> lines = Files.readAllLines(server.data().resolve("postmaster.pid"));
      return lines.size() >= 8 ? lines.get(7).strip() : "";
    } catch (NoSuchFileException e) {
      return ""; // not yet started that far, or gone again
    }
  }

  /** What it wrote into its log since it was started. */
  String log() throws IOException {
    try (var channel = Files.newByteChannel(server.log())) {
      channel.position(logStart);
      return new String(Channels.newInputStream(channel).readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  /**
   * Waits a moment.
   *
   * @throws OperatorException INTERRUPTED
   */
  static void pause(String what) {
    try {
      Thread.sleep(POLL_MS); // the server is another process: there is nothing to wait on
    } catch (InterruptedException e) {
      throw interrupted(what, e);
    }
  }

  /** What to throw for it; the thread stays interrupted. */
  static OperatorException interrupted(String what, InterruptedException e) {
    Thread.currentThread().interrupt();
    return new OperatorException(
        Kind.INTERRUPTED, what, "interrupted", "run the same command again", e);
  }
}
