package dev.holdfast.operations;

import dev.holdfast.damage.Relation;
import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TouchedSince;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.damage.TransactionRows;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Fork;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.ForkTarget;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** What the log says of one transaction: which rows of which tables, and what became of them. */
final class TransactionTrace {
  /**
   * One table it touched.
   *
   * @param oid lasting identity: the same after a rename
   * @param files the files its rows were changed in; none when it was only dropped or truncated
   */
  record TouchedTable(long oid, TableName name, TableDamage.Action action, List<RelFile> files) {}

  private final ClusterStore cluster;
  private final RecordedNames names;
  private final TransactionDamage damage;
  private final TransactionRows rows;
  private final TouchedSince touched;

  private TransactionTrace(
      ClusterStore cluster,
      RecordedNames names,
      TransactionDamage damage,
      TransactionRows rows,
      TouchedSince touched) {
    this.cluster = cluster;
    this.names = names;
    this.damage = damage;
    this.rows = rows;
    this.touched = touched;
  }

  /** Reads the recorded WAL for everything about this transaction. */
  static TransactionTrace of(ClusterStore cluster, String xid, Progress progress) {
    RecordedWal wal = new RecordedWal(cluster);
    RecordedNames names = RecordedNames.of(cluster);
    TransactionDamage damage = new RecordedTransactions(cluster, wal, names).find(xid, progress);
    if (!wal.holds(damage.firstLsn(), damage.commitEnd())) {
      throw new OperatorException(
          Kind.REFUSED,
          "transaction " + damage.xid() + " cannot be shown or undone row by row",
          "its log, from %s to %s, is not in the repository any more; recorded is %s"
              .formatted(damage.firstLsn(), damage.commitEnd(), wal.describe()),
          "holdfast log " + cluster.document().name() + " --destructive tells what it did");
    }
    TransactionRows rows =
        new TransactionRows(
            damage.xid(),
            damage.subtransactions(),
            file -> isTable(names.byFile(file, damage.commitLsn())));
    TouchedSince touched = new TouchedSince(rows);
    try (Progress.Phase phase =
        progress.begin(
            "reading what it changed, and what was changed since",
            wal.bytesFrom(damage.firstLsn()),
            Progress.Unit.BYTES)) {
      Lsn end = damage.commitEnd();
      wal.read(
          damage.firstLsn(),
          null,
          phase,
          record -> {
            if (Long.compareUnsigned(record.lsn(), end.position()) < 0) {
              rows.accept(record);
            } else {
              touched.accept(record);
            }
          });
    }
    return new TransactionTrace(cluster, names, damage, rows, touched);
  }

  private static boolean isTable(@Nullable Relation relation) {
    return relation != null && relation.kind() == Relation.Kind.TABLE;
  }

  TransactionDamage damage() {
    return damage;
  }

  TransactionRows rows() {
    return rows;
  }

  TouchedSince touched() {
    return touched;
  }

  /** The database it happened in, by name. */
  String database() {
    return damage.tables().getFirst().database();
  }

  /** The tables it touched, as the log and the recorded catalogs name them. */
  List<TouchedTable> tables() {
    Map<Long, List<RelFile>> files = new LinkedHashMap<>();
    for (RelFile file : rows.changedFiles()) {
      Relation relation = names.byFile(file, damage.commitLsn());
      if (relation != null) {
        files.computeIfAbsent(relation.oid(), _ -> new java.util.ArrayList<>()).add(file);
      }
    }
    Map<Long, TouchedTable> tables = new LinkedHashMap<>();
    for (TableDamage table : damage.tables()) {
      if (table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA)) {
        continue; // told by nameless()
      }
      tables.put(
          table.oid(),
          new TouchedTable(
              table.oid(),
              table.table(),
              table.action(),
              files.getOrDefault(table.oid(), List.of())));
    }
    return List.copyOf(tables.values());
  }

  /** Files whose table nobody recorded: their rows cannot be brought back in place. */
  Set<String> nameless() {
    Set<String> unknown = new TreeSet<>();
    for (TableDamage table : damage.tables()) {
      if (table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA)) {
        unknown.add(table.table().table());
      }
    }
    return unknown;
  }

  /** Whether rows as the transaction left them must be read, which takes a fork from just after. */
  boolean leftRows() {
    return tables().stream()
        .filter(table -> table.action() != TableDamage.Action.DROPPED)
        .flatMap(table -> table.files().stream())
        .flatMap(file -> rows.changes(file).stream())
        .anyMatch(change -> !change.isDelete());
  }

  Fork forkBefore(ForkOptions options, Progress progress) {
    return Forks.start(
        cluster,
        ForkTarget.before(damage.targetLsn()),
        options,
        "fork just before " + damage.xid(),
        progress);
  }

  Fork forkAfter(ForkOptions options, Progress progress) {
    return Forks.start(
        cluster,
        ForkTarget.after(damage.commitLsn()),
        options,
        "fork just after " + damage.xid(),
        progress);
  }
}
