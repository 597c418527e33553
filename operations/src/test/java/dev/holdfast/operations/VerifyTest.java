package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One test for each kind of damage: found, named, costed, and nothing else said. */
final class VerifyTest {
  private static final Instant DAY_1 = Instant.parse("2026-11-01T03:00:00Z");
  private static final Instant DAY_2 = Instant.parse("2026-11-02T03:00:00Z");
  private static final String FIRST = "20261101T030000Z-full";
  private static final String SECOND = "20261102T030000Z-full";

  @TempDir private Path folder;
  private PastCluster past;

  /**
   * Timeline 1 from segment 3, left in segment 12 for timeline 2, which goes on to 16; base backups
   * in segment 4 and in segment 9.
   */
  @BeforeEach
  void live() {
    past = new PastCluster(folder.resolve("repository").toString());
    past.wal(1, 3, 12)
        .partial(1, 12, PastCluster.SEGMENT / 2)
        .history(2, "1\t0/C80000\tno recovery target specified\n")
        .wal(2, 12, 15)
        .partial(2, 15, 5000)
        .base(FIRST, 1, 4.25, 5.5, DAY_1)
        .base(SECOND, 1, 9.25, 9.5, DAY_2);
    past.cluster.putCatalog("0000000000400000", Map.of("lsn", "0/400000"));
    past.cluster.putDocument("incidents", "20261103", Map.of("what", "a table was dropped"));
    for (int number = 3; number < 12; number++) {
      past.cluster
          .summaries()
          .put(PastCluster.segment(1, number), new byte[] {1, 2, 3}, new byte[] {4, 5});
    }
    assertThat(problems(100)).isEmpty();
    assertThat(problems(0)).isEmpty();
  }

  private VerifyResult verify(double percent) {
    return new Verify(past.location).run(new Verify.Request("acme", percent, 1), Progress.SILENT);
  }

  private List<VerifyProblem> problems(double percent) {
    return verify(percent).problems().stream()
        .filter(problem -> !problem.level().equals("note"))
        .toList();
  }

  private static VerifyProblem.Stretch stretch(int timeline, double from, double to) {
    return new VerifyProblem.Stretch(
        timeline, PastCluster.lsn(from).toString(), PastCluster.lsn(to).toString());
  }

