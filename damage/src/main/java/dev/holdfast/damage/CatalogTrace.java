package dev.holdfast.damage;

import dev.holdfast.damage.History.Version;
import dev.holdfast.row.TableName;
import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Names that are right between two recordings of the catalog: what was recorded, carried on with
 * the changes to pg_class, pg_namespace, pg_database, pg_index and pg_attribute that the log tells.
 *
 * <p>Hand it every record {@link #isOfInterest of interest} in order, and every end of a
 * transaction. A name at an LSN is what transactions committed before it made of it: at the start
 * of a commit record it is the name before, at the record's end the name after. What did not exist
 * before has its first name already then, and a file belongs to its relation from the row of
 * pg_class on that names it.
 *
 * <p><b>Rows are followed by place.</b> An update at wal_level=replica says only what is different
 * from the version before, which is known from the log itself, from a copy of the page in the
 * record, or from a snapshot that tells where rows lay. A snapshot is believed about places only if
 * the log was handed over from its position on. What none of them tells stays unknown: a relation
 * that may have been renamed has no name until the next snapshot. Rows that VACUUM FULL of a
 * catalog moved are forgotten.
 *
 * <p><b>Memory</b> grows with what changed since the second last snapshot: older changes are let go
 * when a snapshot is passed, those excepted that are younger than a transaction still running when
 * it was taken. Not thread-safe.
 */
public final class CatalogTrace implements RelationNames {
  private static final char TEMPORARY = 't';

  // OIDs that initdb gives ("catalog/pg_namespace.dat").
  private static final long PG_CATALOG = 11;
  private static final long PG_TOAST = 99;
  private static final long PUBLIC = 2200;

  /** A file's owner from one position to another, both included; {@code to} null: to this day. */
  private record FileUse(
      RelationId owner, Lsn from, @Nullable Lsn to, @Nullable RelationState passing) {}

  private record Owner(Lsn since, long xid, long table) {}

  private final RelationNames recorded;
  private final @Nullable RecordedCatalog snapshots;

  /** Where the records began: a snapshot's places are those of rows from its position on. */
  private final Lsn start;

  private @Nullable CatalogSnapshot current;

  /** The snapshot in force, and the one before it. */
  private List<CatalogSnapshot> held = List.of();

  private final CatalogRows rows;
  private final Map<RelationId, History<RelationState>> relations = new HashMap<>();
  private final Map<RelationId, History<String>> schemas = new HashMap<>();
  private final Map<Long, History<String>> databases = new HashMap<>();
  private final Map<RelationId, Owner> owners = new HashMap<>();
  private final Map<RelFile, List<FileUse>> files = new HashMap<>();

  /** Databases in which a relation or schema changed. */
  private final Set<Long> changedDatabases = new HashSet<>();

  /**
   * @param recorded the names recorded; a {@link RecordedCatalog} lets changes to what it knows be
   *     followed, others only what is new
   * @param start of the first record that will be handed over. To be right from there on, begin
   *     with the newest snapshot before what matters
   */
  public CatalogTrace(RelationNames recorded, Lsn start) {
    this.recorded = recorded;
    this.snapshots = recorded instanceof RecordedCatalog catalog ? catalog : null;
    this.start = start;
    this.rows = new CatalogRows(start, this::measured);
    advance(start);
  }

  // ---- records ---------------------------------------------------------------------------------

  /** Whether {@link #accept} wants to see the record: a few comparisons. */
  public boolean isOfInterest(RawRecord record) {
    return rows.isOfInterest(record);
  }

  /** Takes the next record of interest. The window is not kept. */
  public void accept(RawRecord record) {
    advance(new Lsn(record.lsn()));
    rows.accept(record);
  }

  private void measured(RelationId relation, HeapTuple row) {
    History<RelationState> history = relations.get(relation);
    Version<RelationState> last = history == null ? null : history.last();
    if (history != null && last != null && last.state() != null) {
      history.replaceLast(last.state().withEstimatedRows(RelationState.estimate(row)));
    }
  }

  // ---- snapshots passed ------------------------------------------------------------------------

  private void advance(Lsn lsn) {
    CatalogSnapshot newest = snapshots == null ? null : snapshots.snapshot(lsn);
    if (snapshots == null || newest == null || newest.equals(current)) {
      return;
    }
    current = newest;
    held = List.of(newest);
    CatalogSnapshot older = snapshots.snapshot(newest.position().plus(-1));
    boolean hasOlder = older != null && older.position().isBefore(newest.position());
    if (older != null && hasOlder) {
      held = List.of(newest, older);
    }
    rows.hold(held, newest);
    if (older != null && hasOlder && !older.position().isBefore(start)) {
      letGo(older, newest); // what is older than the start tells no places
    }
  }

  /** Two snapshots know them: changes committed before the older one. */
  private void letGo(CatalogSnapshot older, CatalogSnapshot newer) {
    relations.forEach((id, history) -> {
      if (older.covers(id.database()) && newer.covers(id.database())) {
        history.letGo(version -> older.has(version.commit(), version.xid()));
      }
    });
    relations.values().removeIf(History::isEmpty);
    schemas.forEach((id, history) -> {
      if (older.covers(id.database()) && newer.covers(id.database())) {
        history.letGo(version -> older.has(version.commit(), version.xid()));
      }
    });
    schemas.values().removeIf(History::isEmpty);
    databases.values().forEach(history -> history.letGo(v -> older.has(v.commit(), v.xid())));
    databases.values().removeIf(History::isEmpty);
    owners
        .entrySet()
        .removeIf(e ->
            older.covers(e.getKey().database())
                && newer.covers(e.getKey().database())
                && older.has(e.getValue().since, e.getValue().xid));
    files
        .values()
        .forEach(uses ->
            uses.removeIf(use -> {
              Lsn end = use.to == null ? use.from : use.to;
              return older.covers(use.owner.database())
                  && newer.covers(use.owner.database())
                  && end.isBefore(older.position())
                  && !relations.containsKey(use.owner);
            }));
    files.values().removeIf(List::isEmpty);
    rows.letGo(older, newer);
    changedDatabases.clear();
    relations.keySet().forEach(id -> changedDatabases.add(id.database()));
    schemas.keySet().forEach(id -> changedDatabases.add(id.database()));
  }

  // ---- ends of transactions --------------------------------------------------------------------

  /** As {@link #committed(long, List, Lsn, Collection)} when the commit invalidates nothing. */
  public void committed(long topXid, List<Long> subxids, Lsn commit) {
    committed(topXid, subxids, commit, List.of());
  }

  /**
   * A transaction committed, with these subtransactions.
   *
   * @param commit start of the commit record
   * @param invalidated the relations that the commit record says changed
   */
  public void committed(
      long topXid, List<Long> subxids, Lsn commit, Collection<RelationId> invalidated) {
    if (rows.isQuiet()) {
      return;
    }
    List<CatalogChange> changes = rows.committed(topXid, subxids);
    if (!changes.isEmpty()) {
      settle(changes, topXid, commit, invalidated);
    }
  }

  /** A transaction or a savepoint was rolled back, with these subtransactions. */
  public void aborted(long xid, List<Long> subxids) {
    if (!rows.isQuiet()) {
      rows.discard(xid);
      subxids.forEach(rows::discard);
    }
  }

  /** The server stopped: of the transactions still open only those prepared live on. */
  public void stopped(Set<Long> prepared) {
    rows.stopped(prepared);
  }

  private void settle(
      List<CatalogChange> changes, long xid, Lsn commit, Collection<RelationId> invalidated) {
    Map<RelationId, RelationOutcome> outcomes = RelationOutcome.of(changes);
    Set<Long> unsure = new HashSet<>();
    for (CatalogChange change : changes) {
      switch (change.catalog()) {
        case CLASS -> {
          if (change.oid() < 0 && change.fresh() != null && mayRename(change.fresh())) {
            unsure.add(change.database());
          }
        }
        case NAMESPACE -> {
          if (change.oid() >= 0) {
            RelationId id = new RelationId(change.database(), change.oid());
            named(schemas.computeIfAbsent(id, _ -> new History<>()), change, xid, commit);
            changedDatabases.add(change.database());
          }
        }
        case DATABASE -> {
          if (change.oid() >= 0) {
            named(
                databases.computeIfAbsent(change.oid(), _ -> new History<>()), change, xid, commit);
          }
        }
        case INDEX -> {
          if (change.fresh() != null && change.oid() >= 0) {
            OptionalLong table = change.fresh().u32(SystemCatalog.INDEX_TABLE);
            if (table.isPresent()) {
              owners.put(
                  new RelationId(change.database(), change.oid()),
                  new Owner(commit, xid, table.getAsLong()));
            }
          }
        }
        case ATTRIBUTE, TRIGGER -> {}
      }
    }
    outcomes.values().forEach(outcome -> settle(outcome, xid, commit));
    settleFiles(outcomes, commit);
    for (RelationId relation : invalidated) {
      if (unsure.contains(relation.database()) && !outcomes.containsKey(relation)) {
        changedDatabases.add(relation.database());
        relations
            .computeIfAbsent(relation, _ -> new History<>())
            .add(new Version<>(History.Kind.UNSURE, commit, xid, null));
      }
    }
  }

  /** Whether a row changed whose OID is unknown may have another name or schema now. */
  private static boolean mayRename(HeapTuple fresh) {
    for (int at = SystemCatalog.NAME; at < SystemCatalog.CLASS_NAMESPACE + 4; at++) {
      if (fresh.u8(at).isPresent()) {
        return true; // not as it was
      }
    }
    return false;
  }

  private static void named(History<String> history, CatalogChange change, long xid, Lsn commit) {
    if (history.isEmpty() && change.old() != null) {
      String old = change.old().name(SystemCatalog.NAME);
      if (old != null) {
        history.add(new Version<>(History.Kind.BEFORE, Lsn.NONE, 0, old));
      }
    }
    String name = change.fresh() == null ? null : change.fresh().name(SystemCatalog.NAME);
    History.Kind kind =
        change.fresh() == null
            ? History.Kind.GONE
            : name == null
                ? History.Kind.UNSURE
                : change.from() == null ? History.Kind.BORN : History.Kind.CHANGED;
    history.add(new Version<>(kind, commit, xid, name));
  }

  private void settle(RelationOutcome outcome, long xid, Lsn commit) {
    RelationId id = new RelationId(outcome.database, outcome.oid);
    RelationState after = outcome.after;
    if (outcome.born && after == null) {
      return; // nobody else ever saw it
    }
    changedDatabases.add(outcome.database);
    History<RelationState> history = relations.computeIfAbsent(id, _ -> new History<>());
    if (history.isEmpty() && outcome.before != null) {
      history.add(new Version<>(History.Kind.BEFORE, Lsn.NONE, 0, outcome.before));
    }
    if (after == null) {
      if (outcome.before != null
          && outcome.before.persistence() == TEMPORARY
          && recorded.byOid(id.database(), id.relation(), commit) == null) {
        // The log has no rows of temporary tables, and some servers make one every second.
        relations.remove(id);
        owners.remove(id);
      } else {
        history.add(new Version<>(History.Kind.GONE, commit, xid, null));
      }
      return;
    }
    boolean told = after.name() != null && after.schema() >= 0 && after.kind() != 0;
    history.add(
        new Version<>(
            !told ? History.Kind.UNSURE : outcome.born ? History.Kind.BORN : History.Kind.CHANGED,
            commit,
            xid,
            told ? after : null));
    if (after.toast() != 0) {
      owners.put(
          new RelationId(outcome.database, after.toast()), new Owner(commit, xid, outcome.oid));
    }
    SystemCatalog catalog = SystemCatalog.ofOid(outcome.oid);
    if (catalog != null && after.file() != null) {
      rows.moved(catalog, after.file(), xid, commit);
    }
  }

  /** Whose file is whose, once it is known who lives on. */
  private void settleFiles(Map<RelationId, RelationOutcome> outcomes, Lsn commit) {
    Map<RelFile, Lsn> named = new HashMap<>();
    Map<RelFile, RelationId> ended = new LinkedHashMap<>();
    outcomes.forEach((id, outcome) -> {
      outcome.files.forEach((file, from) ->
          named.merge(file, from, (one, other) -> one.isBefore(other) ? one : other));
      RelFile before = fileOf(outcome.before);
      if (before != null && !before.equals(fileOf(outcome.after))) {
        if (outcome.before != null && outcome.before.persistence() == TEMPORARY) {
          files.remove(before);
        } else {
          ended.put(before, id);
        }
      }
    });
    ended.forEach((file, id) -> end(file, id, Lsn.NONE, commit, null));
    outcomes.forEach((id, outcome) -> {
      RelFile after = fileOf(outcome.after);
      if (after != null && !after.equals(fileOf(outcome.before))) {
        // A file that was another's until now is taken over now, not when the row was written.
        Lsn from = ended.containsKey(after) ? commit.plus(1) : named.getOrDefault(after, commit);
        files
            .computeIfAbsent(after, _ -> new ArrayList<>(1))
            .add(new FileUse(id, from, null, null));
      }
    });
    outcomes.forEach((id, outcome) -> {
      RelationState last = outcome.last;
      if (outcome.born && outcome.after == null && last != null) {
        outcome.files.forEach((file, from) -> {
          if (!files.containsKey(file) && recorded.byFile(file, from) == null) {
            end(file, id, from, commit, last); // it came and went with the transaction
          }
        });
      }
    });
  }

  private static @Nullable RelFile fileOf(@Nullable RelationState state) {
    return state == null ? null : state.file();
  }

  private void end(
      RelFile file, RelationId owner, Lsn from, Lsn to, @Nullable RelationState passing) {
    List<FileUse> uses = files.computeIfAbsent(file, _ -> new ArrayList<>(1));
    for (int index = 0; index < uses.size(); index++) {
      FileUse use = uses.get(index);
      if (use.owner.equals(owner) && use.to == null) {
        uses.set(index, new FileUse(owner, use.from, to, null));
        return;
      }
    }
    uses.add(0, new FileUse(owner, from, to, passing));
  }

  /** How much it holds: rows, versions, owners and uses of files. */
  int size() {
    return rows.size()
        + relations.values().stream().mapToInt(History::size).sum()
        + schemas.values().stream().mapToInt(History::size).sum()
        + databases.values().stream().mapToInt(History::size).sum()
        + owners.size()
        + files.values().stream().mapToInt(List::size).sum();
  }

  // ---- what a transaction did to definitions ---------------------------------------------------

  /**
   * The columns that a transaction still open has dropped so far, of tables that were there before
   * and are still. Ask before {@link #committed}.
   */
  public List<DroppedColumn> droppedColumns(long topXid, List<Long> subxids) {
    return DefinitionChanges.droppedColumns(rows.changesOf(topXid, subxids), current);
  }

  /**
   * The relations whose definition a transaction still open has changed so far, of those that were
   * there before and are still. Ask before {@link #committed}.
   */
  public List<AlteredRelation> alteredRelations(long topXid, List<Long> subxids) {
    return DefinitionChanges.alteredRelations(rows.changesOf(topXid, subxids));
  }

  /**
   * The guard's triggers, there before, that a transaction still open has kept from firing so far.
   * Ask before {@link #committed}.
   */
  List<WeakenedTrigger> weakenedTriggers(long topXid, List<Long> subxids) {
    return DefinitionChanges.weakenedTriggers(rows.changesOf(topXid, subxids));
  }

  // ---- names -----------------------------------------------------------------------------------

  /**
   * The position to ask what was recorded about: while a snapshot was being read, it is the one
   * before that tells the names, with the changes since.
   */
  private Lsn recordedAt(Lsn at) {
    if (snapshots == null || held.isEmpty()) {
      return at;
    }
    CatalogSnapshot newest = held.getFirst();
    boolean hasOlder = held.size() > 1;
    if (!newest.position().isAfter(at)) { // one newer than those at hand may have begun
      CatalogSnapshot begun = snapshots.snapshot(at);
      hasOlder |= begun != null && !begun.equals(newest);
      newest = begun == null ? newest : begun;
    }
    return hasOlder && !newest.position().isAfter(at) && at.isBefore(newest.readThrough())
        ? newest.position().plus(-1)
        : at;
  }

  /** The snapshots at hand, the one that tells more of this position first. */
  private List<CatalogSnapshot> held(Lsn at) {
    return recordedAt(at).equals(at) ? held : held.reversed();
  }

  @Override
  public @Nullable Relation byFile(RelFile file, Lsn at) {
    List<FileUse> uses = files.get(file);
    if (uses != null) {
      for (int index = uses.size() - 1; index >= 0; index--) {
        FileUse use = uses.get(index);
        if (!use.from.isAfter(at)) {
          if (use.to != null && use.to.isBefore(at)) {
            return null; // it is gone
          }
          return use.passing == null
              ? byOid(use.owner.database(), use.owner.relation(), at)
              : relation(use.owner.database(), use.passing, at);
        }
      }
    }
    Relation known = recorded.byFile(file, recordedAt(at));
    if (known != null) {
      return byOid(known.database(), known.oid(), at);
    }
    if (uses != null) { // its file came a moment before its row
      FileUse first = uses.getFirst();
      return byOid(first.owner.database(), first.owner.relation(), at);
    }
    return byOpenFile(file, at);
  }

  /** A file of a transaction that is not over is nobody else's. */
  private @Nullable Relation byOpenFile(RelFile file, Lsn at) {
    CatalogChange change = rows.naming(file);
    return change == null || change.fresh() == null
        ? null
        : relation(
            change.database(), RelationOutcome.state(change, change.fresh(), change.oid()), at);
  }

  @Override
  public @Nullable Relation byOid(long database, long oid, Lsn at) {
    History<RelationState> history = relations.get(new RelationId(database, oid));
    Version<RelationState> version = history == null ? null : history.at(at);
    if (version != null) {
      return version.state() == null ? null : relation(database, version.state(), at);
    }
    Relation known = recorded.byOid(database, oid, recordedAt(at));
    if (known == null || (databases.isEmpty() && !changedDatabases.contains(database))) {
      return known;
    }
    return withNamesOfNow(known, at);
  }

  /** A recorded relation that did not change, in a schema or of a table that may have. */
  private Relation withNamesOfNow(Relation known, Lsn at) {
    long database = known.database();
    long owner = owner(database, known.oid());
    TableName name = null;
    if (owner != 0) {
      History<RelationState> history = relations.get(new RelationId(database, owner));
      Version<RelationState> version = history == null ? null : history.at(at);
      if (version != null && version.state() != null) {
        name = tableName(database, version.state(), at);
      }
    }
    if (name == null) {
      name = known.name();
      Long schema = schemaOid(database, name.schema(), at);
      History<String> history =
          schema == null ? null : schemas.get(new RelationId(database, schema));
      Version<String> version = history == null ? null : history.at(at);
      if (version != null && version.state() != null) {
        name = new TableName(version.state(), name.table());
      }
    }
    String databaseName = database(database, at);
    return new Relation(
        database,
        databaseName == null ? known.databaseName() : databaseName,
        known.oid(),
        name,
        known.kind(),
        known.unlogged(),
        known.estimatedRows(),
        known.bytes());
  }

  private @Nullable Relation relation(long database, RelationState state, Lsn at) {
    TableName own = tableName(database, state, at);
    if (own == null) {
      return null;
    }
    TableName name = own;
    if (state.kind() == 'i' || state.kind() == 'I' || state.kind() == 't') {
      TableName ofOwner = ownerName(database, state.oid(), at);
      if (ofOwner != null) {
        name = ofOwner;
      }
    }
    String databaseName = database(database, at);
    Relation measured = state.file() == null ? null : recorded.byFile(state.file(), recordedAt(at));
    if (measured != null && (measured.database() != database || measured.oid() != state.oid())) {
      measured = null;
    }
    return new Relation(
        database,
        databaseName == null ? Long.toString(database) : databaseName,
        state.oid(),
        name,
        kind(state, own.schema()),
        state.persistence() == 'u',
        measured == null ? state.estimatedRows() : measured.estimatedRows(),
        measured == null ? -1 : measured.bytes());
  }

  private static Relation.Kind kind(RelationState state, String schema) {
    boolean system = schema.equals("pg_catalog") || schema.equals("information_schema");
    return switch (state.kind()) {
      case 'r' -> system ? Relation.Kind.CATALOG : Relation.Kind.TABLE;
      case 'p' -> Relation.Kind.PARTITIONED_TABLE;
      case 'm' -> Relation.Kind.MATERIALIZED_VIEW;
      case 'S' -> Relation.Kind.SEQUENCE;
      case 'i', 'I' -> Relation.Kind.INDEX;
      case 't' -> Relation.Kind.TOAST;
      default -> Relation.Kind.OTHER;
    };
  }

  private @Nullable TableName tableName(long database, RelationState state, Lsn at) {
    if (state.name() == null) {
      return null;
    }
    String schema = schema(database, state.schema(), at);
    return new TableName(schema == null ? TableDamage.UNKNOWN_SCHEMA : schema, state.name());
  }

  /** The name of the table above an index or a TOAST table; null when it is not known. */
  private @Nullable TableName ownerName(long database, long oid, Lsn at) {
    long owner = owner(database, oid);
    if (owner == 0) {
      return null;
    }
    Relation table = byOid(database, owner, at); // of a TOAST index: a TOAST table, named as wanted
    return table == null ? null : table.name();
  }

  private long owner(long database, long oid) {
    Owner owner = owners.get(new RelationId(database, oid));
    if (owner != null) {
      return owner.table;
    }
    for (CatalogSnapshot snapshot : held) {
      long known = snapshot.owner(database, oid);
      if (known != 0) {
        return known;
      }
    }
    return 0;
  }

  private @Nullable Long schemaOid(long database, String name, Lsn at) {
    for (CatalogSnapshot snapshot : held(at)) {
      Long oid = snapshot.schemaOid(database, name);
      if (oid != null) {
        return oid;
      }
    }
    return null;
  }

  private @Nullable String schema(long database, long oid, Lsn at) {
    History<String> history = schemas.get(new RelationId(database, oid));
    Version<String> version = history == null ? null : history.at(at);
    if (version != null) {
      return version.state();
    }
    for (CatalogSnapshot snapshot : held(at)) {
      String known = snapshot.schema(database, oid);
      if (known != null) {
        return known;
      }
    }
    if (oid == PG_CATALOG) {
      return "pg_catalog";
    }
    if (oid == PG_TOAST) {
      return "pg_toast";
    }
    // A new database is made as the others were; a snapshot has them all.
    boolean usual = oid == PUBLIC && current != null && current.allCall(PUBLIC, "public");
    return usual ? "public" : null;
  }

  @Override
  public @Nullable String database(long oid, Lsn at) {
    History<String> history = databases.get(oid);
    Version<String> version = history == null ? null : history.at(at);
    return version != null ? version.state() : recorded.database(oid, recordedAt(at));
  }

  @Override
  public List<Relation> tablesOf(long database, Lsn at) {
    List<Relation> known = recorded.tablesOf(database, recordedAt(at));
    if (databases.isEmpty() && !changedDatabases.contains(database)) {
      return known;
    }
    Map<Long, Relation> tables = new LinkedHashMap<>();
    for (Relation table : known) {
      Relation now = byOid(database, table.oid(), at);
      if (now != null) {
        tables.put(now.oid(), now);
      }
    }
    relations.forEach((id, history) -> {
      Version<RelationState> version = id.database() == database ? history.at(at) : null;
      if (version != null
          && version.state() != null
          && version.commit().isBefore(at)
          && !tables.containsKey(id.relation())) {
        Relation table = relation(database, version.state(), at);
        if (table != null
            && (table.holdsRows() || table.kind() == Relation.Kind.PARTITIONED_TABLE)) {
          tables.put(table.oid(), table);
        }
      }
    });
    return List.copyOf(tables.values());
  }

  // ---- relations one by one --------------------------------------------------------------------

  /**
   * What the record just accepted changed in pg_class; null when it was about something else. Of a
   * record that inserted several rows, the last.
   */
  @Nullable RelationChange lastRelationChange(RawRecord record) {
    List<CatalogChange> changes = rows.changesOf(record.xid(), List.of());
    CatalogChange last = changes.isEmpty() ? null : changes.getLast();
    return last != null && last.lsn().position() == record.lsn() ? RelationChange.of(last) : null;
  }

  /**
   * What a transaction still open has done to pg_class so far, in order. Ask before {@link
   * #committed}.
   */
  List<RelationChange> relationChanges(long topXid, List<Long> subxids) {
    List<RelationChange> relationChanges = new ArrayList<>();
    for (CatalogChange change : rows.changesOf(topXid, subxids)) {
      RelationChange one = RelationChange.of(change);
      if (one != null) {
        relationChanges.add(one);
      }
    }
    return relationChanges;
  }
}
