package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.SummaryStore;
import dev.holdfast.wal.ChangedBlocks;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ChangedSinceTest {
  private static final int SEGMENT = 1 << 20;

  /** Records that reach over a segment's end, one of them over a whole segment, count too. */
  @Test
  void whatever_is_stored_no_changed_block_is_forgotten() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(16), 1)) {
      ServerFamily.Member server = family.first();
      server.execute(
          "CREATE TABLE t (id int, v text)",
          "INSERT INTO t SELECT g, repeat('x', 400) FROM generate_series(1, 16000) g",
          "CHECKPOINT");
      server.record(server.mark("begin"));
      server.execute("CHECKPOINT");
      Lsn from = Lsn.parse(server.query("SELECT redo_lsn FROM pg_control_checkpoint()").getFirst());
      // Each page once, with its image: what is forgotten of it nothing else tells.
      for (int i = 0; i < 8; i++) {
        server.execute(
            "DELETE FROM t WHERE id %% 19 = 0 AND id BETWEEN %d AND %d"
                .formatted(i * 2000, i * 2000 + 1999));
        if (i == 4) {
          server.execute(
              "SELECT pg_logical_emit_message(true, 'long',"
                  + " (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 80000) g))");
        }
      }
      server.execute("CHECKPOINT");
      Lsn to = Lsn.parse(server.query("SELECT redo_lsn FROM pg_control_checkpoint()").getFirst());
      // As a base backup begins: the segment is left, and all before the next is in what is there.
      Lsn left = Lsn.parse(server.query("SELECT pg_switch_wal()").getFirst());
      Lsn border = SegmentName.containing(left.plus(-1), 1, SEGMENT).end();
      server.record(server.mark("end"));
      ClusterStore cluster = family.cluster();
      var wal = new RecordedWal(cluster);
      var exact = new ChangedBlocks();
      Progress.Phase silent = Progress.SILENT.begin("", 0, Progress.Unit.BYTES);
      wal.read(from, to, silent, exact::accept);

      assertForgetsNothing("nothing stored", cluster, wal, from, to, exact);
      assertForgetsNothing("nothing stored, to the border", cluster, wal, from, border, exact);
      Lsn notLeft = SegmentName.containing(to, 1, SEGMENT).start();
      assertThat(ChangedSince.between(cluster, wal, from, notLeft).why())
          .contains("ends in itself");
      new SummaryMaker(cluster).make(() -> true, silent);
      assertForgetsNothing("all stored", cluster, wal, from, to, exact);
      assertForgetsNothing("all stored, to the border", cluster, wal, from, border, exact);
      List<String> segments = cluster.summaries().list();
      long first = from.position() / SEGMENT;
      assertThat(segments).hasSizeGreaterThan(6);
      for (String segment : segments.reversed()) {
        if (Long.parseLong(segment.substring(16), 16) >= first) {
          cluster.summaries().delete(segment); // from here on the log itself is read
          String stored = segment + " and on not stored";
          assertForgetsNothing(stored, cluster, wal, from, to, exact);
          assertForgetsNothing(stored + ", to the border", cluster, wal, from, border, exact);
        }
      }
    }
  }

  /** A segment may come late, out of an archive: what was made without it is made again. */
  @Test
  void no_changed_block_and_no_row_is_forgotten_when_a_segment_is_recorded_late() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(16), 1)) {
      ServerFamily.Member server = family.first();
      server.execute(
          "CREATE TABLE t (id int, v text)",
          "INSERT INTO t SELECT g, repeat('x', 400) FROM generate_series(1, 16000) g",
          "CHECKPOINT");
      server.record(server.mark("begin"));
      server.execute("CHECKPOINT");
      Lsn from = Lsn.parse(server.query("SELECT redo_lsn FROM pg_control_checkpoint()").getFirst());
      server.execute("DELETE FROM t WHERE id % 19 = 0"); // one transaction over several segments
      server.execute("CHECKPOINT");
      Lsn to = Lsn.parse(server.query("SELECT redo_lsn FROM pg_control_checkpoint()").getFirst());
      server.record(server.mark("end"));
      ClusterStore cluster = family.cluster();
      Progress.Phase silent = Progress.SILENT.begin("", 0, Progress.Unit.BYTES);
      var exact = new ChangedBlocks();
      new RecordedWal(cluster).read(from, to, silent, exact::accept);
      new SummaryMaker(cluster).make(() -> true, silent);
      List<String> segments = cluster.summaries().list();
      Map<String, String> right = contents(cluster, segments);
      Path folder = Path.of(family.repository(), "clusters/acme/wal/00000001");

      assertThat(segments).hasSizeGreaterThan(4);
      for (String late : segments.subList(1, segments.size() - 1)) {
        segments.forEach(cluster.summaries()::delete);
        Path aside = folder.resolveSibling("aside");
        Files.move(folder.resolve(late), aside);
        new SummaryMaker(cluster).make(() -> true, silent);
        Files.move(aside, folder.resolve(late));
        new SummaryMaker(cluster).make(() -> true, silent);

        assertForgetsNothing(
            late + " came late", cluster, new RecordedWal(cluster), from, to, exact);
        assertThat(contents(cluster, segments)).as("%s came late", late).isEqualTo(right);
      }
    }
  }

  private static Map<String, String> contents(ClusterStore cluster, List<String> segments) {
    Map<String, String> contents = new TreeMap<>();
    SummaryStore.Reader reader = cluster.summaries().reader();
    for (String segment : segments) {
      contents.put(
          segment,
          HexFormat.of().formatHex(Objects.requireNonNull(reader.read(segment)))
              + " "
              + HexFormat.of()
                  .formatHex(Objects.requireNonNull(cluster.summaries().readBlocks(segment))));
    }
    return contents;
  }

  private static void assertForgetsNothing(
      String what, ClusterStore cluster, RecordedWal wal, Lsn from, Lsn to, ChangedBlocks exact) {
    ChangedSince.Found found = ChangedSince.between(cluster, wal, from, to);
    assertThat(found.why()).as(what).isEmpty();
    ChangedBlocks blocks = Objects.requireNonNull(found.blocks());
    var forgotten = new ArrayList<String>();
    int[] count = new int[1];
    exact.forEach((file, fork, limit, changed) -> {
      if (limit >= 0 && (blocks.limit(file, fork) < 0 || blocks.limit(file, fork) > limit)) {
        forgotten.add("limit of " + file + " " + fork);
      }
      for (long block : changed) {
        count[0]++;
        if (!blocks.contains(file, fork, block)) {
          forgotten.add(file + " " + fork + " " + block);
        }
      }
    });
    assertThat(forgotten).as(what).isEmpty();
    assertThat(count[0]).isGreaterThan(300);
  }
}
