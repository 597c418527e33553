package dev.holdfast.cli;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.holdfast.operations.Watch;
import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;
import java.util.ArrayList;
import java.util.List;

/**
 * A watch's findings in OASIS SARIF 2.1.0. A finding lies in a table, not in a file: its location
 * is a logical one (3.33).
 */
final class WatchSarif {
  private static final List<Rule> RULES =
      List.of(
          rule("json-keys-lost", "An update took most top-level keys of a JSON document away."),
          rule("same-row", "Calls with different values all hit the same row."),
          rule("mass-update", "One update hit most rows of a table."),
          rule("mass-delete", "One delete hit most rows of a table."),
          rule("truncate", "A table with rows was truncated."),
          rule("drop-table", "A table was dropped that was there before."),
          rule("drop-column", "A column was dropped that was there before."),
          rule("drop-schema", "A schema was dropped that was there before."));

  private WatchSarif() {}

  private record Log(@JsonProperty("$schema") String schema, String version, List<Run> runs) {}

  private record Run(Tool tool, List<Invocation> invocations, List<Result> results) {}

  private record Tool(Driver driver) {}

  private record Driver(String name, String version, List<Rule> rules) {}

  private record Rule(String id, Message shortDescription) {}

  private record Invocation(
      boolean executionSuccessful, int exitCode, List<Notification> toolExecutionNotifications) {}

  private record Notification(String level, Message message) {}

  /** {@code ruleIndex}: -1 for none. */
  private record Result(
      String ruleId, int ruleIndex, String level, Message message, List<Location> locations) {}

  private record Location(List<LogicalLocation> logicalLocations) {}

  private record LogicalLocation(String name, String fullyQualifiedName, String kind) {}

  private record Message(String text) {}

  static String of(WatchReport report) {
    return Json.line(
            new Log("https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", List.of(run(report))))
        + "\n";
  }

  private static Run run(WatchReport report) {
    List<Notification> notifications = new ArrayList<>();
    if (report.commandExitCode() != 0) {
      notifications.add(new Notification("error", message(WatchFindingText.failed(report))));
    }
    report
        .notSeen()
        .forEach(sentence -> notifications.add(new Notification("note", message(sentence))));
    return new Run(
        new Tool(new Driver("holdfast watch", Version.number(), RULES)),
        List.of(new Invocation(report.complete(), Watch.exitCode(report), notifications)),
        report.findings().stream().map(WatchSarif::result).toList());
  }

  private static Result result(WatchFinding finding) {
    return new Result(
        finding.rule(),
        RULES.stream().map(Rule::id).toList().indexOf(finding.rule()),
        WatchFindingText.isError(finding) ? "error" : "warning",
        message(WatchFindingText.message(finding)),
        locations(finding));
  }

  private static List<Location> locations(WatchFinding finding) {
    String about = WatchFindingText.about(finding);
    LogicalLocation location;
    if (finding.column() != null) {
      location = new LogicalLocation(finding.column(), about, "column");
    } else if (finding.table() != null) {
      location = new LogicalLocation(finding.table(), about, "table");
    } else if (finding.schema() != null) {
      location = new LogicalLocation(finding.schema(), about, "schema");
    } else {
      return List.of();
    }
    return List.of(new Location(List.of(location)));
  }

  private static Rule rule(String id, String description) {
    return new Rule(id, message(description));
  }

  /** Braces would be placeholders (3.11.5); a link (3.11.6) is none any more with a space in it. */
  private static Message message(String text) {
    return new Message(text.replace("{", "{{").replace("}", "}}").replace("](", "] ("));
  }
}
