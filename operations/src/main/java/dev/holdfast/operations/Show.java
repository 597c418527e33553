package dev.holdfast.operations;

import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionRows;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Fork;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.RowReader;
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.TableShape;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.Tid;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** One transaction with sample rows before and after, read on forks. */
public final class Show {
  /** Rows of each table that are looked at for lost JSON keys. */
  private static final int LOOKED_AT = 1_000;

  private static final JsonMapper JSON = JsonMapper.shared();

  private final ClusterStore cluster;

  /** Of one protected cluster. */
  public Show(String repository, String name) {
    this.cluster = Repository.open(repository).cluster(name);
  }

  /**
   * Finds the transaction and, when samples are wanted, reads rows on forks.
   *
   * @param samples rows of each table; 0 makes no forks
   */
  public TransactionDetail run(String xid, int samples, Progress progress) {
    TransactionTrace trace = TransactionTrace.of(cluster, xid, progress);
    LogEntry entry = LogEntry.of(trace.damage());
    String target = trace.damage().targetLsn().toString();
    if (samples <= 0) {
      return new TransactionDetail(entry, target, List.of(), null);
    }
    long begun = System.nanoTime();
    ForkOptions options = ForkOptions.defaults();
    try (Fork before = trace.forkBefore(options, progress);
        Fork after = trace.leftRows() ? trace.forkAfter(options, progress) : null) {
      double forkSeconds = (System.nanoTime() - begun) / 1e9;
      List<TransactionDetail.TableSample> tables = new ArrayList<>();
      try (Connection then = before.connect(trace.database());
          Connection left = after == null ? null : after.connect(trace.database())) {
        RowReader past = new RowReader(then);
        RowReader present = left == null ? null : new RowReader(left);
        for (TransactionTrace.TouchedTable table : trace.tables()) {
          sample(trace, table, past, present, samples).ifPresent(tables::add);
        }
      }
      return new TransactionDetail(entry, target, tables, forkSeconds);
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "the rows of transaction " + xid + " could not be read",
          String.valueOf(e.getMessage()),
          "holdfast show " + cluster.document().name() + " " + xid + " --no-samples works without",
          e);
    }
  }

  private static Optional<TransactionDetail.TableSample> sample(
      TransactionTrace trace,
      TransactionTrace.TouchedTable table,
      RowReader past,
      @Nullable RowReader left,
      int samples) {
    Optional<TableShape> was = past.shape(table.oid());
    Optional<TableShape> became = left == null ? Optional.empty() : left.shape(table.oid());
    if (table.action() != TableDamage.Action.CHANGED) {
      return was.map(shape -> lost(past, shape, samples));
    }
    List<TransactionDetail.RowSample> rows = new ArrayList<>();
    Map<String, Long> keys = new TreeMap<>();
    long changed = 0;
    for (RelFile file : table.files()) {
      List<TransactionRows.Change> changes = trace.rows().changes(file);
      changed += changes.size();
      for (TransactionDetail.RowSample row : images(changes, past, was, left, became)) {
        lostKeys(row, was.map(TableShape::columns).orElse(List.of()), keys);
        if (rows.size() < samples) {
          rows.add(row);
        }
      }
    }
    return Optional.of(
        new TransactionDetail.TableSample(
            table.name().schema(), table.name().table(), changed, keys, rows));
  }

  /** A table whose rows are all gone: what it held. */
  private static TransactionDetail.TableSample lost(RowReader past, TableShape shape, int samples) {
    return new TransactionDetail.TableSample(
        shape.name().schema(),
        shape.name().table(),
        past.count(shape.name()),
        Map.of(),
        past.some(shape.name(), shape.columns(), samples).stream()
            .map(row -> new TransactionDetail.RowSample(named(shape.columns(), row), null))
            .toList());
  }

  private static List<TransactionDetail.RowSample> images(
      List<TransactionRows.Change> changes,
      RowReader past,
      Optional<TableShape> was,
      @Nullable RowReader left,
      Optional<TableShape> became) {
    List<TransactionRows.Change> some = changes.subList(0, Math.min(changes.size(), LOOKED_AT));
    Map<Tid, Row> before =
        was.isEmpty()
            ? Map.of()
            : past.byTid(
                was.get().name(),
                was.get().columns(),
                some.stream()
                    .map(TransactionRows.Change::before)
                    .filter(Objects::nonNull)
                    .toList());
    Map<Tid, Row> after =
        left == null || became.isEmpty()
            ? Map.of()
            : left.byTid(
                became.get().name(),
                became.get().columns(),
                some.stream().map(TransactionRows.Change::after).filter(Objects::nonNull).toList());
    List<TransactionDetail.RowSample> images = new ArrayList<>();
    for (TransactionRows.Change change : some) {
      Row old = change.before() == null ? null : before.get(change.before());
      Row young = change.after() == null ? null : after.get(change.after());
      if (old != null || young != null) {
        images.add(
            new TransactionDetail.RowSample(
                old == null ? null : named(was.orElseThrow().columns(), old),
                young == null ? null : named(became.orElseThrow().columns(), young)));
      }
    }
    return images;
  }

  private static Map<String, @Nullable String> named(List<Column> columns, Row row) {
    Map<String, @Nullable String> values = new LinkedHashMap<>();
    for (int i = 0; i < columns.size(); i++) {
      values.put(columns.get(i).name(), row.value(i));
    }
    return values;
  }

  /** Adds the top-level keys that the row's JSON documents lost. */
  private static void lostKeys(
      TransactionDetail.RowSample row, List<Column> columns, Map<String, Long> keys) {
    Map<String, @Nullable String> before = row.before();
    Map<String, @Nullable String> after = row.after();
    if (before == null || after == null) {
      return;
    }
    for (Column column : columns) {
      if (column.content() == Column.Content.PLAIN) {
        continue;
      }
      JsonNode was = object(before.get(column.name()));
      JsonNode is = object(after.get(column.name()));
      if (was != null) {
        for (String key : was.propertyNames()) {
          if (is == null || !is.has(key)) {
            keys.merge(key, 1L, Long::sum);
          }
        }
      }
    }
  }

  private static @Nullable JsonNode object(@Nullable String text) {
    if (text == null) {
      return null;
    }
    try {
      JsonNode node = JSON.readTree(text);
      return node.isObject() ? node : null;
    } catch (JacksonException e) {
      return null; // nested deeper than a reader goes: no keys are told of it
    }
  }
}
