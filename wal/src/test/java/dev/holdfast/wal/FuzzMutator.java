package dev.holdfast.wal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;

/**
 * Damages log in every way an enemy could, from a random number: the same number, the same damage.
 *
 * <p>Half of the inputs get checksums that hold over what was damaged, so that what is inside of
 * records is reached: block headers, counts, states of prepared transactions, relation maps.
 */
final class FuzzMutator {
  private static final int PAGE = FuzzSeeds.PAGE;
  private static final int SEGMENT = 1 << 20;
  private static final long[] TEMPTING = {
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    23,
    24,
    25,
    32,
    33,
    127,
    128,
    252,
    253,
    254,
    255,
    256,
    1024,
    4096,
    8191,
    8192,
    8193,
    16_384,
    32_767,
    32_768,
    65_535,
    65_536,
    1 << 20,
    1 << 24,
    1 << 27,
    1 << 28,
    (1 << 28) + 1,
    1 << 30,
    1020 << 20,
    (1 << 30) - 1,
    Integer.MAX_VALUE - 8,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    0xFFFF_FFF0L,
    0xFFFF_FFFFL,
    1L << 32,
    1L << 40,
    1L << 62,
    Long.MAX_VALUE - 7,
    Long.MAX_VALUE,
    Long.MIN_VALUE,
    -1,
    -2,
    -8,
    -24
  };

  private final List<FuzzSeeds> seeds;
  private final CRC32C crc = new CRC32C();
  private SplittableRandom random = new SplittableRandom();

  FuzzMutator(List<FuzzSeeds> seeds) {
    this.seeds = seeds;
  }

  /** The input with this number. */
  FuzzInput input(long seed) {
    random = new SplittableRandom(seed);
    FuzzSeeds of = seeds.get(random.nextInt(seeds.size()));
    return switch (random.nextInt(10)) {
      case 0, 1, 2, 3, 4, 5 -> rebuilt(of);
      case 6, 7, 8 -> pages(of);
      default -> segments(of);
    };
  }

  // ---- records put together anew ---------------------------------------------------------------

  /** A few records, damaged inside and sealed again, on pages of their own. */
  private FuzzInput rebuilt(FuzzSeeds of) {
    Writer log = new Writer(of.version(), start(), random.nextInt(8) == 0);
    int count = 1 + random.nextInt(4);
    int damaged = random.nextInt(count);
    for (int i = 0; i < count; i++) {
      byte[] record = pick(of.records()).clone();
      if (i == damaged || random.nextInt(3) == 0) {
        record = damage(record, of);
      }
      log.write(record, random.nextInt(40) != 0, random.nextInt(60) != 0);
    }
    byte[] pages = log.pages();
    if (random.nextInt(6) == 0) {
      overwrite(pages, random.nextInt(4) == 0 ? random.nextInt(40) : -1);
    }
    return input(log.start, List.of(new FuzzInput.Piece(pages, 0)));
  }

