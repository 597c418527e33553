package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Diff;
import dev.holdfast.operations.DiffEntry;
import dev.holdfast.operations.DiffRequest;
import dev.holdfast.operations.DiffSummary;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "diff",
    header = "What is different between two databases: definitions and rows.",
    description = {
      "%nA and B are URLs, or NAME[/DATABASE]: the newest recorded state of a protected server, as a fork of it. Both are"
          + " only read, each in one snapshot; a standby will do, and no lock is held for longer than a statement."
          + " PostgreSQL 14 to 18, not necessarily the same.%n",
      "Rows are summed up inside the databases, by ranges of the primary key or by hash; only where sums differ are rows"
          + " looked at. Neither the order of rows or columns nor a collation plays a part. 1.0 and 1.00 are different.%n",
      "A table that somebody else holds for more than 5 seconds is named and passed over. What is never compared is listed"
          + " at the end. When a side is lost, the last line says how far it came.%n",
      "Ends with 0 when everything is equal, 4 when something differs, 7 when a side cannot be reached or was lost, and 1"
          + " when nothing differs in what could be compared, but not everything was.%n",
      "Examples:",
      "  holdfast diff postgresql://me@db1/shop postgresql://me@db2/shop",
      "  holdfast diff \"$PRODUCTION\" \"$STAGING\" --schema-only --ignore owner,grants,position",
      "  holdfast diff postgresql://me@db1/shop acme/shop      with what was recorded last",
    })
final class DiffCommand extends CliCommand {
  private static final int VALUE = 60;

  @Parameters(
      index = "0",
      paramLabel = "A",
      description = "postgresql://… in any form libpq takes, or NAME[/DATABASE].")
  String a = "";

  @Parameters(index = "1", paramLabel = "B", description = "Likewise.")
  String b = "";

  @Option(names = "--schema-only", description = "Definitions alone.")
  boolean schemaOnly;

  @Option(names = "--data-only", description = "Rows alone.")
  boolean dataOnly;

  @Option(
      names = "--tables",
      paramLabel = "T",
      split = ",",
      description =
          "Only these, and what hangs on them: TABLE (in public) or SCHEMA.TABLE, commas between.")
  List<String> tables = List.of();

  @Option(
      names = "--exclude",
      paramLabel = "T",
      split = ",",
      description = "Not these tables, nor what hangs on them.")
  List<String> exclude = List.of();

  @Option(
      names = "--ignore",
      paramLabel = "WHAT",
      split = ",",
      description =
          "Pass over kinds of objects (sequence, trigger …) or properties (owner, grants, position …), as they are printed.")
  List<String> ignore = List.of();

  @Option(
      names = "--rows",
      paramLabel = "N",
      defaultValue = "10",
      description = "Differing rows to show of each table (default: ${DEFAULT-VALUE}).")
  int rows;

  @Option(
      names = "--stop-after",
      paramLabel = "N",
      defaultValue = "10000",
      description = "Stop after so many differences (default: ${DEFAULT-VALUE}).")
  long stopAfter;

  @Option(names = "--for", paramLabel = "SECONDS", description = "Stop after this time.")
  @Nullable Double seconds;

  @Option(
      names = "--scratch",
      paramLabel = "DIR",
      description = "Make forks in this folder instead of the system's temporary one.")
  @Nullable Path scratch;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  private @Nullable String heading;

  DiffCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    if (schemaOnly && dataOnly) {
      throw wrong("--schema-only and --data-only together leave nothing", "choose one");
    }
    if (rows < 0 || stopAfter < 1 || (seconds != null && seconds <= 0)) {
      throw wrong("--rows, --stop-after or --for is too small", "give more");
    }
    DiffSummary summary =
        Diff.run(
            new DiffRequest(
                a,
                b,
                !dataOnly,
                !schemaOnly,
                tables,
                exclude,
                ignore,
                rows,
                stopAfter,
                seconds,
                scratch),
            () -> repository.location(holdfast.repository, environment),
            entry -> {
              print(entry, () -> text(entry));
              return !terminal.out().checkError(); // nobody reads any more: | head has seen enough
            },
            progress());
    print(summary, () -> text(summary));
    return Diff.exitCode(summary);
  }

  private static OperatorException wrong(String why, String next) {
    return new OperatorException(Kind.USAGE, "cannot compare", why, next);
  }

  private String text(DiffEntry entry) {
    return switch (entry) {
      case DiffEntry.OfSchema schema -> text(schema);
      case DiffEntry.OfRow row -> text(row);
      case DiffEntry.OfTable table ->
          "  %s rows differ: %s only in A, %s only in B, %s different; A has %s, B %s%s%n"
              .formatted(
                  terminal.paint(Terminal.Colour.BOLD, table.schema() + "." + table.table()),
                  Texts.count(table.rowsOnlyInA()),
                  Texts.count(table.rowsOnlyInB()),
                  Texts.count(table.rowsDifferent()),
                  Texts.count(table.rowsA()),
                  Texts.count(table.rowsB()),
                  table.finished() ? "" : " (stopped: there may be more)");
      case DiffEntry.OfEnd end ->
          "%s: %s of %s tables were compared, %s in A, %s read; %s in definitions, %s in rows until then%n"
              .formatted(
                  terminal.paint(Terminal.Colour.YELLOW, "stopped"),
                  Texts.count(end.tablesCompared()),
                  Texts.count(end.tables()),
                  Texts.plural(end.rowsA(), "row"),
                  Texts.bytes(end.bytesRead()),
                  Texts.plural(end.schemaDifferences(), "difference"),
                  Texts.plural(end.rowDifferences(), "difference"));
    };
  }

  private String headed(String under, String text) {
    if (under.equals(heading)) {
      return text;
    }
    heading = under;
    return terminal.paint(Terminal.Colour.BOLD, under) + "\n" + text;
  }

  private String text(DiffEntry.OfSchema schema) {
    String object = schema.kind() + " " + schema.name();
    String property = schema.property();
    String line =
        property == null
            ? "  %-10s %s  %s%n"
                .formatted(change(schema.change()), object, cut(first(schema.a(), schema.b())))
            : "  %-10s %s  %s: %s  →  %s%n"
                .formatted(
                    change(schema.change()),
                    object,
                    property,
                    pair(schema.a(), schema.b()),
                    pair(schema.b(), schema.a()));
    return headed("definitions (A → B)", line);
  }

  private static String change(String change) {
    return switch (change) {
      case "onlyInA" -> "only in A";
      case "onlyInB" -> "only in B";
      default -> "different";
    };
  }

  private String text(DiffEntry.OfRow row) {
    StringBuilder line = new StringBuilder();
    line.append("  %-10s %s.%s".formatted(change(row.change()), row.schema(), row.table()));
    if (row.copiesA() > 1 || row.copiesB() > 1) {
      line.append(
          "  %s times in A, %s in B"
              .formatted(Texts.count(row.copiesA()), Texts.count(row.copiesB())));
    }
    row.key()
        .forEach(
            (column, value) -> line.append("  ").append(column).append('=').append(cut(value)));
    line.append(row.key().isEmpty() ? " " : " :");
    for (DiffEntry.Values values : row.columns()) {
      line.append(' ')
          .append(values.column())
          .append('=')
          .append(
              switch (row.change()) {
                case "onlyInA" -> cut(values.a());
                case "onlyInB" -> cut(values.b());
                default ->
                    row.key().isEmpty()
                        ? cut(values.a())
                        : pair(values.a(), values.b()) + " → " + pair(values.b(), values.a());
              });
    }
    return headed("rows (A → B)", line.append('\n').toString());
  }

  private static String first(@Nullable String a, @Nullable String b) {
    return a != null ? a : b == null ? "" : b;
  }

  /** On one line, cut where it is long. */
  private static String cut(@Nullable String value) {
    return value == null ? "NULL" : shown(value, 0);
  }

  /** As {@link #cut}, from shortly before where it begins to differ from the other. */
  private static String pair(@Nullable String value, @Nullable String other) {
    if (value == null) {
      return "(none)";
    }
    if (other == null || value.length() <= VALUE) {
      return shown(value, 0);
    }
    int at = 0;
    while (at < value.length() && at < other.length() && value.charAt(at) == other.charAt(at)) {
      at++;
    }
    return shown(value, Math.max(0, at - VALUE / 3));
  }

  private static String shown(String value, int from) {
    String line = value.substring(from).replaceAll("\\s+", " ");
    return (from > 0 ? "…" : "")
        + (line.length() <= VALUE ? line : line.substring(0, VALUE - 1) + "…");
  }

  private String text(DiffSummary summary) {
    StringBuilder text = new StringBuilder();
    if (heading != null) {
      text.append('\n');
    }
    TextTable sides = new TextTable("", "database", "PostgreSQL", "at");
    side(sides, "A", summary.a());
    side(sides, "B", summary.b());
    text.append(sides.format("  ")).append('\n');
    for (DiffSummary.NotCompared table : summary.notCompared()) {
      text.append(terminal.paint(Terminal.Colour.YELLOW, "not compared:"))
          .append(
              " %s: %s; next: %s%n"
                  .formatted(
                      table.schema().isEmpty()
                          ? table.table()
                          : table.schema() + "." + table.table(),
                      table.why(),
                      table.next()));
    }
    summary
        .notes()
        .forEach(note ->
            text.append(terminal.paint(Terminal.Colour.DIM, "note:"))
                .append(' ')
                .append(note)
                .append('\n'));
    summary
        .leftOut()
        .forEach(left ->
            text.append(terminal.paint(Terminal.Colour.DIM, "left out:"))
                .append(' ')
                .append(left)
                .append('\n'));
    if (summary.stoppedBy() != null) {
      text.append(
          "%s by the limit of %s: %s of %s tables were compared%n"
              .formatted(
                  terminal.paint(Terminal.Colour.YELLOW, "stopped"),
                  summary.stoppedBy().equals("time") ? "--for" : "--stop-after",
                  Texts.count(summary.tablesCompared()),
                  Texts.count(summary.tables())));
    }
    long differences = summary.schemaDifferences() + summary.rowDifferences();
    text.append(
            summary.equal()
                ? terminal.paint(Terminal.Colour.GREEN, "equal")
                : differences == 0
                    ? terminal.paint(Terminal.Colour.YELLOW, "nothing found in what was compared")
                    : terminal.paint(Terminal.Colour.RED, "different"))
        .append(
            ": %s in definitions, %s in rows; %s, %s in A, %s read in %s%n"
                .formatted(
                    Texts.plural(summary.schemaDifferences(), "difference"),
                    Texts.plural(summary.rowDifferences(), "difference"),
                    Texts.plural(summary.tablesCompared(), "table"),
                    Texts.plural(summary.rowsA(), "row"),
                    Texts.bytes(summary.bytesRead()),
                    Texts.seconds(summary.durationSeconds())));
    return text.toString();
  }

  private static void side(TextTable table, String name, DiffSummary.Side side) {
    table.row(
        name,
        side.fork() == null ? side.url() : "newest recorded state of " + side.fork(),
        side.version() + (side.standby() ? " (standby)" : ""),
        side.lsn());
  }
}
