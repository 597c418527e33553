package dev.holdfast.cli;

import dev.holdfast.operations.Progress;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
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
}
