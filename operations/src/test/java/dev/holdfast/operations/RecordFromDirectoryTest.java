package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.SegmentName;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** WAL that archive_command copies to a folder. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecordFromDirectoryTest {
  private static final class Heard implements Record.Listener {
    final List<RecordingAlarm> alarms = Collections.synchronizedList(new ArrayList<>());
    final List<LogEntry> destructive = Collections.synchronizedList(new ArrayList<>());

    @Override
    public void destructive(LogEntry entry) {
      destructive.add(entry);
    }

    @Override
    public void say(String line) {}

    @Override
    public void alarm(RecordingAlarm alarm) {
      alarms.add(alarm);
    }
  }

  private static TestServer archiving(int major) throws Exception {
    Path archive = Files.createTempDirectory("holdfast-archive");
    Files.setPosixFilePermissions(archive, PosixFilePermissions.fromString("rwxrwxrwx"));
    return TestServer.start(
        PostgresBinaries.embedded(major),
        Map.of(
            "archive_mode", "on",
            "archive_command", "cp %p " + archive + "/%f",
            "autovacuum", "off"),
        List.of("--wal-segsize=1"));
  }

  private static Path archive(TestServer server) {
    return Path.of(server.value("SHOW archive_command").split(" ", -1)[2].replace("/%f", ""));
  }

  private static void write(TestServer server, int n) throws Exception {
    server.execute(
        "INSERT INTO load SELECT "
            + n
            + ", repeat(md5(i::text), 30) FROM"
            + " generate_series(1, 3000) AS i",
        "SELECT pg_switch_wal()");
    String last = server.value("SELECT pg_walfile_name(pg_current_wal_lsn() - 1)");
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (server
        .value("SELECT coalesce(last_archived_wal, '') >= '" + last + "' FROM pg_stat_archiver")
        .equals("f")) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.sleep(20); // the archiver tells nobody
    }
  }

  private static ArchiveResult record(
      String repository, Path archive, boolean remove, Heard heard) {
    return new Record(repository, "acme", RecordOptions.DEFAULT)
        .runFrom(archive, true, remove, heard);
  }

  @ParameterizedTest
  @ValueSource(ints = {18, 14})
  void segments_are_taken_when_they_are_wal_of_this_cluster_and_nothing_else_is(int major)
      throws Exception {
    try (TestServer server = archiving(major);
        TestServer other =
            TestServer.start(
                PostgresBinaries.embedded(major), Map.of(), List.of("--wal-segsize=1"))) {
      Path archive = archive(server);
      try {
        server.execute("CREATE TABLE load (n int, filler text)");
        String repository = server.folder().resolve("repository").toString();
        new Protect(repository)
            .run(
                new Protect.Request(
                    "acme",
                    server.url("postgres"),
                    "production",
                    server.url("postgres"),
                    false,
                    false,
                    1),
                Progress.SILENT);
        write(server, 1);
        write(server, 2);
        List<String> names = new ArrayList<>();
        try (var files = Files.newDirectoryStream(archive)) {
          files.forEach(file -> names.add(String.valueOf(file.getFileName())));
        }
        Collections.sort(names);
        assertThat(names).anyMatch(name -> name.endsWith(".backup"));
        String last = names.stream().filter(name -> name.length() == 24).toList().getLast();
        SegmentName segment = SegmentName.parse(last, 1 << 20);
        byte[] good = Files.readAllBytes(archive.resolve(last));

        String damaged = segment.next().toString();
        byte[] flipped = good.clone();
        flipped[500_000] ^= 1;
        Files.write(archive.resolve(last), flipped); // the CRC of a record tells
        Files.write(archive.resolve(damaged), Arrays.copyOf(good, 300_000));
        String foreign = segment.next().next().toString();
        byte[] strange = foreign(other, foreign);
        Files.write(archive.resolve(foreign), strange);
        Files.write(archive.resolve("000000010000000000000099.gz"), new byte[] {1});
        Files.writeString(
            archive.resolve("00000002.history"), "1\t0/7F000000\tno recovery target specified\n");
        Files.write(archive.resolve("00000002000000000000007F.partial"), new byte[1 << 20]);

        Heard heard = new Heard();
        ArchiveResult result = record(repository, archive, false, heard);
        assertThat(result.refused()).as("%s", heard.alarms).isEqualTo(3);
        assertThat(heard.alarms)
            .extracting(RecordingAlarm::what)
            .anyMatch(what -> what.contains(last + " was not taken: it cannot be read past"))
            .anyMatch(
                what -> what.contains(foreign + " was not taken: it is WAL of another cluster"))
            .anyMatch(what -> what.contains(".gz was not taken: it is compressed"))
            .noneMatch(what -> what.contains(damaged)); // it may still be growing
        assertThat(Repository.open(repository).cluster("acme").wal().readHistory(2)).isNotNull();

        Files.write(archive.resolve(last), good);
        Files.delete(archive.resolve(damaged));
        Files.delete(archive.resolve(foreign));
        server.execute("DROP TABLE IF EXISTS gone", "CREATE TABLE gone (n int)");
        write(server, 3);
        server.execute("INSERT INTO gone SELECT generate_series(1, 50)", "DROP TABLE gone");
        write(server, 4);
        Heard again = new Heard();
        assertThat(record(repository, archive, true, again).refused()).isEqualTo(1); // the .gz
        assertThat(again.destructive).isNotEmpty();
        try (var files = Files.newDirectoryStream(archive, "[0-9A-F]*")) {
          for (Path file : files) {
            assertThat(String.valueOf(file.getFileName()))
                .as("what is recorded was removed, and nothing else")
                .containsPattern("\\.(gz|backup|partial)$");
          }
        }
        assertThat(new RecordedWal(Repository.open(repository).cluster("acme")).gaps()).isEmpty();
        Path data = server.folder().resolve("restored");
        new Restore(repository, "acme")
            .run(
                new Restore.Request(
                    Target.LATEST, data, Map.of(), null, true, PostgresServer.freePort(), null),
                Progress.SILENT);
        try (RunningServer back = new RunningServer(data)) {
          assertThat(back.value("SELECT string_agg(DISTINCT n::text, ',') FROM load"))
              .isEqualTo("1,2,3,4");
        }
      } finally {
        Processes.run(List.of("rm", "-rf", archive.toString()));
      }
    }
  }

  /** A segment of that name as another cluster of the same version writes it. */
  private static byte[] foreign(TestServer other, String name) throws Exception {
    Path wal = other.server().data().resolve("pg_wal");
    other.execute("CREATE TABLE load (n int, filler text)");
    while (other.value("SELECT pg_walfile_name(pg_current_wal_lsn())").compareTo(name) <= 0) {
      other.execute(
          "INSERT INTO load SELECT 1, repeat(md5(i::text), 30) FROM generate_series(1, 500) AS i",
          "SELECT pg_switch_wal()");
    }
    return Files.readAllBytes(wal.resolve(name));
  }

  @ParameterizedTest
  @ValueSource(ints = {17})
  void the_folder_is_followed_until_recording_is_stopped(int major) throws Exception {
    try (TestServer server = archiving(major)) {
      Path archive = archive(server);
      try {
        server.execute("CREATE TABLE load (n int, filler text)");
        String repository = server.folder().resolve("repository").toString();
        new Protect(repository)
            .run(
                new Protect.Request(
                    "acme",
                    server.url("postgres"),
                    "production",
                    server.url("postgres"),
                    false,
                    false,
                    1),
                Progress.SILENT);
        Record recorder = new Record(repository, "acme", RecordOptions.DEFAULT);
        var running =
            CompletableFuture.supplyAsync(
                () -> recorder.runFrom(archive, false, false, new Heard()),
                Thread::startVirtualThread);
        write(server, 1);
        String last = server.value("SELECT pg_walfile_name(pg_current_wal_lsn() - 1)");
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (Repository.open(repository).cluster("acme").wal().list().stream()
            .noneMatch(stored -> stored.complete() && stored.name().equals(last))) {
          assertThat(System.nanoTime()).isLessThan(deadline);
          Thread.sleep(50); // the recorder tells the repository, and only that
        }
        recorder.stop();
        assertThat(running.orTimeout(60, TimeUnit.SECONDS).join().refused()).isZero();
        assertThat(archive.resolve(last)).exists();
      } finally {
        Processes.run(List.of("rm", "-rf", archive.toString()));
      }
    }
  }
}
