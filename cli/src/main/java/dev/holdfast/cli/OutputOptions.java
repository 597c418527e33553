package dev.holdfast.cli;

import dev.holdfast.operations.Progress;
import picocli.CommandLine.Option;

/** How a command answers. */
final class OutputOptions {
  @Option(
      names = "--json",
      description = "Print values as JSON, one object to a line; failures too, on standard error.")
  boolean json;

  @Option(
      names = {"-q", "--quiet"},
      description = "No progress on standard error.")
  boolean quiet;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  boolean help;

  Progress progress(Terminal terminal) {
    return quiet || (json && !terminal.errIsTerminal())
        ? Progress.SILENT
        : new TerminalProgress(terminal, System::nanoTime);
  }
}
