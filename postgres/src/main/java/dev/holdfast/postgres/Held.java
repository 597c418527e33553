package dev.holdfast.postgres;

import dev.holdfast.row.TableName;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a finished fork turned out to hold.
 *
 * @param contents what was asked for, or everything where that could not be had
 * @param database the database of the wanted tables; null when none were asked for, or it is not
 *     there at the target
 * @param tables the wanted tables by their names at the target, sorted
 * @param absent OIDs that were wanted and are no table at the target
 * @param attempts how often the fork was built
 */
record Held(
    ForkContents contents,
    @Nullable String database,
    List<TableName> tables,
    Set<Long> absent,
    int attempts) {
  /** Copies the collections. */
  Held {
    tables = List.copyOf(tables);
    absent = Set.copyOf(absent);
  }

  static Held everything(int attempts) {
    return new Held(new ForkContents.Whole(), null, List.of(), Set.of(), attempts);
  }
}
