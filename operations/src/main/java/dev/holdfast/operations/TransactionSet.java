package dev.holdfast.operations;

import dev.holdfast.damage.DamageScan;
import dev.holdfast.damage.Relation;
import dev.holdfast.damage.RelationNames;
import dev.holdfast.damage.RowHistories;
import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.CatalogReader;
import dev.holdfast.postgres.ForkContents;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.SteppingFork;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.LongPredicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The transactions to undo or to show, and what the log says of the rows they changed. */
final class TransactionSet {
  /** The first OID that a user's relation can have (FirstNormalObjectId, access/transam.h). */
  private static final long FIRST_NORMAL_OID = 16384;

  /** Each is kept in memory: about a kilobyte. */
  static final int TRANSACTIONS_MAX = 100_000;

  /**
   * One table they touched.
   *
   * @param oid lasting identity: the same after a rename
   * @param name as it was called then
   * @param action the worst that any of them did to it
   * @param files the files its rows were changed in
   * @param truncations when it lost all its rows
   * @param firstCommit of the first of them that touched it
   */
  record Table(
      long oid,
      TableName name,
      TableDamage.Action action,
      List<RelFile> files,
      List<RowHistories.Truncation> truncations,
      Lsn firstCommit) {}

  private final ClusterStore cluster;
  private final RecordedNames names;
  private final Revert.Selection selection;
  private final List<TransactionDamage> transactions;

  /** Theirs and their subtransactions'. */
  private final Set<Long> xids = new HashSet<>();

  private final RowHistories histories;

  /** What was recorded, and what the log read for the histories told since. */
  private final RelationNames learnt;

  private final Set<Long> undone;

  private TransactionSet(
      ClusterStore cluster,
      RecordedNames names,
      Revert.Selection selection,
      List<TransactionDamage> transactions,
      Histories read) {
    this.cluster = cluster;
    this.names = names;
    this.selection = selection;
    this.transactions = transactions;
    for (TransactionDamage damage : transactions) {
      xids.add(damage.xid());
      xids.addAll(damage.subtransactions());
    }
    this.histories = read.histories;
    this.learnt = read.learnt;
    this.undone = read.undone;
  }

  /**
   * Finds the transactions to undo and reads the recorded WAL for everything about their rows.
   *
   * @param recorder waited for where it matters what it has not recorded yet
   * @throws OperatorException USAGE or REFUSED, with the reason, when one of them is not recorded
   *     as committed, when none fits, or when together they cannot be undone in place
   */
  static TransactionSet of(
      ClusterStore cluster, Revert.Selection selection, RecorderWait recorder, Progress progress) {
    return of(cluster, RecordedNames.of(cluster), selection, recorder, progress);
  }

  private static TransactionSet of(
      ClusterStore cluster,
      RecordedNames names,
      Revert.Selection selection,
      RecorderWait recorder,
      Progress progress) {
    TransactionSet found = read(cluster, names, selection, recorder, false, progress);
    found.refuseWhatCannotBeUndoneInPlace();
    return found;
  }

  /**
   * The same set; if rows were changed in files that no recorded catalog knows, with the names that
   * production has for them: a table may have got its file a moment ago.
   *
   * @param production the server it happened on
   */
  TransactionSet namedBy(PostgresUrl production, Progress progress) {
    if (nameless().isEmpty()) {
      return this;
    }
    RecordedNames present = RecordedNames.of(cluster);
    present.add(CatalogReader.read(production));
    return of(cluster, present, selection, RecorderWait.none(cluster), progress);
  }

  /**
   * One transaction, whether it can be undone in place or not. The log is read up to its commit:
   * what became of its rows since is not known.
   *
   * @throws OperatorException USAGE or REFUSED, with the reason, when it is not recorded as
   *     committed, or its log is not there any more
   */
  static TransactionSet upToCommit(ClusterStore cluster, String xid, Progress progress) {
    RecorderWait none = RecorderWait.none(cluster);
    return read(cluster, RecordedNames.of(cluster), Revert.Selection.of(xid), none, true, progress);
  }

