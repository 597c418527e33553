package dev.holdfast.cli;

import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;

/** What the formats for programs have in common: the same sentences in each. */
final class WatchFindingText {
  private WatchFindingText() {}

  static String message(WatchFinding finding) {
    return finding.statement() == null
        ? finding.message()
        : finding.message() + "\nby: " + finding.statement();
  }

  static boolean isError(WatchFinding finding) {
    return finding.level().equals("error");
  }

  /**
   * What it is about, as far as that has a name: {@code public.users.data}; empty if it has not.
   */
  static String about(WatchFinding finding) {
    StringBuilder name = new StringBuilder();
    for (String part : new String[] {finding.schema(), finding.table(), finding.column()}) {
      if (part != null) {
        name.append(name.isEmpty() ? "" : ".").append(part);
      }
    }
    return name.toString();
  }

  static String failed(WatchReport report) {
    return "the command failed with exit code " + report.commandExitCode();
  }

  static final String CUT_OFF = "the watch was cut off before the command ended";
}
