package dev.holdfast.cli;

import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;

/**
 * A watch's findings as a JUnit report: an error is a test that failed, a warning one that passed
 * and printed something. The command itself is a test, too.
 */
final class WatchJunit {
  private WatchJunit() {}

  static String of(WatchReport report) {
    JunitReport junit =
        new JunitReport(
            "holdfast watch " + report.database(), "holdfast.watch", report.durationSeconds());
    if (report.commandExitCode() == 0) {
      junit.passed("the command");
    } else {
      String failed = WatchFindingText.failed(report);
      junit.failed("the command", new JunitReport.Problem("failure", "command", failed, failed));
    }
    String toItsEnd = "watched to its end";
    if (report.complete()) {
      junit.passed(toItsEnd);
    } else {
      junit.failed(
          toItsEnd,
          new JunitReport.Problem(
              "error", "cut-off", WatchFindingText.CUT_OFF, String.join("\n", report.notSeen())));
    }
    for (WatchFinding finding : report.findings()) {
      String about = WatchFindingText.about(finding);
      String test = finding.rule() + (about.isEmpty() ? "" : ": " + about);
      String message = WatchFindingText.message(finding);
      if (WatchFindingText.isError(finding)) {
        junit.failed(
            test, new JunitReport.Problem("failure", finding.rule(), finding.message(), message));
      } else {
        junit.passed(test, "warning: " + message);
      }
    }
    if (!report.notSeen().isEmpty()) {
      junit.printed("not seen: " + String.join("\nnot seen: ", report.notSeen()));
    }
    return junit.toString();
  }
}
