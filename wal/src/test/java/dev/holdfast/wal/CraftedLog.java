package dev.holdfast.wal;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * Writes WAL the way a server does, byte by byte, with every header field open to be wrong.
 * Segments of 1 MiB from {@link #START} on.
 */
final class CraftedLog {
  static final int SEGMENT = 1 << 20;
  static final int PAGE = 8192;
  static final Lsn START = new Lsn(3L * SEGMENT);
  static final int MAGIC_18 = 0xD118;

  private final ByteBuffer bytes = ByteBuffer.allocate(8 * SEGMENT).order(ByteOrder.LITTLE_ENDIAN);
  private final int magic;
  private int timeline = 1;
  private long previous = START.position() - 64;

  CraftedLog() {
    this(MAGIC_18);
  }

  CraftedLog(int magic) {
    this.magic = magic;
  }

  /** A NOOP record with this much main data; returns where it starts. */
  Lsn record(int mainLength) {
    return record(0, 0x20, 7, mainData(new byte[mainLength]));
  }

  /** Pages from the next one on carry another timeline, as after a promotion. */
  void promote(int newTimeline) {
    timeline = newTimeline;
  }

  /** Any record; {@code body} is what follows the 24-byte header. */
  Lsn record(int rmgr, int info, int xid, byte[] body) {
    startPageIfNeeded(0);
    Lsn lsn = position();
    write(sealed(rmgr, info, xid, previous, body), 0);
    previous = lsn.position();
    align();
    return lsn;
  }

  /** As {@link #record(int)} with a link to a record that was not there. */
  Lsn recordAfter(long wrongPrevious) {
    previous = wrongPrevious;
    return record(10);
  }

  /** Begins a record of this many bytes and crashes at the end of the page. */
  Lsn unfinished(int mainLength) {
    startPageIfNeeded(0);
    Lsn lsn = position();
    byte[] record = sealed(0, 0x20, 7, previous, mainData(new byte[mainLength]));
    bytes.put(record, 0, PAGE - bytes.position() % PAGE);
    return lsn;
  }

  /** The page after a crash: marked, and telling which record was left unfinished. */
  Lsn overwritten(Lsn unfinished) {
    page(0x0008, 0);
    ByteBuffer body = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    body.putLong(unfinished.position()).putLong(0);
    return record(0, 0xD0, 0, mainData(body.array()));
  }

  /** Ends the segment as pg_switch_wal does. */
  Lsn switchSegment() {
    Lsn lsn = record(0, 0x40, 0, new byte[0]);
    int into = bytes.position() % SEGMENT;
    if (into != 0) {
      bytes.position(bytes.position() + SEGMENT - into);
    }
    return lsn;
  }

  /** Where the next byte goes. */
  Lsn position() {
    return START.plus(bytes.position());
  }

  /** Bytes left on the current page. */
  int leftOnPage() {
    return (PAGE - bytes.position() % PAGE) % PAGE;
  }

  /** What was written, padded with zeros to whole pages. */
  byte[] pages() {
    return Arrays.copyOf(bytes.array(), (bytes.position() + PAGE - 1) / PAGE * PAGE);
  }

  /** What was written, padded with zeros to whole segments. */
  byte[] segments() {
    return Arrays.copyOf(bytes.array(), (bytes.position() + SEGMENT - 1) / SEGMENT * SEGMENT);
  }

  static byte[] mainData(byte[] data) {
    ByteBuffer body = ByteBuffer.allocate(data.length + 5).order(ByteOrder.LITTLE_ENDIAN);
    if (data.length == 0) {
      return new byte[0];
    }
    if (data.length < 256) {
      body.put((byte) 255).put((byte) data.length);
    } else {
      body.put((byte) 254).putInt(data.length);
    }
    body.put(data);
    return Arrays.copyOf(body.array(), body.position());
  }

  private static byte[] sealed(int rmgr, int info, int xid, long previous, byte[] body) {
    ByteBuffer record = ByteBuffer.allocate(24 + body.length).order(ByteOrder.LITTLE_ENDIAN);
    record.putInt(record.capacity()).putInt(xid).putLong(previous);
    record.put((byte) info).put((byte) rmgr).putShort((short) 0).putInt(0).put(body);
    CRC32C crc = new CRC32C();
    crc.update(record.array(), 24, body.length);
    crc.update(record.array(), 0, 20);
    record.putInt(20, (int) crc.getValue());
    return record.array();
  }

  private void write(byte[] record, int from) {
    int taken = Math.min(record.length - from, PAGE - bytes.position() % PAGE);
    bytes.put(record, from, taken);
    if (from + taken < record.length) {
      page(0x0001, record.length - from - taken);
      write(record, from + taken);
    }
  }

  private void align() {
    bytes.position((bytes.position() + 7) & ~7);
  }

  private void startPageIfNeeded(int flags) {
    if (bytes.position() % PAGE == 0) {
      page(flags, 0);
    }
  }

  private void page(int flags, int remaining) {
    boolean first = bytes.position() % SEGMENT == 0;
    bytes.putShort((short) magic).putShort((short) (flags | (first ? 0x0002 : 0)));
    bytes.putInt(timeline).putLong(position().position() - 8).putInt(remaining).putInt(0);
    if (first) {
      bytes.putLong(4711).putInt(SEGMENT).putInt(PAGE);
    }
  }
}
