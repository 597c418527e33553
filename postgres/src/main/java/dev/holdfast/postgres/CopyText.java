package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.Row;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * COPY's text format ("COPY", File Formats, PostgreSQL 18): columns parted by tabs, NULL as {@code
 * \N}, a backslash before what would be mistaken.
 */
final class CopyText {
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .onUnmappableCharacter(CodingErrorAction.REPORT);

  /** Reads one line, with or without its line feed. */
  Row row(byte[] line) {
    int end = line.length;
    if (end > 0 && line[end - 1] == '\n') {
      end--;
    }
    List<@Nullable String> values = new ArrayList<>();
    byte[] plain = new byte[end];
    int length = 0;
    boolean isNull = false;
    for (int at = 0; at <= end; at++) {
      if (at == end || line[at] == '\t') {
        values.add(isNull ? null : text(plain, length));
        length = 0;
        isNull = false;
      } else if (line[at] != '\\') {
        plain[length++] = line[at];
      } else {
        byte escape = line[++at];
        switch (escape) {
          case 'N' -> isNull = true; // COPY writes no other \N: a backslash in a value is doubled
          case 'b' -> plain[length++] = '\b';
          case 'f' -> plain[length++] = '\f';
          case 'n' -> plain[length++] = '\n';
          case 'r' -> plain[length++] = '\r';
          case 't' -> plain[length++] = '\t';
          case 'v' -> plain[length++] = 0x0b;
          default -> plain[length++] = escape;
        }
      }
    }
    return Row.copyOf(values);
  }

  /** Appends one value as COPY reads it. */
  static void append(StringBuilder line, @Nullable String value) {
    if (value == null) {
      line.append("\\N");
      return;
    }
    for (int at = 0; at < value.length(); at++) {
      char c = value.charAt(at);
      switch (c) {
        case '\\' -> line.append("\\\\");
        case '\t' -> line.append("\\t");
        case '\n' -> line.append("\\n");
        case '\r' -> line.append("\\r");
        default -> line.append(c);
      }
    }
  }

  private String text(byte[] bytes, int length) {
    try {
      return decoder.decode(ByteBuffer.wrap(bytes, 0, length)).toString();
    } catch (CharacterCodingException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot read the rows",
          "a text is not valid UTF-8: the database's encoding is SQL_ASCII and holds other bytes",
          "restore the table from a fork with pg_dump, which copies bytes as they are",
          e);
    }
  }
}
