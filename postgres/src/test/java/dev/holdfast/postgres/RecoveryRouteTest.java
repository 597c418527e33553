package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.Lsn;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Segments of 1 MiB: segment n starts at n00000 (hexadecimal). */
class RecoveryRouteTest {
  private static final int MIB = 1 << 20;

  @Test
  void the_newest_base_backup_that_was_finished_by_the_target_is_chosen() {
    List<BaseManifest> bases = List.of(base("a", 1, 2), base("b", 1, 5), base("c", 1, 9));
    assertThat(choose(before("0/800000"), bases, segments(1, 2, 12)).base().label()).isEqualTo("b");
    // A base backup's own stop is the first target it reaches.
    Lsn stop = new Lsn(bases.get(2).stopLsn());
    assertThat(choose(RecoveryTarget.before(stop), bases, segments(1, 2, 12)).base().label())
        .isEqualTo("c");
    assertThat(
            choose(RecoveryTarget.before(new Lsn(stop.position() - 1)), bases, segments(1, 2, 12))
                .base()
                .label())
        .isEqualTo("b");
  }

  @Test
  void without_a_base_backup_the_next_step_is_to_make_one() {
    refused(
        before("0/800000"),
        List.of(),
        segments(1, 2, 12),
        "cannot fork acme at 0/800000: there is no base backup of it; next: make one: holdfast"
            + " backup acme; targets after that backup can then be reached");
  }

  @Test
  void a_target_before_every_base_backup_is_refused_with_the_first_that_can_be_reached() {
    refused(
        before("0/400000"),
        List.of(base("a", 1, 5), base("b", 1, 9)),
        segments(1, 5, 12),
        "cannot fork acme at 0/400000: every base backup that can be used is newer than the target;"
            + " the oldest, a, reaches back to 0/580000; next: choose a target from 0/580000"
            + " (1970-01-01T00:00:00Z, when base backup a was finished) through 0/D00000");
  }

  @Test
  void a_target_past_the_recorded_end_is_refused_with_that_end() {
    List<StoredSegment> recorded = segments(1, 2, 7);
    recorded.add(new StoredSegment("000000010000000000000008", false, 0x1234));
    assertThat(choose(before("0/801233"), List.of(base("a", 1, 2)), recorded).toTheEnd()).isFalse();
    assertThat(choose(before("0/801234"), List.of(base("a", 1, 2)), recorded).toTheEnd()).isTrue();
    refused(
        before("0/801235"),
        List.of(base("a", 1, 2)),
        recorded,
        "cannot fork acme at 0/801235: WAL is recorded without a gap only through 0/801234; segment"
            + " 000000010000000000000008 is recorded in part; next: choose a target from 0/280000"
            + " (1970-01-01T00:00:00Z, when base backup a was finished) through 0/801234");
    refused(
        RecoveryTarget.after(Lsn.parse("0/801234")),
        List.of(base("a", 1, 2)),
        recorded,
        "cannot fork acme at 0/801234: WAL is recorded without a gap only through 0/801234; segment"
            + " 000000010000000000000008 is recorded in part; next: choose a target from 0/280000"
            + " (1970-01-01T00:00:00Z, when base backup a was finished) through 0/801234");
  }

  @Test
  void a_target_behind_a_gap_is_refused_with_the_targets_on_both_sides() {
    List<StoredSegment> recorded = segments(1, 2, 5);
    recorded.addAll(segments(1, 7, 12));
    List<BaseManifest> bases = List.of(base("a", 1, 2), base("b", 1, 10));
    refused(
        before("0/801000"),
        bases,
        recorded,
        "cannot fork acme at 0/801000: WAL is recorded without a gap only through 0/600000; segment"
            + " 000000010000000000000006 is not recorded; next: choose a target from 0/280000"
            + " (1970-01-01T00:00:00Z, when base backup a was finished) through 0/600000; choose a target from"
            + " 0/A80000 (1970-01-01T00:00:00Z, when base backup b was finished) through 0/D00000");
    assertThat(choose(before("0/B00000"), bases, recorded).base().label()).isEqualTo("b");
  }

  @Test
  void a_base_backup_whose_own_log_is_not_all_there_is_never_offered() {
    refused(
        before("0/301000"),
        List.of(base("a", 1, 2)),
        List.of(new StoredSegment("000000010000000000000002", false, 0x1000)),
        "cannot fork acme at 0/301000: no base backup has all the WAL that was written while it was"
            + " made; next: make a new one: holdfast backup acme");
  }

