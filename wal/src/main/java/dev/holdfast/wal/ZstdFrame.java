package dev.holdfast.wal;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One Zstandard frame (RFC 8878), as page images use it: no dictionary, and the length is known and
 * no more than a page.
 *
 * <p>Everything is checked against the arrays' bounds and the length before it is done: bytes from
 * nowhere give {@link MalformedRecordException}, in time proportional to their number. A checksum
 * at the end of the frame is stepped over: the record's own checksum held.
 */
final class ZstdFrame {
  private static final int MAGIC = 0xFD2FB528;
  private static final int BLOCK_MAX = 128 * 1024;
  private static final int HUFFMAN_BITS_MAX = 11;
  private static final int WEIGHTS_ACCURACY_MAX = 6;
  private static final int WEIGHTS_MAX = 255;

  // What a code of a literals' length or a copy's length begins at, and how many bits it adds.
  private static final int[] LITERALS_BASE = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64,
    128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536
  };
  private static final int[] LITERALS_BITS = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11,
    12, 13, 14, 15, 16
  };
  private static final int[] COPY_BASE = {
    3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051,
    4099, 8195, 16387, 32771, 65539
  };
  private static final int[] COPY_BITS = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
  };

  private static final int OFFSET_CODE_MAX = 31;

  private static final Fse LITERALS_DEFAULT =
      Fse.of(
          6,
          new int[] {
            4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1,
            1, 1, 1, -1, -1, -1, -1
          });
  private static final Fse OFFSETS_DEFAULT =
      Fse.of(
          5,
          new int[] {
            1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1,
            -1
          });
  private static final Fse COPIES_DEFAULT =
      Fse.of(
          6,
          new int[] {
            1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1
          });

  private final byte[] bytes;
  private final int end;
  private int in;
  private final byte[] output;
  private int out;

  // What a block may take over from the one before it.
  private @Nullable Huffman huffman;
  private @Nullable Fse literalLengths;
  private @Nullable Fse offsets;
  private @Nullable Fse copyLengths;
  private long offset1 = 1;
  private long offset2 = 4;
  private long offset3 = 8;

  private byte[] literals = {};
  private int literalsLength;

  private ZstdFrame(byte[] bytes, int from, int to, byte[] output) {
    this.bytes = bytes;
    this.in = from;
    this.end = to;
    this.output = output;
  }

  /**
   * Unpacks {@code bytes[from..to)} to exactly {@code output.length} bytes.
   *
   * @throws MalformedRecordException when it is not that
   */
  static void unpack(byte[] bytes, int from, int to, byte[] output) {
    new ZstdFrame(bytes, from, to, output).frame();
  }

  private void frame() {
    need(5);
    if (LittleEndian.i32(bytes, in) != MAGIC) {
      throw new MalformedRecordException("its Zstandard image does not begin as one");
    }
    int descriptor = bytes[in + 4] & 0xFF;
    in += 5;
    boolean single = (descriptor & 0x20) != 0;
    if ((descriptor & 0x0B) != 0) { // a reserved bit, a dictionary
      throw new MalformedRecordException(
          "its Zstandard image has the descriptor %02X".formatted(descriptor));
    }
    int sizeFlag = descriptor >>> 6;
    int sizeBytes = sizeFlag == 0 ? (single ? 1 : 0) : 1 << sizeFlag;
    int skipped = single ? 0 : 1; // the window: never more than the page here
    need(skipped + sizeBytes);
    in += skipped;
    if (sizeBytes > 0) {
      long size =
          switch (sizeBytes) {
            case 1 -> bytes[in] & 0xFF;
            case 2 -> LittleEndian.u16(bytes, in) + 256;
            case 4 -> LittleEndian.u32(bytes, in);
            default -> LittleEndian.i64(bytes, in);
          };
      in += sizeBytes;
      if (size != output.length) {
        throw new MalformedRecordException(
            "its Zstandard image holds %d bytes where %d are missing"
                .formatted(size, output.length));
      }
    }
    boolean last = false;
    while (!last) {
      need(3);
      int header = LittleEndian.u16(bytes, in) | ((bytes[in + 2] & 0xFF) << 16);
      in += 3;
      last = (header & 1) != 0;
      int size = header >>> 3;
      switch ((header >>> 1) & 3) {
        case 0 -> {
          need(size);
          room(size);
          System.arraycopy(bytes, in, output, out, size);
          in += size;
          out += size;
        }
        case 1 -> {
          need(1);
          room(size);
          Arrays.fill(output, out, out + size, bytes[in]);
          in += 1;
          out += size;
        }
        case 2 -> {
          need(size);
          if (size > BLOCK_MAX) {
            throw new MalformedRecordException(
                "its Zstandard image has a block of %d bytes".formatted(size));
          }
          block(in + size);
        }
        default -> throw new MalformedRecordException("its Zstandard image has an unknown block");
      }
    }
    if ((descriptor & 0x04) != 0) {
      need(4);
      in += 4;
    }
    if (out != output.length || in != end) {
      throw new MalformedRecordException(
          "its Zstandard image gives %d bytes of %d, %d bytes before its end"
              .formatted(out, output.length, end - in));
    }
  }

  // ---- one compressed block --------------------------------------------------------------------

  private void block(int blockEnd) {
    literals(blockEnd);
    int sequences = sequenceCount(blockEnd);
    int literal = 0;
    if (sequences > 0) {
      literal = sequences(sequences, blockEnd);
    } else if (in != blockEnd) {
      throw new MalformedRecordException("its Zstandard image has bytes after a block");
    }
    int rest = literalsLength - literal;
    room(rest);
    System.arraycopy(literals, literal, output, out, rest);
    out += rest;
    in = blockEnd;
  }

  private void literals(int blockEnd) {
    needIn(1, blockEnd);
    int first = bytes[in] & 0xFF;
    int kind = first & 3;
    int format = (first >>> 2) & 3;
    if (kind < 2) {
      int headerBytes = (format & 1) == 0 ? 1 : format == 1 ? 2 : 3;
      needIn(headerBytes, blockEnd);
      int size =
          switch (headerBytes) {
            case 1 -> first >>> 3;
            case 2 -> LittleEndian.u16(bytes, in) >>> 4;
            default -> (LittleEndian.u16(bytes, in) | ((bytes[in + 2] & 0xFF) << 16)) >>> 4;
          };
      in += headerBytes;
      literals = roomForLiterals(size);
      if (kind == 0) {
        needIn(size, blockEnd);
        System.arraycopy(bytes, in, literals, 0, size);
        in += size;
      } else {
        needIn(1, blockEnd);
        Arrays.fill(literals, 0, size, bytes[in]);
        in += 1;
      }
      return;
    }
    int headerBytes = format < 2 ? 3 : format + 2;
    needIn(headerBytes, blockEnd);
    long header = 0;
    for (int index = 0; index < headerBytes; index++) {
      header |= (bytes[in + index] & 0xFFL) << (8 * index);
    }
    in += headerBytes;
    int bits = format < 2 ? 10 : format == 2 ? 14 : 18;
    int size = (int) (header >>> 4) & ((1 << bits) - 1);
    int packed = (int) (header >>> (4 + bits)) & ((1 << bits) - 1);
    needIn(packed, blockEnd);
    literals = roomForLiterals(size);
    int packedEnd = in + packed;
    if (kind == 2) {
      huffman = huffman(packedEnd);
    }
    Huffman table = huffman;
    if (table == null) {
      throw new MalformedRecordException("its Zstandard image lacks a table of literals");
    }
    if (format == 0) {
      table.unpack(bytes, in, packedEnd, literals, 0, size);
    } else {
      needIn(6, packedEnd);
      int streamEnd = in + 6;
      int quarter = (size + 3) / 4;
      if (3 * quarter > size) {
        throw new MalformedRecordException("its Zstandard image has too few literals");
      }
      for (int stream = 0; stream < 4; stream++) {
        int from = streamEnd;
        streamEnd = stream == 3 ? packedEnd : streamEnd + LittleEndian.u16(bytes, in + 2 * stream);
        if (streamEnd > packedEnd) {
          throw cutOff();
        }
        int to = stream == 3 ? size : (stream + 1) * quarter;
        table.unpack(bytes, from, streamEnd, literals, stream * quarter, to);
      }
    }
    in = packedEnd;
  }

  private byte[] roomForLiterals(int size) {
    if (size > output.length - out) {
      throw new MalformedRecordException(
          "its Zstandard image has %d literals at byte %d of %d"
              .formatted(size, out, output.length));
    }
    literalsLength = size;
    return literals.length < size ? new byte[output.length] : literals;
  }

  private Huffman huffman(int packedEnd) {
    needIn(1, packedEnd);
    int header = bytes[in++] & 0xFF;
    int[] weights = new int[WEIGHTS_MAX + 1];
    int count;
    if (header >= 128) {
      count = header - 127;
      int stored = (count + 1) / 2;
      needIn(stored, packedEnd);
      for (int index = 0; index < count; index++) {
        int pair = bytes[in + index / 2] & 0xFF;
        weights[index] = (index & 1) == 0 ? pair >>> 4 : pair & 0x0F;
      }
      in += stored;
    } else {
      needIn(header, packedEnd);
      int weightsEnd = in + header;
      Fse fse = table(WEIGHTS_ACCURACY_MAX, HUFFMAN_BITS_MAX + 1, weightsEnd);
      count = weights(fse, weights, weightsEnd);
      in = weightsEnd;
    }
    return Huffman.of(weights, count);
  }

  /** Two states take turns until the bits are used up; what both hold then still counts. */
  private int weights(Fse fse, int[] weights, int weightsEnd) {
    BackwardBits bits = new BackwardBits(bytes, in, weightsEnd);
    int one = bits.read(fse.accuracy);
    int other = bits.read(fse.accuracy);
    int count = 0;
    while (true) {
      if (bits.left() < 0) {
        throw cutOff();
      }
      if (count + 2 > WEIGHTS_MAX) {
        throw new MalformedRecordException("its Zstandard image has too many literals to tell");
      }
      weights[count++] = fse.symbol[one];
      if (bits.left() < fse.bits[one]) {
        weights[count++] = fse.symbol[other];
        return count;
      }
      int next = fse.base[one] + bits.read(fse.bits[one]);
      one = other;
      other = next;
    }
  }

  // ---- sequences -------------------------------------------------------------------------------

  private int sequenceCount(int blockEnd) {
    needIn(1, blockEnd);
    int first = bytes[in++] & 0xFF;
    if (first < 128) {
      return first;
    }
    if (first < 255) {
      needIn(1, blockEnd);
      return ((first - 128) << 8) + (bytes[in++] & 0xFF);
    }
    needIn(2, blockEnd);
    in += 2;
    return LittleEndian.u16(bytes, in - 2) + 0x7F00;
  }

  /** Answers how many of the literals it used. */
  private int sequences(int count, int blockEnd) {
    needIn(1, blockEnd);
    int modes = bytes[in++] & 0xFF;
    if ((modes & 3) != 0) {
      throw new MalformedRecordException("its Zstandard image uses reserved bits");
    }
    Fse lengths =
        mode(modes >>> 6, 9, LITERALS_BASE.length, LITERALS_DEFAULT, literalLengths, blockEnd);
    Fse distances =
        mode((modes >>> 4) & 3, 8, OFFSET_CODE_MAX + 1, OFFSETS_DEFAULT, offsets, blockEnd);
    Fse copies =
        mode((modes >>> 2) & 3, 9, COPY_BASE.length, COPIES_DEFAULT, copyLengths, blockEnd);
    literalLengths = lengths;
    offsets = distances;
    copyLengths = copies;

    BackwardBits bits = new BackwardBits(bytes, in, blockEnd);
    int lengthState = bits.read(lengths.accuracy);
    int distanceState = bits.read(distances.accuracy);
    int copyState = bits.read(copies.accuracy);
    int literal = 0;
    for (int sequence = 0; sequence < count; sequence++) {
      int distanceCode = distances.symbol[distanceState];
      long offsetValue = (1L << distanceCode) + bits.readLong(distanceCode);
      int copyCode = copies.symbol[copyState];
      int copy = COPY_BASE[copyCode] + bits.read(COPY_BITS[copyCode]);
      int lengthCode = lengths.symbol[lengthState];
      int length = LITERALS_BASE[lengthCode] + bits.read(LITERALS_BITS[lengthCode]);
      if (sequence < count - 1) {
        lengthState = lengths.base[lengthState] + bits.read(lengths.bits[lengthState]);
        copyState = copies.base[copyState] + bits.read(copies.bits[copyState]);
        distanceState = distances.base[distanceState] + bits.read(distances.bits[distanceState]);
      }
      if (bits.left() < 0) {
        throw cutOff();
      }
      if (length > literalsLength - literal) {
        throw new MalformedRecordException("its Zstandard image has too few literals");
      }
      room(length);
      System.arraycopy(literals, literal, output, out, length);
      literal += length;
      out += length;
      copy(offset(offsetValue, length), copy);
    }
    if (bits.left() != 0) {
      throw new MalformedRecordException("its Zstandard image has bits after the last sequence");
    }
    return literal;
  }

  /** The values 1 to 3 stand for one of the last three distances. */
  private long offset(long value, int literalsBefore) {
    long found;
    if (value > 3) {
      found = value - 3;
    } else {
      long which = literalsBefore == 0 ? value + 1 : value;
      if (which == 1) {
        return offset1;
      }
      if (which == 2) {
        found = offset2;
        offset2 = offset1;
        offset1 = found;
        return found;
      }
      found = which == 3 ? offset3 : offset1 - 1;
    }
    offset3 = offset2;
    offset2 = offset1;
    offset1 = found;
    return found;
  }

  private void copy(long distance, int length) {
    if (distance <= 0 || distance > out) {
      throw new MalformedRecordException(
          "its Zstandard image copies from %d bytes before byte %d".formatted(distance, out));
    }
    room(length);
    int from = out - (int) distance;
    for (int end = out + length; out < end; out++) {
      output[out] = output[from++];
    }
  }

  private Fse mode(
      int mode, int accuracyMax, int symbols, Fse usual, @Nullable Fse before, int blockEnd) {
    return switch (mode) {
      case 0 -> usual;
      case 1 -> {
        needIn(1, blockEnd);
        int symbol = bytes[in++] & 0xFF;
        if (symbol >= symbols) {
          throw new MalformedRecordException("its Zstandard image uses an unknown code");
        }
        yield Fse.always(symbol);
      }
      case 2 -> table(accuracyMax, symbols, blockEnd);
      default -> {
        if (before == null) {
          throw new MalformedRecordException("its Zstandard image lacks a table of sequences");
        }
        yield before;
      }
    };
  }

  // ---- tables ----------------------------------------------------------------------------------

  /** Reads how often each symbol comes: numbers of varying bits, from the lowest bit up. */
  private Fse table(int accuracyMax, int symbols, int tableEnd) {
    int bit = 0;
    int accuracy = forward(bit, 4, tableEnd) + 5;
    bit += 4;
    if (accuracy > accuracyMax) {
      throw new MalformedRecordException(
          "its Zstandard image has a table of %d bits".formatted(accuracy));
    }
    int[] counts = new int[symbols];
    int symbol = 0;
    int remaining = 1 << accuracy;
    while (remaining > 0 && symbol < symbols) {
      int width = 32 - Integer.numberOfLeadingZeros(remaining + 1);
      int value = forward(bit, width, tableEnd);
      int low = value & ((1 << (width - 1)) - 1);
      int threshold = (1 << width) - 1 - (remaining + 1);
      if (low < threshold) { // the small values get by with a bit less
        value = low;
        bit += width - 1;
      } else {
        if (value > (1 << (width - 1)) - 1) {
          value -= threshold;
        }
        bit += width;
      }
      int count = value - 1;
      counts[symbol++] = count;
      remaining -= Math.abs(count);
      if (count == 0) {
        int repeat;
        do {
          repeat = forward(bit, 2, tableEnd);
          bit += 2;
          symbol += repeat;
        } while (repeat == 3 && symbol < symbols);
      }
    }
    if (remaining != 0 || symbol > symbols) {
      throw new MalformedRecordException("its Zstandard image has a table that does not add up");
    }
    needIn((bit + 7) / 8, tableEnd);
    in += (bit + 7) / 8;
    return Fse.of(accuracy, counts);
  }

  /** Bits from {@code in} on; past the table's end they are zeros, which the caller will notice. */
  private int forward(int bit, int width, int tableEnd) {
    int value = 0;
    for (int index = 0; index < 3; index++) {
      int at = in + (bit >>> 3) + index;
      if (at < tableEnd) {
        value |= (bytes[at] & 0xFF) << (8 * index);
      }
    }
    return (value >>> (bit & 7)) & ((1 << width) - 1);
  }

  /** Finite state entropy: a state gives a symbol, and where the next state is looked for. */
  private static final class Fse {
    private final int accuracy;
    private final int[] symbol;
    private final int[] bits;
    private final int[] base;

    private Fse(int accuracy) {
      this.accuracy = accuracy;
      this.symbol = new int[1 << accuracy];
      this.bits = new int[1 << accuracy];
      this.base = new int[1 << accuracy];
    }

    static Fse always(int symbol) {
      Fse fse = new Fse(0);
      fse.symbol[0] = symbol;
      return fse;
    }

    /**
     * @param counts of each symbol, adding up to the number of states; -1: less than once
     */
    static Fse of(int accuracy, int[] counts) {
      Fse fse = new Fse(accuracy);
      int size = 1 << accuracy;
      int high = size;
      int[] next = new int[counts.length];
      for (int symbol = 0; symbol < counts.length; symbol++) {
        next[symbol] = counts[symbol];
        if (counts[symbol] == -1) {
          fse.symbol[--high] = symbol;
          next[symbol] = 1;
        }
      }
      int step = (size >> 1) + (size >> 3) + 3;
      int at = 0;
      for (int symbol = 0; symbol < counts.length; symbol++) {
        for (int time = 0; time < counts[symbol]; time++) {
          fse.symbol[at] = symbol;
          do {
            at = (at + step) & (size - 1);
          } while (at >= high);
        }
      }
      for (int state = 0; state < size; state++) {
        int number = next[fse.symbol[state]]++;
        fse.bits[state] = accuracy - (31 - Integer.numberOfLeadingZeros(number));
        fse.base[state] = (number << fse.bits[state]) - size;
      }
      return fse;
    }
  }

  /** Literals by codes of 1 to 11 bits, looked up by the next so many bits. */
  private static final class Huffman {
    private final int bitsMax;
    private final byte[] symbol;
    private final byte[] bits;

    private Huffman(int bitsMax) {
      this.bitsMax = bitsMax;
      this.symbol = new byte[1 << bitsMax];
      this.bits = new byte[1 << bitsMax];
    }

    /**
     * @param weights of the first {@code count} literals: 0 never occurs, each step halves the code
     *     space; the next literal's follows from them
     */
    static Huffman of(int[] weights, int count) {
      int sum = 0;
      for (int literal = 0; literal < count; literal++) {
        if (weights[literal] > HUFFMAN_BITS_MAX) {
          throw new MalformedRecordException("its Zstandard image has a literal of many bits");
        }
        sum += weights[literal] == 0 ? 0 : 1 << (weights[literal] - 1);
      }
      int bitsMax = 32 - Integer.numberOfLeadingZeros(sum);
      int rest = (1 << bitsMax) - sum;
      if (sum == 0 || bitsMax > HUFFMAN_BITS_MAX || Integer.bitCount(rest) != 1) {
        throw new MalformedRecordException("its Zstandard image has literals that do not add up");
      }
      weights[count] = 32 - Integer.numberOfLeadingZeros(rest);
      Huffman table = new Huffman(bitsMax);
      int at = 0;
      for (int weight = 1; weight <= bitsMax; weight++) {
        for (int literal = 0; literal <= count; literal++) {
          if (weights[literal] == weight) {
            int entries = 1 << (weight - 1);
            Arrays.fill(table.symbol, at, at + entries, (byte) literal);
            Arrays.fill(table.bits, at, at + entries, (byte) (bitsMax + 1 - weight));
            at += entries;
          }
        }
      }
      return table;
    }

    void unpack(byte[] bytes, int from, int to, byte[] literals, int first, int beyond) {
      BackwardBits stream = new BackwardBits(bytes, from, to);
      for (int at = first; at < beyond; at++) {
        int index = stream.peek(bitsMax);
        literals[at] = symbol[index];
        stream.skip(bits[index]);
      }
      if (stream.left() != 0) {
        throw new MalformedRecordException("its Zstandard image has literals that do not end");
      }
    }
  }

  /** Bits from the last to the first; the highest bit set in the last byte is where they begin. */
  private static final class BackwardBits {
    private final byte[] bytes;
    private final int from;
    private int left;

    BackwardBits(byte[] bytes, int from, int to) {
      if (from >= to || bytes[to - 1] == 0) {
        throw cutOff();
      }
      this.bytes = bytes;
      this.from = from;
      this.left = (to - from) * 8 - 1 - (Integer.numberOfLeadingZeros(bytes[to - 1] & 0xFF) - 24);
    }

    /** Bits not read yet; negative when more were read than there are. */
    int left() {
      return left;
    }

    int read(int width) {
      int value = peek(width);
      left -= width;
      return value;
    }

    long readLong(int width) {
      if (width <= 16) {
        return read(width);
      }
      long high = read(width - 16);
      return (high << 16) | read(16);
    }

    void skip(int width) {
      left -= width;
    }

    /** At most 16 bits; before the first they are zeros. */
    int peek(int width) {
      if (width == 0 || left <= 0) {
        return 0;
      }
      int lowest = left - width;
      int value = 0;
      for (int at = (left - 1) >> 3; at >= 0 && at * 8 + 7 >= lowest; at--) {
        int shift = at * 8 - lowest;
        int octet = bytes[from + at] & 0xFF;
        value |= shift >= 0 ? octet << shift : octet >>> -shift;
      }
      return value & ((1 << width) - 1);
    }
  }

  // ---- bounds ----------------------------------------------------------------------------------

  private void need(int length) {
    needIn(length, end);
  }

  private void needIn(int length, int limit) {
    if (length > limit - in) {
      throw cutOff();
    }
  }

  private void room(int length) {
    if (length > output.length - out) {
      throw new MalformedRecordException(
          "its Zstandard image gives more than %d bytes".formatted(output.length));
    }
  }

  private static MalformedRecordException cutOff() {
    return new MalformedRecordException("its Zstandard image is cut off");
  }
}
