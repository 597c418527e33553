package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.server.ServerUser;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class RestoreTest {
  @SuppressWarnings("NullAway.Init")
  private Path parent;

  @BeforeEach
  void makeParent() throws IOException {
    parent = Files.createTempDirectory("holdfast-restores");
    Files.setPosixFilePermissions(parent, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @AfterEach
  void removeParent() {
    Processes.run(List.of("rm", "-rf", parent.toString()));
  }

  private static RestoreOptions into(Path directory, RecoveryProgress progress) {
    return new RestoreOptions(
        directory,
        Map.of(),
        null,
        ServerUser.of(null, "cannot test"),
        PostgresServer.freePort(),
        true,
        2,
        progress);
  }

  private RestoredCluster restore(RecordedServer recorded, RecoveryTarget target) {
    return Restore.run(
        recorded.cluster(), target, into(parent.resolve("data"), RecoveryProgress.NONE));
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void a_restored_directory_needs_no_repository_and_never_stops_short_of_its_target(int major)
      throws Exception {
    try (RecordedServer recorded =
        RecordedServer.start(
            major, Map.of("max_prepared_transactions", "7", "max_connections", "150"))) {
      Path production = recorded.server().server().data();
      Files.writeString(
          production.resolve("postgresql.conf"),
          """
          archive_mode = on
          archive_command = 'touch /tmp/it-was-archived'
          synchronous_standby_names = 'nobody'
          hba_file = '/etc/postgresql/none/pg_hba.conf'
          data_directory = '/var/lib/postgresql/none'
          recovery_target_time = '2020-01-01 00:00:00+00' # from another day
          include '/etc/postgresql/none/extra.conf'
          include_dir 'conf.d'
          unix_socket_directories = '/nowhere'
          work_mem = '5MB'
          """,
          StandardOpenOption.APPEND);
      Files.createDirectory(production.resolve("conf.d"));
      Files.writeString(production.resolve("conf.d/more.conf"), "primary_conninfo 'host=none'\n");
      Files.writeString(
          production.resolve("postgresql.auto.conf"),
          "recovery_target_xid = '4711'\nmaintenance_work_mem = '17MB'\n");
      recorded.server().execute("CREATE TABLE t AS SELECT generate_series(1, 100) AS id");
      recorded.backUp();
      recorded.server().execute("SELECT pg_switch_wal()");
      Lsn target = recorded.commit("INSERT INTO t VALUES (101)");
      recorded.commit("INSERT INTO t VALUES (102)");
      recorded.recordWal();

      RestoredCluster restored = restore(recorded, RecoveryTarget.after(target));
      Processes.run(
          List.of("rm", "-rf", recorded.server().folder().resolve("repository").toString()));
      assertThat(restored.last()).isEqualTo(target);
      assertThat(
              restored.overridden().stream()
                  .map(one -> one.name() + ": " + one.production() + " -> " + one.restored())
                  .collect(Collectors.joining("\n")))
          .contains("archive_mode: on -> off")
          .contains("synchronous_standby_names: nobody -> ")
          .contains("hba_file: /etc/postgresql/none/pg_hba.conf -> null")
          .contains("data_directory: /var/lib/postgresql/none -> null")
          .contains("recovery_target_time: 2020-01-01 00:00:00+00 -> null")
          .contains("recovery_target_xid: 4711 -> null")
          .contains("include: /etc/postgresql/none/extra.conf -> null")
          .contains("primary_conninfo: host=none -> ")
          .contains("unix_socket_directories: /nowhere -> /tmp")
          .contains("max_prepared_transactions: null -> 7")
          .doesNotContain("work_mem");
      Path data = restored.directory();
      assertThat(Files.readString(data.resolve("postgresql.conf")))
          .contains("# left out by holdfast restore: data_directory");
      PostgresBinaries binaries = PostgresBinaries.embedded(major);
      Path copy = parent.resolve("copy");
      Processes.run(List.of("cp", "-a", data.toString(), copy.toString()));

      restored.start(binaries, RecoveryProgress.NONE);
      try (RunningServer server = new RunningServer(data)) {
        assertThat(server.value("SELECT count(*), max(id) FROM t")).isEqualTo("101|101");
        assertThat(server.value("SHOW maintenance_work_mem")).isEqualTo("17MB");
        assertThat(server.value("SHOW work_mem")).isEqualTo("5MB");
        server.execute("CREATE TABLE no_commit_hangs (id int)");
        assertThat(
                server.value(
                    "SELECT setting FROM pg_settings WHERE name = 'max_prepared_transactions'"))
            .isEqualTo("7");
      }
      // The history of the timeline that it began tells where it left the recorded one.
      assertThat(Files.readString(data.resolve("pg_wal/00000002.history")))
          .contains("1\t" + restored.end() + "\t");

      // Without its last record the copy must not come up as if nothing were missing.
      SegmentName segment = SegmentName.containing(target, 1, 16 << 20);
      try (FileChannel file =
          FileChannel.open(
              copy.resolve("pg_wal").resolve(segment.toString()), StandardOpenOption.WRITE)) {
        file.truncate(target.minus(segment.start()));
        file.write(ByteBuffer.wrap(new byte[1]), segment.segmentSize() - 1L);
      }
      assertThatThrownBy(() -> moved(restored, copy).start(binaries, RecoveryProgress.NONE))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("cannot start the server restored into " + copy);
      assertThat(Files.readString(copy.resolve("holdfast-restore.log")))
          .contains("recovery ended before configured recovery target was reached");
    }
  }

  private static RestoredCluster moved(RestoredCluster restored, Path to) {
    return new RestoredCluster(
        to,
        restored.owner(),
        restored.base(),
        restored.target(),
        restored.timeline(),
        restored.last(),
        restored.end(),
        restored.walBytes(),
        restored.tablespaces(),
        restored.overridden(),
        restored.notes(),
        restored.port(),
        restored.binaries(),
        restored.startedOver(),
        restored.walFetch(),
        restored.baseFetch(),
        restored.finish());
  }

  @Test
  void a_cluster_whose_configuration_lies_elsewhere_and_whose_limits_grew_comes_up()
      throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      Path production = recorded.server().server().data();
      recorded.server().execute("CREATE TABLE t AS SELECT 1 AS id");
      for (String name : List.of("postgresql.conf", "pg_hba.conf", "pg_ident.conf")) {
        Files.move(production.resolve(name), recorded.server().folder().resolve(name));
      }
      recorded.backUp();
      for (String name : List.of("postgresql.conf", "pg_hba.conf", "pg_ident.conf")) {
        Files.move(recorded.server().folder().resolve(name), production.resolve(name));
      }
      // Raised since: recovery pauses, and never ends, on a server that has less.
      recorded.server().execute("ALTER SYSTEM SET max_connections = 333");
      recorded.server().restart(PostgresServer.Stop.FAST);
      recorded.server().execute("INSERT INTO t VALUES (2)");
      recorded.recordWal();
      RestoredCluster restored = restore(recorded, RecoveryTarget.before(recorded.recordedEnd()));
      assertThat(restored.notes())
          .anyMatch(note -> note.startsWith("production's postgresql.conf is not in"))
          .anyMatch(note -> note.startsWith("production's pg_hba.conf is not in"));
      assertThat(Files.readString(restored.directory().resolve("postgresql.auto.conf")))
          .contains("max_connections = '333'");
      Files.writeString(
          restored.directory().resolve("pg_hba.conf"), "host all all 127.0.0.1/32 trust\n");
      restored.start(PostgresBinaries.embedded(18), RecoveryProgress.NONE);
      try (RunningServer server = new RunningServer(restored.directory())) {
        assertThat(server.value("SELECT count(*) FROM t")).isEqualTo("2");
      }
    }
  }

  @Test
  void a_log_that_would_empty_a_folder_of_this_machine_or_is_damaged_is_refused_first()
      throws Exception {
    try (RecordedServer recorded = RecordedServer.start(17, Map.of())) {
      recorded.backUp();
      Lsn before = recorded.commit("CREATE TABLE t AS SELECT 1 AS id");
      recorded
          .server()
          .execute("CREATE TABLESPACE late LOCATION '" + recorded.tablespaceFolder() + "'");
      Lsn after = recorded.commit("INSERT INTO t VALUES (2)");
      recorded.server().execute("INSERT INTO t VALUES (3)");
      recorded.recordWalDamagedAt(after);
      assertThatThrownBy(() -> restore(recorded, RecoveryTarget.before(after)))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.why()).contains("a tablespace is created");
              });
      assertThat(parent).isEmptyDirectory();
      restore(recorded, RecoveryTarget.before(before));
      assertThat(parent.resolve("data/PG_VERSION")).exists();
    }
    try (RecordedServer recorded = RecordedServer.start(17, Map.of())) {
      recorded.backUp();
      Lsn damaged = recorded.commit("CREATE TABLE t AS SELECT 1 AS id");
      recorded.commit("INSERT INTO t VALUES (2)");
      recorded.recordWalDamagedAt(damaged);
      assertThatThrownBy(() ->
              Restore.run(
                  recorded.cluster(),
                  RecoveryTarget.before(recorded.recordedEnd()),
                  into(parent.resolve("other"), RecoveryProgress.NONE)))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> assertThat(e.kind()).as(e.getMessage()).isEqualTo(Kind.DAMAGED_DATA));
      assertThat(parent.resolve("other")).doesNotExist();
    }
  }

  @Test
  void lack_of_room_is_told_before_the_first_byte_and_in_the_middle_nothing_is_left()
      throws Exception {
    Path small = Files.createDirectory(parent.resolve("small"));
    assumeTrue(
        Processes.run(
                    List.of("mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "none", small + ""))
                .exitCode()
            == 0,
        "only root can make a small file system");
    try (RecordedServer recorded = RecordedServer.start(16, Map.of())) {
      recorded.server().execute("CREATE TABLE t AS SELECT 1 AS id");
      recorded.backUp();
      recorded.server().execute("INSERT INTO t VALUES (2)");
      recorded.recordWal();
      RecoveryTarget target = RecoveryTarget.before(recorded.recordedEnd());
      Path data = small.resolve("data");
      Path filler = small.resolve("somebody's");

      Files.write(filler, new byte[150 << 20]);
      assertThatThrownBy(
              () -> Restore.run(recorded.cluster(), target, into(data, RecoveryProgress.NONE)))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.why())
                    .matches("the file system of .* has \\d+ MB free, and the restore needs .*");
              });
      assertThat(data).doesNotExist();

      Files.delete(filler);
      RecoveryProgress filling =
          new RecoveryProgress() {
            @Override
            public void fetched(long bytes, long total) {
              try (FileChannel file =
                  FileChannel.open(filler, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
                while (true) {
                  file.write(ByteBuffer.wrap(new byte[1 << 20]), file.size());
                }
              } catch (IOException e) {
                return; // it is full
              }
            }
          };
      assertThatThrownBy(() -> Restore.run(recorded.cluster(), target, into(data, filling)))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.FAILED);
                assertThat(e.why()).contains("the disk is full");
                assertThat(e.next()).contains("what was restored so far is removed");
              });
      assertThat(names(small)).isEqualTo("somebody's");

      Files.delete(filler);
      Restore.run(recorded.cluster(), target, into(data, RecoveryProgress.NONE));
      assertThat(data.resolve("global/pg_control")).exists();
    } finally {
      Processes.run(List.of("umount", small.toString()));
    }
  }

  private static String names(Path folder) {
    try (Stream<Path> inside = Files.list(folder)) {
      return inside
          .map(file -> file.getFileName().toString())
          .sorted()
          .collect(Collectors.joining(","));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
