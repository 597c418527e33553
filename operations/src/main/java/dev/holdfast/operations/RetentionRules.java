package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a repository keeps.
 *
 * @param keepWindow every moment since so long ago stays reachable
 * @param keepFull so many of the newest full base backups stay, however old they are; at least 1
 * @param keepSummaries what WAL did is told so long after it was written, though it is gone itself
 */
public record RetentionRules(Duration keepWindow, int keepFull, Duration keepSummaries) {
  /** Four weeks and two full backups; what happened is told for 400 days. */
  public static final RetentionRules DEFAULT =
      new RetentionRules(Duration.ofDays(28), 2, Duration.ofDays(400));

  private static final Pattern DURATION = Pattern.compile("([0-9]{1,6}) ?(h|d|w)");

  /** Refuses rules that would leave nothing. */
  public RetentionRules {
    if (keepFull < 1) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot keep " + keepFull + " full backups",
          "the newest base backup that can be used is never removed",
          "keep 1 or more");
    }
  }

  /**
   * Reads {@code 28d}, {@code 4w}, {@code 36h}.
   *
   * @throws OperatorException USAGE
   */
  public static Duration duration(String text) {
    Matcher matcher = DURATION.matcher(text.strip());
    if (!matcher.matches()) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read the duration \"" + text + "\"",
          "it is a number and a unit: h for hours, d for days, w for weeks",
          "write 28d, 4w or 36h");
    }
    long number = Long.parseLong(matcher.group(1));
    return switch (matcher.group(2)) {
      case "h" -> Duration.ofHours(number);
      case "w" -> Duration.ofDays(7 * number);
      default -> Duration.ofDays(number);
    };
  }

  /** As {@link #duration} reads it: {@code 28d}. */
  static String text(Duration duration) {
    return duration.toHours() % 24 == 0 ? duration.toDays() + "d" : duration.toHours() + "h";
  }
}
