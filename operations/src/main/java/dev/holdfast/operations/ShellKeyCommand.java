package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.Processes;
import dev.holdfast.store.KeyCommand;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A key service asked by a command of the operator's: run by the shell with {@code wrap} or {@code
 * unwrap} as its last word, it reads bytes on standard input and answers with bytes on standard
 * output.
 */
final class ShellKeyCommand implements KeyCommand {
  private static final long SECONDS_MAX = 60;

  private static final Pattern ASSIGNMENT = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*=.*");

  private final String command;
  private final String toldBy;

  /**
   * @param toldBy the option, variable or setting that has it
   */
  ShellKeyCommand(String command, String toldBy) {
    this.command = command;
    this.toldBy = toldBy;
  }

  /**
   * No more than its first word: what follows may hold a token, and so may a variable before it.
   */
  @Override
  public String name() {
    String first = command.strip().split("[\\s;|&<>()]", 2)[0];
    return first.isEmpty() || ASSIGNMENT.matcher(first).matches()
        ? "the key command"
        : "the key command `" + first + " …`";
  }

  @Override
  public byte[] wrap(byte[] key) {
    return ask("wrap", key);
  }

  @Override
  public byte[] unwrap(byte[] wrapped) {
    return ask("unwrap", wrapped);
  }

  private byte[] ask(String action, byte[] input) {
    String line = command + " " + action;
    Processes.Answer answer = Processes.ask(List.of("/bin/sh", "-c", line), input, SECONDS_MAX);
    if (answer.exitCode() != 0 || answer.bytes().length == 0) {
      String said = answer.errors().strip();
      throw new OperatorException(
          Kind.USAGE,
          "cannot " + action + " the repository's key",
          "%s (%s) %s%s"
              .formatted(
                  name(),
                  toldBy,
                  answer.exitCode() != 0
                      ? "ended with exit code " + answer.exitCode()
                      : "answered with nothing",
                  said.isEmpty() ? "" : ": " + said),
          "run it by hand with some bytes on its standard input; it answers with the wrapped or"
              + " unwrapped bytes on standard output");
    }
    return answer.bytes();
  }
}
