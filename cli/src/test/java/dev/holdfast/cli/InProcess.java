package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** {@code holdfast} in the process of the test, for whatever is not about processes. */
final class InProcess {
  private InProcess() {}

  /**
   * Runs it once; standard output and standard error are no terminal.
   *
   * @param environment all its environment variables; without {@code XDG_CONFIG_HOME} among them,
   *     keys are looked for in the home directory of whoever runs the test
   */
  static Ended run(Map<String, String> environment, String... arguments) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    Terminal terminal =
        new Terminal(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            false,
            false,
            false,
            100);
    int exitCode = new CommandLineRun(terminal, environment).execute(arguments);
    Ended ended =
        new Ended(
            exitCode, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    assertThat(ended.err()).as("no stack trace reaches a user").doesNotContain("\tat ");
    return ended;
  }
}
