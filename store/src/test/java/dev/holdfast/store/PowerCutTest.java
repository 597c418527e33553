package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.CrashingObjectStore;
import dev.holdfast.store.objects.CrashingObjectStore.PowerLost;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PowerCutTest {
  /** So many that some are written anew, together, and those before them removed. */
  private static final int[] FLUSHES =
      IntStream.concat(
              IntStream.of(8192, 8193), IntStream.rangeClosed(1, 17).map(i -> 8193 + i * 9000))
          .toArray();

  @TempDir private Path temporary;

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void a_backup_cut_off_at_any_write_leaves_a_repository_that_verifies(boolean lastWriteLands) {
    int changes = count(PowerCutTest::backUp);
    assertThat(changes).as("the sample has several parts").isGreaterThanOrEqualTo(4);
    for (int crashAt = 1; crashAt <= changes; crashAt++) {
      ObjectStore disk = prepared(new MemoryObjectStore());
      var crashing = new CrashingObjectStore(disk, crashAt, lastWriteLands);
      assertThatThrownBy(() -> backUp(crashing)).isInstanceOf(PowerLost.class);

      Repository repository = Repository.open(disk);
      assertThat(repository.verify()).as("cut off at write %d", crashAt).isEmpty();
      List<BaseManifest> bases = repository.cluster("acme").bases().list();
      if (crashAt == changes && lastWriteLands) {
        assertThat(bases).hasSize(1);
      } else {
        assertThat(bases).as("cut off at write %d", crashAt).isEmpty();
        backUp(disk); // and the next backup simply works
        assertThat(repository.cluster("acme").bases().list()).hasSize(1);
      }
      assertThat(repository.verify()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void recording_cut_off_at_any_write_loses_nothing_acknowledged(boolean lastWriteLands) {
    int changes = count(disk -> record(disk, new Acknowledged()));
    for (int crashAt = 1; crashAt <= changes; crashAt++) {
      ObjectStore disk = prepared(new MemoryObjectStore());
      var crashing = new CrashingObjectStore(disk, crashAt, lastWriteLands);
      var acknowledged = new Acknowledged();
      assertThatThrownBy(() -> record(crashing, acknowledged)).isInstanceOf(PowerLost.class);

      Repository repository = Repository.open(disk);
      assertThat(repository.verify()).as("cut off at write %d", crashAt).isEmpty();
      WalStore wal = repository.cluster("acme").wal();
      acknowledged.checkStored(wal, crashAt);
      record(disk, new Acknowledged()); // the recorder starts the segment again
      assertThat(wal.list())
          .containsExactly(
              new StoredSegment(Samples.SEGMENT_3, true, Samples.SEGMENT_BYTES),
              new StoredSegment(Samples.SEGMENT_4, false, 70_000));
      assertThat(disk.list("clusters/acme/wal/"))
          .as("cut off at write %d", crashAt)
          .extracting(ObjectStore.StoredObject::name)
          .filteredOn(name -> name.contains(Samples.SEGMENT_3))
          .containsExactly("clusters/acme/wal/00000001/" + Samples.SEGMENT_3);
      assertThat(repository.verify()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void summarizing_cut_off_at_any_write_leaves_no_summary_without_its_blocks(
      boolean lastWriteLands) {
    int changes = count(PowerCutTest::summarize);
    assertThat(changes).isEqualTo(12);
    for (int crashAt = 1; crashAt <= changes; crashAt++) {
      ObjectStore disk = prepared(new MemoryObjectStore());
      var crashing = new CrashingObjectStore(disk, crashAt, lastWriteLands);
      assertThatThrownBy(() -> summarize(crashing)).isInstanceOf(PowerLost.class);

      Repository repository = Repository.open(disk);
      assertThat(repository.verify()).as("cut off at write %d", crashAt).isEmpty();
      SummaryStore summaries = repository.cluster("acme").summaries();
      for (String segment : summaries.list()) {
        assertThat(summaries.read(segment)).as("cut off at write %d", crashAt).isNotNull();
        assertThat(summaries.readBlocks(segment)).as("cut off at write %d", crashAt).isNotNull();
      }
      summarize(disk);
      assertThat(summaries.list()).containsExactly(Samples.SEGMENT_4);
      assertThat(disk.list("clusters/acme/summaries/")).hasSize(2);
      assertThat(repository.verify()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void replacing_packed_summaries_cut_off_at_any_write_never_shows_what_a_pack_had(
      boolean lastWriteLands) {
    Work replacing =
        disk -> {
          SummaryStore summaries = Repository.open(disk).cluster("acme").summaries();
          summaries.put(packed(3), new byte[] {2}, Samples.BLOCKS);
          summaries.put(packed(255), new byte[] {2}, Samples.BLOCKS);
        };
    Supplier<ObjectStore> full =
        () -> {
          ObjectStore disk = prepared(new MemoryObjectStore());
          SummaryStore summaries = Repository.open(disk).cluster("acme").summaries();
          for (int number = 0; number < 256; number++) {
            summaries.put(packed(number), new byte[] {1}, Samples.BLOCKS);
          }
          return disk;
        };
    int changes = count(full, replacing);
    for (int crashAt = 1; crashAt <= changes; crashAt++) {
      ObjectStore disk = full.get();
      var crashing = new CrashingObjectStore(disk, crashAt, lastWriteLands);
      assertThatThrownBy(() -> replacing.on(crashing)).isInstanceOf(PowerLost.class);

      Repository repository = Repository.open(disk);
      assertThat(repository.verify()).as("cut off at write %d", crashAt).isEmpty();
      SummaryStore summaries = repository.cluster("acme").summaries();
      SummaryStore.Reader reader = summaries.reader();
      for (String segment : summaries.list()) {
        assertThat(reader.read(segment))
            .as("cut off at write %d", crashAt)
            .isEqualTo(summaries.read(segment));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void removing_cut_off_at_any_delete_leaves_a_repository_that_verifies(boolean lastWriteLands) {
    var removal =
        new Removal(
            List.of("20261122T013957Z-incr", Samples.LABEL, "20261123T000000Z-full"),
            List.of(Samples.SEGMENT_3, Samples.SEGMENT_4),
            List.of(Samples.SEGMENT_3),
            List.of("0000000003000028"));
    Supplier<ObjectStore> full =
        () -> {
          ObjectStore disk = new MemoryObjectStore();
          Samples.fill(disk);
          BaseStore bases = Repository.open(disk).cluster("acme").bases();
          try (BaseWriter base = bases.begin("20261122T013957Z-incr")) {
            Samples.write(base, "global/pg_control", new byte[] {1, 2, 3});
            base.publish(Samples.manifest("20261122T013957Z-incr"));
          }
          disk.put("clusters/acme/bases/20261123T000000Z-full/part-0001", new byte[] {1});
          WalStore wal = Repository.open(disk).cluster("acme").wal();
          wal.putPartial(Samples.SEGMENT_4, Samples.segment(4), 400_000);
          return disk;
        };
    Work removing = disk -> Repository.open(disk).cluster("acme").remove(removal, () -> {});
    int changes = count(full, removing);
    assertThat(changes).as("every object, stretches and packs too").isEqualTo(16);
    for (int crashAt = 1; crashAt <= changes; crashAt++) {
      ObjectStore disk = full.get();
      var crashing = new CrashingObjectStore(disk, crashAt, lastWriteLands);
      assertThatThrownBy(() -> removing.on(crashing)).isInstanceOf(PowerLost.class);

      Repository repository = Repository.open(disk);
      assertThat(repository.verify()).as("cut off at delete %d", crashAt).isEmpty();
      removing.on(disk);
      assertThat(repository.verify()).isEmpty();
      assertThat(disk.list("clusters/acme/"))
          .extracting(ObjectStore.StoredObject::name)
          .containsExactly(
              "clusters/acme/cluster.json",
              "clusters/acme/proofs/20261121T020000Z.json",
              "clusters/acme/wal/00000002/00000002.history");
    }
  }

  private static String packed(int number) {
    return "0000000100000000%08X".formatted(number);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void setting_up_cut_off_at_any_write_can_simply_be_run_again(boolean lastWriteLands) {
    int changes = count(MemoryObjectStore::new, PowerCutTest::setUp);
    assertThat(changes).isEqualTo(4);
    for (int crashAt = 1; crashAt <= changes; crashAt++) {
      Path root = temporary.resolve(lastWriteLands + "-" + crashAt);
      ObjectStore disk = new LocalObjectStore(root);
      var crashing = new CrashingObjectStore(disk, crashAt, lastWriteLands);
      assertThatThrownBy(() -> setUp(crashing)).isInstanceOf(PowerLost.class);
      setUp(new LocalObjectStore(root));
      assertThat(Repository.open(root.toString()).verify()).isEmpty();
      assertThat(Repository.open(root.toString()).clusterNames()).containsExactly("acme");
    }
  }

  interface Work {
    void on(ObjectStore disk);
  }

  /** How much of the log the recorder may have told the server to forget. */
  static final class Acknowledged {
    private String segment = Samples.SEGMENT_3;
    private int bytes;

    void upTo(String newSegment, int newBytes) {
      segment = newSegment;
      bytes = newBytes;
    }

    void checkStored(WalStore wal, int crashAt) {
      if (bytes > 0) {
        byte[] stored = wal.read(segment);
        byte[] sent = Samples.segment(segment.equals(Samples.SEGMENT_3) ? 3 : 4);
        assertThat(stored.length).as("cut off at write %d", crashAt).isGreaterThanOrEqualTo(bytes);
        assertThat(stored).isEqualTo(Arrays.copyOf(sent, stored.length));
      }
    }
  }

  private static int count(Work work) {
    return count(() -> prepared(new MemoryObjectStore()), work);
  }

  private static int count(Supplier<ObjectStore> disk, Work work) {
    var counting = new CrashingObjectStore(disk.get(), Integer.MAX_VALUE, true);
    work.on(counting);
    return counting.changes();
  }

  static ObjectStore prepared(ObjectStore disk) {
    setUp(disk);
    return disk;
  }

  static void setUp(ObjectStore disk) {
    Repository repository =
        disk.exists("holdfast.json") ? Repository.open(disk) : Repository.create(disk);
    ClusterStore acme = repository.register(Samples.cluster("acme", "7443211234567890123"));
    repository.update(acme.document());
    acme.putCatalog("0000000003000028", new Samples.Snapshot("0/3000028", Map.of()));
  }

  static void backUp(ObjectStore disk) {
    BaseStore bases = Repository.open(disk).cluster("acme").bases();
    Samples.takeBase(bases, disk, "clusters/acme/bases/" + Samples.LABEL + "/");
  }

  static void summarize(ObjectStore disk) {
    SummaryStore summaries = Repository.open(disk).cluster("acme").summaries();
    summaries.put(Samples.SEGMENT_3, Samples.SUMMARY, Samples.BLOCKS);
    summaries.put(Samples.SEGMENT_3, Samples.BLOCKS, Samples.SUMMARY);
    summaries.put(Samples.SEGMENT_4, Samples.SUMMARY, Samples.BLOCKS);
    summaries.delete(Samples.SEGMENT_3);
  }

  static void record(ObjectStore disk, Acknowledged acknowledged) {
    WalStore wal = Repository.open(disk).cluster("acme").wal();
    byte[] third = Samples.segment(3);
    int before = 0;
    for (int bytes : FLUSHES) {
      wal.putPartial(Samples.SEGMENT_3, third, bytes, before);
      acknowledged.upTo(Samples.SEGMENT_3, bytes);
      before = bytes;
    }
    wal.put(Samples.SEGMENT_3, third);
    acknowledged.upTo(Samples.SEGMENT_3, third.length);
    wal.putPartial(Samples.SEGMENT_4, Samples.segment(4), 70_000);
    acknowledged.upTo(Samples.SEGMENT_4, 70_000);
  }
}
