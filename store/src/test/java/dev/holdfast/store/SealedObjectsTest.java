package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectStoreContract;
import dev.holdfast.store.objects.ObjectWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What every object store promises holds for an encrypted one, over any other. */
final class SealedObjectsTest extends ObjectStoreContract {
  private static final DataKey KEY = DataKey.generate();
  private static final String NAME = "clusters/acme/bases/x/part-0001";
  private static final int SEGMENT = 16 << 10;

  private final ReadCounting stored = new ReadCounting();
  private final SealedObjects store = new SealedObjects(stored, KEY);

  /** Tells how much of it is read. */
  private static final class ReadCounting extends MemoryObjectStore {
    private long bytes;
    private int reads;

    @Override
    public byte[] get(String name, long offset, int length) {
      byte[] read = super.get(name, offset, length);
      bytes += read.length;
      reads++;
      return read;
    }
  }

  @Override
  protected ObjectStore store() {
    return store;
  }

  @Test
  void any_range_of_any_length_is_read_back_exactly() {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    var random = new Random(seed);
    int[] around = {0, 1, 39, 40, 41, SEGMENT - 57, SEGMENT - 56, SEGMENT - 55, 2 * SEGMENT - 72};
    for (int i = 0; i < 60; i++) {
      int length = i < around.length ? around[i] : random.nextInt(5 * SEGMENT);
      byte[] content = new byte[length];
      random.nextBytes(content);
      if (random.nextBoolean()) {
        store.replace(NAME, content);
      } else {
        store.delete(NAME);
        try (ObjectWriter writer = store.create(NAME)) {
          int half = length / 2;
          writer.write(content, 0, half);
          writer.write(content, half, length - half);
          writer.commit();
        }
      }
      String as = "seed %d, %d bytes".formatted(seed, length);
      assertThat(store.get(NAME)).as(as).isEqualTo(content);
      assertThat(store.list("").getFirst().bytes()).as(as).isEqualTo(length);
      for (int j = 0; j < 30; j++) {
        int from = j < 2 ? Math.max(0, length - 40 * j) : random.nextInt(length + 100);
        int wanted = random.nextInt(j % 3 == 0 ? 50 : 3 * SEGMENT);
        assertThat(store.get(NAME, from, wanted))
            .as("%s, %d from %d", as, wanted, from)
            .isEqualTo(
                Arrays.copyOfRange(
                    content, Math.min(from, length), Math.min(length, from + wanted)));
      }
    }
  }

  @Test
  void reading_a_range_fetches_its_segments_and_no_more() {
    byte[] content = new byte[100 * SEGMENT];
    new Random(1).nextBytes(content);
    store.put(NAME, content);
    for (int i = 0; i < 10; i++) {
      assertThat(store.get(NAME, 50 * SEGMENT + 17, 1000))
          .isEqualTo(Arrays.copyOfRange(content, 50 * SEGMENT + 17, 50 * SEGMENT + 1017));
    }
    assertThat(stored.bytes)
        .as("one segment each time, the stream's header once")
        .isLessThanOrEqualTo(10L * (SEGMENT + 1) + 80);
    assertThat(stored.reads).isEqualTo(11);
  }

  @Test
  void the_same_content_is_never_encrypted_to_the_same_bytes() {
    store.put("a", new byte[100]);
    store.put("b", new byte[100]);
    byte[] first = stored.get("a");
    store.replace("a", new byte[100]);
    assertThat(stored.get("a")).isNotEqualTo(first).isNotEqualTo(stored.get("b"));
  }

  @Test
  void an_object_that_another_process_replaced_is_read_as_it_is_now() {
    byte[] content = new byte[4 * SEGMENT];
    store.put(NAME, content);
    assertThat(store.get(NAME, 3 * SEGMENT, 4)).isEqualTo(new byte[4]);
    Arrays.fill(content, (byte) 7);
    new SealedObjects(stored, KEY).replace(NAME, content);
    assertThat(store.get(NAME, 3 * SEGMENT, 4)).isEqualTo(new byte[] {7, 7, 7, 7});
  }

  @Test
  void every_flipped_bit_of_a_small_object_is_found() {
    store.put(NAME, "secret".repeat(10).getBytes(java.nio.charset.StandardCharsets.UTF_8));
    byte[] good = stored.get(NAME);
    for (int bit = 0; bit < good.length * 8; bit++) {
      byte[] bad = good.clone();
      bad[bit / 8] ^= (byte) (1 << bit % 8);
      stored.replace(NAME, bad);
      assertDamaged(NAME, "bit " + bit);
    }
  }

