package dev.holdfast.operations;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * A client that asks which database it is at, and what it was told.
 *
 * @param keptIn {@code repository}, or {@code database NAME} of the cluster itself
 * @param application as it calls itself
 * @param host where it runs
 * @param commit of its code; null when it did not say
 * @param rightAt when it was last told that this is what it expects; null when it never was
 * @param wrongAt when it was last told something else; null when it never was
 * @param wrongSince since when each answer is something else; null when the last one was right, or
 *     that is not known
 * @param said what it was told then: a sentence with a repository, what it expected without; null
 *     when it was never told anything else
 * @param url that it was going to use; null where the database itself keeps it
 */
public record Asked(
    String keptIn,
    String application,
    String host,
    @Nullable String commit,
    @Nullable Instant rightAt,
    @Nullable Instant wrongAt,
    @Nullable Instant wrongSince,
    @Nullable String said,
    @Nullable String url) {
  /** Whether it was told something else the last time. */
  boolean isElsewhere() {
    return wrongAt != null && (rightAt == null || wrongAt.isAfter(rightAt));
  }

  /** When it last asked. */
  public Instant lastAt() {
    Instant last = isElsewhere() ? wrongAt : rightAt;
    return last == null ? Instant.EPOCH : last;
  }
}
