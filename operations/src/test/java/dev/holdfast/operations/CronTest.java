package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** Berlin put its clocks forward on 2026-03-29 at 02:00 and back on 2026-10-25 at 03:00. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class CronTest {
  private static final ZoneId BERLIN = ZoneId.of("Europe/Berlin");

  private static List<String> times(String cron, String from, int count) {
    Cron parsed = Cron.parse(cron, BERLIN);
    List<String> times = new ArrayList<>();
    Instant at = OffsetDateTime.parse(from).toInstant();
    for (int i = 0; i < count; i++) {
      at = Objects.requireNonNull(parsed.next(at));
      times.add(at.atZone(BERLIN).toOffsetDateTime().toString());
    }
    return times;
  }

  @Test
  void what_is_set_for_an_hour_that_is_left_out_happens_an_hour_later_on_that_day() {
    assertThat(times("30 2 * * *", "2026-03-28T00:00+01:00", 3))
        .containsExactly(
            "2026-03-28T02:30+01:00", "2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00");
    assertThat(times("15 2,3 * * *", "2026-03-29T00:00+01:00", 2))
        .as("both fall on one moment, which comes once")
        .containsExactly("2026-03-29T03:15+02:00", "2026-03-30T02:15+02:00");
  }

  @Test
  void what_is_set_for_an_hour_that_comes_twice_happens_once() {
    assertThat(times("30 2 * * *", "2026-10-24T12:00+02:00", 2))
        .containsExactly("2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00");
    assertThat(times("15 2,3 * * *", "2026-10-25T00:00+02:00", 3))
        .containsExactly(
            "2026-10-25T02:15+02:00", "2026-10-25T03:15+01:00", "2026-10-26T02:15+01:00");
    assertThat(times("30 2 * * *", "2026-10-25T02:10+01:00", 1))
        .as("asked in the hour that came again")
        .containsExactly("2026-10-26T02:30+01:00");
  }

  @Test
  void what_is_set_for_every_hour_happens_in_each_there_is() {
    assertThat(times("*/30 * * * *", "2026-03-29T01:10+01:00", 3))
        .containsExactly(
            "2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00");
    assertThat(times("0 * * * *", "2026-10-25T01:10+02:00", 3))
        .containsExactly(
            "2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00");
    assertThat(times("@hourly", "2026-10-25T01:10+02:00", 3))
        .isEqualTo(times("0 * * * *", "2026-10-25T01:10+02:00", 3));
  }

  @Test
  void fields_mean_what_cron_means_by_them() {
    assertThat(times("@daily", "2026-11-22T05:00+01:00", 1))
        .containsExactly("2026-11-23T00:00+01:00");
    assertThat(times("0 3 * * 0", "2026-11-22T05:00+01:00", 1))
        .isEqualTo(times("0 3 * * SUN", "2026-11-22T05:00+01:00", 1))
        .isEqualTo(times("0 3 * * 7", "2026-11-22T05:00+01:00", 1))
        .containsExactly("2026-11-29T03:00+01:00");
    assertThat(times("0 3 * * 1-6", "2026-11-21T05:00+01:00", 2))
        .as("Monday to Saturday, from a Saturday on")
        .containsExactly("2026-11-23T03:00+01:00", "2026-11-24T03:00+01:00");
    assertThat(times("0 0 29 2 *", "2026-11-22T05:00+01:00", 1))
        .containsExactly("2028-02-29T00:00+01:00");
  }

  @Test
  void what_is_no_time_is_refused_and_said_why() {
    assertWrong("30 25 * * *", "25");
    assertWrong("0 3 * *", "it has 4 fields, and five are needed");
    assertWrong("0 0 3 * * *", "it has 6 fields, and five are needed");
    assertWrong("daily", "it has 1 fields");
    assertWrong("0 3 * * 8", "8");
    assertWrong("0 3 31 2 *", "no day will ever be one of these");
    assertWrong("", "");
    assertWrong("@never", "");
  }

  private static void assertWrong(String cron, String why) {
    assertThatThrownBy(() -> Cron.parse(cron, BERLIN))
        .as(cron)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(why);
  }
}
