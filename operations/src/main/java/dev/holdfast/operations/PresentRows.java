package dev.holdfast.operations;

import dev.holdfast.damage.RowHistories;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Step;
import dev.holdfast.postgres.RowReader;
import dev.holdfast.postgres.RowSpool;
import dev.holdfast.postgres.RowVersion;
import dev.holdfast.row.Row;
import dev.holdfast.row.TableShape;
import dev.holdfast.wal.Tid;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Rows of one table that lie in production where the log last put them, and were written by whom
 * the log says: the very versions. Of the others nothing is known but that the log does not tell
 * all about them: they were written after its end, or moved by a rewrite of the table.
 */
final class PresentRows {
  private static final int BATCH = 5_000;

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
      List<Integer> numbers = new ArrayList<>(BATCH);
      List<Step> steps = new ArrayList<>(BATCH);
      for (int number = 0; number < rows.count(); number++) {
        RowHistory history = rows.history(number);
        if (history != null
            && history.last().left() == RowHistories.Left.VERSION
            && rows.file(number).number() == file) {
          numbers.add(number);
          steps.add(history.last());
        }
        boolean isLast = number == rows.count() - 1;
        if (numbers.size() == BATCH || (isLast && !numbers.isEmpty())) {
          Map<Tid, RowVersion> found = present.at(now, steps);
          if (now.fileNumber(table.oid()) != file) {
            return present; // rewritten meanwhile: other rows may lie at these places now
          }
          present.keep(numbers, steps, found);
          phase.advance(numbers.size());
          numbers.clear();
          steps.clear();
        }
      }
      return present;
    }
  }

  private Map<Tid, RowVersion> at(RowReader now, List<Step> steps) {
    Collection<Tid> tids = new ArrayList<>(steps.size());
    steps.forEach(step -> tids.add(Objects.requireNonNull(step.tid())));
    return now.versionsByTid(shape.name(), shape.columns(), tids);
  }

  private void keep(List<Integer> numbers, List<Step> steps, Map<Tid, RowVersion> found) {
    for (int i = 0; i < numbers.size(); i++) {
      RowVersion version = found.get(steps.get(i).tid());
      if (version != null && version.xmin() == steps.get(i).xid()) {
        places[numbers.get(i)] = spool.add(version.row());
      }
    }
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
