package dev.holdfast.postgres;

import java.time.Duration;

/**
 * Where the time went while a fork was made, over all attempts.
 *
 * @param fetch the base backup, from the repository into the scratch folder
 * @param start from the server process's start until it took its first WAL segment
 * @param replay until recovery had ended and its checkpoint was written
 * @param ready until our own role could connect, prepared transactions were rolled back, and a
 *     sparse fork was found to hold what was wanted
 */
public record ForkTimings(Duration fetch, Duration start, Duration replay, Duration ready) {
  static final ForkTimings NONE =
      new ForkTimings(Duration.ZERO, Duration.ZERO, Duration.ZERO, Duration.ZERO);

  ForkTimings plus(ForkTimings more) {
    return new ForkTimings(
        fetch.plus(more.fetch),
        start.plus(more.start),
        replay.plus(more.replay),
        ready.plus(more.ready));
  }

  /** All of it. */
  public Duration total() {
    return fetch.plus(start).plus(replay).plus(ready);
  }
}
