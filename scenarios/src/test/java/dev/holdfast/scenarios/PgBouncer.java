package dev.holdfast.scenarios;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.server.ServerUser;
import dev.holdfast.server.TiedProcess;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * PgBouncer before a server: in transaction mode a client gets another session of the server for
 * each of its transactions.
 */
final class PgBouncer implements AutoCloseable {
  private static final String PROGRAM = "/usr/sbin/pgbouncer";
  private static final Duration STARTING_MAX = Duration.ofSeconds(30);

  private final TiedProcess process;
  private final Path folder;
  private final int port;

  private PgBouncer(TiedProcess process, Path folder, int port) {
    this.process = process;
    this.folder = folder;
    this.port = port;
  }

  /** Starts one in transaction mode before the server on this port, for this role. */
  static PgBouncer before(int serverPort, String role) {
    return before(serverPort, role, "transaction");
  }

  /** As {@link #before(int, String)}, in another mode. */
  static PgBouncer before(int serverPort, String role, String mode) {
    if (!Files.isExecutable(Path.of(PROGRAM))) {
      throw new IllegalStateException(
          "there is no PgBouncer here: install it (Debian: apt-get install pgbouncer) and run the same"
              + " command again");
    }
    try {
      Path folder = Files.createTempDirectory("holdfast-pgbouncer");
      Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
      int port = PostgresServer.freePort();
      Path roles = Files.writeString(folder.resolve("roles"), "\"" + role + "\" \"\"\n");
      Path configuration =
          Files.writeString(
              folder.resolve("pgbouncer.ini"),
              """
              [databases]
              * = host=127.0.0.1 port=%d
              [pgbouncer]
              listen_addr = 127.0.0.1
              listen_port = %d
              unix_socket_dir =
              auth_type = trust
              auth_file = %s
              pool_mode = %s
              default_pool_size = 2
              """
                  .formatted(serverPort, port, roles, mode));
      ServerUser user = ServerUser.of(null, "cannot start PgBouncer"); // it refuses to run as root
      user.own(folder);
      TiedProcess process =
          Processes.start(user.command(List.of(PROGRAM, configuration.toString())), Map.of());
      PgBouncer started = new PgBouncer(process, folder, port);
      started.awaitReady();
      return started;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  int port() {
    return port;
  }

  private void awaitReady() {
    long deadline = System.nanoTime() + STARTING_MAX.toNanos();
    while (true) {
      try (Socket _ = new Socket(InetAddress.getLoopbackAddress(), port)) {
        return;
      } catch (IOException e) {
        if (System.nanoTime() > deadline) {
          close();
          throw new UncheckedIOException("PgBouncer did not start:\n" + process.errors(), e);
        }
        pause();
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(20); // polling a program that starts: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    process.stop();
    Processes.run(List.of("rm", "-rf", folder.toString()));
  }
}
