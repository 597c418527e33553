package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.server.ServerUser;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Which directories are restored into, and what is kept of them. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class DeltaRestoreTest {
  @SuppressWarnings("NullAway.Init")
  private Path parent;

  @BeforeEach
  void makeParent() throws IOException {
    parent = Files.createTempDirectory("holdfast-deltas");
    Files.setPosixFilePermissions(parent, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @AfterEach
  void removeParent() {
    Processes.run(List.of("rm", "-rf", parent.toString()));
  }

  static List<Integer> newest() {
    return Majors.of("holdfast.delta.majors", "18");
  }

  static List<Integer> oldestSupported() {
    return Majors.of("holdfast.delta.majors", "15");
  }

  private static RestoreOptions into(Path directory, Map<String, String> tablespaces) {
    return new RestoreOptions(
        directory,
        tablespaces,
        null,
        ServerUser.of(null, "cannot test"),
        PostgresServer.freePort(),
        false,
        2,
        RecoveryProgress.NONE);
  }

  private static void refused(Runnable work, String why, String next) {
    assertThatThrownBy(work::run)
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).as(e.getMessage()).isEqualTo(Kind.REFUSED);
              assertThat(e.why()).contains(why);
              assertThat(e.next()).contains(next);
            });
  }

  /**
   * What counts as a server that runs there: a process of that name with that folder for its own.
   */
  private static Process pretendServer(Path program, Path data) {
    try {
      Files.copy(Path.of("/bin/sleep"), program, StandardCopyOption.COPY_ATTRIBUTES);
      Process process =
          new ProcessBuilder(program.toString(), "600").directory(data.toFile()).start();
      Path name = Path.of("/proc", Long.toString(process.pid()), "comm");
      long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
      while (!Files.readString(name).strip().equals("postgres")) {
        assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
        Thread.onSpinWait();
      }
      return process;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Who everything belongs to. */
  private static String owners(Path folder) {
    return Processes.run(
            List.of("sh", "-c", "cd '" + folder + "' && find . -printf '%p %u\n' | sort"))
        .output();
  }

  private static void copy(Path from, Path to) {
    assertThat(Processes.run(List.of("cp", "-a", from.toString(), to.toString())).exitCode())
        .isZero();
  }

  @ParameterizedTest
  @MethodSource("newest")
  void what_is_not_this_clusters_or_cannot_be_told_or_is_in_use_is_left_as_it_is(int major)
      throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      Path space = recorded.tablespaceFolder();
      recorded.server().execute("CREATE TABLESPACE other LOCATION '" + space + "'");
      recorded.server().execute("CREATE TABLE t TABLESPACE other AS SELECT 1 AS id");
      recorded.backUp();
      recorded.server().execute("INSERT INTO t VALUES (2)");
      recorded.recordWal();
      RecoveryTarget target = RecoveryTarget.before(recorded.recordedEnd());
      Path data = parent.resolve("data");
      Path moved = parent.resolve("moved");
      RestoreOptions options = into(data, Map.of(space.toString(), moved.toString()));
      Runnable plan = () -> DeltaRestore.plan(recorded.cluster(), target, options, false);

      refused(plan, data + " does not exist", "leave --delta out");
      Files.createDirectory(data);
      refused(plan, data + " is empty", "leave --delta out");
      Files.writeString(data.resolve("letters"), "dear");
      refused(
          () -> DeltaRestore.plan(recorded.cluster(), target, options, true),
          "is no data directory of PostgreSQL",
          "name the data directory");
      Files.delete(data.resolve("letters"));

      // Production, which runs, and its copy whose links lead into what production uses.
      Path production = recorded.server().server().data();
      refused(
          () -> DeltaRestore.plan(recorded.cluster(), target, into(production, Map.of()), false),
          "a PostgreSQL server runs in " + production,
          "stop it");
      Files.delete(data);
      copy(production, data);
      Files.deleteIfExists(data.resolve("postmaster.pid"));
      refused(
          () -> DeltaRestore.plan(recorded.cluster(), target, into(data, Map.of()), false),
          space + " is a tablespace of the server that runs in " + production,
          "--tablespace-mapping " + space + "=NEW");
      Files.createDirectory(moved);
      Files.writeString(moved.resolve("somebody's"), "file");
      refused(plan, moved + " is not empty", "--tablespace-mapping");
      Files.delete(moved.resolve("somebody's"));

      // A dead server's file, be it of a number that another process has now.
      Files.writeString(
          data.resolve("postmaster.pid"), ProcessHandle.current().pid() + "\n" + data + "\n");
      assertThat(DeltaRestore.plan(recorded.cluster(), target, options, false).removed())
          .contains("postmaster.pid");

      byte[] control = Files.readAllBytes(data.resolve("global/pg_control"));
      byte[] torn = control.clone();
      torn[100]++;
      Files.write(data.resolve("global/pg_control"), torn);
      refused(plan, "is damaged", "--overwrite-unidentified");
      Files.delete(data.resolve("global/pg_control"));
      refused(plan, "is not there", "--overwrite-unidentified");
      DeltaPlan told = DeltaRestore.plan(recorded.cluster(), target, options, true);
      assertThat(told.found()).contains("cannot be identified");
      try (TestServer another = TestServer.start(major)) {
        byte[] its = Files.readAllBytes(another.server().data().resolve("global/pg_control"));
        Files.write(data.resolve("global/pg_control"), its);
        refused(
            () -> DeltaRestore.plan(recorded.cluster(), target, options, true),
            "is the data directory of another cluster",
            "name the data directory of acme");
      }
      Files.move(data.resolve("global"), parent.resolve("global"));
      Files.createSymbolicLink(data.resolve("global"), parent.resolve("global"));
      refused(plan, "is a symbolic link", "put the folder itself there");
      Files.delete(data.resolve("global"));
      Files.move(parent.resolve("global"), data.resolve("global"));
      Files.write(data.resolve("global/pg_control"), control);

      // A server that ran between looking and writing; one that runs now.
      Processes.run(List.of("chown", "-R", "nobody", data.toString()));
      String owners = owners(data);
      List<Process> servers = new ArrayList<>();
      try {
        refused(
            () ->
                DeltaRestore.run(
                    recorded.cluster(),
                    target,
                    options,
                    false,
                    _ -> servers.add(pretendServer(parent.resolve("postgres"), data))),
            "a PostgreSQL server runs in " + data,
            "stop it");
      } finally {
        servers.forEach(Process::destroyForcibly);
      }
      servers.getFirst().waitFor();
      assertThat(data.resolve(RestoreFolder.MARKER)).doesNotExist();
      assertThat(data.resolve(ExistingFiles.WAL_STAGE)).doesNotExist();
      assertThat(owners(data)).isEqualTo(owners);
      refused(
          () ->
              DeltaRestore.run(
                  recorded.cluster(),
                  target,
                  options,
                  false,
                  _ -> {
                    byte[] started = control.clone();
                    started[8]++;
                    write(data.resolve("global/pg_control"), started);
                  }),
          "a server has run on " + data,
          "run the same command again");
      assertThat(data.resolve(RestoreFolder.MARKER)).doesNotExist();
      assertThat(data.resolve(ExistingFiles.WAL_STAGE)).doesNotExist();
      assertThat(moved).isEmptyDirectory();
      Files.write(data.resolve("global/pg_control"), control);

      // WAL that leads nowhere: what was there can still be started.
      Files.createDirectory(data.resolve("base/77"));
      copy(parent.resolve("data/PG_VERSION"), data.resolve("base/77/PG_VERSION"));
      DeltaRestored restored =
          DeltaRestore.run(recorded.cluster(), target, options, false, _ -> {});
      assertThat(restored.plan().removed()).contains("base/77/PG_VERSION");
      assertThat(data.resolve("base/77")).doesNotExist();
      assertThat(Files.readSymbolicLink(data.resolve("pg_tblspc").resolve(oid(restored))))
          .isEqualTo(moved);
      assertThat(parent.resolve("data.set-aside/pg_wal")).isNotEmptyDirectory();
      assertThat(data.resolve(RestoreFolder.MARKER)).doesNotExist();
      assertThat(moved.resolve(RestoreFolder.MARKER)).doesNotExist();

      // Without a pg_wal the settings are kept all the same; what lies beside is nobody's business.
      Processes.run(List.of("rm", "-rf", data.resolve("pg_wal").toString()));
      Files.writeString(data.resolve("pg_hba.conf"), "# changed since");
      Path beside = Files.createDirectory(moved.resolve("letters"));
      Files.writeString(beside.resolve("file"), "kept");
      String besides = owners(beside);
      assertThat(besides).contains("./file ");
      DeltaPlan settings = DeltaRestore.plan(recorded.cluster(), target, options, false);
      Path aside = parent.resolve("data.set-aside-2");
      assertThat(settings.aside()).isEqualTo(aside);
      assertThat(settings.namesAside()).contains("pg_hba.conf").doesNotContain("pg_wal");
      DeltaRestore.run(recorded.cluster(), target, options, false, _ -> {});
      assertThat(aside.resolve("pg_hba.conf")).hasContent("# changed since");
      assertThat(aside.toFile().list())
          .containsExactlyInAnyOrder(
              "postgresql.conf",
              "postgresql.auto.conf",
              "pg_hba.conf",
              "pg_ident.conf",
              "pg_control");
      assertThat(data.resolve("pg_hba.conf")).content().doesNotContain("# changed since");
      assertThat(owners(beside)).isEqualTo(besides);
      // Production has all it had.
      recorded.server().restart(PostgresServer.Stop.FAST);
      assertThat(recorded.server().value("SELECT count(*) FROM t")).isEqualTo("2");
    }
  }

  private static String oid(DeltaRestored restored) {
    return Long.toString(restored.plan().tablespaces().keySet().iterator().next());
  }

  private static void write(Path file, byte[] bytes) {
    try {
      Files.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @ParameterizedTest
  @MethodSource("oldestSupported")
  void wal_that_cannot_be_replayed_is_told_before_anything_is_changed(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      recorded.backUp();
      var damaged = recorded.commit("CREATE TABLE t AS SELECT 1 AS id");
      recorded.commit("INSERT INTO t VALUES (2)");
      recorded.recordWalDamagedAt(damaged);
      Path data = parent.resolve("data");
      recorded.server().stop(PostgresServer.Stop.FAST);
      copy(recorded.server().server().data(), data);
      String before = listing(data);
      assertThatThrownBy(() ->
              DeltaRestore.run(
                  recorded.cluster(),
                  RecoveryTarget.before(recorded.recordedEnd()),
                  into(data, Map.of()),
                  false,
                  _ -> {}))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DAMAGED_DATA));
      assertThat(listing(data)).isEqualTo(before);
      assertThat(parent.resolve("data.set-aside")).doesNotExist();
    }
  }

  private static String listing(Path folder) {
    return Processes.run(
            List.of("sh", "-c", "cd '" + folder + "' && find . -type f | sort | xargs cksum"))
        .output();
  }

  @ParameterizedTest
  @MethodSource("oldestSupported")
  void a_disk_that_gets_full_leaves_what_does_not_start_and_the_next_run_completes_it(int major)
      throws Exception {
    Path small = Files.createDirectory(parent.resolve("small"));
    assumeTrue(
        Processes.run(
                    List.of("mount", "-t", "tmpfs", "-o", "size=300m,mode=755", "none", small + ""))
                .exitCode()
            == 0,
        "only root can make a small file system");
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      recorded.server().execute("CREATE TABLE t AS SELECT generate_series(1, 100000) AS id");
      recorded.backUp();
      recorded.server().execute("INSERT INTO t VALUES (2)");
      recorded.recordWal();
      RecoveryTarget target = RecoveryTarget.before(recorded.recordedEnd());
      Path data = small.resolve("data");
      Path filler = small.resolve("somebody's");
      RestoreOptions options = into(data, Map.of());
      Restore.run(recorded.cluster(), target, options);
      String whole = listing(data);

      // What is going to be removed makes no room for the WAL, which comes first.
      Path extra = data.resolve("base/extra");
      Processes.run(List.of("fallocate", "-l", "100m", extra.toString()));
      fill(filler, 8 << 20);
      assertThatThrownBy(() -> DeltaRestore.plan(recorded.cluster(), target, options, false))
          .isInstanceOfSatisfying(
              NoRoomException.class,
              e -> assertThat(e.why()).contains("before anything is removed"));
      Files.delete(extra);
      Files.delete(filler);

      // A pg_wal that cannot be moved, be it known before or not.
      Path wal = data.resolve("pg_wal");
      mount("-t", "tmpfs", "none", wal + "");
      refused(
          () -> DeltaRestore.plan(recorded.cluster(), target, options, false),
          "it is a file system of its own",
          "move what is in " + wal + " to a safe place");
      umount(wal);
      mount("--bind", Files.createDirectory(small.resolve("wal")).toString(), wal + "");
      assertThatThrownBy(
              () -> DeltaRestore.run(recorded.cluster(), target, options, false, _ -> {}))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.FAILED));
      umount(wal);
      assertThat(listing(data)).isEqualTo(whole);
      Processes.run(List.of("rm", "-rf", data + ".set-aside"));

      Processes.run(List.of("sh", "-c", "rm -rf " + data + "/base/*"));
      // Sizes are made first, as holes: the room goes when they are filled.
      AtomicBoolean filled = new AtomicBoolean();
      RecoveryProgress filling =
          new RecoveryProgress() {
            @Override
            public void fetched(long bytes, long total) {
              if (filled.getAndSet(true)) {
                return;
              }
              fill(filler, 0);
            }
          };
      assertThatThrownBy(() ->
              DeltaRestore.run(
                  recorded.cluster(), target, options.telling(filling), false, _ -> {}))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.FAILED);
                assertThat(e.why()).contains("the disk is full");
                assertThat(e.next()).contains("run the same command again");
              });
      assertThat(data.resolve("global/pg_control")).doesNotExist();
      assertThat(data.resolve(RestoreFolder.MARKER)).exists();
      Files.delete(filler);
      DeltaRestored done = DeltaRestore.run(recorded.cluster(), target, options, false, _ -> {});
      assertThat(listing(data)).isEqualTo(whole);
      assertThat(done.plan().kept()).isPositive();
    } finally {
      Processes.run(List.of("umount", "--recursive", small.toString()));
    }
  }

  /** Writes until only so much room is left, or none. */
  private static void fill(Path filler, long left) {
    try (FileChannel file =
        FileChannel.open(filler, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      while (left == 0 || Files.getFileStore(filler).getUsableSpace() > left) {
        file.write(ByteBuffer.wrap(new byte[1 << 16]), file.size());
      }
    } catch (IOException e) {
      assertThat(left).as(e.getMessage()).isZero();
    }
  }

  private static void mount(String... options) {
    List<String> command = new ArrayList<>(List.of("mount"));
    command.addAll(List.of(options));
    assertThat(Processes.run(command).exitCode()).isZero();
  }

  private static void umount(Path folder) {
    assertThat(Processes.run(List.of("umount", folder.toString())).exitCode()).isZero();
  }
}
