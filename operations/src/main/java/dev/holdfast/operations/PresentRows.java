package dev.holdfast.operations;

import dev.holdfast.damage.RowHistories;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Step;
import dev.holdfast.postgres.RowReader;
import dev.holdfast.postgres.RowSpool;
import dev.holdfast.row.Row;
import dev.holdfast.row.TableShape;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Rows of one table that lie in production where the log last put them, and were written by whom
 * the log says: the very versions. Of the others nothing is known but that the log does not tell
 * all about them: they were written after its end, or moved by a rewrite of the table.
 */
final class PresentRows {
  private static final int BATCH = 20_000;

  private final TableShape shape;
  private final RowSpool spool;
  private final long[] places;

  private PresentRows(TableShape shape, int count, RowSpool spool) {
    this.shape = shape;
    this.spool = spool;
    this.places = new long[count];
    Arrays.fill(places, -1);
  }

  /**
   * Reads them.
   *
   * @param rows the rows' histories, numbered through the table's files
   * @param now reads production
   * @param table the table there; when it was made since, none of its rows lies where the log says
   * @param spool keeps them
   */
  static PresentRows read(
      TableRows rows, RowReader now, TableNow table, RowSpool spool, Progress progress) {
    PresentRows present = new PresentRows(table.shape(), rows.count(), spool);
    try (Progress.Phase phase =
        progress.begin(
            "reading rows of " + rows.table().name() + " as they are",
            rows.count(),
            Progress.Unit.ROWS)) {
      long file = table.madeAgain() ? 0 : now.fileNumber(table.oid());
      int[] numbers = new int[BATCH];
      long[] tids = new long[BATCH];
      long[] xids = new long[BATCH];
      int size = 0;
      for (int number = 0; number < rows.count(); number++) {
        RowHistory history = rows.history(number);
        if (history != null
            && history.last().left() == RowHistories.Left.VERSION
            && rows.file(number).number() == file) {
          Step last = history.last();
          numbers[size] = number;
          tids[size] = Objects.requireNonNull(last.tid()).pack();
          xids[size] = last.xid();
          size++;
        }
        if (size == BATCH || (number == rows.count() - 1 && size > 0)) {
          long[] found = present.at(now, Arrays.copyOf(tids, size), xids);
          if (now.fileNumber(table.oid()) != file) {
            return present; // rewritten meanwhile: other rows may lie at these places now
          }
          for (int index = 0; index < size; index++) {
            present.places[numbers[index]] = found[index];
          }
          phase.advance(size);
          size = 0;
        }
      }
      return present;
    }
  }

  /** Where in the spool the versions are that were written by whom the log says; -1 for none. */
  private long[] at(RowReader now, long[] tids, long[] xids) {
    long[] found = new long[tids.length];
    Arrays.fill(found, -1);
    now.at(
        shape.name(),
        shape.columns(),
        tids,
        (request, xmin, row) -> {
          if (xmin == xids[request]) {
            found[request] = spool.add(row);
          }
        });
    return found;
  }

  /** How the table's columns stood when the rows were read. */
  TableShape shape() {
    return shape;
  }

  /** Whether the version the log tells of last is the one that is there. */
  boolean isAsLogged(int number) {
    return places[number] >= 0;
  }

  /** That version; null when it is not there. */
  @Nullable Row row(int number) {
    return places[number] < 0 ? null : spool.read(places[number]);
  }
}
