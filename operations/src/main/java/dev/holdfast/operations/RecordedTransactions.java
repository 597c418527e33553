package dev.holdfast.operations;

import dev.holdfast.damage.DamageScan;
import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalRecord;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Finds one transaction in the recorded WAL. */
final class RecordedTransactions {
  private final ClusterStore cluster;
  private final RecordedWal wal;
  private final RecordedNames names;

  RecordedTransactions(ClusterStore cluster, RecordedWal wal, RecordedNames names) {
    this.cluster = cluster;
    this.wal = wal;
    this.names = names;
  }

  /**
   * The committed transaction of this number; the newest one when numbers have wrapped around.
   *
   * @throws OperatorException when the text is no transaction number, or none such is recorded as
   *     committed; says which it is
   */
  TransactionDamage find(String text, Progress progress) {
    long xid = parse(text);
    @Nullable TransactionDamage destructive = destructive(Set.of(xid), progress).get(xid);
    if (destructive != null) {
      return destructive;
    }
    Search search = search(xid, progress);
    if (search.found != null) {
      return search.found;
    }
    throw search.missing();
  }

  /**
   * Where a transaction took effect.
   *
   * @param before where to stop for the state before it
   * @param commit where its commit record starts
   */
  record Moment(Lsn before, Lsn commit) {}

  /**
   * As {@link #find}, of any transaction that committed, whatever it did.
   *
   * @param what the operation that fails where there is none
   */
  Moment moment(String text, String what, Progress progress) {
    if (text.contains("/")) {
      throw new OperatorException(
          Kind.USAGE,
          what,
          "\"" + text + "\" looks like an LSN, not like a transaction number",
          "give it with --lsn " + text);
    }
    long xid = parse(text);
    @Nullable TransactionDamage destructive = destructive(Set.of(xid), progress).get(xid);
    if (destructive != null) {
      return new Moment(destructive.targetLsn(), destructive.commitLsn());
    }
    Search search = search(xid, progress);
    if (search.found != null) {
      return new Moment(search.found.targetLsn(), search.found.commitLsn());
    }
    if (search.harmless != null) {
      return new Moment(search.harmless, search.harmless);
    }
    OperatorException missing = search.missing();
    throw new OperatorException(
        missing.kind(),
        what,
        (missing.kind() == Kind.USAGE ? "it is not in the recorded WAL: " : "") + missing.why(),
        missing.next());
  }

  private Search search(long xid, Progress progress) {
    Search search = new Search(xid);
    DamageScan scan = new DamageScan(names, search::committed);
    try (Progress.Phase phase =
        progress.begin("reading WAL", wal.bytesFrom(Lsn.NONE), Progress.Unit.BYTES)) {
      wal.readAll(
          phase,
          record -> {
            search.look(record);
            scan.accept(record);
          });
    }
    return search;
  }

  /**
   * Where to stop for the state at a time: before the first commit, in the order of the log, that
   * was decided after it; null when none is recorded.
   */
  @Nullable Lsn firstAfter(Instant time, Progress progress) {
    Lsn[] first = new Lsn[1];
    Lsn begin = new RecordedDamage(cluster, wal, names).mayCommitAfter(time);
    if (begin == null) {
      return null;
    }
    try (Progress.Phase phase =
        progress.begin("reading WAL", wal.bytesFrom(begin), Progress.Unit.BYTES)) {
      DamageScan scan =
          new DamageScan(
              names,
              damage -> {
                if (damage.commitLsn().equals(first[0])) {
                  first[0] = damage.targetLsn(); // DROP DATABASE acts before its commit
                }
              });
      wal.read(
          begin,
          null,
          phase,
          record -> {
            if (first[0] == null
                && record.rmgr() == ResourceManager.TRANSACTION
                && record.decode() instanceof WalRecord.Commit commit
                && commit.time().isAfter(time)) {
              first[0] = commit.lsn();
            }
            scan.accept(record);
          });
    }
    return first[0];
  }

  /**
   * Those among these numbers that may have destroyed something: mostly that is asked, and
   * summaries tell it. Of a number that came again the newest.
   */
  Map<Long, TransactionDamage> destructive(Set<Long> xids, Progress progress) {
    Map<Long, TransactionDamage> found = new HashMap<>();
    new RecordedDamage(cluster, wal, names)
        .destructive(
            _ -> true,
            progress,
            damage ->
                xids.stream()
                    .filter(xid -> isOf(xid, damage))
                    .forEach(xid -> found.put(xid, damage)));
    found.replaceAll((_, damage) -> named(damage));
    return found;
  }

