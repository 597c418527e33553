package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Watch;
import dev.holdfast.operations.WatchLimits;
import dev.holdfast.operations.WatchReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "watch",
    header = "Run a command on a throw-away database, and tell what it did to the rows there.",
    description = {
      "%nPuts observing triggers on every table, runs the command, takes them away again, and reports by statement and"
          + " table: calls, rows, how many different rows, JSON keys lost, tables truncated and dropped. What the"
          + " command rolls back is seen, too. Nothing is refused, and no repository is needed.%n",
      "For databases that may be broken: those of tests, of a laptop, of CI. Calls take a few milliseconds longer. The"
          + " owner of the database suffices; what only a superuser sees is named in the report.%n",
      "Ends with 4 when something was found that is an error: an update that took most keys of a JSON document away."
          + " Warnings (the same row again and again, most of a table changed at once, tables truncated or dropped that"
          + " were there before) are errors with --strict. Else with 1 when the command failed, or 0.%n",
      "For CI, --format: github writes annotations, sarif a SARIF 2.1.0 log, junit a JUnit report, in which errors are"
          + " tests that failed. What the command prints goes to standard error then, as with --json.%n",
      "After kill -9 the triggers do nothing; the next watch takes them away, or: DROP SCHEMA holdfast_watch CASCADE%n",
      "Examples:",
      "  holdfast watch \"$TEST_DATABASE_URL\" -- npm test",
      "  holdfast watch postgresql://me@localhost/shop_test --strict -- sh -c './migrate && ./seed'",
      "  holdfast watch \"$TEST_DATABASE_URL\" --format junit -- npm test > watch.xml",
    })
final class WatchCommand extends CliCommand {
  private static final int SHOWN = 40;

  @Parameters(
      index = "0",
      paramLabel = "URL",
      description = "The throw-away database: postgresql://… in any form libpq takes.")
  String url = "";

  @Parameters(
      index = "1..*",
      arity = "1..*",
      paramLabel = "COMMAND",
      description =
          "Behind --. Runs with DATABASE_URL, PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD set to it.")
  List<String> command = new ArrayList<>();

  @Option(
      names = "--no-environment",
      description = "Leave the command's environment alone: it knows its database by itself.")
  boolean noEnvironment;

