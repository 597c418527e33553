package dev.holdfast.guard;

/** Names and texts as SQL spells them, whatever they hold. */
final class Quoted {
  private Quoted() {}

  /** An identifier, always in double quotes. */
  static String identifier(String name) {
    return '"' + name.replace("\"", "\"\"") + '"';
  }

  /** A text literal; safe whatever standard_conforming_strings says. */
  static String literal(String text) {
    String quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'";
    return text.contains("\\") ? " E" + quoted : quoted;
  }
}
