package dev.holdfast.wal;

import java.time.Instant;
import java.util.AbstractList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One record of the write-ahead log. Kinds that nobody here needs to look into are {@link Other}:
 * their position, length and pages still count.
 *
 * <p>All transaction ids, OIDs and block numbers are unsigned 32-bit values.
 */
public sealed interface WalRecord {
  /** What every record has. */
  Header header();

  /** Where the record starts. */
  default Lsn lsn() {
    return header().lsn;
  }

  /**
   * Where the next record may start at the earliest: just past this one, padding to 8 bytes
   * included. For {@link Switch}, the start of the next segment.
   */
  default Lsn end() {
    return header().end;
  }

  /** Where the record before this one starts. */
  default Lsn prev() {
    return header().prev;
  }

  /**
   * The transaction or subtransaction that wrote it; 0 for none. {@code COMMIT PREPARED} and {@code
   * ROLLBACK PREPARED} have 0 here: see {@link Commit#transaction}.
   */
  default long xid() {
    return header().xid;
  }

  /** The resource manager's id: see {@link ResourceManager}. */
  default int rmgr() {
    return header().rmgr;
  }

  /** The resource manager's opcode and flags: all 8 bits. */
  default int info() {
    return header().info;
  }

  /** Bytes of the record, its 24-byte header included, page headers and padding not. */
  default int length() {
    return header().length;
  }

  /** The pages it changed, by ascending id. */
  default List<BlockRef> blocks() {
    return header().blocks;
  }

  /**
   * What every record has.
   *
   * @param lsn see {@link WalRecord#lsn()}
   * @param end see {@link WalRecord#end()}
   * @param prev see {@link WalRecord#prev()}
   * @param xid see {@link WalRecord#xid()}
   * @param topXid the transaction that {@code xid} is a subtransaction of, when the record says so
   *     (once per subtransaction, at wal_level=logical only); 0 otherwise
   * @param rmgr see {@link WalRecord#rmgr()}
   * @param info see {@link WalRecord#info()}
   * @param length see {@link WalRecord#length()}
   * @param origin the replication origin the change came from; 0 for none
   * @param blocks see {@link WalRecord#blocks()}
   */
  record Header(
      Lsn lsn,
      Lsn end,
      Lsn prev,
      long xid,
      long topXid,
      int rmgr,
      int info,
      int length,
      int origin,
      List<BlockRef> blocks) {}

  /**
   * COMMIT or COMMIT PREPARED: everything the transaction did is now so.
   *
   * @param transaction the top-level transaction; for a prepared one the id it was prepared under
   * @param prepared whether this is COMMIT PREPARED
   * @param time when the server decided to commit; not monotone in LSN order
   * @param subtransactions those that committed with it; rolled-back savepoints are not among them
   * @param droppedFiles files of relations that are gone: dropped, truncated or rewritten
   * @param droppedStats statistics dropped with their objects, PostgreSQL 15 and later
   * @param invalidatedRelations relations whose definition or storage changed
   * @param gid the name of the prepared transaction, at wal_level=logical only
   */
  record Commit(
      Header header,
      long transaction,
      boolean prepared,
      Instant time,
      List<Long> subtransactions,
      List<RelFile> droppedFiles,
      List<DroppedStat> droppedStats,
      List<RelationId> invalidatedRelations,
      @Nullable String gid)
      implements WalRecord {}

  /**
   * ROLLBACK of a transaction, a savepoint, or a prepared transaction.
   *
   * @param transaction the (sub)transaction; for a prepared one the id it was prepared under
   * @param prepared whether this is ROLLBACK PREPARED
   * @param time when
   * @param subtransactions those that went with it
   * @param droppedFiles files it had created
   */
  record Abort(
      Header header,
      long transaction,
      boolean prepared,
      Instant time,
      List<Long> subtransactions,
      List<RelFile> droppedFiles)
      implements WalRecord {}

