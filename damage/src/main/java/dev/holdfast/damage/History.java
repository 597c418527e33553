package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * What something was, from commit to commit; the last known state before a position counts.
 *
 * @param <T> what can be said of it
 */
final class History<T> {
  /** What became known. */
  enum Kind {
    /** It was so before the first change seen. */
    BEFORE,
    /** It came to be. */
    BORN,
    /** It was changed. */
    CHANGED,
    /** It is no more. */
    GONE,
    /** It was changed, and the log does not tell how. */
    UNSURE
  }

  /**
   * @param commit start of the commit record; {@link Lsn#NONE} for {@link Kind#BEFORE}
   * @param xid that committed
   * @param state null for {@link Kind#GONE} and {@link Kind#UNSURE}
   */
  record Version<T>(Kind kind, Lsn commit, long xid, @Nullable T state) {}

  private final List<Version<T>> versions = new ArrayList<>(2);

  void add(Version<T> version) {
    versions.add(version);
  }

  int size() {
    return versions.size();
  }

  boolean isEmpty() {
    return versions.isEmpty();
  }

  /**
   * The version at a position: made by a commit before it, or the birth of what was not there yet;
   * null when only what was recorded can tell.
   */
  @Nullable Version<T> at(Lsn position) {
    for (int index = versions.size() - 1; index >= 0; index--) {
      if (versions.get(index).commit.isBefore(position)) {
        return versions.get(index);
      }
    }
    return !versions.isEmpty() && versions.getFirst().kind == Kind.BORN
        ? versions.getFirst()
        : null;
  }

  @Nullable Version<T> last() {
    return versions.isEmpty() ? null : versions.getLast();
  }

  void replaceLast(T state) {
    Version<T> last = versions.getLast();
    versions.set(versions.size() - 1, new Version<>(last.kind, last.commit, last.xid, state));
  }

  /** Lets go of versions that were recorded too; the newest of them stays below those that stay. */
  void letGo(Predicate<Version<T>> recorded) {
    int known = 0;
    while (known < versions.size()
        && (versions.get(known).kind == Kind.BEFORE || recorded.test(versions.get(known)))) {
      known++;
    }
    if (known == versions.size()) {
      versions.clear();
    } else if (known > 1) {
      versions.subList(0, known - 1).clear();
    }
  }
}
