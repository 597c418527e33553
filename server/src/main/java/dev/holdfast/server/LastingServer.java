package dev.holdfast.server;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A server that is started once and stays when this process ends: pg_ctl makes it a session of its
 * own. Nothing watches over it, unless it is {@link #tie tied} for a while.
 */
public final class LastingServer {
  /** Longer than any recovery: pg_ctl waits until the server replays, or has left. */
  private static final String SECONDS_MAX = "604800";

  /** The title of the process that replays ("xlogrecovery.c", PostgreSQL 14 to 18). */
  private static final Pattern RECOVERING = Pattern.compile("recovering ([0-9A-F]{24})");

  private final PostgresBinaries binaries;
  private final Path data;
  private final ServerUser user;
  private final ProcessResult started;
  private @Nullable Watchdog watchdog;

  private LastingServer(
      PostgresBinaries binaries, Path data, ServerUser user, ProcessResult started) {
    this.binaries = binaries;
    this.data = data;
    this.user = user;
    this.started = started;
  }

  /**
   * Starts it, and returns when it replays its log, takes connections, or has left.
   *
   * @param log where it writes its messages; its user can
   * @param settings for this run, over what its files say
   */
  public static LastingServer start(
      PostgresBinaries binaries,
      Path data,
      ServerUser user,
      Path log,
      Map<String, String> settings) {
    List<String> options = new ArrayList<>();
    // pg_ctl hands them to a shell.
    settings.forEach(
        (name, value) -> options.add("-c '" + name + "=" + value.replace("'", "'\\''") + "'"));
    List<String> command =
        List.of(
            binaries.program("pg_ctl").toString(),
            "start",
            "--wait",
            "--timeout=" + SECONDS_MAX,
            "--pgdata=" + data,
            "--log=" + log,
            "--options=" + String.join(" ", options));
    return new LastingServer(binaries, data, user, Processes.run(user.command(command)));
  }

  /**
   * Has it end when this process dies, however it dies, until {@link #stop}: for one that nobody
   * else can reach.
   */
  public void tie() {
    try {
      Optional<Long> pid = pid();
      if (pid.isPresent()) {
        watchdog = Watchdog.over(pid.get(), List.of());
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Stops it, and waits until it is gone.
   *
   * @return why it could not be stopped; null when it could
   */
  public @Nullable String stop() {
    if (watchdog != null) {
      watchdog.release();
      watchdog = null;
    }
    if (!isAlive()) {
      return null;
    }
    ProcessResult stopped =
        Processes.run(
            user.command(
                List.of(
                    binaries.program("pg_ctl").toString(),
                    "stop",
                    "--wait",
                    "--mode=fast",
                    "--timeout=" + SECONDS_MAX,
                    "--pgdata=" + data)));
    return stopped.exitCode() == 0 ? null : stopped.output().strip();
  }

  /** What pg_ctl said. */
  public String said() {
    return started.output().strip();
  }

  /** Whether its process is there. */
  public boolean isAlive() {
    return pid().flatMap(ProcessHandle::of).map(ProcessHandle::isAlive).orElse(false);
  }

  /**
   * Whether it takes connections, by the postmaster's own word in line 8 of postmaster.pid
   * ("utils/pidfile.h", PostgreSQL 14 to 18).
   */
  public boolean isReady() {
    return pidFile()
        .map(lines -> lines.size() >= 8 && lines.get(7).strip().equals("ready"))
        .orElse(false);
  }

  /** The port it listens on; empty while it does not say. */
  public Optional<Integer> port() {
    return pidFile()
        .filter(lines -> lines.size() >= 4 && lines.get(3).strip().matches("\\d+"))
        .map(lines -> Integer.parseInt(lines.get(3).strip()));
  }

  /** The name of the WAL segment it replays; empty when its processes do not show it. */
  public Optional<String> replaying() {
    return pid()
        .flatMap(ProcessHandle::of)
        .flatMap(postmaster ->
            postmaster
                .children()
                .map(child -> title(child.pid()))
                .map(RECOVERING::matcher)
                .filter(Matcher::find)
                .map(found -> found.group(1))
                .findFirst());
  }

  private static String title(long pid) {
    try {
      return Files.readString(Path.of("/proc/" + pid + "/cmdline"), StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      return ""; // it has ended, or this system shows it elsewhere
    }
  }

  private Optional<Long> pid() {
    return pidFile().map(List::getFirst).filter(pid -> pid.matches("\\d+")).map(Long::parseLong);
  }

  private Optional<List<String>> pidFile() {
    try {
      List<String> lines = Files.readAllLines(data.resolve("postmaster.pid"));
      return lines.isEmpty() ? Optional.empty() : Optional.of(lines);
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether nobody on this machine listens on this TCP port. */
  public static boolean isFree(int port) {
    try (ServerSocket socket = new ServerSocket()) {
      socket.setReuseAddress(true); // as PostgreSQL does: connections that end do not count
      socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 1);
      return true;
    } catch (IOException e) {
      return false;
    }
  }
}
