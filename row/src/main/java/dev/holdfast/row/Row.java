package dev.holdfast.row;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One row: the values' canonical texts, in the order of some list of columns that whoever holds the
 * row knows. Two rows are equal when every text is: {@code 1.0} is not {@code 1.00}.
 *
 * @param values a null is SQL's NULL
 */
public record Row(List<@Nullable String> values) {
  private static final byte[] NULL = new byte[32];

  public Row {
    values = Collections.unmodifiableList(new ArrayList<>(values));
  }

  /** A row of these values. */
  public static Row of(@Nullable String... values) {
    return new Row(Arrays.asList(values));
  }

  /** A row of these values; as the constructor, for callers in other modules under NullAway. */
  public static Row copyOf(List<@Nullable String> values) {
    return new Row(values);
  }

  /** How many values it has. */
  public int size() {
    return values.size();
  }

  /** The value at a position, from 0. */
  public @Nullable String value(int position) {
    return values.get(position);
  }

  /** The values at these positions, in their order. */
  public RowKey key(List<Integer> positions) {
    List<@Nullable String> key = new ArrayList<>(positions.size());
    for (int position : positions) {
      key.add(values.get(position));
    }
    return new RowKey(key);
  }

  /** The row's first {@code size} values. */
  public Row first(int size) {
    return size == values.size() ? this : new Row(values.subList(0, size));
  }

  /** Every value but the first. */
  public Row withoutFirst() {
    return new Row(values.subList(1, values.size()));
  }

  /**
   * SHA-256 over the values: each contributes SHA-256 of its UTF-8 text, a null 32 zero bytes. An
   * engine can compute the same over its own rows, so that a row is compared without sending it.
   */
  public byte[] fingerprint() {
    MessageDigest each = sha256();
    MessageDigest whole = sha256();
    for (@Nullable String value : values) {
      whole.update(value == null ? NULL : each.digest(value.getBytes(StandardCharsets.UTF_8)));
    }
    return whole.digest();
  }

  // Written out: what a record gets is slow until it is compiled to the last, and millions are
  // compared.
  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Row row && values.equals(row.values);
  }

  @Override
  public int hashCode() {
    return values.hashCode();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
