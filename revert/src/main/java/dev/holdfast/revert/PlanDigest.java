package dev.holdfast.revert;

import dev.holdfast.row.RowChange;
import dev.holdfast.row.TableName;
import java.math.BigInteger;
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
  private static final BigInteger MODULUS = BigInteger.ONE.shiftLeft(256);
  private static final int SHOWN_CHARACTERS = 16;

  private static final class Sum {
    long count;
    BigInteger sum = BigInteger.ZERO;
  }

  private final Map<TableName, Sum> sums = new TreeMap<>();
  private final Map<String, String> facts = new TreeMap<>();

  /** A digest that covers nothing yet. */
  public PlanDigest() {}

  /** Covers a change to a table's rows. */
  public void add(TableName table, RowChange change) {
    Sum sum = sums.computeIfAbsent(table, _ -> new Sum());
    sum.count++;
    sum.sum = sum.sum.add(new BigInteger(1, hash(change))).mod(MODULUS);
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
      update(whole, sum.count + " " + sum.sum.toString(16));
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

  private static byte[] hash(RowChange change) {
    MessageDigest digest = sha256();
    switch (change) {
      case RowChange.Insert insert -> {
        digest.update((byte) 'i');
        digest.update(insert.wanted().fingerprint());
      }
      case RowChange.Update update -> {
        digest.update((byte) 'u');
        digest.update(update.now().fingerprint());
        digest.update(update.wanted().fingerprint());
      }
      case RowChange.Delete delete -> {
        digest.update((byte) 'd');
        digest.update(delete.now().fingerprint());
      }
    }
    return digest.digest();
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
