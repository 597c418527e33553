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
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Adds up what a committed transaction did, table by table. */
final class Settlement {
  private static final long PG_EVENT_TRIGGER = 3466;

  /** A superuser may disable the triggers of thousands of tables at once. */
  private static final int NOTED_MAX = 10;

  private final LearntNames names;
  private final FileNumbers files;
  private final TransactionScan scan;
  private final OpenTransaction transaction;
  private final Ending commit;
  private final Map<RelationId, Tally> tallies = new LinkedHashMap<>();
  private final List<TableDamage> unnamed = new ArrayList<>();

  private static final class Tally {
    private final Relation table;
    private final List<String> columns = new ArrayList<>();
    private Action action = Action.CHANGED;
    private boolean born;
    private long inserted;
    private long updated;
    private long deleted;
    private final long rowsBefore;

    private Tally(Relation table, long rowsBefore) {
      this.table = table;
      this.rowsBefore = rowsBefore;
    }

    private void add(Rows rows, boolean insertsKept) {
      inserted += insertsKept ? rows.inserted : 0;
      updated += rows.updated;
      deleted += rows.deleted;
    }

    private boolean isNothing() {
      return action == Action.CHANGED
          && inserted == 0
          && updated == 0
          && deleted == 0
          && columns.isEmpty();
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
    for (StorageFates.Outcome outcome : fates.outcomes()) {
      if (!outcome.born) {
        told(outcome);
      }
    }
    for (RelFile file : commit.droppedFiles()) {
      Relation table = fates.isNew(file) ? null : names.byFile(file, commit.lsn());
      if (table != null && table.holdsRows() && fates.isUnexplained(table)) {
        lost(table, file, fates.inferredFate(table));
      } else if (table == null && scan.isFilled(file) && fates.isGone(file)) {
        droppedUnnamed(file);
      }
    }
    droppedByOid(fates);
    droppedDatabase();
    for (int index = 0; index < transaction.files(); index++) {
      Rows rows = transaction.rows(index);
      changed(files.file(rows.file), rows, fates);
    }
    droppedColumns();

    List<TableDamage> tables = new ArrayList<>();
    for (Tally tally : tallies.values()) {
      if (!tally.isNothing() && !GuardTables.contain(tally.table.name())) {
        tables.add(damage(tally));
      }
    }
    tables.addAll(unnamed);
    commit.droppedFiles().forEach(names::forget);
    names.learn(fates.inferredFiles());
    return List.copyOf(tables);
  }

  /**
   * What it did to the guard, or to the database's event triggers: without them the guard does not
   * see commands that define and drop. Event triggers that it made itself, as the guard's
   * installation does, are not told. Ask after {@link #tables}.
   */
  List<String> notes() {
    List<String> notes = new ArrayList<>(transaction.origin.notes());
    if (!isGuardsOwn()) {
      if (notes.isEmpty()) { // else the guard itself has seen and told it
        guardTriggers(notes);
      }
      guardTables(notes);
    }
    for (int index = 0; index < transaction.files(); index++) {
      Rows rows = transaction.rows(index);
      RelFile file = files.file(rows.file);
      if (rows.updated + rows.deleted > 0 && isOfEventTriggers(file)) {
        String database = databaseName(file.database(), commit.lsn());
        if (rows.deleted > rows.inserted) {
          notes.add("event triggers of database " + database + " were dropped");
        }
        if (rows.updated > rows.inserted) {
          notes.add("event triggers of database " + database + " were changed");
        }
      }
    }
    return List.copyOf(notes);
  }

  /** Holdfast says so when it writes to its own tables, and the guard when it covers a table. */
  private boolean isGuardsOwn() {
    return transaction.origin.own()
        || tallies.values().stream()
            .anyMatch(tally -> GuardTables.isWorking(tally.table.name()) && tally.inserted > 0);
  }

  /** Triggers by table: ALTER TABLE … DISABLE TRIGGER ALL does the same to all of them. */
  private void guardTriggers(List<String> notes) {
    Map<Deed, Set<String>> deeds = new LinkedHashMap<>();
    for (WeakenedTrigger trigger : transaction.definitions.guardTriggers()) {
      Tally table = tallies.get(trigger.table());
      if (table == null || table.action != Action.DROPPED) { // else they went with it
        deeds
            .computeIfAbsent(new Deed(trigger.table(), trigger.what()), _ -> new TreeSet<>())
            .add(trigger.name());
      }
    }
    deeds.entrySet().stream()
        .limit(NOTED_MAX)
        .forEach(deed -> notes.add(weakened(deed.getKey(), deed.getValue())));
    if (deeds.size() > NOTED_MAX) {
      notes.add("the guard was weakened in %d more ways".formatted(deeds.size() - NOTED_MAX));
    }
  }

  private record Deed(RelationId table, String what) {}

