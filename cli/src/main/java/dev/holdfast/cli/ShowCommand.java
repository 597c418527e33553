package dev.holdfast.cli;

import dev.holdfast.operations.Show;
import dev.holdfast.operations.TransactionDetail;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "show",
    header = "One transaction: what it did to each table, with sample rows before and after.",
    description =
        "%nThe rows are read on a fork made from the repository; production is not asked."
            + " --no-samples answers from the WAL alone, at once.%n")
final class ShowCommand extends CliCommand {
  private static final int VALUE_WIDTH = 120;

  @Parameters(index = "0", paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Parameters(
      index = "1",
      paramLabel = "XID",
      description = "The transaction, as `holdfast log` numbers it.")
  String xid = "";

  @Option(names = "--no-samples", description = "No sample rows: no fork is made.")
  boolean noSamples;

  @Option(
      names = "--samples",
      paramLabel = "N",
      defaultValue = "3",
      description = "Sample rows of each table (default: ${DEFAULT-VALUE}).")
  int samples;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  ShowCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    TransactionDetail detail =
        new Show(repository.location(holdfast.repository, environment), name)
            .run(xid, noSamples ? 0 : samples, progress());
    print(detail, () -> text(detail));
    return 0;
  }

  private String text(TransactionDetail detail) {
    StringBuilder text = new StringBuilder(LogText.entry(terminal, detail.transaction()));
    for (TransactionDetail.TableSample table : detail.samples()) {
      text.append(terminal.paint(Terminal.Colour.BOLD, table.schema() + "." + table.table()))
          .append("  ")
          .append(Texts.plural(table.rows(), "row"))
          .append('\n');
      table
          .jsonKeysLost()
          .forEach((key, rows) ->
              text.append("  JSON key lost: ")
                  .append(key)
                  .append(" in ")
                  .append(Texts.plural(rows, "sampled row"))
                  .append('\n'));
      for (TransactionDetail.RowSample row : table.sample()) {
        append(text, row);
      }
    }
    return text.append("next: holdfast revert ")
        .append(name)
        .append(' ')
        .append(detail.transaction().xid())
        .append("    shows the plan that undoes it\n")
        .toString();
  }

  /** Like a diff: lines that are the same on both sides are shown once. */
  private void append(StringBuilder text, TransactionDetail.RowSample row) {
    Map<String, @Nullable String> before = row.before();
    Map<String, @Nullable String> after = row.after();
    Map<String, @Nullable String> names = before != null ? before : Objects.requireNonNull(after);
    for (String column : names.keySet()) {
      String old = before == null ? null : value(before.get(column));
      String now = after == null ? null : value(after.get(column));
      if (old != null && old.equals(now)) {
        text.append("    ").append(column).append(" = ").append(old).append('\n');
        continue;
      }
      if (old != null) {
        text.append(terminal.paint(Terminal.Colour.RED, "  - " + column + " = " + old) + "\n");
      }
      if (now != null) {
        text.append(terminal.paint(Terminal.Colour.GREEN, "  + " + column + " = " + now) + "\n");
      }
    }
    text.append('\n');
  }

  private static String value(@Nullable String value) {
    if (value == null) {
      return "NULL";
    }
    return value.length() <= VALUE_WIDTH ? value : value.substring(0, VALUE_WIDTH) + "…";
  }
}
