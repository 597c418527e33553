package dev.holdfast.revert;

import dev.holdfast.row.Row;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What transactions that are to be undone did to one row in one go, nobody else writing it in
 * between. A row's hits are given in order of commit.
 *
 * @param before null: the row did not exist
 * @param after null: the row did not exist
 * @param touched whether the log says that somebody else wrote the row after this hit and before
 *     the next one (or now), be it with the very same values; of a deletion: that somebody else
 *     made a row in its place
 * @param since what those others left of the row, oldest first; the newest may be left out where it
 *     is the next hit's {@code before} or the row now
 */
public record Hit(@Nullable Row before, @Nullable Row after, boolean touched, List<Row> since) {
  public Hit {
    since = List.copyOf(since);
  }

  /** What a hit did, and whether the row was written since. */
  public static Hit of(@Nullable Row before, @Nullable Row after, boolean touched) {
    return new Hit(before, after, touched, List.of());
  }
}
