package dev.holdfast.cli;

import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;

/**
 * A watch's findings as GitHub's workflow commands, one to a line: they are shown on the run's
 * page.
 *
 * <p>Names and statements come from whoever wrote them: what would end a line, or begin another
 * command, is escaped as {@code @actions/toolkit} does ("packages/core/src/command.ts").
 */
final class WatchAnnotations {
  private WatchAnnotations() {}

  static String of(WatchReport report) {
    // The command's own last line may not have ended, and a command begins a line.
    StringBuilder text = new StringBuilder("\n");
    for (WatchFinding finding : report.findings()) {
      line(
          text,
          WatchFindingText.isError(finding) ? "error" : "warning",
          "holdfast watch: " + finding.rule(),
          WatchFindingText.message(finding));
    }
    if (!report.complete()) {
      line(text, "error", "holdfast watch", WatchFindingText.CUT_OFF);
    }
    if (report.commandExitCode() != 0) {
      line(text, "error", "holdfast watch", WatchFindingText.failed(report));
    }
    for (String sentence : report.notSeen()) {
      line(text, "notice", "holdfast watch: not seen", sentence);
    }
    if (report.findings().isEmpty() && report.complete()) {
      line(
          text,
          "notice",
          "holdfast watch",
          "nothing found in %s of %s"
              .formatted(Texts.plural(report.tables(), "table"), report.database()));
    }
    return text.toString();
  }

  private static void line(StringBuilder text, String level, String title, String message) {
    text.append("::")
        .append(level)
        .append(" title=")
        .append(data(title).replace(":", "%3A").replace(",", "%2C"))
        .append("::")
        .append(data(message))
        .append('\n');
  }

  private static String data(String text) {
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A");
  }
}
