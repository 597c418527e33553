package dev.holdfast.operations;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RecordNames;
import dev.holdfast.wal.ResourceManager;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** What the write-ahead log is made of: records and bytes by kind, as pg_waldump --stats counts. */
public final class WalStats {
  private static final int KINDS = 16;
  private static final int RMGRS = 256;

  private final WalInput input;

  /** Of these files, or of what a repository recorded. */
  public WalStats(WalInput input) {
    this.input = input;
  }

  /**
   * Counts every wanted record.
   *
   * @param perRecord a row for each kind of record that occurs; else one for each resource manager
   *     of PostgreSQL, and each of an extension that occurs
   * @param sink told the figures, also when the log turns out damaged: then of all before that
   * @param notes told of holes, of where reading ended, and of whose names are used
   * @throws dev.holdfast.failure.OperatorException DAMAGED_DATA, USAGE
   */
  public void run(
      WalFilter filter,
      boolean perRecord,
      Progress progress,
      Consumer<WalStatistics> sink,
      Consumer<WalNote> notes) {
    OpenedWal wal = OpenedWal.open(input, filter, notes);
    Counts counts = new Counts();
    try {
      wal.read(progress, counts::add, notes);
    } finally {
      sink.accept(counts.statistics(perRecord));
    }
  }

  private static final class Counts {
    private final long[] number = new long[RMGRS * KINDS];
    private final long[] recordBytes = new long[RMGRS * KINDS];
    private final long[] imageBytes = new long[RMGRS * KINDS];
    private int majorVersion;
    private @Nullable Lsn from;
    private long to;

    boolean add(RawRecord record) {
      int images = 0;
      for (int page = 0; page < record.blocks(); page++) {
        images += record.imageLength(page);
      }
      int opcode = record.info() >> 4;
      if (record.rmgr() == ResourceManager.TRANSACTION) {
        opcode &= 0x07; // the bit above tells what else the record holds
      }
      int kind = record.rmgr() * KINDS + opcode;
      number[kind]++;
      recordBytes[kind] += record.length() - images;
      imageBytes[kind] += images;
      if (from == null) {
        from = new Lsn(record.lsn());
        majorVersion = record.majorVersion();
      }
      to = record.end();
      return true;
    }

    WalStatistics statistics(boolean perRecord) {
      long[] all = sum(0, number.length);
      List<WalStatistics.Row> rows = new ArrayList<>();
      for (int rmgr = 0; rmgr < RMGRS; rmgr++) {
        int first = rmgr * KINDS;
        if (!perRecord) {
          long[] sum = sum(first, first + KINDS);
          if (rmgr < WalMatcher.BUILT_IN || sum[0] > 0) {
            rows.add(row(rmgr, null, sum, all));
          }
          continue;
        }
        for (int kind = first; kind < first + KINDS; kind++) {
          if (number[kind] > 0) {
            String info = RecordNames.of(majorVersion, rmgr, (kind - first) << 4);
            rows.add(row(rmgr, info, sum(kind, kind + 1), all));
          }
        }
      }
      long combined = all[1] + all[2];
      return new WalStatistics(
          from == null ? null : from.toString(),
          from == null ? null : new Lsn(to).toString(),
          rows,
          new WalStatistics.Total(
              all[0],
              all[1],
              percent(all[1], combined),
              all[2],
              percent(all[2], combined),
              combined));
    }

    /** Records, their bytes and their images' bytes of some kinds. */
    private long[] sum(int first, int end) {
      long[] sum = new long[3];
      for (int kind = first; kind < end; kind++) {
        sum[0] += number[kind];
        sum[1] += recordBytes[kind];
        sum[2] += imageBytes[kind];
      }
      return sum;
    }

    private static WalStatistics.Row row(int rmgr, @Nullable String info, long[] sum, long[] all) {
      return new WalStatistics.Row(
          ResourceManager.name(rmgr),
          info,
          sum[0],
          percent(sum[0], all[0]),
          sum[1],
          percent(sum[1], all[1]),
          sum[2],
          percent(sum[2], all[2]),
          sum[1] + sum[2],
          percent(sum[1] + sum[2], all[1] + all[2]));
    }

    private static double percent(long part, long whole) {
      return whole == 0 ? 0 : 100.0 * part / whole;
    }
  }
}
