package dev.holdfast.wal;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Which blocks of which relation forks a stretch of WAL changed, and which forks it created, cut or
 * removed: what an incremental backup of that stretch has to copy.
 *
 * <p>As PostgreSQL 17's own WAL summaries ("postmaster/walsummarizer.c", "common/blkreftable.c") it
 * leaves the free space map out and knows a <em>limit block</em> for each fork: the fork was once
 * no longer than this, so that blocks from there on are new unless they are among the changed ones.
 * Unlike summaries before 17.11 and 18.6 it holds visibility map blocks that heap records change
 * without naming them.
 *
 * <p>Memory: about 100 bytes for each 512 blocks of which one changed; nothing is given back by
 * {@link #clear}, so that filling it again makes no objects. Not thread-safe.
 */
public final class ChangedBlocks {
  /** Blocks of a heap whose bits lie on one page of its visibility map, for pages of 8 KiB. */
  private static final int HEAP_BLOCKS_PER_MAP_PAGE = (8192 - 24) * 8 / 2;

  private static final int CHUNK_SHIFT = 9;
  private static final int CHUNK_LONGS = (1 << CHUNK_SHIFT) / Long.SIZE;
  private static final int EMPTY = -1;
  private static final long NO_LIMIT = -1;

  // Forks: open addressing from (tablespace, database, number, fork) to an index.
  private int forks;
  private int[] forkSlots = filled(64);
  private int[] tablespace = new int[32];
  private int[] database = new int[32];
  private int[] number = new int[32];
  private byte[] fork = new byte[32];
  private long[] limit = new long[32];
  private int lastFork = EMPTY;

  // Chunks of 512 blocks: open addressing from fork index and chunk number to an index.
  private int chunks;
  private int[] chunkSlots = filled(256);
  private long[] chunkKeys = new long[128];
  private long[] bits = new long[128 * CHUNK_LONGS];
  private int lastChunk = EMPTY;

  /** Nothing changed yet. */
  public ChangedBlocks() {}

  /** Told of each fork of a relation that changed. */
  public interface Visitor {
    /**
     * One fork of one relation.
     *
     * @param file the relation's files
     * @param fork {@link BlockRef#MAIN} and so on; never {@link BlockRef#FREE_SPACE_MAP}
     * @param limit the limit block; -1 for none. A {@code file} whose number is 0 and that has
     *     limit 0 stands for all of a database in a tablespace: it was created or dropped
     * @param blocks the changed blocks, ascending
     */
    void fork(RelFile file, int fork, long limit, long[] blocks);
  }

  /** Takes the next record. */
  public void accept(RawRecord record) {
    int references = record.blocks();
    for (int index = 0; index < references; index++) {
      int fork = record.fork(index);
      if (fork != BlockRef.FREE_SPACE_MAP) {
        mark(
            fork(record.tablespace(index), record.database(index), record.fileNumber(index), fork),
            record.block(index));
      }
    }
    switch (record.rmgr()) {
      case ResourceManager.HEAP, ResourceManager.HEAP2 -> visibility(record);
      case ResourceManager.STORAGE, ResourceManager.DATABASE -> limits(record.decode());
      case ResourceManager.TRANSACTION -> {
        if (!record.isPlainCommit()) {
          limits(record.decode());
        }
      }
      default -> {}
    }
  }

  /** Adds all that another one holds, of WAL that follows this one's. */
  public void add(ChangedBlocks later) {
    for (int index = 0; index < later.forks; index++) {
      int mine =
          fork(
              later.tablespace[index],
              later.database[index],
              later.number[index],
              later.fork[index]);
      limit[mine] = lower(limit[mine], later.limit[index]);
    }
    for (int chunk = 0; chunk < later.chunks; chunk++) {
      int theirs = (int) (later.chunkKeys[chunk] >>> 32);
      int mine =
          fork(
              later.tablespace[theirs],
              later.database[theirs],
              later.number[theirs],
              later.fork[theirs]);
      int to = chunk(mine, (int) later.chunkKeys[chunk]) * CHUNK_LONGS;
      for (int word = 0; word < CHUNK_LONGS; word++) {
        bits[to + word] |= later.bits[chunk * CHUNK_LONGS + word];
      }
    }
  }

  /** Forgets everything. */
  public void clear() {
    Arrays.fill(forkSlots, EMPTY);
    forks = 0;
    lastFork = EMPTY;
    Arrays.fill(chunkSlots, EMPTY);
    Arrays.fill(bits, 0, chunks * CHUNK_LONGS, 0);
    chunks = 0;
    lastChunk = EMPTY;
  }

  /** Whether nothing changed. */
  public boolean isEmpty() {
    return forks == 0;
  }

  /** Whether this block was changed; false for blocks that only lie beyond the limit. */
  public boolean contains(RelFile file, int fork, long block) {
    int index = findFork((int) file.tablespace(), (int) file.database(), (int) file.number(), fork);
    if (index == EMPTY) {
      return false;
    }
    int chunk = findChunk(((long) index << 32) | (block >>> CHUNK_SHIFT));
    return chunk != EMPTY && (bits[word(chunk, block)] & 1L << block) != 0;
  }

  /** The limit block of a fork; -1 for none. */
  public long limit(RelFile file, int fork) {
    int index = findFork((int) file.tablespace(), (int) file.database(), (int) file.number(), fork);
    return index == EMPTY ? NO_LIMIT : limit[index];
  }

  /** Tells of every fork, sorted by tablespace, database, number and fork. */
  public void forEach(Visitor visitor) {
    Integer[] order = new Integer[forks];
    Arrays.setAll(order, index -> index);
    Arrays.sort(
        order,
        Comparator.<Integer>comparingLong(index -> Integer.toUnsignedLong(tablespace[index]))
            .thenComparingLong(index -> Integer.toUnsignedLong(database[index]))
            .thenComparingLong(index -> Integer.toUnsignedLong(number[index]))
            .thenComparingInt(index -> fork[index]));
    long[] keys = Arrays.copyOf(chunkKeys, chunks);
    Arrays.sort(keys); // by fork, then by block
    int[] firstOf = new int[forks + 1];
    for (long key : keys) {
      firstOf[(int) (key >>> 32) + 1]++;
    }
    for (int index = 0; index < forks; index++) {
      firstOf[index + 1] += firstOf[index];
    }
    for (int index : order) {
      visitor.fork(
          new RelFile(
              Integer.toUnsignedLong(tablespace[index]),
              Integer.toUnsignedLong(database[index]),
              Integer.toUnsignedLong(number[index])),
          fork[index],
          limit[index],
          blocks(keys, firstOf[index], firstOf[index + 1]));
    }
  }

  private long[] blocks(long[] keys, int from, int to) {
    int count = 0;
    for (int at = from; at < to; at++) {
      int chunk = findChunk(keys[at]);
      for (int word = 0; word < CHUNK_LONGS; word++) {
        count += Long.bitCount(bits[chunk * CHUNK_LONGS + word]);
      }
    }
    long[] blocks = new long[count];
    count = 0;
    for (int at = from; at < to; at++) {
      int chunk = findChunk(keys[at]);
      long first = (keys[at] & 0xFFFF_FFFFL) << CHUNK_SHIFT;
      for (int word = 0; word < CHUNK_LONGS; word++) {
        for (long rest = bits[chunk * CHUNK_LONGS + word]; rest != 0; rest &= rest - 1) {
          blocks[count++] = first + (long) word * Long.SIZE + Long.numberOfTrailingZeros(rest);
        }
      }
    }
    return blocks;
  }

  // ---- as bytes --------------------------------------------------------------------------------

  /**
   * As bytes: a version byte (1); then for each fork, sorted: tablespace, database, number and
   * fork; the limit block plus one, 0 for none; the number of changed blocks; each as its distance
   * from the one before, the first from block -1. All are LEB128 varints.
   */
  public byte[] encode() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(1);
    forEach((file, fork, limit, blocks) -> {
      varint(out, file.tablespace());
      varint(out, file.database());
      varint(out, file.number());
      varint(out, fork);
      varint(out, limit + 1);
      varint(out, blocks.length);
      long before = -1;
      for (long block : blocks) {
        varint(out, block - before);
        before = block;
      }
    });
    return out.toByteArray();
  }

  /**
   * Reads what {@link #encode} wrote.
   *
   * @throws IllegalArgumentException when it is something else
   */
  public static ChangedBlocks decode(byte[] bytes) {
    if (bytes.length == 0 || bytes[0] != 1) {
      throw new IllegalArgumentException("these are not changed blocks of format 1");
    }
    ChangedBlocks found = new ChangedBlocks();
    int[] at = {1};
    while (at[0] < bytes.length) {
      int index =
          found.fork(
              (int) varint(bytes, at),
              (int) varint(bytes, at),
              (int) varint(bytes, at),
              (int) varint(bytes, at));
      found.limit[index] = varint(bytes, at) - 1;
      long count = varint(bytes, at);
      long block = -1;
      for (long i = 0; i < count; i++) {
        block += varint(bytes, at);
        if (block < 0 || block > 0xFFFF_FFFFL) {
          throw new IllegalArgumentException("changed blocks go beyond the last block");
        }
        found.mark(index, block);
      }
    }
    return found;
  }

  private static void varint(ByteArrayOutputStream out, long value) {
    long rest = value;
    while ((rest & ~0x7FL) != 0) {
      out.write((int) ((rest & 0x7F) | 0x80));
      rest >>>= 7;
    }
    out.write((int) rest);
  }

  private static long varint(byte[] bytes, int[] at) {
    long value = 0;
    for (int shift = 0; shift < Long.SIZE; shift += 7) {
      if (at[0] == bytes.length) {
        throw new IllegalArgumentException("changed blocks end in the middle of a number");
      }
      byte next = bytes[at[0]++];
      value |= (long) (next & 0x7F) << shift;
      if (next >= 0) {
        return value;
      }
    }
    throw new IllegalArgumentException("changed blocks hold a number that is too long");
  }

  // ---- what records say without naming blocks --------------------------------------------------

  private void visibility(RawRecord record) {
    RawRecord.RowChange change = record.rowChange();
    switch (change) {
      case INSERT, MULTI_INSERT, DELETE, LOCK, UPDATE -> {
        if (record.clearsAllVisible()) {
          mapPage(record, record.block(0));
        }
        if (change == RawRecord.RowChange.UPDATE && record.clearsOldAllVisible()) {
          mapPage(record, record.oldTid() >>> 16);
        }
      }
      case CONFIRM, INPLACE, NONE -> {}
    }
  }

  private void mapPage(RawRecord record, long heapBlock) {
    mark(
        fork(
            record.tablespace(0),
            record.database(0),
            record.fileNumber(0),
            BlockRef.VISIBILITY_MAP),
        heapBlock / HEAP_BLOCKS_PER_MAP_PAGE);
  }

  private void limits(WalRecord record) {
    switch (record) {
      case WalRecord.StorageCreate create -> limit(create.file(), create.fork(), 0);
      case WalRecord.StorageTruncate truncate -> {
        limit(truncate.file(), BlockRef.MAIN, truncate.blocksLeft());
        // The last map page kept is changed too: bits past the end of the heap are cleared.
        limit(
            truncate.file(),
            BlockRef.VISIBILITY_MAP,
            truncate.blocksLeft() / HEAP_BLOCKS_PER_MAP_PAGE);
        if (truncate.blocksLeft() % HEAP_BLOCKS_PER_MAP_PAGE != 0) {
          mark(
              fork(truncate.file(), BlockRef.VISIBILITY_MAP),
              truncate.blocksLeft() / HEAP_BLOCKS_PER_MAP_PAGE);
        }
      }
      case WalRecord.Commit commit -> gone(commit.droppedFiles());
      case WalRecord.Abort abort -> gone(abort.droppedFiles());
      case WalRecord.DatabaseCreate create ->
          limit(new RelFile(create.tablespace(), create.database(), 0), BlockRef.MAIN, 0);
      case WalRecord.DatabaseDrop drop -> {
        for (long tablespaceDropped : drop.tablespaces()) {
          limit(new RelFile(tablespaceDropped, drop.database(), 0), BlockRef.MAIN, 0);
        }
      }
      default -> {}
    }
  }

  private void gone(List<RelFile> files) {
    for (RelFile file : files) {
      limit(file, BlockRef.MAIN, 0);
      limit(file, BlockRef.VISIBILITY_MAP, 0);
      limit(file, BlockRef.INIT, 0);
    }
  }

  private void limit(RelFile file, int fork, long block) {
    if (fork != BlockRef.FREE_SPACE_MAP) {
      int index = fork(file, fork);
      limit[index] = lower(limit[index], block);
    }
  }

  private static long lower(long one, long other) {
    return one == NO_LIMIT ? other : other == NO_LIMIT ? one : Math.min(one, other);
  }

  // ---- the two tables --------------------------------------------------------------------------

  private void mark(int forkIndex, long block) {
    int word = word(chunk(forkIndex, (int) (block >>> CHUNK_SHIFT)), block); // may grow the array
    bits[word] |= 1L << block;
  }

  private static int word(int chunk, long block) {
    return chunk * CHUNK_LONGS + (int) ((block >>> 6) & (CHUNK_LONGS - 1));
  }

  private int fork(RelFile file, int forkNumber) {
    return fork((int) file.tablespace(), (int) file.database(), (int) file.number(), forkNumber);
  }

  private int fork(int tablespaceOid, int databaseOid, int fileNumber, int forkNumber) {
    int last = lastFork;
    if (last != EMPTY && isFork(last, tablespaceOid, databaseOid, fileNumber, forkNumber)) {
      return last;
    }
    int slot = forkSlot(tablespaceOid, databaseOid, fileNumber, forkNumber);
    int index = forkSlots[slot];
    if (index == EMPTY) {
      index = forks++;
      if (index == tablespace.length) {
        growForks();
        slot = forkSlot(tablespaceOid, databaseOid, fileNumber, forkNumber);
      }
      forkSlots[slot] = index;
      tablespace[index] = tablespaceOid;
      database[index] = databaseOid;
      number[index] = fileNumber;
      fork[index] = (byte) forkNumber;
      limit[index] = NO_LIMIT;
    }
    lastFork = index;
    return index;
  }

  private int findFork(int tablespaceOid, int databaseOid, int fileNumber, int forkNumber) {
    return forkSlots[forkSlot(tablespaceOid, databaseOid, fileNumber, forkNumber)];
  }

  private int forkSlot(int tablespaceOid, int databaseOid, int fileNumber, int forkNumber) {
    int mask = forkSlots.length - 1;
    int mixed = (fileNumber + 31 * databaseOid + 17 * forkNumber) * 0x9E37_79B1 + tablespaceOid;
    int slot = (mixed ^ (mixed >>> 15)) & mask;
    while (forkSlots[slot] != EMPTY
        && !isFork(forkSlots[slot], tablespaceOid, databaseOid, fileNumber, forkNumber)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private boolean isFork(
      int index, int tablespaceOid, int databaseOid, int fileNumber, int forkNumber) {
    return number[index] == fileNumber
        && fork[index] == forkNumber
        && database[index] == databaseOid
        && tablespace[index] == tablespaceOid;
  }

  private void growForks() {
    int size = 2 * tablespace.length;
    tablespace = Arrays.copyOf(tablespace, size);
    database = Arrays.copyOf(database, size);
    number = Arrays.copyOf(number, size);
    fork = Arrays.copyOf(fork, size);
    limit = Arrays.copyOf(limit, size);
    forkSlots = filled(2 * size);
    for (int index = 0; index < forks - 1; index++) {
      forkSlots[forkSlot(tablespace[index], database[index], number[index], fork[index])] = index;
    }
  }

  private int chunk(int forkIndex, int chunkNumber) {
    long key = ((long) forkIndex << 32) | chunkNumber;
    int last = lastChunk;
    if (last != EMPTY && chunkKeys[last] == key) {
      return last;
    }
    int slot = chunkSlot(key);
    int index = chunkSlots[slot];
    if (index == EMPTY) {
      index = chunks++;
      if (index == chunkKeys.length) {
        growChunks();
        slot = chunkSlot(key);
      }
      chunkSlots[slot] = index;
      chunkKeys[index] = key;
    }
    lastChunk = index;
    return index;
  }

  private int findChunk(long key) {
    return chunkSlots[chunkSlot(key)];
  }

  private int chunkSlot(long key) {
    int mask = chunkSlots.length - 1;
    int slot = (int) ((key * 0x9E37_79B9_7F4A_7C15L) >>> 40) & mask;
    while (chunkSlots[slot] != EMPTY && chunkKeys[chunkSlots[slot]] != key) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private void growChunks() {
    int size = 2 * chunkKeys.length;
    chunkKeys = Arrays.copyOf(chunkKeys, size);
    bits = Arrays.copyOf(bits, size * CHUNK_LONGS);
    chunkSlots = filled(2 * size);
    for (int index = 0; index < chunks - 1; index++) {
      chunkSlots[chunkSlot(chunkKeys[index])] = index;
    }
  }

  private static int[] filled(int size) {
    int[] slots = new int[size];
    Arrays.fill(slots, EMPTY);
    return slots;
  }
}
