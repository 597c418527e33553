package dev.holdfast.cli;

import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Locale;

/** How numbers, sizes and times are written for people. */
final class Texts {
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss'Z'", Locale.ROOT).withZone(ZoneOffset.UTC);

  private Texts() {}

  static String count(long number) {
    return String.format(Locale.ROOT, "%,d", number);
  }

  /** A size in the unit that leaves one to four digits: {@code 16.0 MiB}. */
  static String bytes(long bytes) {
    String[] units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = bytes;
    int unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit++;
    }
    return unit == 0 ? bytes + " B" : String.format(Locale.ROOT, "%.1f %s", value, units[unit]);
  }

  /** A duration for people: {@code 0.42 s}, {@code 12 s}, {@code 3 min 20 s}, {@code 2 h 5 min}. */
  static String seconds(double seconds) {
    if (seconds < 10) {
      return String.format(Locale.ROOT, "%.2f s", seconds);
    }
    long whole = Math.round(seconds);
    if (whole < 60) {
      return whole + " s";
    }
    if (whole < 3600) {
      return whole / 60 + " min " + whole % 60 + " s";
    }
    if (whole < 48 * 3600) {
      return whole / 3600 + " h " + whole % 3600 / 60 + " min";
    }
    return whole / 86400 + " days";
  }

  /** A time in UTC, to the second. */
  static String time(Instant time) {
    return TIME.format(time.truncatedTo(ChronoUnit.SECONDS));
  }

  /** A moment of the past by its day: {@code today 03:00Z}, {@code 2026-11-21 03:00Z}. */
  static String day(Instant time, Instant now) {
    boolean today = time.truncatedTo(ChronoUnit.DAYS).equals(now.truncatedTo(ChronoUnit.DAYS));
    String text = TIME.format(time.truncatedTo(ChronoUnit.MINUTES)).replaceFirst(":00Z$", "Z");
    return today ? "today " + text.substring(text.indexOf(' ') + 1) : text;
  }

  /** One word of a command line, as a POSIX shell takes it. */
  static String word(String text) {
    return text.matches("[\\w@%+=:,./-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
  }

  /** {@code 1 table}, {@code 23 tables}. */
  static String plural(long count, String singular) {
    return count(count) + " " + singular + (count == 1 ? "" : "s");
  }

  /** Anybody may have written it into the log: nothing in it steers a terminal. */
  static String oneLine(String text) {
    return text.replaceAll("[\\s\\p{Cc}\\p{Cf}]+", " ").strip();
  }
}