  private byte[] damage(byte[] from, FuzzSeeds of) {
    byte[] record = from;
    for (int left = 1 + geometric(); left > 0; left--) {
      int body = record.length - 24;
      switch (random.nextInt(12)) {
        case 0 -> { // cut
          if (body > 1) {
            record = Arrays.copyOf(record, 24 + random.nextInt(body));
          }
        }
        case 1 -> { // longer
          int old = record.length;
          record = Arrays.copyOf(record, old + 1 + random.nextInt(300));
          for (int at = old; at < record.length; at++) {
            record[at] = (byte) (random.nextBoolean() ? 0 : random.nextInt());
          }
        }
        case 2 -> { // bytes gone or come in the middle
          int at = 24 + (body > 0 ? random.nextInt(body) : 0);
          int shift = 1 + random.nextInt(16);
          byte[] changed =
              new byte[Math.max(24, record.length + (random.nextBoolean() ? shift : -shift))];
          System.arraycopy(record, 0, changed, 0, Math.min(at, changed.length));
          int tail = Math.min(record.length - at, changed.length - at);
          if (tail > 0) {
            System.arraycopy(record, record.length - tail, changed, changed.length - tail, tail);
          }
          record = changed;
        }
        case 3 -> { // another one's body
          byte[] other = pick(of.records());
          byte[] changed = Arrays.copyOf(record, other.length);
          System.arraycopy(other, 24, changed, 24, other.length - 24);
          record = changed;
        }
        case 4 -> record[16] = (byte) random.nextInt(); // opcode
        case 5 -> record[17] = (byte) random.nextInt(random.nextBoolean() ? 23 : 256);
        case 6 -> overwrite(record, 24 + random.nextInt(Math.max(1, Math.min(body, 40))));
        case 7 -> overwrite(record, Math.max(24, record.length - 1 - random.nextInt(200)));
        default -> overwrite(record, -1);
      }
    }
    if (record[17] == ResourceManager.RELATION_MAP && random.nextBoolean()) {
      sealRelationMap(record, of.version());
    }
    return record;
  }

  /** The map's own checksum, where an undamaged record has it. */
  private void sealRelationMap(byte[] record, WalVersion version) {
    int max = version.relationMappingsMax();
    int fields = 8 + max * 8;
    int from = record.length - fields - (version.major() >= 16 ? 4 : 8);
    if (from > 24) {
      crc.reset();
      crc.update(record, from, fields);
      put(record, from + fields, 4, crc.getValue());
    }
  }

  // ---- real pages ------------------------------------------------------------------------------

  private FuzzInput pages(FuzzSeeds of) {
    FuzzSeeds.Run run = pick(of.runs());
    int first = random.nextInt(run.pages().length / PAGE);
    int count = 1 + random.nextInt(run.pages().length / PAGE - first);
    byte[] pages = Arrays.copyOfRange(run.pages(), first * PAGE, (first + count) * PAGE);
    long start = run.lsn() + (long) first * PAGE;
    for (int left = 1 + geometric(); left > 0; left--) {
      switch (random.nextInt(8)) {
        case 0 -> overwrite(pages, random.nextInt(count) * PAGE + random.nextInt(40));
        case 1, 2 -> overwrite(pages, -1);
        case 3 -> pages[random.nextInt(pages.length)] ^= (byte) (1 << random.nextInt(8));
        case 4 -> pages = Arrays.copyOf(pages, 1 + random.nextInt(Math.max(1, pages.length)));
        default -> damageInPlace(pages);
      }
    }
    List<FuzzInput.Piece> pieces = new ArrayList<>(List.of(new FuzzInput.Piece(pages, 0)));
    if (random.nextInt(8) == 0) { // other pages, or the same again
      pieces.add(random.nextInt(2), new FuzzInput.Piece(pick(of.runs()).pages(), 0));
    }
    return input(random.nextInt(20) == 0 ? start() : start, pieces);
  }

  /** Changes a record that lies on one page, and seals it again. */
  private void damageInPlace(byte[] pages) {
    int page = random.nextInt(Math.max(1, pages.length / PAGE)) * PAGE;
    int end = Math.min(page + PAGE, pages.length);
    int at = page + ((page + 24 < pages.length && (pages[page + 2] & 2) != 0) ? 40 : 24);
    if (at >= end) {
      return;
    }
    if ((pages[page + 2] & 1) != 0) {
      at += Math.min(PAGE, (int) LittleEndian.u32(pages, page + 16) & 0xFFFF);
      at = (at + 7) & ~7;
    }
    List<Integer> starts = new ArrayList<>();
    while (at + 24 <= end) {
      int length = LittleEndian.i32(pages, at);
      if (length < 24 || length > end - at) {
        break;
      }
      starts.add(at);
      at += (length + 7) & ~7;
    }
    if (starts.isEmpty()) {
      return;
    }
    int start = pick(starts);
    int length = LittleEndian.i32(pages, start);
    byte[] record = Arrays.copyOfRange(pages, start, start + length);
    for (int left = 1 + geometric(); left > 0; left--) {
      overwrite(
          record,
          random.nextInt(10) == 0
              ? random.nextInt(24)
              : 24 + random.nextInt(Math.max(1, length - 24)));
    }
    seal(record);
    System.arraycopy(record, 0, pages, start, length);
  }

