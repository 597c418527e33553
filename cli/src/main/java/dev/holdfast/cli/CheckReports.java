package dev.holdfast.cli;

import dev.holdfast.operations.CheckResult;
import dev.holdfast.operations.CheckResult.Verdict;
import java.util.List;

/** What addresses turned out to be, for programs: the same sentences in each format. */
final class CheckReports {
  private static final String NAME = "holdfast check";

  private CheckReports() {}

  static String github(List<CheckResult> results) {
    GithubAnnotations annotations = new GithubAnnotations();
    for (CheckResult result : results) {
      annotations.add(
          result.expected() ? "notice" : "error",
          NAME + ": expected " + result.expectation(),
          message(result));
    }
    return annotations.toString();
  }

  static String junit(List<CheckResult> results, double seconds) {
    JunitReport junit = new JunitReport(NAME, "holdfast.check", seconds);
    for (CheckResult result : results) {
      String test =
          (result.source() == null ? result.url() : result.source())
              + " is "
              + result.expectation();
      if (result.expected()) {
        junit.passed(test, message(result));
      } else {
        junit.failed(
            test,
            new JunitReport.Problem(
                result.verdict() == Verdict.UNREACHABLE ? "error" : "failure",
                result.verdict().toString(),
                result.headline(),
                message(result)));
      }
    }
    return junit.toString();
  }

  private static String message(CheckResult result) {
    StringBuilder message = new StringBuilder();
    if (result.source() != null) {
      message.append(result.source()).append(": ");
    }
    message.append(result.headline()).append("\nat: ").append(result.url());
    result.reasons().forEach(reason -> message.append("\ntold by: ").append(reason));
    if (result.next() != null) {
      message.append("\nnext: ").append(result.next());
    }
    return message.toString();
  }
}
