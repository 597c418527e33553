package dev.holdfast.damage;

import dev.holdfast.damage.History.Version;
import dev.holdfast.row.TableName;
import dev.holdfast.wal.BlockRef;
import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalRecord;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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
  /** OIDs and file numbers below this are PostgreSQL's own ("access/transam.h"). */
  private static final int FIRST_NORMAL = 16_384;

  private static final char TEMPORARY = 't';

  // OIDs that initdb gives ("catalog/pg_namespace.dat").
  private static final long PG_CATALOG = 11;
  private static final long PG_TOAST = 99;
  private static final long PUBLIC = 2200;

  /** What a dropped column is called ("catalog/heap.c", RemoveAttributeById). */
  private static final Pattern DROPPED = Pattern.compile("\\.{8}pg\\.dropped\\.(\\d{1,5})\\.{8}");

  private static final int[] CATALOGS =
      Arrays.stream(SystemCatalog.values()).mapToInt(catalog -> catalog.oid).toArray();

  private record RowPlace(SystemCatalog catalog, long database, long tid) {}

  private static final class Row {
    private final long xid;
    private final Lsn written;
    private HeapTuple tuple;

    private Row(long xid, Lsn written, HeapTuple tuple) {
      this.xid = xid;
      this.written = written;
      this.tuple = tuple;
    }
  }

  /**
   * One change to one row.
   *
   * @param tablespace of the catalog's file: for one that is not shared, its database's own
   * @param from null: inserted
   * @param old the version before, as far as it is known
   * @param to null: deleted
   * @param fresh the version after
   */
  private record Change(
      Lsn lsn,
      long xid,
      int major,
      SystemCatalog catalog,
      long database,
      long tablespace,
      @Nullable RowPlace from,
      @Nullable HeapTuple old,
      @Nullable RowPlace to,
      @Nullable HeapTuple fresh) {
    /** The OID that both versions begin with; -1 when neither tells. */
    private long oid() {
      OptionalLong oid = fresh == null ? OptionalLong.empty() : SystemCatalog.oid(fresh);
      if (oid.isEmpty() && old != null) {
        oid = SystemCatalog.oid(old);
      }
      return oid.orElse(-1);
    }
  }

  /** What became of one row of pg_class in one transaction. */
  private static final class Outcome {
    private final long database;
    private final long oid;
    private boolean born;
    private @Nullable RelationState before;
    private @Nullable RelationState after;

    /** Files it had in between, and from where on. */
    private final Map<RelFile, Lsn> files = new LinkedHashMap<>();

    private @Nullable RelationState last;

    private Outcome(long database, long oid) {
      this.database = database;
      this.oid = oid;
    }
  }

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

  /** Catalogs whose file is not the one they first had. */
  private final Map<RelFile, SystemCatalog> rewritten = new HashMap<>();

  private int[] rewrittenNumbers = {};

  /** When a catalog was moved last; the place's tid is 0. */
  private final Map<RowPlace, Lsn> movedCatalogs = new HashMap<>();

  private final Map<RowPlace, Row> rows = new HashMap<>();
  private final Map<Long, List<Change>> open = new HashMap<>();
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
    advance(start);
  }

  // ---- records ---------------------------------------------------------------------------------

  /** Whether {@link #accept} wants to see the record: a few comparisons. */
  public boolean isOfInterest(RawRecord record) {
    int rmgr = record.rmgr();
    if (rmgr != ResourceManager.HEAP && rmgr != ResourceManager.HEAP2) {
      return rmgr == ResourceManager.RELATION_MAP;
    }
    if (record.blocks() == 0) {
      return false;
    }
    int number = record.fileNumber(0);
    if (number >= 0 && number < FIRST_NORMAL) {
      return isIn(number, CATALOGS);
    }
    return rewrittenNumbers.length > 0 && isIn(number, rewrittenNumbers);
  }

  private static boolean isIn(int number, int[] numbers) {
    for (int one : numbers) {
      if (one == number) {
        return true;
      }
    }
    return false;
  }

  /** Takes the next record of interest. The window is not kept. */
  public void accept(RawRecord record) {
    Lsn lsn = new Lsn(record.lsn());
    advance(lsn);
    if (record.rmgr() == ResourceManager.RELATION_MAP) {
      if (record.decode() instanceof WalRecord.RelationMap map) {
        mapped(map);
      }
      return;
    }
    RawRecord.RowChange change = record.rowChange();
    if (change == RawRecord.RowChange.NONE || record.fork(0) != BlockRef.MAIN) {
      return;
    }
    SystemCatalog catalog = catalogOf(record.file(0));
    if (catalog == null) {
      return;
    }
    switch (change) {
      case INSERT -> write(record, lsn, catalog, null, null, 0, record.newTuple(null));
      case MULTI_INSERT -> {
        List<@Nullable HeapTuple> tuples = record.newTuples();
        for (int row = 0; row < tuples.size(); row++) {
          write(record, lsn, catalog, null, null, row, tuples.get(row));
        }
      }
      case UPDATE -> {
        RowPlace from = place(record, catalog, record.oldTid());
        HeapTuple old = before(record, lsn, from);
        write(record, lsn, catalog, from, old, 0, record.newTuple(old));
      }
      case DELETE -> {
        RowPlace from = place(record, catalog, record.oldTid());
        HeapTuple old = before(record, lsn, from);
        note(change(record, lsn, catalog, from, old, null, null));
      }
      case INPLACE -> overwritten(record, place(record, catalog, record.newTid(0)));
      case NONE, CONFIRM, LOCK -> {}
    }
  }

  private static RowPlace place(RawRecord record, SystemCatalog catalog, long tid) {
    return new RowPlace(catalog, Integer.toUnsignedLong(record.database(0)), tid);
  }

  private void write(
      RawRecord record,
      Lsn lsn,
      SystemCatalog catalog,
      @Nullable RowPlace from,
      @Nullable HeapTuple old,
      int row,
      @Nullable HeapTuple written) {
    RowPlace to = place(record, catalog, record.newTid(row));
    HeapTuple fresh = written;
    if (fresh == null || SystemCatalog.oid(fresh).isEmpty()) {
      // A snapshot may have been read after this was committed: then it has the row itself.
      HeapTuple known = snapshotRow(to, lsn, record.xid(), record.majorVersion());
      fresh = known != null ? known : fresh != null ? fresh : HeapTuple.partly(0, false).build();
    }
    if (catalog == SystemCatalog.ATTRIBUTE
        && SystemCatalog.attributeNumber(fresh, record.majorVersion()).orElse(1) < 0) {
      return; // a system column: every table has it
    }
    if (catalog != SystemCatalog.INDEX) { // whose table an index is of never changes
      rows.put(to, new Row(record.xid(), lsn, fresh));
    }
    note(change(record, lsn, catalog, from, old, to, fresh));
  }

  private static Change change(
      RawRecord record,
      Lsn lsn,
      SystemCatalog catalog,
      @Nullable RowPlace from,
      @Nullable HeapTuple old,
      @Nullable RowPlace to,
      @Nullable HeapTuple fresh) {
    return new Change(
        lsn,
        record.xid(),
        record.majorVersion(),
        catalog,
        Integer.toUnsignedLong(record.database(0)),
        Integer.toUnsignedLong(record.tablespace(0)),
        from,
        old,
        to,
        fresh);
  }

  private void note(Change change) {
    open.computeIfAbsent(change.xid, _ -> new ArrayList<>()).add(change);
  }

  /** The version that an update or a deletion found, as far as anything tells. */
  private @Nullable HeapTuple before(RawRecord record, Lsn lsn, RowPlace from) {
    Row row = rows.get(from);
    if (row != null && row.tuple.isWhole()) {
      return row.tuple;
    }
    HeapTuple shown = record.oldTuple();
    if (shown != null) {
      return shown;
    }
    if (row != null && SystemCatalog.oid(row.tuple).isPresent()) {
      return row.tuple;
    }
    HeapTuple recordedThere = snapshotRow(from, lsn, 0, record.majorVersion());
    return recordedThere != null ? recordedThere : row == null ? null : row.tuple;
  }

  private @Nullable HeapTuple snapshotRow(RowPlace place, Lsn lsn, long writer, int major) {
    for (CatalogSnapshot snapshot : held) {
      if (!snapshot.position().isAfter(lsn)
          && !snapshot.position().isBefore(start)
          && !isStale(place, snapshot)) {
        HeapTuple row = snapshot.rowAt(place.catalog, place.database, place.tid, writer, major);
        if (row != null) {
          return row;
        }
      }
    }
    return null;
  }

  /** A catalog row changed outside any transaction: sizes and estimates, not names. */
  private void overwritten(RawRecord record, RowPlace place) {
    Row row = rows.get(place);
    HeapTuple tuple = row == null ? null : record.newTuple(null);
    if (row == null || tuple == null) {
      return;
    }
    row.tuple = tuple;
    if (place.catalog == SystemCatalog.CLASS && !open.containsKey(row.xid)) {
      long oid = SystemCatalog.oid(tuple).orElse(-1);
      History<RelationState> history = relations.get(new RelationId(place.database, oid));
      Version<RelationState> last = history == null ? null : history.last();
      if (history != null && last != null && last.state() != null) {
        history.replaceLast(last.state().withEstimatedRows(RelationState.estimate(tuple)));
      }
    }
  }

  // ---- catalogs that have moved ----------------------------------------------------------------

  private @Nullable SystemCatalog catalogOf(RelFile file) {
    SystemCatalog catalog = rewritten.get(file);
    return catalog != null || file.number() >= FIRST_NORMAL
        ? catalog
        : SystemCatalog.ofOid(file.number());
  }

  private void mapped(WalRecord.RelationMap map) {
    for (WalRecord.RelationMap.Mapping mapping : map.mappings()) {
      SystemCatalog catalog = SystemCatalog.ofOid(mapping.relation());
      if (catalog != null) {
        RelFile file = new RelFile(map.tablespace(), map.database(), mapping.fileNumber());
        moved(catalog, file, map.xid(), map.lsn());
      }
    }
  }

  /** The catalog is in this file from now on; its rows have other places. */
  private void moved(SystemCatalog catalog, RelFile file, long xid, Lsn at) {
    if (catalogOf(file) == catalog) {
      return;
    }
    rewritten
        .keySet()
        .removeIf(old -> old.database() == file.database() && rewritten.get(old) == catalog);
    rewritten.put(file, catalog);
    numbersChanged();
    rows.keySet().removeIf(place -> place.catalog == catalog && place.database == file.database());
    movedCatalogs.put(new RowPlace(catalog, file.database(), 0), at);
    // What the transaction that moves it wrote there since went to a file nobody knew.
    open.getOrDefault(xid, new ArrayList<>())
        .removeIf(change -> change.catalog == catalog && change.database == file.database());
  }

  /** Whether the catalog was moved or the row written after the snapshot was taken. */
  private boolean isStale(RowPlace place, CatalogSnapshot snapshot) {
    Lsn moved = movedCatalogs.get(new RowPlace(place.catalog, place.database, 0));
    Row row = rows.get(place);
    return (moved != null && snapshot.position().isBefore(moved))
        || (row != null && snapshot.position().isBefore(row.written));
  }

  private void numbersChanged() {
    rewrittenNumbers =
        rewritten.keySet().stream().mapToInt(file -> (int) file.number()).distinct().toArray();
  }

  // ---- snapshots passed ------------------------------------------------------------------------

  private void advance(Lsn lsn) {
    CatalogSnapshot newest = snapshots == null ? null : snapshots.snapshot(lsn);
    if (snapshots == null || newest == null || newest.equals(current)) {
      return;
    }
    current = newest;
    held = List.of(newest);
    newest.catalogFiles().forEach((file, oid) -> rewritten.put(file, SystemCatalog.ofOid(oid)));
    numbersChanged();
    CatalogSnapshot older = snapshots.snapshot(newest.position().plus(-1));
    if (older != null && older.position().isBefore(newest.position())) {
      held = List.of(newest, older);
      letGo(older, newest);
    }
  }

  /** Two snapshots know them: changes committed before the older one. */
  private void letGo(CatalogSnapshot older, CatalogSnapshot newer) {
    if (older.position().isBefore(start)) {
      return; // what it knows of places cannot be used
    }
    relations.forEach((id, history) -> {
      if (older.covers(id.database()) && newer.covers(id.database())) {
        history.letGo(version -> isIn(older, version.commit(), version.xid()));
      }
    });
    relations.values().removeIf(History::isEmpty);
    schemas.forEach((id, history) -> {
      if (older.covers(id.database()) && newer.covers(id.database())) {
        history.letGo(version -> isIn(older, version.commit(), version.xid()));
      }
    });
    schemas.values().removeIf(History::isEmpty);
    databases.values().forEach(history -> history.letGo(v -> isIn(older, v.commit(), v.xid())));
    databases.values().removeIf(History::isEmpty);
    owners
        .entrySet()
        .removeIf(e ->
            older.covers(e.getKey().database())
                && newer.covers(e.getKey().database())
                && isIn(older, e.getValue().since, e.getValue().xid));
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
    if (older.hasPlaces() && newer.hasPlaces()) {
      rows.entrySet()
          .removeIf(e ->
              older.covers(e.getKey().database)
                  && newer.covers(e.getKey().database)
                  && !open.containsKey(e.getValue().xid)
                  && isIn(older, e.getValue().written, e.getValue().xid));
    }
    changedDatabases.clear();
    relations.keySet().forEach(id -> changedDatabases.add(id.database()));
    schemas.keySet().forEach(id -> changedDatabases.add(id.database()));
  }

  /** Whether a snapshot surely has what a transaction did by then. */
  private static boolean isIn(CatalogSnapshot snapshot, Lsn done, long xid) {
    return done.isBefore(snapshot.position())
        && (!snapshot.hasPlaces() || (int) (xid - snapshot.oldestRunning()) < 0);
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
    if (open.isEmpty()) {
      return;
    }
    List<Change> changes = changesOf(topXid, subxids);
    if (changes.isEmpty()) {
      return;
    }
    open.remove(topXid);
    subxids.forEach(open::remove);
    settle(changes, topXid, commit, invalidated);
    for (Change change : changes) {
      if (change.from != null) {
        Row row = rows.get(change.from);
        if (row != null && row.written.isBefore(change.lsn)) {
          rows.remove(change.from);
        }
      }
    }
  }

  /** A transaction or a savepoint was rolled back, with these subtransactions. */
  public void aborted(long xid, List<Long> subxids) {
    if (open.isEmpty()) {
      return;
    }
    discard(xid);
    subxids.forEach(this::discard);
  }

  /** The server stopped: of the transactions still open only those prepared live on. */
  public void stopped(Set<Long> prepared) {
    for (Long xid : List.copyOf(open.keySet())) {
      if (!prepared.contains(xid)) {
        discard(xid);
      }
    }
  }

  private void discard(long xid) {
    List<Change> changes = open.remove(xid);
    if (changes == null) {
      return;
    }
    for (Change change : changes) {
      if (change.to != null) {
        Row row = rows.get(change.to);
        if (row != null && row.xid == xid) {
          rows.remove(change.to);
        }
      }
    }
  }

  private List<Change> changesOf(long topXid, List<Long> subxids) {
    List<Change> changes = open.getOrDefault(topXid, List.of());
    boolean copied = false;
    for (Long xid : subxids) {
      List<Change> more = open.get(xid);
      if (more != null) {
        changes = copied ? changes : new ArrayList<>(changes);
        copied = true;
        changes.addAll(more);
      }
    }
    if (copied) {
      changes.sort(Comparator.comparing(Change::lsn));
    }
    return changes;
  }

  private void settle(
      List<Change> changes, long xid, Lsn commit, Collection<RelationId> invalidated) {
    Map<RelationId, Outcome> outcomes = outcomes(changes);
    Set<Long> unsure = new HashSet<>();
    for (Change change : changes) {
      switch (change.catalog) {
        case CLASS -> {
          if (change.oid() < 0 && change.fresh != null && mayRename(change.fresh)) {
            unsure.add(change.database);
          }
        }
        case NAMESPACE -> {
          if (change.oid() >= 0) {
            RelationId id = new RelationId(change.database, change.oid());
            named(schemas.computeIfAbsent(id, _ -> new History<>()), change, xid, commit);
            changedDatabases.add(change.database);
          }
        }
        case DATABASE -> {
          if (change.oid() >= 0) {
            named(
                databases.computeIfAbsent(change.oid(), _ -> new History<>()), change, xid, commit);
          }
        }
        case INDEX -> {
          if (change.fresh != null && change.oid() >= 0) {
            OptionalLong table = change.fresh.u32(SystemCatalog.INDEX_TABLE);
            if (table.isPresent()) {
              owners.put(
                  new RelationId(change.database, change.oid()),
                  new Owner(commit, xid, table.getAsLong()));
            }
          }
        }
        case ATTRIBUTE -> {}
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

  private static Map<RelationId, Outcome> outcomes(List<Change> changes) {
    Map<RelationId, Outcome> outcomes = new LinkedHashMap<>();
    for (Change change : changes) {
      if (change.catalog == SystemCatalog.CLASS && change.oid() >= 0) {
        add(change, outcomes);
      }
    }
    return outcomes;
  }

  private static void add(Change change, Map<RelationId, Outcome> outcomes) {
    RelationId id = new RelationId(change.database, change.oid());
    Outcome outcome = outcomes.get(id);
    if (outcome == null) {
      outcome = new Outcome(id.database(), id.relation());
      outcome.born = change.from == null;
      outcome.before = change.old == null ? null : state(change, change.old, id.relation());
      outcomes.put(id, outcome);
    }
    outcome.after = change.fresh == null ? null : state(change, change.fresh, id.relation());
    if (outcome.after != null) {
      outcome.last = outcome.after;
      if (outcome.after.file() != null) {
        outcome.files.putIfAbsent(outcome.after.file(), change.lsn);
      }
    }
  }

  private static RelationState state(Change change, HeapTuple tuple, long oid) {
    return RelationState.of(tuple, oid, change.database, change.tablespace, change.major);
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

  private static void named(History<String> history, Change change, long xid, Lsn commit) {
    if (history.isEmpty() && change.old != null) {
      String old = change.old.name(SystemCatalog.NAME);
      if (old != null) {
        history.add(new Version<>(History.Kind.BEFORE, Lsn.NONE, 0, old));
      }
    }
    String name = change.fresh == null ? null : change.fresh.name(SystemCatalog.NAME);
    History.Kind kind =
        change.fresh == null
            ? History.Kind.GONE
            : name == null
                ? History.Kind.UNSURE
                : change.from == null ? History.Kind.BORN : History.Kind.CHANGED;
    history.add(new Version<>(kind, commit, xid, name));
  }

  private void settle(Outcome outcome, long xid, Lsn commit) {
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
      moved(catalog, after.file(), xid, commit);
    }
  }

  /** Whose file is whose, once it is known who lives on. */
  private void settleFiles(Map<RelationId, Outcome> outcomes, Lsn commit) {
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
        + open.values().stream().mapToInt(List::size).sum()
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
    List<Change> changes = changesOf(topXid, subxids);
    List<DroppedColumn> dropped = new ArrayList<>();
    Map<RelationId, Outcome> outcomes = null;
    for (Change change : changes) {
      int number = droppedNumber(change);
      if (number == 0) {
        continue;
      }
      outcomes = outcomes == null ? outcomes(changes) : outcomes;
      RelationId relation = null;
      if (change.oid() >= 0) {
        relation = new RelationId(change.database, change.oid());
        Outcome outcome = outcomes.get(relation);
        if (outcome != null && (outcome.born || outcome.after == null)) {
          continue;
        }
      }
      dropped.add(new DroppedColumn(relation, columnBefore(change, relation, number), number));
    }
    return dropped;
  }

  /** The number of the column that the change drops; 0 when it drops none. */
  private static int droppedNumber(Change change) {
    if (change.catalog != SystemCatalog.ATTRIBUTE
        || change.from == null
        || change.fresh == null
        || change.fresh.u32(SystemCatalog.ATTRIBUTE_TYPE).orElse(-1) != 0) {
      return 0;
    }
    String name = change.fresh.name(SystemCatalog.NAME);
    Matcher matcher = DROPPED.matcher(name == null ? "" : name);
    return matcher.matches() ? Integer.parseInt(matcher.group(1)) : 0;
  }

  private @Nullable String columnBefore(Change change, @Nullable RelationId relation, int number) {
    if (change.old != null) {
      return change.old.name(SystemCatalog.NAME);
    }
    CatalogSnapshot snapshot = current;
    if (snapshot == null || snapshot.hasPlaces() || relation == null) {
      return null; // a row that is not where it lay was changed since
    }
    return snapshot.column(relation.database(), relation.relation(), number);
  }

  /**
   * The relations whose definition a transaction still open has changed so far, of those that were
   * there before and are still. Ask before {@link #committed}.
   */
  public List<AlteredRelation> alteredRelations(long topXid, List<Long> subxids) {
    List<Change> changes = changesOf(topXid, subxids);
    Map<RelationId, Outcome> outcomes = outcomes(changes);
    Map<RelationId, EnumSet<AlteredRelation.Change>> altered = new LinkedHashMap<>();
    outcomes.forEach((id, outcome) -> {
      if (!outcome.born && outcome.after != null) {
        altered.put(id, differences(outcome.before, outcome.after));
      }
    });
    for (Change change : changes) {
      RelationId id = new RelationId(change.database, change.oid());
      Outcome outcome = outcomes.get(id);
      boolean lives = outcome == null || (!outcome.born && outcome.after != null);
      HeapTuple row = change.fresh == null ? change.old : change.fresh;
      if (change.catalog != SystemCatalog.ATTRIBUTE
          || change.oid() < 0
          || !lives
          || row == null
          || SystemCatalog.attributeNumber(row, change.major).orElse(1) < 0) {
        continue;
      }
      EnumSet<AlteredRelation.Change> about =
          altered.computeIfAbsent(id, _ -> EnumSet.noneOf(AlteredRelation.Change.class));
      about.remove(AlteredRelation.Change.OTHER); // relnatts, or that the cache was told
      about.add(
          droppedNumber(change) != 0 || change.fresh == null
              ? AlteredRelation.Change.COLUMN_DROPPED
              : change.from == null
                  ? AlteredRelation.Change.COLUMN_ADDED
                  : AlteredRelation.Change.COLUMN_CHANGED);
    }
    List<AlteredRelation> result = new ArrayList<>();
    altered.forEach((id, about) -> result.add(new AlteredRelation(id, about)));
    return result;
  }

  private static EnumSet<AlteredRelation.Change> differences(
      @Nullable RelationState before, RelationState after) {
    EnumSet<AlteredRelation.Change> changes = EnumSet.noneOf(AlteredRelation.Change.class);
    if (before != null && before.name() != null && after.name() != null) {
      if (!before.name().equals(after.name())) {
        changes.add(AlteredRelation.Change.RENAMED);
      }
      if (before.schema() >= 0 && after.schema() >= 0 && before.schema() != after.schema()) {
        changes.add(AlteredRelation.Change.MOVED);
      }
      if (before.file() != null && after.file() != null && !before.file().equals(after.file())) {
        changes.add(AlteredRelation.Change.NEW_FILE);
      }
    }
    if (changes.isEmpty()) {
      changes.add(AlteredRelation.Change.OTHER);
    }
    return changes;
  }

  // ---- names -----------------------------------------------------------------------------------

  /**
   * The position to ask what was recorded about: while a snapshot was being read, it is the one
   * before that tells the names, with the changes since.
   */
  private Lsn recordedAt(Lsn at) {
    CatalogSnapshot snapshot = snapshots == null ? null : snapshots.snapshot(at);
    if (snapshots == null
        || snapshot == null
        || snapshot.position().isAfter(at)
        || !at.isBefore(snapshot.readThrough())) {
      return at;
    }
    Lsn before = snapshot.position().plus(-1);
    CatalogSnapshot other = snapshots.snapshot(before);
    return other == null || other.position().isAfter(before) ? at : before;
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
    for (List<Change> changes : open.values()) {
      for (Change change : changes) {
        if (change.catalog == SystemCatalog.CLASS && change.fresh != null && change.oid() >= 0) {
          RelationState state = state(change, change.fresh, change.oid());
          if (file.equals(state.file())) {
            return relation(change.database, state, at);
          }
        }
      }
    }
    return null;
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
    List<Change> changes = open.getOrDefault(record.xid(), List.of());
    Change last = changes.isEmpty() ? null : changes.getLast();
    return last != null && last.lsn.position() == record.lsn() ? relationChange(last) : null;
  }

  /**
   * What a transaction still open has done to pg_class so far, in order. Ask before {@link
   * #committed}.
   */
  List<RelationChange> relationChanges(long topXid, List<Long> subxids) {
    List<RelationChange> relationChanges = new ArrayList<>();
    for (Change change : changesOf(topXid, subxids)) {
      RelationChange one = relationChange(change);
      if (one != null) {
        relationChanges.add(one);
      }
    }
    return relationChanges;
  }

  private static @Nullable RelationChange relationChange(Change change) {
    if (change.catalog != SystemCatalog.CLASS) {
      return null;
    }
    long oid = change.oid();
    return new RelationChange(
        change.lsn,
        change.database,
        oid,
        change.old == null ? null : state(change, change.old, oid),
        change.fresh == null ? null : state(change, change.fresh, oid),
        change.from == null);
  }
}