  private String weakened(Deed deed, Set<String> triggers) {
    Relation table = names.byOid(deed.table.database(), deed.table.relation(), commit.lsn());
    return "the guard was weakened: %s %s on %s in database %s %s %s"
        .formatted(
            triggers.size() == 1 ? "trigger" : "triggers",
            String.join(", ", triggers),
            table == null ? "table " + deed.table.relation() : table.name().toString(),
            databaseName(deed.table.database(), commit.lsn()),
            triggers.size() == 1 ? "was" : "were",
            deed.what);
  }

  /** Rows that say what the guard refuses, written by hand. */
  private void guardTables(List<String> notes) {
    for (Tally tally : tallies.values()) {
      TableName name = tally.table.name();
      if (!GuardTables.rule(name) || tally.born) {
        continue;
      }
      List<String> deeds = new ArrayList<>();
      if (tally.action != Action.CHANGED) {
        deeds.add("the table was " + tally.action.name().toLowerCase(Locale.ROOT));
      }
      deed(deeds, tally.updated, "changed");
      deed(deeds, tally.deleted, "deleted");
      if (GuardTables.weakensByInserts(name)) {
        deed(deeds, tally.inserted, "added");
      }
      if (!deeds.isEmpty()) {
        notes.add(
            "the guard was changed by hand: %s in database %s: %s"
                .formatted(name, tally.table.databaseName(), String.join(", ", deeds)));
      }
    }
  }

  private static void deed(List<String> deeds, long rows, String what) {
    if (rows > 0) {
      deeds.add("%d %s %s".formatted(rows, rows == 1 ? "row" : "rows", what));
    }
  }

  /** VACUUM FULL gives a catalog a file of a new number. */
  private boolean isOfEventTriggers(RelFile file) {
    if (file.number() < TransactionScan.FIRST_NORMAL_OID) {
      return file.number() == PG_EVENT_TRIGGER;
    }
    Relation relation = names.byFile(file, commit.lsn());
    return relation != null
        && relation.kind() == Relation.Kind.CATALOG
        && relation.oid() == PG_EVENT_TRIGGER;
  }

  /** What pg_class says became of a relation that was there before. */
  private void told(StorageFates.Outcome outcome) {
    RelFile newFile = outcome.lastFile();
    if (!outcome.gone && newFile == null) {
      return;
    }
    Relation relation = names.byOid(outcome.id.database(), outcome.id.relation(), commit.lsn());
    if (relation == null || outcome.state.persistence() == 't') {
      return;
    }
    if (outcome.gone && relation.kind() == Relation.Kind.PARTITIONED_TABLE) {
      tally(relation, 0).action = Action.DROPPED; // its rows are its partitions'
    } else if (relation.holdsRows()) {
      RelFile file = fileBefore(outcome);
      if (outcome.gone) {
        lost(relation, file, StorageFates.Fate.DROPPED);
      } else if (outcome.truncated) {
        lost(relation, file, StorageFates.Fate.TRUNCATED);
      } else if (newFile != null) {
        names.carriedOver(newFile, rowsBefore(relation, file));
      }
    }
  }

  /** The file the relation had before the transaction; null when the log does not tell. */
  private @Nullable RelFile fileBefore(StorageFates.Outcome outcome) {
    for (RelationChange change : transaction.definitions.relations()) {
      if (change.oid() == outcome.id.relation() && change.database() == outcome.id.database()) {
        return change.fileBefore();
      }
    }
    return null;
  }

  private void lost(Relation table, @Nullable RelFile file, StorageFates.Fate fate) {
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
  private void droppedByOid(StorageFates fates) {
    for (DroppedStat stat : commit.droppedStats()) {
      if (stat.kind() != DroppedStat.RELATION
          || fates.outcome(stat.database(), stat.object()) != null) {
        continue; // no relation, or pg_class told
      }
      Relation relation = names.byOid(stat.database(), stat.object(), commit.lsn());
      if (relation != null && relation.kind() == Relation.Kind.PARTITIONED_TABLE) {
        tally(relation, 0).action = Action.DROPPED; // its rows are its partitions'
      } else if (relation != null && relation.holdsRows()) {
        tally(relation, relation.estimatedRows()).action = Action.DROPPED;
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
              List.of(),
              List.of()));
    }
  }

  private void changed(RelFile file, Rows rows, StorageFates fates) {
    if (file.number() < TransactionScan.FIRST_NORMAL_OID) {
      return;
    }
    StorageFates.Outcome owner = fates.ownerOf(file);
    boolean vehicle = owner != null && owner.born && owner.gone;
    if (owner != null && !(vehicle && fates.inferredOwner(file) != null)) {
      changedNew(file, rows, owner);
      return;
    }
    if (fates.isNew(file)) {
      changedInferred(file, rows, fates);
      return;
    }
    Relation table = names.byFile(file, commit.lsn());
    if (table == null) {
      unnamed(file, rows);
    } else if (table.holdsRows()) {
      StorageFates.Outcome outcome = fates.outcome(table.database(), table.oid());
      tally(table, rowsBefore(table, file)).add(rows, outcome == null || outcome.keptInserts(file));
    }
  }

