package dev.holdfast.cli;

import dev.holdfast.operations.Progress;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.ParentCommand;

/** What every command has: a terminal, an environment, and the way it answers. */
abstract class CliCommand implements Callable<Integer> {
  final Terminal terminal;
  final Map<String, String> environment;

  @ParentCommand HoldfastCommand holdfast = new HoldfastCommand();

  @Mixin OutputOptions output = new OutputOptions();

  CliCommand(Terminal terminal, Map<String, String> environment) {
    this.terminal = terminal;
    this.environment = environment;
  }

  final Progress progress() {
    return output.progress(terminal);
  }

  /** Prints a value: as JSON when asked, else as the text for people. */
  final void print(Object value, java.util.function.Supplier<String> text) {
    if (output.json) {
      terminal.out().println(Json.line(value));
    } else {
      terminal.out().print(text.get());
    }
    terminal.out().flush();
  }
}