  /** A summary keeps the names of its time; a later catalog may know more of them. */
  private TransactionDamage named(TransactionDamage damage) {
    boolean named =
        damage.tables().stream()
            .noneMatch(table -> table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA));
    return named || !wal.holds(damage.firstLsn(), damage.commitEnd()) ? damage : again(damage);
  }

  private TransactionDamage again(TransactionDamage summarised) {
    TransactionDamage[] found = {summarised};
    DamageScan scan =
        new DamageScan(
            names,
            damage -> {
              if (damage.commitLsn().equals(summarised.commitLsn())) {
                found[0] = damage;
              }
            });
    boolean actsBefore = summarised.targetLsn().isBefore(summarised.firstLsn()); // DROP DATABASE
    wal.read(
        actsBefore ? summarised.targetLsn() : summarised.firstLsn(),
        summarised.commitEnd(),
        Progress.SILENT.begin("", 0, Progress.Unit.BYTES),
        scan::accept);
    return found[0];
  }

  private static boolean isOf(long xid, TransactionDamage damage) {
    return damage.xid() == xid || damage.subtransactions().contains(xid);
  }

  /** Whether this is its number, or that of one of its subtransactions. */
  static boolean isOf(String text, TransactionDamage damage) {
    return isOf(parse(text), damage);
  }

  /**
   * A transaction number.
   *
   * @throws OperatorException USAGE when it is none
   */
  static long parse(String text) {
    if (text.contains("/")) {
      throw new OperatorException(
          Kind.USAGE,
          "\"" + text + "\" is not a transaction number",
          "it looks like an LSN, a position in the log",
          "give the number that `holdfast log` shows after \"transaction\"; to see the data at an"
              + " LSN: holdfast fork NAME --lsn "
              + text);
    }
    if (!text.matches("[0-9]{1,10}") || Long.parseLong(text) > 0xFFFF_FFFFL) {
      throw new OperatorException(
          Kind.USAGE,
          "\"" + text + "\" is not a transaction number",
          "one is a whole number up to 4294967295, such as 812",
          "give the number that `holdfast log` shows after \"transaction\"");
    }
    return Long.parseLong(text);
  }

  private final class Search {
    private final long xid;
    private @Nullable TransactionDamage found;
    private @Nullable Instant rolledBackAt;

    /** Where it committed, if it did: what destroyed something is {@link #found}. */
    private @Nullable Lsn harmless;

    private boolean seen;

    private Search(long xid) {
      this.xid = xid;
    }

    private void committed(TransactionDamage damage) {
      if (isOf(xid, damage)) {
        found = damage;
      }
    }

    private void look(RawRecord raw) {
      if (raw.xid() == xid) {
        seen = true;
      }
      if (raw.rmgr() != ResourceManager.TRANSACTION) {
        return;
      }
      if (raw.isPlainCommit()) {
        if (raw.xid() == xid) {
          harmless = new Lsn(raw.lsn()); // unless the scan, which is told next, finds damage
        }
        return;
      }
      WalRecord record = raw.decode();
      if (record instanceof WalRecord.Commit commit
          && (commit.transaction() == xid || commit.subtransactions().contains(xid))) {
        harmless = commit.lsn();
      }
      if (record instanceof WalRecord.Abort abort
          && (abort.transaction() == xid || abort.subtransactions().contains(xid))) {
        rolledBackAt = abort.time();
      }
    }

    private OperatorException missing() {
      String name = cluster.document().name();
      if (rolledBackAt != null) {
        return new OperatorException(
            Kind.REFUSED,
            "transaction " + xid + " cannot be shown or undone",
            "it was rolled back at " + rolledBackAt + ": nothing of it is in the database",
            "holdfast log " + name + " --destructive lists what was committed");
      }
      if (harmless != null) {
        return new OperatorException(
            Kind.REFUSED,
            "there is nothing to show or undo in transaction " + xid,
            "it changed no rows and dropped no table",
            "holdfast log " + name + " --destructive lists the transactions that did");
      }
      if (seen) {
        return new OperatorException(
            Kind.REFUSED,
            "transaction " + xid + " cannot be shown or undone",
            "it has not ended in what is recorded (" + wal.describe() + ")",
            "wait until it commits and is recorded, then run the same command again");
      }
      return new OperatorException(
          Kind.USAGE,
          "transaction " + xid + " is not in the recorded WAL",
          "the repository holds " + wal.describe(),
          "holdfast log "
              + name
              + " --destructive lists the transactions that can be undone; one from before the"
              + " recording began cannot");
    }
  }
}
