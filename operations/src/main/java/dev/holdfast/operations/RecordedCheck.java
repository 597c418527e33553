package dev.holdfast.operations;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * What a client that asks was told, as the repository keeps it: one document for each application
 * on each host.
 *
 * @param url that it was going to use when it last asked, without a password
 * @param expected what that had to be
 * @param verdict what it was
 * @param headline that in a sentence
 * @param rightAt when it was last what was expected; null when it never was
 * @param wrongAt when it was last something else; null when it never was
 * @param wrongSince since when it is something else; null when it was right the last time
 */
public record RecordedCheck(
    String application,
    String host,
    @Nullable String commit,
    String url,
    String expected,
    String verdict,
    String headline,
    @Nullable Instant rightAt,
    @Nullable Instant wrongAt,
    @Nullable Instant wrongSince) {
  /** When it last asked. */
  Instant lastAt() {
    return wrongAt == null || (rightAt != null && rightAt.isAfter(wrongAt))
        ? rightAt == null ? Instant.EPOCH : rightAt
        : wrongAt;
  }
}
