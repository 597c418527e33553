package dev.holdfast.wal;

import dev.holdfast.wal.WalRecord.Header;
import dev.holdfast.wal.WalRecord.HeapPrune;
import dev.holdfast.wal.WalRecord.HeapPrune.Items;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Rows and the pages they lie in ("access/heapam_xlog.h", PostgreSQL 14 to 18). */
final class HeapRecords {
  // Which parts the data of a page that was tidied up has: XLHP_*, PostgreSQL 17 and later.
  private static final int HAS_CONFLICT_HORIZON = 0x08;
  private static final int HAS_FREEZE_PLANS = 0x10;
  private static final int HAS_REDIRECTIONS = 0x20;
  private static final int HAS_DEAD = 0x40;
  private static final int HAS_UNUSED = 0x80;

  private final WalVersion version;

  HeapRecords(WalVersion version) {
    this.version = version;
  }

  WalRecord heap(Header header, RawRecord raw) {
    Cursor data = raw.mainCursor();
    return switch (raw.rowChange()) {
      case INSERT -> {
        data.skip(2);
        yield new WalRecord.HeapInsert(
            header, raw.file(0), Tid.unpack(raw.newTid(0)), raw.isSpeculative(), data.u8());
      }
      case CONFIRM -> new WalRecord.HeapConfirm(header, raw.file(0), Tid.unpack(raw.newTid(0)));
      case UPDATE -> {
        long oldXmax = data.u32();
        data.skip(2);
        int oldInfobits = data.u8();
        int flags = data.u8();
        yield new WalRecord.HeapUpdate(
            header,
            raw.file(0),
            Tid.unpack(raw.oldTid()),
            Tid.unpack(raw.newTid(0)),
            raw.isHot(),
            oldXmax,
            data.u32(),
            oldInfobits,
            flags);
      }
      case DELETE -> {
        long xmax = data.u32();
        data.skip(2);
        yield new WalRecord.HeapDelete(
            header,
            raw.file(0),
            Tid.unpack(raw.oldTid()),
            raw.isSuperDelete(),
            raw.isPartitionMove(),
            xmax,
            data.u8(),
            data.u8());
      }
      case LOCK -> lock(header, raw, false);
      case INPLACE -> inplace(header, raw, data);
      case MULTI_INSERT, NONE -> truncate(header, data);
    };
  }

  WalRecord heap2(Header header, RawRecord raw) {
    int opcode = header.info() & 0x70;
    return switch (opcode) {
      case 0x00 -> rewrite(header, raw.mainCursor());
      case 0x10, 0x20, 0x30 -> prune(header, raw, opcode);
      case 0x40 -> visible(header, raw);
      case 0x50 -> multiInsert(header, raw);
      case 0x60 -> lock(header, raw, true);
      default -> newCid(header, raw.mainCursor());
    };
  }

  // ---- rows ------------------------------------------------------------------------------------

  private static WalRecord multiInsert(Header header, RawRecord raw) {
    raw.rowChange(); // checks that there is a page
    int rows = raw.rows();
    int[] offsets = null;
    if (!raw.rowsImplied()) {
      offsets = new int[rows];
      for (int row = 0; row < rows; row++) {
        offsets[row] = Tid.unpack(raw.newTid(row)).offset();
      }
    }
    return new WalRecord.HeapMultiInsert(
        header, raw.file(0), raw.block(0), rows, offsets, raw.mainCursor().u8());
  }

  private static WalRecord lock(Header header, RawRecord raw, boolean laterVersion) {
    raw.rowChange(); // checks that there is a page
    Cursor data = raw.mainCursor();
    long xmax = data.u32();
    data.skip(2);
    return new WalRecord.HeapLock(
        header, raw.file(0), Tid.unpack(raw.oldTid()), xmax, data.u8(), data.u8(), laterVersion);
  }

  private WalRecord inplace(Header header, RawRecord raw, Cursor data) {
    Tid tid = Tid.unpack(raw.newTid(0));
    if (!version.hasInplaceInvalidations()) {
      return new WalRecord.HeapInplace(header, raw.file(0), tid, 0, 0, false, List.of());
    }
    data.skip(4); // offset of the row, padding
    long database = data.u32();
    long tablespace = data.u32();
    boolean updatesRelationCacheFile = data.bool();
    data.skip(3);
    return new WalRecord.HeapInplace(
        header,
        raw.file(0),
        tid,
        database,
        tablespace,
        updatesRelationCacheFile,
        data.list(data.i32(), Invalidation.SIZE, () -> Invalidation.read(data)));
  }

