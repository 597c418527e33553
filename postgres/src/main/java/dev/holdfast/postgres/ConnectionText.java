package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The three ways to write a connection down that libpq knows: a URI, keywords and values, a service
 * file's section (PostgreSQL 18 documentation, 32.1.1 and 32.17). All come out as libpq's keywords.
 */
final class ConnectionText {
  private static final String EXAMPLE = "postgresql://user@host:5432/database?sslmode=require";

  private ConnectionText() {}

  static Map<String, String> parse(String text) {
    String stripped = text.strip();
    if (stripped.isEmpty()) {
      return Map.of();
    }
    String lower = stripped.toLowerCase(Locale.ROOT);
    if (lower.startsWith("postgresql://") || lower.startsWith("postgres://")) {
      return uri(stripped.substring(stripped.indexOf("://") + 3));
    }
    if (lower.startsWith("jdbc:")) {
      throw wrong(
          "this is a JDBC URL", "leave out \"jdbc:\" and give libpq's form, such as " + EXAMPLE);
    }
    int scheme = stripped.indexOf("://");
    if (scheme >= 0 && stripped.substring(0, scheme).matches("[A-Za-z][A-Za-z0-9+.-]*")) {
      throw wrong(
          "\"" + stripped.substring(0, scheme) + "://\" is not PostgreSQL's",
          "give one that begins with postgresql://, such as " + EXAMPLE);
    }
    if (stripped.indexOf('=') < 0) {
      throw wrong(
          "it is neither a URI nor keywords and values",
          "give one such as " + EXAMPLE + " or \"host=localhost dbname=shop user=app\"");
    }
    return keywords(stripped);
  }

  /** {@code [user[:password]@][host[:port]][,…][/database][?name=value[&…]]}. */
  private static Map<String, String> uri(String rest) {
    Map<String, String> values = new LinkedHashMap<>();
    int query = rest.indexOf('?');
    String before = query < 0 ? rest : rest.substring(0, query);
    // The path begins at the first slash; a slash inside the password must be written %2F.
    int slash = before.indexOf('/');
    String authority = slash < 0 ? before : before.substring(0, slash);
    String database = slash < 0 ? "" : before.substring(slash + 1);
    int at = authority.lastIndexOf('@');
    if (at >= 0) {
      String userInfo = authority.substring(0, at);
      int colon = userInfo.indexOf(':');
      putIfGiven(values, "user", decode(colon < 0 ? userInfo : userInfo.substring(0, colon)));
      if (colon >= 0) {
        putIfGiven(values, "password", decode(userInfo.substring(colon + 1)));
      }
    }
    List<String> hosts = new ArrayList<>();
    List<String> ports = new ArrayList<>();
    for (String hostPort : authority.substring(at + 1).split(",", -1)) {
      int bracket = hostPort.startsWith("[") ? hostPort.indexOf(']') : 0;
      if (bracket < 0) {
        throw wrong("a \"]\" is missing after the IPv6 address", "write it as [::1]:5432");
      }
      int colon = hostPort.indexOf(':', bracket);
      String host = colon < 0 ? hostPort : hostPort.substring(0, colon);
      hosts.add(decode(bracket > 0 ? hostPort.substring(1, bracket) : host));
      ports.add(colon < 0 ? "" : hostPort.substring(colon + 1));
    }
    putIfGiven(values, "host", joined(hosts));
    putIfGiven(values, "port", joined(ports));
    putIfGiven(values, "dbname", decode(database));
    if (query >= 0 && query + 1 < rest.length()) {
      for (String pair : rest.substring(query + 1).split("&", -1)) {
        int equals = pair.indexOf('=');
        if (equals <= 0) {
          throw wrong(
              "a parameter after \"?\" is not of the form name=value",
              "write parameters as ?sslmode=require&connect_timeout=10");
        }
        String name = decode(pair.substring(0, equals));
        String value = decode(pair.substring(equals + 1));
        if (name.equals("ssl") && value.equals("true")) {
          values.put("sslmode", "require"); // libpq does the same for JDBC's spelling
        } else {
          values.put(name, value);
        }
      }
    }
    return values;
  }

  private static String joined(List<String> parts) {
    return parts.stream().allMatch(String::isEmpty) ? "" : String.join(",", parts);
  }

  private static void putIfGiven(Map<String, String> values, String name, String value) {
    if (!value.isEmpty()) {
      values.put(name, value);
    }
  }

