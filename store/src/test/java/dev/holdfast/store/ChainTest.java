package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.CrashingObjectStore;
import dev.holdfast.store.objects.CrashingObjectStore.PowerLost;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Layers that stand on each other, folded: of every block the newest. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ChainTest {
  private static final int PAGE = Fold.BLOCK;
  private static final String BASES = "clusters/acme/bases/";

  @TempDir private Path temporary;

  /** Pages that differ from the layer before are written, and what lies past its end. */
  static final class Cluster {
    private final Random random;
    private final long partBytesMax;
    final TreeMap<String, byte[]> files = new TreeMap<>();
    private TreeMap<String, byte[]> before = new TreeMap<>();
    private int layers;
    private @Nullable String newest;

    Cluster(long seed) {
      random = new Random(seed);
      partBytesMax = 1L + random.nextInt(400_000);
      for (int i = 0; i < 12; i++) {
        files.put("base/5/" + (16384 + i), Samples.pages(random, random.nextInt(40) * PAGE));
      }
      files.put("base/5/16400", Samples.pages(random, 300 * PAGE));
      files.put("postgresql.conf", Samples.pages(random, 777));
    }

    /** What time does to files: written, grown, cut, emptied, dropped, made. */
    void change() {
      for (Map.Entry<String, byte[]> file : List.copyOf(new TreeMap<>(files).entrySet())) {
        String path = file.getKey();
        byte[] content = file.getValue();
        int pages = content.length / PAGE;
        switch (random.nextInt(8)) {
          case 0, 1, 2 -> {
            byte[] changed = content.clone();
            for (int i = random.nextInt(5); i > 0 && pages > 0; i--) {
              int page = random.nextInt(pages);
              byte[] bytes = random.nextBoolean() ? Samples.pages(random, PAGE) : new byte[PAGE];
              System.arraycopy(bytes, 0, changed, page * PAGE, PAGE);
            }
            files.put(path, changed);
          }
          case 3 -> {
            byte[] grown = Arrays.copyOf(content, (pages + random.nextInt(20)) * PAGE);
            files.put(path, grown);
          }
          case 4 -> files.put(path, Arrays.copyOf(content, random.nextInt(pages + 1) * PAGE));
          case 5 -> {
            if (random.nextInt(3) == 0) {
              files.remove(path);
            }
          }
          default -> {}
        }
      }
      files.put("base/5/" + (16500 + random.nextInt(5)), Samples.pages(random, 3 * PAGE));
    }

    /** Writes the next layer. */
    BaseManifest layer(ObjectStore disk) {
      String parent = newest;
      String label = "20261121T0139%02dZ-".formatted(layers) + (parent == null ? "full" : "incr");
      // What an attempt left that was cut off; a real one has the label of another second.
      disk.list(BASES + label + "/").forEach(left -> disk.delete(left.name()));
      try (var writer = new BaseWriter(disk, BASES + label + "/", label, partBytesMax)) {
        if (parent != null) {
          writer.madeFrom(parent);
        }
        files.forEach((path, content) -> {
          byte[] old = before.get(path);
          if (parent == null || old == null || content.length % PAGE != 0) {
            Samples.write(writer, path, content);
          } else {
            writePieces(writer, path, old, content);
          }
        });
        writer.directory("pg_notify");
        BaseManifest published = writer.publish(manifest(label, parent));
        layers++;
        newest = label;
        before = new TreeMap<>(files);
        return published;
      }
    }

    private static void writePieces(BaseWriter writer, String path, byte[] old, byte[] content) {
      try (PieceWriter pieces = writer.pieces()) {
        for (int at = 0; at < content.length; at += PAGE) {
          if (at + PAGE > old.length
              || !Arrays.equals(content, at, at + PAGE, old, at, at + PAGE)) {
            pieces.write(path, at, content, at, PAGE);
          }
        }
      }
      writer.sized(path, content.length);
    }

    String newest() {
      return String.valueOf(newest);
    }
  }

  private static BaseManifest manifest(String label, @Nullable String parent) {
    BaseManifest sample = Samples.manifest(label);
    return new BaseManifest(
        label,
        parent == null ? BaseManifest.FULL : BaseManifest.INCREMENTAL,
        parent,
        1,
        sample.startLsn(),
        sample.stopLsn(),
        Instant.parse("2026-11-21T01:39:57Z"),
        Instant.parse("2026-11-21T01:40:12Z"),
        18,
        sample.systemIdentifier(),
        Samples.SEGMENT_BYTES,
        sample.backupLabel(),
        null,
        Map.of(),
        0,
        0,
        0,
        1);
  }

  private static ObjectStore disk() {
    ObjectStore disk = new MemoryObjectStore();
    Repository.create(disk).register(Samples.cluster("acme", "7443211234567890123"));
    return disk;
  }

  private static BaseStore bases(ObjectStore disk) {
    return Repository.open(disk).cluster("acme").bases();
  }

  private static Map<String, byte[]> restored(Path folder) {
    try (Stream<Path> paths = Files.walk(folder)) {
      var files = new TreeMap<String, byte[]>();
      for (Path path : paths.filter(Files::isRegularFile).toList()) {
        files.put(folder.relativize(path).toString(), Files.readAllBytes(path));
      }
      return files;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void assertSame(
      Map<String, byte[]> found, Map<String, byte[]> expected, String what) {
    assertThat(found.keySet()).as(what).isEqualTo(expected.keySet());
    found.forEach((path, content) ->
        assertThat(content).as("%s: %s", what, path).isEqualTo(expected.get(path)));
  }

  @RepeatedTest(8)
  void every_layer_and_its_roll_up_is_restored_as_the_files_were(RepetitionInfo round) {
    long seed = Long.getLong("tests.seed", 100) + round.getCurrentRepetition();
    var cluster = new Cluster(seed);
    ObjectStore disk = disk();
    var states = new TreeMap<String, TreeMap<String, byte[]>>();
    for (int layer = 0; layer < 6; layer++) {
      BaseManifest published = cluster.layer(disk);
      states.put(published.label(), new TreeMap<>(cluster.files));
      assertThat(published.bytes())
          .isEqualTo(cluster.files.values().stream().mapToLong(file -> file.length).sum());
      cluster.change();
    }
    assertThat(Repository.open(disk).verify()).as("seed %d", seed).isEmpty();
    for (var state : states.entrySet()) {
      String label = state.getKey();
      var told = new AtomicLong();
      Path folder = temporary.resolve(label);
      BaseReader reader = bases(disk).open(label);
      reader.restore(folder, 3, told::addAndGet);
      assertSame(restored(folder), state.getValue(), "seed " + seed + " " + label);
      assertThat(told).hasValue(reader.manifest().bytes());
      assertThat(folder.resolve("pg_notify")).isEmptyDirectory();
      if (label.endsWith("-incr")) {
        BaseManifest full = bases(disk).rollUp(label, 2, _ -> {});
        assertThat(full.label()).isEqualTo(BaseStore.rolledUp(label));
        assertThat(full.parent()).isNull();
        assertThat(full.heldBytes()).isEqualTo(full.bytes());
        Path again = temporary.resolve(full.label());
        bases(disk).open(full.label()).restore(again, 2, _ -> {});
        assertSame(restored(again), state.getValue(), "seed " + seed + " " + full.label());
      }
    }
    assertThat(Repository.open(disk).verify()).as("seed %d", seed).isEmpty();
  }

  @Test
  void only_frames_with_a_block_that_counts_are_fetched_from_older_layers() {
    var fetched = new AtomicLong();
    ObjectStore disk =
        new MemoryObjectStore() {
          @Override
          public byte[] get(String name, long offset, int length) {
            byte[] bytes = super.get(name, offset, length);
            fetched.addAndGet(bytes.length);
            return bytes;
          }
        };
    Repository.create(disk).register(Samples.cluster("acme", "7443211234567890123"));
    var cluster = new Cluster(1);
    cluster.files.clear();
    byte[] large = new byte[8 << 20];
    new Random(1).nextBytes(large);
    cluster.files.put("base/5/16384", large);
    cluster.layer(disk);
    byte[] changed = large.clone();
    new Random(2).nextBytes(changed);
    System.arraycopy(large, 0, changed, 0, PAGE); // of the first extent one page stays
    cluster.files.put("base/5/16384", changed);
    BaseManifest incremental = cluster.layer(disk);
    assertThat(incremental.heldBytes()).isEqualTo(large.length - PAGE);

    fetched.set(0);
    bases(disk).open(cluster.newest()).restore(temporary.resolve("all"), 2, _ -> {});

    assertThat(fetched.get()).isBetween(8L << 20, (9L << 20) + (100 << 10));
    assertSame(restored(temporary.resolve("all")), cluster.files, "all");
  }

  @Test
  void a_layer_is_as_large_as_what_changed() {
    var cluster = new Cluster(1);
    byte[] large = new byte[40 << 20];
    new Random(1).nextBytes(large);
    cluster.files.put("base/5/16384", large);
    ObjectStore disk = disk();
    cluster.layer(disk);
    byte[] changed = large.clone();
    for (int page = 0; page < large.length / PAGE; page += 100) {
      changed[page * PAGE + 17]++;
    }
    cluster.files.put("base/5/16384", changed);
    BaseManifest incremental = cluster.layer(disk);
    long pages = 1L + large.length / PAGE / 100;
    assertThat(incremental.storedBytes()).isBetween(pages * PAGE, pages * PAGE + (100L << 10));
  }

  @Test
  void a_chain_without_its_parent_is_not_offered_and_named_by_verify() {
    var cluster = new Cluster(3);
    ObjectStore disk = disk();
    String full = cluster.layer(disk).label();
    cluster.change();
    String incremental = cluster.layer(disk).label();
    assertThat(bases(disk).list()).hasSize(2);

    disk.delete(BASES + full + "/manifest.json");

    assertThatThrownBy(() -> bases(disk).open(incremental))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessage(
            "cannot read "
                + BASES
                + full
                + "/manifest.json: it is missing, and "
                + incremental
                + " stands on it; next: "
                + new DamagedObjectException(BASES + full + "/manifest.json", "").next());
    assertThat(bases(disk).list()).isEmpty();
    assertThat(bases(disk).listing().bases()).hasSize(1);
  }

  @Test
  void a_parent_that_lacks_what_is_taken_from_it_is_found() {
    var cluster = new Cluster(4);
    ObjectStore disk = disk();
    String full = cluster.layer(disk).label();
    cluster.change();
    String incremental = cluster.layer(disk).label();
    // Another base backup in the place of the parent, whole in itself, and without the files.
    disk.list(BASES + full + "/").forEach(object -> disk.delete(object.name()));
    try (var other = new BaseWriter(disk, BASES + full + "/", full, 1 << 20)) {
      Samples.write(other, "postgresql.conf", new byte[] {1});
      other.publish(manifest(full, null));
    }
    assertThatThrownBy(
            () -> bases(disk).open(incremental).restore(temporary.resolve("a"), 1, _ -> {}))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageContaining("which it has not");
    assertThat(Repository.open(disk).verify())
        .extracting(Problem::object)
        .containsExactly(BASES + incremental + "/files");
  }

  /** What was cut off once is not the parent's any more, though the file has grown since. */
  @Test
  void blocks_that_only_a_layer_below_a_shorter_one_has_are_missing() {
    ObjectStore disk = disk();
    String path = "base/5/16384";
    String full = "20261121T010000Z-full";
    String shorter = "20261121T020000Z-incr";
    String longer = "20261121T030000Z-incr";
    try (BaseWriter writer = bases(disk).begin(full)) {
      Samples.write(writer, path, Samples.pages(new Random(1), 5 * PAGE));
      writer.publish(manifest(full, null));
    }
    try (BaseWriter writer = bases(disk).begin(shorter)) {
      writer.sized(path, 2 * PAGE);
      writer.publish(manifest(shorter, full));
    }
    try (BaseWriter writer = bases(disk).begin(longer)) {
      writer.sized(path, 4 * PAGE);
      writer.publish(manifest(longer, shorter));
    }
    assertThatThrownBy(() -> bases(disk).open(longer).restore(temporary.resolve("a"), 1, _ -> {}))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageContaining(
            "it and the layers that stand on it hold 2 blocks too few of " + path);
    assertThat(Repository.open(disk).verify())
        .extracting(Problem::object)
        .containsExactly(BASES + longer + "/files");
  }

  @Test
  void nobody_removes_what_a_layer_is_being_made_from() {
    var cluster = new Cluster(5);
    ObjectStore disk = disk();
    String full = cluster.layer(disk).label();
    ClusterStore acme = Repository.open(disk).cluster("acme");
    var removal = new Removal(List.of(full), List.of(), List.of(), List.of());
    try (BaseWriter writer = acme.bases().begin("20261121T015000Z-incr")) {
      writer.madeFrom(full);
      assertThat(acme.bases().unpublished())
          .extracting(BaseStore.Unpublished::madeFrom)
          .containsExactly(full);
      assertThatThrownBy(() -> acme.remove(removal, () -> {}))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
          .hasMessageContaining("20261121T015000Z-incr stands on it, or is being made from it");
      // Somebody who did not look: the layer does not come to be.
      disk.delete(BASES + full + "/manifest.json");
      assertThatThrownBy(() -> writer.publish(manifest("20261121T015000Z-incr", full)))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining(full + ", which it is made from, was removed meanwhile");
    }
    assertThat(disk.list(BASES + "20261121T015000Z-incr/")).isEmpty();
  }

  @Test
  void a_parent_removed_while_the_manifest_is_put_takes_the_layer_with_it() {
    var cluster = new Cluster(5);
    ObjectStore disk = disk();
    String full = cluster.layer(disk).label();
    ObjectStore racing =
        new CrashingObjectStore(disk, Integer.MAX_VALUE, true) {
          @Override
          public void put(String name, byte[] bytes) {
            super.put(name, bytes);
            if (name.endsWith("-incr/manifest.json")) {
              disk.delete(BASES + full + "/manifest.json");
            }
          }
        };
    cluster.change();
    assertThatThrownBy(() -> cluster.layer(racing)).hasMessageContaining("was removed meanwhile");
    assertThat(disk.folders(BASES)).doesNotContain("20261121T013901Z-incr");
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void an_incremental_backup_cut_off_at_any_write_leaves_a_repository_that_verifies(
      boolean lastWriteLands) {
    cutOffAnywhere(
        lastWriteLands, cluster -> cluster::change, (cluster, disk) -> cluster.layer(disk), 2);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void a_roll_up_cut_off_at_any_write_leaves_a_repository_that_verifies(boolean lastWriteLands) {
    cutOffAnywhere(
        lastWriteLands,
        cluster -> () -> {},
        // One thread: with two there are one or two parts, as it happens.
        (cluster, disk) -> bases(disk).rollUp(cluster.newest(), 1, _ -> {}),
        3);
  }

  /** Something happens right before one of its writes, and some writes fail. */
  private static final class EventfulStore extends MemoryObjectStore {
    private int writesUntil;
    private Runnable event = () -> {};
    private @Nullable String failing;
    private boolean failedLands;

    synchronized void before(int write, Runnable happens) {
      writesUntil = write;
      event = happens;
    }

    void fail(String suffix, boolean lands) {
      failing = suffix;
      failedLands = lands;
    }

    @Override
    public void put(String name, byte[] bytes) {
      if (--writesUntil == 0) {
        event.run();
      }
      String fails = failing;
      if (fails != null && name.endsWith(fails)) {
        failing = null;
        if (failedLands) {
          super.put(name, bytes);
        }
        throw new OperatorException(Kind.REPOSITORY_UNREACHABLE, "cannot store", "lost", "again");
      }
      super.put(name, bytes);
    }
  }

  /**
   * At each write of one roll-up another one of the same chain is run: to its end, or until its
   * storage fails. One of them is published, and whole.
   */
  @ParameterizedTest
  @ValueSource(strings = {"", "/made-from.json", "/files", "/manifest.json"})
  void of_two_roll_ups_of_one_chain_one_is_published_whole(String otherFailsAt) {
    boolean happened = true;
    for (int write = 1; happened; write++) {
      var disk = new EventfulStore();
      Repository.create(disk).register(Samples.cluster("acme", "7443211234567890123"));
      var cluster = new Cluster(11);
      cluster.layer(disk);
      cluster.change();
      cluster.layer(disk);
      String full = BaseStore.rolledUp(cluster.newest());
      String what = "before write " + write;
      var others = new ArrayList<String>();
      disk.before(
          write,
          () -> {
            others.add("run");
            if (!otherFailsAt.isEmpty()) {
              disk.fail(otherFailsAt, false);
            }
            try {
              bases(disk).rollUp(cluster.newest(), 1, _ -> {});
              others.add("published");
            } catch (OperatorException e) {
              assertThat(e.kind()).as(what).isEqualTo(Kind.REPOSITORY_UNREACHABLE);
            }
            disk.fail("nothing", false);
          });
      try {
        bases(disk).rollUp(cluster.newest(), 1, _ -> {});
        assertThat(others).as(what).doesNotContain("published");
      } catch (OperatorException e) {
        assertThat(others).as("%s: %s", what, e.getMessage()).contains("published");
        assertThat(e.kind()).isEqualTo(Kind.REFUSED);
        assertThat(e).hasMessageContaining("published one of that label meanwhile");
      }
      happened = !others.isEmpty();
      assertThat(Repository.open(disk).verify()).as(what).isEmpty();
      assertThat(bases(disk).objects(full)) // and manifest, list, source
          .as("%s: nothing is left of the other", what)
          .isEqualTo(bases(disk).reader(full).parts().size() + 3);
      Path folder = temporary.resolve("rolled-" + write);
      bases(disk).open(full).restore(folder, 1, _ -> {});
      assertSame(restored(folder), cluster.files, what);
      assertThat(write).isLessThan(100);
    }
  }

  @Test
  void a_roll_up_that_is_not_told_whether_its_manifest_is_stored_takes_nothing_back() {
    var disk = new EventfulStore();
    Repository.create(disk).register(Samples.cluster("acme", "7443211234567890123"));
    var cluster = new Cluster(11);
    cluster.layer(disk);
    cluster.change();
    cluster.layer(disk);
    disk.fail("/manifest.json", true);
    assertThatThrownBy(() -> bases(disk).rollUp(cluster.newest(), 1, _ -> {}))
        .isInstanceOf(OperatorException.class);
    assertThat(Repository.open(disk).verify()).isEmpty();
    Path folder = temporary.resolve("rolled");
    bases(disk).open(BaseStore.rolledUp(cluster.newest())).restore(folder, 1, _ -> {});
    assertSame(restored(folder), cluster.files, "rolled");
  }

  @Test
  void a_backup_of_a_label_that_another_one_is_being_taken_of_leaves_that_alone() {
    ObjectStore disk = disk();
    String label = "20261121T010000Z-full";
    try (BaseWriter writer = bases(disk).begin(label)) {
      writer.madeFrom(new Cluster(5).layer(disk).label());
      assertThatThrownBy(() -> bases(disk).begin(label))
          .hasMessageContaining("another one of that label is being taken")
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED));
      assertThat(bases(disk).objects(label)).isEqualTo(1);
    }
    assertThat(bases(disk).objects(label)).isZero();
  }

  private interface Prepared {
    Runnable of(Cluster cluster);
  }

  private interface Step {
    void run(Cluster cluster, ObjectStore disk);
  }

  /** On a full layer, and an incremental one where a roll-up is what is cut off. */
  private void cutOffAnywhere(boolean lands, Prepared prepared, Step step, int basesAfter) {
    int changes = Integer.MAX_VALUE;
    for (int crashAt = 0; crashAt <= changes; crashAt++) {
      ObjectStore disk = disk();
      var cluster = new Cluster(11);
      cluster.layer(disk);
      if (basesAfter == 3) {
        cluster.change();
        cluster.layer(disk);
      }
      prepared.of(cluster).run();
      if (crashAt == 0) { // counts them
        var counting = new CrashingObjectStore(disk, Integer.MAX_VALUE, true);
        step.run(cluster, counting);
        changes = counting.changes();
        assertThat(changes).as("source, part, list, manifest").isGreaterThanOrEqualTo(4);
        continue;
      }
      var crashing = new CrashingObjectStore(disk, crashAt, lands);
      assertThatThrownBy(() -> step.run(cluster, crashing)).isInstanceOf(PowerLost.class);

      Repository repository = Repository.open(disk);
      assertThat(repository.verify()).as("cut off at write %d", crashAt).isEmpty();
      BaseStore bases = repository.cluster("acme").bases();
      List<String> labels = new ArrayList<>();
      bases.list().forEach(base -> labels.add(base.label()));
      if (labels.size() < basesAfter) {
        step.run(cluster, disk); // at once, whatever is left there
      } else {
        assertThat(lands).isTrue();
      }
      assertThat(bases.list()).as("cut off at write %d", crashAt).hasSize(basesAfter);
      assertThat(repository.verify()).isEmpty();
      Path folder = temporary.resolve(lands + "-" + crashAt);
      bases.open(bases.list().getLast().label()).restore(folder, 1, _ -> {});
      assertSame(restored(folder), cluster.files, "cut off at write " + crashAt);
    }
  }
}
