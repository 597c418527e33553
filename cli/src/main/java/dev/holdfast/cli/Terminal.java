package dev.holdfast.cli;

import java.io.Console;
import java.io.PrintStream;
import java.util.Map;
import java.util.Optional;

/**
 * Where a command prints: values on standard output, progress and failures on standard error.
 *
 * @param out values, and nothing else: safe to pipe
 * @param err progress, warnings, failures
 * @param outIsTerminal whether a person looks at {@code out}
 * @param errIsTerminal whether a person looks at {@code err}: progress bars only then
 * @param colour whether escapes for colour may be written
 * @param columns width of the terminal in characters
 */
record Terminal(
    PrintStream out,
    PrintStream err,
    boolean outIsTerminal,
    boolean errIsTerminal,
    boolean colour,
    int columns) {
  /** Colours with a meaning. */
  enum Colour {
    RED("31"),
    GREEN("32"),
    YELLOW("33"),
    BOLD("1"),
    DIM("2");

    private final String code;

    Colour(String code) {
      this.code = code;
    }
  }

  /** The terminal of this process. */
  static Terminal ofProcess(Map<String, String> environment) {
    // The JDK answers for standard input and output together; standard error follows them unless a
    // caller redirects it, and then TERM=dumb or --quiet is the way to say so.
    boolean terminal = Optional.ofNullable(System.console()).map(Console::isTerminal).orElse(false);
    boolean dumb = "dumb".equals(environment.get("TERM"));
    String width = environment.getOrDefault("COLUMNS", "");
    return new Terminal(
        System.out,
        System.err,
        terminal,
        terminal && !dumb,
        terminal && !dumb && !environment.containsKey("NO_COLOR"),
        width.matches("\\d{2,4}") ? Integer.parseInt(width) : 100);
  }

  /** What the person types next, without the line break; empty when there is nobody. */
  String ask(String question) {
    err.print(question);
    err.flush();
    return Optional.ofNullable(System.console()).map(Console::readLine).orElse("").strip();
  }

  /** The text in a colour, where colours are wanted. */
  String paint(Colour colour, String text) {
    return this.colour ? "\u001b[" + colour.code + "m" + text + "\u001b[0m" : text;
  }
}