  private static TransactionSet read(
      ClusterStore cluster,
      RecordedNames names,
      Revert.Selection selection,
      RecorderWait recorder,
      boolean upToCommit,
      Progress progress) {
    List<TransactionDamage> set = new Search(cluster, names, selection, recorder).run(progress);
    refuseWithoutTables(cluster, set);
    RecordedWal wal = new RecordedWal(cluster); // with what came while it was waited for
    names.update(cluster);
    set.sort(Comparator.comparing(TransactionDamage::commitLsn));
    Lsn first =
        set.stream().map(TransactionDamage::firstLsn).min(Comparator.naturalOrder()).orElseThrow();
    Lsn last = set.getLast().commitEnd();
    if (!wal.holds(first, last)) {
      throw new OperatorException(
          Kind.REFUSED,
          told(set) + " cannot be shown or undone row by row",
          "the log, from %s to %s, is not all in the repository any more; recorded is %s"
              .formatted(first, last, wal.describe()),
          "holdfast log " + cluster.document().name() + " --destructive tells what was done");
    }
    Set<TableId> wanted = new HashSet<>();
    for (TransactionDamage damage : set) {
      for (TableDamage table : damage.tables()) {
        if (table.action() != TableDamage.Action.DROPPED && selection.wants(table, names, damage)) {
          wanted.add(new TableId(table.database(), table.oid()));
        }
      }
    }
    @Nullable Lsn to = upToCommit ? last : null;
    Histories read = histories(wal, names, set, wanted, first, first, to, progress);
    Lsn taken = names.takenBefore(first);
    if (read.nameless && taken != null) {
      // A file came and went between two recorded catalogs: the log since the first tells whose,
      // and the table may have been made by a transaction that was open when the first was taken.
      Lsn since = new RecordedDamage(cluster, wal, names).openSince(taken);
      Lsn from = wal.holds(since, first) ? since : taken;
      if (wal.holds(from, first)) {
        read = histories(wal, names, set, wanted, from, first, to, progress);
      }
    }
    return new TransactionSet(cluster, names, selection, List.copyOf(set), read);
  }

  /** Such as one that dropped an event trigger: told by the log, but of no row. */
  private static void refuseWithoutTables(ClusterStore cluster, List<TransactionDamage> set) {
    for (TransactionDamage damage : set) {
      if (damage.tables().isEmpty()) {
        throw new OperatorException(
            Kind.REFUSED,
            "transaction " + damage.xid() + " cannot be shown or undone row by row",
            "it changed no rows of tables: " + String.join("; ", damage.notes()),
            "holdfast log "
                + cluster.document().name()
                + " --destructive tells what is known of it");
      }
    }
  }

  /** A row moved to another partition is counted where it came from: the others are wanted, too. */
  private static boolean isWanted(
      Set<TableId> wanted, RelationNames names, Relation relation, Lsn at) {
    if (wanted.contains(new TableId(relation.databaseName(), relation.oid()))) {
      return true;
    }
    long root = names.partitionRoot(relation.database(), relation.oid(), at);
    return root > 0
        && wanted.stream()
            .anyMatch(table ->
                table.database.equals(relation.databaseName())
                    && (table.oid == root
                        || names.partitionRoot(relation.database(), table.oid, at) == root));
  }

  /** Databases made from one template share OIDs. */
  private record TableId(String database, long oid) {}

  /**
   * @param learnt the names recorded, and what the log read told since
   * @param undone tables, by OID, that a revert wrote after the set
   * @param nameless whether rows were changed in a file of the database that nobody knows
   */
  private record Histories(
      RowHistories histories, RelationNames learnt, Set<Long> undone, boolean nameless) {}

