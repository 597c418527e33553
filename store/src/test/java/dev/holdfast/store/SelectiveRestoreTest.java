package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.objects.MemoryObjectStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Restores some files of a base backup, and watches what is fetched for it. */
final class SelectiveRestoreTest {
  private static final String FOLDER = "clusters/acme/bases/" + Samples.LABEL + "/";
  private static final int EXTENT = PartWriter.EXTENT;

  @TempDir private Path temporary;
  private final Fetching objects = new Fetching();
  private final BaseStore bases =
      Repository.create(objects).register(Samples.cluster("acme", "1")).bases();
  private final Map<String, byte[]> files = new TreeMap<>();

  /** Counts what is read of parts. */
  private static final class Fetching extends MemoryObjectStore {
    private final AtomicLong bytes = new AtomicLong();

    @Override
    public byte[] get(String name, long offset, int length) {
      byte[] got = super.get(name, offset, length);
      bytes.addAndGet(got.length);
      return got;
    }
  }

  @RepeatedTest(5)
  void each_file_is_whole_a_hole_or_absent_as_chosen() throws IOException {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    var random = new Random(seed);
    for (int i = 0; i < 40; i++) {
      int length =
          switch (random.nextInt(6)) {
            case 0 -> random.nextInt(3) * EXTENT;
            case 1 -> random.nextInt(3 * EXTENT);
            default -> random.nextInt(20_000);
          };
      files.put("base/" + random.nextInt(4) + "/" + i, Samples.pages(random, length));
    }
    publish(1 + random.nextInt(2 << 20));
    var choices = new TreeMap<String, Restoration>();
    List<Restoration> all = List.of(Restoration.values());
    files.forEach((path, _) -> choices.put(path, all.get(random.nextInt(all.size()))));
    Path restored = temporary.resolve("restored");
    var told = new AtomicLong();

    bases
        .open(Samples.LABEL)
        .restore(
            restored,
            path -> Objects.requireNonNull(choices.get(path)),
            1 + random.nextInt(3),
            told::addAndGet);

    long whole = 0;
    for (var file : files.entrySet()) {
      Path path = restored.resolve(file.getKey());
      byte[] content = file.getValue();
      switch (Objects.requireNonNull(choices.get(file.getKey()))) {
        case WHOLE -> {
          assertThat(path).as("seed %d", seed).hasBinaryContent(content);
          whole += content.length;
        }
        case HOLE -> {
          assertThat(path).as("seed %d", seed).hasBinaryContent(new byte[content.length]);
          assertThat(blocks(path)).isZero();
        }
        case LEFT_OUT -> assertThat(path).as("seed %d", seed).doesNotExist();
      }
    }
    assertThat(told).hasValue(whole);
    assertThat(restored.resolve("pg_notify")).isEmptyDirectory();
  }

  @Test
  void what_is_fetched_follows_what_is_wanted() throws IOException {
    var random = new Random(1);
    byte[] wanted = noise(random, 3 * EXTENT + 5000);
    files.put("base/5/16384", wanted);
    files.put("base/5/16385", noise(random, 40 * EXTENT + 5000));
    publish(4 * EXTENT);
    BaseReader reader = bases.open(Samples.LABEL);
    objects.bytes.set(0);

    reader.restore(temporary.resolve("some"), only("base/5/16384"), 2, _ -> {});
    long some = objects.bytes.getAndSet(0);
    reader.restore(temporary.resolve("none"), _ -> Restoration.HOLE, 2, _ -> {});
    long none = objects.bytes.getAndSet(0);

    // The end of the file shares a frame with the other's, and each part says what it holds.
    assertThat(some).isBetween((long) wanted.length, wanted.length + EXTENT / 4L);
    assertThat(none).isLessThan(EXTENT / 32);
    assertThat(temporary.resolve("some/base/5/16384")).hasBinaryContent(wanted);
    assertThat(temporary.resolve("none/base/5/16385")).hasSize(40 * EXTENT + 5000);
  }

