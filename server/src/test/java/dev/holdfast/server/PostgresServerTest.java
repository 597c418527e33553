package dev.holdfast.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PostgresServerTest {
  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void every_embedded_major_starts_and_answers_and_leaves_nothing_behind(int major)
      throws Exception {
    Path folder = folder();
    PostgresBinaries binaries = PostgresBinaries.embedded(major);
    assertThat(binaries.major()).isEqualTo(major);
    PostgresServer.initialise(binaries, folder.resolve("data"), List.of());
    try (PostgresServer server =
        PostgresServer.start(
            binaries, folder.resolve("data"), Map.of("fsync", "off"), List.of(folder))) {
      assertThat(versionOf(server)).startsWith(major + ".");
    }
    assertThat(folder).doesNotExist();
  }

  @Test
  void a_killed_owner_leaves_no_server_and_no_folder() throws Exception {
    Path folder = folder();
    Process owner =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "-cp",
                System.getProperty("java.class.path"),
                OrphanedServer.class.getName(),
                folder.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    long pid;
    try (var lines = owner.inputReader()) {
      pid = Long.parseLong(lines.readLine());
      owner.destroyForcibly().waitFor();
    }
    long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
    while ((ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false) || Files.exists(folder))
        && System.nanoTime() < deadline) {
      Thread.sleep(50); // the watchdog is another process: there is nothing to wait on
    }
    assertThat(ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false)).isFalse();
    assertThat(folder).doesNotExist();
  }

  @Test
  void single_user_mode_makes_a_role_where_nobody_could_log_in() throws Exception {
    PostgresBinaries binaries = PostgresBinaries.embedded(18);
    Path parent = folder();
    try (ScratchFolder scratch = ScratchFolder.create(parent, "holdfast-")) {
      Path data = scratch.path().resolve("data");
      PostgresServer.initialise(binaries, data, List.of());
      Files.writeString(data.resolve("pg_hba.conf"), "host all lone 127.0.0.1/32 scram-sha-256\n");
      ProcessResult made =
          PostgresServer.singleUser(
              binaries, data, "template0", "CREATE ROLE lone LOGIN PASSWORD 'secret'\n", Map.of());
      assertThat(made.output()).doesNotContain("ERROR:").doesNotContain("FATAL:");
      ProcessResult again =
          PostgresServer.singleUser(
              binaries, data, "template0", "CREATE ROLE lone LOGIN PASSWORD 'secret'\n", Map.of());
      assertThat(again.output())
          .contains("ERROR:  role \"lone\" already exists")
          .doesNotContain("secret");
      try (PostgresServer server =
          PostgresServer.start(binaries, data, Map.of("fsync", "off"), List.of())) {
        assertThat(versionOf(server, "lone", "secret")).startsWith("18.");
      }
    }
    assertThat(parent).isEmptyDirectory();
    Files.delete(parent);
  }

  @Test
  void a_scratch_folder_is_private_and_gone_when_closed() throws Exception {
    Path parent = folder();
    Path path;
    try (ScratchFolder scratch = ScratchFolder.create(parent.resolve("made"), "holdfast-")) {
      path = scratch.path();
      Files.writeString(path.resolve("file"), "content");
      assertThat(Files.getPosixFilePermissions(path))
          .isEqualTo(PosixFilePermissions.fromString("rwx------"));
    }
    assertThat(path).doesNotExist();
    assertThat(parent.resolve("made")).isEmptyDirectory();
    Files.delete(parent.resolve("made"));
    Files.delete(parent);
  }

  /** Starts a server and waits to be killed. */
  static final class OrphanedServer {
    public static void main(String[] arguments) throws Exception {
      Path folder = Path.of(arguments[0]);
      PostgresBinaries binaries = PostgresBinaries.embedded(18);
      PostgresServer.initialise(binaries, folder.resolve("data"), List.of());
      PostgresServer server =
          PostgresServer.start(binaries, folder.resolve("data"), Map.of(), List.of(folder));
      versionOf(server);
      System.out.println(server.pid());
      Thread.sleep(Duration.ofMinutes(5));
    }
  }

  private static Path folder() throws Exception {
    Path folder = Files.createTempDirectory("holdfast-server");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    return folder;
  }

  private static String versionOf(PostgresServer server) throws Exception {
    return versionOf(server, "postgres", "");
  }

  private static String versionOf(PostgresServer server, String user, String password)
      throws Exception {
    long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
    while (true) {
      try (Connection connection =
              DriverManager.getConnection(
                  "jdbc:postgresql://127.0.0.1:" + server.port() + "/postgres", user, password);
          var statement = connection.createStatement();
          var rows = statement.executeQuery("SHOW server_version")) {
        rows.next();
        return rows.getString(1);
      } catch (SQLException e) {
        if (System.nanoTime() > deadline || !server.isAlive()) {
          throw new IllegalStateException(server.logTail(20), e);
        }
        Thread.sleep(20); // polling a starting server: there is nothing to wait on
      }
    }
  }
}
