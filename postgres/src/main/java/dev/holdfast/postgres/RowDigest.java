package dev.holdfast.postgres;

import dev.holdfast.row.Row;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import org.jspecify.annotations.Nullable;

/**
 * SHA-256 over a row's values, each written as an SQL literal with a comma behind it: what the
 * server computes over its own row by one {@code format('%L,%L,')}, so that a million rows are
 * compared without sending them. Not for several threads.
 */
final class RowDigest {
  private static final char[] DIGITS = "0123456789abcdef".toCharArray();

  private final MessageDigest sha256;
  private final StringBuilder text = new StringBuilder();

  RowDigest() {
    try {
      sha256 = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** Appends it as COPY reads a bytea, or a null for no row. */
  void append(StringBuilder line, @Nullable Row row) {
    if (row == null) {
      CopyText.append(line, null);
      return;
    }
    text.setLength(0);
    for (int i = 0; i < row.size(); i++) {
      literal(row.value(i));
      text.append(',');
    }
    line.append("\\\\x");
    for (byte b : sha256.digest(text.toString().getBytes(StandardCharsets.UTF_8))) {
      line.append(DIGITS[b >> 4 & 15]).append(DIGITS[b & 15]);
    }
  }

  /** "utils/adt/quote.c", quote_literal_internal, PostgreSQL 14 to 18. */
  private void literal(@Nullable String value) {
    if (value == null) {
      text.append("NULL");
      return;
    }
    if (value.indexOf('\\') >= 0) {
      text.append('E');
    }
    text.append('\'');
    for (int at = 0; at < value.length(); at++) {
      char c = value.charAt(at);
      if (c == '\'' || c == '\\') {
        text.append(c);
      }
      text.append(c);
    }
    text.append('\'');
  }
}
