package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Progress;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;

/** What every command has, at whatever depth: a terminal, an environment, the way it answers. */
abstract class AnsweringCommand implements Callable<Integer> {
  final Terminal terminal;
  final Map<String, String> environment;

  @Mixin OutputOptions output = new OutputOptions();

  AnsweringCommand(Terminal terminal, Map<String, String> environment) {
    this.terminal = terminal;
    this.environment = environment;
  }

  final Progress progress() {
    return output.progress(terminal);
  }

  /** Prints a value: as JSON when asked, else as the text for people. */
  final void print(Object value, Supplier<String> text) {
    if (output.json) {
      terminal.out().println(Json.line(value));
    } else {
      terminal.out().print(text.get());
    }
    terminal.out().flush();
  }

  /** The format that was asked for with {@code --format}, which knows {@code --json}, too. */
  final ReportFormat form(@Nullable ReportFormat asked) {
    if (output.json && asked != null && asked != ReportFormat.JSON) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot tell in two ways at once",
          "--json and --format " + asked.name().toLowerCase(Locale.ROOT) + " are two formats",
          "leave out one of them");
    }
    if (asked == ReportFormat.JSON) {
      output.json = true;
    }
    return output.json ? ReportFormat.JSON : asked == null ? ReportFormat.TEXT : asked;
  }

  /** Prints for a program, in UTF-8 whatever a terminal here would show. */
  final void utf8(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    terminal.out().write(bytes, 0, bytes.length);
    terminal.out().flush();
  }
}
