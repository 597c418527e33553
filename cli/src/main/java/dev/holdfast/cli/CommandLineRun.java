package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;

/** One run of the command line: the one place that turns failures into exit codes. */
final class CommandLineRun {
  private final Terminal terminal;
  private final Map<String, String> environment;

  CommandLineRun(Terminal terminal, Map<String, String> environment) {
    this.terminal = terminal;
    this.environment = environment;
  }

  int execute(String... arguments) {
    boolean json = List.of(arguments).contains("--json");
    CommandLine line =
        new CommandLine(new HoldfastCommand(), new Commands(terminal, environment))
            .setOut(new PrintWriter(terminal.out(), true, StandardCharsets.UTF_8))
            .setErr(new PrintWriter(terminal.err(), true, StandardCharsets.UTF_8))
            .setColorScheme(
                CommandLine.Help.defaultColorScheme(
                    terminal.colour() ? CommandLine.Help.Ansi.ON : CommandLine.Help.Ansi.OFF))
            .setUsageHelpWidth(Math.max(80, Math.min(terminal.columns(), 120)))
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setExecutionExceptionHandler((failure, _, _) -> report(failure, json))
            .setParameterExceptionHandler((failure, _) -> {
              report(
                  new OperatorException(
                      Kind.USAGE,
                      "wrong usage",
                      String.valueOf(failure.getMessage()),
                      failure.getCommandLine().getCommandSpec().qualifiedName()
                          + " --help shows how"),
                  json);
              return Kind.USAGE.exitCode();
            });
    return line.execute(arguments);
  }

  private int report(Exception failure, boolean json) {
    OperatorException told =
        failure instanceof OperatorException operatorException
            ? operatorException
            : new OperatorException(
                Kind.FAILED,
                "holdfast met an error of its own",
                failure.toString(),
                "please report this with the output of the same command and HOLDFAST_LOG=debug;"
                    + " writes to production are single transactions, all or nothing",
                failure);
    // The trace is for whoever mends Holdfast: it reaches the log only when asked for.
    LoggerFactory.getLogger(CommandLineRun.class).debug("command failed", failure);
    if (json) {
      terminal
          .err()
          .println(
              Json.line(
                  Map.of(
                      "error",
                      new Failure(
                          told.kind().name().toLowerCase(java.util.Locale.ROOT),
                          told.kind().exitCode(),
                          told.what(),
                          told.why(),
                          told.next()))));
    } else {
      terminal.err().println(terminal.paint(Terminal.Colour.RED, "error:") + " " + told.what());
      terminal.err().println("  why:  " + indented(told.why()));
      terminal.err().println("  next: " + indented(told.next()));
    }
    return told.kind().exitCode();
  }

  private static String indented(String text) {
    return text.strip().replace("\n", "\n        ");
  }

  /** A failure as {@code --json} prints it, on standard error. */
  record Failure(String kind, int exitCode, String what, String why, String next) {}
}
