package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.WalRecord;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Turns what a committed transaction did to files into what it did to tables. */
final class Settlements {
  private final LearntNames names;
  private final FileNumbers files;
  private final TransactionScan scan;

  Settlements(LearntNames names, FileNumbers files, TransactionScan scan) {
    this.names = names;
    this.files = files;
    this.scan = scan;
  }

  /** Its damage; null when it changed no table. */
  @Nullable TransactionDamage of(
      @Nullable OpenTransaction transaction, RawRecord record, WalRecord.@Nullable Commit commit) {
    if (transaction == null && commit == null) {
      return null;
    }
    Ending ending = Ending.of(record, commit);
    OpenTransaction did = transaction;
    if (did == null) {
      did = new OpenTransaction();
      did.begin(ending.xid(), ending.lsn().position());
    }
    Settlement settlement = new Settlement(names, files, scan, did, ending);
    List<TableDamage> tables = settlement.tables();
    List<String> notes = settlement.notes();
    scan.forget(ending.droppedFiles());
    List<String> settings = did.origin.settings();
    if (tables.isEmpty() && notes.isEmpty() && settings.isEmpty()) {
      return null;
    }
    Lsn target = ending.lsn();
    if (did.droppedDatabase != 0) {
      target = did.databaseGone == null ? new Lsn(did.firstLsn) : did.databaseGone;
    }
    return new TransactionDamage(
        ending.xid(),
        ending.subtransactions(),
        new Lsn(did.firstLsn),
        ending.lsn(),
        ending.end(),
        target,
        ending.time(),
        notes.isEmpty() ? Severity.of(tables) : Severity.of(tables).atLeast(Severity.HIGH),
        did.origin.user(),
        did.origin.application(),
        did.origin.address(),
        did.origin.statement(),
        did.origin.moreStatements(),
        did.origin.permit(),
        notes,
        settings,
        ending.prepared(),
        tables);
  }
}
