package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.CrashingObjectStore;
import dev.holdfast.store.objects.CrashingObjectStore.PowerLost;
import dev.holdfast.store.objects.ObjectStore;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class BaseStoreTest {
  private static final String FOLDER = "clusters/acme/bases/" + Samples.LABEL + "/";

  @TempDir private Path temporary;
  private ObjectStore objects;
  private Repository repository;
  private BaseStore bases;

  @BeforeEach
  void open() {
    objects = new LocalObjectStore(temporary.resolve("repository"));
    repository = Repository.create(objects);
    bases = repository.register(Samples.cluster("acme", "1")).bases();
  }

  @AfterEach
  void verify() {
    assertThat(repository.verify()).isEmpty();
  }

  @RepeatedTest(5)
  void files_of_any_size_come_back_exactly_whatever_threads_wrote_and_read_them() throws Exception {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    var random = new Random(seed);
    Map<String, byte[]> files = randomFiles(random);
    var directories = new TreeSet<String>();
    for (int i = 0; i < 3; i++) {
      directories.add("empty/" + random.nextInt(5) + "/d");
    }
    BaseManifest published;
    try (var base = new BaseWriter(objects, FOLDER, Samples.LABEL, 1 + random.nextInt(4 << 20));
        var threads = Executors.newFixedThreadPool(1 + random.nextInt(4))) {
      var writing = new ArrayList<Future<?>>();
      long chunkSeed = random.nextLong();
      files.forEach((path, content) ->
          writing.add(
              threads.submit(() -> writeInChunks(base, path, content, new Random(chunkSeed)))));
      for (Future<?> one : writing) {
        one.get();
      }
      directories.forEach(base::directory);
      published = base.publish(Samples.manifest(Samples.LABEL));
    }
    long bytes = files.values().stream().mapToLong(content -> content.length).sum();
    assertThat(published.bytes()).as("seed %d", seed).isEqualTo(bytes);
    assertThat(published.storedBytes())
        .isEqualTo(
            objects.list(FOLDER).stream()
                .filter(object -> !object.name().endsWith("manifest.json"))
                .mapToLong(ObjectStore.StoredObject::bytes)
                .sum());

    BaseReader reader = bases.open(Samples.LABEL);
    assertThat(reader.manifest()).isEqualTo(published);
    Path restored = temporary.resolve("restored");
    var seen = new AtomicLong();
    reader.restore(restored, 1 + random.nextInt(4), seen::addAndGet);

    assertThat(seen).as("seed %d", seed).hasValue(bytes);
    assertThat(contents(restored).keySet()).as("seed %d", seed).isEqualTo(files.keySet());
    contents(restored)
        .forEach((path, content) ->
            assertThat(Arrays.equals(content, files.get(path)))
                .as("%s, seed %d", path, seed)
                .isTrue());
    for (String directory : directories) {
      assertThat(restored.resolve(directory)).isEmptyDirectory();
    }
  }

  private static Map<String, byte[]> randomFiles(Random random) {
    int extent = PartWriter.EXTENT;
    int[] edges = {0, 1, extent - 1, extent, extent + 1, 2 * extent, 3 * extent + 17};
    var files = new TreeMap<String, byte[]>();
    int count = 1 + random.nextInt(60);
    for (int i = 0; i < count; i++) {
      int length =
          switch (random.nextInt(10)) {
            case 0 -> edges[random.nextInt(edges.length)];
            case 1 -> random.nextInt(3 * extent);
            default -> random.nextInt(20_000);
          };
      byte[] content = random.nextInt(5) == 0 ? new byte[length] : Samples.pages(random, length);
      files.put("base/" + random.nextInt(4) + "/" + i + (i % 7 == 0 ? "_fsm ü $x" : ""), content);
    }
    return files;
  }

  private static void writeInChunks(BaseWriter base, String path, byte[] content, Random random) {
    try (FileWriter writer = base.open(path)) {
      int from = 0;
      while (from < content.length) {
        int length = Math.min(content.length - from, 1 + random.nextInt(2 << 20));
        writer.write(content, from, length);
        from += length;
      }
    }
  }

  @Test
  void restored_files_are_for_their_owner_only_and_zeros_are_holes() throws IOException {
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      Samples.write(base, "base/1/zeros", new byte[64 << 20]);
      base.publish(Samples.manifest(Samples.LABEL));
    }
    Path restored = temporary.resolve("restored");
    bases.open(Samples.LABEL).restore(restored, 1, _ -> {});
    Path zeros = restored.resolve("base/1/zeros");
    assertThat(Files.size(zeros)).isEqualTo(64 << 20);
    assertThat(blocks(zeros)).as("blocks of 512 bytes in use").isLessThan(1000);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(zeros)))
        .isEqualTo("rw-------");
    for (Path folder :
        new Path[] {restored, restored.resolve("base"), restored.resolve("base/1")}) {
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)))
          .isEqualTo("rwx------");
    }
  }

  private static long blocks(Path file) throws IOException {
    Process stat = new ProcessBuilder("stat", "-c", "%b", file.toString()).start();
    return Long.parseLong(new String(stat.getInputStream().readAllBytes(), UTF_8).trim());
  }

  @Test
  void a_base_backup_is_listed_when_it_is_published_and_not_before() {
    try (BaseWriter base = bases.begin("20261121T020000Z-full")) {
      Samples.write(base, "a", new byte[] {1});
      assertThat(bases.list()).isEmpty();
      base.publish(Samples.manifest("20261121T020000Z-full"));
    }
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      base.publish(Samples.manifest(Samples.LABEL));
    }
    assertThat(bases.list())
        .extracting(BaseManifest::label)
        .containsExactly(Samples.LABEL, "20261121T020000Z-full");
    assertThat(bases.list().getFirst().stopLsn()).isEqualTo(0xFFFFFFFF_00000100L);
  }

  @Test
  void nothing_is_left_of_a_base_backup_that_is_not_published() {
    try (BaseWriter base = new BaseWriter(objects, FOLDER, Samples.LABEL, 100_000)) {
      Samples.write(base, "a", Samples.pages(new Random(1), 5_000_000));
      assertThat(objects.list(FOLDER)).isNotEmpty();
    }
    assertThat(objects.list("clusters/acme/bases/")).isEmpty();
    assertThat(temporary.resolve("repository/clusters/acme/bases"))
        .satisfiesAnyOf(
            path -> assertThat(path).doesNotExist(),
            path -> assertThat(path.resolve(Samples.LABEL)).doesNotExist());
  }

  @Test
  void a_label_is_used_once() {
    Samples.takeBase(bases, objects, FOLDER);
    assertThatThrownBy(() -> bases.begin(Samples.LABEL))
        .hasMessage(
            "cannot begin base backup "
                + Samples.LABEL
                + ": a base backup of that label exists; next: begin another one a second later")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
  }

  @Test
  void an_unknown_label_is_a_wrong_use() {
    assertThatThrownBy(() -> bases.open("20200101T000000Z-full"))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
  }

  @Test
  void a_backup_whose_parts_were_cleaned_away_is_not_published() {
    try (BaseWriter base = new BaseWriter(objects, FOLDER, Samples.LABEL, 100_000)) {
      Samples.write(base, "a", Samples.pages(new Random(1), 5_000_000));
      objects.delete(FOLDER + "part-0001");
      assertThatThrownBy(() -> base.publish(Samples.manifest(Samples.LABEL)))
          .hasMessageContaining("part-0001 was removed or changed while the backup ran");
    }
    assertThat(bases.list()).isEmpty();
  }

  @Test
  void a_file_that_ends_early_or_has_grown_is_stored_as_far_as_asked() throws IOException {
    byte[] content = Samples.pages(new Random(1), 100_000);
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      assertThat(base.file("shrunk", 200_000, new ByteArrayInputStream(content)))
          .isEqualTo(100_000);
      assertThat(base.file("grown", 50_000, new ByteArrayInputStream(content))).isEqualTo(50_000);
      base.publish(Samples.manifest(Samples.LABEL));
    }
    Path restored = temporary.resolve("restored");
    bases.open(Samples.LABEL).restore(restored, 2, _ -> {});
    assertThat(contents(restored).get("shrunk")).isEqualTo(content);
    assertThat(contents(restored).get("grown")).isEqualTo(Arrays.copyOf(content, 50_000));
  }

  @Test
  void a_base_backup_with_a_file_that_failed_cannot_be_published() {
    var failing =
        new InputStream() {
          @Override
          public int read() throws IOException {
            throw new IOException("connection lost");
          }

          @Override
          public int read(byte[] into, int from, int length) throws IOException {
            throw new IOException("connection lost");
          }
        };
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      assertThatThrownBy(() -> base.file("a", 10, failing)).hasMessage("connection lost");
      assertThatThrownBy(() -> base.publish(Samples.manifest(Samples.LABEL)))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("still being written: [a]");
    }
    assertThat(bases.list()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "/", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/./b", "a\0"})
  void a_path_out_of_the_data_directory_is_refused(String path) {
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      assertThatThrownBy(() -> base.open(path)).isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> base.directory(path)).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void a_path_is_stored_once() {
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      Samples.write(base, "a", new byte[1]);
      assertThatThrownBy(() -> base.open("a")).isInstanceOf(IllegalArgumentException.class);
      try (FileWriter open = base.open("b")) {
        open.write(new byte[1], 0, 1);
        assertThatThrownBy(() -> base.open("b")).isInstanceOf(IllegalArgumentException.class);
      }
    }
  }

  @Test
  void a_directory_with_content_is_not_restored_into() throws IOException {
    Samples.takeBase(bases, objects, FOLDER);
    Path busy = Files.createDirectory(temporary.resolve("busy"));
    Files.writeString(busy.resolve("PG_VERSION"), "18");
    assertThatThrownBy(() -> bases.open(Samples.LABEL).restore(busy, 1, _ -> {}))
        .hasMessage(
            "cannot restore into "
                + busy
                + ": it is not empty; next: name a new or an empty directory")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
    assertThat(busy.resolve("PG_VERSION")).hasContent("18");
  }

  @Test
  void a_restore_that_fails_leaves_nothing_behind() throws IOException {
    Samples.takeBase(bases, objects, FOLDER);
    byte[] good = objects.get(FOLDER + "part-0002");
    byte[] bad = good.clone();
    bad[good.length / 2] ^= 1;
    objects.replace(FOLDER + "part-0002", bad);
    Path missing = temporary.resolve("missing");
    Path empty = Files.createDirectory(temporary.resolve("empty"));
    for (Path target : new Path[] {missing, empty}) {
      assertThatThrownBy(() -> bases.open(Samples.LABEL).restore(target, 2, _ -> {}))
          .isInstanceOf(DamagedObjectException.class)
          .hasMessageContaining(FOLDER + "part-0002");
    }
    assertThat(missing).doesNotExist();
    assertThat(empty).isEmptyDirectory();
    objects.replace(FOLDER + "part-0002", good);
  }

  @Test
  void a_hostile_path_in_a_stored_list_is_not_restored() throws IOException {
    Samples.takeBase(bases, objects, FOLDER);
    String name = FOLDER + "part-0001";
    var hostile =
        new TableOfContents(
            List.of(
                new TableOfContents.Frame(
                    40, 1, 1, 0, List.of(new TableOfContents.Piece("../../evil", 0, 1)))),
            List.of());
    assertThatThrownBy(() -> TableOfContents.decode(name, hostile.encode()))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageContaining("\"../../evil\" is not a path inside a data directory");
  }

  @Test
  void thousands_of_small_files_share_a_few_objects() {
    var random = new Random(3);
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      for (int i = 0; i < 3000; i++) {
        Samples.write(base, "base/5/" + i, Samples.pages(random, 8192));
      }
      base.publish(Samples.manifest(Samples.LABEL));
    }
    assertThat(objects.list(FOLDER)).hasSize(3);
    assertThat(repository.verify()).isEmpty();
  }

  @Test
  void small_files_end_a_part_that_has_grown_large_as_well() {
    var random = new Random(3);
    try (BaseWriter base = new BaseWriter(objects, FOLDER, Samples.LABEL, 100_000)) {
      for (int i = 0; i < 3000; i++) {
        byte[] bytes = new byte[1000];
        random.nextBytes(bytes);
        Samples.write(base, "pg_logical/" + i, bytes);
      }
      base.publish(Samples.manifest(Samples.LABEL));
    }
    assertThat(objects.list(FOLDER)).hasSizeBetween(4, 40);
    assertThat(repository.verify()).isEmpty();
  }

  /** Another file's thread may be on its way already when the first failure is not told yet. */
  @Test
  void a_storage_that_fails_is_what_every_file_after_it_tells_of() {
    byte[] megabytes = new byte[3 << 20];
    new Random(4).nextBytes(megabytes);
    var crashing = new CrashingObjectStore(objects, 1, false);
    try (BaseWriter base = new BaseWriter(crashing, FOLDER, Samples.LABEL, 256L << 20)) {
      FileWriter first = base.open("base/1/1");
      assertThatThrownBy(() -> crashing.put("power", new byte[0])).isInstanceOf(PowerLost.class);
      assertThatThrownBy(() -> first.write(megabytes, 0, megabytes.length))
          .isInstanceOf(PowerLost.class);
      first.close();
      assertThatThrownBy(() -> Samples.write(base, "base/1/2", megabytes))
          .isInstanceOf(PowerLost.class);
    }
  }

  private static Map<String, byte[]> contents(Path directory) throws IOException {
    var contents = new TreeMap<String, byte[]>();
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        contents.put(directory.relativize(file).toString(), Files.readAllBytes(file));
      }
    }
    return contents;
  }
}