  // ---- segments --------------------------------------------------------------------------------

  /** Short segments, each ended by a SWITCH; cut, repeated, swapped. */
  private FuzzInput segments(FuzzSeeds of) {
    Writer log = new Writer(of.version(), 3L * SEGMENT, false);
    List<FuzzInput.Piece> pieces = new ArrayList<>();
    int count = 2 + random.nextInt(3);
    for (int i = 0; i < count; i++) {
      for (int left = 1 + random.nextInt(3); left > 0; left--) {
        byte[] record = pick(of.records()).clone();
        if (random.nextInt(4) == 0) {
          record = damage(record, of);
        }
        if (!(record[17] == 0 && (record[16] & 0xF0) == 0x40)) {
          log.write(record, true, true);
        }
      }
      if (random.nextInt(10) != 0) {
        byte[] change = new byte[24];
        change[16] = 0x40;
        log.write(change, true, true);
      }
      byte[] pages = log.endSegment();
      int zeros = SEGMENT - pages.length;
      if (random.nextInt(6) == 0) {
        overwrite(pages, random.nextBoolean() ? random.nextInt(40) : -1);
      }
      if (random.nextInt(12) == 0) {
        pages = Arrays.copyOf(pages, random.nextInt(pages.length + 1));
      }
      if (random.nextInt(12) == 0) {
        zeros = random.nextInt(SEGMENT);
      }
      pieces.add(new FuzzInput.Piece(pages, zeros));
    }
    switch (random.nextInt(5)) {
      case 0 -> Collections.swap(pieces, random.nextInt(count), random.nextInt(count));
      case 1 -> pieces.add(random.nextInt(count + 1), pick(pieces));
      case 2 -> pieces.remove(random.nextInt(count));
      default -> {}
    }
    return input(3L * SEGMENT, pieces);
  }

  // ---- small things ----------------------------------------------------------------------------

  private FuzzInput input(long start, List<FuzzInput.Piece> pieces) {
    int cut =
        switch (random.nextInt(6)) {
          case 0 -> 1 + random.nextInt(64);
          case 1 -> PAGE;
          case 2 -> 1 + random.nextInt(3 * PAGE);
          default -> Integer.MAX_VALUE;
        };
    int size =
        switch (random.nextInt(6)) {
          case 0 -> SEGMENT;
          case 1 -> SegmentName.DEFAULT_SIZE;
          default -> 0;
        };
    if (cut < 64 && pieces.stream().anyMatch(piece -> piece.zeros() > 0)) {
      cut = PAGE; // a million zeros, byte by byte, show nothing
    }
    return new FuzzInput(start, size, pieces, cut);
  }

  private long start() {
    return switch (random.nextInt(12)) {
      case 0 -> 0;
      case 1 -> Integer.MAX_VALUE + 1L - PAGE;
      case 2 -> (1L << 32) - PAGE;
      case 3 -> Long.MAX_VALUE + 1 - PAGE;
      case 4 -> -PAGE;
      case 5 -> -SEGMENT;
      case 6 -> SEGMENT - PAGE;
      default -> 3L * SEGMENT;
    };
  }

