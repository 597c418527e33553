package dev.holdfast.wal;

import java.util.Objects;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * One WAL segment in memory, whose records of excluded relations become NOOP records in place.
 *
 * <p>A record is overwritten when it has block references and all are to excluded relations. It
 * keeps its length, transaction and link, and so does every other record: xl_tot_len, xl_xid and
 * xl_prev are the same, the body becomes one block of main data that nobody reads, and the checksum
 * is made anew. Records without block references do other things on replay and are never touched;
 * page headers are not either.
 *
 * <p>Invariants: a record is overwritten only after its own checksum held, so damage stays visible;
 * behind damage nothing is filtered. Filtering again, with the same or a larger set, changes
 * nothing that the first time did. Segments know nothing of each other: the record that begins in
 * one and ends in a later one is {@link FilteredLog}'s.
 *
 * <p>Source: "access/xlogrecord.h", "access/xloginsert.c", XLOG_NOOP of "catalog/pg_control.h",
 * PostgreSQL 14 to 18.
 */
public final class FilteredSegment {
  private static final int NOOP = 0x20;
  private static final int ID_DATA_SHORT = 255;
  private static final int ID_DATA_LONG = 254;
  private static final int SHORT_PAGE_HEADER = 24;

  /** All that changes of a record: its header and the header of its main data. */
  private static final int HEAD_MAX = RawRecord.HEADER + 5;

  private static final int SHORT_BODY_MAX = 2 + 255;

  private final SegmentName name;
  private final byte[] bytes;
  private final byte[] head = new byte[HEAD_MAX];
  private final CRC32C crc = new CRC32C();
  private WalReader reader;
  private @Nullable ExcludedFiles before;
  private @Nullable ExcludedFiles after;
  private @Nullable WalDamagedException damage;
  private long overwritten;

  /**
   * @param bytes the segment's, fewer when it was recorded in part; filtered in place
   */
  public FilteredSegment(SegmentName name, byte[] bytes) {
    this.name = name;
    this.bytes = bytes;
    this.reader = new WalReader(name.start(), name.segmentSize());
  }

  /** Which segment it is. */
  public SegmentName name() {
    return name;
  }

  /** Its bytes, filtered as far as it is: the array itself. */
  public byte[] bytes() {
    return bytes;
  }

  /** Records that begin in it and became NOOP records when it was filtered last. */
  public long overwritten() {
    return overwritten;
  }

  /**
   * Filters the records that lie wholly in this segment. Any thread may do it, one at a time.
   *
   * @param excluded at the segment's start; copies of databases made in it are followed
   * @param seen told of each record, before it is overwritten
   */
  public void filter(ExcludedFiles excluded, Consumer<RawRecord> seen) {
    reader = new WalReader(name.start(), name.segmentSize());
    before = excluded;
    after = excluded;
    damage = null;
    overwritten = 0;
    reader.feed(bytes, 0, bytes.length);
    try {
      ExcludedFiles current = excluded;
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        seen.accept(record);
        if (!isLeftOut(record, current)) {
          current = following(record, current);
        } else {
          overwrite(record, null);
        }
        after = current;
      }
    } catch (WalDamagedException e) {
      damage = e;
    }
  }

  /**
   * What was excluded at its start, when it was filtered last: after {@link FilteredLog#add} as
   * everything before it says. Null when it was not filtered yet.
   */
  public @Nullable ExcludedFiles before() {
    return before;
  }

  /** The set at its end, but for a record that goes on in the next segment. */
  ExcludedFiles after() {
    return Objects.requireNonNull(after);
  }

  /** What stopped the filtering; null when nothing did. */
  @Nullable WalDamagedException damage() {
    return damage;
  }

  /** Stands behind the last whole record, within what goes on in the next segment. */
  WalReader reader() {
    return reader;
  }

  /** Whether replay of this record would do nothing but to excluded relations. */
  static boolean isLeftOut(RawRecord record, ExcludedFiles excluded) {
    int blocks = record.blocks();
    for (int index = 0; index < blocks; index++) {
      if (!excluded.contains(
          record.tablespace(index), record.database(index), record.fileNumber(index))) {
        return false;
      }
    }
    return blocks > 0;
  }

  /** The set after this record. */
  static ExcludedFiles following(RawRecord record, ExcludedFiles excluded) {
    return record.rmgr() == ResourceManager.DATABASE
            && record.decode() instanceof WalRecord.DatabaseCreate created
        ? excluded.withCopies(created)
        : excluded;
  }

  /**
   * Makes a NOOP of a record that begins here.
   *
   * @param next the segment after this one, when the record goes on there
   */
  void overwrite(RawRecord record, @Nullable FilteredSegment next) {
    byte[] old = record.bytes();
    int start = record.start();
    System.arraycopy(old, start, head, 0, RawRecord.HEADER);
    head[16] = NOOP;
    head[17] = ResourceManager.XLOG;
    int body = record.length() - RawRecord.HEADER;
    int length = RawRecord.HEADER;
    if (body <= SHORT_BODY_MAX) {
      head[length++] = (byte) ID_DATA_SHORT;
      head[length++] = (byte) (body - 2);
    } else {
      head[length++] = (byte) ID_DATA_LONG;
      LittleEndian.putI32(head, length, body - 5);
      length += 4;
    }
    crc.reset();
    crc.update(head, RawRecord.HEADER, length - RawRecord.HEADER);
    crc.update(old, start + length, record.length() - length);
    crc.update(head, 0, RawRecord.HEADER - 4);
    LittleEndian.putI32(head, RawRecord.HEADER - 4, (int) crc.getValue());
    write(head, length, Math.toIntExact(record.lsn() - name.start().position()), next);
    overwritten++;
  }

  /** Writes around page headers; at most the next page is reached, perhaps of the next segment. */
  private void write(byte[] from, int length, int offset, @Nullable FilteredSegment next) {
    int page = reader.pageSize();
    int here = Math.min(length, page - offset % page);
    System.arraycopy(from, 0, bytes, offset, here);
    if (here < length) {
      boolean crosses = offset + here == name.segmentSize();
      byte[] target = crosses ? Objects.requireNonNull(next).bytes : bytes;
      int at = crosses ? SegmentName.LONG_PAGE_HEADER : offset + here + SHORT_PAGE_HEADER;
      System.arraycopy(from, here, target, at, length - here);
    }
  }
}
