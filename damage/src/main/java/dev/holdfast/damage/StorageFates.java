package dev.holdfast.damage;

import dev.holdfast.damage.OpenTransaction.Rows;
import dev.holdfast.damage.OpenTransaction.Step;
import dev.holdfast.row.TableName;
import dev.holdfast.wal.DroppedStat;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.RelationId;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a committed transaction made of relations and their files: gone, emptied, rewritten or born.
 *
 * <p>pg_class says it ("commands/tablecmds.c", "commands/cluster.c", PostgreSQL 14 to 18):
 *
 * <ul>
 *   <li>DROP deletes the relation's row.
 *   <li>A rewrite (VACUUM FULL, CLUSTER, ALTER TYPE, REFRESH, SET LOGGED) gives the row a file that
 *       was born with a transient relation. SET TABLESPACE gives it one in another tablespace, a
 *       copy.
 *   <li>TRUNCATE gives it a file that was nobody's before; or cuts the file, when that was made in
 *       the same transaction.
 * </ul>
 *
 * <p>Where the log does not tell whose row was updated or deleted (at wal_level=replica an update
 * leaves out what the versions share, and the old one may be older than all that is known), the
 * order of locks and new files is all there is. See {@link #infer}.
 */
final class StorageFates {
  /** What became of a table whose file was dropped. */
  enum Fate {
    DROPPED,
    TRUNCATED,
    REWRITTEN
  }

  /** What pg_class says became of a relation. */
  static final class Outcome {
    final RelationId id;

    /** Whether the transaction made it. */
    final boolean born;

    /** Its row as last seen. */
    RelationState state;

    boolean gone;
    boolean truncated;

    private final List<RelFile> files = new ArrayList<>(1);

    /** Whether the file replaced one whose rows are gone. */
    private final List<Boolean> emptied = new ArrayList<>(1);

    /** The first file whose inserts are still there; -1 for the one it had before. */
    private int countedFrom = -1;

    private Outcome(RelationId id, boolean born, RelationState state) {
      this.id = id;
      this.born = born;
      this.state = state;
    }

    /** Whether rows inserted into this file are there at the end: no TRUNCATE came after. */
    boolean keptInserts(RelFile file) {
      return files.lastIndexOf(file) >= countedFrom;
    }

    /** The file it has in the end; null for the one it had before. */
    @Nullable RelFile lastFile() {
      return files.isEmpty() ? null : files.getLast();
    }
  }

  private record NewStorage(RelFile file, boolean rewritten) {}

  private final OpenTransaction transaction;
  private final FileNumbers numbers;
  private final Ending commit;
  private final RelationNames names;

  private final Map<RelationId, Outcome> outcomes = new LinkedHashMap<>();
  private final Map<RelFile, Outcome> owners = new HashMap<>();
  private final Set<RelFile> created = new HashSet<>();

  /** Files that a row of pg_class was inserted with. */
  private final Map<RelFile, Outcome> bornWith = new HashMap<>();

  private final Set<Long> droppedOids = new HashSet<>();

  // What is inferred, not told.
  private final Map<RelationId, NewStorage> inferred = new HashMap<>();
  private final Map<RelFile, Relation> inferredOwners = new HashMap<>();
  private boolean truncationLeftOver;
  private boolean rewrites;
  private boolean unknownDeleted;

  StorageFates(OpenTransaction transaction, FileNumbers files, Ending commit, RelationNames names) {
    this.transaction = transaction;
    this.numbers = files;
    this.commit = commit;
    this.names = names;
    for (DroppedStat stat : commit.droppedStats()) {
      if (stat.kind() == DroppedStat.RELATION) {
        droppedOids.add(stat.object());
      }
    }
    boolean anonymous = false;
    for (RelationChange change : transaction.definitions.relations()) {
      if (change.oid() < 0) {
        anonymous |= change.isDeletion() || change.fileAfter() != null;
      } else {
        see(change);
      }
    }
    for (RelationChange change : transaction.definitions.relations()) {
      if (change.oid() >= 0) {
        follow(change);
      }
    }
    outcomes.values().forEach(this::sumUp);
    for (Step step : transaction.steps) {
      if (step instanceof Step.Created one) {
        created.add(one.file());
        anonymous |= !owners.containsKey(one.file());
      }
    }
    if (anonymous) {
      infer();
    }
  }

  // ---- what pg_class says ----------------------------------------------------------------------

  private void see(RelationChange change) {
    RelationState state = change.after() == null ? change.before() : change.after();
    if (state == null) {
      return;
    }
    RelationId id = new RelationId(change.database(), change.oid());
    Outcome outcome = outcomes.computeIfAbsent(id, _ -> new Outcome(id, change.born(), state));
    outcome.state = state;
    outcome.gone = change.isDeletion();
    RelFile file = change.fileAfter();
    if (change.born() && file != null) {
      bornWith.put(file, outcome);
    }
  }

  private void follow(RelationChange change) {
    Outcome outcome = outcomes.get(new RelationId(change.database(), change.oid()));
    RelFile file = change.fileAfter();
    if (outcome == null || file == null) {
      return;
    }
    RelFile last = outcome.files.isEmpty() ? change.fileBefore() : outcome.files.getLast();
    if (file.equals(last) || (last == null && !change.born() && !isCreated(file))) {
      return;
    }
    if (!outcome.born || !outcome.gone) {
      owners.put(file, outcome);
    } else if (change.born()) {
      owners.putIfAbsent(file, outcome); // else it gets the old file, as the vehicle of a rewrite
    }
    Outcome from = bornWith.get(file);
    boolean copied = last != null && last.tablespace() != file.tablespace();
    boolean replaced = change.born() || (from != null && !from.equals(outcome)) || copied;
    rewrites |= !change.born() && replaced;
    outcome.files.add(file);
    outcome.emptied.add(!replaced);
  }

  private boolean isCreated(RelFile file) {
    return transaction.created(file);
  }

  private void sumUp(Outcome outcome) {
    for (int index = 0; index < outcome.files.size(); index++) {
      Rows rows = transaction.rowsIfAny(numbers.of(outcome.files.get(index)));
      if (outcome.emptied.get(index) || (rows != null && rows.emptied)) {
        outcome.truncated = true;
        outcome.countedFrom = index;
      }
    }
  }

  /** Every relation whose row of pg_class changed, as far as it is known which. */
  Collection<Outcome> outcomes() {
    return outcomes.values();
  }

  /** What pg_class says of this relation; null when it says nothing. */
  @Nullable Outcome outcome(long database, long oid) {
    return outcomes.get(new RelationId(database, oid));
  }

  /** The relation that a new file belongs to in the end; null when pg_class does not tell. */
  @Nullable Outcome ownerOf(RelFile newFile) {
    return owners.get(newFile);
  }

  /** Whether the transaction created this file. */
  boolean isNew(RelFile file) {
    return created.contains(file) || bornWith.containsKey(file);
  }

  // ---- what has to be inferred -----------------------------------------------------------------

  /**
   * No record but those of pg_class says which table a new file belongs to. Without them the order
   * of locks and files does: each new file goes to the first locked table that lost its file and
   * has none yet, unless the lock just before it is an index's or a TOAST table's.
   */
  private void infer() {
    Set<RelationId> lost = new HashSet<>();
    for (RelFile file : commit.droppedFiles()) {
      Relation owner = isNew(file) ? null : names.byFile(file, commit.lsn());
      if (owner != null && isUnexplained(owner)) {
        lost.add(new RelationId(owner.database(), owner.oid()));
      }
    }
    Deque<Relation> waiting = new ArrayDeque<>();
    Relation lastLocked = null;
    for (Event event : events()) {
      if (event.step instanceof Step.Locked lock) {
        RelationId id = lock.relation();
        lastLocked = names.byOid(id.database(), id.relation(), commit.lsn());
        if (lastLocked != null && lastLocked.holdsRows() && lost.contains(id)) {
          waiting.addLast(lastLocked);
        }
      } else if (event.step instanceof Step.Created one) {
        created(one.file(), waiting, lastLocked);
        lastLocked = null;
      } else if (commit.major() == 14) {
        waiting.clear(); // the tables locked so far may be the ones dropped
      }
    }
  }

  /**
   * @param step null: a row of pg_class was deleted, and it is not known which
   */
  private record Event(Lsn lsn, @Nullable Step step) {}

  /** Locks, new files and deletions by an unknown OID, in order. */
  private List<Event> events() {
    List<Event> events = new ArrayList<>();
    int next = 0;
    for (RelationChange change : transaction.definitions.relations()) {
      if (!change.isDeletion()) {
        continue;
      }
      for (; next < transaction.steps.size(); next++) {
        Step step = transaction.steps.get(next);
        if (!step.lsn().isBefore(change.lsn())) {
          break;
        }
        events.add(new Event(step.lsn(), step));
      }
      Outcome outcome = outcomes.get(new RelationId(change.database(), change.oid()));
      if (change.oid() < 0) {
        events.add(new Event(change.lsn(), null));
      } else if (outcome != null && outcome.born) {
        // A transient relation takes the TOAST table it was swapped with along: its owner lives on.
        while (!events.isEmpty() && events.getLast().step == null) {
          events.removeLast();
        }
        rewrites = true;
      }
    }
    for (; next < transaction.steps.size(); next++) {
      events.add(new Event(transaction.steps.get(next).lsn(), transaction.steps.get(next)));
    }
    unknownDeleted = events.stream().anyMatch(event -> event.step == null);
    return events;
  }

  private void created(RelFile file, Deque<Relation> waiting, @Nullable Relation lastLocked) {
    Outcome told = owners.get(file);
    if (told != null && !(told.born && told.gone)) {
      return;
    }
    Rows filled = transaction.rowsIfAny(numbers.of(file));
    boolean rewritten = told != null || (filled != null && filled.images > 0);
    Relation known = names.byFile(file, commit.end());
    if (known != null) {
      waiting.removeIf(relation -> relation.oid() == known.oid());
      if (known.holdsRows()) {
        take(known, file, rewritten, filled);
      }
    } else if (told != null && told.state.kind() == 't') {
      if (!commit.droppedFiles().contains(file)) {
        inferredOwners.put(file, longValues(told, file)); // a rewrite gave it away
      }
    } else if (told == null
        && lastLocked != null
        && (lastLocked.kind() == Relation.Kind.INDEX || lastLocked.kind() == Relation.Kind.TOAST)) {
      inferredOwners.put(file, lastLocked);
    } else if (told == null || told.state.kind() == 'r' || told.state.kind() == 'm') {
      while (!waiting.isEmpty() && droppedOids.contains(waiting.getFirst().oid())) {
        waiting.removeFirst();
      }
      if (!waiting.isEmpty()) {
        take(waiting.removeFirst(), file, rewritten, filled);
      } else {
        truncationLeftOver |= !rewritten;
      }
    }
  }

  private Relation longValues(Outcome toast, RelFile file) {
    String database = names.database(toast.id.database(), commit.lsn());
    return new Relation(
        toast.id.database(),
        database == null ? Long.toString(toast.id.database()) : database,
        toast.id.relation(),
        new TableName(TableDamage.UNKNOWN_SCHEMA, file.toString()),
        Relation.Kind.TOAST,
        false,
        -1,
        -1);
  }

  private void take(Relation owner, RelFile file, boolean rewritten, @Nullable Rows filled) {
    boolean emptied = filled != null && filled.emptied;
    inferred.put(
        new RelationId(owner.database(), owner.oid()), new NewStorage(file, rewritten && !emptied));
    inferredOwners.put(file, owner);
  }

  /** Whether pg_class does not say what became of this table's file. */
  boolean isUnexplained(Relation table) {
    Outcome outcome = outcome(table.database(), table.oid());
    return outcome == null || !(outcome.gone || outcome.lastFile() != null);
  }

  /** What became of a table one of whose files the commit dropped, {@link #isUnexplained}. */
  Fate inferredFate(Relation table) {
    if (droppedOids.contains(table.oid())) {
      return Fate.DROPPED;
    }
    NewStorage storage = inferred.get(new RelationId(table.database(), table.oid()));
    if (storage != null) {
      return storage.rewritten ? Fate.REWRITTEN : Fate.TRUNCATED;
    }
    if (commit.major() == 14) {
      return Fate.DROPPED; // only later versions list the OIDs of what is gone
    }
    return truncationLeftOver ? Fate.TRUNCATED : Fate.REWRITTEN;
  }

  /** The new files of relations that pg_class does not tell of, as far as can be inferred. */
  Map<RelFile, Relation> inferredFiles() {
    return inferredOwners;
  }

  /** The table this new file replaces the file of; null when nobody knows. */
  @Nullable Relation inferredOwner(RelFile newFile) {
    return inferredOwners.get(newFile);
  }

  /**
   * Whether this file's relation is gone, without knowing whose it is. A relation's first file has
   * the relation's OID as its number; where no OIDs are told, on 14, it is so if the transaction
   * deleted relations and rewrote none.
   */
  boolean isGone(RelFile file) {
    if (isNew(file)) {
      return false;
    }
    for (Outcome outcome : outcomes.values()) {
      if (outcome.gone && file.equals(outcome.state.file())) {
        return outcome.state.kind() == 'r' || outcome.state.kind() == 'm';
      }
    }
    return commit.major() == 14 ? unknownDeleted && !rewrites : droppedOids.contains(file.number());
  }
}
