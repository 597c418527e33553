package dev.holdfast.operations;

import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionRows;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Fork;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.RowReader;
import dev.holdfast.revert.ColumnMatch;
import dev.holdfast.revert.Hit;
import dev.holdfast.revert.PlanDigest;
import dev.holdfast.revert.RevertOptions;
import dev.holdfast.revert.TablePlan;
import dev.holdfast.revert.TableRevert;
import dev.holdfast.revert.WholeRows;
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.RowKey;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.Tid;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Brings together, row by row, what a table's rows were before a transaction (read on one fork),
 * after it (on another) and are now (in production), and lets {@code revert} decide about each.
 *
 * <p>Rows go through in batches, so memory does not grow with the transaction, save for tables
 * without a key and for rows put into a table after truncating it.
 */
final class RowMergeJob {
  private static final int BATCH = 1_000;

  /** Past the numbers any column can have (MaxAttrNumber, access/attnum.h: 32767). */
  private static final int GONE = 100_000;

  private final TransactionTrace trace;
  private final Fork before;
  private final Supplier<Fork> after;
  private final PostgresUrl owner;
  private final RevertOptions options;
  private final PlanDigest digest;

  /**
   * What came out for one table.
   *
   * @param plan null when there is nothing to merge with, as {@code note} says
   * @param match how to read the changes; null with {@code plan}
   * @param oid the table in production: another than the log's when it was made again since
   * @param note what the operator should know; empty when nothing
   */
  record Merged(@Nullable TablePlan plan, @Nullable ColumnMatch match, long oid, String note) {}

  /** A row's three images; a null row did not exist then. */
  private record Images(@Nullable Row before, @Nullable Row after, boolean touched) {
    List<Hit> hits() {
      return List.of(Hit.of(before, after, touched));
    }
  }

  /**
   * @param after makes the fork from just after, the first time it is needed: deletions need none
   */
  RowMergeJob(
      TransactionTrace trace,
      Fork before,
      Supplier<Fork> after,
      PostgresUrl owner,
      RevertOptions options,
      PlanDigest digest) {
    this.trace = trace;
    this.before = before;
    this.after = after;
    this.owner = owner;
    this.options = options;
    this.digest = digest;
  }

  /** Plans one table; what is to be written goes to the sink. */
  Merged merge(TransactionTrace.TouchedTable table, RowChangeSink sink, Progress progress)
      throws SQLException {
    try (Connection then = before.connect(trace.database());
        Connection present = owner.open()) {
      RowReader past = new RowReader(then);
      RowReader now = new RowReader(present);
      Optional<TableShape> was = past.shape(table.oid());
      if (was.isEmpty()) {
        return new Merged(
            null,
            null,
            0,
            table.name()
                + " was made by this transaction itself: its rows are left; drop it if it is not"
                + " wanted");
      }
      TableShape thenShape = was.get();
      long oidNow = table.oid();
      Optional<TableShape> is = now.shape(oidNow);
      String madeAgain = "";
      if (is.isEmpty()) {
        Optional<Long> sameName = now.oid(thenShape.name());
        is = sameName.flatMap(now::shape);
        if (is.isEmpty()) {
          return new Merged(
              null, null, 0, table.name() + " was dropped since: undo that first, then this");
        }
        oidNow = sameName.orElseThrow();
        thenShape = numberedLike(thenShape, is.get());
        madeAgain =
            table.name()
                + " was made again since: its columns are matched by name, and rows written again"
                + " with the very same values cannot be told";
      }
      ColumnMatch match = ColumnMatch.of(thenShape, is.get());
      TableRevert revert = new TableRevert(match, options, digest, sink);
      try (Table reading = new Table(table, oidNow, match, was.get(), past, now, revert);
          Progress.Phase phase =
              progress.begin(
                  "comparing rows of " + table.name(), reading.size(), Progress.Unit.ROWS)) {
        reading.decide(phase);
        return new Merged(
            revert.plan(), match, oidNow, madeAgain.isEmpty() ? reading.note() : madeAgain);
      }
    }
  }

