package dev.holdfast.cli;

import java.util.Map;
import picocli.CommandLine.ParentCommand;

/** A command of {@code holdfast} itself. */
abstract class CliCommand extends AnsweringCommand {
  @ParentCommand HoldfastCommand holdfast = new HoldfastCommand();

  CliCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }
}