  /** A byte, or a number of 2, 4 or 8 bytes, here or anywhere. */
  private void overwrite(byte[] bytes, int where) {
    if (bytes.length == 0) {
      return;
    }
    int at = where < 0 ? random.nextInt(bytes.length) : Math.min(where, bytes.length - 1);
    int width = Math.min(1 << random.nextInt(4), bytes.length - at);
    long old = 0;
    for (int i = width - 1; i >= 0; i--) {
      old = old << 8 | (bytes[at + i] & 0xFF);
    }
    long value =
        switch (random.nextInt(6)) {
          case 0 -> random.nextLong();
          case 1 -> old + random.nextInt(-9, 10);
          case 2 -> old ^ 1L << random.nextInt(8 * width);
          case 3 -> ~old;
          default -> TEMPTING[random.nextInt(TEMPTING.length)];
        };
    put(bytes, at, width, value);
  }

  private static void put(byte[] bytes, int at, int width, long value) {
    for (int i = 0; i < width; i++) {
      bytes[at + i] = (byte) (value >>> (8 * i));
    }
  }

  private void seal(byte[] record) {
    crc.reset();
    crc.update(record, 24, record.length - 24);
    crc.update(record, 0, 20);
    put(record, 20, 4, crc.getValue());
  }

  private int geometric() {
    int more = 0;
    while (more < 6 && random.nextInt(3) == 0) {
      more++;
    }
    return more;
  }

  private <T> T pick(List<T> list) {
    return list.get(random.nextInt(list.size()));
  }

  /** Lays records onto pages as a server does. */
  private final class Writer {
    private final WalVersion version;
    private long start;
    private byte[] bytes = new byte[PAGE];
    private int at;
    private long previous;

    Writer(WalVersion version, long start, boolean nearPageEnd) {
      this.version = version;
      this.start = start;
      this.previous = start - 64;
      page(0, 0);
      if (nearPageEnd) { // so that records are split
        byte[] filler = new byte[PAGE - at - random.nextInt(200) - 8];
        filler[16] = 0x20;
        filler[24] = (byte) 254;
        put(filler, 25, 4, filler.length - 29);
        write(filler, true, true);
      }
    }

    void write(byte[] record, boolean sealed, boolean linked) {
      put(record, 0, 4, record.length);
      put(record, 8, 8, linked ? previous : random.nextLong());
      if (random.nextInt(50) == 0) {
        overwrite(record, random.nextInt(24));
      }
      if (sealed) {
        seal(record);
      }
      if (at % PAGE == 0) {
        page(0, 0);
      }
      previous = start + at;
      int from = 0;
      while (true) {
        int taken = Math.min(record.length - from, PAGE - at % PAGE);
        ensure(taken);
        System.arraycopy(record, from, bytes, at, taken);
        at += taken;
        from += taken;
        if (from == record.length) {
          break;
        }
        page(1, record.length - from);
      }
      at = (at + 7) & ~7;
    }

    private void page(int flags, int remaining) {
      long address = start + at;
      ensure(40);
      boolean first = address % SEGMENT == 0;
      put(bytes, at, 2, version.magic());
      put(bytes, at + 2, 2, flags | (first ? 2 : 0));
      put(bytes, at + 4, 4, 1);
      put(bytes, at + 8, 8, address);
      put(bytes, at + 16, 8, remaining);
      if (first) {
        put(bytes, at + 24, 8, 4711);
        put(bytes, at + 32, 4, SEGMENT);
        put(bytes, at + 36, 4, PAGE);
      }
      at += first ? 40 : 24;
    }

    private void ensure(int more) {
      if (at + more > bytes.length) {
        bytes = Arrays.copyOf(bytes, Math.max(bytes.length + PAGE, at + more));
      }
    }

    /** What was written; with the rest of the last page or without it. */
    byte[] pages() {
      return Arrays.copyOf(bytes, random.nextBoolean() ? at : (at + PAGE - 1) / PAGE * PAGE);
    }

    /** What was written of this segment; goes on with the next one. */
    byte[] endSegment() {
      byte[] pages = Arrays.copyOf(bytes, at);
      start += SEGMENT;
      bytes = new byte[PAGE];
      at = 0;
      return pages;
    }
  }
}