  /**
   * @param from where to begin to learn whose a file is
   * @param first where to begin with rows
   * @param to where to end; null: where the log does
   */
  private static Histories histories(
      RecordedWal wal,
      RecordedNames names,
      List<TransactionDamage> set,
      Set<TableId> wanted,
      Lsn from,
      Lsn first,
      @Nullable Lsn to,
      Progress progress) {
    Lsn last = set.getLast().commitEnd();
    Following at = new Following();
    Set<Long> undone = new HashSet<>();
    DamageScan following =
        new DamageScan(
            names,
            damage -> {
              if (!damage.commitLsn().isBefore(last)
                  && Revert.APPLICATION.equals(damage.application())) {
                damage.tables().forEach(table -> undone.add(table.oid()));
              }
              RowHistories histories = at.histories;
              for (TableDamage table : damage.tables()) {
                if (histories != null && table.action() == TableDamage.Action.TRUNCATED) {
                  histories.emptied(table.oid(), damage.commitLsn());
                }
              }
            });
    RelationNames learnt = following.names();
    Long database = names.databaseOid(set.getFirst().tables().getFirst().database(), last);
    RowHistories histories =
        new RowHistories(
            set,
            file -> {
              Relation told = learnt.byFile(file, new Lsn(at.lsn));
              Relation relation = told == null ? names.byFile(file, last) : told;
              at.nameless |= relation == null && file.number() >= FIRST_NORMAL_OID;
              return relation != null
                      && relation.kind() == Relation.Kind.TABLE
                      && isWanted(wanted, learnt, relation, last)
                  ? relation.oid()
                  : 0;
            },
            table ->
                database == null
                    ? RelationNames.UNKNOWN_ROOT
                    : learnt.partitionRoot(database, table, last));
    at.histories = histories;
    try (Progress.Phase phase =
        progress.begin(
            to == null
                ? "reading what was changed, and what was changed since"
                : "reading what was changed",
            wal.bytes(from, to),
            Progress.Unit.BYTES)) {
      wal.read(
          from,
          to,
          phase,
          record -> {
            at.lsn = record.lsn();
            if (Long.compareUnsigned(at.lsn, first.position()) >= 0) {
              histories.accept(record);
            }
            following.accept(record);
          });
    }
    return new Histories(histories, learnt, undone, at.nameless);
  }

  /** Where the log is being read, for which rows, and whether a file was met that nobody knows. */
  private static final class Following {
    private long lsn;
    private @Nullable RowHistories histories;
    private boolean nameless;
  }

  /** What the operator should know of how they were found. */
  List<String> notes() {
    List<String> notes = new ArrayList<>();
    if (selection.single().size() < Math.max(1, selection.xids().size())
        && new RecordedDamage(cluster, new RecordedWal(cluster), names)
            .hasSummariesWithoutLog(this::mayFit)) {
      notes.add(
          "the log of the first part of that time is not in the repository any more: of small"
              + " changes then (inserts, updates of few rows) nothing is known, and they are not"
              + " undone");
    }
    for (TransactionDamage damage : transactions) {
      boolean named =
          selection.application() != null
              || selection.single().stream()
                  .anyMatch(xid -> RecordedTransactions.isOf(xid, damage));
      if (Revert.APPLICATION.equals(damage.application()) && !named) {
        notes.add(
            "transaction %d of the range is an earlier revert, and is undone with the others; to leave it out, give the numbers before it and after it as two ranges"
                .formatted(damage.xid()));
      }
    }
    return notes;
  }

  private boolean mayFit(SegmentSummary summary) {
    return new Log.Filter(false, null, selection.since(), selection.until(), null, null)
        .mayHold(summary);
  }

  /** Whether a row version of this xmin is of one of them, or of a subtransaction of one. */
  boolean wrote(long xmin) {
    return xids.contains(xmin);
  }

  /** In order of commit. */
  List<TransactionDamage> transactions() {
    return transactions;
  }

  Revert.Selection selection() {
    return selection;
  }

  RowHistories histories() {
    return histories;
  }

  /** Whether a revert wrote rows of a table after the set: it may have undone some of it. */
  boolean wasUndoneSince(long table) {
    return undone.contains(table);
  }

  /** The cluster's name, for commands to type. */
  String cluster() {
    return cluster.document().name();
  }

  /** Just past the last of their commits. */
  Lsn lastCommitEnd() {
    return transactions.getLast().commitEnd();
  }

  /** As a message names them: {@code transaction 812}, or {@code 37 transactions (812 to 901)}. */
  String told() {
    return told(transactions);
  }

  private static String told(List<TransactionDamage> set) {
    return set.size() == 1
        ? "transaction " + set.getFirst().xid()
        : "%,d transactions (%d to %d)"
            .formatted(set.size(), set.getFirst().xid(), set.getLast().xid());
  }

