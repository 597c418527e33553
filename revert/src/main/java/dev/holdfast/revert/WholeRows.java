package dev.holdfast.revert;

import dev.holdfast.row.Row;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Finds rows of the present in a table whose rows no key tells apart: by the whole row, and equal
 * rows by how many there are.
 *
 * <p>Three passes: every row the transactions changed ({@link #changed}: from before their first
 * hit to after the last), every row of the table right after the last transaction ({@link #after})
 * and now ({@link #now}); then {@link #claim} for each changed row. Of an image there are now:
 * those that others had at that end, those the transactions made and nobody touched since, and
 * those that came back since. Memory grows with the number of different rows the transactions
 * changed (about 100 bytes each), not with the table.
 */
public final class WholeRows {
  /** Half of SHA-256: no two of a table's rows share it by chance. */
  private record Image(long high, long low) {
    static Image of(Row row) {
      ByteBuffer bytes = ByteBuffer.wrap(row.fingerprint());
      return new Image(bytes.getLong(), bytes.getLong());
    }
  }

  private static final class Count {
    int made;
    int after;
    int now;
    int claimedMade;
    int claimedBack;
  }

  private final Map<Image, Count> counts = new HashMap<>();

  /** Knows no row yet. */
  public WholeRows() {}

  /** Announces a row the transactions changed. */
  public void changed(@Nullable Row before, @Nullable Row after) {
    if (before != null) {
      counts.computeIfAbsent(Image.of(before), _ -> new Count());
    }
    if (after != null) {
      counts.computeIfAbsent(Image.of(after), _ -> new Count()).made++;
    }
  }

  /** Counts a row of the table as the last transaction left it. */
  public void after(Row row) {
    Count count = counts.get(Image.of(row));
    if (count != null) {
      count.after++;
    }
  }

  /** Counts a row of the table as it is now. */
  public void now(Row row) {
    Count count = counts.get(Image.of(row));
    if (count != null) {
      count.now++;
    }
  }

  /**
   * A row of the present that stands for a changed row.
   *
   * @param cameSince whether it is the row from before, put in again since: by an undoing, or by
   *     somebody whose row only looks so
   */
  public record Claim(Row row, boolean cameSince) {}

  /** The row of the present that stands for a changed row; null when there is none. */
  public @Nullable Claim claim(@Nullable Row before, @Nullable Row after) {
    if (after != null) {
      Count count = counts.getOrDefault(Image.of(after), new Count());
      // Fewer than were made: others wrote to some before the last transaction ended.
      int others = Math.max(0, count.after - count.made);
      if (count.claimedMade < Math.min(count.made, count.now - others)) {
        count.claimedMade++;
        return new Claim(after, false);
      }
    }
    if (before != null) {
      Count count = counts.getOrDefault(Image.of(before), new Count());
      if (count.claimedBack < count.now - count.after) {
        count.claimedBack++;
        return new Claim(before, true);
      }
    }
    return null;
  }
}
