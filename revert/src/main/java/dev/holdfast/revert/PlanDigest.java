package dev.holdfast.revert;

import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.TableName;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;

/**
 * Names a plan by what it would write: the same changes, in any order, have the same digest;
 * another value, row or number of equal changes has another.
 *
 * <p>Per table the SHA-256 values of its changes are added up modulo 2^256, which keeps no change
 * in memory; the digest is SHA-256 over the tables in order of name, each with its number of
 * changes and its sum. It guards against accidents: changes since the plan was shown. It is no
 * signature.
 */
public final class PlanDigest {
  private static final int SHOWN_CHARACTERS = 16;
  private static final int NULL_LENGTH = -1;

  private static final class Sum {
    long count;

    /** Modulo 2^256, the lowest 64 bits first. */
    final long[] words = new long[4];

    void add(byte[] hash) {
      count++;
      ByteBuffer number = ByteBuffer.wrap(hash);
      long carry = 0;
      for (int word = 0; word < words.length; word++) {
        long more = number.getLong(Long.BYTES * (words.length - 1 - word));
        long sum = words[word] + more;
        long carried = Long.compareUnsigned(sum, more) < 0 ? 1 : 0;
        sum += carry;
        carry = carried | (carry != 0 && sum == 0 ? 1 : 0);
        words[word] = sum;
      }
    }

    @Override
    public String toString() {
      StringBuilder text = new StringBuilder();
      for (int word = words.length - 1; word >= 0; word--) {
        text.append(HexFormat.of().toHexDigits(words[word]));
      }
      return text.toString();
    }
  }

  private final MessageDigest sha256 = sha256();
  private ByteBuffer bytes = ByteBuffer.allocate(1 << 10);
  private final Map<TableName, Sum> sums = new TreeMap<>();
  private final Map<String, String> facts = new TreeMap<>();

  /** A digest that covers nothing yet. */
  public PlanDigest() {}

  /** Covers a change to a table's rows. */
  public void add(TableName table, RowChange change) {
    Sum sum = sums.computeIfAbsent(table, _ -> new Sum());
    sum.add(hash(change));
  }

  /**
   * Covers something besides rows: the statements that make a dropped table again, an option.
   *
   * @param name tells it from the other facts; the last text under a name counts
   */
  public void add(String name, String text) {
    facts.put(name, text);
  }

  /** 64 hexadecimal digits. */
  public String text() {
    MessageDigest whole = sha256();
    sums.forEach((table, sum) -> {
      update(whole, table.schema());
      update(whole, table.table());
      update(whole, sum.count + " " + sum);
    });
    facts.forEach((name, text) -> {
      update(whole, name);
      update(whole, text);
    });
    return HexFormat.of().formatHex(whole.digest());
  }

  /** The first 16 hexadecimal digits: what people are shown and type. */
  public String shown() {
    return text().substring(0, SHOWN_CHARACTERS);
  }

  /** SHA-256 over what is done, and each row with the lengths of its texts. */
  private byte[] hash(RowChange change) {
    bytes.clear();
    // No switch over patterns: this is done a million times.
    if (change instanceof RowChange.Update update) {
      bytes.put((byte) 'u');
      put(update.now());
      put(update.wanted());
    } else if (change instanceof RowChange.Insert insert) {
      bytes.put((byte) 'i');
      put(insert.wanted());
    } else if (change instanceof RowChange.Delete delete) {
      bytes.put((byte) 'd');
      put(delete.now());
    }
    sha256.update(bytes.array(), 0, bytes.position());
    return sha256.digest();
  }

  private void put(Row row) {
    room(Integer.BYTES).putInt(row.size());
    for (int i = 0; i < row.size(); i++) {
      String value = row.value(i);
      if (value == null) {
        room(Integer.BYTES).putInt(NULL_LENGTH);
      } else {
        byte[] text = value.getBytes(StandardCharsets.UTF_8);
        room(Integer.BYTES + text.length).putInt(text.length).put(text);
      }
    }
  }

  /** What does not fit any more is hashed, and a text that never would gets a larger buffer. */
  private ByteBuffer room(int wanted) {
    if (bytes.remaining() < wanted) {
      sha256.update(bytes.array(), 0, bytes.position());
      bytes = wanted > bytes.capacity() ? ByteBuffer.allocate(wanted) : bytes.clear();
    }
    return bytes;
  }

  /** Each text with its length before it, so that no two lists of texts look alike. */
  private static void update(MessageDigest digest, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    digest.update(ByteBuffer.allocate(Integer.BYTES).putInt(bytes.length).array());
    digest.update(bytes);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
