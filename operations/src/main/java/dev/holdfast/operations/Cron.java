package dev.holdfast.operations;

import com.cronutils.model.definition.CronDefinition;
import com.cronutils.model.definition.CronDefinitionBuilder;
import com.cronutils.model.time.ExecutionTime;
import com.cronutils.parser.CronParser;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import org.jspecify.annotations.Nullable;

/**
 * When something is to happen, again and again: cron's five fields (minute, hour, day of the month,
 * month, day of the week), or {@code @hourly}, {@code @daily}, {@code @weekly}, {@code @monthly},
 * in a time zone.
 *
 * <p>Where clocks are put forward, what is set for an hour that does not exist happens as much
 * later as they were moved (02:30 at 03:30): a nightly backup is not left out. Where they are put
 * back, what is set for an hour that comes twice happens the first time. What is set for every hour
 * ({@code *} in its field) happens in every hour that there is.
 */
final class Cron {
  private static final CronDefinition DEFINITION =
      CronDefinitionBuilder.defineCron()
          .withMinutes()
          .and()
          .withHours()
          .and()
          .withDayOfMonth()
          .and()
          .withMonth()
          .and()
          .withDayOfWeek()
          .withValidRange(0, 7)
          .withMondayDoWValue(1)
          .withIntMapping(7, 0)
          .and()
          .withSupportedNicknameHourly()
          .withSupportedNicknameDaily()
          .withSupportedNicknameWeekly()
          .withSupportedNicknameMonthly()
          .instance();

  /** Two due times may be the same one where clocks are put forward; never many. */
  private static final int SAME_MAX = 200;

  private final String text;
  private final ZoneId zone;
  private final ExecutionTime times;
  private final boolean everyHour;

  private Cron(String text, ZoneId zone, ExecutionTime times, boolean everyHour) {
    this.text = text;
    this.zone = zone;
    this.times = times;
    this.everyHour = everyHour;
  }

  /**
   * Reads it.
   *
   * @throws IllegalArgumentException saying what is wrong with it
   */
  static Cron parse(String text, ZoneId zone) {
    String stripped = text.strip();
    com.cronutils.model.Cron parsed;
    try {
      parsed = new CronParser(DEFINITION).parse(stripped).validate();
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(inWords(String.valueOf(e.getMessage())), e);
    }
    String[] fields = parsed.asString().split(" +", -1);
    Cron cron = new Cron(stripped, zone, ExecutionTime.forCron(parsed), fields[1].startsWith("*"));
    if (cron.next(Instant.now()) == null) {
      throw new IllegalArgumentException("no day will ever be one of these");
    }
    return cron;
  }

  private static String inWords(String said) {
    return said.replace("Failed to parse cron expression. ", "")
        .replaceAll(
            "Cron expression contains (\\d+) parts but we expect one of \\[5\\]",
            "it has $1 fields, and five are needed");
  }

  /** As it was written. */
  String text() {
    return text;
  }

  ZoneId zone() {
    return zone;
  }

  /** The next time after a moment; null when there never is one. */
  @Nullable Instant next(Instant after) {
    if (everyHour) {
      return times.nextExecution(after.atZone(zone)).map(ZonedDateTime::toInstant).orElse(null);
    }
    // By the clock on the wall, as if it were never moved.
    LocalDateTime local = after.atZone(zone).toLocalDateTime();
    for (int same = 0; same < SAME_MAX; same++) {
      ZonedDateTime next = times.nextExecution(local.atZone(ZoneOffset.UTC)).orElse(null);
      if (next == null) {
        return null;
      }
      local = next.toLocalDateTime();
      Instant then = local.atZone(zone).toInstant();
      if (then.isAfter(after)) {
        return then;
      }
    }
    return null;
  }

  /** From one due time to the one after it. */
  Duration interval(Instant due) {
    Instant next = next(due);
    return next == null ? Duration.ofDays(1) : Duration.between(due, next);
  }
}
