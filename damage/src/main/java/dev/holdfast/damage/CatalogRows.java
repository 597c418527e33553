package dev.holdfast.damage;

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
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The rows of the catalogs that the log wrote, by place, and what open transactions changed.
 *
 * <p>A row's place is only ever written by the log: what was written there last is what an update
 * or a deletion finds. What was written by a transaction that is rolled back is never found.
 */
final class CatalogRows {
  /** File numbers below this are PostgreSQL's own ("access/transam.h", FirstNormalObjectId). */
  private static final int FIRST_NORMAL = 16_384;

  private static final int[] CATALOGS =
      Arrays.stream(SystemCatalog.values()).mapToInt(catalog -> catalog.oid).toArray();

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

  /** Where the records began: a snapshot's places are those of rows from its position on. */
  private final Lsn start;

  /** Told what a row of pg_class says of its relation after it was overwritten in place. */
  private final BiConsumer<RelationId, HeapTuple> measured;

  /** The newest snapshot passed, and the one before it. */
  private List<CatalogSnapshot> held = List.of();

  /** Catalogs whose file is not the one they first had. */
  private final Map<RelFile, SystemCatalog> rewritten = new HashMap<>();

  private int[] rewrittenNumbers = {};

  /** When a catalog was moved last; the place's tid is 0. */
  private final Map<CatalogPlace, Lsn> movedCatalogs = new HashMap<>();

  private final Map<CatalogPlace, Row> rows = new HashMap<>();
  private final Map<Long, List<CatalogChange>> open = new HashMap<>();

  CatalogRows(Lsn start, BiConsumer<RelationId, HeapTuple> measured) {
    this.start = start;
    this.measured = measured;
  }

  // ---- records ---------------------------------------------------------------------------------

