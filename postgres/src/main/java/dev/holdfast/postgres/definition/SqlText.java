package dev.holdfast.postgres.definition;

import java.util.List;
import java.util.stream.Collectors;

/** Pieces of SQL text that several definitions share. */
final class SqlText {
  private SqlText() {}

  /** A string constant, whatever it holds. */
  static String literal(String text) {
    String quoted = "'" + text.replace("'", "''") + "'";
    // E'' reads alike whether standard_conforming_strings is on or off.
    return text.indexOf('\\') < 0 ? quoted : "E" + quoted.replace("\\", "\\\\");
  }

  /** Storage options as {@code reloptions} holds them, {@code name=value}, for WITH or SET. */
  static String options(List<String> options) {
    return options.stream()
        .map(option -> {
          int equals = option.indexOf('=');
          return option.substring(0, equals) + "=" + literal(option.substring(equals + 1));
        })
        .collect(Collectors.joining(", ", "(", ")"));
  }

  static String withoutSemicolon(String sql) {
    String stripped = sql.strip();
    return stripped.endsWith(";") ? stripped.substring(0, stripped.length() - 1) : stripped;
  }
}
