package dev.holdfast.postgres;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.wal.BlockRef;
import dev.holdfast.wal.ChangedBlocks;
import dev.holdfast.wal.RelFile;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What an incremental base backup reads: the blocks that its parent may not have as they are now.
 *
 * <p>Why that is enough. Replay of the new layer begins at its own start and never sees the WAL
 * between the parent's start and that. So every block changed in between is read, those included
 * that the parent read after they were changed: it may have read half of them. Of any other block
 * the parent has all that was written before its start, since its checkpoint flushed it; nothing
 * came after, and what comes from the new start on replay brings, from a full image of the page.
 * Bits that no record tells of (hints) may be older; the server sets them again.
 *
 * <p>Always read whole are the free space map (no record names its pages) and the visibility map
 * (some of its changes hide behind flags of heap records), init forks, what is no relation's file,
 * files that the parent lacks, and databases created or dropped since.
 *
 * @param parent the layer it stands on
 * @param files the parent's, with their sizes; directories have -1
 * @param changed by all WAL from the parent's start to the new layer's
 */
public record Increment(BaseManifest parent, Map<String, Long> files, ChangedBlocks changed) {
  private static final int PAGE = PageChecksum.PAGE;

  /** Runs are read at once, so none is longer. */
  static final int RUN_BYTES_MAX = 1 << 20;

  /** Adjacent blocks of a file. */
  record Run(long offset, int length) {}

  /**
   * What to read of a file.
   *
   * @param size as it was listed
   * @return in order; null for the whole of it
   */
  @Nullable List<Run> runs(String path, long size) {
    RelationFile relation = BackupFiles.relationFile(path);
    Long before = files.get(path);
    if (relation == null || relation.fork() != BlockRef.MAIN || before == null || before < 0) {
      return null;
    }
    RelFile file = relation.file();
    if (changed.limit(new RelFile(file.tablespace(), file.database(), 0), BlockRef.MAIN) >= 0) {
      return null; // the database was created, or dropped and created again
    }
    long first = relation.firstBlock();
    long limit = changed.limit(file, BlockRef.MAIN);
    long known = before / PAGE; // from here on nothing is the parent's
    if (limit >= 0) {
      known = Math.min(known, Math.max(0, limit - first));
    }
    if (known == 0) {
      return null;
    }
    long blocks = size / PAGE;
    var runs = new ArrayList<Run>();
    long begin = -1;
    for (long block = 0; block <= blocks; block++) {
      boolean read =
          block < blocks
              && (block >= known || changed.contains(file, BlockRef.MAIN, first + block));
      if (begin >= 0 && (!read || (block - begin) * PAGE == RUN_BYTES_MAX)) {
        runs.add(new Run(begin * PAGE, (int) (block - begin) * PAGE));
        begin = -1;
      }
      if (read && begin < 0) {
        begin = block;
      }
    }
    return runs;
  }
}
