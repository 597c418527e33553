package dev.holdfast.damage;

import dev.holdfast.damage.OpenTransaction.Rows;
import dev.holdfast.damage.TableDamage.Action;
import dev.holdfast.row.TableName;
import dev.holdfast.wal.DroppedStat;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Adds up what a committed transaction did, table by table. */
final class Settlement {
  private final LearntNames names;
  private final FileNumbers files;
  private final TransactionScan scan;
  private final OpenTransaction transaction;
  private final Ending commit;
  private final Map<RelationId, Tally> tallies = new LinkedHashMap<>();
  private final List<TableDamage> unnamed = new ArrayList<>();

  private static final class Tally {
    private final Relation table;
    private Action action = Action.CHANGED;
    private long inserted;
    private long updated;
    private long deleted;
    private final long rowsBefore;

    private Tally(Relation table, long rowsBefore) {
      this.table = table;
      this.rowsBefore = rowsBefore;
    }

    private void add(Rows rows) {
      inserted += rows.inserted;
      updated += rows.updated;
      deleted += rows.deleted;
    }

    private boolean isNothing() {
      return action == Action.CHANGED && inserted == 0 && updated == 0 && deleted == 0;
    }
  }

  /**
   * @param scan knows which files got rows since it began
   */
  Settlement(
      LearntNames names,
      FileNumbers files,
      TransactionScan scan,
      OpenTransaction transaction,
      Ending commit) {
    this.names = names;
    this.files = files;
    this.scan = scan;
    this.transaction = transaction;
    this.commit = commit;
  }

  List<TableDamage> tables() {
    StorageFates fates = new StorageFates(transaction, files, commit, names);
    for (RelFile file : commit.droppedFiles()) {
      Relation table = fates.isNew(file) ? null : names.byFile(file, commit.lsn());
      if (table != null && table.holdsRows()) {
        lost(table, file, fates.of(table));
      } else if (table == null && scan.isFilled(file) && fates.isGone(file)) {
        droppedUnnamed(file);
      }
    }
    droppedByOid();
    droppedDatabase();
    for (int index = 0; index < transaction.files(); index++) {
      Rows rows = transaction.rows(index);
      changed(files.file(rows.file), rows, fates);
    }

    List<TableDamage> tables = new ArrayList<>();
    for (Tally tally : tallies.values()) {
      if (!tally.isNothing()) {
        tables.add(damage(tally));
      }
    }
    tables.addAll(unnamed);
    commit.droppedFiles().forEach(names::forget);
    names.learn(fates.newFiles());
    return List.copyOf(tables);
  }

  private void lost(Relation table, RelFile file, StorageFates.Fate fate) {
    long rowsBefore = rowsBefore(table, file);
    switch (fate) {
      case DROPPED -> tally(table, rowsBefore).action = Action.DROPPED;
      case TRUNCATED -> {
        if (rowsBefore != 0) { // emptying an empty table loses nothing
          tally(table, rowsBefore).action = Action.TRUNCATED;
        }
      }
      case REWRITTEN -> {}
    }
  }

  /**
   * From PostgreSQL 15 on dropped statistics name what has no file (partitioned tables) and what
   * has one that nobody recorded.
   */
  private void droppedByOid() {
    for (DroppedStat stat : commit.droppedStats()) {
      if (stat.kind() == DroppedStat.RELATION) {
        Relation relation = names.byOid(stat.database(), stat.object(), commit.lsn());
        if (relation != null && relation.kind() == Relation.Kind.PARTITIONED_TABLE) {
          tally(relation, 0).action = Action.DROPPED; // its rows are its partitions'
        } else if (relation != null && relation.holdsRows()) {
          tally(relation, relation.estimatedRows()).action = Action.DROPPED;
        }
      }
    }
  }

  private void droppedDatabase() {
    long database = transaction.droppedDatabase;
    if (database == 0) {
      return;
    }
    Lsn before =
        transaction.databaseGone == null ? new Lsn(transaction.firstLsn) : transaction.databaseGone;
    List<Relation> tables = names.tablesOf(database, before);
    for (Relation table : tables) {
      boolean parent = table.kind() == Relation.Kind.PARTITIONED_TABLE;
      tally(table, parent ? 0 : table.estimatedRows()).action = Action.DROPPED;
    }
    if (tables.isEmpty()) {
      unnamed.add(
          new TableDamage(
              databaseName(database, before),
              new TableName(TableDamage.UNKNOWN_SCHEMA, "*"),
              0,
              Action.DROPPED,
              0,
              0,
              0,
              -1,
              null));
    }
  }

  private void changed(RelFile file, Rows rows, StorageFates fates) {
    if (file.number() < TransactionScan.FIRST_NORMAL_OID) {
      return;
    }
    Relation table;
    if (fates.isNew(file)) {
      table = fates.ownerOfNew(file);
      if (table == null || isRewritten(table, file, fates)) {
        return; // a new table nobody recorded yet, or rows a rewrite carried over
      }
    } else {
      table = names.byFile(file, commit.lsn());
      if (table == null) {
        unnamed(file, rows);
        return;
      }
    }
    if (table.holdsRows()) {
      tally(table, rowsBefore(table, file)).add(rows);
    }
  }

  private boolean isRewritten(Relation table, RelFile file, StorageFates fates) {
    boolean replacesOther =
        commit.droppedFiles().stream()
            .filter(dropped -> !dropped.equals(file) && !fates.isNew(dropped))
            .map(dropped -> names.byFile(dropped, commit.lsn()))
            .anyMatch(owner -> owner != null && owner.oid() == table.oid());
    return replacesOther && fates.of(table) == StorageFates.Fate.REWRITTEN;
  }

  private void unnamed(RelFile file, Rows rows) {
    if (rows.inserted + rows.updated + rows.deleted == 0) {
      return;
    }
    unnamed.add(
        new TableDamage(
            databaseName(file.database(), commit.lsn()),
            new TableName(TableDamage.UNKNOWN_SCHEMA, file.toString()),
            0,
            Action.CHANGED,
            rows.inserted,
            rows.updated,
            rows.deleted,
            -1,
            null));
  }

  /** A table made and filled since the catalog was recorded. */
  private void droppedUnnamed(RelFile file) {
    unnamed.add(
        new TableDamage(
            databaseName(file.database(), commit.lsn()),
            new TableName(TableDamage.UNKNOWN_SCHEMA, file.toString()),
            file.number(),
            Action.DROPPED,
            0,
            0,
            0,
            -1,
            null));
  }

  private String databaseName(long database, Lsn at) {
    String name = names.database(database, at);
    return name == null ? Long.toString(database) : name;
  }

  /** The recorded estimate, unless the log proves that an empty table got rows since. */
  private long rowsBefore(Relation table, RelFile file) {
    if (table.bytes() == 0 || table.estimatedRows() == 0) {
      return scan.isFilled(file) || table.bytes() > 0 ? -1 : 0;
    }
    return table.estimatedRows();
  }

  private Tally tally(Relation table, long rowsBefore) {
    return tallies.computeIfAbsent(
        new RelationId(table.database(), table.oid()), _ -> new Tally(table, rowsBefore));
  }

  private static TableDamage damage(Tally tally) {
    return new TableDamage(
        tally.table.databaseName(),
        tally.table.name(),
        tally.table.oid(),
        tally.action,
        tally.inserted,
        tally.updated,
        tally.deleted,
        tally.rowsBefore,
        null);
  }
}
