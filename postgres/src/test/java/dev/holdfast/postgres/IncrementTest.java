package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.wal.ChangedBlocks;
import java.io.ByteArrayOutputStream;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class IncrementTest {
  private static final long PAGE = 8192;
  private static final long SEGMENT = 131072;

  private final Map<String, Long> parent = new HashMap<>();
  private final ByteArrayOutputStream changed = new ByteArrayOutputStream();

  IncrementTest() {
    changed.write(1);
  }

  /** As FORMAT.md has it. */
  private void fork(int tablespace, int database, int file, int fork, long limit, long... blocks) {
    for (long number : new long[] {tablespace, database, file, fork, limit + 1, blocks.length}) {
      varint(number);
    }
    long before = -1;
    for (long block : blocks) {
      varint(block - before);
      before = block;
    }
  }

  private void varint(long value) {
    long rest = value;
    while ((rest & ~0x7FL) != 0) {
      changed.write((int) ((rest & 0x7F) | 0x80));
      rest >>>= 7;
    }
    changed.write((int) rest);
  }

  /** The runs in blocks, such as {@code 3+2}: two blocks from block 3 on; null for all. */
  private String runs(String path, long blocks) {
    Instant now = Instant.EPOCH;
    var manifest =
        new BaseManifest(
            "20261121T000000Z-full",
            "full",
            null,
            1,
            1,
            2,
            now,
            now,
            18,
            "1",
            1 << 24,
            "",
            null,
            Map.of(),
            0,
            0);
    var runs =
        new Increment(manifest, parent, ChangedBlocks.decode(changed.toByteArray()))
            .runs(path, blocks * PAGE);
    if (runs == null) {
      return "whole";
    }
    var text = new StringBuilder();
    runs.forEach(run ->
        text.append(run.offset() / PAGE).append('+').append(run.length() / PAGE).append(' '));
    return text.toString().strip();
  }

  @Test
  void what_changed_is_read_in_runs_and_nothing_else() {
    parent.put("base/5/16384", 100L * PAGE);
    fork(1663, 5, 16384, 0, -1, 3, 4, 10, 99);
    assertThat(runs("base/5/16384", 100)).isEqualTo("3+2 10+1 99+1");
    assertThat(runs("base/5/16384", 10)).as("cut off meanwhile").isEqualTo("3+2");
    parent.put("base/5/16385", 100L * PAGE);
    assertThat(runs("base/5/16385", 100)).as("no record of it").isEmpty();
  }

  @Test
  void what_lies_past_the_parent_s_end_is_read_though_no_record_names_it() {
    parent.put("base/5/16384", 100L * PAGE);
    fork(1663, 5, 16384, 0, -1, 3);
    assertThat(runs("base/5/16384", 105)).isEqualTo("3+1 100+5");
  }

  @Test
  void what_lies_past_the_limit_is_read_though_the_parent_has_it() {
    parent.put("base/5/16384", 100L * PAGE);
    fork(1663, 5, 16384, 0, 7, 3);
    assertThat(runs("base/5/16384", 12)).isEqualTo("3+1 7+5");
  }

  @Test
  void a_file_s_blocks_are_counted_from_its_first_one_and_runs_are_no_longer_than_a_read() {
    parent.put("base/5/16384.2", 400L * PAGE);
    fork(1663, 5, 16384, 0, 2 * SEGMENT + 300, 5, 2 * SEGMENT + 5);
    assertThat(runs("base/5/16384.2", 500)).isEqualTo("5+1 300+128 428+72");
    parent.put("base/5/16384.3", 400L * PAGE);
    assertThat(runs("base/5/16384.3", 10))
        .as("the fork was once no longer than this")
        .isEqualTo("whole");
    assertThat(runs("base/5/16384.4", 10)).as("the parent lacks it").isEqualTo("whole");
  }

  @Test
  void shared_catalogs_and_tablespaces_are_found_under_their_numbers() {
    parent.put("global/1262", 9L * PAGE);
    parent.put("pg_tblspc/16400/PG_18_202506291/5/16384", 9L * PAGE);
    fork(1664, 0, 1262, 0, -1, 2);
    fork(16400, 5, 16384, 0, -1, 4);
    assertThat(runs("global/1262", 9)).isEqualTo("2+1");
    assertThat(runs("pg_tblspc/16400/PG_18_202506291/5/16384", 9)).isEqualTo("4+1");
  }

  @Test
  void what_no_record_tells_of_is_read_whole() {
    for (String path :
        new String[] {
          "base/5/16384_fsm", "base/5/16384_vm", "base/5/16384_init", "base/5/pg_filenode.map",
          "global/pg_filenode.map", "pg_xact/0000", "postgresql.conf", "base/6/16384"
        }) {
      parent.put(path, 10 * PAGE);
    }
    fork(1663, 5, 16384, 0, -1, 1);
    fork(1663, 6, 0, 0, 0); // the database was created
    for (String path : parent.keySet()) {
      assertThat(runs(path, 10)).as(path).isEqualTo("whole");
    }
  }
}
