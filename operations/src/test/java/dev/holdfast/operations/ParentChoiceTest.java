package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Why a base backup is a full one, on pasts made by hand. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ParentChoiceTest {
  private static final Instant NOON = Instant.parse("2026-11-21T12:00:00Z");
  private static final String FULL = "20261121T000000Z-full";

  @TempDir private Path temporary;
  private PastCluster past;

  @BeforeEach
  void begin() {
    past = new PastCluster(temporary.resolve("repository").toString()).wal(1, 1, 4);
  }

  private static ServerFacts facts(int major, boolean checksums, int timeline, String segmentSize) {
    return new ServerFacts(
        major,
        major + ".1",
        PastCluster.SYSTEM,
        timeline,
        false,
        Map.of(
            "data_checksums",
            checksums ? "on" : "off",
            "block_size",
            "8192",
            "segment_size",
            segmentSize),
        List.of(),
        Set.of(),
        List.of(),
        new ServerFacts.Role("recorder", false, true, true, List.of()));
  }

  private static ServerFacts facts() {
    return facts(18, true, 1, "131072");
  }

  private void base(
      String label,
      @Nullable String parent,
      double start,
      double stop,
      int major,
      @Nullable Integer checksums) {
    BaseManifest made =
        PastCluster.manifest(label, 1, PastCluster.lsn(start), PastCluster.lsn(stop), NOON, parent);
    past.base(
        new BaseManifest(
            label,
            made.kind(),
            parent,
            1,
            made.startLsn(),
            made.stopLsn(),
            NOON,
            NOON,
            major,
            PastCluster.SYSTEM,
            PastCluster.SEGMENT,
            "START WAL LOCATION\n",
            null,
            Map.of(),
            0,
            0,
            0,
            checksums));
  }

  private @Nullable String because(Backup.Wanted wanted, ServerFacts facts) {
    var choice = new ParentChoice(past.cluster, wanted, (_, _) -> {});
    assertThat(choice.choose(facts, new Lsn(PastCluster.lsn(3.5).position()))).isNull();
    return choice.fullBecause();
  }

  private @Nullable String because(ServerFacts facts) {
    return because(Backup.Wanted.INCREMENTAL, facts);
  }

  @Test
  void a_full_one_that_was_asked_for_needs_no_reason() {
    base(FULL, null, 1.5, 2, 18, 1);
    assertThat(because(Backup.Wanted.FULL, facts())).isNull();
  }

  @Test
  void what_it_would_stand_on_must_be_there_and_of_this_very_server() throws IOException {
    assertThat(because(facts())).isEqualTo("there is no base backup that it could stand on");
    base(FULL, null, 1.5, 2, 18, 1);
    assertThat(because(facts(18, false, 1, "131072")))
        .isEqualTo("page checksums were switched off since base backup " + FULL);
    assertThat(because(facts(17, true, 1, "131072")))
        .isEqualTo("base backup " + FULL + " is of PostgreSQL 18");
    assertThat(because(facts(18, true, 1, "65536")))
        .isEqualTo("the server was built with another size of blocks or files");
    Files.delete(past.file("bases/" + FULL + "/part-0001"));
    assertThat(because(facts()))
        .isEqualTo("objects of base backup " + FULL + " are missing or damaged");
  }

  @Test
  void a_base_backup_from_before_checksums_were_looked_at_is_not_stood_on() {
    base(FULL, null, 1.5, 2, 18, null);
    assertThat(because(facts()))
        .isEqualTo(
            "base backup " + FULL + " does not say whether the server's pages carried checksums");
  }

  @Test
  void a_base_backup_past_the_place_where_the_timeline_was_left_is_not_stood_on() {
    base(FULL, null, 1.5, 2, 18, 1);
    past.history(2, "1\t0/180000\tno recovery target specified\n").wal(2, 1, 4);
    assertThat(because(facts(18, true, 2, "131072")))
        .isEqualTo(
            "timeline 2 of the server does not go on from base backup "
                + FULL
                + ", which is of timeline 1");
  }

  @Test
  void a_server_taken_back_to_before_the_base_backup_is_told() {
    base(FULL, null, 3.6, 3.8, 18, 1);
    assertThat(because(facts())).contains("base backup " + FULL + " ends at 0/3CCCCC, and the");
  }

  @Test
  void a_chain_without_its_beginning_is_not_stood_on_and_an_older_one_may_be() throws IOException {
    base(FULL, null, 1.5, 2, 18, 1);
    base("20261121T010000Z-incr", FULL, 2.1, 2.2, 18, 1);
    base("20261121T020000Z-full", null, 2.3, 2.4, 18, 1);
    base("20261121T030000Z-incr", "20261121T020000Z-full", 2.5, 2.6, 18, 1);
    Files.delete(past.file("bases/20261121T020000Z-full/manifest.json"));
    // The WAL here has no records: what changed is looked for since the one that is whole.
    assertThat(because(facts())).contains("cannot read WAL past 0/2");
    Files.delete(past.file("bases/" + FULL + "/manifest.json"));
    assertThat(because(facts()))
        .isEqualTo("base backup 20261121T030000Z-incr stands on one that is missing or damaged");
  }

  @Test
  void left_to_itself_a_chain_ends_when_it_is_long_or_large() {
    base(FULL, null, 1.1, 1.2, 18, 1);
    String newest = FULL;
    for (int i = 1; i <= ParentChoice.LAYERS_MAX; i++) {
      String label = "20261121T00%02d00Z-incr".formatted(i);
      base(label, newest, 1.2 + i / 100.0, 1.2 + i / 100.0 + 0.005, 18, 1);
      newest = label;
      if (i == 2) {
        assertThat(because(Backup.Wanted.AUTOMATIC, facts()))
            .as("each takes as much as the full one here")
            .isEqualTo("the incremental ones since the last are larger than that");
      }
    }
    assertThat(because(Backup.Wanted.AUTOMATIC, facts()))
        .isEqualTo("14 incremental ones stand on the last");
    assertThat(because(Backup.Wanted.INCREMENTAL, facts())).contains("cannot read WAL past ");
  }
}
