package dev.holdfast.cli;

import dev.holdfast.operations.Preview;
import dev.holdfast.operations.PreviewResult;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "preview",
    header = "What a restore to a moment would hold and take, before anything is restored.",
    description = {
      "%nTells the base backup and the WAL it would use, the bytes to fetch, and from a throw-away",
      "server of the definitions alone the tables that are there at that moment. Production is not"
          + " asked.%n",
      "Examples:",
      "  holdfast preview acme --before 812",
      "  holdfast preview acme --at 2026-11-21T04:56:27Z --no-tables",
      "  holdfast preview acme --json",
    })
final class PreviewCommand extends CliCommand {
  /** The largest tables are shown; {@code --json} has all. */
  private static final int TABLES_MAX = 40;

  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Mixin TargetOptions target = new TargetOptions();

  @Option(
      names = "--no-tables",
      description = "Do not look for the tables there: it starts no server then.")
  boolean noTables;

  @Option(
      names = "--scratch",
      paramLabel = "DIR",
      description =
          "Make the throw-away server in this folder instead of the system's temporary one.")
  @Nullable Path scratch;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  PreviewCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    PreviewResult result =
        new Preview(repository.location(holdfast.repository, environment), name, scratch)
            .run(target.target(), !noTables, progress());
    print(result, () -> text(result));
    return 0;
  }

  private String text(PreviewResult result) {
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.BOLD, result.name()))
        .append(
            ", just %s %s on timeline %s%n"
                .formatted(
                    result.state(), result.lsn(), Integer.toUnsignedString(result.timeline())));
    if (result.lastCommitAt() != null) {
      text.append("  its newest commit is of ").append(Texts.time(result.lastCommitAt()));
      text.append('\n');
    }
    for (PreviewResult.Base base : result.bases()) {
      text.append(
          "  base backup %s (%s, %s, finished %s)%n"
              .formatted(
                  base.label(),
                  base.kind(),
                  Texts.bytes(base.storedBytes()),
                  Texts.time(base.finishedAt())));
    }
    text.append(
        "  WAL from %s: %s, %s%n"
            .formatted(
                result.walFrom(),
                Texts.plural(result.walSegments(), "segment"),
                Texts.bytes(result.walBytes())));
    text.append(
        "  a restore of everything fetches %s and takes %s%n"
            .formatted(Texts.bytes(result.fetchBytes()), Texts.bytes(result.restoredBytes())));
    text.append(
        result.expectedSeconds() == null
            ? "  how long that takes is not known: `holdfast prove "
                + result.name()
                + "` measures it\n"
            : "  by the proof of %s it should take writes after %s%n"
                .formatted(result.expectedBy(), Texts.seconds(result.expectedSeconds())));
    List<PreviewResult.Table> tables = result.tables();
    if (tables != null) {
      text.append(tables(tables));
    }
    for (String note : result.notes()) {
      text.append(terminal.paint(Terminal.Colour.YELLOW, "note:")).append(' ').append(note);
      text.append('\n');
    }
    return text.toString();
  }

  private static String tables(List<PreviewResult.Table> tables) {
    if (tables.isEmpty()) {
      return "\nno table is there at that moment\n";
    }
    TextTable shown = new TextTable("database", "table", "rows", "size");
    tables.stream()
        .sorted(Comparator.comparingLong(PreviewResult.Table::estimatedBytes).reversed())
        .limit(TABLES_MAX)
        .forEach(table ->
            shown.row(
                table.database(),
                table.schema() + "." + table.table(),
                table.kind().equals("partitioned table")
                    ? "-"
                    : table.estimatedRows() == null
                        ? "unknown"
                        : "~" + Texts.count(table.estimatedRows()),
                table.kind().equals("partitioned table")
                    ? "-"
                    : Texts.bytes(table.estimatedBytes())));
    int more = tables.size() - TABLES_MAX;
    return "\n"
        + Texts.plural(tables.size(), "table")
        + " there then; rows by the statistics of that moment, sizes with indexes by the base"
        + " backup:\n"
        + shown.format("  ")
        + (more > 0 ? "  and " + more + " smaller ones: --json lists all\n" : "");
  }
}
