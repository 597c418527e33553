package dev.holdfast.cli;

import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;

/** A watch's findings as GitHub's annotations. */
final class WatchAnnotations {
  private WatchAnnotations() {}

  static String of(WatchReport report) {
    GithubAnnotations annotations = new GithubAnnotations();
    for (WatchFinding finding : report.findings()) {
      annotations.add(
          WatchFindingText.isError(finding) ? "error" : "warning",
          "holdfast watch: " + finding.rule(),
          WatchFindingText.message(finding));
    }
    if (!report.complete()) {
      annotations.add("error", "holdfast watch", WatchFindingText.CUT_OFF);
    }
    if (report.commandExitCode() != 0) {
      annotations.add("error", "holdfast watch", WatchFindingText.failed(report));
    }
    for (String sentence : report.notSeen()) {
      annotations.add("notice", "holdfast watch: not seen", sentence);
    }
    if (report.findings().isEmpty() && report.complete()) {
      annotations.add(
          "notice",
          "holdfast watch",
          "nothing found in %s of %s"
              .formatted(Texts.plural(report.tables(), "table"), report.database()));
    }
    return annotations.toString();
  }
}
