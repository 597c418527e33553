package dev.holdfast.operations;

import dev.holdfast.revert.Hit;
import dev.holdfast.row.Row;
import dev.holdfast.wal.Lsn;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What was done to one row of a table, as {@link RowLives} puts it together, and where it is now.
 */
final class RowLife {
  List<Hit> hits;

  /** The commit of the last of them. */
  final Lsn lastHit;

  @Nullable Row now;

  /** The row before others rewrote the table: its key is looked for. Null for the last hit's. */
  @Nullable Row lastKnown;

  /** Whether {@link #now} is known, null included; else it is looked for. */
  boolean known;

  /** Whether others wrote it before the set ended, so that the set did not leave it so. */
  boolean goneBeforeEnd;

  /** The xmin of the version that is the row's last, as the log tells; 0 when it does not. */
  long xmin;

  /** Whether the table was rewritten by others since: who wrote the row, only its xmin tells. */
  boolean rewritten;

  /** The transaction that rewrote it: ALTER TABLE writes every row anew under its own id. */
  long rewriter;

  /** Whether the row found by its key may be another one: others wrote it after the rewrite. */
  boolean uncertain;

  /** Whether others moved it to another partition, where nobody follows it. */
  boolean movedOn;

  /** Whether the row that is under its key now was put there by the set. */
  boolean nowOfSet;

  RowLife(List<Hit> hits, Lsn lastHit) {
    this.hits = hits;
    this.lastHit = lastHit;
  }

  /** The row as the set left it; null when there was none, or when it was not left so. */
  @Nullable Row left() {
    return goneBeforeEnd ? null : hits.getLast().after();
  }

  /** The row that the last hit deleted. */
  Row deleted() {
    return Objects.requireNonNull(hits.getLast().before());
  }

  /** The row before others rewrote the table. */
  Row kept() {
    return Objects.requireNonNull(lastKnown);
  }

  boolean endsDeleted() {
    return hits.getLast().after() == null;
  }
}