  @Option(names = "--strict", description = "Warnings are errors.")
  boolean strict;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      description =
          "text (the default), json (as --json), github (annotations), sarif (2.1.0) or junit (XML).")
  @Nullable ReportFormat format;

  @Option(
      names = "--keys-min",
      paramLabel = "N",
      defaultValue = "3",
      description =
          "Keys that a JSON document had before, for the loss of some to be an error (default: ${DEFAULT-VALUE}).")
  int keysMin;

  @Option(
      names = "--keys-lost",
      paramLabel = "N%",
      converter = Percent.class,
      defaultValue = "50%",
      description = "The part of them that goes (default: ${DEFAULT-VALUE}).")
  double keysLost;

  @Option(
      names = "--mass-rows",
      paramLabel = "N",
      defaultValue = "10",
      description =
          "Rows that one UPDATE or DELETE hits, when they are half of the table, to be told of (default: ${DEFAULT-VALUE}).")
  int massRows;

  WatchCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    if (keysMin < 1 || massRows < 1) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot watch",
          "--keys-min and --mass-rows are counts from 1 on",
          "choose another number");
    }
    ReportFormat form = form(format);
    WatchLimits usual = WatchLimits.USUAL;
    Watch watch = Watch.of(url);
    CountDownLatch ended = new CountDownLatch(1);
    Shutdown.onSignal(watch::stop, ended);
    try {
      WatchReport report =
          watch.run(
              new Watch.Request(
                  command,
                  !noEnvironment,
                  form.isForPrograms(),
                  new WatchLimits(
                      keysMin,
                      keysLost / 100,
                      usual.sameRowCalls(),
                      massRows,
                      usual.massShare(),
                      strict)),
              progress());
      print(report, form);
      return Watch.exitCode(report);
    } finally {
      ended.countDown();
    }
  }

  private void print(WatchReport report, ReportFormat form) {
    switch (form) {
      case TEXT, JSON -> print(report, () -> text(report));
      case GITHUB -> utf8(WatchAnnotations.of(report));
      case SARIF -> utf8(WatchSarif.of(report));
      case JUNIT -> utf8(WatchJunit.of(report));
    }
  }

  private String text(WatchReport report) {
    StringBuilder text = new StringBuilder();
    text.append('\n')
        .append(terminal.paint(Terminal.Colour.BOLD, "watched"))
        .append(
            "  %s of %s for %s; the command %s%n"
                .formatted(
                    Texts.plural(report.tables(), "table"),
                    report.database(),
                    Texts.seconds(report.durationSeconds()),
                    report.commandExitCode() == 0
                        ? "succeeded"
                        : "failed with exit code " + report.commandExitCode()));
    if (!report.statements().isEmpty()) {
      TextTable table =
          new TextTable("table", "what", "calls", "rows", "distinct", "rolled back", "statement");
      for (WatchReport.StatementSeen seen :
          report.statements().subList(0, Math.min(SHOWN, report.statements().size()))) {
        table.row(
            seen.schema() + "." + seen.table(),
            seen.operation(),
            Texts.count(seen.calls()),
            Texts.count(seen.rows()),
            seen.distinctRows() == null
                ? "-"
                : (seen.distinctRowsExact() ? "" : "~") + Texts.count(seen.distinctRows()),
            seen.callsRolledBack() == 0 ? "-" : Texts.count(seen.callsRolledBack()),
            cut(seen.statement()));
      }
      text.append('\n').append(table.format("  "));
      if (report.statements().size() > SHOWN) {
        text.append(
            "  … and %s more; --json has them all%n"
                .formatted(Texts.count(report.statements().size() - SHOWN)));
      }
    }
    report
        .statements()
        .forEach(seen -> seen.keysLost().forEach(lost -> text.append(text(seen, lost))));
    if (!report.dropped().isEmpty()) {
      text.append("\n  dropped:\n");
      for (WatchReport.Dropped dropped : report.dropped()) {
        text.append("    ")
            .append(dropped.kind())
            .append(' ')
            .append(dropped.schema() == null ? "" : dropped.schema() + ".")
            .append(dropped.name())
            .append(dropped.column() == null ? "" : "." + dropped.column())
            .append(dropped.wasThereBefore() ? "" : ", made by the command itself")
            .append(dropped.rolledBack() ? ", rolled back" : "")
            .append('\n');
      }
    }
    text.append('\n');
    for (WatchReport.WatchFinding finding : report.findings()) {
      text.append(
              terminal.paint(
                  finding.level().equals("error") ? Terminal.Colour.RED : Terminal.Colour.YELLOW,
                  finding.level() + ":"))
          .append(' ')
          .append(finding.rule())
          .append(": ")
          .append(finding.message())
          .append('\n');
      if (finding.statement() != null) {
        text.append("  by: ").append(finding.statement()).append('\n');
      }
    }
    if (report.findings().isEmpty()) {
      text.append(
          report.complete()
              ? terminal.paint(Terminal.Colour.GREEN, "nothing found") + "\n"
              : "nothing found in what was seen\n");
    }
    for (String sentence : report.notSeen()) {
      text.append(terminal.paint(Terminal.Colour.DIM, "not seen:")).append(' ').append(sentence);
      text.append('\n');
    }
    return text.toString();
  }

  private static String text(WatchReport.StatementSeen seen, WatchReport.KeysLost lost) {
    return "  %s.%s.%s lost keys in %s: %s of %s: %s%n"
        .formatted(
            seen.schema(),
            seen.table(),
            lost.column(),
            Texts.plural(lost.rows(), "update"),
            range(lost.keysLostMin(), lost.keysLostMax()),
            range(lost.keysBeforeMin(), lost.keysBeforeMax()),
            String.join(", ", lost.keys()));
  }

  private static String range(long least, long most) {
    return least == most ? Long.toString(least) : least + " to " + most;
  }

  private String cut(String statement) {
    int room = Math.max(40, terminal.columns() - 60);
    return statement.length() <= room ? statement : statement.substring(0, room - 1) + "…";
  }
}