  private static WalRecord truncate(Header header, Cursor data) {
    long database = data.u32();
    long count = data.u32();
    int flags = data.u8();
    data.skip(3);
    return new WalRecord.HeapTruncate(
        header, database, data.list(count, 4, data::u32), (flags & 0x01) != 0, (flags & 0x02) != 0);
  }

  private static WalRecord newCid(Header header, Cursor data) {
    return new WalRecord.HeapNewCid(
        header, data.u32(), data.u32(), data.u32(), data.u32(), data.relFile(), data.tid());
  }

  private static WalRecord rewrite(Header header, Cursor data) {
    long mappedXid = data.u32();
    long database = data.u32();
    long relation = data.u32();
    long offset = data.align8().i64();
    long mappings = data.u32();
    return new WalRecord.HeapRewrite(
        header, mappedXid, database, relation, offset, mappings, data.align8().lsn());
  }

  // ---- pages -----------------------------------------------------------------------------------

  private static WalRecord visible(Header header, RawRecord raw) {
    Cursor data = raw.mainCursor();
    int page = raw.blockWithId(1); // 0 is the page of the visibility map
    return new WalRecord.HeapVisible(
        header, raw.file(page), raw.block(page), data.u32(), data.u8());
  }

  private WalRecord prune(Header header, RawRecord raw, int opcode) {
    int page = raw.blockWithId(0);
    Cursor data = raw.mainCursor();
    Cursor pageData = raw.dataLength(page) == 0 ? null : raw.dataCursor(page);
    HeapPrune.Work work = version.pruneWork(opcode);
    long horizon = 0;
    Items items;
    if (version.hasOnePruneFormat()) {
      data.skip(1); // what pg_waldump calls it: the opcode again
      int parts = data.u8();
      horizon = (parts & HAS_CONFLICT_HORIZON) != 0 ? data.u32() : 0;
      items = items(pageData, parts);
    } else if (work == HeapPrune.Work.VACUUM_CLEANUP) {
      items = new Items(0, 0, data.u16(), 0);
    } else if (work == HeapPrune.Work.FREEZE) {
      horizon = data.u32();
      int count = data.u16();
      items =
          version.hasFreezePlans()
              ? pageData == null ? null : new Items(0, 0, 0, frozen(pageData, count))
              : new Items(0, 0, 0, count);
    } else {
      horizon = data.u32();
      int redirected = data.u16();
      int dead = data.u16();
      items = pageData == null ? null : items(pageData, redirected, dead);
    }
    return new HeapPrune(header, raw.file(page), raw.block(page), work, horizon, items);
  }

  /** Before 17: pairs of line pointers redirected, those dead, and all the rest unused. */
  private static Items items(Cursor page, int redirected, int dead) {
    int listed = page.remaining() / 2;
    int unused = listed - 2 * redirected - dead;
    if (unused < 0) {
      throw new MalformedRecordException(
          "%d line pointers redirected and %d dead are announced in a list of %d"
              .formatted(redirected, dead, listed));
    }
    return new Items(redirected, dead, unused, 0);
  }

  /** From 17 on: every part begins with its count. */
  private static @Nullable Items items(@Nullable Cursor page, int parts) {
    if ((parts & (HAS_FREEZE_PLANS | HAS_REDIRECTIONS | HAS_DEAD | HAS_UNUSED)) == 0) {
      return new Items(0, 0, 0, 0);
    }
    if (page == null) {
      return null;
    }
    int frozen = 0;
    if ((parts & HAS_FREEZE_PLANS) != 0) {
      int plans = page.u16();
      page.skip(2);
      frozen = frozen(page, plans);
    }
    int redirected = (parts & HAS_REDIRECTIONS) != 0 ? page.u16() : 0;
    page.skip(4 * redirected);
    int dead = (parts & HAS_DEAD) != 0 ? page.u16() : 0;
    page.skip(2 * dead);
    int unused = (parts & HAS_UNUSED) != 0 ? page.u16() : 0;
    page.skip(2 * unused);
    return new Items(redirected, dead, unused, frozen);
  }

  /** Rows that plans of 12 bytes freeze; each ends with its count. */
  private static int frozen(Cursor page, int plans) {
    int rows = 0;
    for (int plan = 0; plan < plans; plan++) {
      page.skip(10); // xmax, infomasks and flags the rows get
      rows += page.u16();
    }
    return rows;
  }
}