  private void flip(String object, double part) {
    try {
      byte[] bytes = Files.readAllBytes(past.file(object));
      bytes[(int) ((bytes.length - 1) * part)] ^= 0x10;
      Files.write(past.file(object), bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void delete(String object) {
    try {
      Files.delete(past.file(object));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void all_is_well_and_it_says_what_can_be_reached() {
    VerifyResult result = verify(100);
    assertThat(result.summary().result()).isEqualTo("clean");
    VerifyResult.Cluster acme = result.summary().clusters().getFirst();
    assertThat(acme.bases()).isEqualTo(2);
    assertThat(acme.segments()).isEqualTo(14);
    assertThat(acme.contentBytesRead()).isEqualTo(acme.contentBytes());
    assertThat(acme.reachable())
        .containsExactly(
            stretch(1, 5.5, 12.5),
            new VerifyProblem.Stretch(2, "0/C80000", PastCluster.lsn(15).plus(5000).toString()));
    assertThat(result.problems())
        .as("what is being filled, and what was left, is told")
        .extracting(VerifyProblem::level, VerifyProblem::next)
        .containsExactly(
            tuple("note", "nothing: its timeline was left there"),
            tuple("note", "nothing: it is being filled"));
  }

  @Test
  void a_missing_segment_is_a_gap_with_its_ends_and_the_moments_it_costs() {
    delete("wal/00000001/" + PastCluster.segment(1, 7));
    assertThat(verify(0).summary().result()).isEqualTo("gaps");
    assertThat(problems(0))
        .containsExactly(
            new VerifyProblem(
                "gap",
                "acme",
                PastCluster.segment(1, 7),
                "WAL from 0/700000 to 0/800000 is not recorded: segment 000000010000000000000007",
                "the moments from 0/700000 to 0/980000 cannot be reached",
                List.of(stretch(1, 7, 9.5)),
                "copy the segment from another copy of the repository if it has it; base backup "
                    + SECOND
                    + " reaches the moments from 0/980000 on"));
  }

  @Test
  void missing_segments_after_the_last_base_backup_ask_for_a_new_one() {
    delete("wal/00000002/" + PastCluster.segment(2, 13));
    delete("wal/00000002/" + PastCluster.segment(2, 14));
    VerifyProblem gap = problems(0).getFirst();
    assertThat(problems(0)).hasSize(1);
    assertThat(gap.found())
        .isEqualTo(
            "WAL from 0/D00000 to 0/F00000 of timeline 2 is not recorded: segments"
                + " 00000002000000000000000D to 00000002000000000000000E (2)");
    assertThat(gap.lost())
        .containsExactly(
            new VerifyProblem.Stretch(2, "0/D00000", PastCluster.lsn(15).plus(5000).toString()));
    assertThat(gap.next()).contains("take a new base backup now").contains("holdfast backup acme");
  }

  @Test
  void a_missing_segment_that_a_base_backup_needs_is_more_than_a_gap() {
    delete("wal/00000001/" + PastCluster.segment(1, 9));
    VerifyResult result = verify(0);
    assertThat(result.summary().result()).isEqualTo("damaged");
    VerifyProblem missing = problems(0).getFirst();
    assertThat(problems(0)).hasSize(1);
    assertThat(missing.level()).isEqualTo("missing");
    assertThat(missing.cost()).endsWith("base backup " + SECOND + " cannot be used");
    assertThat(missing.lost())
        .containsExactly(
            stretch(1, 9, 12.5),
            new VerifyProblem.Stretch(2, "0/C80000", PastCluster.lsn(15).plus(5000).toString()));
  }

  @Test
  void wal_older_than_every_base_backup_is_needed_by_none() {
    delete("wal/00000001/" + PastCluster.segment(1, 3));
    assertThat(problems(0)).isEmpty();
  }

  @Test
  void a_flipped_byte_in_a_segment_costs_what_its_absence_would() {
    String object = "wal/00000001/" + PastCluster.segment(1, 7);
    flip(object, 0.02); // in the header
    VerifyProblem found = problems(0).getFirst();
    assertThat(problems(0)).hasSize(1);
    assertThat(found.level()).isEqualTo("damaged");
    assertThat(found.object()).isEqualTo("clusters/acme/" + object);
    assertThat(found.lost()).containsExactly(stretch(1, 7, 9.5));
    assertThat(verify(0).summary().clusters().getFirst().reachable().getFirst())
        .as("what is reachable is without it")
        .isEqualTo(stretch(1, 5.5, 7));
  }

  @Test
  void a_flipped_byte_in_the_content_of_a_segment_is_found_when_contents_are_read() {
    String object = "wal/00000001/" + PastCluster.segment(1, 10);
    flip(object, 0.75);
    assertThat(problems(0)).isEmpty();
    assertThat(problems(100))
        .extracting(VerifyProblem::object)
        .containsExactly("clusters/acme/" + object);
  }

  @Test
  void a_flipped_byte_in_a_part_costs_its_base_backup_and_no_other() {
    flip("bases/" + FIRST + "/part-0001", 0.5);
    assertThat(problems(100)).hasSize(1);
    VerifyProblem found = problems(100).getFirst();
    assertThat(found.object()).isEqualTo("clusters/acme/bases/" + FIRST + "/part-0001");
    assertThat(found.lost()).containsExactly(stretch(1, 5.5, 9.5));
    assertThat(verify(100).summary().clusters().getFirst().bases()).isEqualTo(1);
  }

  @Test
  void a_part_that_a_base_backup_before_makes_up_for_costs_time_only() {
    delete("bases/" + SECOND + "/part-0001");
    VerifyProblem found = problems(0).getFirst();
    assertThat(problems(0)).hasSize(1);
    assertThat(found.level()).isEqualTo("missing");
    assertThat(found.lost()).isEmpty();
    assertThat(found.cost())
        .isEqualTo(
            "base backup "
                + SECOND
                + " cannot be used: its moments can be reached from the one before it, with more"
                + " WAL to replay");
  }

  @Test
  void a_truncated_part_and_a_damaged_list_of_files_are_found_without_reading_contents()
      throws IOException {
    Path part = past.file("bases/" + FIRST + "/part-0001");
    byte[] good = Files.readAllBytes(part);
    Files.write(part, Arrays.copyOf(good, good.length - 10));
    assertThat(problems(0)).extracting(VerifyProblem::object).containsExactly(object(part));
    Files.write(part, good);
    flip("bases/" + FIRST + "/files", 0.9);
    assertThat(problems(0))
        .extracting(VerifyProblem::object)
        .containsExactly("clusters/acme/bases/" + FIRST + "/files");
  }

  private String object(Path file) {
    return Path.of(past.location).relativize(file).toString();
  }

  @Test
  void a_damaged_manifest_leaves_the_other_base_backups_usable() {
    flip("bases/" + SECOND + "/manifest.json", 0.5);
    assertThat(problems(0))
        .extracting(VerifyProblem::object)
        .containsExactly("clusters/acme/bases/" + SECOND + "/manifest.json");
    assertThat(verify(0).summary().clusters().getFirst().bases()).isEqualTo(1);
  }

  @Test
  void damaged_summaries_catalogs_and_documents_are_named_and_cost_no_moment() {
    for (String object :
        List.of(
            "summaries/00000001/" + PastCluster.segment(1, 5),
            "summaries/00000001/" + PastCluster.segment(1, 5) + ".blocks",
            "catalogs/0000000000400000",
            "incidents/20261103.json")) {
      flip(object, 0.9);
      assertThat(problems(0))
          .extracting(VerifyProblem::object)
          .containsExactly("clusters/acme/" + object);
      assertThat(problems(0).getFirst().lost()).isEmpty();
      assertThat(problems(0).getFirst().cost()).startsWith("no moment; ");
      flip(object, 0.9);
    }
  }

  @Test
  void a_missing_or_damaged_history_is_named() {
    flip("wal/00000002/00000002.history", 0.9);
    assertThat(problems(0))
        .extracting(VerifyProblem::object)
        .containsExactly("clusters/acme/wal/00000002/00000002.history");
    delete("wal/00000002/00000002.history");
    assertThat(problems(0))
        .extracting(VerifyProblem::level, VerifyProblem::object, VerifyProblem::cost)
        .containsExactly(
            tuple(
                "missing",
                "00000002.history",
                "moments on timeline 2 cannot be reached from base backups of the timelines before"
                    + " it"));
  }

  @Test
  void a_segment_moved_under_another_name_is_damage_there_and_a_gap_here() throws IOException {
    Files.move(
        past.file("wal/00000001/" + PastCluster.segment(1, 7)),
        past.file("wal/00000001/" + PastCluster.segment(1, 2)));
    assertThat(problems(0))
        .extracting(VerifyProblem::level, VerifyProblem::object)
        .containsExactly(
            tuple("damaged", "clusters/acme/wal/00000001/" + PastCluster.segment(1, 2)),
            tuple("gap", PastCluster.segment(1, 7)));
    assertThat(problems(0).getFirst().cost()).startsWith("no moment that could be reached with it");
  }

  @Test
  void an_incremental_without_its_parent_is_named() {
    past.base(
        PastCluster.manifest(
            "20261103T030000Z-incr",
            1,
            PastCluster.lsn(11.1),
            PastCluster.lsn(11.2),
            DAY_2,
            SECOND));
    assertThat(problems(0)).isEmpty();
    for (String object : List.of("manifest.json", "files", "part-0001")) {
      delete("bases/" + SECOND + "/" + object);
    }
    assertThat(problems(0))
        .extracting(VerifyProblem::level, VerifyProblem::object, VerifyProblem::found)
        .containsExactly(
            tuple(
                "missing",
                "20261103T030000Z-incr",
                "it stands on base backup " + SECOND + ", which is not there or does not hold"));
  }

  @Test
  void a_base_backup_of_another_server_is_told() throws IOException {
    var other = new PastCluster(folder.resolve("other").toString());
    other.base(
        new dev.holdfast.store.BaseManifest(
            "20261104T030000Z-full",
            "full",
            null,
            1,
            PastCluster.lsn(10.1).position(),
            PastCluster.lsn(10.2).position(),
            DAY_2,
            DAY_2,
            18,
            "1",
            PastCluster.SEGMENT,
            "",
            null,
            Map.of(),
            0,
            0));
    Files.move(other.file("bases/20261104T030000Z-full"), past.file("bases/20261104T030000Z-full"));
    assertThat(problems(0))
        .extracting(VerifyProblem::found)
        .containsExactly(
            "it is a base backup of another server: its system identifier is 1, not "
                + PastCluster.SYSTEM);
  }

  @Test
  void what_is_unfinished_is_a_note() throws IOException {
    Files.createDirectories(past.file("bases/20261105T030000Z-full"));
    Files.copy(
        past.file("bases/" + FIRST + "/part-0001"),
        past.file("bases/20261105T030000Z-full/part-0001"));
    VerifyResult result = verify(100);
    assertThat(result.summary().result()).isEqualTo("clean");
    assertThat(result.problems())
        .extracting(VerifyProblem::object)
        .contains("clusters/acme/bases/20261105T030000Z-full");
  }

  @Test
  void a_cluster_that_cannot_be_opened_is_named_and_the_others_are_looked_at() throws IOException {
    Files.createDirectories(Path.of(past.location, "clusters/broken"));
    Files.writeString(Path.of(past.location, "clusters/broken/cluster.json"), "{}");
    VerifyResult result =
        new Verify(past.location).run(new Verify.Request(null, 0, 1), Progress.SILENT);
    assertThat(result.summary().result()).isEqualTo("damaged");
    assertThat(result.problems().getFirst().object()).isEqualTo("clusters/broken/cluster.json");
    assertThat(result.summary().clusters())
        .extracting(VerifyResult.Cluster::name)
        .containsExactly("acme", "broken");
    assertThatThrownBy(
            () -> new Verify(past.location).run(new Verify.Request("acm", 0, 1), Progress.SILENT))
        .isInstanceOf(OperatorException.class)
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
  }

  @Test
  void any_flipped_byte_anywhere_names_its_object_and_no_other() throws IOException {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    var random = new Random(seed);
    try (Stream<Path> files = Files.walk(Path.of(past.location, "clusters"))) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        byte[] good = Files.readAllBytes(file);
        byte[] bad = good.clone();
        bad[random.nextInt(40)] ^= (byte) (1 << random.nextInt(8));
        Files.write(file, bad);
        assertThat(problems(100))
            .as("-Dtests.seed=%d, %s", seed, file)
            .extracting(VerifyProblem::object)
            .containsExactly(object(file));
        Files.write(file, good);
      }
    }
  }
}
