package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.LogEntry;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class LogTextTest {
  /** What stands in the log may have been written by anybody: it must not steer the terminal. */
  @Test
  void what_the_guard_told_is_printed_on_lines_of_its_own() {
    LogEntry entry =
        new LogEntry(
            "731",
            "0/3002D50",
            Instant.parse("2026-11-21T04:56:27Z"),
            "high",
            "ann",
            "api\u001b[2J",
            "10.0.0.7",
            "UPDATE users\n   SET data = $1",
            2,
            12L,
            List.of("event triggers of database shop were dropped"),
            List.of("the guard's rule truncate was set to off\nin database shop"),
            "shop",
            List.of(
                new LogEntry.Table(
                    "public",
                    "users",
                    "changed",
                    0,
                    20,
                    0,
                    null,
                    2L,
                    List.of(
                        new LogEntry.JsonLoss(
                            "data", List.of("address", "po\nstal"), 4, 20, false)),
                    List.of())));

    String text =
        LogText.entry(new Terminal(System.out, System.err, false, false, false, 100), entry);

    assertThat(text)
        .isEqualTo(
            """
            transaction 731  high  2026-11-21 04:56:27Z  before 0/3002D50  in shop
              by ann, application api [2J, from 10.0.0.7, with permit 12
              statement: UPDATE users SET data = $1  and 2 more statements
              ! event triggers of database shop were dropped
              the guard's rule truncate was set to off in database shop
                table         action         rows
                public.users  changed  20 updated
                public.users.data lost 2 of 4 JSON keys in at least 20 rows: address, po stal

            """);
  }
}
