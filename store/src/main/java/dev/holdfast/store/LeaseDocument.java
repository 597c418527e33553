package dev.holdfast.store;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * Who holds, or last held, a lease. Times are by the holder's clock, for people: nothing is decided
 * by them.
 *
 * @param role what the lease is for: {@code record}, {@code schedule}
 * @param holder who
 * @param acquiredAt since when
 * @param renewedAt when the holder was last heard of
 * @param termSeconds how long it may stay silent before another may take its place
 * @param released whether it was given back
 */
public record LeaseDocument(
    String role,
    Holder holder,
    Instant acquiredAt,
    Instant renewedAt,
    double termSeconds,
    boolean released) {
  /**
   * A process.
   *
   * @param token made anew for each lease that is taken
   * @param host the machine's name
   * @param pid the process there
   * @param machine this boot of this machine and the space its process numbers belong to; null when
   *     the system does not tell
   * @param startTicks when the process began, as the kernel counts; with {@code pid} it names one
   *     process of a machine; null when the system does not tell
   * @param purpose what it does with the lease, such as {@code holdfast record acme}
   */
  public record Holder(
      String token,
      String host,
      long pid,
      @Nullable String machine,
      @Nullable Long startTicks,
      String purpose) {
    /** As an operator reads it: {@code db-backup-1, process 4711}. */
    public String where() {
      return host + ", process " + pid;
    }
  }

  LeaseDocument renewed(Instant at) {
    return new LeaseDocument(role, holder, acquiredAt, at, termSeconds, false);
  }

  LeaseDocument givenBack(Instant at) {
    return new LeaseDocument(role, holder, acquiredAt, at, termSeconds, true);
  }
}
