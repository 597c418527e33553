package dev.holdfast.operations;

import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Which records are wanted, in an operator's words. Conditions on pages hold for one and the same
 * page of a record, as pg_waldump's do.
 *
 * @param from only records that start at or after this LSN; null for all
 * @param to only records that start before this LSN; null for all
 * @param rmgrs only of these resource managers, as pg_waldump spells them, in any case; empty for
 *     all
 * @param relation only records about a page of this relation: {@code
 *     tablespace/database/relfilenumber}, or a table with its indexes and its TOAST: {@code table}
 *     or {@code schema.table}; null for all
 * @param fork only about a page of this fork: {@code main}, {@code fsm}, {@code vm} or {@code
 *     init}; null for all
 * @param block only about this block of {@code relation}; null for all
 * @param xid only of this transaction; null for all
 * @param limit only the first so many; null for all
 */
public record WalFilter(
    @Nullable String from,
    @Nullable String to,
    List<String> rmgrs,
    @Nullable String relation,
    @Nullable String fork,
    @Nullable Long block,
    @Nullable String xid,
    @Nullable Long limit) {
  /** Everything. */
  public static final WalFilter ALL =
      new WalFilter(null, null, List.of(), null, null, null, null, null);

  /** Copies the list. */
  public WalFilter {
    rmgrs = List.copyOf(rmgrs);
  }

  /** The resource managers of PostgreSQL itself, as pg_waldump spells them. */
  public static List<String> resourceManagers() {
    return IntStream.range(0, WalMatcher.BUILT_IN)
        .mapToObj(dev.holdfast.wal.ResourceManager::name)
        .toList();
  }
}
