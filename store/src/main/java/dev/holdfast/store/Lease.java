package dev.holdfast.store;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectExistsException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The right of one process to do something that only one should do at a time, such as recording a
 * cluster. It is renewed three times in a term, and given back when it is closed.
 *
 * <p>{@link #check} is the fence: whoever writes under a lease asks it before each write. As long
 * as this process's clock says that the term cannot be over it answers at once, also while a
 * renewal is under way, however long that takes; else (the process or its machine was paused, or
 * the repository could not be reached) it renews the lease first, and throws when another has taken
 * it meanwhile. May be used by several threads.
 */
public final class Lease implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Lease.class);

  private final LeaseFolder folder;
  private final LongSupplier nanos;
  private final InstantSource clock;
  private final long termNanos;

  /** Held by whoever puts a state; it may take as long as the repository does. */
  private final ReentrantLock putting = new ReentrantLock();

  /** Changed by whoever holds {@link #putting}, read by all. */
  private volatile Renewed renewed;

  private volatile @Nullable LeaseLostException lost;
  private volatile boolean closed;

  /** Guarded by {@link #putting}. */
  private boolean givenBack;

  private @Nullable Thread renewing;

  /**
   * The newest state of ours.
   *
   * @param beganNanos before it was put: the term may have begun then
   */
  private record Renewed(long number, LeaseDocument document, long beganNanos) {}

  /**
   * @param begunNanos before its state was put: the term may have begun then
   */
  Lease(
      LeaseFolder folder,
      LeaseDocument document,
      long number,
      long begunNanos,
      LongSupplier nanos,
      InstantSource clock) {
    this.folder = folder;
    this.renewed = new Renewed(number, document, begunNanos);
    this.nanos = nanos;
    this.clock = clock;
    this.termNanos = (long) (document.termSeconds() * 1e9);
  }

  /** Renews it in the background until it is closed. */
  public void keep(Runnable onLost) {
    Duration pause = Duration.ofNanos(Math.max(1_000_000, termNanos / 3));
    synchronized (this) {
      renewing =
          Thread.ofPlatform()
              .daemon()
              .name("lease-" + document().role())
              .start(() -> keep(pause, onLost));
    }
  }

  private void keep(Duration pause, Runnable onLost) {
    try {
      while (true) {
        Thread.sleep(pause); // the pace of renewals; closing interrupts it
        try {
          renew();
        } catch (LeaseLostException e) {
          if (!closed) {
            onLost.run();
          }
          return;
        } catch (OperatorException e) {
          LOG.info("the lease {} could not be renewed: {}", document().role(), e.why());
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // closed
    }
  }

  /** Who holds it, and since when. */
  public LeaseDocument document() {
    return renewed.document();
  }

  /**
   * Whether nobody holds it, for certain: it was given back, or its holder was a process of this
   * machine that is gone. Of processes of other machines only their silence tells.
   */
  public static boolean isOver(LeaseDocument state) {
    return state.released() || LocalProcess.isGone(state.holder());
  }

  /** Whether another was seen to have taken it. Answers at once. */
  public boolean isLost() {
    return lost != null;
  }

  /**
   * Whether no other can have it now, as far as this process's clock tells. Answers at once; when
   * it is false, and it is not lost either, that is being found out.
   */
  public boolean isHeld() {
    return lost == null && !closed && isWithinTerm();
  }

  private boolean isWithinTerm() {
    Renewed newest = renewed;
    // The second clock is for machines that were suspended: the first may have stood still.
    return nanos.getAsLong() - newest.beganNanos() < termNanos
        && clock.instant().isBefore(newest.document().renewedAt().plusNanos(termNanos));
  }

  /**
   * To be asked before each write.
   *
   * @throws LeaseLostException when another has it
   * @throws OperatorException REPOSITORY_UNREACHABLE when that cannot be told
   */
  public void check() {
    throwIfLost();
    if (isWithinTerm()) {
      return;
    }
    putting.lock();
    try {
      throwIfLost();
      if (!isWithinTerm()) { // who held the lock may have renewed it
        putNext();
      }
    } finally {
      putting.unlock();
    }
  }

  /** As {@link #check}, and begins a new term. */
  void renew() {
    List<Long> numbers;
    putting.lock();
    try {
      throwIfLost();
      numbers = putNext();
    } finally {
      putting.unlock();
    }
    folder.clean(numbers, renewed.number()); // no write waits for this
  }

  /**
   * Puts the next state.
   *
   * @return the numbers that are there
   */
  private List<Long> putNext() {
    while (true) {
      long number = renewed.number();
      long before = nanos.getAsLong();
      LeaseDocument next = document().renewed(clock.instant());
      try {
        folder.put(number + 1, next);
      } catch (ObjectExistsException e) {
        LeaseFolder.State newest = folder.newest();
        LeaseDocument there = newest.document();
        if (newest.number() > number && there != null && isOurs(there)) {
          // Put by an attempt of ours that was told it had failed.
          renewed = new Renewed(newest.number(), document(), renewed.beganNanos());
          continue;
        }
        throw lose(taker(there));
      }
      List<Long> numbers = folder.numbers();
      long highest = numbers.stream().mapToLong(each -> each).max().orElse(number + 1);
      if (highest > number + 1) {
        throw lose(taker(folder.newest().document()));
      }
      renewed = new Renewed(number + 1, next, before);
      return numbers;
    }
  }

  private boolean isOurs(LeaseDocument there) {
    return there.holder().token().equals(document().holder().token());
  }

  private static String taker(@Nullable LeaseDocument there) {
    return there == null
        ? "another process has taken it over"
        : "%s (%s) has taken it over at %s, after this process was not heard of for %.0f s"
            .formatted(
                there.holder().purpose(),
                there.holder().where(),
                there.acquiredAt(),
                there.termSeconds());
  }

  private LeaseLostException lose(String why) {
    LeaseLostException failure = failure(why);
    lost = failure;
    LocalProcess.forget(document().holder());
    return failure;
  }

  private LeaseLostException failure(String why) {
    return new LeaseLostException(
        document().holder().purpose() + " has to stop",
        why,
        "nothing: nothing was harmed, and it is done there now; run the same command again to"
            + " stand by");
  }

  private void throwIfLost() {
    LeaseLostException failure = lost;
    if (failure != null) {
      throw failure;
    }
    if (closed) {
      throw failure("it was given back");
    }
  }

  /** Gives it back, so that nobody has to wait; whoever cannot be told finds out by waiting. */
  @Override
  public void close() {
    closed = true; // nothing is written under it any more, also while the lock is not to be had
    putting.lock();
    try {
      if (givenBack) {
        return;
      }
      givenBack = true;
      synchronized (this) {
        if (renewing != null) {
          renewing.interrupt();
        }
      }
      if (lost == null) {
        folder.put(renewed.number() + 1, document().givenBack(clock.instant()));
      }
    } catch (OperatorException e) {
      LOG.info("the lease {} could not be given back: {}", document().role(), e.why());
    } finally {
      putting.unlock();
      LocalProcess.forget(document().holder());
    }
  }
}
