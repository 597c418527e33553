package dev.holdfast.operations;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * The moment that a fork or a restore is wanted of, as an operator gives it: at most one of the
 * first five; none means the newest recorded one.
 *
 * @param before just before this transaction committed
 * @param after just after it committed
 * @param at before the first transaction that committed after this time
 * @param lsn before the record at this position
 * @param restorePoint at the point named by pg_create_restore_point
 * @param timeline the timeline it lies on; null for the newest recorded one
 */
public record Target(
    @Nullable String before,
    @Nullable String after,
    @Nullable Instant at,
    @Nullable String lsn,
    @Nullable String restorePoint,
    @Nullable Integer timeline) {
  /** The newest recorded moment. */
  public static final Target LATEST = new Target(null, null, null, null, null, null);
}
