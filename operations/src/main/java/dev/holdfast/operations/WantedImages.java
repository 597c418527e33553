package dev.holdfast.operations;

import dev.holdfast.damage.RowHistories.Left;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Step;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.Tid;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Which versions of a row must be seen to undo what the set did to it, and where in the log each is
 * to be seen. Version 0 is the one the first step replaced, version {@code n} the one the {@code
 * n}th step left.
 *
 * @param all whether every version is wanted, as bringing lost keys back needs, or only those on
 *     both sides of what the set did in one go, and between writes of others
 */
record WantedImages(boolean all) {
  /** Writes of others to one row in one go, between which its versions are looked at. */
  private static final int GO_MAX = 16;

  /** A version's part of the log: visible at any position from one to the other. */
  record Interval(Lsn from, Lsn to) {}

  /**
   * The versions to read from forks, in order.
   *
   * @param asLogged whether the row's last version is known to be the one production has
   * @param lastKey whether it matters which key the row had when the set deleted it
   */
  int[] of(RowHistory history, boolean asLogged, boolean lastKey) {
    List<Step> steps = history.steps();
    int[] wanted = new int[steps.size() + 1];
    int count = 0;
    for (int image = 0; image <= steps.size(); image++) {
      boolean exists =
          image == 0 ? history.first() != null : steps.get(image - 1).left() == Left.VERSION;
      boolean before = image < steps.size() && steps.get(image).writer().inSet();
      boolean after = image > 0 && steps.get(image - 1).writer().inSet();
      boolean lastKnown =
          image == steps.size() - 1 && history.last().left() == Left.UNKNOWN; // tells its key then
      boolean deleted = image == steps.size() - 1 && lastKey && isWrittenAndDeleted(history);
      boolean edge = all || before != after || lastKnown || deleted || isBetween(steps, image);
      boolean present = image == steps.size() && (asLogged || !after);
      if (exists && edge && !present) {
        wanted[count++] = image;
      }
    }
    return Arrays.copyOf(wanted, count);
  }

  /**
   * Whether others left a version and wrote it again, a few times at most: it tells what they
   * changed and changed back. Of a row that they write all the time each version may need a stop of
   * its own.
   */
  static boolean isBetween(List<Step> steps, int image) {
    if (image == 0 || image == steps.size()) {
      return false;
    }
    int first = image;
    while (first > 0 && !steps.get(first - 1).writer().inSet()) {
      first--;
    }
    int last = image;
    while (last < steps.size() && !steps.get(last).writer().inSet()) {
      last++;
    }
    return first < image && last > image && last - first <= GO_MAX;
  }

  /** Whether the set wrote a row that was there, or put it in, and deleted it later. */
  static boolean isWrittenAndDeleted(RowHistory history) {
    return history.steps().size() > 1 && Continuations.endsDeletedBySet(history);
  }

  /** Where a version lies. */
  static Tid tid(RowHistory history, int image) {
    @Nullable Tid tid = image == 0 ? history.first() : history.steps().get(image - 1).tid();
    return Objects.requireNonNull(tid);
  }

  /**
   * Where in the log a version is to be seen.
   *
   * @param lastCommitEnd just past the last commit of the set: how far a version that nobody
   *     replaced must be looked for
   */
  static Interval interval(RowHistory history, int image, long table, Lsn lastCommitEnd) {
    List<Step> steps = history.steps();
    Lsn from = image == 0 ? history.since() : steps.get(image - 1).writer().commitEnd();
    Lsn to = image < steps.size() ? steps.get(image).writer().lastBefore(table) : lastCommitEnd;
    return new Interval(to.isBefore(from) ? to : from, to);
  }
}
