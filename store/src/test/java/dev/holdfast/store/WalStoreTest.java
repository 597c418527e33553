package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class WalStoreTest {
  private static final byte[] THIRD = Samples.segment(3);

  @TempDir private Path root;
  private ObjectStore objects;
  private Repository repository;
  private WalStore wal;

  @BeforeEach
  void open() {
    objects = new LocalObjectStore(root);
    repository = Repository.create(objects);
    wal = repository.register(Samples.cluster("acme", "1")).wal();
  }

  @AfterEach
  void verify() {
    assertThat(repository.verify()).isEmpty();
  }

  @Test
  void a_complete_segment_is_read_back_exactly() {
    wal.put(Samples.SEGMENT_3, THIRD);
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(THIRD);
    assertThat(wal.has(Samples.SEGMENT_3)).isTrue();
    assertThat(wal.has(Samples.SEGMENT_4)).isFalse();
  }

  @Test
  void the_same_segment_again_is_fine_and_another_one_is_refused() {
    wal.put(Samples.SEGMENT_3, THIRD);
    wal.put(Samples.SEGMENT_3, THIRD.clone());
    assertThatThrownBy(() -> wal.put(Samples.SEGMENT_3, Samples.segment(99)))
        .hasMessage(
            "cannot store "
                + Samples.SEGMENT_3
                + " in "
                + root
                + ": different bytes are recorded under that name: this server's log has parted from"
                + " the recorded one, as after restoring the server from a copy; next: check that"
                + " this is the protected server; if it is, register it under another name and take"
                + " a new base backup; what is recorded stays readable")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(THIRD);
  }

  @Test
  void a_partial_segment_grows_until_the_complete_one_takes_its_place() {
    for (int length : new int[] {0, 1, 8192, 8192, 100_000, Samples.SEGMENT_BYTES}) {
      wal.putPartial(Samples.SEGMENT_3, THIRD, length);
      assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, length));
      assertThat(wal.list()).containsExactly(new StoredSegment(Samples.SEGMENT_3, false, length));
    }
    wal.put(Samples.SEGMENT_3, THIRD);
    assertThat(wal.list())
        .containsExactly(new StoredSegment(Samples.SEGMENT_3, true, Samples.SEGMENT_BYTES));
    assertThat(objects.list("clusters/acme/wal/")).hasSize(1);
  }

  @Test
  void bytes_past_the_valid_length_are_not_stored() {
    byte[] buffer = THIRD.clone();
    Arrays.fill(buffer, 8192, buffer.length, (byte) 0x55);
    wal.putPartial(Samples.SEGMENT_3, buffer, 8192);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 16384);
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 16384));
  }

  @Test
  void a_shorter_beginning_never_takes_the_place_of_a_longer_one() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 100_000);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 50);
    assertThat(wal.read(Samples.SEGMENT_3)).hasSize(100_000);
  }

  @Test
  void a_beginning_of_a_complete_segment_changes_nothing() {
    wal.put(Samples.SEGMENT_3, THIRD);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 50_000);
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(THIRD);
    assertThat(objects.list("clusters/acme/wal/")).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(ints = {100, 100_000, 200_000})
  void a_log_that_has_parted_from_the_stored_beginning_is_refused(int length) {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 100_000);
    byte[] other = THIRD.clone();
    other[7] ^= 1;
    assertThatThrownBy(() -> wal.putPartial(Samples.SEGMENT_3, other, length))
        .isInstanceOf(OperatorException.class)
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
    assertThatThrownBy(() -> wal.put(Samples.SEGMENT_3, other))
        .hasMessageContaining("this server's log has parted");
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 100_000));
  }

  @Test
  void a_partial_of_a_complete_segment_left_by_a_crash_is_not_listed_and_goes() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 100);
    String name = "clusters/acme/wal/00000001/" + Samples.SEGMENT_3;
    byte[] partial = objects.get(name + ".partial");
    wal.put(Samples.SEGMENT_3, THIRD);
    objects.put(name + ".partial", partial);
    assertThat(wal.list())
        .containsExactly(new StoredSegment(Samples.SEGMENT_3, true, Samples.SEGMENT_BYTES));
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(THIRD);
    wal.put(Samples.SEGMENT_3, THIRD);
    assertThat(objects.exists(name + ".partial")).isFalse();
  }

  @Test
  void segments_are_listed_by_timeline_and_number() {
    String[] names = {
      "000000020000000000000004",
      "000000010000000A00000000",
      "0000000100000000000000FF",
      "000000010000000000000010"
    };
    for (String name : names) {
      wal.put(name, THIRD);
    }
    wal.putHistory(2, Samples.HISTORY);
    assertThat(wal.list())
        .extracting(StoredSegment::name)
        .containsExactly(names[3], names[2], names[1], names[0]);
  }

  @Test
  void a_segment_that_is_not_recorded_is_told_by_its_name() {
    assertThatThrownBy(() -> wal.read(Samples.SEGMENT_3))
        .hasMessage(
            "cannot read WAL segment "
                + Samples.SEGMENT_3
                + ": it is not recorded in "
                + root
                + "; next: a restore can reach any point before this segment, or start from a base"
                + " backup after it");
  }

  @Test
  void a_history_file_is_kept_and_not_replaced_by_another() {
    assertThat(wal.readHistory(2)).isNull();
    wal.putHistory(2, Samples.HISTORY);
    wal.putHistory(2, Samples.HISTORY.clone());
    assertThat(wal.readHistory(2)).isEqualTo(Samples.HISTORY);
    assertThatThrownBy(() -> wal.putHistory(2, new byte[] {1}))
        .hasMessageContaining("cannot store 00000002.history");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "00000001000000000000000g",
        "00000001000000000000000a",
        "../../../../../../etc/passwd",
        "000000010000000000000003.partial",
        "00000001000000000000003"
      })
  void what_is_no_segment_is_refused(String name) {
    assertThatThrownBy(() -> wal.put(name, THIRD)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> wal.read(name)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> wal.putPartial(name, THIRD, 1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void a_segment_of_another_size_is_refused() {
    assertThatThrownBy(() -> wal.put(Samples.SEGMENT_3, new byte[100]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("a segment has 1048576 bytes, not 100");
    assertThatThrownBy(() -> wal.putPartial(Samples.SEGMENT_3, THIRD, THIRD.length + 1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void a_partial_that_is_completed_between_two_looks_is_read_complete() {
    var completing =
        new MemoryObjectStore() {
          private boolean armed;

          @Override
          public byte[] get(String name) {
            if (armed && name.endsWith(".partial")) {
              armed = false;
              Repository.open(this).cluster("acme").wal().put(Samples.SEGMENT_3, THIRD);
            }
            return super.get(name);
          }
        };
    WalStore read = Repository.create(completing).register(Samples.cluster("acme", "1")).wal();
    read.putPartial(Samples.SEGMENT_3, THIRD, 100);
    completing.armed = true;
    assertThat(read.read(Samples.SEGMENT_3)).isEqualTo(THIRD);
  }

  @Test
  void readers_beside_a_recorder_always_see_a_beginning_of_the_truth() throws Exception {
    try (var threads = Executors.newSingleThreadExecutor()) {
      var recording =
          threads.submit(() -> {
            for (int segment = 1; segment <= 20; segment++) {
              String name = "0000000100000000000000%02X".formatted(segment);
              byte[] bytes = Samples.segment(segment);
              for (int length = 1; length < bytes.length; length += 300_000) {
                wal.putPartial(name, bytes, length);
              }
              wal.put(name, bytes);
            }
          });
      WalStore reader = Repository.open(root.toString()).cluster("acme").wal();
      int looks = 0;
      while (!recording.isDone() || looks == 0) {
        for (StoredSegment stored : reader.list()) {
          byte[] read = reader.read(stored.name());
          assertThat(read.length).isGreaterThanOrEqualTo((int) stored.bytes());
          byte[] truth = Samples.segment(Integer.parseInt(stored.name().substring(22), 16));
          assertThat(Arrays.equals(read, Arrays.copyOf(truth, read.length))).isTrue();
          assertThat(reader.has(stored.name())).isTrue();
          looks++;
        }
      }
      recording.get();
    }
    assertThat(wal.list()).hasSize(20).allMatch(StoredSegment::complete);
  }
}