  /**
   * PREPARE TRANSACTION: it will be committed or rolled back by name, perhaps days later.
   *
   * @param transaction the top-level transaction
   * @param database OID of the database it ran in
   * @param owner OID of the role that prepared it
   * @param gid its name
   * @param time when
   * @param subtransactions those prepared with it
   * @param droppedFiles files that will go when it commits
   */
  record Prepare(
      Header header,
      long transaction,
      long database,
      long owner,
      String gid,
      Instant time,
      List<Long> subtransactions,
      List<RelFile> droppedFiles)
      implements WalRecord {}

  /** Subtransactions told before their commit: after every 64 of them, or at wal_level=logical. */
  record Assignment(Header header, long top, List<Long> subtransactions) implements WalRecord {}

  /**
   * One row version inserted.
   *
   * @param speculative INSERT … ON CONFLICT tried; a {@link HeapConfirm} or a super {@link
   *     HeapDelete} of the same row follows
   */
  record HeapInsert(Header header, RelFile file, Tid tid, boolean speculative)
      implements WalRecord {}

  /** The speculative insert of this row became real. */
  record HeapConfirm(Header header, RelFile file, Tid tid) implements WalRecord {}

  /**
   * One row replaced by a new version.
   *
   * @param hot whether no indexed column changed and the page had room
   */
  record HeapUpdate(Header header, RelFile file, Tid oldTid, Tid newTid, boolean hot)
      implements WalRecord {}

  /**
   * One row deleted.
   *
   * @param superDelete a speculative insert that lost its race: no row anybody saw
   * @param partitionMove half of an UPDATE that moved the row: an insert in another partition
   *     follows
   */
  record HeapDelete(
      Header header, RelFile file, Tid tid, boolean superDelete, boolean partitionMove)
      implements WalRecord {}

  /** Several rows inserted into one page: COPY, and INSERT into catalogs. */
  final class HeapMultiInsert implements WalRecord {
    private final Header header;
    private final RelFile file;
    private final long block;
    private final int[] offsets;

    HeapMultiInsert(Header header, RelFile file, long block, int[] offsets) {
      this.header = header;
      this.file = file;
      this.block = block;
      this.offsets = offsets;
    }

    @Override
    public Header header() {
      return header;
    }

    /** The table's file. */
    public RelFile file() {
      return file;
    }

    /** The page all rows went to. */
    public long block() {
      return block;
    }

    /** The number of rows. */
    public int rows() {
      return offsets.length;
    }

    /** Where the rows lie. */
    public List<Tid> tids() {
      return new AbstractList<>() {
        @Override
        public Tid get(int index) {
          return new Tid(block, offsets[index]);
        }

        @Override
        public int size() {
          return offsets.length;
        }
      };
    }

    @Override
    public String toString() {
      return "HeapMultiInsert[header=" + header + ", file=" + file + ", tids=" + tids() + "]";
    }
  }

  /** One row locked, not changed. */
  record HeapLock(Header header, RelFile file, Tid tid) implements WalRecord {}

  /** A catalog row overwritten in place, outside any transaction: no rollback undoes it. */
  record HeapInplace(Header header, RelFile file, Tid tid) implements WalRecord {}

  /**
   * TRUNCATE as logical decoding sees it; written at wal_level=logical only.
   *
   * @param database OID of the database
   * @param relations OIDs of the tables
   */
  record HeapTruncate(
      Header header,
      long database,
      List<Long> relations,
      boolean cascade,
      boolean restartsSequences)
      implements WalRecord {}

  /** A relation's file was created: a new relation, or new storage for an old one. */
  record StorageCreate(Header header, RelFile file, int fork) implements WalRecord {}

  /**
   * A relation's file was cut: by VACUUM, or by TRUNCATE of a table made in the same transaction.
   *
   * @param blocksLeft blocks it still has
   */
  record StorageTruncate(Header header, RelFile file, long blocksLeft) implements WalRecord {}

  /** Access exclusive locks taken, or repeated for standbys. */
  record StandbyLock(Header header, List<Lock> locks) implements WalRecord {
    /** One lock: the transaction that holds it and the relation. */
    public record Lock(long xid, RelationId relation) {}
  }

