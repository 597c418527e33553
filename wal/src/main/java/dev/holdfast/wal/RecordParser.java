package dev.holdfast.wal;

import static dev.holdfast.wal.LittleEndian.i32;
import static dev.holdfast.wal.LittleEndian.u16;
import static dev.holdfast.wal.LittleEndian.u32;
import static dev.holdfast.wal.LittleEndian.u8;

import dev.holdfast.wal.WalRecord.Header;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Takes one whole record apart: headers of blocks and data ("access/xlogrecord.h"), then the main
 * data of the kinds we know ("access/xact.h", "access/heapam_xlog.h", "catalog/pg_control.h",
 * "catalog/storage_xlog.h", "commands/dbcommands_xlog.h", "storage/standbydefs.h",
 * "replication/message.h", PostgreSQL 14 to 18).
 *
 * <p>Keeps no reference to the bytes.
 */
final class RecordParser {
  static final int HEADER = 24;

  private static final int BLOCK_ID_MAX = 32;
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

  private static final int INIT_PAGE = 0x80;

  private final WalVersion version;

  /** Neighbouring records mostly touch the same files: most references need no new object. */
  private final @Nullable RelFile[] recentFiles = new RelFile[64];

  RecordParser(WalVersion version) {
    this.version = version;
  }

  /**
   * @param bytes hold the whole record at {@code start}
   * @throws MalformedRecordException when its parts do not add up
   */
  WalRecord parse(byte[] bytes, int start, int length, Lsn lsn, Lsn end, Lsn prev) {
    int rmgr = u8(bytes, start + 17);
    if (!ResourceManager.isValid(rmgr, version)) {
      throw new MalformedRecordException("there is no resource manager " + rmgr);
    }
    int recordEnd = start + length;
    int at = start + HEADER;
    long announced = 0;
    long mainLength = 0;
    int origin = 0;
    long topXid = 0;
    int lastId = -1;
    @Nullable RelFile file = null;
    @Nullable List<BlockRef> blocks = null;
    headers:
    while (recordEnd - at > announced) {
      int id = u8(bytes, at++);
      switch (id) {
        case ID_DATA_SHORT -> {
          need(at, 1, recordEnd);
          mainLength = u8(bytes, at);
          at += 1;
          announced += mainLength;
          break headers;
        }
        case ID_DATA_LONG -> {
          need(at, 4, recordEnd);
          mainLength = u32(bytes, at);
          at += 4;
          announced += mainLength;
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
          if (id > BLOCK_ID_MAX || id <= lastId) {
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
          int imageLength = 0;
          boolean applied = false;
          if ((flags & HAS_IMAGE) != 0) {
            need(at, 5, recordEnd);
            imageLength = u16(bytes, at);
            int imageFlags = u8(bytes, at + 4);
            at += 5;
            applied = (imageFlags & version.imageApplied()) != 0;
            if ((imageFlags & version.imageCompressed()) != 0
                && (imageFlags & IMAGE_HAS_HOLE) != 0) {
              at += 2; // the hole's length: implied by the image's unless it is compressed
            }
            announced += imageLength;
          }
          if ((flags & SAME_REL) == 0) {
            need(at, 12, recordEnd);
            file = file(u32(bytes, at), u32(bytes, at + 4), u32(bytes, at + 8));
            at += 12;
          } else if (file == null) {
            throw new MalformedRecordException(
                "block %d refers to a relation before it".formatted(id));
          }
          need(at, 4, recordEnd);
          BlockRef block =
              new BlockRef(
                  id,
                  file,
                  flags & FORK_MASK,
                  u32(bytes, at),
                  (flags & HAS_IMAGE) != 0,
                  applied,
                  (flags & WILL_INIT) != 0,
                  dataLength,
                  imageLength);
          at += 4;
          if (blocks == null) {
            blocks = new ArrayList<>(2);
          }
          blocks.add(block);
        }
      }
    }
    if (recordEnd - at != announced) {
      throw new MalformedRecordException(
          "%d bytes of data are announced where %d are left".formatted(announced, recordEnd - at));
    }
    List<BlockRef> references = blocks == null ? List.of() : List.copyOf(blocks);
    Header header =
        new Header(
            lsn,
            end,
            prev,
            u32(bytes, start + 4),
            topXid,
            rmgr,
            u8(bytes, start + 16),
            length,
            origin,
            references);
    int main = (int) mainLength;
    return typed(header, bytes, recordEnd - main, main);
  }

  private static void need(int at, int length, int end) {
    if (length > end - at) {
      throw new MalformedRecordException("its headers go past its end");
    }
  }

  private RelFile file(long tablespace, long database, long number) {
    int slot = (int) (number ^ database) & (recentFiles.length - 1);
    RelFile recent = recentFiles[slot];
    if (recent == null
        || recent.number() != number
        || recent.database() != database
        || recent.tablespace() != tablespace) {
      recent = new RelFile(tablespace, database, number);
      recentFiles[slot] = recent;
    }
    return recent;
  }

  private WalRecord typed(Header header, byte[] bytes, int main, int length) {
    return switch (header.rmgr()) {
      case ResourceManager.HEAP -> heap(header, bytes, main, length);
      case ResourceManager.HEAP2 -> heap2(header, bytes, main, length);
      case ResourceManager.TRANSACTION -> transaction(header, new Cursor(bytes, main, length));
      case ResourceManager.XLOG -> xlog(header, new Cursor(bytes, main, length));
      case ResourceManager.STORAGE -> storage(header, new Cursor(bytes, main, length));
      case ResourceManager.DATABASE -> database(header, new Cursor(bytes, main, length));
      case ResourceManager.STANDBY -> standby(header, new Cursor(bytes, main, length));
      case ResourceManager.LOGICAL_MESSAGE -> message(header, new Cursor(bytes, main, length));
      default -> new WalRecord.Other(header);
    };
  }

  // ---- rows ------------------------------------------------------------------------------------

  private static WalRecord heap(Header header, byte[] bytes, int main, int length) {
    return switch (header.info() & 0x70) {
      case 0x00 -> {
        BlockRef page = mainPage(header);
        atLeast(length, 3);
        yield new WalRecord.HeapInsert(
            header,
            page.file(),
            new Tid(page.block(), u16(bytes, main)),
            (u8(bytes, main + 2) & 0x04) != 0);
      }
      case 0x10 -> {
        BlockRef page = mainPage(header);
        atLeast(length, 8);
        int flags = u8(bytes, main + 7);
        yield new WalRecord.HeapDelete(
            header,
            page.file(),
            new Tid(page.block(), u16(bytes, main + 4)),
            (flags & 0x08) != 0,
            (flags & 0x10) != 0);
      }
      case 0x20, 0x40 -> {
        BlockRef page = mainPage(header);
        atLeast(length, 14);
        long oldBlock = page.block();
        for (BlockRef other : header.blocks()) {
          if (other.id() == 1 && other.fork() == BlockRef.MAIN) {
            oldBlock = other.block();
          }
        }
        yield new WalRecord.HeapUpdate(
            header,
            page.file(),
            new Tid(oldBlock, u16(bytes, main + 4)),
            new Tid(page.block(), u16(bytes, main + 12)),
            (header.info() & 0x70) == 0x40);
      }
      case 0x30 -> {
        Cursor data = new Cursor(bytes, main, length);
        long database = data.u32();
        long count = data.u32();
        int flags = data.u8();
        data.skip(3);
        yield new WalRecord.HeapTruncate(
            header,
            database,
            data.list(count, 4, data::u32),
            (flags & 0x01) != 0,
            (flags & 0x02) != 0);
      }
      case 0x50 -> {
        BlockRef page = mainPage(header);
        atLeast(length, 2);
        yield new WalRecord.HeapConfirm(
            header, page.file(), new Tid(page.block(), u16(bytes, main)));
      }
      case 0x60 -> lock(header, bytes, main, length);
      default -> {
        BlockRef page = mainPage(header);
        atLeast(length, 2);
        yield new WalRecord.HeapInplace(
            header, page.file(), new Tid(page.block(), u16(bytes, main)));
      }
    };
  }

  private static WalRecord heap2(Header header, byte[] bytes, int main, int length) {
    return switch (header.info() & 0x70) {
      case 0x50 -> {
        BlockRef page = mainPage(header);
        atLeast(length, 4);
        int rows = u16(bytes, main + 2);
        boolean implied = (header.info() & INIT_PAGE) != 0; // a fresh page: rows 1 to n
        if (!implied) {
          atLeast(length, 4 + 2 * rows);
        }
        int[] offsets = new int[rows];
        for (int row = 0; row < rows; row++) {
          offsets[row] = implied ? row + 1 : u16(bytes, main + 4 + 2 * row);
        }
        yield new WalRecord.HeapMultiInsert(header, page.file(), page.block(), offsets);
      }
      case 0x60 -> lock(header, bytes, main, length);
      default -> new WalRecord.Other(header); // pruning, vacuuming, freezing: no row changes
    };
  }

  private static WalRecord lock(Header header, byte[] bytes, int main, int length) {
    BlockRef page = mainPage(header);
    atLeast(length, 6);
    return new WalRecord.HeapLock(header, page.file(), new Tid(page.block(), u16(bytes, main + 4)));
  }

  private static BlockRef mainPage(Header header) {
    if (header.blocks().isEmpty() || header.blocks().getFirst().id() != 0) {
      throw new MalformedRecordException("a change to a row names no page");
    }
    return header.blocks().getFirst();
  }

  private static void atLeast(int length, int needed) {
    if (length < needed) {
      throw new MalformedRecordException(
          "%d bytes of main data where %d are needed".formatted(length, needed));
    }
  }

  // ---- transactions ----------------------------------------------------------------------------

  private WalRecord transaction(Header header, Cursor data) {
    return switch (header.info() & 0x70) {
      case 0x00 -> finished(header, data, true, false);
      case 0x10 -> prepare(header, data);
      case 0x20 -> finished(header, data, false, false);
      case 0x30 -> finished(header, data, true, true);
      case 0x40 -> finished(header, data, false, true);
      case 0x50 -> {
        long top = data.u32();
        yield new WalRecord.Assignment(header, top, data.list(data.u32(), 4, data::u32));
      }
      default -> new WalRecord.Other(header);
    };
  }

  private WalRecord finished(Header header, Cursor data, boolean committed, boolean prepared) {
    Instant time = data.timestamp();
    int present = (header.info() & 0x80) != 0 ? data.i32() : 0;
    if ((present & 0x001) != 0) {
      data.skip(8); // database and tablespace: block references name them too, and always
    }
    List<Long> subtransactions =
        (present & 0x002) != 0 ? data.list(data.i32(), 4, data::u32) : List.of();
    List<RelFile> dropped =
        (present & 0x004) != 0 ? data.list(data.i32(), 12, data::relFile) : List.of();
    List<DroppedStat> stats = (present & 0x100) != 0 ? droppedStats(data) : List.of();
    List<RelationId> invalidated = (present & 0x008) != 0 ? invalidatedRelations(data) : List.of();
    long transaction = (present & 0x010) != 0 ? data.u32() : header.xid();
    String gid = (present & 0x080) != 0 ? data.terminatedText() : null;
    return committed
        ? new WalRecord.Commit(
            header, transaction, prepared, time, subtransactions, dropped, stats, invalidated, gid)
        : new WalRecord.Abort(header, transaction, prepared, time, subtransactions, dropped);
  }

  private List<DroppedStat> droppedStats(Cursor data) {
    if (!version.hasDroppedStats()) {
      throw new MalformedRecordException("a commit of PostgreSQL 14 lists dropped statistics");
    }
    int count = data.i32();
    boolean wide = version.droppedStatSize() == 16;
    return data.list(
        count,
        version.droppedStatSize(),
        () ->
            new DroppedStat(
                data.i32(), data.u32(), wide ? data.u32() | data.u32() << 32 : data.u32()));
  }

  /** The relations among the cache invalidation messages ("storage/sinval.h"). */
  private static List<RelationId> invalidatedRelations(Cursor data) {
    int count = data.i32();
    List<RelationId> relations = new ArrayList<>();
    data.list(
        count,
        16,
        () -> {
          int kind = (byte) data.u8();
          data.skip(3);
          long database = data.u32();
          long relation = data.u32();
          data.skip(4);
          if (kind == -2) {
            relations.add(new RelationId(database, relation));
          }
          return kind;
        });
    return List.copyOf(relations);
  }

  private WalRecord prepare(Header header, Cursor data) {
    data.skip(8); // magic of the two-phase state file and its length
    long transaction = data.u32();
    long database = data.u32();
    Instant time = data.timestamp();
    long owner = data.u32();
    int subtransactions = data.i32();
    int commitFiles = data.i32();
    data.skip(4); // files to remove on abort
    if (version.hasDroppedStats()) {
      data.skip(8); // statistics to drop on commit, on abort
    }
    data.skip(4 + 2); // invalidation messages, whether the relcache's init file goes
    int gidLength = data.u16();
    data.align8().skip(16); // replication origin
    String gid = data.text(gidLength);
    data.align8();
    List<Long> subxids = data.list(subtransactions, 4, data::u32);
    data.align8();
    List<RelFile> files = data.list(commitFiles, 12, data::relFile);
    return new WalRecord.Prepare(header, transaction, database, owner, gid, time, subxids, files);
  }

  // ---- storage and databases -------------------------------------------------------------------

  private static WalRecord storage(Header header, Cursor data) {
    return switch (header.info() & 0xF0) {
      case 0x10 -> new WalRecord.StorageCreate(header, data.relFile(), data.i32());
      case 0x20 -> {
        long blocks = data.u32();
        yield new WalRecord.StorageTruncate(header, data.relFile(), blocks);
      }
      default -> new WalRecord.Other(header);
    };
  }

  private WalRecord database(Header header, Cursor data) {
    int opcode = header.info() & 0xF0;
    if (opcode == version.databaseDropOpcode()) {
      long database = data.u32();
      return new WalRecord.DatabaseDrop(header, database, data.list(data.i32(), 4, data::u32));
    }
    return switch (opcode) {
      case 0x00 -> new WalRecord.DatabaseCreate(header, data.u32(), data.u32(), data.u32());
      case 0x10 -> new WalRecord.DatabaseCreate(header, data.u32(), data.u32(), 0);
      default -> new WalRecord.Other(header);
    };
  }

  // ---- the log itself --------------------------------------------------------------------------

  private WalRecord xlog(Header header, Cursor data) {
    return switch (header.info() & 0xF0) {
      case 0x00 -> checkpoint(header, data, true);
      case 0x10 -> checkpoint(header, data, false);
      case 0x40 -> new WalRecord.Switch(header);
      case 0x50 -> new WalRecord.BackupEnd(header, data.lsn());
      case 0x60 ->
          new WalRecord.ParameterChange(
              header, data.i32(), data.i32(), data.i32(), data.i32(), data.i32(), data.i32());
      case 0x70 -> {
        Instant time = data.timestamp();
        yield new WalRecord.RestorePoint(header, time, data.text(data.remaining()));
      }
      case 0x90 -> new WalRecord.EndOfRecovery(header, data.timestamp(), data.i32(), data.i32());
      case 0xB0 -> new WalRecord.FullPageImages(header);
      case 0xD0 -> new WalRecord.OverwrittenContinuation(header, data.lsn());
      default -> new WalRecord.Other(header);
    };
  }

  private static WalRecord checkpoint(Header header, Cursor data, boolean shutdown) {
    Lsn redo = data.lsn();
    int timeline = data.i32();
    int previousTimeline = data.i32();
    boolean fullPageWrites = data.u8() != 0;
    data.skip(7); // padding, and from 17 on wal_level
    long nextXid = data.i64();
    data.skip(12); // next OID, next multixact and its member
    long oldestXid = data.u32();
    data.skip(16); // oldest xid's database, oldest multixact and its database, padding
    return new WalRecord.Checkpoint(
        header,
        shutdown,
        redo,
        timeline,
        previousTimeline,
        fullPageWrites,
        nextXid,
        oldestXid,
        Instant.ofEpochSecond(data.i64()));
  }

  // ---- for standbys and decoders ---------------------------------------------------------------

  private static WalRecord standby(Header header, Cursor data) {
    return switch (header.info() & 0xF0) {
      case 0x00 -> {
        int count = data.i32();
        yield new WalRecord.StandbyLock(
            header,
            data.list(
                count,
                12,
                () ->
                    new WalRecord.StandbyLock.Lock(
                        data.u32(), new RelationId(data.u32(), data.u32()))));
      }
      case 0x10 -> {
        int transactions = data.i32();
        int subtransactions = data.i32();
        boolean overflowed = data.u8() != 0;
        data.skip(3);
        long nextXid = data.u32();
        long oldestRunningXid = data.u32();
        data.skip(4); // latest completed xid
        List<Long> xids = data.list(transactions, 4, data::u32);
        yield new WalRecord.RunningXacts(
            header,
            nextXid,
            oldestRunningXid,
            xids,
            data.list(subtransactions, 4, data::u32),
            overflowed);
      }
      default -> new WalRecord.Other(header);
    };
  }

  private static WalRecord message(Header header, Cursor data) {
    long database = data.u32();
    boolean transactional = data.u8() != 0;
    data.skip(3);
    long prefixLength = data.i64();
    long messageLength = data.i64();
    String prefix = data.text(prefixLength);
    return new WalRecord.LogicalMessage(
        header, database, transactional, prefix, data.bytes(messageLength));
  }

  /** The previous record as this one's header names it. */
  static long prev(byte[] bytes, int start) {
    return LittleEndian.i64(bytes, start + 8);
  }

  /** The checksum as this one's header names it. */
  static int checksum(byte[] bytes, int start) {
    return i32(bytes, start + 20);
  }
}
