package dev.holdfast.operations;

import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What {@link Diff} is to compare.
 *
 * @param a a URL, keywords and values, or {@code NAME[/DATABASE]}: the newest recorded state of a
 *     protected cluster
 * @param b likewise
 * @param schema whether definitions are compared
 * @param data whether rows are compared
 * @param tables only these, {@code TABLE} (in public) or {@code SCHEMA.TABLE}; empty: all
 * @param exclude not these
 * @param ignore kinds of objects ({@code sequence}) or properties ({@code owner}) to pass over
 * @param rowsShown how many rows to tell of each table
 * @param stopAfter how many differences to stop after
 * @param seconds how long to go on; null: to the end
 * @param scratch where forks are made; null: the machine's temporary folder
 */
public record DiffRequest(
    String a,
    String b,
    boolean schema,
    boolean data,
    List<String> tables,
    List<String> exclude,
    List<String> ignore,
    int rowsShown,
    long stopAfter,
    @Nullable Double seconds,
    @Nullable Path scratch) {
  /** Copies. */
  public DiffRequest {
    tables = List.copyOf(tables);
    exclude = List.copyOf(exclude);
    ignore = List.copyOf(ignore);
  }
}