  /**
   * A table of the past with the column numbers of one of the same name made since: columns are the
   * same when their names are. Those gone since get numbers that no column has.
   */
  private static TableShape numberedLike(TableShape past, TableShape present) {
    Map<String, Integer> byName = new HashMap<>();
    present.columns().forEach(column -> byName.put(column.name(), column.number()));
    Map<Integer, Integer> renumbered = new HashMap<>();
    List<Column> columns = new ArrayList<>();
    for (Column column : past.columns()) {
      int number = byName.getOrDefault(column.name(), GONE + column.number());
      renumbered.put(column.number(), number);
      columns.add(new Column(number, column.name(), column.type(), column.content()));
    }
    columns.sort(java.util.Comparator.comparingInt(Column::number));
    return new TableShape(
        past.name(), columns, past.key().stream().map(renumbered::get).toList(), past.generated());
  }

  private final class Table implements AutoCloseable {
    private final TransactionTrace.TouchedTable table;
    private final long oidNow;
    private final ColumnMatch match;
    private final TableShape pastShape;
    private final TableName pastName;
    private final RowReader past;
    private final RowReader now;
    private final TableRevert revert;
    private @Nullable Connection leftConnection;
    private @Nullable RowReader left;

    private Table(
        TransactionTrace.TouchedTable table,
        long oidNow,
        ColumnMatch match,
        TableShape pastShape,
        RowReader past,
        RowReader now,
        TableRevert revert) {
      this.table = table;
      this.oidNow = oidNow;
      this.match = match;
      this.pastShape = pastShape;
      this.pastName = pastShape.name();
      this.past = past;
      this.now = now;
      this.revert = revert;
    }

    private boolean truncated() {
      return table.action() == TableDamage.Action.TRUNCATED;
    }

    long size() {
      long changed =
          table.files().stream().mapToLong(file -> trace.rows().changes(file).size()).sum();
      return truncated() ? changed + past.count(pastName) : changed;
    }

    String note() {
      return table.files().stream().anyMatch(trace.touched().filesGone()::contains)
          ? table.name()
              + " was rewritten since: rows written again with the very same values cannot be told"
          : "";
    }

    void decide(Progress.Phase phase) {
      if (match.wholeRows()) {
        wholes(phase);
      } else if (truncated()) {
        truncatedByKey(phase);
      } else if (deletesAndInserts()) {
        replacedByKey(phase);
      } else {
        eachChange(images -> byKey(images, phase));
      }
    }

    /** Every row the transaction changed, in batches. */
    private void eachChange(java.util.function.Consumer<List<Images>> sink) {
      for (RelFile file : table.files()) {
        List<TransactionRows.Change> changes = trace.rows().changes(file);
        for (int from = 0; from < changes.size(); from += BATCH) {
          sink.accept(images(file, changes.subList(from, Math.min(from + BATCH, changes.size()))));
        }
      }
    }

    private List<Images> images(RelFile file, List<TransactionRows.Change> changes) {
      List<Tid> old = new ArrayList<>();
      List<Tid> young = new ArrayList<>();
      for (TransactionRows.Change change : changes) {
        if (change.before() != null) {
          old.add(change.before());
        }
        if (change.after() != null) {
          young.add(change.after());
        }
      }
      Map<Tid, Row> were = past.byTid(pastName, match.then(), old);
      Map<Tid, Row> became =
          young.isEmpty() ? Map.of() : leftRows().byTid(leftName(), leftColumns(), young);
      List<Images> images = new ArrayList<>(changes.size());
      for (TransactionRows.Change change : changes) {
        images.add(
            new Images(
                change.before() == null ? null : found(were, change.before()),
                change.after() == null ? null : found(became, change.after()),
                change.after() != null && trace.touched().isTouched(file, change.after())));
      }
      return images;
    }

    private Row found(Map<Tid, Row> rows, Tid tid) {
      Row row = rows.get(tid);
      if (row == null) {
        throw new OperatorException(
            Kind.FAILED,
            "the rows of " + table.name() + " could not be matched with the log",
            "the log changes a row at "
                + tid
                + " that the fork does not have; the transaction may have rewritten the table"
                + " before it changed it",
            "look at the data on forks: holdfast fork NAME --before "
                + trace.damage().xid()
                + ", and --after");
      }
      return row;
    }

    private RowReader leftRows() {
      if (left == null) {
        leftConnection = after.get().connect(trace.database());
        left = new RowReader(leftConnection);
      }
      return left;
    }

    private TableShape leftShape() {
      return leftRows()
          .shape(table.oid())
          .orElseThrow(() -> new IllegalStateException(table.name() + " left rows and is gone"));
    }

