package dev.holdfast.postgres;

import java.time.Duration;

/** How long to wait before trying again: twice as long each time, up to a bound. */
public final class Retry {
  private final Duration first;
  private final Duration max;
  private Duration next;

  /**
   * @param first the first wait
   * @param max the longest one
   */
  public Retry(Duration first, Duration max) {
    this.first = first;
    this.max = max;
    this.next = first;
  }

  /** What to wait now. */
  public Duration next() {
    Duration now = next;
    next = next.multipliedBy(2).compareTo(max) > 0 ? max : next.multipliedBy(2);
    return now;
  }

  /** It worked: the next failure is a first one again. */
  public void succeeded() {
    next = first;
  }
}
