package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A PostgreSQL server process of ours, from a data directory, listening on 127.0.0.1.
 *
 * <p>A watchdog process outlives us: should this process die without {@link #close}, the server is
 * stopped and the folders it was told to clean are removed.
 */
public final class PostgresServer implements AutoCloseable {
  /** How a server is told to stop. */
  public enum Stop {
    /** Disconnects everybody and writes a shutdown checkpoint. */
    FAST("INT"),
    /** As a crash: recovery runs at the next start. */
    IMMEDIATE("QUIT"),
    /** {@code kill -9} of the postmaster: a power cut, as far as the server can tell. */
    KILL("KILL");

    private final String signal;

    Stop(String signal) {
      this.signal = signal;
    }
  }

  private static final Duration STOPPING_MAX = Duration.ofSeconds(60);

  private final PostgresBinaries binaries;
  private final Path data;
  private final int port;
  private final Process process;
  private final Watchdog watchdog;
  private final Path log;

  private PostgresServer(
      PostgresBinaries binaries,
      Path data,
      int port,
      Process process,
      Watchdog watchdog,
      Path log) {
    this.binaries = binaries;
    this.data = data;
    this.port = port;
    this.process = process;
    this.watchdog = watchdog;
    this.log = log;
  }

  /**
   * Creates a cluster in {@code data} with superuser {@code postgres}, trusting local connections.
   *
   * @param arguments further initdb arguments, such as {@code --data-checksums}
   */
  public static void initialise(PostgresBinaries binaries, Path data, List<String> arguments) {
    try {
      Files.createDirectories(data);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Unprivileged.way().own(data);
    List<String> command =
        new ArrayList<>(
            List.of(
                binaries.program("initdb").toString(),
                "-D",
                data.toString(),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
                "--no-instructions"));
    if (arguments.stream().noneMatch(a -> a.startsWith("--locale"))) {
      command.add("--locale=C");
    }
    command.addAll(arguments);
    ProcessResult result = Processes.run(Unprivileged.way().command(command));
    if (result.exitCode() != 0) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot create a PostgreSQL cluster in " + data,
          result.output().strip(),
          "free the folder or the disk and run the same command again");
    }
  }

  /**
   * Starts the server in {@code data} on a free port and returns at once; whoever needs it ready
   * connects until it answers, or asks {@link #isAlive} why it does not.
   *
   * @param settings configuration, overriding what the data directory's own files say
   * @param cleanUp folders removed when the server is closed or this process dies
   */
  public static PostgresServer start(
      PostgresBinaries binaries, Path data, Map<String, String> settings, List<Path> cleanUp) {
    return startOn(freePort(), binaries, data, settings, cleanUp);
  }

  /**
   * As {@link #start}, on a port of the caller's choice: to come back where clients look for it.
   */
  public static PostgresServer startOn(
      int port,
      PostgresBinaries binaries,
      Path data,
      Map<String, String> settings,
      List<Path> cleanUp) {
    return startOn(port, binaries, data, settings, Map.of(), cleanUp);
  }

  /**
   * As {@link #startOn(int, PostgresBinaries, Path, Map, List)}, with variables added to the
   * server's environment, such as {@code LOCPATH}.
   */
  public static PostgresServer startOn(
      int port,
      PostgresBinaries binaries,
      Path data,
      Map<String, String> settings,
      Map<String, String> environment,
      List<Path> cleanUp) {
    return startOn(port, binaries, data, settings, environment, cleanUp, 0);
  }

  /**
   * As {@link #startOn(int, PostgresBinaries, Path, Map, Map, List)}, giving way to others.
   *
   * @param niceness of the server's processes, above ours: 0 to 19
   */
  public static PostgresServer startOn(
      int port,
      PostgresBinaries binaries,
      Path data,
      Map<String, String> settings,
      Map<String, String> environment,
      List<Path> cleanUp,
      int niceness) {
    Map<String, String> all = new TreeMap<>(settings);
    all.put("port", Integer.toString(port));
    all.putIfAbsent("listen_addresses", "127.0.0.1");
    all.putIfAbsent("unix_socket_directories", "");
    List<String> command = new ArrayList<>();
    if (niceness > 0) {
      command.addAll(List.of("nice", "-n", Integer.toString(niceness)));
    }
    command.addAll(List.of(binaries.program("postgres").toString(), "-D", data.toString()));
    all.forEach((name, value) -> {
      command.add("-c");
      command.add(name + "=" + value);
    });
    Path log = data.resolveSibling(data.getFileName() + ".log");
    try {
      Files.deleteIfExists(data.resolve("postmaster.pid"));
      Unprivileged.way().own(data);
      ProcessBuilder builder =
          Processes.withoutSecrets(new ProcessBuilder(Unprivileged.way().command(command)))
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
              .redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")));
      builder.environment().putAll(environment);
      Process process = builder.start();
      List<Path> folders = new ArrayList<>(cleanUp);
      return new PostgresServer(
          binaries, data, port, process, Watchdog.over(process.pid(), folders), log);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot start " + binaries.program("postgres"), e);
    }
  }

  /**
   * Runs SQL in single-user mode as the bootstrap superuser, whatever its name and whatever
   * pg_hba.conf says; no server may be running in {@code data}.
   *
   * <p>Single-user mode leaves with 0 even when a statement failed: the caller looks for {@code
   * ERROR:} and {@code FATAL:} in the output.
   *
   * @param database may refuse connections, as {@code template0} does
   * @param sql one statement to a line
   */
  public static ProcessResult singleUser(
      PostgresBinaries binaries,
      Path data,
      String database,
      String sql,
      Map<String, String> environment) {
    // A refused statement must not carry a password into an error message.
    List<String> command =
        List.of(
            binaries.program("postgres").toString(),
            "--single",
            "-D",
            data.toString(),
            "-c",
            "log_min_error_statement=panic",
            database);
    return Processes.run(Unprivileged.way().command(command), sql, environment);
  }

  /** The programs it runs. */
  public PostgresBinaries binaries() {
    return binaries;
  }

  /** Its data directory. */
  public Path data() {
    return data;
  }

  /** The TCP port on 127.0.0.1. */
  public int port() {
    return port;
  }

  /** The postmaster's process id. */
  public long pid() {
    return process.pid();
  }

  /** Whether the postmaster is still running. */
  public boolean isAlive() {
    return process.isAlive();
  }

  /** A libpq URL for the superuser; servers started here trust local connections unless told. */
  public String url(String database) {
    return "postgresql://postgres@127.0.0.1:" + port + "/" + database;
  }

  /** The last lines the server wrote to its log: the reason when it does not start. */
  public String logTail(int lines) {
    try {
      List<String> all = Files.exists(log) ? Files.readAllLines(log) : List.of();
      return String.join("\n", all.subList(Math.max(0, all.size() - lines), all.size()));
    } catch (IOException e) {
      return "(its log cannot be read: " + e.getMessage() + ")";
    }
  }

  /** The whole server log. */
  public Path log() {
    return log;
  }

  /** Stops the server and waits until it is gone; its folders stay. */
  public void stop(Stop how) {
    signal(how.signal);
    try {
      if (!process.waitFor(STOPPING_MAX)) {
        signal("KILL");
        process.waitFor();
      }
    } catch (InterruptedException e) {
      signal("KILL");
      Thread.currentThread().interrupt();
    }
    watchdog.release();
  }

  /** Stops the server at once and removes the folders it was told to clean. */
  @Override
  public void close() {
    if (process.isAlive()) {
      stop(Stop.IMMEDIATE);
    }
    watchdog.release();
    watchdog.cleanUp();
  }

  private void signal(String name) {
    if (process.isAlive()) {
      Processes.run(List.of("kill", "-" + name, Long.toString(process.pid())));
    }
  }

  /** A TCP port on 127.0.0.1 that nobody listens on at this moment. */
  public static int freePort() {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException("no free port", e);
    }
  }
}