  /** Rows in a file that the transaction made, and pg_class says for whom. */
  private void changedNew(RelFile file, Rows rows, StorageFates.Outcome owner) {
    if (owner.gone && owner.born) {
      return; // nobody else ever saw it
    }
    Lsn at = owner.born ? commit.end() : commit.lsn();
    Relation table = names.byOid(owner.id.database(), owner.id.relation(), at);
    if (table == null || !table.holdsRows() || owner.state.persistence() == 't') {
      return;
    }
    if (!owner.born) {
      tally(table, rowsBefore(table, fileBefore(owner))).add(rows, owner.keptInserts(file));
    } else if (table.kind() == Relation.Kind.TABLE && owner.keptInserts(file)) {
      // Rows of its own making; what a new materialised view holds is in other tables too.
      Tally made = tally(table, 0);
      made.born = true;
      made.inserted += rows.inserted - (rows.deleted - rows.deletedBeforeEmptied);
    }
  }

  private void changedInferred(RelFile file, Rows rows, StorageFates fates) {
    Relation table = fates.inferredOwner(file);
    if (table == null || !table.holdsRows()) {
      return;
    }
    boolean rewritten =
        fates.isUnexplained(table) && fates.inferredFate(table) == StorageFates.Fate.REWRITTEN;
    if (!rewritten || rows.handedOver) { // else rows that the rewrite carried over are among them
      tally(table, rowsBefore(table, file)).add(rows, true);
    }
  }

  private void droppedColumns() {
    for (DroppedColumn column : transaction.definitions.columns()) {
      String name = column.column() == null ? "column " + column.number() : column.column();
      RelationId id = column.relation() == null ? onlyLocked() : column.relation();
      Relation table = id == null ? null : names.byOid(id.database(), id.relation(), commit.lsn());
      if (table != null && table.kind() == Relation.Kind.PARTITIONED_TABLE) {
        tally(table, 0).columns.add(name); // what was in it was in its partitions
      } else if (table != null && table.holdsRows()) {
        tally(table, rowsBefore(table, null)).columns.add(name);
      }
    }
  }

  /** The one table that was locked to be altered; null when there are several, or none. */
  private @Nullable RelationId onlyLocked() {
    RelationId only = null;
    for (OpenTransaction.Step step : transaction.steps) {
      if (step instanceof OpenTransaction.Step.Locked lock) {
        Relation locked =
            names.byOid(lock.relation().database(), lock.relation().relation(), commit.lsn());
        if (locked != null && locked.holdsRows()) {
          if (only != null) {
            return null;
          }
          only = lock.relation();
        }
      }
    }
    return only;
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
            List.of(),
            List.of()));
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
            List.of(),
            List.of()));
  }

  private String databaseName(long database, Lsn at) {
    String name = names.database(database, at);
    return name == null ? Long.toString(database) : name;
  }

  /** The recorded estimate, unless the log proves that the table was empty, or got rows since. */
  private long rowsBefore(Relation table, @Nullable RelFile file) {
    if (file != null && scan.isCreated(file) && !scan.isFilled(file) && !table.unlogged()) {
      return 0;
    }
    long rows = table.estimatedRows();
    if (table.bytes() == 0 || rows == 0) {
      boolean filled = file == null ? scan.isFilled(table, commit.lsn()) : scan.isFilled(file);
      if (!filled && table.bytes() <= 0 && names.followedSinceSnapshot(commit.lsn())) {
        return 0;
      }
      rows = -1;
    }
    return rows < 0 && file != null ? names.carriedOver(file) : rows;
  }

  private Tally tally(Relation table, long rowsBefore) {
    return tallies.computeIfAbsent(
        new RelationId(table.database(), table.oid()), _ -> new Tally(table, rowsBefore));
  }

  private TableDamage damage(Tally tally) {
    return new TableDamage(
        tally.table.databaseName(),
        tally.table.name(),
        tally.table.oid(),
        tally.action,
        tally.inserted,
        tally.updated,
        tally.deleted,
        tally.rowsBefore,
        jsonLosses(tally.table),
        tally.columns);
  }

  /** The guard told the table's name of the moment: it may have been renamed in here. */
  private List<JsonLoss> jsonLosses(Relation table) {
    if (transaction.origin.losses().isEmpty()) {
      return List.of();
    }
    Relation after = names.byOid(table.database(), table.oid(), commit.end());
    return transaction.origin.lossesOf(
        table.databaseName(), table.name(), after == null ? table.name() : after.name());
  }
}