  /** {@code host=localhost dbname='my db'}; {@code \} escapes inside and outside quotes. */
  private static Map<String, String> keywords(String text) {
    Map<String, String> values = new LinkedHashMap<>();
    int i = 0;
    while (true) {
      i = skipSpaces(text, i);
      if (i >= text.length()) {
        return values;
      }
      int equals = text.indexOf('=', i);
      String name = equals < 0 ? "" : text.substring(i, equals).strip();
      if (!name.matches("[a-z_]+")) {
        // The text is not repeated: what stands here may be a part of a password.
        throw wrong(
            "keywords and values do not alternate",
            "write it as \"host=localhost dbname=shop user=app\"; a value with spaces needs quotes:"
                + " password='two words'");
      }
      i = skipSpaces(text, equals + 1);
      StringBuilder value = new StringBuilder();
      boolean quoted = i < text.length() && text.charAt(i) == '\'';
      boolean closed = !quoted;
      if (quoted) {
        i++;
      }
      while (i < text.length()) {
        char c = text.charAt(i++);
        if (c == '\\' && i < text.length()) {
          value.append(text.charAt(i++));
        } else if (quoted ? c == '\'' : Character.isWhitespace(c)) {
          closed = true;
          break;
        } else {
          value.append(c);
        }
      }
      if (!closed) {
        throw wrong("a closing ' is missing after " + name + "=", "end the value with '");
      }
      values.put(name, value.toString());
    }
  }

  private static int skipSpaces(String text, int from) {
    int i = from;
    while (i < text.length() && Character.isWhitespace(text.charAt(i))) {
      i++;
    }
    return i;
  }

  /** The values of one {@code [section]} of a service file; null when it has no such section. */
  static @Nullable Map<String, String> service(Path file, String name) {
    if (!Files.isRegularFile(file)) {
      return null;
    }
    Map<String, String> values = null;
    try {
      for (String raw : Files.readAllLines(file)) {
        String line = raw.strip();
        if (line.isEmpty() || line.startsWith("#")) {
          continue;
        }
        if (line.startsWith("[")) {
          if (values != null) {
            return values;
          }
          if (line.equals("[" + name + "]")) {
            values = new LinkedHashMap<>();
          }
        } else if (values != null) {
          int equals = line.indexOf('=');
          if (equals <= 0) {
            throw new OperatorException(
                Kind.USAGE,
                "cannot use service " + name,
                "a line of its section in " + file + " is not of the form name=value",
                "correct the file");
          }
          values.put(line.substring(0, equals).strip(), line.substring(equals + 1).strip());
        }
      }
      return values;
    } catch (IOException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot use service " + name,
          "cannot read " + file + ": " + e.getMessage(),
          "make the file readable",
          e);
    }
  }

  static OperatorException wrong(String why, String next) {
    return new OperatorException(Kind.USAGE, "cannot use this connection URL", why, next);
  }

  static String encode(String value) {
    StringBuilder encoded = new StringBuilder();
    for (byte b : value.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (b & 0xFF);
      if (c < 128 && (Character.isLetterOrDigit(c) || "-._~".indexOf(c) >= 0)) {
        encoded.append(c);
      } else {
        encoded.append('%').append("%02X".formatted((int) c));
      }
    }
    return encoded.toString();
  }

  /** Percent-decoding only: unlike in a form, "+" is a plus. */
  private static String decode(String value) {
    if (value.indexOf('%') < 0) {
      return value;
    }
    byte[] in = value.getBytes(StandardCharsets.UTF_8);
    ByteBuffer out = ByteBuffer.allocate(in.length);
    for (int i = 0; i < in.length; i++) {
      if (in[i] != '%') {
        out.put(in[i]);
        continue;
      }
      int high = i + 2 < in.length ? Character.digit(in[i + 1], 16) : -1;
      int low = i + 2 < in.length ? Character.digit(in[i + 2], 16) : -1;
      if (high < 0 || low < 0) {
        throw wrong(
            "a \"%\" is not followed by two hexadecimal digits",
            "write a percent sign itself as %25");
      }
      out.put((byte) (high << 4 | low));
      i += 2;
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(out.flip()).toString();
    } catch (CharacterCodingException e) {
      throw wrong("its percent-encoding is not UTF-8", "encode special characters as UTF-8");
    }
  }
}
