package dev.holdfast.postgres;

import java.time.Duration;

/**
 * Where the time went while a fork was made.
 *
 * @param fetch the base backup, from the repository into the scratch folder
 * @param start from the server process's start until it took its first WAL segment
 * @param replay until recovery had ended and its checkpoint was written
 * @param ready until our own role could connect and prepared transactions were rolled back
 */
public record ForkTimings(Duration fetch, Duration start, Duration replay, Duration ready) {
  /** All of it. */
  public Duration total() {
    return fetch.plus(start).plus(replay).plus(ready);
  }
}
