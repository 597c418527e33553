package dev.holdfast.operations;

import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.operations.RowImages.Image;
import dev.holdfast.postgres.ForkTimings;
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.TableShape;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** One transaction with sample rows before and after, read on a fork. */
public final class Show {
  /** Rows of each table that are looked at for lost JSON keys. */
  private static final int LOOKED_AT = 1_000;

  private static final JsonMapper JSON = JsonMapper.shared();

  /**
   * A table of which rows were changed.
   *
   * @param rows those that are looked at
   * @param count how many there are in all
   */
  private record Changed(TableRows rows, long count) {
    static Changed of(TableRows all) {
      long count = 0;
      int end = 0;
      for (int number = 0; number < all.count(); number++) {
        if (all.history(number) != null) {
          count++;
          end = count <= LOOKED_AT ? number + 1 : end;
        }
      }
      return new Changed(all.first(end), count);
    }
  }

  private final ClusterStore cluster;

  /** Of one protected cluster. */
  public Show(String repository, String name) {
    this.cluster = Repository.open(repository).cluster(name);
  }

  /**
   * Finds the transaction and, when samples are wanted, reads rows as they were around it.
   *
   * @param samples rows of each table; 0 makes no fork
   */
  public TransactionDetail run(String xid, int samples, Progress progress) {
    TransactionSet set = TransactionSet.upToCommit(cluster, xid, progress);
    TransactionDamage damage = set.transactions().getFirst();
    LogEntry entry = LogEntry.of(damage);
    String target = damage.targetLsn().toString();
    if (samples <= 0) {
      return new TransactionDetail(entry, target, List.of(), null);
    }
    Map<Long, Changed> changed = new HashMap<>();
    for (TransactionSet.Table table : set.tables()) {
      if (table.action() == TableDamage.Action.CHANGED) {
        changed.put(table.oid(), Changed.of(new TableRows(table, set.histories())));
      }
    }
    Set<Long> lost = new LinkedHashSet<>();
    for (TableDamage table : damage.tables()) {
      if (table.action() != TableDamage.Action.CHANGED && !TransactionSet.isUnknown(table)) {
        lost.add(table.oid());
      }
    }
    try (RowImages images = new RowImages(set)) {
      changed
          .values()
          .forEach(table -> images.want(table.rows, new WantedImages(false), null, false));
      lost.forEach(table -> images.wantSome(table, set.lastBefore(table), samples));
      images.read(progress);
      List<TransactionDetail.TableSample> tables = new ArrayList<>();
      for (TableDamage table : damage.tables()) {
        Changed rows = changed.remove(table.oid());
        if (rows != null) {
          tables.add(changed(images, rows, samples));
        } else if (lost.remove(table.oid())) {
          images.some(table.oid()).ifPresent(held -> tables.add(lost(held)));
        }
      }
      ForkTimings timings = images.forkTimings();
      return new TransactionDetail(
          entry, target, tables, timings == null ? null : timings.total().toNanos() / 1e9);
    }
  }

  private static TransactionDetail.TableSample changed(
      RowImages images, Changed changed, int samples) {
    TransactionSet.Table table = changed.rows.table();
    List<TransactionDetail.RowSample> rows = new ArrayList<>();
    Map<String, Long> keys = new TreeMap<>();
    for (int number = 0; number < changed.rows.count(); number++) {
      Image before = images.image(table.oid(), number, 0);
      Image after = images.image(table.oid(), number, 1);
      if (before == null && after == null) {
        continue;
      }
      TransactionDetail.RowSample row =
          new TransactionDetail.RowSample(
              before == null ? null : named(before.shape(), before.row()),
              after == null ? null : named(after.shape(), after.row()));
      if (before != null) {
        lostKeys(row, before.shape().columns(), keys);
      }
      if (rows.size() < samples) {
        rows.add(row);
      }
    }
    return new TransactionDetail.TableSample(
        table.name().schema(), table.name().table(), changed.count, keys, rows);
  }

  /** A table whose rows are all gone: what it held. */
  private static TransactionDetail.TableSample lost(RowImages.Held held) {
    TableShape shape = held.shape();
    return new TransactionDetail.TableSample(
        shape.name().schema(),
        shape.name().table(),
        held.count(),
        Map.of(),
        held.some().stream()
            .map(row -> new TransactionDetail.RowSample(named(shape, row), null))
            .toList());
  }

  private static Map<String, @Nullable String> named(TableShape shape, Row row) {
    List<Column> columns = shape.columns();
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
