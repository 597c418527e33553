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

  /**
   * What a value with escapes reads without them; kept, since most lines are as long as the last.
   */
  private byte[] plain = {};

  /** How many values the last line had. */
  private int columns = 10;

  /** Reads one line, with or without its line feed. */
  Row row(byte[] line) {
    return row(line, 0, end(line));
  }

  /** Where the values of a line end. */
  static int end(byte[] line) {
    int end = line.length;
    return end > 0 && line[end - 1] == '\n' ? end - 1 : end;
  }

  /** Reads a part of a line. */
  Row row(byte[] line, int from, int end) {
    List<@Nullable String> values = new ArrayList<>(columns);
    int begin = from;
    boolean escaped = false;
    byte all = 0; // its sign tells whether any byte is not ASCII
    for (int at = from; at <= end; at++) {
      if (at == end || line[at] == '\t') {
        values.add(escaped ? unescaped(line, begin, at) : text(line, begin, at - begin, all));
        begin = at + 1;
        escaped = false;
        all = 0;
      } else {
        escaped |= line[at] == '\\';
        all |= line[at];
      }
    }
    columns = values.size();
    return Row.copyOf(values);
  }

  private @Nullable String unescaped(byte[] line, int begin, int end) {
    if (plain.length < end - begin) {
      plain = new byte[end - begin];
    }
    int length = 0;
    byte all = 0;
    for (int at = begin; at < end; at++) {
      byte b = line[at];
      if (b == '\\') {
        b = line[++at];
        if (b == 'N') {
          return null; // COPY writes no other \N: a backslash in a value is doubled
        }
        b =
            switch (b) {
              case 'b' -> '\b';
              case 'f' -> '\f';
              case 'n' -> '\n';
              case 'r' -> '\r';
              case 't' -> '\t';
              case 'v' -> 0x0b;
              default -> b;
            };
      }
      plain[length++] = b;
      all |= b;
    }
    return text(plain, 0, length, all);
  }

  /** Appends one value as COPY reads it. */
  static void append(StringBuilder line, @Nullable CharSequence value) {
    if (value == null) {
      line.append("\\N");
      return;
    }
    if (isPlain(value)) {
      line.append(value);
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

  private static boolean isPlain(CharSequence value) {
    for (int at = 0; at < value.length(); at++) {
      char c = value.charAt(at);
      if (c == '\\' || (c < ' ' && (c == '\t' || c == '\n' || c == '\r'))) {
        return false;
      }
    }
    return true;
  }

  private String text(byte[] bytes, int begin, int length, byte all) {
    if (all >= 0) {
      return new String(bytes, begin, length, StandardCharsets.ISO_8859_1);
    }
    try {
      return decoder.decode(ByteBuffer.wrap(bytes, begin, length)).toString();
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
