package dev.holdfast.cli;

import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.IFactory;

/** Makes commands, giving each the terminal and the environment of this run. */
final class Commands implements IFactory {
  private final Terminal terminal;
  private final Map<String, String> environment;

  Commands(Terminal terminal, Map<String, String> environment) {
    this.terminal = terminal;
    this.environment = environment;
  }

  @Override
  public <K> K create(Class<K> type) throws Exception {
    if (AnsweringCommand.class.isAssignableFrom(type)) {
      return type.cast(
          type.asSubclass(AnsweringCommand.class)
              .getDeclaredConstructor(Terminal.class, Map.class)
              .newInstance(terminal, environment));
    }
    return CommandLine.defaultFactory().create(type);
  }
}
