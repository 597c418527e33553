package dev.holdfast.wal;

import java.time.Instant;
import java.util.AbstractList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One record of the write-ahead log. Changes to index pages and of extensions are {@link Other}:
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
   * @param database OID of the database it ran in; 0 where the record does not say, as of plain
   *     changes to rows at wal_level=replica
   * @param tablespace OID of that database's tablespace; 0 where the record does not say
   * @param subtransactions those that committed with it; rolled-back savepoints are not among them
   * @param droppedFiles files of relations that are gone: dropped, truncated or rewritten
   * @param droppedStats statistics dropped with their objects, PostgreSQL 15 and later
   * @param invalidations what it changed in the catalogs
   * @param gid the name of the prepared transaction, at wal_level=logical only
   * @param origin where it was committed first, when it arrived by logical replication; which
   *     origin that is says {@link Header#origin}
   * @param flags XACT_XINFO_*, XACT_COMPLETION_* ("access/xact.h"): see {@link #hadExclusiveLocks}
   */
  record Commit(
      Header header,
      long transaction,
      boolean prepared,
      Instant time,
      long database,
      long tablespace,
      List<Long> subtransactions,
      List<RelFile> droppedFiles,
      List<DroppedStat> droppedStats,
      List<Invalidation> invalidations,
      @Nullable String gid,
      @Nullable OriginPosition origin,
      int flags)
      implements WalRecord {
    /** Relations whose definition or storage changed. */
    public List<RelationId> invalidatedRelations() {
      return Invalidation.relations(invalidations);
    }

    /** Whether it held access exclusive locks that standbys know of: {@link StandbyLock}. */
    public boolean hadExclusiveLocks() {
      return (flags & 0x040) != 0;
    }

    /** Whether its session waits until standbys have applied it. */
    public boolean waitsForApply() {
      return (flags & 1 << 29) != 0;
    }

    /** Whether the file from which sessions start their relation caches is out of date. */
    public boolean updatesRelationCacheFile() {
      return (flags & 1 << 30) != 0;
    }

    /** Whether it waited for the disk whatever synchronous_commit says: it did things to files. */
    public boolean forcedToDisk() {
      return (flags & 1 << 31) != 0;
    }
  }

  /**
   * ROLLBACK of a transaction, a savepoint, or a prepared transaction.
   *
   * @param transaction the (sub)transaction; for a prepared one the id it was prepared under
   * @param prepared whether this is ROLLBACK PREPARED
   * @param time when
   * @param database OID of the database it ran in; 0 where the record does not say
   * @param tablespace OID of that database's tablespace; 0 where the record does not say
   * @param subtransactions those that went with it
   * @param droppedFiles files it had created
   * @param droppedStats statistics of objects it had created, PostgreSQL 15 and later
   * @param gid the name of the prepared transaction, at wal_level=logical only
   * @param origin where it was rolled back first, when it arrived by logical replication
   * @param flags as of {@link Commit#flags}
   */
  record Abort(
      Header header,
      long transaction,
      boolean prepared,
      Instant time,
      long database,
      long tablespace,
      List<Long> subtransactions,
      List<RelFile> droppedFiles,
      List<DroppedStat> droppedStats,
      @Nullable String gid,
      @Nullable OriginPosition origin,
      int flags)
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
   * @param abortFiles files that will go when it is rolled back
   * @param droppedStats statistics that will go when it commits, PostgreSQL 15 and later
   * @param abortStats statistics that will go when it is rolled back, PostgreSQL 15 and later
   * @param invalidations what it changed in the catalogs
   * @param updatesRelationCacheFile see {@link Commit#updatesRelationCacheFile}
   * @param origin where it was prepared first, when it arrived by logical replication
   */
  record Prepare(
      Header header,
      long transaction,
      long database,
      long owner,
      String gid,
      Instant time,
      List<Long> subtransactions,
      List<RelFile> droppedFiles,
      List<RelFile> abortFiles,
      List<DroppedStat> droppedStats,
      List<DroppedStat> abortStats,
      List<Invalidation> invalidations,
      boolean updatesRelationCacheFile,
      @Nullable OriginPosition origin)
      implements WalRecord {}

  /** Subtransactions told before their commit: after every 64 of them, or at wal_level=logical. */
  record Assignment(Header header, long top, List<Long> subtransactions) implements WalRecord {}

  /**
   * Catalog changes told before a commit, or without one. Of the transaction's own ({@link
   * ResourceManager#TRANSACTION}) after each command, at wal_level=logical; of {@link
   * ResourceManager#STANDBY} when there is no transaction to commit.
   *
   * @param database OID of the database; 0 where the record does not say
   * @param tablespace OID of its tablespace; 0 where the record does not say
   * @param updatesRelationCacheFile see {@link Commit#updatesRelationCacheFile}
   * @param messages what changed
   */
  record Invalidations(
      Header header,
      long database,
      long tablespace,
      boolean updatesRelationCacheFile,
      List<Invalidation> messages)
      implements WalRecord {}

  /**
   * Several transactions hold one row: a number for them together.
   *
   * @param multiXact the number, as it stands in xmax of rows
   * @param offset where its members begin in pg_multixact/members
   * @param members who holds the row and how
   */
  record MultiXactCreate(Header header, long multiXact, long offset, List<Member> members)
      implements WalRecord {
    /**
     * One of them.
     *
     * @param status 0 FOR KEY SHARE, 1 FOR SHARE, 2 FOR NO KEY UPDATE, 3 FOR UPDATE, 4 UPDATE of no
     *     key column, 5 other UPDATE or DELETE ("access/multixact.h")
     */
    public record Member(long xid, int status) {}
  }

  /**
   * Multixacts no row refers to any more were forgotten: from {@code firstOffset} up to {@code
   * endOffset}, their members from {@code firstMember} up to {@code endMember}, ends not included.
   *
   * @param oldestDatabase OID of the database that holds the oldest one left
   */
  record MultiXactTruncate(
      Header header,
      long oldestDatabase,
      long firstOffset,
      long endOffset,
      long firstMember,
      long endMember)
      implements WalRecord {}

  /** A page of a status log was begun. */
  record StatusPageZero(Header header, StatusLog log, long page) implements WalRecord {}

  /**
   * The beginning of a status log was cut off: every row older than {@code oldestXid} is frozen.
   *
   * @param log {@link StatusLog#TRANSACTIONS} or {@link StatusLog#COMMIT_TIMESTAMPS}
   * @param page pages before it are gone
   * @param database OID of the database that holds the oldest transaction id; 0 for commit
   *     timestamps
   */
  record StatusTruncate(Header header, StatusLog log, long page, long oldestXid, long database)
      implements WalRecord {}

  /**
   * A replication origin was advanced by hand; a subscription's own progress lies in {@link
   * Commit#origin}.
   *
   * @param origin its id
   * @param remote how far it was replayed
   * @param backwards whether it may go back, too
   */
  record OriginAdvance(Header header, int origin, Lsn remote, boolean backwards)
      implements WalRecord {}

  /** A replication origin was dropped. */
  record OriginDrop(Header header, int origin) implements WalRecord {}

  /**
   * One row version inserted.
   *
   * @param speculative INSERT … ON CONFLICT tried; a {@link HeapConfirm} or a super {@link
   *     HeapDelete} of the same row follows
   * @param flags XLH_INSERT_* ("access/heapam_xlog.h")
   */
  record HeapInsert(Header header, RelFile file, Tid tid, boolean speculative, int flags)
      implements WalRecord {}

  /** The speculative insert of this row became real. */
  record HeapConfirm(Header header, RelFile file, Tid tid) implements WalRecord {}

  /**
   * One row replaced by a new version.
   *
   * @param hot whether no indexed column changed and the page had room
   * @param oldXmax who replaced it: a transaction, or a multixact where {@code oldInfobits} say so
   * @param newXmax who holds the new version; 0 for nobody
   * @param oldInfobits XLHL_* ("access/heapam_xlog.h"): see {@link HeapLock#MULTIXACT}
   * @param flags XLH_UPDATE_*
   */
  record HeapUpdate(
      Header header,
      RelFile file,
      Tid oldTid,
      Tid newTid,
      boolean hot,
      long oldXmax,
      long newXmax,
      int oldInfobits,
      int flags)
      implements WalRecord {}

  /**
   * One row deleted.
   *
   * @param superDelete a speculative insert that lost its race: no row anybody saw
   * @param partitionMove half of an UPDATE that moved the row: an insert in another partition
   *     follows
   * @param xmax who deleted it: a transaction, or a multixact where {@code infobits} say so
   * @param infobits XLHL_* ("access/heapam_xlog.h"): see {@link HeapLock#MULTIXACT}
   * @param flags XLH_DELETE_*
   */
  record HeapDelete(
      Header header,
      RelFile file,
      Tid tid,
      boolean superDelete,
      boolean partitionMove,
      long xmax,
      int infobits,
      int flags)
      implements WalRecord {}

  /** Several rows inserted into one page: COPY, and INSERT into catalogs. */
  final class HeapMultiInsert implements WalRecord {
    private final Header header;
    private final RelFile file;
    private final long block;
    private final int rows;
    private final int @Nullable [] offsets;
    private final int flags;

    /**
     * @param offsets where the rows lie; null for 1 to {@code rows}
     */
    HeapMultiInsert(
        Header header, RelFile file, long block, int rows, int @Nullable [] offsets, int flags) {
      this.header = header;
      this.file = file;
      this.block = block;
      this.rows = rows;
      this.offsets = offsets;
      this.flags = flags;
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
      return rows;
    }

    /** XLH_INSERT_* ("access/heapam_xlog.h"). */
    public int flags() {
      return flags;
    }

    /** Where the rows lie. */
    public List<Tid> tids() {
      return new AbstractList<>() {
        @Override
        public Tid get(int index) {
          Objects.checkIndex(index, rows);
          return new Tid(block, offsets == null ? index + 1 : offsets[index]);
        }

        @Override
        public int size() {
          return rows;
        }
      };
    }

    @Override
    public String toString() {
      return "HeapMultiInsert[header=" + header + ", file=" + file + ", tids=" + tids() + "]";
    }
  }

  /**
   * One row locked, not changed.
   *
   * @param xmax who holds it: a transaction, or a multixact where {@code infobits} say so
   * @param infobits XLHL_* ("access/heapam_xlog.h"): see {@link #MULTIXACT}
   * @param flags XLH_LOCK_*
   * @param laterVersion whether a newer version of a row locked before was locked with it
   */
  record HeapLock(
      Header header,
      RelFile file,
      Tid tid,
      long xmax,
      int infobits,
      int flags,
      boolean laterVersion)
      implements WalRecord {
    /** {@link #infobits}: xmax is a multixact. */
    public static final int MULTIXACT = 0x01;
  }

  /**
   * A catalog row overwritten in place, outside any transaction: no rollback undoes it.
   *
   * @param database OID of the database; 0 before PostgreSQL 18
   * @param tablespace OID of its tablespace; 0 before PostgreSQL 18
   * @param updatesRelationCacheFile see {@link Commit#updatesRelationCacheFile}; from PostgreSQL 18
   *     on
   * @param invalidations what changed in the catalogs; from PostgreSQL 18 on
   */
  record HeapInplace(
      Header header,
      RelFile file,
      Tid tid,
      long database,
      long tablespace,
      boolean updatesRelationCacheFile,
      List<Invalidation> invalidations)
      implements WalRecord {}

  /**
   * A page tidied up: row versions nobody can see removed, old ones frozen. No row changes.
   *
   * @param file the table's file
   * @param block the page
   * @param work what was done
   * @param conflictHorizon the youngest transaction whose removed rows a query on a standby may
   *     still see; 0 for none
   * @param items how many; null where a copy of the page made them needless
   */
  record HeapPrune(
      Header header,
      RelFile file,
      long block,
      Work work,
      long conflictHorizon,
      @Nullable Items items)
      implements WalRecord {
    /** What was done. */
    public enum Work {
      /** Pruned, by VACUUM or by a query that came along: before PostgreSQL 17. */
      PRUNE,
      /** Pruned by a query that came along: from PostgreSQL 17 on. */
      PRUNE_ON_ACCESS,
      /** Pruned and frozen by VACUUM: from PostgreSQL 17 on. */
      VACUUM_SCAN,
      /** Line pointers freed by VACUUM, after the indexes forgot them. */
      VACUUM_CLEANUP,
      /** Rows frozen: before PostgreSQL 17. */
      FREEZE
    }

    /**
     * Line pointers touched.
     *
     * @param redirected now pointing to another one
     * @param dead without a row, waiting for VACUUM
     * @param unused free
     * @param frozen with a row that is frozen now
     */
    public record Items(int redirected, int dead, int unused, int frozen) {}
  }

  /**
   * VACUUM found every row of a page visible to all.
   *
   * @param file the table's file
   * @param block the page of rows, not that of the visibility map
   * @param conflictHorizon as of {@link HeapPrune#conflictHorizon}
   * @param flags 1 all visible, 2 all frozen, and from PostgreSQL 16 on 4 catalog
   */
  record HeapVisible(Header header, RelFile file, long block, long conflictHorizon, int flags)
      implements WalRecord {}

  /**
   * Which commands of a transaction made and removed a catalog row; at wal_level=logical only.
   *
   * @param top the top-level transaction
   * @param created command that inserted it
   * @param deleted command that deleted it
   * @param combined the number for both, where one transaction did both
   */
  record HeapNewCid(
      Header header, long top, long created, long deleted, long combined, RelFile file, Tid tid)
      implements WalRecord {}

  /**
   * Where rows of a catalog went when it was rewritten; at wal_level=logical only.
   *
   * @param mappedXid the transaction that may need to find them
   * @param database OID of the catalog's database; 0 for shared ones
   * @param relation OID of the catalog
   * @param offset bytes written to the mapping file before
   * @param mappings how many rows
   * @param start where in the log the rewrite began
   */
  record HeapRewrite(
      Header header,
      long mappedXid,
      long database,
      long relation,
      long offset,
      long mappings,
      Lsn start)
      implements WalRecord {}

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
   * @param flags which forks: {@link #ROWS}, {@link #VISIBILITY_MAP}, {@link #FREE_SPACE_MAP}
   */
  record StorageTruncate(Header header, RelFile file, long blocksLeft, int flags)
      implements WalRecord {
    /** {@link #flags}: the main fork. */
    public static final int ROWS = 0x01;

    /** {@link #flags}: the visibility map. */
    public static final int VISIBILITY_MAP = 0x02;

    /** {@link #flags}: the free space map. */
    public static final int FREE_SPACE_MAP = 0x04;
  }

  /**
   * The files of catalogs that pg_class cannot tell were replaced: the whole pg_filenode.map.
   *
   * @param database OID of the database; 0 for the shared catalogs
   * @param tablespace OID of its tablespace
   * @param mappings OID and relfilenumber of each
   */
  record RelationMap(Header header, long database, long tablespace, List<Mapping> mappings)
      implements WalRecord {
    /** One catalog and its relfilenumber. */
    public record Mapping(long relation, long fileNumber) {}
  }

  /**
   * A sequence moved on, by up to 32 values in advance; no rollback undoes it.
   *
   * @param lastValue the value after a crash
   * @param logCount values that may still be taken before it is logged again
   * @param called whether {@code lastValue} was handed out, so that the next one follows
   */
  record Sequence(Header header, RelFile file, long lastValue, long logCount, boolean called)
      implements WalRecord {}

  /** CREATE TABLESPACE; {@code path} is empty for one inside the data directory. */
  record TablespaceCreate(Header header, long tablespace, String path) implements WalRecord {}

  /** DROP TABLESPACE. */
  record TablespaceDrop(Header header, long tablespace) implements WalRecord {}

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
   * @param latestCompletedXid younger ones are not finished
   * @param transactions top-level ones
   * @param subtransactions their subtransactions; incomplete when {@code overflowed}
   */
  record RunningXacts(
      Header header,
      long nextXid,
      long oldestRunningXid,
      long latestCompletedXid,
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
   * @param walLevel as of {@link ParameterChange#walLevel}; {@link #UNKNOWN} before PostgreSQL 17
   * @param nextXid the next transaction id, epoch in the upper 32 bits
   * @param nextOid the next OID
   * @param nextMultiXact the next multixact
   * @param nextMultiXactOffset where its members will begin
   * @param oldestXid the oldest unfrozen transaction id
   * @param oldestXidDatabase OID of the database that holds it
   * @param oldestMultiXact the oldest multixact that is still needed
   * @param oldestMultiXactDatabase OID of the database that holds it
   * @param time when
   * @param oldestCommitTimestampXid the oldest transaction whose commit time is kept; 0 for none
   * @param newestCommitTimestampXid the newest one; 0 for none
   * @param oldestRunningXid the oldest transaction running; 0 at a shutdown
   */
  record Checkpoint(
      Header header,
      boolean shutdown,
      Lsn redo,
      int timeline,
      int previousTimeline,
      boolean fullPageWrites,
      int walLevel,
      long nextXid,
      long nextOid,
      long nextMultiXact,
      long nextMultiXactOffset,
      long oldestXid,
      long oldestXidDatabase,
      long oldestMultiXact,
      long oldestMultiXactDatabase,
      Instant time,
      long oldestCommitTimestampXid,
      long newestCommitTimestampXid,
      long oldestRunningXid)
      implements WalRecord {
    /** {@link #walLevel}: the record does not say. */
    public static final int UNKNOWN = -1;
  }

  /** The point a checkpoint will name as its {@code redo}; from PostgreSQL 17 on. */
  record CheckpointRedo(Header header, int walLevel) implements WalRecord {}

  /** OIDs below this may be in use after a crash. */
  record NextOid(Header header, long nextOid) implements WalRecord {}

  /** full_page_writes was changed: whether first changes carry page images from here on. */
  record FullPageWritesChange(Header header, boolean on) implements WalRecord {}

  /** Nothing, on purpose. */
  record Noop(Header header) implements WalRecord {}

  /**
   * CREATE DATABASE.
   *
   * @param source OID of the database whose files are copied; 0 when its pages are logged instead
   * @param sourceTablespace OID of the tablespace they are copied from; 0 likewise
   */
  record DatabaseCreate(
      Header header, long database, long tablespace, long source, long sourceTablespace)
      implements WalRecord {}

  /** DROP DATABASE removed the files: before its commit, and nothing brings them back. */
  record DatabaseDrop(Header header, long database, List<Long> tablespaces) implements WalRecord {}

  /** A base backup ended; one that started at {@code startLsn} is consistent from here. */
  record BackupEnd(Header header, Lsn startLsn) implements WalRecord {}

  /**
   * Crash or archive recovery ended: what was running before did not commit.
   *
   * @param walLevel as of {@link Checkpoint#walLevel}
   */
  record EndOfRecovery(
      Header header, Instant time, int timeline, int previousTimeline, int walLevel)
      implements WalRecord {}

  /** Settings a standby must match, as they are from here on. */
  record ParameterChange(
      Header header,
      int maxConnections,
      int maxWorkerProcesses,
      int maxWalSenders,
      int maxPreparedTransactions,
      int maxLocksPerTransaction,
      int walLevel,
      boolean walLogHints,
      boolean trackCommitTimestamp)
      implements WalRecord {
    /** {@link #walLevel}: too little for backups. */
    public static final int MINIMAL = 0;

    /** {@link #walLevel}: enough for backups and standbys. */
    public static final int REPLICA = 1;

    /** {@link #walLevel}: enough for logical decoding. */
    public static final int LOGICAL = 2;
  }

  /** A point named by pg_create_restore_point. */
  record RestorePoint(Header header, Instant time, String name) implements WalRecord {}

  /** A record that began at {@code overwritten} was never finished: the server crashed. */
  record OverwrittenContinuation(Header header, Lsn overwritten, Instant time)
      implements WalRecord {}

  /** Whole pages and nothing else: a table or index was built or rewritten. */
  record FullPageImages(Header header) implements WalRecord {}

  /** A whole page because a hint on it changed first after a checkpoint: no row changes. */
  record HintImage(Header header) implements WalRecord {}

  /**
   * Everything else: changes to indexes, of extensions, and opcodes a known {@link #rmgr} did not
   * have when this was written.
   */
  record Other(Header header) implements WalRecord {}
}
