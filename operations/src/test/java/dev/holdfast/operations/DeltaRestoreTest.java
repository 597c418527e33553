package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.s3.S3ObjectStore;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.S3Server;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Data directories that are there, brought back. More rounds of random damage: {@code
 * -Dholdfast.delta.rounds=50}, with {@code -Dholdfast.delta.seed=N}; on other servers: {@code
 * -Dholdfast.delta.majors=14,16,17}; from a bucket: {@code -Dholdfast.delta.repository=bucket}.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class DeltaRestoreTest {
  private static final int ROUNDS = Integer.getInteger("holdfast.delta.rounds", 3);
  private static final long SEED = Long.getLong("holdfast.delta.seed", 1);
  private static final boolean BUCKET =
      System.getProperty("holdfast.delta.repository", "directory").equals("bucket");
  private static final String MARKER = "holdfast.restoring";

  @SuppressWarnings("NullAway.Init")
  private Path folder;

  private final int port = PostgresServer.freePort();
  private @Nullable S3Server server;
  private S3Server.@Nullable Environment environment;

  @BeforeEach
  void makeFolder() throws IOException {
    folder = Files.createTempDirectory("holdfast-deltas");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @AfterEach
  void removeFolder() {
    if (environment != null && server != null) {
      environment.close();
      server.close();
    }
    Processes.run(List.of("rm", "-rf", folder.toString()));
  }

  /** A repository with a chain, a cluster fresh from it, and another one that went its own way. */
  private record Prepared(
      Path folder, String repository, String space, Path fresh, Path data, Path moved) {
    Restore.Request request(boolean start, int port) {
      return new Restore.Request(
          Target.LATEST, data, Map.of(space, moved.toString()), null, start, port, 2);
    }

    Restore restore() {
      return new Restore(repository, "acme");
    }

    RestoreResult bringBack(int port) {
      return bringBack(port, Progress.SILENT);
    }

    RestoreResult bringBack(int port, Progress progress) {
      Restore.Delta delta = restore().delta(request(false, port), false, Progress.SILENT);
      return delta.apply(delta.plan(Progress.SILENT).digest(), progress);
    }
  }

  private Prepared prepare(int major) throws Exception {
    Path space = Files.createDirectory(folder.resolve("space"));
    Processes.run(List.of("chmod", "777", space.toString()));
    Path moved = folder.resolve("moved");
    Path data = folder.resolve("data");
    String repository;
    try (ProtectedServer production =
        ProtectedServer.start(
            PostgresBinaries.embedded(major),
            Map.of("autovacuum", "off"),
            List.of("--data-checksums"),
            "CREATE TABLESPACE elsewhere LOCATION '" + space + "'",
            "CREATE TABLE spaced TABLESPACE elsewhere AS SELECT i, repeat(md5(i::text), 4) AS t"
                + " FROM generate_series(1, 20000) i",
            "CREATE TABLE bulk AS SELECT i, repeat(md5(i::text), 8) AS t"
                + " FROM generate_series(1, 60000) i",
            "CREATE TABLE dropped AS SELECT generate_series(1, 50000) AS i")) {
      for (int layer = 0; layer < 2; layer++) {
        production.server.execute(
            "UPDATE bulk SET t = 'layer " + layer + "' WHERE i % 997 = " + layer,
            "INSERT INTO spaced SELECT i, 'more' FROM generate_series(1, 500) i",
            "CREATE TABLE made" + layer + " AS SELECT generate_series(1, 900) AS i",
            layer == 1 ? "DROP TABLE dropped" : "CHECKPOINT");
        production.caughtUp();
        new Backup(production.repository, "acme", null, 2, Backup.Wanted.INCREMENTAL)
            .run(Progress.SILENT);
      }
      production.server.execute("INSERT INTO bulk VALUES (0, 'the last')");
      production.caughtUp();
      production.stopRecording();
      repository = kept(Path.of(production.repository));
    }
    Path fresh = folder.resolve("fresh");
    new Restore(repository, "acme")
        .run(
            new Restore.Request(
                Target.LATEST,
                fresh,
                Map.of(space.toString(), folder.resolve("fresh-space").toString()),
                null,
                false,
                port,
                2),
            Progress.SILENT);
    Prepared prepared = new Prepared(folder, repository, space.toString(), fresh, data, moved);
    prepared.restore().run(prepared.request(true, port), Progress.SILENT);
    try (RunningServer server = new RunningServer(data)) {
      server.execute(
          "UPDATE bulk SET t = 'its own way' WHERE i % 5000 = 3",
          "CREATE TABLE unwanted AS SELECT generate_series(1, 5000) AS i",
          "DROP TABLE made0",
          "ALTER SYSTEM SET work_mem = '9MB'",
          "INSERT INTO spaced SELECT i, 'not wanted' FROM generate_series(1, 500) i");
    }
    return prepared;
  }

  /** A copy of a repository, which outlives its server. */
  private String kept(Path repository) throws IOException {
    if (!BUCKET) {
      Path kept = folder.resolve("repository");
      copy(repository, kept);
      return kept.toString();
    }
    String kept = "s3://deltas/holdfast";
    server = S3Server.start("deltas");
    environment = S3Server.environment(server.endpoint());
    S3ObjectStore bucket = S3ObjectStore.open(kept);
    try (Stream<Path> files = Files.walk(repository)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        bucket.put(repository.relativize(file).toString(), Files.readAllBytes(file));
      }
    }
    return kept;
  }

  /** Everything below a folder: kind, mode and content; of a tablespace's link that it is one. */
  private static Map<String, String> content(Path root) throws IOException {
    Map<String, String> content = new TreeMap<>();
    try (Stream<Path> paths = Files.walk(root)) {
      for (Path path : paths.toList()) {
        String name = root.relativize(path).toString();
        String mode =
            PosixFilePermissions.toString(
                Files.getPosixFilePermissions(path, LinkOption.NOFOLLOW_LINKS));
        if (Files.isSymbolicLink(path)) {
          content.put(name, "link");
          content(Files.readSymbolicLink(path))
              .forEach((below, of) -> content.put(name + "/" + below, of));
        } else if (Files.isDirectory(path)) {
          content.put(name, "folder " + mode + " " + Files.getOwner(path));
        } else {
          byte[] bytes = Files.readAllBytes(path);
          content.put(
              name,
              "file %s %s %d %s"
                  .formatted(mode, Files.getOwner(path), bytes.length, checksum(bytes)));
        }
      }
    }
    return content;
  }

  private static void assertSame(Prepared prepared, String what) throws IOException {
    Map<String, String> found = content(prepared.data);
    Map<String, String> expected = content(prepared.fresh);
    assertThat(found.keySet()).as(what).isEqualTo(expected.keySet());
    assertThat(found).as(what).isEqualTo(expected);
  }

  static List<Integer> majors() {
    return Majors.of("holdfast.delta.majors", "15,18");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void whatever_happened_to_a_directory_it_becomes_what_a_fresh_restore_is(int major)
      throws Exception {
    Prepared prepared = prepare(major);
    Restore.Delta delta =
        prepared.restore().delta(prepared.request(false, port), false, Progress.SILENT);
    Map<String, String> before = content(prepared.data);
    RestorePlan plan = delta.plan(Progress.SILENT);
    assertThat(content(prepared.data)).isEqualTo(before);
    assertThat(plan.found()).isEqualTo("a data directory of acme");
    assertThat(plan.removed()).isNotEmpty().contains("postmaster.opts");
    assertThat(plan.setAside()).isEqualTo(prepared.data + ".set-aside");
    assertThatThrownBy(() -> delta.apply("0123456789abcdef", Progress.SILENT))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).isEqualTo(Kind.REFUSED);
              assertThat(e.next()).contains(plan.digest());
            });
    assertThat(content(prepared.data)).isEqualTo(before);

    RestoreResult result = delta.apply(plan.digest(), Progress.SILENT);

    assertSame(prepared, "gone its own way");
    RestoreResult.Delta done = brought(result);
    assertThat(done.filesRemoved()).isEqualTo(plan.filesRemoved()).isPositive();
    assertThat(done.filesKept()).isGreaterThan(done.filesChanged());
    assertThat(done.bytesKept()).isGreaterThan(result.bytes() * 3 / 4);
    assertThat(done.bytesFetched()).isEqualTo(plan.bytesToFetch()).isPositive();
    // The settings and the log that were there.
    Path aside = Path.of(plan.setAside());
    assertThat(Files.readString(aside.resolve("postgresql.auto.conf"))).contains("9MB");
    assertThat(Files.readAllBytes(aside.resolve("pg_control"))).hasSize(8192);
    assertThat(content(aside.resolve("pg_wal"))).containsAllEntriesOf(below(before, "pg_wal/"));

    Random random = new Random(SEED);
    for (int round = 0; round < ROUNDS; round++) {
      String what = "PostgreSQL " + major + ", -Dholdfast.delta.seed=" + SEED + ", " + round;
      Damage damage = new Damage(prepared, random);
      damage.run(1 + random.nextInt(8));
      if (random.nextInt(3) == 0) {
        Files.writeString(prepared.data.resolve("postmaster.pid"), "1\n/nowhere\n");
      }
      Map<Path, String> bystanders = checksums(damage.bystanders);
      RestoreResult again = prepared.bringBack(port);
      assertThat(checksums(damage.bystanders)).as(what).isEqualTo(bystanders);
      assertSame(prepared, what + " " + damage.done);
      // A page in pieces costs the frames that hold it: a megabyte at most of each layer.
      assertThat(brought(again).bytesFetched())
          .as(what + " " + damage.done)
          .isLessThanOrEqualTo(damage.fetchMax + SETTLED_BYTES);
    }

    Restore.Delta last =
        prepared.restore().delta(prepared.request(true, port), false, Progress.SILENT);
    last.apply(last.plan(Progress.SILENT).digest(), Progress.SILENT);
    try (RunningServer server = new RunningServer(prepared.data)) {
      assertThat(server.value("SELECT t FROM bulk WHERE i = 0")).isEqualTo("the last");
      assertThat(server.value("SELECT count(*) FROM spaced")).isEqualTo("21000");
      assertThat(server.value("SELECT to_regclass('unwanted')")).isEqualTo("null");
      assertThatThrownBy(() -> prepared.bringBack(port))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> assertThat(e.why()).startsWith("a PostgreSQL server runs in "));
      // Also when somebody has removed what says so.
      Path pid = prepared.data.resolve("postmaster.pid");
      byte[] said = Files.readAllBytes(pid);
      Files.delete(pid);
      assertThatThrownBy(() -> prepared.bringBack(port))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> assertThat(e.why()).startsWith("a PostgreSQL server runs in "));
      Files.write(pid, said);
    }
  }

  private static Map<Path, String> checksums(List<Path> files) throws IOException {
    Map<Path, String> checksums = new HashMap<>();
    for (Path file : files) {
      checksums.put(file, checksum(Files.readAllBytes(file)));
    }
    return checksums;
  }

  private static String checksum(byte[] bytes) {
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    return HexFormat.of().toHexDigits((int) crc.getValue());
  }

  private static RestoreResult.Delta brought(RestoreResult result) {
    return Objects.requireNonNull(result.delta());
  }

  /**
   * Frames of files that a restore changes itself: settings, pg_control, what shares their frame.
   */
  private static final long SETTLED_BYTES = 2 << 20;

  private static Map<String, String> below(Map<String, String> all, String prefix) {
    Map<String, String> below = new TreeMap<>();
    all.forEach((path, what) -> {
      if (path.startsWith(prefix)) {
        below.put(path.substring(prefix.length()), what);
      }
    });
    return below;
  }

  /** What disks, people and crashes do to files. */
  private static final class Damage {
    private static final long FRAME = 1 << 20;

    private final Prepared prepared;
    private final Random random;
    private final StringBuilder done = new StringBuilder();

    /** What is no part of the directory, and must stay as it is. */
    private final List<Path> bystanders = new ArrayList<>();

    private long fetchMax;

    Damage(Prepared prepared, Random random) {
      this.prepared = prepared;
      this.random = random;
    }

    private List<Path> files() throws IOException {
      try (Stream<Path> inData = Files.walk(prepared.data);
          Stream<Path> inSpace = Files.walk(prepared.moved)) {
        return Stream.concat(inData, inSpace)
            .filter(path -> Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS))
            .filter(path -> !path.startsWith(prepared.data.resolve("pg_wal")))
            .filter(path -> !path.endsWith("global/pg_control"))
            .sorted()
            .toList();
      }
    }

    private Path one() throws IOException {
      List<Path> files = files();
      return files.get(random.nextInt(files.size()));
    }

    /** All of a file, and what shares its frames, of three layers. */
    private void whole(long size) {
      fetchMax += size + 4 * FRAME;
    }

    void run(int times) throws IOException {
      for (int i = 0; i < times; i++) {
        Path file = one();
        long size = Files.size(file);
        int kind = random.nextInt(9);
        done.append(kind).append(' ').append(file.getFileName()).append(", ");
        switch (kind) {
          case 0 -> {
            Files.delete(file);
            whole(size);
          }
          case 1 -> {
            resize(file, size / 2);
            whole(size);
          }
          case 2 -> {
            resize(file, size + 20_000);
            fetchMax += FRAME;
          }
          case 3, 4 -> {
            if (size > 0) {
              try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
                long at = random.nextLong(size);
                open.seek(at);
                int was = open.read();
                open.seek(at);
                open.write(was ^ 4);
              }
            }
            fetchMax += FRAME + (16 << 10);
          }
          case 5 -> {
            Path other = one();
            byte[] mine = Files.readAllBytes(file);
            Files.write(file, Files.readAllBytes(other));
            Files.write(other, mine);
            whole(size);
            whole(mine.length);
            whole(Files.size(file));
          }
          case 6 -> {
            Path extra = prepared.data.resolve("base/77" + random.nextInt(99));
            Files.createDirectories(extra);
            Files.write(extra.resolve("1259"), new byte[9000]);
            Files.createSymbolicLink(
                extra.resolve("link" + i), prepared.fresh.resolve("PG_VERSION"));
          }
          case 7 -> {
            // A link in the place of a file: what it leads to must stay as it is.
            Path elsewhere = prepared.folder.resolve("elsewhere" + random.nextInt());
            Files.write(elsewhere, new byte[] {1, 2, 3});
            bystanders.add(elsewhere);
            Files.delete(file);
            Files.createSymbolicLink(file, elsewhere);
            whole(size);
          }
          default -> {
            // Another name of the same file, as cp -l makes it: it keeps what it has.
            Path name = prepared.folder.resolve("name" + random.nextInt());
            Files.createLink(name, file);
            resize(file, size + 10);
            bystanders.add(name);
            whole(size);
          }
        }
      }
    }

    private static void resize(Path file, long size) throws IOException {
      try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
        open.setLength(size);
      }
    }
  }

  /** Ends the work at some step, as a disk that is full or a signal would. */
  private static final class Stopped extends Error {
    private static final long serialVersionUID = 1;
  }

  private static Progress stoppingAfter(int steps) {
    AtomicInteger left = new AtomicInteger(steps);
    return stepping(() -> {
      if (left.decrementAndGet() < 0) {
        throw new Stopped();
      }
    });
  }

  /** Told of every step that may change something: comparing and making it durable do not. */
  private static Progress stepping(Runnable step) {
    return new Progress() {
      @Override
      public Phase begin(String name, long total, Unit unit) {
        return new Phase() {
          @Override
          public void advance(long amount) {
            if (!name.endsWith("comparing") && !name.endsWith("making it durable")) {
              step.run();
            }
          }

          @Override
          public void close() {}
        };
      }

      @Override
      public void say(String line) {}
    };
  }

  static List<Integer> newestMajor() {
    return Majors.of("holdfast.delta.majors", "18");
  }

  @ParameterizedTest
  @MethodSource("newestMajor")
  void stopped_anywhere_it_does_not_start_and_is_completed_by_the_next_run(int major)
      throws Exception {
    Prepared prepared = prepare(major);
    Map<String, String> wal = below(content(prepared.data), "pg_wal/");
    Path aside = Path.of(prepared.data + ".set-aside");
    AtomicInteger steps = new AtomicInteger();
    Path kept = folder.resolve("kept");
    Path keptMoved = folder.resolve("kept-moved");
    copy(prepared.data, kept);
    copy(prepared.moved, keptMoved);
    prepared.bringBack(port, stepping(steps::incrementAndGet));
    assertSame(prepared, "not stopped");
    Random random = new Random(SEED);
    int changed = 0;
    for (int round = 0; round < ROUNDS; round++) {
      for (Path gone : List.of(prepared.data, prepared.moved, aside)) {
        Processes.run(List.of("rm", "-rf", gone.toString()));
      }
      copy(kept, prepared.data);
      copy(keptMoved, prepared.moved);
      Map<String, String> before = content(prepared.data);
      int first = random.nextInt(steps.get());
      String what = "-Dholdfast.delta.seed=" + SEED + ", stopped after " + first;
      assertThatThrownBy(() -> prepared.bringBack(port, stoppingAfter(first)))
          .isInstanceOf(Stopped.class);
      if (Files.exists(prepared.data.resolve("global/pg_control"))) {
        assertThat(content(prepared.data)).as(what).isEqualTo(before);
      } else {
        changed++;
        assertThat(prepared.data.resolve(MARKER)).as(what).exists();
        assertThatThrownBy(
                () -> prepared.restore().run(prepared.request(false, port), Progress.SILENT))
            .hasMessageContaining("a restore --delta has not brought back completely");
        // And once more in the middle of completing it.
        int second = random.nextInt(steps.get());
        try {
          prepared.bringBack(port, stoppingAfter(second));
        } catch (Stopped e) {
          what += ", then " + second;
        }
      }
      prepared.bringBack(port);
      assertSame(prepared, what);
      assertThat(content(aside.resolve("pg_wal"))).as(what).containsAllEntriesOf(wal);
    }
    assertThat(changed).isPositive();
  }

  private static void copy(Path from, Path to) {
    try {
      if (Processes.run(List.of("cp", "-a", from.toString(), to.toString())).exitCode() != 0) {
        throw new IOException("cannot copy " + from);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