  /**
   * The transactions running now.
   *
   * @param nextXid the next transaction id
   * @param oldestRunningXid older ones are finished
   * @param transactions top-level ones
   * @param subtransactions their subtransactions; incomplete when {@code overflowed}
   */
  record RunningXacts(
      Header header,
      long nextXid,
      long oldestRunningXid,
      List<Long> transactions,
      List<Long> subtransactions,
      boolean overflowed)
      implements WalRecord {}

  /** A message of pg_logical_emit_message. */
  final class LogicalMessage implements WalRecord {
    private final Header header;
    private final long database;
    private final boolean transactional;
    private final String prefix;
    private final byte[] bytes;

    LogicalMessage(
        Header header, long database, boolean transactional, String prefix, byte[] bytes) {
      this.header = header;
      this.database = database;
      this.transactional = transactional;
      this.prefix = prefix;
      this.bytes = bytes;
    }

    @Override
    public Header header() {
      return header;
    }

    /** OID of the database it was sent from. */
    public long database() {
      return database;
    }

    /** Whether it counts only if the transaction of {@link #xid} commits. */
    public boolean transactional() {
      return transactional;
    }

    /** The name its sender chose. */
    public String prefix() {
      return prefix;
    }

    /** What it says: a copy. */
    public byte[] bytes() {
      return bytes.clone();
    }

    @Override
    public String toString() {
      return "LogicalMessage[header=%s, database=%d, transactional=%s, prefix=%s, %d bytes]"
          .formatted(header, database, transactional, prefix, bytes.length);
    }
  }

  /** The segment ends here; the rest of it is empty. */
  record Switch(Header header) implements WalRecord {}

  /**
   * A checkpoint.
   *
   * @param shutdown whether the server stopped with it (or recovery ended): nothing was running
   * @param redo where replay from this checkpoint starts
   * @param timeline the timeline
   * @param previousTimeline the one before, when this checkpoint began a new one; else the same
   * @param fullPageWrites whether first changes carry page images
   * @param nextXid the next transaction id, epoch in the upper 32 bits
   * @param oldestXid the oldest unfrozen transaction id
   * @param time when
   */
  record Checkpoint(
      Header header,
      boolean shutdown,
      Lsn redo,
      int timeline,
      int previousTimeline,
      boolean fullPageWrites,
      long nextXid,
      long oldestXid,
      Instant time)
      implements WalRecord {}

  /**
   * CREATE DATABASE.
   *
   * @param source OID of the database whose files are copied; 0 when its pages are logged instead
   */
  record DatabaseCreate(Header header, long database, long tablespace, long source)
      implements WalRecord {}

  /** DROP DATABASE removed the files: before its commit, and nothing brings them back. */
  record DatabaseDrop(Header header, long database, List<Long> tablespaces) implements WalRecord {}

  /** A base backup ended; one that started at {@code startLsn} is consistent from here. */
  record BackupEnd(Header header, Lsn startLsn) implements WalRecord {}

  /** Crash or archive recovery ended: what was running before did not commit. */
  record EndOfRecovery(Header header, Instant time, int timeline, int previousTimeline)
      implements WalRecord {}

  /** Settings a standby must match, as they are from here on. */
  record ParameterChange(
      Header header,
      int maxConnections,
      int maxWorkerProcesses,
      int maxWalSenders,
      int maxPreparedTransactions,
      int maxLocksPerTransaction,
      int walLevel)
      implements WalRecord {
    /** {@link #walLevel}: too little for backups. */
    public static final int MINIMAL = 0;
  }

  /** A point named by pg_create_restore_point. */
  record RestorePoint(Header header, Instant time, String name) implements WalRecord {}

  /** A record that began at {@code overwritten} was never finished: the server crashed. */
  record OverwrittenContinuation(Header header, Lsn overwritten) implements WalRecord {}

  /** Whole pages and nothing else: a table or index was built or rewritten. */
  record FullPageImages(Header header) implements WalRecord {}

  /** Everything else. */
  record Other(Header header) implements WalRecord {}
}
