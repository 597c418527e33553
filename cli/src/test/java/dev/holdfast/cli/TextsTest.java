package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.Progress;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class TextsTest {
  @Test
  void sizes_durations_and_times_read_as_a_person_writes_them() {
    assertThat(Texts.bytes(999)).isEqualTo("999 B");
    assertThat(Texts.bytes(16 << 20)).isEqualTo("16.0 MiB");
    assertThat(Texts.bytes(5L << 40)).isEqualTo("5.0 TiB");
    assertThat(Texts.seconds(0.424)).isEqualTo("0.42 s");
    assertThat(Texts.seconds(200)).isEqualTo("3 min 20 s");
    assertThat(Texts.seconds(7500)).isEqualTo("2 h 5 min");
    assertThat(Texts.plural(1, "row")).isEqualTo("1 row");
    assertThat(Texts.plural(1234, "row")).isEqualTo("1,234 rows");
    assertThat(Texts.time(Instant.parse("2026-11-21T04:56:27.9Z")))
        .isEqualTo("2026-11-21 04:56:27Z");
  }

  @Test
  void tables_put_numbers_to_the_right_and_words_to_the_left() {
    assertThat(
            new TextTable("table", "rows")
                .row("public.users", "50,000")
                .row("public.a", "7")
                .format("  "))
        .isEqualTo(
            """
              table           rows
              public.users  50,000
              public.a           7
            """);
  }

  @Test
  void a_bar_shows_amount_rate_and_time_left() {
    ByteArrayOutputStream drawn = new ByteArrayOutputStream();
    Terminal terminal =
        new Terminal(
            System.out,
            new PrintStream(drawn, true, StandardCharsets.UTF_8),
            true,
            true,
            false,
            100);
    AtomicLong clock = new AtomicLong();
    try (Progress.Phase phase =
        new TerminalProgress(terminal, clock::get)
            .begin("base backup", 4L << 20, Progress.Unit.BYTES)) {
      clock.set(2_000_000_000L);
      phase.advance(1 << 20);
    }
    assertThat(drawn.toString(StandardCharsets.UTF_8))
        .contains(
            "base backup  [######..................]  1.0 MiB of 4.0 MiB  512.0 KiB/s  6.00 s left")
        .endsWith("base backup  1.0 MiB  512.0 KiB/s  in 2.00 s" + System.lineSeparator());
  }

  @Test
  void off_a_terminal_only_lines_are_written() {
    ByteArrayOutputStream written = new ByteArrayOutputStream();
    Terminal terminal =
        new Terminal(
            System.out,
            new PrintStream(written, true, StandardCharsets.UTF_8),
            false,
            false,
            false,
            100);
    AtomicLong clock = new AtomicLong();
    try (Progress.Phase phase =
        new TerminalProgress(terminal, clock::get).begin("reading WAL", 0, Progress.Unit.BYTES)) {
      for (int second = 1; second <= 5; second++) {
        clock.addAndGet(1_000_000_000L);
        phase.advance(1024);
      }
    }
    assertThat(written.toString(StandardCharsets.UTF_8))
        .isEqualTo("reading WAL  5.0 KiB  1.0 KiB/s  in 5.00 s" + System.lineSeparator());
  }

  @Test
  void a_word_is_quoted_where_a_shell_would_take_it_apart() {
    assertThat(Texts.word("public.users")).isEqualTo("public.users");
    assertThat(Texts.word("\"Users\"")).isEqualTo("'\"Users\"'");
    assertThat(Texts.word("it's $HOME")).isEqualTo("'it'\\''s $HOME'");
    assertThat(Texts.word("")).isEqualTo("''");
  }
}
