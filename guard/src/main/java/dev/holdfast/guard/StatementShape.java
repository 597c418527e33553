package dev.holdfast.guard;

import dev.holdfast.guard.SqlLexer.Kind;
import dev.holdfast.guard.SqlLexer.Token;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What calls of one statement with different values have in common. */
public final class StatementShape {
  private static final int SHOWN_MAX = 300;

  private StatementShape() {}

  /**
   * The statement on one line: comments and white space folded, values and parameters as {@code ?},
   * a list of them as {@code ?, …}, several rows of VALUES as one. Cut after 300 characters.
   */
  public static String of(String sql) {
    List<String> parts = new ArrayList<>();
    boolean spaced = false;
    for (Token token : SqlLexer.tokens(sql)) {
      if (!token.matters()) {
        spaced = true;
        continue;
      }
      String part =
          switch (token.kind()) {
            case TEXT, NUMBER, PARAMETER -> "?";
            case SPACE, COMMENT, QUOTED_NAME, WORD, SYMBOL -> token.text();
          };
      if (spaced && !parts.isEmpty()) {
        parts.add(" ");
      }
      parts.add(part);
      spaced = false;
    }
    String text = String.join("", parts).replaceAll("[ ;]+$", "");
    text = text.replaceAll("\\? ?(, ?\\? ?)+", "?, …");
    text = text.replaceAll("(\\([^()]*\\)) ?(, ?\\1 ?)+", "$1, …");
    return text.length() <= SHOWN_MAX ? text : text.substring(0, SHOWN_MAX) + "…";
  }

  /** Whether its values come as parameters, so that the text does not tell them. */
  public static boolean isParameterised(String sql) {
    return SqlLexer.tokens(sql).stream().anyMatch(token -> token.kind() == Kind.PARAMETER);
  }

  /** Whether it has no WHERE: a word that decides which rows are meant. */
  public static boolean isUnconditional(String sql) {
    return SqlLexer.tokens(sql).stream()
        .noneMatch(token ->
            token.kind() == Kind.WORD && token.text().toUpperCase(Locale.ROOT).equals("WHERE"));
  }
}
