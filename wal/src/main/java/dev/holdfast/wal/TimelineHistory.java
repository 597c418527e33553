package dev.holdfast.wal;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The history of one timeline: which timelines it descends from, and where each was left. A server
 * that is promoted, or recovers to a moment of its past, begins a new timeline and writes its
 * history to a file {@code XXXXXXXX.history}.
 *
 * <p>The file's text: a line for each switch, the oldest first, of the timeline that was left, the
 * position where it was left, and the reason, divided by tabs; lines that begin with {@code #} and
 * empty ones mean nothing ("access/timeline.c", PostgreSQL 18).
 */
public final class TimelineHistory {
  /** Real ones have less than a hundred bytes for each promotion. */
  private static final int BYTES_MAX = 1 << 20;

  private static final int QUOTED_MAX = 60;
  private static final long TIMELINE_MAX = 0xFFFF_FFFFL;
  private static final Pattern PARENT = Pattern.compile("(\\d{1,10})\\s.*", Pattern.DOTALL);
  private static final Pattern LINE =
      Pattern.compile("(\\d{1,10})\\s+([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})(\\s.*)?", Pattern.DOTALL);

  /**
   * One line of a history file.
   *
   * @param from the timeline that was left
   * @param at the first position that belongs to {@code to}
   * @param to the timeline that began
   * @param reason for people, as the server wrote it
   */
  public record Switch(int from, Lsn at, int to, String reason) {}

  /**
   * The part of the log that one timeline holds.
   *
   * @param timeline whose segments hold it
   * @param from its first position; {@link Lsn#NONE} for the oldest timeline
   * @param to just past its last position; null for the newest timeline, which goes on
   */
  public record Part(int timeline, Lsn from, @Nullable Lsn to) {
    /** Whether the part holds this position. */
    public boolean holds(Lsn lsn) {
      return !lsn.isBefore(from) && (to == null || lsn.isBefore(to));
    }
  }

  private final int timeline;
  private final List<Switch> switches;
  private final List<Part> parts;

  private TimelineHistory(int timeline, List<Switch> switches) {
    this.timeline = timeline;
    this.switches = List.copyOf(switches);
    this.parts = parts(timeline, switches);
  }

  /**
   * A timeline that descends from no other: timeline 1, or one whose history file is not to be had.
   * The server assumes the same in that case.
   */
  public static TimelineHistory withoutParents(int timeline) {
    return new TimelineHistory(timeline, List.of());
  }

  /**
   * Reads a history file.
   *
   * @param timeline the one the file is named after
   * @throws OperatorException DAMAGED_DATA, naming the file and the line
   */
  public static TimelineHistory parse(int timeline, byte[] content) {
    if (content.length > BYTES_MAX) {
      throw damaged(timeline, "it has %d bytes".formatted(content.length));
    }
    // Only the reason, which nothing depends on, may be in another encoding.
    String text = new String(content, StandardCharsets.UTF_8);
    var lefts = new ArrayList<Left>();
    long last = 0;
    for (int from = 0, number = 1; from < text.length(); number++) {
      int newline = text.indexOf('\n', from);
      int to = newline < 0 ? text.length() : newline;
      // With its newline: a position at the very end of the file may be cut off.
      String line = text.substring(from, newline < 0 ? to : to + 1).stripLeading();
      from = to + 1;
      if (line.isEmpty() || line.startsWith("#")) {
        continue;
      }
      Left left = left(timeline, number, line);
      if (left.timeline() <= last) {
        throw damaged(
            timeline,
            "line %d names timeline %d after timeline %d".formatted(number, left.timeline(), last));
      }
      if (left.timeline() >= Integer.toUnsignedLong(timeline)) {
        throw damaged(
            timeline,
            "line %d names timeline %d as one it descends from".formatted(number, left.timeline()));
      }
      last = left.timeline();
      lefts.add(left);
    }
    if (lefts.isEmpty()) {
      throw damaged(timeline, "it names no timeline that this one descends from");
    }
    var switches = new ArrayList<Switch>();
    for (int i = 0; i < lefts.size(); i++) {
      Left left = lefts.get(i);
      int next = i + 1 < lefts.size() ? (int) lefts.get(i + 1).timeline() : timeline;
      switches.add(new Switch((int) left.timeline(), left.at(), next, left.reason()));
    }
    return new TimelineHistory(timeline, switches);
  }

  private record Left(long timeline, Lsn at, String reason) {}

  private static Left left(int timeline, int number, String line) {
    Matcher fields = LINE.matcher(line.stripTrailing() + (line.endsWith("\n") ? "\n" : ""));
    if (!fields.matches() || fields.group(3) == null) {
      String missing =
          PARENT.matcher(line.strip()).matches()
              ? "has no whole position such as 16/3002D50 after the timeline"
              : "does not begin with a timeline's number";
      throw damaged(timeline, "line %d %s: %s".formatted(number, missing, quoted(line)));
    }
    long from = Long.parseLong(fields.group(1));
    Lsn at = Lsn.parse(fields.group(2));
    if (from == 0 || from > TIMELINE_MAX) {
      throw damaged(timeline, "line %d names timeline %d".formatted(number, from));
    }
    if (at.equals(Lsn.NONE)) {
      throw damaged(timeline, "line %d says that timeline %d ended at 0/0".formatted(number, from));
    }
    return new Left(from, at, fields.group(3).strip());
  }

  /**
   * Every position belongs to the newest timeline that began at or before it. A timeline may hold
   * nothing: recovery that follows timeline 2 and stops before it began says in the new history
   * that timeline 2 was left before timeline 1 was.
   */
  private static List<Part> parts(int timeline, List<Switch> switches) {
    var parts = new ArrayList<Part>();
    @Nullable Lsn to = null;
    for (int i = switches.size(); i >= 0; i--) {
      Lsn from = i == 0 ? Lsn.NONE : switches.get(i - 1).at();
      if (to == null || from.isBefore(to)) {
        parts.add(new Part(i == switches.size() ? timeline : switches.get(i).from(), from, to));
        to = from;
      }
    }
    return List.copyOf(parts.reversed());
  }

  /** The name of a timeline's history file: {@code 00000002.history}. */
  public static String fileName(int timeline) {
    return String.format(Locale.ROOT, "%08X.history", timeline);
  }

  /** The timeline whose history this is. */
  public int timeline() {
    return timeline;
  }

  /** What the file says, oldest first; empty for a timeline without parents. */
  public List<Switch> switches() {
    return switches;
  }

  /** Which timeline holds which part of the log, oldest first and without a hole. */
  public List<Part> parts() {
    return parts;
  }

  /** The part of the log that this timeline holds; null when it holds none. */
  public @Nullable Part part(int ofTimeline) {
    return parts.stream().filter(part -> part.timeline() == ofTimeline).findFirst().orElse(null);
  }

  /** The timeline that holds the byte at this position: the newest that began at or before it. */
  public int timelineAt(Lsn lsn) {
    for (Part part : parts.reversed()) {
      if (!lsn.isBefore(part.from())) {
        return part.timeline();
      }
    }
    return parts.getFirst().timeline(); // not reached: the oldest part begins at 0/0
  }

  /**
   * Where the log of this timeline and that of another one part: the bytes before are the same.
   *
   * @return null when they never part, as with itself; {@link Lsn#NONE} when nothing is known to be
   *     the same
   */
  public @Nullable Lsn partsFrom(TimelineHistory other) {
    for (int i = 0; i < parts.size() && i < other.parts.size(); i++) {
      Part ours = parts.get(i);
      Part theirs = other.parts.get(i);
      if (ours.timeline() != theirs.timeline() || !ours.from().equals(theirs.from())) {
        return i == 0 ? Lsn.NONE : ours.from();
      }
      @Nullable Lsn end = earlier(ours.to(), theirs.to());
      if (end == null) {
        return null;
      }
      if (!end.equals(ours.to()) || !end.equals(theirs.to())) {
        return end;
      }
    }
    return null; // not reached: only the last part has no end
  }

  private static @Nullable Lsn earlier(@Nullable Lsn one, @Nullable Lsn other) {
    if (one == null || other == null) {
      return one == null ? other : one;
    }
    return one.isBefore(other) ? one : other;
  }

  private static String quoted(String line) {
    String start = line.strip();
    var text = new StringBuilder("\"");
    for (int at = 0; at < start.length() && at < QUOTED_MAX; at++) {
      char c = start.charAt(at);
      text.append(c < ' ' || c > '~' ? '?' : c);
    }
    return text.append(start.length() > QUOTED_MAX ? "…\"" : "\"").toString();
  }

  private static OperatorException damaged(int timeline, String found) {
    String file = fileName(timeline);
    return new OperatorException(
        Kind.DAMAGED_DATA,
        "cannot read the history of timeline %s in %s"
            .formatted(Integer.toUnsignedString(timeline), file),
        found,
        "fetch another copy of "
            + file
            + " (the archive, or the pg_wal of a server on that timeline)");
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof TimelineHistory that
        && timeline == that.timeline
        && switches.equals(that.switches);
  }

  @Override
  public int hashCode() {
    return 31 * timeline + switches.hashCode();
  }

  /** {@code 1 until 0/3000000, 2 until 0/5000000, then 3}. */
  @Override
  public String toString() {
    var text = new StringBuilder();
    for (Part part : parts) {
      String name = Integer.toUnsignedString(part.timeline());
      if (part.to() != null) {
        text.append(name).append(" until ").append(part.to()).append(", ");
      } else {
        text.append(parts.size() > 1 ? "then " : "").append(name);
      }
    }
    return text.toString();
  }
}
