package dev.holdfast.wal;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Objects;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Joins segments that were filtered each for itself: the record that begins in one and ends in a
 * later one is read whole, and overwritten if all it touches is excluded; the set of excluded files
 * grows with databases that are copied, and what was filtered with an older set is filtered again.
 * The outcome does not depend on what was filtered when, or by how many threads.
 *
 * <p>One thread; {@link #excluded} may be asked by any.
 */
public final class FilteredLog {
  /** As pages are read: the joining record seldom needs more than the first of a segment. */
  private static final int PIECE = 8 * 1024;

  /**
   * A longer record is not gathered when it cannot be excluded: it has no block references, such as
   * a logical message. Damage in it is left for the server to find. Commit records are gathered
   * whatever their length: whoever asked to be told of records judges catalogs by them.
   */
  private static final int GATHERED_MAX = 4 << 20;

  private final Consumer<RawRecord> seen;
  private volatile ExcludedFiles excluded;
  private @Nullable WalDamagedException damage;

  /** Segments from the one on in which {@link #open} stands, in order. */
  private final Deque<FilteredSegment> held = new ArrayDeque<>();

  private final Deque<FilteredSegment> done = new ArrayDeque<>();

  /** Stands at the end of what was added, perhaps within a record; null after damage. */
  private @Nullable WalReader open;

  /**
   * @param excluded at the start of the first segment
   * @param seen told of each record that goes on from one segment to the next
   */
  public FilteredLog(ExcludedFiles excluded, Consumer<RawRecord> seen) {
    this.excluded = excluded;
    this.seen = seen;
  }

  /**
   * What is excluded at the end of what was added: the best set to filter further segments with.
   */
  public ExcludedFiles excluded() {
    return excluded;
  }

  /** The first place where the log does not hold; null while it does. */
  public @Nullable WalDamagedException damage() {
    return damage;
  }

  /**
   * Adds the next segment.
   *
   * @param segment filtered already with any set this log has had, or not at all
   */
  public void add(FilteredSegment segment) {
    join(segment);
    if (segment.before() != excluded) {
      segment.filter(excluded, seen);
    }
    excluded = segment.after();
    if (damage == null) {
      damage = segment.damage();
    }
    held.addLast(segment);
    if (open == null) {
      open = segment.damage() == null ? segment.reader() : null;
    }
    releaseSettled();
  }

  /** The next segment that nothing later can change; null when there is none yet. */
  public @Nullable FilteredSegment poll() {
    return done.poll();
  }

  /** No segment follows: what a last record lacks will not come, and replay will not reach it. */
  public void finish() {
    release();
    open = null;
  }

  /** Reads on into the next segment, to the first record that begins in it. */
  private void join(FilteredSegment next) {
    WalReader reader = open;
    if (reader == null) {
      release();
      return;
    }
    byte[] bytes = next.bytes();
    long start = next.name().start().position();
    try {
      for (int at = 0; at < bytes.length; at += PIECE) {
        reader.feed(bytes, at, Math.min(PIECE, bytes.length - at));
        RawRecord record = reader.poll();
        if (record != null && Long.compareUnsigned(record.lsn(), start) < 0) {
          settle(record, next);
          record = reader.poll();
        }
        if (record != null) { // it begins in the next segment: their link holds as well
          open = null;
          break;
        }
      }
    } catch (WalDamagedException e) {
      damage = damage == null ? e : damage;
      open = null;
    }
    if (open != null
        && reader.pendingLength() > 0
        && reader.position().isBefore(next.name().start())) {
      return; // still within one record
    }
    open = null;
    release();
  }

  private void settle(RawRecord record, FilteredSegment next) {
    seen.accept(record);
    if (!FilteredSegment.isLeftOut(record, excluded)) {
      excluded = FilteredSegment.following(record, excluded);
      return;
    }
    FilteredSegment first = Objects.requireNonNull(held.pollFirst());
    first.overwrite(record, held.isEmpty() ? next : held.peekFirst());
    held.addFirst(first);
  }

  /** Nobody waits for a record that will not be overwritten. */
  private void releaseSettled() {
    WalReader reader = open;
    if (reader == null) {
      return;
    }
    int pending = reader.pendingLength();
    if (pending == 0) {
      return;
    }
    if (reader.pendingHasNoBlocks()) {
      release();
      if (pending > GATHERED_MAX && !reader.pendingIsOfTransaction()) {
        open = null;
      }
    }
  }

  private void release() {
    done.addAll(held);
    held.clear();
  }
}
