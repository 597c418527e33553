package dev.holdfast.wal;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class TimelineHistoryTest {
  private static final String TWICE_PROMOTED =
      "1\t0/3000148\tno recovery target specified\n\n2\tA/51F2A38\tat restore point \"now\"\n";

  @Test
  void a_file_of_a_server_is_read_as_it_says() {
    TimelineHistory history = parse(3, TWICE_PROMOTED);
    assertThat(history.switches())
        .containsExactly(
            new TimelineHistory.Switch(
                1, Lsn.parse("0/3000148"), 2, "no recovery target specified"),
            new TimelineHistory.Switch(2, Lsn.parse("A/51F2A38"), 3, "at restore point \"now\""));
    assertThat(history.timeline()).isEqualTo(3);
    assertThat(history).hasToString("1 until 0/3000148, 2 until A/51F2A38, then 3");
    assertThat(history).isEqualTo(parse(3, TWICE_PROMOTED)).isNotEqualTo(parse(4, TWICE_PROMOTED));
  }

  @ParameterizedTest
  @CsvSource({
    "0/0,1",
    "0/3000147,1",
    "0/3000148,2",
    "A/51F2A37,2",
    "A/51F2A38,3",
    "FFFFFFFF/FFFFFFFF,3"
  })
  void a_position_belongs_to_the_newest_timeline_that_began_at_or_before_it(
      String lsn, int timeline) {
    assertThat(parse(3, TWICE_PROMOTED).timelineAt(Lsn.parse(lsn))).isEqualTo(timeline);
  }

  @Test
  void comments_empty_lines_blanks_and_windows_newlines_mean_nothing() {
    TimelineHistory history =
        parse(9, "# made by hand\r\n\r\n   1   0/3000148\r\n\t\n \t7\ta/51f2a38\n#8\t0/1\tx");
    assertThat(history).hasToString("1 until 0/3000148, 7 until A/51F2A38, then 9");
    assertThat(history.switches()).extracting(TimelineHistory.Switch::reason).containsOnly("");
  }

  @Test
  void a_reason_may_be_in_any_encoding() {
    byte[] latin = "1\t0/3000148\tat restore point \"für\u00a0Ärger\"\n".getBytes(ISO_8859_1);
    assertThat(TimelineHistory.parse(2, latin)).hasToString("1 until 0/3000148, then 2");
  }

  @Test
  void timelines_are_unsigned() {
    TimelineHistory history = parse(-1, "2147483648\tFFFFFFFF/0\tx\n4294967294\tFFFFFFFF/1\tx\n");
    assertThat(history)
        .hasToString("2147483648 until FFFFFFFF/0, 4294967294 until FFFFFFFF/1, then 4294967295");
    assertThat(TimelineHistory.fileName(-2)).isEqualTo("FFFFFFFE.history");
  }

  @Test
  void a_timeline_without_parents_holds_everything() {
    TimelineHistory history = TimelineHistory.withoutParents(3);
    assertThat(history).hasToString("3");
    assertThat(history.switches()).isEmpty();
    assertThat(history.timelineAt(Lsn.NONE)).isEqualTo(3);
    assertThat(history.part(1)).isNull();
  }

  /** Recovery along timeline 2 that stopped before timeline 2 began. */
  @Test
  void a_timeline_that_was_left_before_it_began_holds_nothing() {
    TimelineHistory history = parse(3, "1\t0/5000000\tx\n2\t0/4000000\tbefore 2026-11-21\n");
    assertThat(history).hasToString("1 until 0/4000000, then 3");
    assertThat(history.timelineAt(Lsn.parse("0/4800000"))).isEqualTo(3);
    assertThat(history.part(2)).isNull();
    assertThat(history.switches()).hasSize(2);
  }

  @Test
  void two_histories_part_where_the_first_of_them_left_what_they_share() {
    TimelineHistory third = parse(3, "1\t0/3000000\tx\n2\t0/5000000\tx\n");
    assertParting(third, TimelineHistory.withoutParents(1), Lsn.parse("0/3000000"));
    assertParting(third, parse(2, "1\t0/3000000\tx\n"), Lsn.parse("0/5000000"));
    assertParting(third, parse(4, "1\t0/2000000\tx\n"), Lsn.parse("0/2000000"));
    assertParting(third, parse(4, "1\t0/3000000\tx\n"), Lsn.parse("0/3000000"));
    assertParting(third, parse(4, "1\t0/4000000\tx\n"), Lsn.parse("0/3000000"));
    assertParting(third, parse(4, "1\t0/3000000\tx\n2\t0/6000000\tx\n"), Lsn.parse("0/5000000"));
    assertParting(third, TimelineHistory.withoutParents(3), Lsn.NONE);
    assertThat(third.partsFrom(third)).isNull();
  }

  private static void assertParting(TimelineHistory one, TimelineHistory other, Lsn at) {
    assertThat(one.partsFrom(other)).isEqualTo(at);
    assertThat(other.partsFrom(one)).isEqualTo(at);
  }

  @Test
  void a_damaged_file_names_itself_the_line_and_the_way_out() {
    assertThatThrownBy(() -> parse(26, "1\t0/3000148\tx\nrm -rf \u001b[31m/\n"))
        .isInstanceOf(OperatorException.class)
        .hasMessage(
            "cannot read the history of timeline 26 in 0000001A.history: line 2 does not begin with"
                + " a timeline's number: \"rm -rf ?[31m/\"; next: fetch another copy of"
                + " 0000001A.history (the archive, or the pg_wal of a server on that timeline)")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.DAMAGED_DATA);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      ignoreLeadingAndTrailingWhitespace = false,
      value = {
        "|it names no timeline that this one descends from",
        "# nothing|it names no timeline that this one descends from",
        "1|line 1 does not begin with a timeline's number: \"1\"",
        "x 0/3000148 y|line 1 does not begin with a timeline's number: \"x 0/3000148 y\"",
        "-1 0/3000148 y|line 1 does not begin with a timeline's number: \"-1 0/3000148 y\"",
        "1 30|line 1 has no whole position such as 16/3002D50 after the timeline: \"1 30\"",
        "1 0/3000148|line 1 has no whole position such as 16/3002D50 after the timeline: \"1 0/3000148\"",
        "1 0/300014800 x|line 1 has no whole position such as 16/3002D50 after the timeline: \"1 0/300014800 x\"",
        "1 0/-3 x|line 1 has no whole position such as 16/3002D50 after the timeline: \"1 0/-3 x\"",
        "1 0/0 x|line 1 says that timeline 1 ended at 0/0",
        "0 0/3000148 x|line 1 names timeline 0",
        "4294967296 0/3000148 x|line 1 names timeline 4294967296",
        "99999999999999999999 0/3 x|line 1 does not begin with a timeline's number: \"99999999999999999999 0/3 x\"",
        "5 0/3000148 x|line 1 names timeline 5 as one it descends from",
        "7 0/3000148 x|line 1 names timeline 7 as one it descends from",
        "2 0/3 x~1 0/4 x|line 2 names timeline 1 after timeline 2",
        "2 0/3 x~2 0/4 x|line 2 names timeline 2 after timeline 2"
      })
  void what_no_server_writes_is_refused(String text, String found) {
    String content = text == null ? "" : text.replace('~', '\n');
    assertThatThrownBy(() -> parse(5, content))
        .isInstanceOf(OperatorException.class)
        .extracting(e -> ((OperatorException) e).why())
        .isEqualTo(found);
  }

  @Test
  void a_long_line_is_quoted_in_part_and_a_long_file_not_read() {
    assertThatThrownBy(() -> parse(2, "x".repeat(5000)))
        .hasMessageContaining("number: \"" + "x".repeat(60) + "…\"; next");
    assertThatThrownBy(() -> parse(2, "1\t0/3000148\tx\n" + "#".repeat(1 << 20)))
        .hasMessageContaining("0000000002.history".substring(2) + ": it has 1048590 bytes");
  }

  /** A cut never invents a switch: at worst the newest ones are missing. */
  @Test
  void a_file_cut_anywhere_is_refused_or_says_less() {
    byte[] whole = TWICE_PROMOTED.getBytes(UTF_8);
    TimelineHistory history = TimelineHistory.parse(3, whole);
    for (int length = 0; length < whole.length; length++) {
      try {
        var cut = TimelineHistory.parse(3, Arrays.copyOf(whole, length));
        assertThat(cut.switches().getFirst().at()).isEqualTo(history.switches().getFirst().at());
        if (cut.switches().size() == 2) {
          assertThat(cut.parts()).as("cut to %d", length).isEqualTo(history.parts());
        }
      } catch (OperatorException e) {
        assertThat(e.kind()).isEqualTo(Kind.DAMAGED_DATA);
      }
    }
  }

  @Test
  void whatever_the_bytes_are_the_parts_cover_the_log_once_or_the_file_is_refused() {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    var random = new Random(seed);
    byte[] good = TWICE_PROMOTED.getBytes(UTF_8);
    byte[] alphabet = "0123456789/\t\n \r#ABCDEFabcdef\0x-+\u00ff".getBytes(ISO_8859_1);
    int read = 0;
    for (int round = 0; round < 200_000; round++) {
      byte[] bytes = random.nextInt(10) == 0 ? new byte[random.nextInt(60)] : good.clone();
      int changes = good.length == bytes.length ? 1 + random.nextInt(6) : bytes.length;
      for (int i = 0; i < changes; i++) {
        bytes[random.nextInt(bytes.length)] = alphabet[random.nextInt(alphabet.length)];
      }
      try {
        TimelineHistory history = TimelineHistory.parse(1 + random.nextInt(5), bytes);
        assertCovers(history);
        read++;
      } catch (OperatorException e) {
        assertThat(e.kind()).as("seed %d", seed).isEqualTo(Kind.DAMAGED_DATA);
      }
    }
    assertThat(read).as("some mutations stay readable, seed %d", seed).isGreaterThan(1000);
  }

  private static void assertCovers(TimelineHistory history) {
    Lsn reached = Lsn.NONE;
    for (TimelineHistory.Part part : history.parts()) {
      assertThat(part.from()).isEqualTo(reached);
      assertThat(history.timelineAt(part.from())).isEqualTo(part.timeline());
      if (part.to() == null) {
        assertThat(part.timeline()).isEqualTo(history.timeline());
        assertThat(part).isEqualTo(history.parts().getLast());
      } else {
        assertThat(part.to()).isGreaterThan(part.from());
        reached = part.to();
      }
    }
  }

  private static TimelineHistory parse(int timeline, String text) {
    return TimelineHistory.parse(timeline, text.getBytes(UTF_8));
  }
}
