package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectExistsException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Somebody who wants a lease. Asked again and again, it takes the lease when nobody has it, when it
 * was given back, when its holder was a process of this machine that is certainly gone, or when it
 * was seen unchanged for the holder's term, and a tenth more, by this process's own clock. What
 * clocks of other machines say does not count. One thread at a time.
 */
public final class LeaseCandidate {
  /** Of a lease whose state does not hold: what it was is not known. */
  private static final Duration TERM_UNKNOWN = Duration.ofMinutes(1);

  private final LeaseFolder folder;
  private final String role;
  private final String purpose;
  private final Duration term;
  private final LongSupplier nanos;
  private final InstantSource clock;
  private long watched = -1;
  private long watchedSince;

  LeaseCandidate(
      LeaseFolder folder,
      String role,
      String purpose,
      Duration term,
      LongSupplier nanos,
      InstantSource clock) {
    this.folder = folder;
    this.role = role;
    this.purpose = purpose;
    this.term = term;
    this.nanos = nanos;
    this.clock = clock;
  }

  /**
   * What came of asking; one of the two is null, or both are.
   *
   * @param lease taken; null when it was not
   * @param holder who has it; null when it was taken, or when its state does not hold
   */
  public record Answer(@Nullable Lease lease, @Nullable LeaseDocument holder) {}

  /** Takes the lease if it may be taken. */
  public Answer ask() {
    LeaseFolder.State state = folder.newest();
    long now = nanos.getAsLong();
    if (state.number() != watched) {
      watched = state.number();
      watchedSince = now;
    }
    if (!isFree(state, now)) {
      return new Answer(null, state.document());
    }
    LeaseDocument.Holder holder = LocalProcess.holder(purpose);
    LeaseDocument document =
        new LeaseDocument(
            role, holder, clock.instant(), clock.instant(), term.toNanos() / 1e9, false);
    boolean taken = false;
    try {
      folder.put(state.number() + 1, document);
      // Who slept between the look and this has put a number that was used and removed since.
      LeaseFolder.State newest = folder.newest();
      taken = newest.number() == state.number() + 1;
      if (taken) {
        folder.clean(newest.numbers(), newest.number());
      }
      return taken
          ? new Answer(new Lease(folder, document, newest.number(), now, nanos, clock), null)
          : new Answer(null, newest.document());
    } catch (ObjectExistsException e) {
      return new Answer(null, folder.newest().document()); // somebody else was first
    } finally {
      if (!taken) {
        LocalProcess.forget(holder);
      }
    }
  }

  /** As {@link #ask}, once, for what does not wait. */
  public Lease take(String toDo) {
    Answer answer = ask();
    Lease lease = answer.lease();
    if (lease != null) {
      return lease;
    }
    LeaseDocument holder = answer.holder();
    throw new OperatorException(
        Kind.REFUSED,
        "cannot " + toDo,
        holder == null
            ? "another Holdfast has begun to at this moment"
            : "%s does (%s, since %s, last heard of %s)"
                .formatted(
                    holder.holder().purpose(),
                    holder.holder().where(),
                    holder.acquiredAt(),
                    holder.renewedAt()),
        "wait until it has ended; one that died is taken for gone %.0f s after it was last seen"
            .formatted(holder == null ? 60 : holder.termSeconds()));
  }

  private boolean isFree(LeaseFolder.State state, long now) {
    LeaseDocument document = state.document();
    if (state.number() == 0) {
      return true;
    }
    if (document == null) {
      return now - watchedSince >= TERM_UNKNOWN.toNanos();
    }
    return Lease.isOver(document)
        || now - watchedSince >= (long) (document.termSeconds() * 1.1 * 1e9);
  }
}