  @Test
  void every_truncation_of_a_small_object_is_found() {
    store.put(NAME, new byte[60]);
    byte[] good = stored.get(NAME);
    for (int length = 0; length < good.length; length++) {
      stored.replace(NAME, Arrays.copyOf(good, length));
      assertDamaged(NAME, "cut to " + length);
    }
    stored.replace(NAME, Arrays.copyOf(good, good.length + 1));
    assertDamaged(NAME, "a byte too many");
  }

  @Test
  void a_large_object_cut_between_two_segments_is_found() {
    byte[] content = new byte[5 * SEGMENT];
    store.put(NAME, content);
    byte[] good = stored.get(NAME);
    for (int segments = 1; segments < 5; segments++) {
      stored.replace(NAME, Arrays.copyOf(good, 40 + segments * SEGMENT));
      assertDamaged(NAME, "cut to " + segments + " segments");
      long last = store.list("").getFirst().bytes() - 1;
      assertThatThrownBy(() -> store.get(NAME, last, 1))
          .as("its last byte")
          .isInstanceOf(DamagedObjectException.class);
    }
  }

  @Test
  void segments_that_changed_places_are_found() {
    byte[] content = new byte[5 * SEGMENT];
    store.put(NAME, content);
    byte[] bad = stored.get(NAME);
    byte[] good = bad.clone();
    System.arraycopy(good, 40 + SEGMENT, bad, 40 + 2 * SEGMENT, SEGMENT);
    System.arraycopy(good, 40 + 2 * SEGMENT, bad, 40 + SEGMENT, SEGMENT);
    stored.replace(NAME, bad);
    assertDamaged(NAME, "swapped");
    assertThatThrownBy(() -> store.get(NAME, SEGMENT, 10))
        .isInstanceOf(DamagedObjectException.class);
    assertThat(store.get(NAME, 3 * SEGMENT, 10)).as("what is whole").isEqualTo(new byte[10]);
  }

  @Test
  void an_object_under_another_name_is_found_unless_its_cluster_was_renamed() {
    store.put(NAME, new byte[60]);
    byte[] sealed = stored.get(NAME);
    String other = NAME.replace("part-0001", "part-0002");
    stored.put(other, sealed);
    assertDamaged(other, "moved");
    // The header is no obstacle to whoever can write: its checksum is no secret.
    byte[] header = Envelope.sealedHeader(other);
    System.arraycopy(header, 0, sealed, 0, header.length);
    stored.replace(other, sealed);
    assertThatThrownBy(() -> store.get(other))
        .hasMessageStartingWith(
            "cannot read "
                + other
                + ": it does not decrypt: damaged, changed, or moved under another name");
    String renamed = NAME.replace("acme", "shop");
    stored.put(renamed, stored.get(NAME));
    assertThat(store.get(renamed)).isEqualTo(new byte[60]);
  }

  @Test
  void what_somebody_put_there_unencrypted_is_refused() {
    byte[] plain = Envelope.wrap(NAME, Envelope.WAL_SEGMENT, new byte[100], 100);
    stored.put(NAME, plain);
    String found = "it is not encrypted, as everything in this repository is";
    assertThatThrownBy(() -> store.get(NAME)).hasMessageContaining(found);
    assertThatThrownBy(() -> store.get(NAME, 0, 40)).hasMessageContaining(found);
    String document = "clusters/acme/cluster.json";
    stored.put(document, JsonDocument.wrap(document, "cluster", Samples.cluster("acme", "1")));
    assertThatThrownBy(() -> store.get(document)).hasMessageContaining(found);
  }

  @Test
  void another_repository_s_key_does_not_open_it() {
    store.put(NAME, new byte[60]);
    var other = new SealedObjects(stored, DataKey.generate());
    assertThatThrownBy(() -> other.get(NAME)).isInstanceOf(DamagedObjectException.class);
    assertThatThrownBy(() -> other.get(NAME, 0, 10)).isInstanceOf(DamagedObjectException.class);
  }

  private void assertDamaged(String name, String how) {
    assertThatThrownBy(() -> store.get(name))
        .as(how)
        .isInstanceOf(DamagedObjectException.class)
        .extracting(failure -> ((DamagedObjectException) failure).object())
        .isEqualTo(name);
    assertThat(List.of(store.folders(""))).isNotEmpty();
  }
}
