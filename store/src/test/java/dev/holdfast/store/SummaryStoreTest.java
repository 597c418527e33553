package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class SummaryStoreTest {
  private static final String FOLDER = "clusters/acme/summaries/";

  @TempDir private Path root;
  private ObjectStore objects;
  private Repository repository;
  private SummaryStore summaries;

  @BeforeEach
  void open() {
    objects = new LocalObjectStore(root);
    repository = Repository.create(objects);
    summaries = repository.register(Samples.cluster("acme", "1")).summaries();
  }

  @AfterEach
  void verify() {
    assertThat(repository.verify()).isEmpty();
  }

  @Test
  void a_summary_and_its_blocks_are_read_back_exactly() {
    assertThat(summaries.read(Samples.SEGMENT_3)).isNull();
    assertThat(summaries.readBlocks(Samples.SEGMENT_3)).isNull();
    assertThat(summaries.list()).isEmpty();
    summaries.put(Samples.SEGMENT_3, Samples.SUMMARY, Samples.BLOCKS);
    summaries.put(Samples.SEGMENT_4, new byte[0], new byte[0]);
    assertThat(summaries.read(Samples.SEGMENT_3)).isEqualTo(Samples.SUMMARY);
    assertThat(summaries.readBlocks(Samples.SEGMENT_3)).isEqualTo(Samples.BLOCKS);
    assertThat(summaries.read(Samples.SEGMENT_4)).isEmpty();
    assertThat(summaries.readBlocks(Samples.SEGMENT_4)).isEmpty();
    assertThat(objects.list(FOLDER))
        .extracting(ObjectStore.StoredObject::name)
        .containsExactly(
            FOLDER + "00000001/" + Samples.SEGMENT_3,
            FOLDER + "00000001/" + Samples.SEGMENT_3 + ".blocks",
            FOLDER + "00000001/" + Samples.SEGMENT_4,
            FOLDER + "00000001/" + Samples.SEGMENT_4 + ".blocks");
  }

  @Test
  void writing_again_replaces_both() {
    summaries.put(Samples.SEGMENT_3, Samples.SUMMARY, Samples.BLOCKS);
    summaries.put(Samples.SEGMENT_3, new byte[] {1}, new byte[] {2, 3});
    assertThat(summaries.read(Samples.SEGMENT_3)).containsExactly(1);
    assertThat(summaries.readBlocks(Samples.SEGMENT_3)).containsExactly(2, 3);
    assertThat(summaries.list()).containsExactly(Samples.SEGMENT_3);
  }

  @Test
  void deleting_removes_both_and_may_be_done_twice() {
    summaries.put(Samples.SEGMENT_3, Samples.SUMMARY, Samples.BLOCKS);
    summaries.delete(Samples.SEGMENT_3);
    summaries.delete(Samples.SEGMENT_3);
    assertThat(summaries.read(Samples.SEGMENT_3)).isNull();
    assertThat(summaries.readBlocks(Samples.SEGMENT_3)).isNull();
    assertThat(objects.list(FOLDER)).isEmpty();
  }

  @Test
  void they_outlive_the_segment_and_need_none() {
    WalStore wal = repository.cluster("acme").wal();
    wal.put(Samples.SEGMENT_4, Samples.segment(4));
    summaries.put(Samples.SEGMENT_3, Samples.SUMMARY, Samples.BLOCKS);
    assertThat(wal.list()).hasSize(1);
    assertThat(summaries.list()).containsExactly(Samples.SEGMENT_3);
  }

  @Test
  void summaries_are_listed_by_timeline_and_number() {
    String[] names = {
      "000000020000000000000004",
      "000000010000000A00000000",
      "0000000100000000000000FF",
      "000000010000000000000010"
    };
    for (String name : names) {
      summaries.put(name, Samples.SUMMARY, Samples.BLOCKS);
    }
    assertThat(summaries.list()).containsExactly(names[3], names[2], names[1], names[0]);
  }

  @Test
  void blocks_whose_summary_never_came_are_ignored_until_it_is_made_again() {
    summaries.put(Samples.SEGMENT_3, Samples.SUMMARY, Samples.BLOCKS);
    objects.delete(FOLDER + "00000001/" + Samples.SEGMENT_3);
    objects.put(FOLDER + "00000001/notes.txt", new byte[1]);
    objects.put(FOLDER + "notes/" + Samples.SEGMENT_3, new byte[1]);
    assertThat(summaries.list()).isEmpty();
    assertThat(repository.verify()).isEmpty();
    summaries.put(Samples.SEGMENT_3, Samples.BLOCKS, Samples.SUMMARY);
    assertThat(summaries.readBlocks(Samples.SEGMENT_3)).isEqualTo(Samples.SUMMARY);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "00000001000000000000000g",
        "00000001000000000000000a",
        "../../../../../../etc/passwd",
        "000000010000000000000003.blocks",
        "00000001000000000000003"
      })
  void what_is_no_segment_is_refused(String name) {
    assertThatThrownBy(() -> summaries.put(name, Samples.SUMMARY, Samples.BLOCKS))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> summaries.read(name)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> summaries.readBlocks(name))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> summaries.delete(name)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void readers_beside_a_writer_never_see_a_summary_without_its_blocks() throws Exception {
    try (var threads = Executors.newSingleThreadExecutor()) {
      var writing =
          threads.submit(() -> {
            for (int round = 1; round <= 60; round++) {
              byte[] content = new byte[round];
              Arrays.fill(content, (byte) round);
              summaries.put("0000000100000000000000%02X".formatted(round % 7), content, content);
              summaries.delete("0000000100000000000000%02X".formatted((round + 3) % 7));
            }
          });
      SummaryStore reader = Repository.open(root.toString()).cluster("acme").summaries();
      int looks = 0;
      while (!writing.isDone() || looks == 0) {
        for (String segment : reader.list()) {
          byte[] summary = reader.read(segment);
          assertThat(summary == null || summary.length == summary[0]).isTrue();
          byte[] blocks = reader.readBlocks(segment);
          assertThat(blocks == null || blocks.length == blocks[0]).isTrue();
        }
        looks++;
      }
      writing.get();
    }
  }

  @Test
  void neighbours_are_packed_and_a_pack_never_says_what_was_replaced() {
    for (int number = 0; number < 512; number++) {
      summaries.put(segment(number), summary(number), Samples.BLOCKS);
    }
    assertThat(packs())
        .containsExactly(
            FOLDER + "00000001/000000010000000000000000.pack",
            FOLDER + "00000001/000000010000000000000100.pack");
    assertThat(summaries.list()).hasSize(512);
    readsAll();

    // From the pack alone: what it copies is not asked for.
    SummaryStore.Reader reader = summaries.reader();
    objects.delete(FOLDER + "00000001/" + segment(5));
    assertThat(reader.read(segment(5))).isEqualTo(summary(5));
    summaries.put(segment(5), summary(5), Samples.BLOCKS);

    assertThat(packs()).hasSize(1);
    summaries.put(segment(255), new byte[] {1, 2}, Samples.BLOCKS); // the last one: packed again
    assertThat(packs()).hasSize(2);
    assertThat(summaries.reader().read(segment(255))).containsExactly(1, 2);
    summaries.delete(segment(7));
    assertThat(summaries.reader().read(segment(7))).isNull();
    assertThat(summaries.reader().read(segment(8))).isEqualTo(summary(8));
  }

  @Test
  void a_damaged_pack_is_found_and_not_needed() {
    for (int number = 0; number < 256; number++) {
      summaries.put(segment(number), summary(number), Samples.BLOCKS);
    }
    String pack = packs().getFirst();
    byte[] bytes = objects.get(pack);
    bytes[bytes.length - 1] ^= 1;
    objects.replace(pack, bytes);

    readsAll();
    assertThat(repository.verify()).hasSize(1);
    summaries.put(segment(255), summary(255), Samples.BLOCKS);
  }

  private void readsAll() {
    SummaryStore.Reader reader = summaries.reader();
    for (String segment : summaries.list()) {
      assertThat(reader.read(segment))
          .isEqualTo(summary(Integer.parseInt(segment.substring(16), 16)));
    }
  }

  private static String segment(int number) {
    return "0000000100000000%08X".formatted(number);
  }

  private static byte[] summary(int number) {
    return ("what segment " + number + " did").getBytes(java.nio.charset.StandardCharsets.UTF_8);
  }

  private List<String> packs() {
    return objects.list("clusters/acme/summaries/").stream()
        .map(ObjectStore.StoredObject::name)
        .filter(name -> name.endsWith(".pack"))
        .toList();
  }
}
