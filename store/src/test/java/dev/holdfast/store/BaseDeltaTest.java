package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files that are there brought to what a chain has, fetching what differs. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class BaseDeltaTest {
  private static final int PAGE = Fold.BLOCK;
  private static final String BASES = "clusters/acme/bases/";

  @TempDir private Path temporary;

  private static ObjectStore disk() {
    ObjectStore disk = new MemoryObjectStore();
    Repository.create(disk).register(Samples.cluster("acme", "7443211234567890123"));
    return disk;
  }

  private static BaseReader open(ObjectStore disk, String label) {
    return Repository.open(disk).cluster("acme").bases().open(label);
  }

  private record Done(BaseDelta.Comparison comparison, BaseDelta.Update update) {}

  /** What a restore does around it: files get their lengths, what should not be there goes. */
  private static Done bring(BaseReader base, Path folder) throws IOException {
    Map<String, Long> present = sizes(folder);
    Map<String, Long> files = base.files();
    BaseDelta.Comparison comparison =
        base.delta().compare(folder, folder::resolve, present, _ -> true, 2, _ -> {});
    for (String path : present.keySet()) {
      if (!files.containsKey(path)) {
        Files.delete(folder.resolve(path));
      }
    }
    for (Map.Entry<String, Long> file : files.entrySet()) {
      if (file.getValue() >= 0) {
        Files.createDirectories(folder.resolve(file.getKey()).getParent());
        try (var sized = new RandomAccessFile(folder.resolve(file.getKey()).toFile(), "rw")) {
          sized.setLength(file.getValue());
        }
      }
    }
    return new Done(
        comparison,
        base.delta().update(comparison, folder, folder::resolve, _ -> true, 2, _ -> {}));
  }

  private static Map<String, Long> sizes(Path folder) throws IOException {
    var sizes = new HashMap<String, Long>();
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.filter(Files::isRegularFile).toList()) {
        sizes.put(folder.relativize(path).toString(), Files.size(path));
      }
    }
    return sizes;
  }

  private static Map<String, byte[]> read(Path folder) throws IOException {
    var files = new TreeMap<String, byte[]>();
    for (String path : sizes(folder).keySet()) {
      files.put(path, Files.readAllBytes(folder.resolve(path)));
    }
    return files;
  }

  private static void assertSame(Map<String, byte[]> found, Map<String, byte[]> expected) {
    assertThat(found.keySet()).isEqualTo(expected.keySet());
    found.forEach((path, content) -> assertThat(content).as(path).isEqualTo(expected.get(path)));
  }

  @RepeatedTest(12)
  void whatever_is_there_becomes_what_the_chain_has(RepetitionInfo round) throws IOException {
    long seed = Long.getLong("tests.seed", 500) + round.getCurrentRepetition();
    var random = new Random(seed);
    var cluster = new ChainTest.Cluster(seed);
    ObjectStore disk = disk();
    for (int layer = random.nextInt(6); layer > 0; layer--) {
      cluster.layer(disk);
      cluster.change();
    }
    cluster.layer(disk);
    String label =
        round.getCurrentRepetition() % 3 == 0 && cluster.newest().endsWith("-incr")
            ? Repository.open(disk)
                .cluster("acme")
                .bases()
                .rollUp(cluster.newest(), 2, _ -> {})
                .label()
            : cluster.newest();
    assertThat(Repository.open(disk).verify()).isEmpty();
    Path folder = temporary.resolve("data");
    BaseReader base = open(disk, label);
    base.restore(folder, 2, _ -> {});
    assertNothingToDo(bring(base, folder), base);

    for (int i = 0; i < 3; i++) {
      for (int damage = 1 + random.nextInt(6); damage > 0; damage--) {
        damage(folder, random);
      }
      Done done = bring(base, folder);
      assertSame(read(folder), cluster.files);
      assertThat(done.comparison.withoutSums()).isFalse();
      assertThat(done.update.bytesFetched()).isEqualTo(done.comparison.bytesToFetch());
      assertThat(done.update.bytesWritten()).isLessThanOrEqualTo(done.comparison.bytesDiffering());
      assertNothingToDo(bring(base, folder), base);
    }
  }

  private static void assertNothingToDo(Done done, BaseReader base) {
    assertThat(done.comparison.changed()).isEmpty();
    assertThat(done.comparison.bytesSame()).isEqualTo(base.manifest().bytes());
    assertThat(done.comparison.bytesDiffering()).isZero();
    assertThat(done.update).isEqualTo(new BaseDelta.Update(0, 0));
  }

  private static void damage(Path folder, Random random) throws IOException {
    List<String> names = new ArrayList<>(new TreeMap<>(sizes(folder)).keySet());
    Path file = folder.resolve(names.get(random.nextInt(names.size())));
    Path other = folder.resolve(names.get(random.nextInt(names.size())));
    try (var open = new RandomAccessFile(file.toFile(), "rw")) {
      long length = open.length();
      switch (random.nextInt(8)) {
        case 0 -> Files.delete(file);
        case 1 -> open.setLength(length / 2);
        case 2 -> {
          open.setLength(length + 1 + random.nextInt(3 * PAGE));
          open.seek(length);
          open.write(1);
        }
        case 3, 4 -> {
          for (int i = 1 + random.nextInt(4); i > 0 && length > 0; i--) {
            long at = random.nextLong(length);
            open.seek(at);
            int was = open.read();
            open.seek(at);
            open.write(was ^ 1);
          }
        }
        case 5 -> Files.write(folder.resolve("base/extra" + random.nextInt(99)), new byte[] {1, 2});
        case 6 -> {
          byte[] mine = Files.readAllBytes(file);
          Files.write(file, Files.readAllBytes(other));
          Files.write(other, mine);
        }
        default -> {
          open.setLength(0);
          open.setLength(length); // zeros of the right length, as a file system may leave it
        }
      }
    }
  }

  @Test
  void what_is_fetched_and_written_is_the_damage_though_every_extent_has_newer_blocks()
      throws IOException {
    var cluster = new ChainTest.Cluster(1);
    byte[] large = new byte[24 << 20];
    new Random(1).nextBytes(large);
    cluster.files.clear();
    cluster.files.put("base/5/16384", large);
    ObjectStore disk = disk();
    cluster.layer(disk);
    byte[] changed = large.clone();
    for (int page = 3; page < large.length / PAGE; page += 50) {
      changed[page * PAGE + 17]++;
    }
    cluster.files.put("base/5/16384", changed);
    cluster.layer(disk);
    BaseReader base = open(disk, cluster.newest());
    Path folder = temporary.resolve("data");
    base.restore(folder, 2, _ -> {});
    try (var file = new RandomAccessFile(folder.resolve("base/5/16384").toFile(), "rw")) {
      for (int page : new int[] {0, 700, 701, 1500}) {
        file.seek((long) page * PAGE + 100);
        file.write(new byte[50]);
      }
    }

    Done done = bring(base, folder);

    assertSame(read(folder), cluster.files);
    assertThat(done.update.bytesWritten()).isEqualTo(4L * PAGE);
    assertThat(done.comparison.bytesDiffering()).isEqualTo(4L * PAGE);
    assertThat(done.comparison.changed()).containsExactly("base/5/16384");
    // Three extents of a megabyte each; none of the newer layer.
    assertThat(done.update.bytesFetched()).isBetween(3L << 20, (3L << 20) + (3 << 10));
  }

  @Test
  void a_base_backup_from_before_there_were_sums_is_fetched_and_written_where_it_differs()
      throws IOException {
    var objects = new LocalObjectStore(Path.of("src/test/resources/repositories/1-unencrypted"));
    BaseReader base = open(objects, Samples.LABEL);
    Path folder = temporary.resolve("data");
    base.restore(folder, 1, _ -> {});
    Map<String, byte[]> whole = read(folder);

    Done nothing = bring(base, folder);
    assertThat(nothing.comparison.withoutSums()).isTrue();
    assertThat(nothing.update.bytesFetched()).isPositive();
    assertThat(nothing.update.bytesWritten()).isZero();

    byte[] damaged = Files.readAllBytes(folder.resolve("base/5/2600"));
    damaged[5]++;
    Files.write(folder.resolve("base/5/2600"), damaged);
    Files.write(folder.resolve("base/5/zeros"), new byte[PAGE + 3]);
    Done done = bring(base, folder);
    assertSame(read(folder), whole);
    assertThat(done.update.bytesWritten()).isEqualTo(Math.min(PAGE, damaged.length));
  }

  @Test
  void sums_that_are_not_those_of_the_bytes_are_found_by_verify_and_damaged_ones_by_a_reader()
      throws IOException {
    var cluster = new ChainTest.Cluster(5);
    ObjectStore disk = disk();
    cluster.layer(disk);
    String part = BASES + cluster.newest() + "/part-0001";
    BaseReader base = open(disk, cluster.newest());
    PartTrailer trailer = base.trailer(part, base.parts().getFirst());
    byte[] whole = disk.get(part);

    byte[] turned = whole.clone();
    turned[Math.toIntExact(trailer.position()) - 3] ^= 1;
    disk.delete(part);
    disk.put(part, turned);
    Files.createDirectory(temporary.resolve("data"));
    assertThatThrownBy(() ->
            base.delta().compare(temporary, temporary::resolve, Map.of(), _ -> true, 1, _ -> {}))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageContaining("its sums: its content has checksum");

    // As a writer with a fault would: the sums' own checksum holds.
    int sumsAt = Math.toIntExact(trailer.position()) - trailer.sumsLength();
    int trailerAt = whole.length - PartWriter.TRAILER_BYTES;
    var bytes = java.nio.ByteBuffer.wrap(turned);
    bytes.putInt(trailerAt + 24, Envelope.checksum(turned, sumsAt, trailer.sumsLength()));
    bytes.putInt(
        trailerAt + 28,
        Envelope.boundChecksum(
            part, java.util.Arrays.copyOfRange(turned, trailerAt, trailerAt + 28), 0, 28));
    disk.delete(part);
    disk.put(part, turned);
    assertThatThrownBy(() -> base.checkContent(base.parts().getFirst(), _ -> {}))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageContaining("is not that of its bytes");
  }
}
