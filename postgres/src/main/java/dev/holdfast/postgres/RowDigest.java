package dev.holdfast.postgres;

import dev.holdfast.row.Row;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import org.jspecify.annotations.Nullable;

/**
 * What a row is compared by without being sent: its values, each written as an SQL literal with a
 * comma behind it, as the server writes its own row with one {@code format('%L,%L,')}. Where that
 * is long, SHA-256 over it. Not for several threads.
 */
final class RowDigest {
  private static final char[] DIGITS = "0123456789abcdef".toCharArray();

  /** No list of literals begins with it. */
  private static final char HASHED = '#';

  /** Longer ones are hashed: to copy and compare more characters costs more than that. */
  private static final int LITERALS_CHARACTERS_MAX = 200;

  private final boolean literalsCompare;
  private final MessageDigest sha256;
  private final StringBuilder text = new StringBuilder();

  /**
   * @param literalsCompare whether short rows need no hash: not where the server would convert
   *     their texts, nor where one expression over its row must answer for every staged row
   */
  RowDigest(boolean literalsCompare) {
    this.literalsCompare = literalsCompare;
    try {
      sha256 = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** Appends it as COPY reads a text. */
  void append(StringBuilder line, Row row) {
    literals(row);
    if (literalsCompare && text.length() <= LITERALS_CHARACTERS_MAX) {
      CopyText.append(line, text);
    } else {
      hash(line);
    }
  }

  /** As {@link #append}, hashed however short it is. */
  void appendHashed(StringBuilder line, Row row) {
    literals(row);
    hash(line);
  }

  /**
   * SQL: that a staged digest is of the server's row.
   *
   * @param literals SQL for the row's literals
   */
  String isOf(String staged, String literals) {
    return literalsCompare
        ? "%s = CASE WHEN left(%s, 1) = '%s' THEN %s ELSE %s END COLLATE \"C\""
            .formatted(staged, staged, HASHED, hashed(literals), literals)
        : "%s = %s".formatted(staged, hashed(literals));
  }

  /** SQL: what {@link #appendHashed} writes. */
  static String hashed(String literals) {
    return "('%s' || encode(sha256(convert_to(%s, 'UTF8')), 'hex')) COLLATE \"C\""
        .formatted(HASHED, literals);
  }

  private void hash(StringBuilder line) {
    line.append(HASHED);
    for (byte b : sha256.digest(text.toString().getBytes(StandardCharsets.UTF_8))) {
      line.append(DIGITS[b >> 4 & 15]).append(DIGITS[b & 15]);
    }
  }

  private void literals(Row row) {
    text.setLength(0);
    for (int i = 0; i < row.size(); i++) {
      literal(row.value(i));
      text.append(',');
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
    if (value.indexOf('\\') < 0 && value.indexOf('\'') < 0) {
      text.append(value);
    } else {
      for (int at = 0; at < value.length(); at++) {
        char c = value.charAt(at);
        if (c == '\'' || c == '\\') {
          text.append(c);
        }
        text.append(c);
      }
    }
    text.append('\'');
  }
}
