package dev.holdfast.operations;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One row's life in a random history, from its INSERT to its DELETE, through changes of its key:
 * the generator's ledger. A row put in with the key of a deleted one is another line.
 */
final class HistoryLine {
  /** One statement's write to the row. A null row was not there. */
  record Write(
      HistoryTransaction by,
      HistoryLine line,
      @Nullable HistoryRow before,
      @Nullable HistoryRow after) {
    boolean bad() {
      return by.bad;
    }
  }

  /** In order; what was rolled back is taken out again. */
  List<Write> writes = new ArrayList<>();

  @Nullable HistoryRow now;

  /** The open transaction that wrote it last: nobody else can until that ends. */
  @Nullable HistoryTransaction heldBy;

  /** The row as others see it while a transaction that holds it is open. */
  @Nullable HistoryRow committed() {
    for (Write write : writes) {
      if (write.by() == heldBy) {
        return write.before();
      }
    }
    return now;
  }

  boolean hit() {
    return writes.stream().anyMatch(Write::bad);
  }

  /** Whether good traffic wrote the row after a bad transaction did: a conflict may be reported. */
  boolean mixed() {
    boolean hit = false;
    for (Write write : writes) {
      if (write.bad()) {
        hit = true;
      } else if (hit) {
        return true;
      }
    }
    return false;
  }

  /** The row as it was before the first bad transaction hit it; as it is when none did. */
  @Nullable HistoryRow beforeBad() {
    for (Write write : writes) {
      if (write.bad()) {
        return write.before();
      }
    }
    return now;
  }

  /** The writes from the first bad one on, those of one transaction as one: nobody saw more. */
  List<Write> sinceHit() {
    List<Write> since = new ArrayList<>();
    for (Write write : writes) {
      Write last = since.isEmpty() ? null : since.getLast();
      if (last != null && last.by() == write.by()) {
        since.set(since.size() - 1, new Write(last.by(), this, last.before(), write.after()));
      } else if (last != null || write.bad()) {
        since.add(write);
      }
    }
    return since;
  }

  /**
   * What the bad transactions deleted, when they did so last: the row as it was before the writes
   * of theirs that nobody came between.
   */
  @Nullable HistoryRow deleted() {
    if (now != null || writes.isEmpty() || !writes.getLast().bad()) {
      return null;
    }
    int first = writes.size() - 1;
    while (first > 0 && writes.get(first - 1).bad()) {
      first--;
    }
    return writes.get(first).before();
  }

  /** The row as the bad transactions first found it, or put it in; null when they left it alone. */
  @Nullable HistoryRow firstHit() {
    List<Write> hit = sinceHit();
    int last = 0;
    while (last + 1 < hit.size() && hit.get(last + 1).bad()) {
      last++;
    }
    return hit.isEmpty()
        ? null
        : hit.getFirst().before() != null ? hit.getFirst().before() : hit.get(last).after();
  }

  void columnAdded(@Nullable String value) {
    List<Write> longer = new ArrayList<>();
    for (Write write : writes) {
      longer.add(
          new Write(write.by(), this, longer(write.before(), value), longer(write.after(), value)));
    }
    writes = longer;
    now = longer(now, value);
  }

  private static @Nullable HistoryRow longer(@Nullable HistoryRow row, @Nullable String value) {
    return row == null ? null : row.and(value);
  }
}