  /** See {@link CatalogTrace#isOfInterest}. */
  boolean isOfInterest(RawRecord record) {
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

  /** Takes the next record of interest. */
  void accept(RawRecord record) {
    Lsn lsn = new Lsn(record.lsn());
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
        CatalogPlace from = place(record, catalog, record.oldTid());
        HeapTuple old = before(record, lsn, from);
        write(record, lsn, catalog, from, old, 0, record.newTuple(old));
      }
      case DELETE -> {
        CatalogPlace from = place(record, catalog, record.oldTid());
        HeapTuple old = before(record, lsn, from);
        note(change(record, lsn, catalog, from, old, null, null));
      }
      case INPLACE -> overwritten(record, place(record, catalog, record.newTid(0)));
      case NONE, CONFIRM, LOCK -> {}
    }
  }

  private static CatalogPlace place(RawRecord record, SystemCatalog catalog, long tid) {
    return new CatalogPlace(catalog, Integer.toUnsignedLong(record.database(0)), tid);
  }

  private void write(
      RawRecord record,
      Lsn lsn,
      SystemCatalog catalog,
      @Nullable CatalogPlace from,
      @Nullable HeapTuple old,
      int row,
      @Nullable HeapTuple written) {
    CatalogPlace to = place(record, catalog, record.newTid(row));
    HeapTuple fresh = written;
    if (fresh == null || SystemCatalog.oid(fresh).isEmpty()) {
      // A snapshot may have been read after this was committed: then it has the row itself.
      HeapTuple known = snapshotRow(record, to, lsn, record.xid());
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

  private static CatalogChange change(
      RawRecord record,
      Lsn lsn,
      SystemCatalog catalog,
      @Nullable CatalogPlace from,
      @Nullable HeapTuple old,
      @Nullable CatalogPlace to,
      @Nullable HeapTuple fresh) {
    return new CatalogChange(
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

  private void note(CatalogChange change) {
    open.computeIfAbsent(change.xid(), _ -> new ArrayList<>()).add(change);
  }

  /** The version that an update or a deletion found, as far as anything tells. */
  private @Nullable HeapTuple before(RawRecord record, Lsn lsn, CatalogPlace from) {
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
    HeapTuple recordedThere = snapshotRow(record, from, lsn, 0);
    return recordedThere != null ? recordedThere : row == null ? null : row.tuple;
  }

  private @Nullable HeapTuple snapshotRow(
      RawRecord record, CatalogPlace place, Lsn lsn, long writer) {
    for (CatalogSnapshot snapshot : held) {
      // The guard's triggers are written once, and the catalog is kept anew when they change.
      boolean lasting = place.catalog() == SystemCatalog.TRIGGER;
      if (!snapshot.position().isAfter(lsn)
          && (lasting || !snapshot.position().isBefore(start))
          // A rewrite while the catalog was read put other rows at the same places.
          && snapshot.stoodIn(record.file(0), place.catalog())
          && !isStale(place, snapshot)) {
        HeapTuple row =
            snapshot.rowAt(
                place.catalog(), place.database(), place.tid(), writer, record.majorVersion());
        if (row != null) {
          return row;
        }
      }
    }
    return null;
  }

  /** A catalog row changed outside any transaction: sizes and estimates, not names. */
  private void overwritten(RawRecord record, CatalogPlace place) {
    Row row = rows.get(place);
    HeapTuple tuple = row == null ? null : record.newTuple(null);
    if (row == null || tuple == null) {
      return;
    }
    row.tuple = tuple;
    if (place.catalog() == SystemCatalog.CLASS && !open.containsKey(row.xid)) {
      measured.accept(new RelationId(place.database(), SystemCatalog.oid(tuple).orElse(-1)), tuple);
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
  void moved(SystemCatalog catalog, RelFile file, long xid, Lsn at) {
    if (catalogOf(file) == catalog) {
      return;
    }
    rewritten
        .keySet()
        .removeIf(old -> old.database() == file.database() && rewritten.get(old) == catalog);
    rewritten.put(file, catalog);
    numbersChanged();
    rows.keySet()
        .removeIf(place -> place.catalog() == catalog && place.database() == file.database());
    movedCatalogs.put(new CatalogPlace(catalog, file.database(), 0), at);
    // What the transaction that moves it wrote there since went to a file nobody knew.
    open.getOrDefault(xid, new ArrayList<>())
        .removeIf(change -> change.catalog() == catalog && change.database() == file.database());
  }

  /** Whether the catalog was moved or the row written after the snapshot was taken. */
  private boolean isStale(CatalogPlace place, CatalogSnapshot snapshot) {
    Lsn moved = movedCatalogs.get(new CatalogPlace(place.catalog(), place.database(), 0));
    Row row = rows.get(place);
    return (moved != null && snapshot.position().isBefore(moved))
        || (row != null && snapshot.position().isBefore(row.written));
  }

  private void numbersChanged() {
    rewrittenNumbers =
        rewritten.keySet().stream().mapToInt(file -> (int) file.number()).distinct().toArray();
  }

  // ---- snapshots passed ------------------------------------------------------------------------

  /**
   * Snapshots to look rows up in from now on.
   *
   * @param newest whose catalogs' files are those of now
   */
  void hold(List<CatalogSnapshot> snapshots, CatalogSnapshot newest) {
    held = snapshots;
    newest.catalogFiles().forEach((file, oid) -> rewritten.put(file, SystemCatalog.ofOid(oid)));
    numbersChanged();
  }

  /** Two snapshots know the rows written before the older one. */
  void letGo(CatalogSnapshot older, CatalogSnapshot newer) {
    if (older.hasPlaces() && newer.hasPlaces()) {
      rows.entrySet()
          .removeIf(e ->
              older.covers(e.getKey().database())
                  && newer.covers(e.getKey().database())
                  && !open.containsKey(e.getValue().xid)
                  && older.has(e.getValue().written, e.getValue().xid));
    }
  }

  // ---- ends of transactions --------------------------------------------------------------------

  boolean isQuiet() {
    return open.isEmpty();
  }

  /** What a transaction has changed so far, with these of its subtransactions, in order. */
  List<CatalogChange> changesOf(long topXid, List<Long> subxids) {
    List<CatalogChange> changes = open.getOrDefault(topXid, List.of());
    boolean copied = false;
    for (Long xid : subxids) {
      List<CatalogChange> more = open.get(xid);
      if (more != null) {
        changes = copied ? changes : new ArrayList<>(changes);
        copied = true;
        changes.addAll(more);
      }
    }
    if (copied) {
      changes.sort(Comparator.comparing(CatalogChange::lsn));
    }
    return changes;
  }

  /** What it has changed stands: what it found is no more. Answers the changes. */
  List<CatalogChange> committed(long topXid, List<Long> subxids) {
    List<CatalogChange> changes = changesOf(topXid, subxids);
    open.remove(topXid);
    subxids.forEach(open::remove);
    for (CatalogChange change : changes) {
      if (change.from() != null) {
        Row row = rows.get(change.from());
        if (row != null && row.written.isBefore(change.lsn())) {
          rows.remove(change.from());
        }
      }
    }
    return changes;
  }

  void stopped(Set<Long> prepared) {
    for (Long xid : List.copyOf(open.keySet())) {
      if (!prepared.contains(xid)) {
        discard(xid);
      }
    }
  }

  /** What it has changed is void. */
  void discard(long xid) {
    List<CatalogChange> changes = open.remove(xid);
    if (changes == null) {
      return;
    }
    for (CatalogChange change : changes) {
      if (change.to() != null) {
        Row row = rows.get(change.to());
        if (row != null && row.xid == xid) {
          rows.remove(change.to());
        }
      }
    }
  }

  /** The relation whose row in pg_class an open transaction wrote with this file. */
  @Nullable CatalogChange naming(RelFile file) {
    for (List<CatalogChange> changes : open.values()) {
      for (CatalogChange change : changes) {
        if (change.catalog() == SystemCatalog.CLASS
            && change.fresh() != null
            && change.oid() >= 0
            && file.equals(RelationOutcome.state(change, change.fresh(), change.oid()).file())) {
          return change;
        }
      }
    }
    return null;
  }

  /** How much it holds. */
  int size() {
    return rows.size() + open.values().stream().mapToInt(List::size).sum();
  }
}
