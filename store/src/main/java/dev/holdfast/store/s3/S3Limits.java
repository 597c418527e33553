package dev.holdfast.store.s3;

import java.time.Duration;

/**
 * How long and how often a request is tried. All requests of a store share it.
 *
 * @param attempts of one request, the first included
 * @param pauseMin the longest pause after the first failure; doubles with each further one
 * @param pauseMax the longest pause of all; each is drawn at random below its longest
 * @param busyPauseMin as {@code pauseMin}, where the server says that it has too much to do
 * @param connecting how long a connection may take to be made
 * @param silence how long a server may send nothing while something is expected
 * @param slowestBytesPerSecond an attempt to send that is slower than this has failed
 * @param whole how long a request may take with all its attempts; longer only where sending its
 *     bytes at the slowest rate takes longer
 */
record S3Limits(
    int attempts,
    Duration pauseMin,
    Duration pauseMax,
    Duration busyPauseMin,
    Duration connecting,
    Duration silence,
    int slowestBytesPerSecond,
    Duration whole) {
  /**
   * Bridges an outage of about half a minute, or a minute and a half of a server that is silent
   * when asked for connections: less than an operator's patience, more than a server's restart.
   */
  static final S3Limits DEFAULT =
      new S3Limits(
          10,
          Duration.ofMillis(100),
          Duration.ofSeconds(20),
          Duration.ofSeconds(1),
          Duration.ofSeconds(5),
          Duration.ofSeconds(60),
          100_000,
          Duration.ofMinutes(15));

  /** How long one attempt to send these bytes may take. */
  Duration sending(long bytes) {
    return silence.plusMillis(bytes * 1000 / slowestBytesPerSecond);
  }

  /** How long all attempts to send these bytes may take. */
  Duration sendingWhole(long bytes) {
    Duration three = sending(bytes).multipliedBy(3);
    return three.compareTo(whole) > 0 ? three : whole;
  }
}
