package dev.holdfast.wal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.wal.TimelineSegments.Held;
import dev.holdfast.wal.TimelineSegments.LeftOut;
import dev.holdfast.wal.TimelineSegments.Stretch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** Segments of 1 MiB: segment n starts at n00000 (hexadecimal). */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class TimelineSegmentsTest {
  private static final int MIB = 1 << 20;

  /** Timeline 1 was left in the middle of segment 6. */
  private static final TimelineHistory SECOND = history(2, "1\t0/680000\tx\n");

  @Test
  void one_timeline_is_read_from_end_to_end() {
    var segments = along(TimelineHistory.withoutParents(1), held(1, 2, 5), part(1, 6, 0x1000));
    assertThat(segments.segments()).hasSize(5);
    assertThat(segments.stretches()).containsExactly(stretch("0/200000", "0/601000"));
    assertThat(segments.gaps()).isEmpty();
    assertThat(segments.leftOut()).isEmpty();
  }

  @Test
  void the_segment_with_the_switch_is_the_new_timelines() {
    var segments = along(SECOND, held(1, 2, 5), part(1, 6, 0x80000), held(2, 6, 8));
    assertThat(names(segments)).containsExactly("1-2", "1-3", "1-4", "1-5", "2-6", "2-7", "2-8");
    assertThat(segments.stretches()).containsExactly(stretch("0/200000", "0/900000"));
    assertThat(segments.leftOut()).isEmpty();
  }

  @Test
  void what_the_old_primary_wrote_past_the_switch_is_left_out_and_reported() {
    var segments = along(SECOND, held(1, 2, 9), part(1, 10, 0x123), held(2, 6, 7));
    assertThat(names(segments)).containsExactly("1-2", "1-3", "1-4", "1-5", "2-6", "2-7");
    assertThat(segments.stretches()).containsExactly(stretch("0/200000", "0/800000"));
    assertThat(segments.leftOut()).containsExactly(leftOut(1, "0/680000", "0/A00123"));
  }

  @Test
  void without_the_new_timelines_segment_the_old_one_is_read_up_to_the_switch() {
    for (Held old : new Held[] {one(1, 6, 0x90000), one(1, 6, MIB)}) {
      var segments = along(SECOND, held(1, 5, 5), List.of(old), held(2, 7, 8));
      assertThat(segments.segments())
          .containsExactly(one(1, 5, MIB), one(1, 6, 0x80000), one(2, 7, MIB), one(2, 8, MIB));
      assertThat(segments.gaps()).containsExactly(stretch("0/680000", "0/700000"));
      assertThat(segments.leftOut()).containsExactly(leftOut(1, "0/680000", old.end().toString()));
    }
  }

  @Test
  void a_new_segment_that_has_not_reached_the_switch_is_worse_than_the_old_one() {
    var segments = along(SECOND, held(1, 5, 5), part(1, 6, 0x70000), part(2, 6, 0x2000));
    assertThat(segments.segments()).containsExactly(one(1, 5, MIB), one(1, 6, 0x70000));
    assertThat(segments.leftOut()).isEmpty();
    // Equal ones hold the same bytes; the new one goes on.
    assertThat(names(along(SECOND, part(1, 6, 0x2000), part(2, 6, 0x2000)))).containsExactly("2-6");
  }

  @Test
  void a_switch_between_two_segments_takes_each_from_its_own_timeline() {
    var segments = along(history(2, "1\t0/600000\tx\n"), held(1, 4, 7), held(2, 5, 8));
    assertThat(names(segments)).containsExactly("1-4", "1-5", "2-6", "2-7", "2-8");
    assertThat(segments.leftOut())
        .as("no server writes a segment of a timeline that begins after it")
        .containsExactly(leftOut(1, "0/600000", "0/800000"), leftOut(2, "0/500000", "0/600000"));
  }

  @Test
  void two_switches_in_one_segment() {
    TimelineHistory third = history(3, "1\t0/620000\tx\n2\t0/680000\tx\n");
    var all = along(third, held(1, 5, 6), held(2, 6, 6), held(3, 6, 7));
    assertThat(names(all)).containsExactly("1-5", "3-6", "3-7");
    assertThat(all.leftOut())
        .containsExactly(leftOut(1, "0/620000", "0/700000"), leftOut(2, "0/680000", "0/700000"));
    var withoutThird = along(third, held(1, 5, 6), held(2, 6, 6));
    assertThat(withoutThird.stretches()).containsExactly(stretch("0/500000", "0/680000"));
  }

  @Test
  void a_dead_branch_is_left_out_from_where_it_parted() {
    TimelineHistory third = history(3, "1\t0/580000\tx\n");
    var segments = along(third, held(1, 4, 6), held(2, 6, 7), held(3, 5, 6));
    assertThat(names(segments)).containsExactly("1-4", "3-5", "3-6");
    assertThat(segments.leftOut())
        .containsExactly(leftOut(1, "0/580000", "0/700000"), leftOut(2, "0/600000", "0/800000"));

    // Its history tells what it shares: here timeline 2 was left out from its own switch on.
    var shared = along(history(3, "1\t0/680000\tx\n"), held(2, 6, 7), held(3, 6, 6));
    assertThat(shared.leftOut()).containsExactly(leftOut(2, "0/680000", "0/800000"));
  }

  @Test
  void a_timeline_may_be_chosen_that_is_not_the_newest() {
    var segments = along(TimelineHistory.withoutParents(1), held(1, 4, 7), held(2, 6, 9));
    assertThat(names(segments)).containsExactly("1-4", "1-5", "1-6", "1-7");
    assertThat(segments.leftOut()).containsExactly(leftOut(2, "0/680000", "0/A00000"));
  }

  @Test
  void a_timeline_left_before_it_began_is_left_out_whole() {
    TimelineHistory third = history(3, "1\t0/680000\tx\n2\t0/580000\tx\n");
    var segments = along(third, held(1, 4, 6), held(2, 6, 7), held(3, 5, 7));
    assertThat(names(segments)).containsExactly("1-4", "3-5", "3-6", "3-7");
    assertThat(segments.leftOut())
        .containsExactly(leftOut(1, "0/580000", "0/700000"), leftOut(2, "0/600000", "0/800000"));
  }

  @Test
  void without_a_history_only_the_timeline_itself_is_read() {
    var segments = along(TimelineHistory.withoutParents(3), held(1, 2, 3), held(3, 4, 6));
    assertThat(segments.stretches()).containsExactly(stretch("0/400000", "0/700000"));
    assertThat(segments.leftOut()).containsExactly(leftOut(1, "0/200000", "0/400000"));
  }

  @Test
  void holes_are_told_with_their_positions() {
    var segments = along(SECOND, part(1, 2, 0x45678), held(1, 4, 4), held(2, 6, 6), held(2, 9, 9));
    assertThat(segments.gaps())
        .containsExactly(
            stretch("0/245678", "0/400000"),
            stretch("0/500000", "0/600000"),
            stretch("0/700000", "0/900000"));
  }

  @Test
  void nothing_is_nothing() {
    var segments = along(SECOND, part(2, 6, 0));
    assertThat(segments.segments()).isEmpty();
    assertThat(segments.stretches()).isEmpty();
    assertThat(segments.gaps()).isEmpty();
    assertThat(segments.leftOut()).isEmpty();
    assertThatThrownBy(() -> part(1, 2, MIB + 1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> part(1, 2, -1)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void a_record_cut_off_by_the_switch_lies_only_in_the_old_file_and_is_no_damage() {
    var old = new CraftedLog();
    var promoted = new CraftedLog();
    for (var log : List.of(old, promoted)) {
      log.record(20_000);
      log.record(100);
    }
    Lsn at = old.position();
    Lsn cut = old.record(50_000);
    promoted.promote(2);
    List<Lsn> after = List.of(promoted.record(30_000), promoted.record(2 * CraftedLog.SEGMENT));
    byte[] oldBytes = Arrays.copyOf(old.pages(), 60_000); // the old primary died in mid-record
    byte[] newBytes = promoted.segments();
    var history = history(2, "1\t%s\tx\n".formatted(at));

    var both = along(history, part(1, 3, oldBytes.length), held(2, 3, 5));
    assertThat(names(both)).containsExactly("2-3", "2-4", "2-5");
    var reader = new WalReader(CraftedLog.START);
    reader.feed(newBytes, 0, newBytes.length);
    List<Lsn> read = starts(reader);
    assertThat(read).hasSize(4).endsWith(after.toArray(Lsn[]::new)).doesNotHaveDuplicates();
    assertThat(reader.timeline()).isEqualTo(2);

    Held oldOnly = along(history, part(1, 3, oldBytes.length)).segments().getFirst();
    assertThat(oldOnly.end()).isEqualTo(at).isEqualTo(cut);
    var oldReader = new WalReader(CraftedLog.START);
    oldReader.feed(oldBytes, 0, (int) oldOnly.bytes());
    assertThat(starts(oldReader)).isEqualTo(read.subList(0, 2));
    oldReader.finish(at);
    assertThat(both.leftOut())
        .containsExactly(new LeftOut(1, at, CraftedLog.START.plus(oldBytes.length)));
  }

  private static List<Lsn> starts(WalReader reader) {
    List<Lsn> starts = new ArrayList<>();
    while (reader.next() instanceof Decoded.Complete complete) {
      starts.add(complete.record().lsn());
    }
    return starts;
  }

  /** Every byte at hand is read, or left out, or read from a segment with the same bytes. */
  @Test
  void nothing_at_hand_is_forgotten_whatever_the_order() {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    var random = new Random(seed);
    for (int round = 0; round < 2000; round++) {
      List<Held> held = new ArrayList<>();
      for (int timeline = 1; timeline <= 3; timeline++) {
        for (int number = 3; number < 10; number++) {
          if (random.nextBoolean()) {
            held.add(one(timeline, number, random.nextInt(4) * MIB / 3));
          }
        }
      }
      Collections.shuffle(held, random);
      int left = 3 * MIB + random.nextInt(7 * MIB);
      TimelineHistory history =
          history(3, "1\t0/%X\tx\n2\t0/%X\tx\n".formatted(left, 3 * MIB + random.nextInt(7 * MIB)));
      TimelineHistory second = history(2, "1\t0/%X\tx\n".formatted(left));
      var segments =
          TimelineSegments.along(history, held, timeline -> timeline == 2 ? second : null);
      for (Held chosen : segments.segments()) {
        assertThat(held)
            .as("seed %d", seed)
            .anyMatch(one -> one.name().equals(chosen.name()) && one.bytes() >= chosen.bytes());
        assertThat(history.timelineAt(chosen.end().plus(-1)))
            .as("%s along %s, seed %d", chosen, history, seed)
            .isLessThanOrEqualTo(chosen.name().timeline());
      }
      for (Held one : held) {
        for (long at = 0; at < one.bytes(); at += MIB / 8) {
          Lsn byteAt = one.name().start().plus(at);
          assertThat(isAccountedFor(segments, one, byteAt, second))
              .as("%s of %s along %s, seed %d", byteAt, one, history, seed)
              .isTrue();
        }
      }
    }
  }

  private static boolean isAccountedFor(
      TimelineSegments segments, Held held, Lsn at, TimelineHistory second) {
    TimelineHistory history = segments.history();
    int timeline = held.name().timeline();
    boolean read =
        segments.stretches().stream().anyMatch(s -> !at.isBefore(s.from()) && at.isBefore(s.to()));
    boolean leftOut =
        segments.leftOut().stream()
            .anyMatch(
                l -> l.timeline() == timeline && !at.isBefore(l.from()) && at.isBefore(l.to()));
    if (timeline == history.timelineAt(at)) {
      return read && !leftOut;
    }
    Lsn parting = history.part(2) == null ? history.partsFrom(second) : null;
    boolean shared = timeline == 2 && parting != null && at.isBefore(parting);
    return read || leftOut || shared;
  }

  @SafeVarargs
  private static TimelineSegments along(TimelineHistory history, List<Held>... held) {
    List<Held> all = new ArrayList<>();
    for (List<Held> some : held) {
      all.addAll(some);
    }
    return TimelineSegments.along(
        history,
        all,
        timeline ->
            Map.of(1, TimelineHistory.withoutParents(1), 2, SECOND).getOrDefault(timeline, null));
  }

  private static List<Held> held(int timeline, int first, int last) {
    List<Held> held = new ArrayList<>();
    for (int number = first; number <= last; number++) {
      held.add(one(timeline, number, MIB));
    }
    return held;
  }

  private static List<Held> part(int timeline, int number, int bytes) {
    return List.of(one(timeline, number, bytes));
  }

  private static Held one(int timeline, int number, int bytes) {
    return new Held(new SegmentName(timeline, number, MIB), bytes);
  }

  private static List<String> names(TimelineSegments segments) {
    return segments.segments().stream()
        .map(segment -> segment.name().timeline() + "-" + segment.name().number())
        .toList();
  }

  private static TimelineHistory history(int timeline, String text) {
    return TimelineHistory.parse(timeline, text.getBytes(UTF_8));
  }

  private static Stretch stretch(String from, String to) {
    return new Stretch(Lsn.parse(from), Lsn.parse(to));
  }

  private static LeftOut leftOut(int timeline, String from, String to) {
    return new LeftOut(timeline, Lsn.parse(from), Lsn.parse(to));
  }
}
