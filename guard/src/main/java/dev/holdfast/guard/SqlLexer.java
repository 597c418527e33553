package dev.holdfast.guard;

import java.util.ArrayList;
import java.util.List;

/**
 * Splits a text into the tokens of PostgreSQL's SQL ("Lexical Structure", PostgreSQL 18), with
 * standard_conforming_strings on. A text that breaks off in the middle of one ends with it.
 */
final class SqlLexer {
  /** What a token is. */
  enum Kind {
    SPACE,
    COMMENT,
    /** In single quotes or dollar quotes, with its prefix. */
    TEXT,
    /** In double quotes. */
    QUOTED_NAME,
    WORD,
    NUMBER,
    /** {@code $1}. */
    PARAMETER,
    SYMBOL
  }

  /**
   * One token.
   *
   * @param start where it begins in the text
   * @param closed whether its closing quote is there, where it has one
   */
  record Token(Kind kind, int start, String text, boolean closed) {
    boolean is(String word) {
      return kind == Kind.WORD && text.equalsIgnoreCase(word);
    }

    boolean isSymbol(String symbol) {
      return kind == Kind.SYMBOL && text.equals(symbol);
    }

    boolean matters() {
      return kind != Kind.SPACE && kind != Kind.COMMENT;
    }
  }

  private final String sql;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private boolean closed;

  private SqlLexer(String sql) {
    this.sql = sql;
  }

  static List<Token> tokens(String sql) {
    SqlLexer lexer = new SqlLexer(sql);
    while (lexer.at < sql.length()) {
      int start = lexer.at;
      lexer.closed = true;
      Kind kind = lexer.next();
      lexer.tokens.add(new Token(kind, start, sql.substring(start, lexer.at), lexer.closed));
    }
    return lexer.tokens;
  }

  private char peek(int ahead) {
    return at + ahead < sql.length() ? sql.charAt(at + ahead) : '\0';
  }

  private Kind next() {
    char c = peek(0);
    if (Character.isWhitespace(c)) {
      while (Character.isWhitespace(peek(0))) {
        at++;
      }
      return Kind.SPACE;
    }
    if (c == '-' && peek(1) == '-') {
      while (at < sql.length() && peek(0) != '\n') {
        at++;
      }
      return Kind.COMMENT;
    }
    if (c == '/' && peek(1) == '*') {
      blockComment();
      return Kind.COMMENT;
    }
    if (c == '\'') {
      quoted('\'', false);
      return Kind.TEXT;
    }
    if ((c == 'E' || c == 'e') && peek(1) == '\'') {
      at++;
      quoted('\'', true);
      return Kind.TEXT;
    }
    if ("BbXxNn".indexOf(c) >= 0 && peek(1) == '\'') {
      at++;
      quoted('\'', false);
      return Kind.TEXT;
    }
    if ((c == 'U' || c == 'u') && peek(1) == '&' && (peek(2) == '\'' || peek(2) == '"')) {
      char quote = peek(2);
      at += 2;
      quoted(quote, false);
      return quote == '"' ? Kind.QUOTED_NAME : Kind.TEXT;
    }
    if (c == '"') {
      quoted('"', false);
      return Kind.QUOTED_NAME;
    }
    if (c == '$') {
      return dollar();
    }
    if (isNameStart(c)) {
      while (isNameStart(peek(0)) || isDigit(peek(0)) || peek(0) == '$') {
        at++;
      }
      return Kind.WORD;
    }
    if (isDigit(c) || (c == '.' && isDigit(peek(1)))) {
      number();
      return Kind.NUMBER;
    }
    at++;
    return Kind.SYMBOL;
  }

  private static boolean isNameStart(char c) {
    return c == '_' || c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private void blockComment() {
    int depth = 0;
    do {
      if (peek(0) == '/' && peek(1) == '*') {
        depth++;
        at += 2;
      } else if (peek(0) == '*' && peek(1) == '/') {
        depth--;
        at += 2;
      } else {
        at++;
      }
    } while (depth > 0 && at < sql.length());
    closed = depth == 0;
  }

  private void quoted(char quote, boolean backslashes) {
    at++;
    while (at < sql.length()) {
      if (backslashes && peek(0) == '\\') {
        at = Math.min(sql.length(), at + 2);
      } else if (peek(0) != quote) {
        at++;
      } else if (peek(1) == quote) {
        at += 2;
      } else {
        at++;
        return;
      }
    }
    closed = false;
  }

  private Kind dollar() {
    int end = at + 1;
    if (isDigit(peek(1))) {
      while (end < sql.length() && isDigit(sql.charAt(end))) {
        end++;
      }
      at = end;
      return Kind.PARAMETER;
    }
    while (end < sql.length()
        && (isNameStart(sql.charAt(end)) || (end > at + 1 && isDigit(sql.charAt(end))))) {
      end++;
    }
    if (end >= sql.length() || sql.charAt(end) != '$') {
      at++;
      return Kind.SYMBOL;
    }
    String tag = sql.substring(at, end + 1);
    int close = sql.indexOf(tag, end + 1);
    closed = close >= 0;
    at = close < 0 ? sql.length() : close + tag.length();
    return Kind.TEXT;
  }

  private void number() {
    while (isDigit(peek(0)) || peek(0) == '.' || peek(0) == '_') {
      at++;
    }
    boolean exponent = peek(0) == 'e' || peek(0) == 'E';
    int sign = peek(1) == '+' || peek(1) == '-' ? 2 : 1;
    if (exponent && isDigit(peek(sign))) {
      at += sign;
      while (isDigit(peek(0))) {
        at++;
      }
    }
    while (isNameStart(peek(0)) || isDigit(peek(0))) {
      at++; // 0xFF, or letters stuck to a number
    }
  }
}