  @Test
  void a_target_after_a_promotion_is_reached_over_the_new_timeline() {
    // Timeline 1 was left in the middle of segment 6; its rest was written by the dead server.
    List<StoredSegment> recorded = segments(1, 2, 5);
    recorded.add(new StoredSegment("000000010000000000000006", false, 0x90000));
    recorded.addAll(segments(2, 6, 9));
    Map<Integer, String> histories = Map.of(2, "1\t0/680000\tno recovery target specified\n");

    RecoveryRoute after = choose(before("0/701000"), List.of(base("a", 1, 2)), recorded, histories);
    assertThat(after.timeline()).isEqualTo(2);
    assertThat(after.segments())
        .startsWith("000000010000000000000002")
        .contains("000000010000000000000005", "000000020000000000000006")
        .doesNotContain("000000010000000000000006");

    RecoveryRoute earlier =
        choose(before("0/67FFFF"), List.of(base("a", 1, 2)), recorded, histories);
    assertThat(earlier.timeline()).isEqualTo(1);
    assertThat(earlier.segments()).endsWith("000000010000000000000006");
  }

  @Test
  void a_timeline_that_left_before_the_base_backup_was_finished_is_not_its_future() {
    List<StoredSegment> recorded = segments(1, 2, 9);
    recorded.addAll(segments(2, 2, 12));
    Map<Integer, String> histories = Map.of(2, "1\t0/240000\tno recovery target specified\n");
    RecoveryRoute route = choose(before("0/801000"), List.of(base("a", 1, 2)), recorded, histories);
    assertThat(route.timeline()).isEqualTo(1);
    assertThat(route.segments()).allMatch(name -> name.startsWith("00000001"));
  }

  @Test
  void a_timeline_of_choice_is_followed_past_the_promotion_that_left_it() {
    List<StoredSegment> recorded = segments(1, 2, 8);
    recorded.addAll(segments(2, 6, 9));
    Map<Integer, String> histories = Map.of(2, "1\t0/680000\tno recovery target specified\n");
    List<BaseManifest> bases = List.of(base("a", 1, 2));

    RecoveryRoute dead = choose(before("0/701000").on(1), bases, recorded, histories);
    assertThat(dead.timeline()).isEqualTo(1);
    assertThat(dead.segments()).allMatch(name -> name.startsWith("00000001"));
    RecoveryRoute alive = choose(before("0/701000").on(2), bases, recorded, histories);
    assertThat(alive.timeline()).isEqualTo(2);
    assertThat(alive.segments()).contains("000000020000000000000006");
    assertThatThrownBy(() -> choose(before("0/701000").on(3), bases, recorded, histories))
        .hasMessage(
            "cannot fork acme at 0/701000: no base backup leads to timeline 3; next: leave"
                + " --timeline out for the newest, or choose another one");
  }

  private static RecoveryTarget before(String lsn) {
    return RecoveryTarget.before(Lsn.parse(lsn));
  }

  /** Starts a quarter into a segment and stops in the middle of it. */
  private static BaseManifest base(String label, int timeline, int segment) {
    long start = (long) segment * MIB;
    return new BaseManifest(
        label,
        "full",
        null,
        timeline,
        start + MIB / 4,
        start + MIB / 2,
        Instant.EPOCH,
        Instant.EPOCH,
        18,
        "1",
        MIB,
        "",
        null,
        Map.of(),
        0,
        0);
  }

  private static List<StoredSegment> segments(int timeline, int from, int through) {
    List<StoredSegment> segments = new ArrayList<>();
    for (int number = from; number <= through; number++) {
      segments.add(new StoredSegment("%08X00000000%08X".formatted(timeline, number), true, MIB));
    }
    return segments;
  }

  private static RecoveryRoute choose(
      RecoveryTarget target, List<BaseManifest> bases, List<StoredSegment> recorded) {
    return choose(target, bases, recorded, Map.of());
  }

  private static RecoveryRoute choose(
      RecoveryTarget target,
      List<BaseManifest> bases,
      List<StoredSegment> recorded,
      Map<Integer, String> histories) {
    return RecoveryRoute.choose(
        "cannot fork acme at " + target.lsn(),
        "acme",
        target,
        bases,
        recorded,
        timeline -> text(histories, timeline));
  }

  private static @Nullable String text(Map<Integer, String> histories, int timeline) {
    return histories.get(timeline);
  }

  private static void refused(
      RecoveryTarget target,
      List<BaseManifest> bases,
      List<StoredSegment> recorded,
      String message) {
    assertThatThrownBy(() -> choose(target, bases, recorded))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).isEqualTo(Kind.REFUSED);
              assertThat(e.getMessage()).isEqualTo(message);
            });
  }
}
