package dev.holdfast.wal;

import java.util.Arrays;
import java.util.Objects;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Decodes the write-ahead log of PostgreSQL 14 to 18: feed it bytes in order, poll it for records.
 *
 * <p>Every page header, record checksum and link to the previous record is checked. Each poll has
 * one of three outcomes: a record, {@link Decoded.NeedsMore}, or {@link WalDamagedException}.
 *
 * <p><b>The end of the log.</b> Zeros and recycled pages (whose address is an older one) follow the
 * last record of a live cluster, so they alone are no damage: the reader answers {@code NeedsMore}
 * with the position where valid log ended, also for whatever else it is fed of that segment. Bytes
 * of the next segment prove that it was not the end, and are answered with the damage. A caller who
 * knows how far the log reaches says so with {@link #finish}.
 *
 * <p><b>Starting anywhere.</b> The first page may begin inside a record; the first record decoded
 * is the first that starts there.
 *
 * <p>Invariants: when {@code next} answers {@code NeedsMore}, nothing of the array fed is referred
 * to any more. Memory is bounded by the longest record whose bytes really arrived: a length is
 * believed only as far as the following pages agree with it. Not thread-safe.
 *
 * <p>Source: "access/xlogreader.c", "access/xlog_internal.h", PostgreSQL 18.
 */
public final class WalReader {
  private static final int PAGE_DEFAULT = 8192;
  private static final int SHORT_HEADER = 24;
  private static final int LONG_HEADER = 40;
  private static final int FIRST_IS_CONTINUATION = 0x0001;
  private static final int HAS_LONG_HEADER = 0x0002;
  private static final int FIRST_IS_OVERWRITTEN = 0x0008;
  private static final int KNOWN_FLAGS = 0x000F;
  private static final int FIRST_BUFFER = 16 * 1024;

  /** A buffer grown beyond this for one long record is given back after it. */
  private static final int KEPT_BUFFER_MAX = 1024 * 1024;

  /** No record starts here: every page begins with a header. */
  private static final long NONE = 0;

  private static final byte[] NOTHING = {};
  private static final byte[] ZEROS = new byte[SHORT_HEADER];

  // What the log says about itself; learnt from pages.
  private @Nullable WalVersion version;
  private @Nullable RawRecord record;
  private int pageSize = PAGE_DEFAULT;
  private int segmentSize;
  private boolean segmentSizeKnown;
  private long systemIdentifier;
  private boolean systemIdentifierKnown;
  private int timeline;

  // What was fed: chunk[at..limit) is not consumed yet, and chunk[at] is the byte at `position`.
  private byte[] chunk = NOTHING;
  private int at;
  private int limit;
  private long position;

  /** Where the next page begins. */
  private long pageEnd;

  /** Bytes before this position are padding, or follow a SWITCH record. */
  private long skipTo;

  /** The header of the page at {@code pageEnd - pageSize} as far as it arrived; -1: it is read. */
  private int headerBytes = -1;

  private final byte[] header = new byte[LONG_HEADER];
  private boolean firstPage = true;

  /** Bytes left of the record that had begun before the first page. */
  private long continuation;

  // A record that did not lie in one piece in what was fed.
  private boolean inRecord;
  private long recordStart;
  private byte[] partial = new byte[FIRST_BUFFER];
  private int partialLength;
  private int totalLength;

  /** Start of the last record decoded; {@link #NONE} before the first. */
  private long previous = NONE;

  /** Start of the record that a crash left unfinished, until the next record; or {@link #NONE}. */
  private long overwritten = NONE;

  /** What looks like the end of the log, at {@code recordStart}; null while it goes on. */
  private @Nullable String endOfLog;

  /** A position in the segment where that was found. */
  private long endFoundAt;

  /** A server clears the page it writes: up to here more than zeros means that it is no end. */
  private long zerosUntil;

  private @Nullable WalDamagedException damage;
  private final CRC32C crc = new CRC32C();

  /**
   * Starts at a segment's first byte, where the log says how long a segment is; started at another
   * page, segments are taken to have 16 MiB until the first long page header.
   *
   * @param start LSN of the first byte that will be fed: a segment start or any page start
   */
  public WalReader(Lsn start) {
    this(start, SegmentName.DEFAULT_SIZE);
    segmentSizeKnown = false;
  }

  /**
   * Starts at any page.
   *
   * @param start LSN of the first byte that will be fed: a segment start or any page start
   * @param segmentSize bytes in a segment
   */
  public WalReader(Lsn start, int segmentSize) {
    if (start.position() % 1024 != 0) { // the smallest page PostgreSQL can be built with
      throw new IllegalArgumentException(start + " is not the start of a page");
    }
    this.segmentSize = new SegmentName(1, 0, segmentSize).segmentSize();
    this.segmentSizeKnown = true;
    this.position = start.position();
    this.pageEnd = position;
    this.skipTo = position;
  }

  /**
   * Hands over the next bytes of the log. The array must not change until {@link #next} has
   * answered {@code NeedsMore}.
   */
  public void feed(byte[] bytes, int offset, int length) {
    Objects.checkFromIndexSize(offset, length, bytes.length);
    if (at == limit) {
      chunk = bytes;
      at = offset;
      limit = offset + length;
    } else { // the caller did not poll to the end: keep the order
      byte[] joined = Arrays.copyOfRange(chunk, at, limit + length);
      System.arraycopy(bytes, offset, joined, limit - at, length);
      limit = joined.length;
      at = 0;
      chunk = joined;
    }
  }

  /**
   * The next record as a value, or that more bytes are needed.
   *
   * @throws WalDamagedException naming the position and the segment; so does every later call
   */
  public Decoded next() {
    RawRecord raw = poll();
    return raw == null ? new Decoded.NeedsMore(position()) : new Decoded.Complete(raw.decode());
  }

  /**
   * The next record, without making an object of it; null when more bytes are needed, as {@link
   * Decoded.NeedsMore} describes.
   *
   * @return the same window every time, moved to the record: valid until the next call of this
   *     reader
   * @throws WalDamagedException naming the position and the segment; so does every later call
   */
  public @Nullable RawRecord poll() {
    if (damage != null) {
      throw damage;
    }
    while (true) {
      if (endOfLog != null) {
        return beyondEnd();
      }
      if (skipTo - position > 0) {
        advance((int) Math.min(skipTo - position, limit - at));
        if (skipTo - position > 0) {
          return needsMore();
        }
      }
      if (position == pageEnd) {
        if (position == 0 && !firstPage) { // or positions would begin anew
          throw damagedPage(-pageSize, "the log goes on after the last position there is");
        }
        pageEnd += pageSize;
        headerBytes = 0;
      }
      if (headerBytes >= 0) {
        if (!readPageHeader()) {
          return needsMore();
        }
        continue;
      }
      if (continuation > 0) {
        int skipped = (int) Math.min(continuation, available());
        advance(skipped);
        continuation -= skipped;
        skipTo = aligned(position);
      } else {
        RawRecord found = inRecord ? resumeRecord() : beginRecord();
        if (found != null) {
          return found;
        }
      }
      if (at == limit && endOfLog == null) {
        return needsMore();
      }
    }
  }

  /** Where the next record starts or will start: everything before it was decoded. */
  public Lsn position() {
    if (inRecord || endOfLog != null) {
      return new Lsn(recordStart);
    }
    return new Lsn(skipTo - position > 0 ? skipTo : position);
  }

  /** Bytes in a segment: what the last long page header said, else what was assumed. */
  public int segmentSize() {
    return segmentSize;
  }

  /** The timeline of the last page read; 0 before the first. */
  public int timeline() {
    return timeline;
  }

  /** The major version that wrote the log, 14 to 18; 0 before the first page. */
  public int majorVersion() {
    return version == null ? 0 : version.major();
  }

  /** The cluster's system identifier, unsigned; 0 before the first long page header. */
  public long systemIdentifier() {
    return systemIdentifier;
  }

  /**
   * Says that the log is known to reach {@code recordedTo}: if valid log ended before, that was not
   * its end. A record that is cut there is no damage.
   *
   * @throws WalDamagedException when zeros or recycled pages lie before {@code recordedTo}
   */
  public void finish(Lsn recordedTo) {
    if (endOfLog != null && position().isBefore(recordedTo)) {
      throw damaged(
          recordStart,
          endFoundAt,
          "%s, but the log was recorded to %s".formatted(endOfLog, recordedTo));
    }
  }

  // ---- pages -----------------------------------------------------------------------------------

  /** Reads as much of the page header as was fed; true when it is complete or the log ended. */
  private boolean readPageHeader() {
    if (!fillHeader(SHORT_HEADER)) {
      return false;
    }
    int flags = LittleEndian.u16(header, 2);
    long pageStart = pageEnd - pageSize;
    int magic = LittleEndian.u16(header, 0);
    if (headerBytes == SHORT_HEADER && !checkPage(pageStart, magic, flags)) {
      return true; // the log ended
    }
    if ((flags & HAS_LONG_HEADER) != 0) {
      if (!fillHeader(LONG_HEADER)) {
        return false;
      }
      checkLongHeader(pageStart);
    } else if (segmentSizeKnown && pageStart % segmentSize == 0) {
      throw damagedPage(pageStart, "the segment's first page has no long header");
    }
    long remaining = LittleEndian.u32(header, 16);
    headerBytes = -1;
    joinPages(pageStart, flags, remaining);
    firstPage = false;
    return true;
  }

  private boolean fillHeader(int wanted) {
    int taken = Math.min(wanted - headerBytes, limit - at);
    if (taken > 0) {
      System.arraycopy(chunk, at, header, headerBytes, taken);
      headerBytes += taken;
      advance(taken);
    }
    return headerBytes >= wanted;
  }

  /** False when the page shows that the log ended before it. */
  private boolean checkPage(long pageStart, int magic, int flags) {
    long address = LittleEndian.i64(header, 8);
    if (magic == 0 && isZero(header, SHORT_HEADER)) {
      endsBefore(pageStart, "the page at %s is empty".formatted(new Lsn(pageStart)));
      return false;
    }
    WalVersion found = WalVersion.ofMagic(magic);
    if (found == null) {
      throw damagedPage(
          pageStart,
          "the page at %s has the magic %04X, which no PostgreSQL from 14 to 18 writes"
              .formatted(new Lsn(pageStart), magic));
    }
    if (address != pageStart) {
      String says =
          "the page at %s says that it belongs at %s"
              .formatted(new Lsn(pageStart), new Lsn(address));
      // A segment is reused under a new name, with its old pages: only older addresses are normal.
      if (!firstPage && Long.compareUnsigned(address, pageStart) < 0) {
        endsBefore(pageStart, says);
        return false;
      }
      throw damagedPage(pageStart, says + ": a segment is missing or misplaced");
    }
    if (version == null) {
      version = found;
      record = new RawRecord(this, found);
    } else if (version != found) {
      throw damagedPage(
          pageStart,
          "the log of PostgreSQL %d goes on with a page of PostgreSQL %d"
              .formatted(version.major(), found.major()));
    }
    if ((flags & ~KNOWN_FLAGS) != 0) {
      throw damagedPage(pageStart, "the page has unknown flags %04X".formatted(flags));
    }
    int tli = LittleEndian.i32(header, 4);
    if (Integer.compareUnsigned(tli, timeline) < 0) {
      throw damagedPage(
          pageStart, "the page is of timeline %d after timeline %d".formatted(tli, timeline));
    }
    timeline = tli;
    return true;
  }

  private void checkLongHeader(long pageStart) {
    long identifier = LittleEndian.i64(header, 24);
    int size = LittleEndian.i32(header, 32);
    int blockSize = LittleEndian.i32(header, 36);
    if (size < 1 << 20 || size > 1 << 30 || Integer.bitCount(size) != 1) {
      throw damagedPage(pageStart, "the page speaks of segments of %d bytes".formatted(size));
    }
    if (segmentSizeKnown && size != segmentSize) {
      throw damagedPage(
          pageStart, "segments have %d bytes, but this one says %d".formatted(segmentSize, size));
    }
    if (Long.remainderUnsigned(pageStart, size) != 0) {
      throw damagedPage(pageStart, "a page inside the segment has a long header");
    }
    segmentSize = size;
    segmentSizeKnown = true;
    if (systemIdentifierKnown && identifier != systemIdentifier) {
      throw damagedPage(
          pageStart,
          "it belongs to the cluster with system identifier %s, the log before it to %s"
              .formatted(
                  Long.toUnsignedString(identifier), Long.toUnsignedString(systemIdentifier)));
    }
    systemIdentifier = identifier;
    systemIdentifierKnown = true;
    if (blockSize != pageSize) {
      if (!firstPage || blockSize < 1024 || blockSize > 65536 || Integer.bitCount(blockSize) != 1) {
        throw damagedPage(
            pageStart, "pages have %d bytes, but this one says %d".formatted(pageSize, blockSize));
      }
      pageSize = blockSize;
      pageEnd = pageStart + blockSize;
    }
  }

  /** Holds what the page says about its first record against what came before. */
  private void joinPages(long pageStart, int flags, long remaining) {
    boolean continues = (flags & FIRST_IS_CONTINUATION) != 0;
    if ((flags & FIRST_IS_OVERWRITTEN) != 0) {
      if (inRecord) {
        overwritten = recordStart;
        inRecord = false;
      }
      continuation = 0;
    } else if (inRecord) {
      long missing = (long) totalLength - partialLength;
      if (!continues || remaining != missing) {
        throw damaged(
            recordStart,
            pageStart,
            "the record at %s needs %d more bytes, but the page at %s continues %s"
                .formatted(
                    new Lsn(recordStart),
                    missing,
                    new Lsn(pageStart),
                    continues ? "one that needs " + remaining : "none"));
      }
    } else if (firstPage) {
      continuation = continues ? remaining : 0;
    } else if (continuation > 0) {
      if (!continues || remaining != continuation) {
        throw damagedPage(
            pageStart,
            "the page before it continues a record by %d more bytes, this one by %d"
                .formatted(continuation, continues ? remaining : 0));
      }
    } else if (continues) {
      throw damagedPage(pageStart, "the page continues a record that does not exist");
    }
  }

  // ---- records ---------------------------------------------------------------------------------

  private @Nullable RawRecord beginRecord() {
    recordStart = position;
    int available = available();
    if (available >= 4) {
      int length = recordLength(LittleEndian.u32(chunk, at));
      if (length == 0) {
        return null;
      }
      if (length <= available) {
        int start = at;
        advance(length);
        return decode(chunk, start, length);
      }
      totalLength = length;
    } else {
      totalLength = 0;
    }
    inRecord = true;
    partialLength = 0;
    return resumeRecord();
  }

  private @Nullable RawRecord resumeRecord() {
    if (totalLength == 0) { // its length, the first 4 bytes, always lies on the first page
      take(Math.min(4 - partialLength, available()));
      if (partialLength < 4) {
        return null;
      }
      totalLength = recordLength(LittleEndian.u32(partial, 0));
      if (totalLength == 0) {
        return null;
      }
    }
    take(Math.min(totalLength - partialLength, available()));
    if (partialLength < totalLength) {
      return null;
    }
    inRecord = false;
    return decode(partial, 0, totalLength);
  }

  /** The length of the record at recordStart; 0 when there is none and the log seems to end. */
  private int recordLength(long length) {
    if (length == 0) {
      endOfLog = "there are zeros at %s".formatted(new Lsn(recordStart));
      endFoundAt = recordStart;
      zerosUntil = pageEnd;
      return 0;
    }
    if (length < RawRecord.HEADER || length > Objects.requireNonNull(version).recordMax()) {
      throw damaged(
          recordStart,
          recordStart,
          "the record at %s claims %d bytes".formatted(new Lsn(recordStart), length));
    }
    return (int) length;
  }

  private void take(int length) {
    if (partialLength + length > partial.length) {
      // Doubling what has arrived, never what a damaged length promises.
      int doubled =
          (int)
              Math.min(2L * (partialLength + length), Objects.requireNonNull(version).recordMax());
      partial = Arrays.copyOf(partial, Math.max(doubled, partialLength + length));
    }
    System.arraycopy(chunk, at, partial, partialLength, length);
    partialLength += length;
    advance(length);
  }

  /** Checks a whole record and moves the window there; {@code position} is just past it. */
  private RawRecord decode(byte[] bytes, int start, int length) {
    crc.reset();
    crc.update(bytes, start + RawRecord.HEADER, length - RawRecord.HEADER);
    crc.update(bytes, start, RawRecord.HEADER - 4);
    if ((int) crc.getValue() != LittleEndian.i32(bytes, start + 20)) {
      throw damaged(
          recordStart,
          recordStart,
          "the checksum of the record at %s does not hold".formatted(new Lsn(recordStart)));
    }
    long prev = LittleEndian.i64(bytes, start + 8);
    if (prev != previous) {
      checkPrevious(prev);
    }
    long end = aligned(position);
    boolean isSwitch =
        bytes[start + 17] == ResourceManager.XLOG && (bytes[start + 16] & 0xF0) == 0x40;
    if (isSwitch) {
      long into = Long.remainderUnsigned(end, segmentSize);
      end = into == 0 ? end : end - into + segmentSize;
      pageEnd = end;
    }
    skipTo = end;
    RawRecord found = Objects.requireNonNull(record);
    try {
      found.moveTo(bytes, start, length, recordStart, end, prev);
    } catch (MalformedRecordException e) {
      throw malformed(e);
    }
    previous = recordStart;
    overwritten = NONE;
    if (bytes == partial && partial.length > KEPT_BUFFER_MAX) {
      partial = new byte[FIRST_BUFFER];
    }
    return found;
  }

  /** The record last polled is not what it should be. */
  WalDamagedException malformed(MalformedRecordException e) {
    return damaged(
        recordStart,
        recordStart,
        "the record at %s has a checksum that holds, but %s"
            .formatted(new Lsn(recordStart), e.found()));
  }

  /** Bytes in a page, as far as it is known. */
  int pageSize() {
    return pageSize;
  }

  /** Bytes of the record that has begun and lacks some of them; 0 for none. */
  int pendingLength() {
    return inRecord ? totalLength : 0;
  }

  /** Whether as much of that record arrived as shows that it has no block references. */
  boolean pendingHasNoBlocks() {
    return inRecord
        && partialLength > RawRecord.HEADER
        && LittleEndian.u8(partial, RawRecord.HEADER) >= RawRecord.BLOCKS_MAX;
  }

  /** Whether as much of it arrived as shows that it ends a transaction or tells of one. */
  boolean pendingIsOfTransaction() {
    return inRecord
        && partialLength >= RawRecord.HEADER
        && LittleEndian.u8(partial, 17) == ResourceManager.TRANSACTION;
  }

  private void checkPrevious(long prev) {
    boolean first = previous == NONE;
    boolean holds =
        first ? Long.compareUnsigned(prev, recordStart) < 0 : prev == overwritten && prev != NONE;
    if (!holds) {
      throw damaged(
          recordStart,
          recordStart,
          "the record at %s follows one at %s, but %s was read before it"
              .formatted(new Lsn(recordStart), new Lsn(prev), first ? "none" : new Lsn(previous)));
    }
  }

  // ---- the end ---------------------------------------------------------------------------------

  private void endsBefore(long pageStart, String found) {
    if (!inRecord) {
      recordStart = pageStart;
    }
    endOfLog = found;
    endFoundAt = pageStart;
    zerosUntil = position; // what follows on a page that is not ours may be anything
  }

  /** Consumes what follows the end of the log within its segment. */
  private @Nullable RawRecord beyondEnd() {
    String found = String.valueOf(endOfLog);
    while (at < limit && zerosUntil - position > 0) {
      if (chunk[at] != 0) {
        throw damaged(
            recordStart, endFoundAt, "%s, but more log follows on the same page".formatted(found));
      }
      advance(1);
    }
    long segmentStart = endFoundAt - Long.remainderUnsigned(endFoundAt, segmentSize);
    advance((int) Math.min(segmentStart + segmentSize - position, limit - at));
    if (at < limit) {
      throw damaged(
          recordStart,
          endFoundAt,
          "%s, but the log goes on in segment %s".formatted(found, segment(position)));
    }
    return needsMore();
  }

  // ---- small things ----------------------------------------------------------------------------

  private WalDamagedException damagedPage(long pageStart, String found) {
    return damaged(inRecord ? recordStart : pageStart, pageStart, found);
  }

  /**
   * @param lastGood everything before it was decoded
   * @param damaged a position in the segment that does not hold what it should
   */
  private WalDamagedException damaged(long lastGood, long damaged, String found) {
    damage = new WalDamagedException(new Lsn(lastGood), segment(damaged), found);
    return damage;
  }

  private String segment(long position) {
    if (timeline == 0) { // not one good page so far: whoever feeds us knows the file's name
      return "holding " + new Lsn(position);
    }
    return SegmentName.containing(new Lsn(position), timeline, segmentSize).toString();
  }

  private @Nullable RawRecord needsMore() {
    chunk = NOTHING;
    at = 0;
    limit = 0;
    return null;
  }

  private int available() {
    return (int) Math.min(limit - at, pageEnd - position);
  }

  private void advance(int length) {
    at += length;
    position += length;
  }

  private static long aligned(long position) {
    return (position + 7) & ~7L;
  }

  private static boolean isZero(byte[] bytes, int length) {
    return Arrays.mismatch(bytes, 0, length, ZEROS, 0, length) < 0;
  }
}
