package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.slf4j.LoggerFactory;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** One run of the command line: the one place that turns failures into exit codes. */
final class CommandLineRun {
  private final Terminal terminal;
  private final Map<String, String> environment;

  CommandLineRun(Terminal terminal, Map<String, String> environment) {
    this.terminal = terminal;
    this.environment = environment;
  }

  int execute(String... arguments) {
    // What stands behind -- is another program's.
    boolean json =
        Arrays.stream(arguments).takeWhile(a -> !a.equals("--")).anyMatch("--json"::equals);
    CommandLine line = new CommandLine(new HoldfastCommand(), new Commands(terminal, environment));
    commands(line.getCommandSpec(), arguments).forEach(line::addSubcommand);
    line.setOut(new PrintWriter(terminal.out(), true, StandardCharsets.UTF_8))
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
                  failure.getCommandLine().getCommandSpec().qualifiedName() + " --help shows how"),
              json);
          return Kind.USAGE.exitCode();
        });
    return line.execute(arguments);
  }

  /**
   * The command that the line begins with, after options that have a value: to look at the options
   * of all the others takes longer than most commands do. All of them where it begins with anything
   * else, help for example, which lists them.
   */
  private static List<Class<?>> commands(CommandSpec holdfast, String... arguments) {
    for (int at = 0; at < arguments.length; at++) {
      String argument = arguments[at];
      int equals = argument.indexOf('=');
      OptionSpec option =
          holdfast.findOption(equals < 0 ? argument : argument.substring(0, equals));
      if (option == null) {
        return HoldfastCommand.COMMANDS.stream()
            .filter(command -> command.getAnnotation(Command.class).name().equals(argument))
            .filter(command -> command != AutoComplete.GenerateCompletion.class) // tells of all
            .findFirst()
            .<List<Class<?>>>map(List::of)
            .orElse(HoldfastCommand.COMMANDS);
      }
      if (option.arity().max() == 0) {
        break; // for help or the version
      }
      if (equals < 0) {
        at++;
      }
    }
    return HoldfastCommand.COMMANDS;
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
