package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class WalStoreTest {
  private static final byte[] THIRD = Samples.segment(3);
  private static final String WAL = "clusters/acme/wal/00000001/";

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

  private static String stretch(int number) {
    return "%sfilling/%s.%08d".formatted(WAL, Samples.SEGMENT_3, number);
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
  void what_a_crash_left_of_the_beginning_of_a_complete_segment_is_not_listed_and_goes() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 100);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 200);
    byte[] first = objects.get(stretch(1));
    byte[] second = objects.get(stretch(2));
    wal.put(Samples.SEGMENT_3, THIRD);
    objects.put(stretch(1), first);
    objects.put(stretch(2), second);
    assertThat(wal.list())
        .containsExactly(new StoredSegment(Samples.SEGMENT_3, true, Samples.SEGMENT_BYTES));
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(THIRD);
    wal.put(Samples.SEGMENT_3, THIRD);
    assertThat(objects.list(WAL)).hasSize(1);
  }

  @Test
  void a_flush_writes_what_came_since_the_last_one() {
    byte[] random = new byte[Samples.SEGMENT_BYTES];
    new Random(1).nextBytes(random); // nothing to compress
    for (int flush = 1; flush <= 10; flush++) {
      wal.putPartial(Samples.SEGMENT_3, random, flush * 100_000);
    }
    assertThat(objects.list(WAL))
        .hasSize(10)
        .allSatisfy(stretch -> assertThat(stretch.bytes()).isBetween(100_000L, 100_200L))
        .extracting(ObjectStore.StoredObject::name)
        .startsWith(stretch(1), stretch(2));
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(random, 1_000_000));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void however_many_flushes_a_segment_takes_there_are_few_stretches_and_little_is_written_again(
      long seed) {
    var random = new Random(seed);
    var written = new AtomicLong();
    var counting =
        new MemoryObjectStore() {
          @Override
          public void put(String name, byte[] bytes) {
            if (name.contains("/filling/")) {
              Envelope.StretchHeader holds = Envelope.stretch(name, bytes);
              written.addAndGet(holds.to() - holds.from());
            }
            super.put(name, bytes);
          }
        };
    WalStore filling = Repository.create(counting).register(Samples.cluster("acme", "1")).wal();
    int flushes = 0;
    for (int length = 0; length < THIRD.length; flushes++) {
      int before = length;
      int most = seed == 1 ? 600 : seed == 2 || random.nextInt(50) > 0 ? 2_000 : 100_000;
      length = Math.min(THIRD.length, length + 1 + random.nextInt(most));
      filling.putPartial(Samples.SEGMENT_3, THIRD, length, before);
      assertThat(counting.list(WAL)).as("seed %d, after %d", seed, length).hasSizeLessThan(64);
      assertThat(filling.list())
          .containsExactly(new StoredSegment(Samples.SEGMENT_3, false, length));
    }
    assertThat(flushes).isGreaterThan(200);
    assertThat(written.get()).as("seed %d, %d flushes", seed, flushes).isLessThan(10L << 20);
    assertThat(filling.read(Samples.SEGMENT_3)).isEqualTo(THIRD);
    filling.put(Samples.SEGMENT_3, THIRD);
    assertThat(counting.list(WAL)).hasSize(1);
  }

  @Test
  void the_beginning_that_an_earlier_holdfast_stored_whole_is_read_and_continued() {
    String partial = WAL + Samples.SEGMENT_3 + ".partial";
    objects.put(partial, Envelope.wrap(partial, Envelope.PARTIAL_SEGMENT, THIRD, 300_000));
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 300_000));
    assertThat(wal.has(Samples.SEGMENT_3)).isTrue();
    assertThat(wal.list()).containsExactly(new StoredSegment(Samples.SEGMENT_3, false, 300_000));
    wal.putPartial(Samples.SEGMENT_3, THIRD, 300_100);
    assertThat(objects.list(WAL))
        .extracting(ObjectStore.StoredObject::name)
        .containsExactly(partial, stretch(1));
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 300_100));
    byte[] other = THIRD.clone();
    other[299_999] ^= 1;
    assertThatThrownBy(() -> wal.putPartial(Samples.SEGMENT_3, other, 400_000))
        .hasMessageContaining("this server's log has parted");
    wal.put(Samples.SEGMENT_3, THIRD);
    assertThat(objects.list(WAL)).hasSize(1);
  }

  @Test
  void without_a_stretch_the_ones_before_it_are_read_and_verify_tells_and_recording_mends_it() {
    for (int flush = 1; flush <= 4; flush++) {
      wal.putPartial(Samples.SEGMENT_3, THIRD, flush * 1000);
    }
    objects.delete(stretch(2));
    WalStore again = Repository.open(objects).cluster("acme").wal();
    assertThat(again.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 1000));
    assertThat(again.list()).containsExactly(new StoredSegment(Samples.SEGMENT_3, false, 1000));
    assertThat(repository.verify())
        .extracting(Problem::object, Problem::found)
        .containsExactly(
            tuple(
                stretch(3),
                "it holds bytes 2000 to 3000 of the segment, and of those before it only 1000 are"
                    + " stored"));
    again.putPartial(Samples.SEGMENT_3, THIRD, 5000);
    assertThat(again.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 5000));
  }

  @Test
  void without_the_first_stretch_nothing_of_the_segment_counts() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 1000);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 2000);
    objects.delete(stretch(1));
    WalStore again = Repository.open(objects).cluster("acme").wal();
    assertThat(again.list()).isEmpty();
    assertThat(again.has(Samples.SEGMENT_3)).isFalse();
    assertThatThrownBy(() -> again.read(Samples.SEGMENT_3))
        .hasMessageContaining("it is not recorded");
    assertThat(repository.verify()).extracting(Problem::object).containsExactly(stretch(2));
    again.putPartial(Samples.SEGMENT_3, THIRD, 1500);
    assertThat(again.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 2000));
  }

  @Test
  void a_stretch_of_another_log_does_not_pass_for_the_continuation() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 1000);
    byte[] other = THIRD.clone();
    other[500] ^= 1;
    var holds = new Envelope.StretchHeader(1000, 2000, Envelope.checksum(other, 0, 2000));
    objects.put(stretch(2), wrapped(stretch(2), other, holds));
    assertThatThrownBy(() -> wal.read(Samples.SEGMENT_3))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageStartingWith(
            "cannot read "
                + stretch(2)
                + ": it does not continue the bytes stored before it: with them, checksum ");
    assertThat(repository.verify()).extracting(Problem::object).containsExactly(stretch(2));
    assertThatThrownBy(() -> wal.putPartial(Samples.SEGMENT_3, THIRD, 3000))
        .hasMessageContaining("this server's log has parted");
    objects.delete(stretch(2));
  }

  @Test
  void stretches_that_hold_the_same_bytes_differently_are_damage() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 1000);
    byte[] other = THIRD.clone();
    other[990] ^= 1;
    var holds = new Envelope.StretchHeader(900, 2000, Envelope.checksum(THIRD, 0, 2000));
    objects.put(stretch(2), wrapped(stretch(2), other, holds));
    assertThatThrownBy(() -> wal.read(Samples.SEGMENT_3))
        .hasMessageContaining("it does not continue the bytes stored before it");
    objects.delete(stretch(2));
  }

  @Test
  void a_stretch_under_the_name_of_another_is_told() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 1000);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 2000);
    byte[] first = objects.get(stretch(1));
    byte[] second = objects.get(stretch(2));
    objects.replace(stretch(1), second);
    objects.replace(stretch(2), first);
    assertThat(repository.verify())
        .extracting(Problem::object, Problem::found)
        .containsExactly(
            tuple(
                stretch(1),
                "its header has checksum %s where %s is recorded: damaged, or moved under another name"
                    .formatted(
                        hex(Envelope.boundChecksum(stretch(1), second, 0, 36)),
                        hex(ByteBuffer.wrap(second).getInt(36)))));
    objects.replace(stretch(1), first);
    objects.replace(stretch(2), second);
  }

  private static byte[] wrapped(String name, byte[] bytes, Envelope.StretchHeader holds) {
    var wrapped = new Envelope.Wrapped();
    Envelope.wrapStretch(name, bytes, holds, 1, new Envelope.Frames(), wrapped);
    return Arrays.copyOf(wrapped.bytes(), wrapped.length());
  }

  private static String hex(int checksum) {
    return "%08x".formatted(checksum);
  }

  @Test
  void every_flipped_byte_of_a_stretch_is_found() {
    wal.putPartial(Samples.SEGMENT_3, THIRD, 1000);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 1300);
    byte[] good = objects.get(stretch(2));
    for (int at = 0; at < good.length; at++) {
      byte[] bad = good.clone();
      bad[at] ^= 4;
      objects.replace(stretch(2), bad);
      assertThat(repository.verify()).as("byte %d", at).isNotEmpty();
    }
    for (int length = 0; length < good.length; length++) {
      objects.replace(stretch(2), Arrays.copyOf(good, length));
      assertThat(repository.verify()).as("cut off after %d bytes", length).isNotEmpty();
    }
    objects.replace(stretch(2), good);
  }

  @Test
  void of_two_recorders_each_goes_on_where_the_other_one_ended() {
    WalStore other = Repository.open(objects).cluster("acme").wal();
    int length = 0;
    for (int flush = 0; flush < 100; flush++) {
      length += 700;
      (flush % 3 == 0 ? other : wal).putPartial(Samples.SEGMENT_3, THIRD, length, length - 700);
      assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, length));
    }
    byte[] parted = THIRD.clone();
    parted[length - 1] ^= 1;
    other.putPartial(Samples.SEGMENT_3, parted, length - 1);
    assertThatThrownBy(() -> other.putPartial(Samples.SEGMENT_3, parted, 80_000))
        .hasMessageContaining("this server's log has parted");
    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, length));
    other.put(Samples.SEGMENT_3, THIRD);
    wal.putPartial(Samples.SEGMENT_3, THIRD, 90_000, length);
    assertThat(objects.list(WAL)).hasSize(1);
  }

  @Test
  void what_another_recorder_stored_meanwhile_is_held_against_the_complete_segment() {
    WalStore other = Repository.open(objects).cluster("acme").wal();
    byte[] parted = THIRD.clone();
    parted[1500] ^= 1;
    wal.putPartial(Samples.SEGMENT_3, THIRD, 1000);
    other.putPartial(Samples.SEGMENT_3, parted, 2000);
    other.putPartial(Samples.SEGMENT_3, parted, 3000, 2000);

    assertThatThrownBy(() -> wal.put(Samples.SEGMENT_3, THIRD))
        .hasMessageContaining("this server's log has parted");

    assertThat(wal.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(parted, 3000));
    other.put(Samples.SEGMENT_3, parted);
    assertThat(objects.list(WAL)).hasSize(1);
  }

  @Test
  void of_two_recorders_at_once_neither_loses_what_it_has_stored() throws Exception {
    try (var threads = Executors.newFixedThreadPool(2)) {
      var recording = new ArrayList<Future<?>>();
      for (int recorder = 0; recorder < 2; recorder++) {
        int step = 1000 + recorder * 333;
        recording.add(
            threads.submit(() -> {
              WalStore own = Repository.open(objects).cluster("acme").wal();
              for (int length = step; length < 100_000; length += step) {
                own.putPartial(Samples.SEGMENT_3, THIRD, length, length - step);
                byte[] stored = own.read(Samples.SEGMENT_3);
                assertThat(stored.length).isGreaterThanOrEqualTo(length);
                assertThat(stored).isEqualTo(Arrays.copyOf(THIRD, stored.length));
              }
            }));
      }
      for (Future<?> recorder : recording) {
        recorder.get();
      }
    }
    assertThat(wal.list()).singleElement().matches(stored -> stored.bytes() >= 99_000);
  }

  @Test
  void of_two_recorders_of_parted_logs_the_slower_one_is_refused() {
    Runnable nobody = () -> {};
    var faster = new AtomicReference<Runnable>(nobody);
    var racing =
        new MemoryObjectStore() {
          @Override
          public void put(String name, byte[] bytes) {
            faster.getAndSet(nobody).run();
            super.put(name, bytes);
          }
        };
    WalStore slow = Repository.create(racing).register(Samples.cluster("acme", "1")).wal();
    slow.putPartial(Samples.SEGMENT_3, THIRD, 1000);
    byte[] parted = THIRD.clone();
    parted[1500] ^= 1;
    faster.set(() ->
        Repository.open(racing).cluster("acme").wal().putPartial(Samples.SEGMENT_3, parted, 2000));
    assertThatThrownBy(() -> slow.putPartial(Samples.SEGMENT_3, THIRD, 3000, 1000))
        .hasMessageContaining("this server's log has parted");
    assertThat(slow.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(parted, 2000));
  }

  @Test
  void bytes_that_were_changed_are_refused_though_they_are_in_the_same_place() {
    byte[] buffer = THIRD.clone();
    wal.putPartial(Samples.SEGMENT_3, buffer, 1000);
    buffer[10] ^= 1; // as after connecting again, to a server whose log has parted
    assertThatThrownBy(() -> wal.putPartial(Samples.SEGMENT_3, buffer, 2000, 0))
        .hasMessageContaining("this server's log has parted");
  }

  @Test
  void a_write_that_failed_is_simply_done_again() {
    var failing =
        new MemoryObjectStore() {
          private int puts;

          @Override
          public void put(String name, byte[] bytes) {
            boolean stretch = name.contains("/filling/");
            if (stretch && ++puts % 7 == 0) {
              throw new IllegalStateException("the disk is full");
            }
            super.put(name, bytes);
            if (stretch && puts % 7 == 3) {
              throw new IllegalStateException("the answer was lost");
            }
          }
        };
    WalStore filling = Repository.create(failing).register(Samples.cluster("acme", "1")).wal();
    int unchanged = 0;
    for (int length = 1000; length < 60_000; length += 1000) {
      try {
        filling.putPartial(Samples.SEGMENT_3, THIRD, length, unchanged);
        unchanged = length;
        assertThat(filling.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, length));
      } catch (IllegalStateException e) {
        assertThat(filling.read(Samples.SEGMENT_3).length).isGreaterThanOrEqualTo(unchanged);
      }
    }
    assertThat(unchanged).isGreaterThan(50_000);
  }

  @Test
  void what_was_compressed_for_a_write_that_failed_is_not_taken_for_other_bytes() {
    AtomicBoolean full = new AtomicBoolean();
    ObjectStore filling =
        new MemoryObjectStore() {
          @Override
          public void put(String name, byte[] bytes) {
            if (full.get()) {
              throw new OperatorException(Kind.FAILED, "cannot write", "the disk is full", "space");
            }
            super.put(name, bytes);
          }
        };
    int size = 4 << 20;
    WalStore larger = new WalStore(filling, "clusters/acme/wal/", size, 1);
    byte[] written = Samples.pages(new Random(1), size);
    byte[] other = Samples.pages(new Random(2), size);
    System.arraycopy(written, 0, other, 0, 100_000);
    larger.putPartial(Samples.SEGMENT_4, written, 100_000);
    full.set(true);
    assertThatThrownBy(() -> larger.putPartial(Samples.SEGMENT_4, written, 3_000_000, 100_000))
        .isInstanceOf(OperatorException.class);
    full.set(false);

    larger.put(Samples.SEGMENT_4, other); // the server's log went on otherwise
    assertThat(larger.read(Samples.SEGMENT_4)).isEqualTo(other);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void a_segment_made_of_what_its_stretches_were_made_of_is_read_back_exactly(int seed) {
    Random random = new Random(seed);
    int size = 8 << 20;
    WalStore larger = new WalStore(new MemoryObjectStore(), "clusters/acme/wal/", size, 1);
    byte[] bytes = Samples.pages(random, size);
    for (int stored = 0, next = random.nextInt(3 << 20);
        next < size;
        stored = next, next += random.nextInt(3 << 20)) {
      larger.putPartial(Samples.SEGMENT_4, bytes, next, stored);
      assertThat(larger.read(Samples.SEGMENT_4)).isEqualTo(Arrays.copyOf(bytes, next));
    }
    larger.put(Samples.SEGMENT_4, bytes);
    assertThat(larger.read(Samples.SEGMENT_4)).isEqualTo(bytes);
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
            if (armed && name.contains("/filling/")) {
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
  void what_a_reader_has_had_it_does_not_fetch_again() {
    var counting =
        new MemoryObjectStore() {
          private boolean armed;
          private boolean header;
          private int gets;

          @Override
          public byte[] get(String name, long offset, int length) {
            header = true;
            try {
              return super.get(name, offset, length);
            } finally {
              header = false;
            }
          }

          @Override
          public byte[] get(String name) {
            gets += header ? 0 : 1;
            byte[] bytes = super.get(name);
            if (armed && !header && name.endsWith(".00000010")) {
              armed = false; // as if the recorder had merged: what is read next is gone
              delete(name.replace(".00000010", ".00000011"));
            }
            return bytes;
          }
        };
    WalStore read = Repository.create(counting).register(Samples.cluster("acme", "1")).wal();
    for (int flush = 1; flush <= 12; flush++) {
      read.putPartial(Samples.SEGMENT_3, THIRD, flush * 1000);
    }
    counting.gets = 0;
    counting.armed = true;

    assertThat(read.read(Samples.SEGMENT_3)).isEqualTo(Arrays.copyOf(THIRD, 10_000));

    assertThat(counting.gets).as("each stretch once").isLessThanOrEqualTo(10 + 1 + 2);
  }

  @Test
  void readers_beside_a_recorder_always_see_a_beginning_of_the_truth() throws Exception {
    try (var threads = Executors.newSingleThreadExecutor()) {
      var recording =
          threads.submit(() -> {
            for (int segment = 1; segment <= 20; segment++) {
              String name = "0000000100000000000000%02X".formatted(segment);
              byte[] bytes = Samples.segment(segment);
              int step = segment % 4 == 0 ? 15_000 : 300_000; // some are written anew, together
              for (int length = 1; length < bytes.length; length += step) {
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
