package dev.holdfast.store;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectExistsException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The right of one process to do something that only one should do at a time, such as recording a
 * cluster. It is renewed three times in a term, and given back when it is closed.
 *
 * <p>{@link #check} is the fence: whoever writes under a lease asks it before each write. As long
 * as this process's clock says that the term cannot be over it answers at once; else (the process
 * or its machine was paused, or the repository could not be reached) it renews the lease first, and
 * throws when another has taken it meanwhile. May be used by several threads.
 */
public final class Lease implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Lease.class);

  private final LeaseFolder folder;
  private final LongSupplier nanos;
  private final InstantSource clock;
  private final long termNanos;
  private LeaseDocument document;
  private long number;
  private long renewedNanos;
  private Instant renewedAt;
  private @Nullable LeaseLostException lost;
  private boolean closed;
  private @Nullable Thread renewing;

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
    this.document = document;
    this.number = number;
    this.renewedNanos = begunNanos;
    this.renewedAt = document.acquiredAt();
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
              .name("lease-" + document.role())
              .start(() -> keep(pause, onLost));
    }
  }

  private void keep(Duration pause, Runnable onLost) {
    try {
      while (true) {
        Thread.sleep(pause);
        try {
          renew();
        } catch (LeaseLostException e) {
          if (!isClosed()) {
            onLost.run();
          }
          return;
        } catch (OperatorException e) {
          LOG.info("the lease {} could not be renewed: {}", document.role(), e.why());
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // closed
    }
  }

  /** Who holds it, and since when. */
  public synchronized LeaseDocument document() {
    return document;
  }

  /** Whether another was seen to have taken it. */
  public synchronized boolean isLost() {
    return lost != null;
  }

  /**
   * To be asked before each write.
   *
   * @throws LeaseLostException when another has it
   * @throws OperatorException REPOSITORY_UNREACHABLE when that cannot be told
   */
  public synchronized void check() {
    throwIfLost();
    // The second clock is for machines that were suspended: the first may have stood still.
    boolean fresh =
        nanos.getAsLong() - renewedNanos < termNanos
            && clock.instant().isBefore(renewedAt.plusNanos(termNanos));
    if (!fresh) {
      renew();
    }
  }

  /** As {@link #check}, and begins a new term. */
  synchronized void renew() {
    throwIfLost();
    while (true) {
      long before = nanos.getAsLong();
      Instant at = clock.instant();
      LeaseDocument next = document.renewed(at);
      try {
        folder.put(number + 1, next);
      } catch (ObjectExistsException e) {
        LeaseFolder.State newest = folder.newest();
        LeaseDocument there = newest.document();
        if (newest.number() > number && there != null && isOurs(there)) {
          number = newest.number(); // put by an attempt of ours that was told it had failed
          continue;
        }
        throw lose(taker(there));
      }
      List<Long> numbers = folder.numbers();
      long highest = numbers.stream().mapToLong(each -> each).max().orElse(number + 1);
      if (highest > number + 1) {
        throw lose(taker(folder.newest().document()));
      }
      number++;
      document = next;
      renewedNanos = before;
      renewedAt = at;
      folder.clean(numbers, number);
      return;
    }
  }

  private boolean isOurs(LeaseDocument there) {
    return there.holder().token().equals(document.holder().token());
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
    LeaseLostException failure =
        new LeaseLostException(
            document.holder().purpose() + " has to stop",
            why,
            "nothing: nothing was harmed, and it is done there now; run the same command again to"
                + " stand by");
    lost = failure;
    LocalProcess.forget(document.holder());
    return failure;
  }

  private synchronized boolean isClosed() {
    return closed;
  }

  private void throwIfLost() {
    if (lost != null) {
      throw lost;
    }
    if (closed) {
      throw lose("it was given back");
    }
  }

  /** Gives it back, so that nobody has to wait; whoever cannot be told finds out by waiting. */
  @Override
  public void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
      if (renewing != null) {
        renewing.interrupt();
      }
      try {
        if (lost == null) {
          folder.put(number + 1, document.givenBack(clock.instant()));
        }
      } catch (OperatorException e) {
        LOG.info("the lease {} could not be given back: {}", document.role(), e.why());
      } finally {
        LocalProcess.forget(document.holder());
      }
    }
  }
}
