package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SummaryPauseTest {
  private static final int SEGMENT = 16 << 20;
  private static final Duration LONG = Duration.ofSeconds(31);
  private static final Duration SHORT = Duration.ofMillis(1100);

  @Test
  void a_recorder_that_keeps_up_lets_the_catalog_come_and_goes_on() {
    assertThat(SummaryPause.isOver(Duration.ofMillis(900), 0, SEGMENT)).isFalse();
    assertThat(SummaryPause.isOver(SHORT, 0, SEGMENT)).isTrue();
    assertThat(SummaryPause.isOver(SHORT, 4L * SEGMENT, SEGMENT)).isTrue();
  }

  @Test
  void one_that_is_far_behind_receives_first_but_summaries_are_made_all_the_same() {
    assertThat(SummaryPause.isOver(SHORT, 4L * SEGMENT + 1, SEGMENT)).isFalse();
    assertThat(SummaryPause.isOver(Duration.ofSeconds(29), Long.MAX_VALUE, SEGMENT)).isFalse();
    assertThat(SummaryPause.isOver(LONG, Long.MAX_VALUE, SEGMENT)).isTrue();
  }

  @Test
  void large_segments_do_not_overflow() {
    assertThat(SummaryPause.isOver(SHORT, 1L << 31, 1 << 30)).isTrue();
  }
}
