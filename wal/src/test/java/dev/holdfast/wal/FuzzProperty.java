package dev.holdfast.wal;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What must hold of any bytes at all: every step ends in a record, in "needs more", or in {@link
 * WalDamagedException} naming position and segment; never in another exception, never in an endless
 * loop, and never with more memory than a multiple of what was fed.
 */
final class FuzzProperty {
  /**
   * Bytes that may be allocated for each byte fed: values are larger than what they are read of.
   */
  private static final long ALLOCATED_PER_BYTE = 64;

  /** Bytes that may be allocated for any input: the reader itself, and one exception's text. */
  private static final long ALLOCATED_ANYWAY = 96 * 1024;

  private static final byte[] ZEROS = new byte[1 << 20];

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  private long inputs;
  private long records;
  private long damages;
  private long decoded;
  private final long[] perKind = new long[22];
  private long sink;

  /** What was checked. */
  String figures() {
    return "%,d inputs, %,d of them found damaged; %,d records, %,d of them decoded, by resource manager %s"
        .formatted(inputs, damages, records, decoded, Arrays.toString(perKind));
  }

  /** Inputs checked. */
  long inputs() {
    return inputs;
  }

  /** Checks one input. */
  void check(FuzzInput input) {
    inputs++;
    long allowed = ALLOCATED_ANYWAY + ALLOCATED_PER_BYTE * input.length();
    // What is too much once may be a class that was loaded; what is too much twice is not.
    if (allocated(input) > allowed) {
      long allocated = allocated(input);
      if (allocated > allowed) {
        throw new AssertionError(
            "%,d bytes were allocated for an input of %,d".formatted(allocated, input.length()));
      }
    }
  }

  private long allocated(FuzzInput input) {
    long before = threads.getCurrentThreadAllocatedBytes();
    run(input);
    return threads.getCurrentThreadAllocatedBytes() - before;
  }

  private void run(FuzzInput input) {
    WalReader reader =
        input.segmentSize() == 0
            ? new WalReader(new Lsn(input.start()))
            : new WalReader(new Lsn(input.start()), input.segmentSize());
    long fed = 0;
    long last = -1;
    boolean any = false;
    try {
      for (FuzzInput.Piece piece : input.pieces()) {
        for (boolean zeros : new boolean[] {false, true}) {
          byte[] bytes = zeros ? ZEROS : piece.bytes();
          int length = zeros ? piece.zeros() : bytes.length;
          for (int at = 0; at < length; ) {
            int part = Math.min(input.cut(), length - at);
            reader.feed(bytes, at, part);
            at += part;
            fed += part;
            long pollsMax = part / 24 + 2L; // more than one record cannot end in 24 bytes
            for (RawRecord raw = reader.poll(); raw != null; raw = reader.poll()) {
              if (pollsMax-- == 0) {
                throw new AssertionError("more records than the bytes can hold");
              }
              if (any && Long.compareUnsigned(raw.lsn(), last) <= 0) {
                throw new AssertionError("records go backwards");
              }
              if (Long.compareUnsigned(raw.lsn(), input.start()) < 0
                  || raw.lsn() - input.start() > fed) {
                throw new AssertionError("a record lies outside of what was fed");
              }
              any = true;
              last = raw.lsn();
              look(raw);
            }
          }
        }
      }
      reader.finish(reader.position().plus(fed));
    } catch (WalDamagedException damage) {
      checkDamage(reader, damage);
    }
  }

  private void checkDamage(WalReader reader, WalDamagedException damage) {
    damages++;
    if (damage.segment().isEmpty()
        || !String.valueOf(damage.getMessage()).contains(damage.at().toString())) {
      throw new AssertionError("the damage names no place: " + damage.getMessage(), damage);
    }
    @Nullable WalDamagedException again = null;
    try {
      reader.poll();
    } catch (WalDamagedException e) {
      again = e;
    }
    if (again != damage) {
      throw new AssertionError("the damage was forgotten", damage);
    }
  }

  /** Asks everything that may be asked of a record, and makes a value of it. */
  private void look(RawRecord raw) {
    records++;
    long sum =
        raw.lsn()
            + raw.end()
            + raw.prev()
            + raw.xid()
            + raw.topXid()
            + raw.info()
            + raw.length()
            + raw.origin()
            + raw.majorVersion()
            + raw.main().length
            + raw.mainLength();
    for (int index = 0; index < raw.blocks(); index++) {
      sum +=
          raw.blockId(index)
              + raw.fork(index)
              + raw.tablespace(index)
              + raw.database(index)
              + raw.fileNumber(index)
              + raw.file(index).number()
              + raw.block(index)
              + raw.imageLength(index)
              + raw.dataLength(index)
              + raw.data(index).length
              + (raw.hasImage(index) ? 1 : 0)
              + (raw.imageApplied(index) ? 1 : 0)
              + (raw.willInit(index) ? 1 : 0);
    }
    switch (raw.rowChange()) {
      case NONE -> {}
      case INSERT -> sum += raw.newTid(0) + (raw.isSpeculative() ? 1 : 0);
      case CONFIRM, INPLACE -> sum += raw.newTid(0);
      case MULTI_INSERT -> {
        for (int row = raw.rows() - 1; row >= 0; row--) {
          sum += raw.newTid(row);
        }
      }
      case UPDATE ->
          sum +=
              raw.newTid(0)
                  + raw.oldTid()
                  + (raw.isHot() ? 1 : 0)
                  + (raw.clearsOldAllVisible() ? 1 : 0);
      case DELETE ->
          sum += raw.oldTid() + (raw.isSuperDelete() ? 1 : 0) + (raw.isPartitionMove() ? 1 : 0);
      case LOCK -> sum += raw.oldTid();
    }
    sum += raw.clearsAllVisible() ? 1 : 0;
    if (raw.isPlainCommit()) {
      sum += raw.commitMicros();
    }
    WalRecord value = raw.decode();
    decoded++;
    if (raw.rmgr() < perKind.length) {
      perKind[raw.rmgr()]++;
    }
    if (value.lsn().position() != raw.lsn() || value.blocks().size() != raw.blocks()) {
      throw new AssertionError("the value is not that of the record: " + value);
    }
    sink += sum;
  }

  /** So that nothing asked for can be left out as unused. */
  long sink() {
    return sink;
  }
}
