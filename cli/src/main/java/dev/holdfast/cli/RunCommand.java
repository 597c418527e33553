package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Run;
import dev.holdfast.operations.RunReport;
import dev.holdfast.operations.WatchReport;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "run",
    header = "Run SQL in one transaction, see what it did, then commit or roll back.",
    description = {
      "%nBegins a transaction, runs the file in it, and shows what it did: rows by table, JSON keys lost, rows before and"
          + " after, tables and columns dropped. Then it asks for the database's name; anything else rolls back, and so"
          + " does everything that goes wrong. Where nobody can be asked it rolls back, unless --commit names the database.%n",
      "Any PostgreSQL, nothing installed in it. While it is open the transaction holds its locks: decide soon.%n",
      "What cannot run in a transaction (CREATE INDEX CONCURRENTLY, VACUUM) cannot be tried. BEGIN and COMMIT in the file,"
          + " and psql's own commands, are refused.%n",
      "Examples:",
      "  holdfast run postgresql://me@db.internal/shop fix.sql",
      "  holdfast run acme fix.sql --url postgresql://owner@db.internal/shop",
      "  echo 'DELETE FROM users WHERE id = 7' | holdfast run acme - --json",
      "  holdfast run acme fix.sql --commit shop        in a script that was tried before",
    })
final class RunCommand extends CliCommand {
  private static final int STATEMENTS_SHOWN = 20;
  private static final int OBJECTS_SHOWN = 60;

  @Parameters(
      index = "0",
      paramLabel = "NAME|URL",
      description = "A protected server, or postgresql://… in any form libpq takes.")
  String nameOrUrl = "";

  @Parameters(index = "1", paramLabel = "FILE", description = "SQL in UTF-8; - is standard input.")
  String file = "";

  @Option(
      names = "--commit",
      paramLabel = "DATABASE",
      description = "Commit without asking, if this is the database's name.")
  @Nullable String commit;

  @Option(
      names = "--lock-timeout",
      paramLabel = "SECONDS",
      defaultValue = "5",
      description = "How long a statement waits for a lock (default: ${DEFAULT-VALUE}).")
  double lockSeconds;

  @Option(
      names = "--statement-timeout",
      paramLabel = "SECONDS",
      defaultValue = "300",
      description = "How long one statement may take (default: ${DEFAULT-VALUE}).")
  double statementSeconds;

  @Option(
      names = "--look-timeout",
      paramLabel = "SECONDS",
      defaultValue = "10",
      description =
          "How long to look at the rows of one table, before and after (default: ${DEFAULT-VALUE}).")
  double lookSeconds;

  @Option(
      names = "--decide-within",
      paramLabel = "SECONDS",
      defaultValue = "600",
      description =
          "How long to wait for an answer before rolling back (default: ${DEFAULT-VALUE}).")
  double decideSeconds;

  @Mixin OwnerOptions owner = new OwnerOptions();

  RunCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    if (lockSeconds <= 0 || statementSeconds <= 0 || lookSeconds <= 0 || decideSeconds <= 0) {
      throw new OperatorException(
          Kind.USAGE, "cannot run " + file, "a timeout is not above 0", "give more seconds");
    }
    Run run =
        Run.of(
            nameOrUrl,
            owner.url(environment),
            () -> owner.repository.location(holdfast.repository, environment));
    if (commit != null && !commit.equals(run.database())) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot run " + file,
          "--commit names \"%s\"; this database is \"%s\"".formatted(commit, run.database()),
          "see which database is meant; nothing was run");
    }
    String text = Run.read(file, System.in);
    RunReport report =
        run.run(
            text,
            new Run.Limits(lockSeconds, statementSeconds, lookSeconds, decideSeconds),
            this::decide,
            progress());
    if (output.json || asked(report)) {
      print(report, () -> ending(report));
    } else {
      print(report, () -> text(report) + ending(report));
    }
    return 0;
  }

  private boolean mayAsk() {
    return commit == null && !output.json && terminal.outIsTerminal() && !file.equals("-");
  }

  private boolean asked(RunReport report) {
    return mayAsk() && !isNothing(report);
  }

  private static boolean isNothing(RunReport report) {
    return report.tables().isEmpty() && report.objects().isEmpty();
  }

  private boolean decide(RunReport report) {
    if (commit != null) {
      return commit.equals(report.database());
    }
    if (!asked(report)) {
      return false;
    }
    terminal.out().print(text(report));
    terminal.out().flush();
    return terminal
        .ask(
            "type the database's name (%s) to commit, anything else to roll back: "
                .formatted(report.database()))
        .equals(report.database());
  }

  private String ending(RunReport report) {
    if (report.committed()) {
      return terminal.paint(Terminal.Colour.GREEN, "committed") + "\n";
    }
    return terminal.paint(Terminal.Colour.BOLD, "rolled back")
        + ": nothing was changed\n"
        + (asked(report) || isNothing(report)
            ? ""
            : "next: on a terminal, type the database's name when asked; in a script: --commit %s%n"
                .formatted(Texts.word(report.database())));
  }

  private String text(RunReport report) {
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.BOLD, "tried"))
        .append(
            "  %s in %s as %s%n"
                .formatted(
                    Texts.plural(report.statements().size(), "statement"),
                    report.database(),
                    report.user()));
    report.statements().stream()
        .limit(STATEMENTS_SHOWN)
        .forEach(ran ->
            text.append(
                "  line %d: %s%s%n"
                    .formatted(
                        ran.line(),
                        ran.statement(),
                        ran.rows() == null ? "" : "  (" + Texts.plural(ran.rows(), "row") + ")")));
    if (report.statements().size() > STATEMENTS_SHOWN) {
      text.append(
          "  … and %s more%n"
              .formatted(Texts.count(report.statements().size() - STATEMENTS_SHOWN)));
    }
    if (isNothing(report)) {
      return text.append("\nit changed nothing\n").toString();
    }
    if (!report.tables().isEmpty()) {
      text.append('\n').append(rows(report).format("  "));
      report.tables().forEach(table -> text.append(text(table)));
    }
    if (!report.objects().isEmpty()) {
      text.append("\n  definitions:\n");
      report.objects().stream()
          .limit(OBJECTS_SHOWN)
          .forEach(object ->
              text.append("    ")
                  .append(
                      terminal.paint(
                          object.action().equals("dropped")
                              ? Terminal.Colour.RED
                              : Terminal.Colour.DIM,
                          object.action()))
                  .append(' ')
                  .append(object.kind())
                  .append(' ')
                  .append(object.was() == null ? object.is() : object.was())
                  .append(object.was() != null && object.is() != null ? "  →  " + object.is() : "")
                  .append(
                      object.rows() == null || !object.action().equals("dropped")
                          ? ""
                          : " with about " + Texts.plural(object.rows(), "row"))
                  .append('\n'));
      if (report.objects().size() > OBJECTS_SHOWN) {
        text.append(
            "    … and %s more; --json has them all%n"
                .formatted(Texts.count(report.objects().size() - OBJECTS_SHOWN)));
      }
    }
    text.append('\n');
    for (String note : report.notes()) {
      text.append(terminal.paint(Terminal.Colour.DIM, "note:")).append(' ').append(note);
      text.append('\n');
    }
    return text.toString();
  }

  /** Partitions summed to the table they are of. */
  private static TextTable rows(RunReport report) {
    Map<String, List<RunReport.Table>> byTable = new LinkedHashMap<>();
    for (RunReport.Table table : report.tables()) {
      String name =
          table.partitionOf() == null ? table.schema() + "." + table.table() : table.partitionOf();
      byTable.computeIfAbsent(name, _ -> new ArrayList<>()).add(table);
    }
    TextTable text = new TextTable("table", "inserted", "updated", "deleted", "");
    byTable.forEach((name, tables) -> {
      long gone = tables.stream().mapToLong(t -> t.rowsGone() == null ? 0 : t.rowsGone()).sum();
      boolean truncated = tables.stream().anyMatch(t -> t.action().equals("truncated"));
      boolean rewritten = tables.stream().anyMatch(t -> t.action().equals("rewritten"));
      text.row(
          name,
          count(tables.stream().mapToLong(RunReport.Table::rowsInserted).sum()),
          count(tables.stream().mapToLong(RunReport.Table::rowsUpdated).sum()),
          count(tables.stream().mapToLong(RunReport.Table::rowsDeleted).sum()),
          truncated
              ? "truncated, about " + Texts.plural(gone, "row")
              : rewritten ? "rewritten" : "");
    });
    return text;
  }

  private static String count(long count) {
    return count == 0 ? "-" : Texts.count(count);
  }

  private String text(RunReport.Table table) {
    StringBuilder text = new StringBuilder();
    String name = table.schema() + "." + table.table();
    for (WatchReport.KeysLost lost : table.jsonKeysLost()) {
      text.append("  ")
          .append(terminal.paint(Terminal.Colour.RED, "keys lost"))
          .append(
              " in %s of %s.%s: %s of %s: %s%n"
                  .formatted(
                      Texts.plural(lost.rows(), "row"),
                      name,
                      lost.column(),
                      range(lost.keysLostMin(), lost.keysLostMax()),
                      range(lost.keysBeforeMin(), lost.keysBeforeMax()),
                      String.join(", ", lost.keys())));
    }
    for (RunReport.Sample sample : table.samples()) {
      text.append("  ")
          .append(name)
          .append(": ")
          .append(sample.before() == null ? "(new)" : cut(sample.before()))
          .append("\n      → ")
          .append(sample.after() == null ? "(gone)" : cut(sample.after()))
          .append('\n');
    }
    if (table.notLookedAt() != null) {
      text.append("  ")
          .append(terminal.paint(Terminal.Colour.YELLOW, "not looked at:"))
          .append(" %s: %s%n".formatted(name, table.notLookedAt()));
    }
    return text.toString();
  }

  private static String range(long least, long most) {
    return least == most ? Long.toString(least) : least + " to " + most;
  }

  private String cut(String row) {
    int room = Math.max(60, terminal.columns() - 12);
    return row.length() <= room ? row : row.substring(0, room - 1) + "…";
  }
}