    private TableName leftName() {
      return leftShape().name();
    }

    /** The past's columns under the names the transaction left them with. */
    private List<Column> leftColumns() {
      Map<String, Integer> numbers = new HashMap<>();
      pastShape.columns().forEach(column -> numbers.put(column.name(), column.number()));
      Map<Integer, Column> byNumber = new HashMap<>();
      leftShape().columns().forEach(column -> byNumber.put(column.number(), column));
      return match.then().stream()
          .map(column -> byNumber.getOrDefault(numbers.get(column.name()), column))
          .toList();
    }

    private void byKey(List<Images> images, Progress.Phase phase) {
      List<RowKey> keys = new ArrayList<>(images.size());
      for (Images image : images) {
        keys.add(
            match.keyOf(Objects.requireNonNull(image.after != null ? image.after : image.before)));
      }
      Map<RowKey, Row> present = now.byKey(oidNow, match.now(), keys);
      for (int i = 0; i < images.size(); i++) {
        Images image = images.get(i);
        revert.undo(image.hits(), present.get(keys.get(i)));
      }
      phase.advance(images.size());
    }

    private boolean deletesAndInserts() {
      List<TransactionRows.Change> all =
          table.files().stream().flatMap(file -> trace.rows().changes(file).stream()).toList();
      return all.stream().anyMatch(TransactionRows.Change::isDelete)
          && all.stream().anyMatch(TransactionRows.Change::isInsert);
    }

    /** A row deleted, and another one inserted with its key, are one row updated. */
    private void replacedByKey(Progress.Phase phase) {
      Map<RowKey, Images> put = new HashMap<>();
      eachChange(images -> {
        for (Images image : images) {
          if (image.before == null && image.after != null) {
            put.put(match.keyOf(image.after), image);
          }
        }
      });
      eachChange(images -> {
        List<Images> batch = new ArrayList<>();
        for (Images image : images) {
          if (image.before != null) {
            Images again = image.after == null ? put.remove(match.keyOf(image.before)) : null;
            batch.add(again == null ? image : new Images(image.before, again.after, again.touched));
          }
        }
        byKey(batch, phase);
      });
      inBatches(put.values(), phase);
    }

    private void inBatches(Collection<Images> images, Progress.Phase phase) {
      List<Images> all = List.copyOf(images);
      for (int from = 0; from < all.size(); from += BATCH) {
        byKey(all.subList(from, Math.min(from + BATCH, all.size())), phase);
      }
    }

    /** Every row there was is lost, unless the transaction put one with its key in again. */
    private void truncatedByKey(Progress.Phase phase) {
      Map<RowKey, Images> put = new HashMap<>();
      eachChange(images -> {
        for (Images image : images) {
          if (image.after != null) {
            put.put(match.keyOf(image.after), image);
          }
        }
      });
      List<Images> batch = new ArrayList<>(BATCH);
      past.all(
          pastName,
          match.then(),
          row -> {
            Images again = put.remove(match.keyOf(row));
            batch.add(
                again == null
                    ? new Images(row, null, false)
                    : new Images(row, again.after, again.touched));
            if (batch.size() == BATCH) {
              byKey(batch, phase);
              batch.clear();
            }
          });
      byKey(batch, phase);
      inBatches(put.values(), phase);
    }

    /** Without a key: by whole rows, equal ones by their number. */
    private void wholes(Progress.Phase phase) {
      WholeRows wholes = new WholeRows();
      everyImage(image -> wholes.changed(image.before, image.after));
      if (!truncated() || !table.files().isEmpty()) {
        leftRows().all(leftName(), leftColumns(), wholes::after);
      }
      now.all(match.table(), match.now().subList(0, match.then().size()), wholes::now);
      everyImage(image -> {
        revert.undo(image.hits(), wholes.claim(image.before, image.after));
        phase.advance(1);
      });
    }

    private void everyImage(java.util.function.Consumer<Images> sink) {
      eachChange(images -> images.forEach(sink));
      if (truncated()) {
        past.all(pastName, match.then(), row -> sink.accept(new Images(row, null, false)));
      }
    }

    @Override
    public void close() throws SQLException {
      if (leftConnection != null) {
        leftConnection.close();
      }
    }
  }
}
