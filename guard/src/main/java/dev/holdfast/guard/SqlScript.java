package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.SqlLexer.Token;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * A file of SQL, statement by statement, fit to be run inside a transaction that somebody else
 * ends.
 *
 * @param statements those that do something, in order
 */
public record SqlScript(List<Statement> statements) {
  private static final String WHAT = "cannot run this script in a transaction";

  private static final Set<String> ENDS =
      Set.of("BEGIN", "START", "COMMIT", "END", "ABORT", "ROLLBACK", "PREPARE");

  /**
   * One statement.
   *
   * @param line where it begins, from 1
   * @param text without the semicolon
   */
  public record Statement(int line, String text) {}

  /** Copies. */
  public SqlScript {
    statements = List.copyOf(statements);
  }

  /**
   * Reads a script.
   *
   * @throws OperatorException USAGE for what is psql's and not SQL, and for statements that would
   *     end the transaction, with the line
   */
  public static SqlScript parse(String text) {
    List<Statement> statements = new ArrayList<>();
    List<Token> statement = new ArrayList<>();
    int[] lineBreaks =
        IntStream.range(0, text.length()).filter(i -> text.charAt(i) == '\n').toArray();
    int atomic = 0;
    for (Token token : SqlLexer.tokens(text)) {
      if (!token.closed()) {
        throw refused(
            text,
            token.start(),
            "a quote or comment that begins there is never closed",
            "close it");
      }
      if (token.isSymbol("\\")) {
        throw refused(
            text,
            token.start(),
            "\"" + wordsAt(text, token.start()) + "\" is a command of psql, not SQL",
            "take it out; what \\i would bring in goes into the file itself, and the database is"
                + " chosen on holdfast's command line");
      }
      if (token.isSymbol(";") && atomic == 0) {
        add(text, lineBreaks, statement, statements);
        statement.clear();
        continue;
      }
      if (token.matters() || !statement.isEmpty()) {
        statement.add(token);
      }
      atomic += atomicDepth(statement, token, atomic);
    }
    add(text, lineBreaks, statement, statements);
    if (statements.isEmpty()) {
      throw new OperatorException(
          Kind.USAGE, WHAT, "there is no statement in it", "name a file with SQL in it");
    }
    return new SqlScript(statements);
  }

  /** Of the body of a function in SQL's own form, whose semicolons end nothing. */
  private static int atomicDepth(List<Token> statement, Token token, int depth) {
    if (depth == 0) {
      if (!token.is("ATOMIC")) {
        return 0;
      }
      List<Token> words = statement.stream().filter(Token::matters).toList();
      return words.size() > 2
              && words.getFirst().is("CREATE")
              && words.get(words.size() - 2).is("BEGIN")
          ? 1
          : 0;
    }
    return token.is("CASE") ? 1 : token.is("END") ? -1 : 0;
  }

  private static void add(
      String text, int[] lineBreaks, List<Token> tokens, List<Statement> statements) {
    List<Token> words = tokens.stream().filter(Token::matters).toList();
    if (words.isEmpty()) {
      return;
    }
    int start = words.getFirst().start();
    refuseWhatEndsTheTransaction(text, words);
    refuseCopyFromClient(text, words);
    Token last = words.getLast();
    statements.add(
        new Statement(
            1 - Arrays.binarySearch(lineBreaks, start) - 1,
            text.substring(start, last.start() + last.text().length())));
  }

  private static void refuseWhatEndsTheTransaction(String text, List<Token> words) {
    String first = words.getFirst().text().toUpperCase(Locale.ROOT);
    if (!ENDS.contains(first)) {
      return;
    }
    boolean toSavepoint =
        first.equals("ROLLBACK") && words.stream().skip(1).limit(2).anyMatch(w -> w.is("TO"));
    boolean preparedStatement =
        first.equals("PREPARE") && words.size() > 1 && !words.get(1).is("TRANSACTION");
    if (!toSavepoint && !preparedStatement) {
      throw refused(
          text,
          words.getFirst().start(),
          "%s would end or begin the transaction that the whole script is tried in"
              .formatted(first),
          "take it out: everything is one transaction, which you commit after you have seen what it"
              + " does; savepoints may stay");
    }
  }

  private static void refuseCopyFromClient(String text, List<Token> words) {
    if (!words.getFirst().is("COPY")) {
      return;
    }
    for (int at = 1; at < words.size(); at++) {
      if (words.get(at).is("STDIN") || words.get(at).is("STDOUT")) {
        throw refused(
            text,
            words.getFirst().start(),
            "COPY with rows that the client gives or takes is psql's work",
            "write the rows as INSERT, or load them into a table beforehand");
      }
    }
  }

  /** Whether some of it may be undone within: then counters count more than what is there. */
  public boolean mayRollBackWithin() {
    return statements.stream()
        .flatMap(statement -> SqlLexer.tokens(statement.text()).stream())
        .anyMatch(token ->
            token.is("SAVEPOINT")
                || (token.text().toUpperCase(Locale.ROOT).contains("EXCEPTION")
                    && token.matters()));
  }

  private static OperatorException refused(String text, int at, String why, String next) {
    return new OperatorException(Kind.USAGE, WHAT, "line " + line(text, at) + ": " + why, next);
  }

  private static String wordsAt(String text, int start) {
    int end = start;
    while (end < text.length() && end < start + 40 && text.charAt(end) != '\n') {
      end++;
    }
    return text.substring(start, end).strip();
  }

  private static int line(String text, int at) {
    return 1 + (int) text.substring(0, at).chars().filter(c -> c == '\n').count();
  }
}
