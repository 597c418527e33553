package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.wal.Lsn;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A restored server that is only tried: what it is, and what it is not. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class DrillTest {
  @TempDir private Path scratch;

  private DrillOptions options() {
    return new DrillOptions(scratch, 2, 10, RecoveryProgress.NONE);
  }

  private static String value(Connection connection, String sql) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }

  @Test
  void nobody_reaches_it_and_nothing_of_production_s_machine_counts() throws Exception {
    Files.setPosixFilePermissions(scratch, PosixFilePermissions.fromString("rwxr-xr-x"));
    try (RecordedServer recorded = RecordedServer.start(17, Map.of())) {
      Files.writeString(
          recorded.server().server().data().resolve("postgresql.conf"),
          """
          listen_addresses = '*'
          shared_preload_libraries = 'pg_cron'
          archive_mode = on
          archive_command = 'false'
          unix_socket_directories = '/tmp'
          huge_pages = on
          shared_buffers = '400GB'
          """,
          StandardOpenOption.APPEND);
      recorded.server().execute("CREATE TABLE t AS SELECT generate_series(1, 100) AS id");
      recorded.backUp();
      recorded.server().execute("SELECT pg_switch_wal()");
      Lsn target = recorded.commit("INSERT INTO t VALUES (101)");
      recorded.commit("INSERT INTO t VALUES (102)");
      recorded.recordWal();

      long pid;
      try (Drill drill = Drill.run(recorded.cluster(), RecoveryTarget.after(target), options())) {
        PostgresServer server = drill.server();
        pid = server.pid();
        try (Connection connection = drill.connect("postgres")) {
          assertThat(value(connection, "SELECT count(*) FROM t")).isEqualTo("101");
          assertThat(value(connection, "SELECT pg_is_in_recovery()")).isEqualTo("f");
          assertThat(value(connection, "SHOW listen_addresses")).isEmpty();
          assertThat(value(connection, "SHOW shared_preload_libraries")).isEmpty();
          assertThat(value(connection, "SHOW archive_mode")).isEqualTo("off");
          assertThat(value(connection, "SHOW autovacuum")).isEqualTo("off");
          assertThat(value(connection, "SHOW max_logical_replication_workers")).isEqualTo("0");
          assertThat(value(connection, "SHOW unix_socket_directories"))
              .contains(scratch.toString());
          // What an operator would wait for is waited for.
          assertThat(value(connection, "SHOW fsync"))
              .isEqualTo(
                  recorded.server().value("SELECT boot_val FROM pg_settings WHERE name = 'fsync'"));
        }
        assertThatThrownBy(
                () -> new Socket(InetAddress.getLoopbackAddress(), server.port()).close())
            .isInstanceOf(ConnectException.class);
        Path socket;
        try (Stream<Path> inside = Files.walk(scratch)) {
          socket =
              inside
                  .filter(path -> path.getFileName().toString().startsWith(".s.PGSQL."))
                  .findFirst()
                  .orElseThrow();
        }
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket.getParent())))
            .isEqualTo("rwx------");
        assertThat(
                Files.readString(Path.of("/proc/" + pid + "/stat"))
                    .replaceFirst(".*\\) ", "")
                    .split(" ", -1)[16])
            .as("niceness")
            .isNotEqualTo("0");
        assertThat(drill.timings().total()).isPositive();
      }
      assertThat(ProcessHandle.of(pid)).isEmpty();
      assertThat(scratch).isEmptyDirectory();
    }
  }

  @Test
  void what_this_machine_lacks_decides_nothing() throws Exception {
    Files.setPosixFilePermissions(scratch, PosixFilePermissions.fromString("rwxr-xr-x"));
    try (RecordedServer recorded = RecordedServer.start(17, Map.of())) {
      Files.writeString(
          recorded.server().server().data().resolve("postgresql.conf"),
          "lc_messages = 'xx_XX.UTF-8'\n",
          StandardOpenOption.APPEND);
      recorded.server().execute("CREATE TABLE t AS SELECT 1 AS id");
      recorded.backUp();
      recorded.server().execute("SELECT pg_switch_wal()");
      Lsn target = recorded.commit("INSERT INTO t VALUES (2)");
      recorded.recordWal();
      assertThatThrownBy(
              () -> Drill.run(recorded.cluster(), RecoveryTarget.after(target), options()).close())
          .isInstanceOf(UndecidedException.class)
          .hasMessageContaining("invalid value for parameter \"lc_messages\": \"xx_XX.UTF-8\"")
          .hasMessageContaining("install it (a locale");
      assertThat(scratch).isEmptyDirectory();
    }
  }
}
