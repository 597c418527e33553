package dev.holdfast.operations;

import dev.holdfast.damage.Relation;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RecordNames;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * One WAL record as {@code holdfast wal dump} tells it.
 *
 * @param lsn where it starts
 * @param prev where the record before it starts
 * @param xid the transaction or subtransaction that wrote it; {@code 0} for none
 * @param rmgr its resource manager, as pg_waldump spells it
 * @param info what it does, as pg_waldump spells it: {@code INSERT+INIT}
 * @param length bytes, page images included
 * @param blocks the pages it is about
 */
public record WalEntry(
    String lsn, String prev, String xid, String rmgr, String info, int length, List<Block> blocks) {

  /**
   * One page.
   *
   * @param id 0 to 32, ascending in a record
   * @param tablespace OID of the tablespace
   * @param database OID of the database; 0 for relations that all databases share
   * @param relation the relfilenumber
   * @param fork {@code main}, {@code fsm}, {@code vm} or {@code init}
   * @param block number of the page in the fork
   * @param table {@code schema.table}, for an index or TOAST of the table it belongs to; null when
   *     nothing recorded knows the file
   * @param kind what the file is: {@code table}, {@code index}, {@code toast}, {@code sequence},
   *     {@code materialized_view}, {@code catalog}, {@code other}; null when unknown
   * @param image whether the record holds a copy of the page
   * @param imageApplied whether replay restores that copy; false for copies that only check
   * @param imageLength bytes of that copy as stored; 0 without one
   */
  public record Block(
      int id,
      long tablespace,
      long database,
      long relation,
      String fork,
      long block,
      @Nullable String table,
      @Nullable String kind,
      boolean image,
      boolean imageApplied,
      int imageLength) {}

  /** Bytes of page images. */
  public int imageLength() {
    return blocks.stream().mapToInt(Block::imageLength).sum();
  }

  static WalEntry of(RawRecord record, RecordedNames names) {
    Lsn lsn = new Lsn(record.lsn());
    List<Block> blocks = new ArrayList<>(record.blocks());
    for (int page = 0; page < record.blocks(); page++) {
      RelFile file = record.file(page);
      Relation relation = names.byFile(file, lsn);
      blocks.add(
          new Block(
              record.blockId(page),
              file.tablespace(),
              file.database(),
              file.number(),
              WalMatcher.forkName(record.fork(page)),
              record.block(page),
              relation == null ? null : relation.name().toString(),
              relation == null ? null : relation.kind().name().toLowerCase(Locale.ROOT),
              record.hasImage(page),
              record.imageApplied(page),
              record.imageLength(page)));
    }
    return new WalEntry(
        lsn.toString(),
        new Lsn(record.prev()).toString(),
        Long.toString(record.xid()),
        ResourceManager.name(record.rmgr()),
        RecordNames.of(record.majorVersion(), record.rmgr(), record.info()),
        record.length(),
        blocks);
  }
}
