package dev.holdfast.postgres;

import java.util.regex.Pattern;

/** Spelling of names and texts in SQL. */
final class Sql {
  private static final Pattern PLAIN = Pattern.compile("[a-z_][a-z0-9_]*");

  private Sql() {}

  /** An identifier, in double quotes where it needs them (all but plain lower-case words). */
  static String identifier(String name) {
    return PLAIN.matcher(name).matches() ? name : '"' + name.replace("\"", "\"\"") + '"';
  }

  /** A text literal; safe whatever standard_conforming_strings says. */
  static String literal(String text) {
    String quoted = "'" + text.replace("'", "''") + "'";
    return text.indexOf('\\') < 0 ? quoted : " E" + quoted.replace("\\", "\\\\");
  }
}
