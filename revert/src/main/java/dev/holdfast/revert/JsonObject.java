package dev.holdfast.revert;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One level of a JSON object's text (RFC 8259), cut into members without interpreting the values:
 * what is not changed keeps every character, numbers their digits included.
 *
 * <p>The text comes from a database that has validated it; texts that are no JSON are no objects
 * here.
 */
final class JsonObject {
  /**
   * @param key unescaped
   * @param text the member with the spaces around it, up to the commas
   * @param valueStart where the value starts in {@code text}
   * @param valueEnd where it ends
   */
  record Member(String key, String text, int valueStart, int valueEnd) {
    String value() {
      return text.substring(valueStart, valueEnd);
    }

    String withValue(String value) {
      return text.substring(0, valueStart) + value + text.substring(valueEnd);
    }
  }

  private final Map<String, Member> members = new LinkedHashMap<>();

  /** The empty object. */
  JsonObject() {}

  /**
   * The object this text holds; null when it holds anything else, or doubled keys, which no merge
   * could treat one by one.
   */
  static @Nullable JsonObject of(@Nullable String text) {
    if (text == null) {
      return null;
    }
    int at = skipSpace(text, 0);
    if (at >= text.length() || text.charAt(at) != '{') {
      return null;
    }
    JsonObject object = new JsonObject();
    at++;
    if (at < text.length() && charAfterSpace(text, at) == '}') {
      return object;
    }
    while (at < text.length()) {
      int start = at;
      int keyStart = skipSpace(text, at);
      if (keyStart >= text.length() || text.charAt(keyStart) != '"') {
        return null;
      }
      int keyEnd = skipValue(text, keyStart);
      int colon = skipSpace(text, keyEnd);
      if (colon >= text.length() || text.charAt(colon) != ':') {
        return null;
      }
      int valueStart = skipSpace(text, colon + 1);
      int valueEnd = skipValue(text, valueStart);
      int end = skipSpace(text, valueEnd);
      if (end >= text.length() || valueEnd == valueStart) {
        return null;
      }
      Member member =
          new Member(
              unescaped(text.substring(keyStart + 1, keyEnd - 1)),
              text.substring(start, end),
              valueStart - start,
              valueEnd - start);
      if (object.members.put(member.key(), member) != null) {
        return null;
      }
      if (text.charAt(end) == '}') {
        return object;
      }
      at = end + 1;
    }
    return null;
  }

  List<Member> members() {
    return new ArrayList<>(members.values());
  }

  boolean has(String key) {
    return members.containsKey(key);
  }

  /** The value's text; null when there is no such key (JSON's null is the text {@code null}). */
  @Nullable String value(String key) {
    Member member = members.get(key);
    return member == null ? null : member.value();
  }

  /** Without the spaces between tokens. */
  static String compact(String text) {
    StringBuilder compact = new StringBuilder(text.length());
    boolean inString = false;
    for (int at = 0; at < text.length(); at++) {
      char c = text.charAt(at);
      if (inString) {
        compact.append(c);
        if (c == '\\' && at + 1 < text.length()) {
          compact.append(text.charAt(++at));
        } else if (c == '"') {
          inString = false;
        }
      } else if (!isSpace(c)) {
        compact.append(c);
        inString = c == '"';
      }
    }
    return compact.toString();
  }

  /** The position after the value that starts at {@code at}; depth costs no stack. */
  private static int skipValue(String text, int at) {
    int depth = 0;
    int i = at;
    while (i < text.length()) {
      char c = text.charAt(i);
      if (c == '"') {
        i = skipString(text, i);
        if (depth == 0) {
          return i;
        }
        continue;
      }
      if (c == '{' || c == '[') {
        depth++;
      } else if (c == '}' || c == ']') {
        if (depth == 0) {
          return i; // the end of the object around a number or a word
        }
        depth--;
        if (depth == 0) {
          return i + 1;
        }
      } else if (depth == 0 && (c == ',' || c == ':' || isSpace(c))) {
        return i;
      }
      i++;
    }
    return i;
  }

  private static int skipString(String text, int at) {
    int i = at + 1;
    while (i < text.length() && text.charAt(i) != '"') {
      i += text.charAt(i) == '\\' ? 2 : 1;
    }
    return Math.min(i + 1, text.length());
  }

  private static int skipSpace(String text, int at) {
    int i = at;
    while (i < text.length() && isSpace(text.charAt(i))) {
      i++;
    }
    return i;
  }

  private static char charAfterSpace(String text, int at) {
    int i = skipSpace(text, at);
    return i < text.length() ? text.charAt(i) : 0;
  }

  private static boolean isSpace(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
  }

  private static String unescaped(String text) {
    if (text.indexOf('\\') < 0) {
      return text;
    }
    StringBuilder plain = new StringBuilder(text.length());
    for (int at = 0; at < text.length(); at++) {
      char c = text.charAt(at);
      if (c != '\\' || at + 1 == text.length()) {
        plain.append(c);
        continue;
      }
      char escape = text.charAt(++at);
      switch (escape) {
        case 'b' -> plain.append('\b');
        case 'f' -> plain.append('\f');
        case 'n' -> plain.append('\n');
        case 'r' -> plain.append('\r');
        case 't' -> plain.append('\t');
        case 'u' -> {
          plain.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
          at += 4;
        }
        default -> plain.append(escape); // the quote, the backslash, the slash
      }
    }
    return plain.toString();
  }
}
