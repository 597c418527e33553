package dev.holdfast.wal;

import static dev.holdfast.wal.LittleEndian.i64;
import static dev.holdfast.wal.LittleEndian.u16;
import static dev.holdfast.wal.LittleEndian.u32;
import static dev.holdfast.wal.LittleEndian.u8;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One record as it lies in the log, seen through a window: the reader has one and moves it from
 * record to record, so that reading makes no objects. What it shows is valid until the reader's
 * next call; {@link #decode} makes a value that lasts.
 *
 * <p>LSNs are plain positions here (see {@link Lsn#position}), unsigned; xids, OIDs and block
 * numbers are unsigned 32-bit values in a {@code long}. Checksum, links and block references were
 * checked; whatever is found wrong with the rest on the way is a {@link WalDamagedException}.
 *
 * <p>Source: "access/xlogrecord.h", "access/heapam_xlog.h", PostgreSQL 14 to 18.
 */
public final class RawRecord {
  /** The most block references a record can have: XLR_MAX_BLOCK_ID + 1. */
  public static final int BLOCKS_MAX = 33;

  static final int HEADER = 24;

  /** On the largest pages, of 32 KiB: a row takes 24 bytes and a line pointer of 4. */
  private static final int ROWS_ON_PAGE_MAX = (32 * 1024 - 24) / (24 + 4);

  private static final int ID_DATA_SHORT = 255;
  private static final int ID_DATA_LONG = 254;
  private static final int ID_ORIGIN = 253;
  private static final int ID_TOP_XID = 252;

  private static final int FORK_MASK = 0x0F;
  private static final int HAS_IMAGE = 0x10;
  private static final int HAS_DATA = 0x20;
  private static final int WILL_INIT = 0x40;
  private static final int SAME_REL = 0x80;
  private static final int IMAGE_HAS_HOLE = 0x01;

  /** What a heap record does to rows. */
  public enum RowChange {
    /** Nothing: no heap record, or one that only tidies up. */
    NONE,
    /** One row version inserted, see {@link RawRecord#isSpeculative}. */
    INSERT,
    /** The speculative insert of a row became real. */
    CONFIRM,
    /** {@link RawRecord#rows} row versions inserted into one page. */
    MULTI_INSERT,
    /** One row replaced by a new version. */
    UPDATE,
    /**
     * One row deleted, see {@link RawRecord#isSuperDelete} and {@link RawRecord#isPartitionMove}.
     */
    DELETE,
    /** One row locked. */
    LOCK,
    /** A catalog row overwritten in place, outside any transaction. */
    INPLACE
  }

  private static final RowChange[] HEAP = {
    RowChange.INSERT,
    RowChange.DELETE,
    RowChange.UPDATE,
    RowChange.NONE, // TRUNCATE: for logical decoding, changes nothing
    RowChange.UPDATE, // HOT
    RowChange.CONFIRM,
    RowChange.LOCK,
    RowChange.INPLACE
  };

  private static final RowChange[] HEAP2 = {
    RowChange.NONE, // rewrite
    RowChange.NONE, // pruning, vacuuming, freezing
    RowChange.NONE,
    RowChange.NONE,
    RowChange.NONE, // visible
    RowChange.MULTI_INSERT,
    RowChange.LOCK,
    RowChange.NONE // new command id
  };

  private final WalReader reader;
  private final TypedRecords typed;
  private final WalVersion version;

  /** Neighbouring records mostly touch the same files: most references need no new object. */
  private final @Nullable RelFile[] recentFiles = new RelFile[64];

  private byte[] bytes = {};
  private int start;
  private int length;
  private int rmgr;
  private int info;
  private long lsn;
  private long end;
  private long prev;
  private int origin;
  private long topXid;
  private int mainAt;
  private int mainLength;
  private int payloadAt;

  private int blockCount;
  private final byte[] blockId = new byte[BLOCKS_MAX];
  private final int[] blockFlags = new int[BLOCKS_MAX];
  private final int[] blockTablespace = new int[BLOCKS_MAX];
  private final int[] blockDatabase = new int[BLOCKS_MAX];
  private final int[] blockNumber = new int[BLOCKS_MAX];
  private final int[] block = new int[BLOCKS_MAX];
  private final int[] blockDataLength = new int[BLOCKS_MAX];
  private final int[] blockImageLength = new int[BLOCKS_MAX];
  private final int[] blockImageInfo = new int[BLOCKS_MAX];
  private final int[] blockHoleOffset = new int[BLOCKS_MAX];
  private final int[] blockHoleLength = new int[BLOCKS_MAX];

  RawRecord(WalReader reader, WalVersion version) {
    this.reader = reader;
    this.version = version;
    this.typed = new TypedRecords(version);
  }

  /**
   * Moves to the record at {@code start}, whole and with a checksum that holds.
   *
   * @throws MalformedRecordException when its parts do not add up
   */
  void moveTo(byte[] bytes, int start, int length, long lsn, long end, long prev) {
    this.bytes = bytes;
    this.start = start;
    this.length = length;
    this.lsn = lsn;
    this.end = end;
    this.prev = prev;
    this.rmgr = u8(bytes, start + 17);
    this.info = u8(bytes, start + 16);
    if (!ResourceManager.isValid(rmgr, version)) {
      throw new MalformedRecordException("there is no resource manager " + rmgr);
    }
    origin = 0;
    topXid = 0;
    int recordEnd = start + length;
    int at = start + HEADER;
    long announced = 0;
    long main = 0;
    int lastId = -1;
    int count = 0;
    headers:
    while (recordEnd - at > announced) {
      int id = u8(bytes, at++);
      switch (id) {
        case ID_DATA_SHORT -> {
          need(at, 1, recordEnd);
          main = u8(bytes, at);
          at += 1;
          announced += main;
          break headers;
        }
        case ID_DATA_LONG -> {
          need(at, 4, recordEnd);
          main = u32(bytes, at);
          at += 4;
          announced += main;
          break headers;
        }
        case ID_ORIGIN -> {
          need(at, 2, recordEnd);
          origin = u16(bytes, at);
          at += 2;
        }
        case ID_TOP_XID -> {
          need(at, 4, recordEnd);
          topXid = u32(bytes, at);
          at += 4;
        }
        default -> {
          if (id >= BLOCKS_MAX || id <= lastId) {
            throw new MalformedRecordException("block id %d after %d".formatted(id, lastId));
          }
          lastId = id;
          need(at, 3, recordEnd);
          int flags = u8(bytes, at);
          int dataLength = u16(bytes, at + 1);
          at += 3;
          if ((dataLength > 0) != ((flags & HAS_DATA) != 0)) {
            throw new MalformedRecordException(
                "block %d has flags %02X and %d bytes of data".formatted(id, flags, dataLength));
          }
          announced += dataLength;
          blockId[count] = (byte) id;
          blockFlags[count] = flags;
          blockDataLength[count] = dataLength;
          blockImageLength[count] = 0;
          blockImageInfo[count] = 0;
          if ((flags & HAS_IMAGE) != 0) {
            at = imageHeader(bytes, at, recordEnd, count);
            announced += blockImageLength[count];
          }
          if ((flags & SAME_REL) == 0) {
            need(at, 16, recordEnd);
            blockTablespace[count] = LittleEndian.i32(bytes, at);
            blockDatabase[count] = LittleEndian.i32(bytes, at + 4);
            blockNumber[count] = LittleEndian.i32(bytes, at + 8);
            at += 12;
          } else if (count == 0) {
            throw new MalformedRecordException(
                "block %d refers to a relation before it".formatted(id));
          } else {
            need(at, 4, recordEnd);
            blockTablespace[count] = blockTablespace[count - 1];
            blockDatabase[count] = blockDatabase[count - 1];
            blockNumber[count] = blockNumber[count - 1];
          }
          block[count] = LittleEndian.i32(bytes, at);
          at += 4;
          count++;
        }
      }
    }
    if (recordEnd - at != announced) {
      throw new MalformedRecordException(
          "%d bytes of data are announced where %d are left".formatted(announced, recordEnd - at));
    }
    blockCount = count;
    payloadAt = at;
    mainLength = (int) main;
    mainAt = recordEnd - mainLength;
  }

  private int imageHeader(byte[] bytes, int from, int recordEnd, int index) {
    int at = from;
    need(at, 5, recordEnd);
    int stored = u16(bytes, at);
    int hole = u16(bytes, at + 2);
    int flags = u8(bytes, at + 4);
    at += 5;
    blockImageLength[index] = stored;
    blockImageInfo[index] = flags;
    blockHoleOffset[index] = hole;
    blockHoleLength[index] = 0;
    if ((flags & IMAGE_HAS_HOLE) != 0) {
      if ((flags & version.imageCompressed()) != 0) {
        need(at, 2, recordEnd); // implied by the image's length unless it is compressed
        blockHoleLength[index] = u16(bytes, at);
        at += 2;
      } else {
        blockHoleLength[index] = reader.pageSize() - stored;
      }
    }
    return at;
  }

  private static void need(int at, int length, int end) {
    if (length > end - at) {
      throw new MalformedRecordException("its headers go past its end");
    }
  }

  // ---- what every record has -------------------------------------------------------------------

  /** Position of its first byte. */
  public long lsn() {
    return lsn;
  }

  /** See {@link WalRecord#end()}. */
  public long end() {
    return end;
  }

  /** Position of the record before it. */
  public long prev() {
    return prev;
  }

  /** See {@link WalRecord#xid()}. */
  public long xid() {
    return u32(bytes, start + 4);
  }

  /** The transaction {@link #xid} is a subtransaction of, when the record says so; else 0. */
  public long topXid() {
    return topXid;
  }

  /** The resource manager's id: see {@link ResourceManager}. */
  public int rmgr() {
    return rmgr;
  }

  /** The resource manager's opcode and flags: all 8 bits. */
  public int info() {
    return info;
  }

  /** See {@link WalRecord#length()}. */
  public int length() {
    return length;
  }

  /** The replication origin the change came from; 0 for none. */
  public int origin() {
    return origin;
  }

  /** The major version that wrote it, 14 to 18. */
  public int majorVersion() {
    return version.major();
  }

  /** What holds the record in one piece, from {@link #start} on. */
  byte[] bytes() {
    return bytes;
  }

  int start() {
    return start;
  }

  // ---- block references ------------------------------------------------------------------------

  /** How many block references it has, 0 to {@value #BLOCKS_MAX}; they are numbered from 0. */
  public int blocks() {
    return blockCount;
  }

  /** The id of a reference, 0 to 32: which part the page plays. */
  public int blockId(int index) {
    return blockId[index];
  }

  /** {@link BlockRef#MAIN} and so on. */
  public int fork(int index) {
    return blockFlags[index] & FORK_MASK;
  }

  /** OID of the tablespace, as an unsigned 32-bit value in an {@code int}. */
  public int tablespace(int index) {
    return blockTablespace[index];
  }

  /** OID of the database, 0 for shared catalogs, as an unsigned 32-bit value in an {@code int}. */
  public int database(int index) {
    return blockDatabase[index];
  }

  /** The relfilenumber, as an unsigned 32-bit value in an {@code int}. */
  public int fileNumber(int index) {
    return blockNumber[index];
  }

  /** The relation's files as one value. */
  public RelFile file(int index) {
    int number = blockNumber[index];
    int slot = (number ^ blockDatabase[index]) & (recentFiles.length - 1);
    RelFile recent = recentFiles[slot];
    if (recent == null
        || (int) recent.number() != number
        || (int) recent.database() != blockDatabase[index]
        || (int) recent.tablespace() != blockTablespace[index]) {
      recent =
          new RelFile(
              Integer.toUnsignedLong(blockTablespace[index]),
              Integer.toUnsignedLong(blockDatabase[index]),
              Integer.toUnsignedLong(number));
      recentFiles[slot] = recent;
    }
    return recent;
  }

  /** The block number in the fork. */
  public long block(int index) {
    return Integer.toUnsignedLong(block[index]);
  }

  /** Whether it carries a copy of the page. */
  public boolean hasImage(int index) {
    return (blockFlags[index] & HAS_IMAGE) != 0;
  }

  /** Whether replay restores that copy; false for copies that only check. */
  public boolean imageApplied(int index) {
    return (blockImageInfo[index] & version.imageApplied()) != 0;
  }

  /** Bytes of the copy as stored; 0 without one. */
  public int imageLength(int index) {
    return blockImageLength[index];
  }

  /** Whether replay builds the page from nothing. */
  public boolean willInit(int index) {
    return (blockFlags[index] & WILL_INIT) != 0;
  }

  /** Bytes of data that belong to the page; 0 when the copy of the page made them needless. */
  public int dataLength(int index) {
    return blockDataLength[index];
  }

  /** The data that belongs to the page: a copy. */
  public byte[] data(int index) {
    int at = payloadAt(index) + blockImageLength[index];
    return java.util.Arrays.copyOfRange(bytes, at, at + blockDataLength[index]);
  }

  /**
   * The page as the record's copy restores it, the hole as zeros: a new array of the page's size.
   *
   * @throws IllegalStateException when the record has no copy of it, see {@link #hasImage}
   * @throws WalDamagedException when the copy does not give a page
   */
  public byte[] page(int index) {
    if (!hasImage(index)) {
      throw new IllegalStateException("no image of block reference " + index);
    }
    try {
      return PageImage.restore(
          version,
          bytes,
          payloadAt(index),
          blockImageLength[index],
          blockImageInfo[index],
          blockHoleOffset[index],
          blockHoleLength[index],
          reader.pageSize());
    } catch (MalformedRecordException e) {
      throw damaged(e);
    }
  }

  /** Where the payload of a block reference begins: its image, then its data. */
  private int payloadAt(int index) {
    int at = payloadAt;
    for (int before = 0; before < index; before++) {
      at += blockImageLength[before] + blockDataLength[before];
    }
    return at;
  }

  // ---- main data -------------------------------------------------------------------------------

  /** Bytes of its main data. */
  public int mainLength() {
    return mainLength;
  }

  /** The main data: a copy. */
  public byte[] main() {
    return java.util.Arrays.copyOfRange(bytes, mainAt, mainAt + mainLength);
  }

  private int mainU8(int offset) {
    return u8(bytes, main(offset, 1));
  }

  private int mainU16(int offset) {
    return u16(bytes, main(offset, 2));
  }

  long mainI64(int offset) {
    return i64(bytes, main(offset, 8));
  }

  private int main(int offset, int needed) {
    if (mainLength - offset < needed) {
      throw damaged(
          new MalformedRecordException(
              "%d bytes of main data where %d are needed".formatted(mainLength, offset + needed)));
    }
    return mainAt + offset;
  }

  Cursor mainCursor() {
    return new Cursor(bytes, mainAt, mainLength);
  }

  /** The data that belongs to a page, to be read where it lies. */
  Cursor dataCursor(int index) {
    return new Cursor(bytes, payloadAt(index) + blockImageLength[index], blockDataLength[index]);
  }

  /**
   * The reference with this id.
   *
   * @throws MalformedRecordException when there is none
   */
  int blockWithId(int id) {
    for (int index = 0; index < blockCount; index++) {
      if (blockId[index] == id) {
        return index;
      }
    }
    throw new MalformedRecordException("it has no block reference with id " + id);
  }

  // ---- rows ------------------------------------------------------------------------------------

  /** What it does to rows. Other than {@link RowChange#NONE}, block reference 0 is their page. */
  public RowChange rowChange() {
    RowChange change =
        switch (rmgr) {
          case ResourceManager.HEAP -> HEAP[(info & 0x70) >>> 4];
          case ResourceManager.HEAP2 -> HEAP2[(info & 0x70) >>> 4];
          default -> RowChange.NONE;
        };
    if (change != RowChange.NONE && (blockCount == 0 || blockId[0] != 0)) {
      throw damaged(new MalformedRecordException("a change to a row names no page"));
    }
    return change;
  }

  /** Rows inserted by a {@link RowChange#MULTI_INSERT}. */
  public int rows() {
    int rows = mainU16(2);
    if (!rowsImplied()) {
      main(4, 2 * rows);
    } else if (rows > ROWS_ON_PAGE_MAX) {
      throw damaged(
          new MalformedRecordException("%d rows were put on a fresh page".formatted(rows)));
    }
    return rows;
  }

  /** A fresh page has its rows at 1 to n: they are not listed. */
  boolean rowsImplied() {
    return (info & 0x80) != 0;
  }

  /**
   * Where a row inserted, or the new version of a row updated, lies: block number &lt;&lt; 16 |
   * offset, see {@link Tid#pack}.
   *
   * @param row of a {@link RowChange#MULTI_INSERT} the row's index; else 0
   */
  public long newTid(int row) {
    int offset =
        switch (rowChange()) {
          case MULTI_INSERT -> rowsImplied() ? row + 1 : mainU16(4 + 2 * row);
          case UPDATE -> mainU16(12);
          default -> mainU16(0);
        };
    return block(0) << 16 | offset;
  }

  /** Where a row updated, deleted or locked lay: block number &lt;&lt; 16 | offset. */
  public long oldTid() {
    long page = block(0);
    if (rmgr == ResourceManager.HEAP && (info & 0x70) != 0x10) { // an update: two pages, perhaps
      for (int index = 1; index < blockCount; index++) {
        if (blockId[index] == 1 && fork(index) == BlockRef.MAIN) {
          page = block(index);
        }
      }
    }
    return page << 16 | mainU16(4);
  }

  /** Of an INSERT: ON CONFLICT tried; a CONFIRM or a super DELETE of the same row follows. */
  public boolean isSpeculative() {
    return (mainU8(2) & 0x04) != 0;
  }

  /** Of a DELETE: a speculative insert that lost its race: no row anybody saw. */
  public boolean isSuperDelete() {
    return (mainU8(7) & 0x08) != 0;
  }

  /** Of a DELETE: half of an UPDATE that moved the row; an insert in another partition follows. */
  public boolean isPartitionMove() {
    return (mainU8(7) & 0x10) != 0;
  }

  /** Of an UPDATE: whether no indexed column changed and the page had room. */
  public boolean isHot() {
    return (info & 0x70) == 0x40;
  }

  /**
   * Whether the page of an inserted, deleted, locked or the new page of an updated row is no longer
   * all-visible.
   */
  public boolean clearsAllVisible() {
    return switch (rowChange()) {
      case INSERT -> (mainU8(2) & 0x01) != 0;
      case MULTI_INSERT -> (mainU8(0) & 0x01) != 0;
      case UPDATE -> (mainU8(7) & 0x02) != 0;
      case DELETE, LOCK -> (mainU8(7) & 0x01) != 0;
      default -> false;
    };
  }

  /** Of an UPDATE: whether the old row's page is no longer all-visible. */
  public boolean clearsOldAllVisible() {
    return (mainU8(7) & 0x01) != 0;
  }

  /**
   * The row version that an INSERT or an UPDATE wrote, or what an INPLACE made of a row: from the
   * record's data, else from its copy of the page. Null when it holds neither, or for other
   * records.
   *
   * @param old of an UPDATE the version before, whose beginning and end the record may leave out;
   *     null when it is not known: then what was left out is unknown in the new version too
   * @throws WalDamagedException when the row's bytes do not add up
   */
  public @Nullable HeapTuple newTuple(@Nullable HeapTuple old) {
    RowChange change = rowChange();
    if (change != RowChange.INSERT && change != RowChange.UPDATE && change != RowChange.INPLACE) {
      return null;
    }
    int from = payloadAt(0) + blockImageLength[0];
    int to = from + blockDataLength[0];
    try {
      if (from == to) {
        return hasImage(0) ? HeapPage.tuple(page(0), (int) newTid(0) & 0xFFFF) : null;
      }
      return switch (change) {
        case INSERT -> RowBytes.inserted(bytes, from, to);
        case UPDATE -> RowBytes.updated(bytes, from, to, mainU8(7), old);
        default -> RowBytes.overwritten(bytes, from, to);
      };
    } catch (MalformedRecordException e) {
      throw damaged(e);
    }
  }

  /**
   * The row versions that a MULTI_INSERT wrote, in the order of {@link #newTid}; empty for other
   * records. A row that the record holds neither as data nor in its copy of the page is null.
   *
   * @throws WalDamagedException when the rows' bytes do not add up
   */
  public List<@Nullable HeapTuple> newTuples() {
    if (rowChange() != RowChange.MULTI_INSERT) {
      return List.of();
    }
    int rows = rows();
    int from = payloadAt(0) + blockImageLength[0];
    int to = from + blockDataLength[0];
    try {
      if (from != to) {
        return RowBytes.inserted(bytes, from, to, rows);
      }
      byte[] page = hasImage(0) ? page(0) : null;
      List<@Nullable HeapTuple> tuples = new ArrayList<>();
      for (int row = 0; row < rows; row++) {
        tuples.add(page == null ? null : HeapPage.tuple(page, (int) newTid(row) & 0xFFFF));
      }
      return tuples;
    } catch (MalformedRecordException e) {
      throw damaged(e);
    }
  }

  /**
   * The row version that an UPDATE replaced or a DELETE ended, as the record's copy of its page
   * still shows it; null without a copy.
   *
   * @throws WalDamagedException when the copy does not add up
   */
  public @Nullable HeapTuple oldTuple() {
    RowChange change = rowChange();
    if (change != RowChange.UPDATE && change != RowChange.DELETE) {
      return null;
    }
    long tid = oldTid();
    for (int index = 0; index < blockCount; index++) {
      if (fork(index) == BlockRef.MAIN && block(index) == tid >>> 16 && hasImage(index)) {
        try {
          return HeapPage.tuple(page(index), (int) tid & 0xFFFF);
        } catch (MalformedRecordException e) {
          throw damaged(e);
        }
      }
    }
    return null;
  }

  // ---- ends of transactions --------------------------------------------------------------------

  /** Whether it commits a transaction and says nothing but when: {@link #commitMicros}. */
  public boolean isPlainCommit() {
    return rmgr == ResourceManager.TRANSACTION && (info & 0xF0) == 0;
  }

  /** When a plain commit was decided: microseconds since 2000-01-01 UTC. */
  public long commitMicros() {
    return mainI64(0);
  }

  // ---- as a value ------------------------------------------------------------------------------

  /**
   * This record as a value of its kind.
   *
   * @throws WalDamagedException when its main data does not add up
   */
  public WalRecord decode() {
    try {
      return typed.of(this);
    } catch (MalformedRecordException e) {
      throw damaged(e);
    }
  }

  WalDamagedException damaged(MalformedRecordException e) {
    return reader.malformed(e);
  }

  WalRecord.Header header() {
    List<BlockRef> references = List.of();
    if (blockCount > 0) {
      references = new ArrayList<>(blockCount);
      for (int index = 0; index < blockCount; index++) {
        references.add(
            new BlockRef(
                blockId[index],
                file(index),
                fork(index),
                block(index),
                hasImage(index),
                imageApplied(index),
                willInit(index),
                blockDataLength[index],
                blockImageLength[index]));
      }
      references = List.copyOf(references);
    }
    return new WalRecord.Header(
        new Lsn(lsn),
        new Lsn(end),
        new Lsn(prev),
        xid(),
        topXid,
        rmgr,
        info,
        length,
        origin,
        references);
  }
}