  @Test
  void damage_of_what_is_wanted_is_found_and_of_the_rest_is_no_matter() throws IOException {
    files.put("base/5/16384", noise(new Random(1), EXTENT));
    files.put("base/5/16385", noise(new Random(2), EXTENT));
    publish(64 * EXTENT);
    String part = FOLDER + "part-0001";
    byte[] good = objects.get(part);
    byte[] bad = good.clone();
    bad[Envelope.HEADER_BYTES + EXTENT / 2] ^= 1; // the first frame: 16384
    objects.replace(part, bad);
    BaseReader reader = bases.open(Samples.LABEL);

    assertThatThrownBy(
            () -> reader.restore(temporary.resolve("a"), only("base/5/16384"), 1, _ -> {}))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageContaining("cannot read " + part);
    assertThat(temporary.resolve("a")).doesNotExist();
    reader.restore(temporary.resolve("b"), only("base/5/16385"), 1, _ -> {});
    assertThat(temporary.resolve("b/base/5/16385")).hasBinaryContent(files.get("base/5/16385"));
  }

  @Test
  void damage_of_what_says_where_files_are_is_always_found() throws IOException {
    files.put("base/5/16384", noise(new Random(1), EXTENT));
    publish(64 * EXTENT);
    String part = FOLDER + "part-0001";
    byte[] good = objects.get(part);
    for (int at : new int[] {8, good.length - 1, good.length - 20, good.length - 45}) {
      byte[] bad = good.clone();
      bad[at] ^= 1;
      objects.replace(part, bad);
      assertThatThrownBy(() ->
              bases
                  .open(Samples.LABEL)
                  .restore(temporary.resolve("a"), _ -> Restoration.HOLE, 1, _ -> {}))
          .as("byte %d", at)
          .isInstanceOf(DamagedObjectException.class)
          .hasMessageContaining("cannot read " + part);
    }
  }

  @Test
  void a_part_that_lacks_a_hole_s_bytes_is_found() throws IOException {
    files.put("base/5/16384", noise(new Random(1), EXTENT));
    files.put("base/5/16385", noise(new Random(2), 3 * EXTENT));
    publish(2 * EXTENT);
    String name = FOLDER + BaseStore.MANIFEST;
    BaseDocument document =
        JsonDocument.unwrap(name, BaseStore.KIND, objects.get(name), BaseDocument.class);
    var fewer = new ArrayList<>(document.partList());
    fewer.remove(1);
    objects.replace(
        name,
        JsonDocument.wrap(
            name,
            BaseStore.KIND,
            BaseDocument.of(
                document.manifest(), document.files().count(), document.filesChecksum(), fewer)));

    assertThatThrownBy(() ->
            bases
                .open(Samples.LABEL)
                .restore(temporary.resolve("a"), only("base/5/16384"), 1, _ -> {}))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageMatching(
            "cannot read %s: the parts hold \\d+ bytes too few of base/5/16385; .*"
                .formatted(name));
  }

  @Test
  void the_list_of_files_names_each_with_its_size() throws IOException {
    files.put("base/5/16384", new byte[17]);
    publish(EXTENT);
    assertThat(bases.open(Samples.LABEL).files())
        .containsExactly(Map.entry("base/5/16384", 17L), Map.entry("pg_notify", -1L));
  }

  private static Function<String, Restoration> only(String wanted) {
    return path -> path.equals(wanted) ? Restoration.WHOLE : Restoration.HOLE;
  }

  private static byte[] noise(Random random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  private void publish(long partBytesMax) {
    try (var base = new BaseWriter(objects, FOLDER, Samples.LABEL, partBytesMax)) {
      files.forEach((path, content) -> Samples.write(base, path, content));
      base.directory("pg_notify");
      base.publish(Samples.manifest(Samples.LABEL));
    }
  }

  private static long blocks(Path file) {
    try {
      Process stat = new ProcessBuilder("stat", "-c", "%b", file.toString()).start();
      return Long.parseLong(new String(stat.getInputStream().readAllBytes(), UTF_8).trim());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