  /** Whether nobody recorded whose file it is that rows were changed in. */
  static boolean isUnknown(TableDamage table) {
    return table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA);
  }

  /** The database it happened in, by name. */
  String database() {
    return transactions.getFirst().tables().getFirst().database();
  }

  /** Its OID; 0 when no catalog tells it. */
  private long databaseOid() {
    Long oid = names.databaseOid(database(), lastCommitEnd());
    return oid == null ? 0 : oid;
  }

  /** The tables that are still there, as the log and the recorded catalogs name them. */
  List<Table> tables() {
    Map<Long, List<RelFile>> files = new HashMap<>();
    for (RelFile file : histories.files()) {
      files.computeIfAbsent(histories.table(file), _ -> new ArrayList<>()).add(file);
    }
    Map<Long, Table> tables = new LinkedHashMap<>();
    for (TransactionDamage damage : transactions) {
      for (TableDamage table : damage.tables()) {
        if (isUnknown(table)
            || table.action() == TableDamage.Action.DROPPED
            || !selection.wants(table, names, damage)) {
          continue; // told by nameless(), or by dropped()
        }
        tables.merge(
            table.oid(),
            new Table(
                table.oid(),
                table.table(),
                table.action(),
                files.getOrDefault(table.oid(), List.of()),
                histories.truncations().stream()
                    .filter(truncation -> truncation.table() == table.oid())
                    .toList(),
                damage.commitLsn()),
            (one, other) ->
                other.action.compareTo(one.action) < 0
                    ? new Table(
                        one.oid,
                        one.name,
                        other.action,
                        one.files,
                        one.truncations,
                        one.firstCommit)
                    : one);
      }
    }
    for (Map.Entry<Long, List<RelFile>> other : files.entrySet()) {
      RelFile file = other.getValue().getFirst();
      Relation told = learnt.byFile(file, lastCommitEnd());
      // A table rewritten before anybody recorded its first file is known by its OID alone.
      Relation relation =
          told == null ? learnt.byOid(file.database(), other.getKey(), lastCommitEnd()) : told;
      if (!tables.containsKey(other.getKey()) && relation != null) {
        tables.put(
            other.getKey(),
            new Table(
                other.getKey(),
                relation.name(),
                TableDamage.Action.CHANGED,
                other.getValue(),
                List.of(),
                transactions.getFirst().commitLsn()));
      }
    }
    return List.copyOf(tables.values());
  }

  /** OIDs of the tables they dropped, each with the transaction that did. */
  Map<Long, TransactionDamage> dropped() {
    Map<Long, TransactionDamage> dropped = new LinkedHashMap<>();
    for (TransactionDamage damage : transactions) {
      for (TableDamage table : damage.tables()) {
        if (table.action() == TableDamage.Action.DROPPED
            && !isUnknown(table)
            && selection.wants(table, names, damage)) {
          dropped.put(table.oid(), damage);
        }
      }
    }
    return dropped;
  }

  /**
   * The first of them that dropped a table. The state just before it has every table they dropped.
   *
   * @throws OperatorException REFUSED when a table dropped later was written in between by others:
   *     that state lacks their rows
   */
  TransactionDamage firstDrop(Progress progress) {
    Map<Long, TransactionDamage> dropped = dropped();
    TransactionDamage first = dropped.values().iterator().next();
    TransactionDamage last = first;
    for (TransactionDamage each : dropped.values()) {
      last = each.commitLsn().isAfter(last.commitLsn()) ? each : last;
    }
    if (last.xid() == first.xid()) {
      return first;
    }
    Lsn from = first.commitLsn();
    Lsn to = last.commitLsn();
    Set<Long> members = new HashSet<>();
    transactions.forEach(damage -> members.add(damage.xid()));
    new RecordedDamage(cluster, new RecordedWal(cluster), names)
        .all(
            summary -> summary.to().isAfter(from) && summary.from().isBefore(to),
            progress,
            damage -> {
              for (TableDamage table : damage.tables()) {
                TransactionDamage drop = dropped.get(table.oid());
                if (drop != null
                    && !members.contains(damage.xid())
                    && damage.commitLsn().isAfter(from)
                    && damage.commitLsn().isBefore(drop.commitLsn())) {
                  throw new OperatorException(
                      Kind.REFUSED,
                      told() + " cannot be undone together",
                      "between the first drop (%d) and that of %s (%d) transaction %d wrote rows of it"
                          .formatted(first.xid(), table.table(), drop.xid(), damage.xid()),
                      "undo %d by itself first: holdfast revert %s %d"
                          .formatted(drop.xid(), cluster.document().name(), drop.xid()));
                }
              }
            });
    return first;
  }

  /** What a fork must hold to give the rows of these tables. */
  ForkContents contents(Set<Long> tables, boolean indexes) {
    long database = databaseOid();
    return database == 0
        ? new ForkContents.Whole()
        : new ForkContents.Sparse(database, tables, indexes, false);
  }

  /** A server that shows these tables at one position after the other. */
  SteppingFork stepping(Set<Long> tables, Lsn first, Progress progress) {
    return Forks.stepping(
        cluster,
        first,
        // A standby's planner looks into the indexes of what it reads, used or not.
        ForkOptions.defaults().holding(contents(tables, true)),
        "fork at " + first,
        progress);
  }

  /** Whether a fork of either position stands on the same base backup. */
  boolean haveTheSameBase(Lsn earlier, Lsn later) {
    return cluster.bases().list().stream()
        .map(base -> new Lsn(base.stopLsn()))
        .noneMatch(end -> end.isAfter(earlier) && !end.isAfter(later));
  }

  /**
   * The last position at which a standby shows a table as it was before the first of them that
   * dropped it, truncated it or changed its rows.
   */
  Lsn lastBefore(long table) {
    TransactionDamage first =
        transactions.stream()
            .filter(damage -> damage.tables().stream().anyMatch(each -> each.oid() == table))
            .findFirst()
            .orElseThrow();
    return histories.writers().stream()
        .filter(writer -> writer.inSet() && writer.commitLsn().equals(first.commitLsn()))
        .map(writer -> writer.lastBefore(table))
        .filter(at -> at.isBefore(first.targetLsn()))
        .findFirst()
        .orElse(first.targetLsn()); // of DROP DATABASE, which acts before its commit
  }

  /** Files whose table nobody recorded: their rows cannot be brought back in place. */
  Set<String> nameless() {
    Set<String> unknown = new TreeSet<>();
    for (TransactionDamage damage : transactions) {
      for (TableDamage table : damage.tables()) {
        if (isUnknown(table) && selection.tables().isEmpty()) {
          unknown.add(table.table().table());
        }
      }
    }
    return unknown;
  }

  /** That one of them rewrote a table whose rows it changed, too. */
  OperatorException rewroteItself(Table table) {
    return new OperatorException(
        Kind.REFUSED,
        told() + " cannot be undone row by row",
        "one of them changed rows of %s and rewrote the table as well (ALTER TABLE): its rows cannot be followed"
            .formatted(table.name()),
        "look at the data on a fork from before: holdfast fork %s --before %d"
            .formatted(cluster(), transactions.getFirst().xid()));
  }

  /** Refuses what no fork's rows could be merged for. */
  private void refuseWhatCannotBeUndoneInPlace() {
    Set<String> databases = new TreeSet<>();
    for (TransactionDamage damage : transactions) {
      InPlace.require(cluster.document().name(), damage, table -> wants(table, damage));
      damage.tables().stream()
          .filter(table -> wants(table, damage))
          .forEach(table -> databases.add(table.database()));
    }
    if (databases.size() > 1) {
      throw new OperatorException(
          Kind.REFUSED,
          told() + " cannot be undone together",
          "they changed tables of several databases: " + String.join(", ", databases),
          "undo those of one database at a time: --table DATABASE.SCHEMA.TABLE");
    }
    Map<Long, TransactionDamage> dropped = dropped();
    for (TransactionDamage damage : transactions) {
      for (TableDamage table : damage.tables()) {
        TransactionDamage drop = dropped.get(table.oid());
        if (drop != null
            && drop.xid() != damage.xid()
            && table.action() != TableDamage.Action.DROPPED) {
          throw new OperatorException(
              Kind.REFUSED,
              told() + " cannot be undone together",
              "transaction %d dropped %s, which transaction %d had changed before"
                  .formatted(drop.xid(), table.table(), damage.xid()),
              "bring the table back first: holdfast revert %s %d; then undo the others"
                  .formatted(cluster.document().name(), drop.xid()));
        }
      }
    }
  }

  private boolean wants(TableDamage table, TransactionDamage damage) {
    return selection.wants(table, names, damage);
  }

  /** Finds the transactions of a selection. */
  private static final class Search {
    private final ClusterStore cluster;
    private final RecordedNames names;
    private final Revert.Selection selection;
    private final RecorderWait recorder;

    private Search(
        ClusterStore cluster,
        RecordedNames names,
        Revert.Selection selection,
        RecorderWait recorder) {
      this.cluster = cluster;
      this.names = names;
      this.selection = selection;
      this.recorder = recorder;
    }

    /** When it returns, all that matters is recorded. */
    private List<TransactionDamage> run(Progress progress) {
      List<TransactionDamage> known = knownByNumber(progress);
      if (!known.isEmpty()) {
        if (!known.stream().allMatch(Search::onlyDropped)) {
          recorder.await();
        }
        return known;
      }
      recorder.await(); // it may be among what was not recorded yet
      names.update(cluster);
      return recorded(new RecordedWal(cluster), progress);
    }

    /**
     * Where all are given one by one, are recorded, and destroyed something, which summaries tell;
     * else none.
     */
    private List<TransactionDamage> knownByNumber(Progress progress) {
      if (!selection.isNumbers()) {
        return List.of(); // what was not received may be meant as well
      }
      Set<Long> xids =
          selection.xids().stream().map(RecordedTransactions::parse).collect(Collectors.toSet());
      Map<Long, TransactionDamage> found =
          new RecordedTransactions(cluster, new RecordedWal(cluster), names)
              .destructive(xids, progress);
      LongPredicate numbers = selection.numbers();
      boolean all =
          found.keySet().containsAll(xids)
              && found.values().stream()
                  .allMatch(damage -> selection.wants(damage, numbers, names));
      List<TransactionDamage> set = new ArrayList<>(new HashSet<>(found.values()));
      return all && selection.untouched(set, names).isEmpty() ? set : List.of();
    }

    /** No row of then meets one of now: what was written meanwhile does not matter. */
    private static boolean onlyDropped(TransactionDamage damage) {
      return damage.tables().stream()
          .allMatch(table -> table.action() == TableDamage.Action.DROPPED);
    }

    private List<TransactionDamage> recorded(RecordedWal wal, Progress progress) {
      RecordedTransactions transactions = new RecordedTransactions(cluster, wal, names);
      if (selection.isNumbers() && selection.xids().size() == 1) {
        TransactionDamage only = transactions.find(selection.xids().getFirst(), progress);
        if (!only.tables().isEmpty()
            && only.tables().stream().noneMatch(table -> selection.wants(table, names, only))) {
          throw nothingFits(wal);
        }
        return new ArrayList<>(List.of(only));
      }
      List<TransactionDamage> found = new ArrayList<>();
      LongPredicate numbers = selection.numbers();
      new RecordedDamage(cluster, wal, names)
          .all(
              this::mayFit,
              progress,
              damage -> {
                if (selection.wants(damage, numbers, names)) {
                  if (found.size() == TRANSACTIONS_MAX) {
                    throw tooMany();
                  }
                  found.add(damage);
                }
              });
      // One that was named and does not fit has a reason to be told.
      for (String xid : selection.single()) {
        if (found.stream().noneMatch(damage -> RecordedTransactions.isOf(xid, damage))) {
          TransactionDamage other = transactions.find(xid, progress);
          throw new OperatorException(
              Kind.REFUSED,
              "transaction " + xid + " does not fit what else was asked for",
              "it was committed at %s and changed %s"
                  .formatted(
                      other.committedAt(),
                      other.tables().stream()
                          .map(table -> table.table().toString())
                          .collect(Collectors.joining(", "))),
              "leave it out, or the option it does not fit");
        }
      }
      if (found.isEmpty()) {
        throw nothingFits(wal);
      }
      List<String> untouched = selection.untouched(found, names);
      if (!untouched.isEmpty()) {
        throw new OperatorException(
            Kind.REFUSED,
            "nothing was done to " + String.join(", ", untouched),
            "none of the %,d transactions that fit touched a table of that name"
                .formatted(found.size()),
            "check the spelling, as `holdfast log` shows it, or leave it out");
      }
      return found;
    }

    private boolean mayFit(SegmentSummary summary) {
      return (selection.since() == null && selection.until() == null)
          || new Log.Filter(false, null, selection.since(), selection.until(), null, null)
              .mayHold(summary);
    }

    private OperatorException nothingFits(RecordedWal wal) {
      return new OperatorException(
          Kind.REFUSED,
          "there is nothing to undo",
          "no recorded transaction that changed rows fits " + selection,
          "holdfast log "
              + cluster.document().name()
              + " shows what is recorded ("
              + wal.describe()
              + ")");
    }

    private OperatorException tooMany() {
      return new OperatorException(
          Kind.REFUSED,
          "too many transactions to undo at once",
          "more than %,d fit %s".formatted(TRANSACTIONS_MAX, selection),
          "narrow it: --since and --until with times, --table with the table that was hurt; or undo"
              + " them in parts, the latest first");
    }
  }
}
