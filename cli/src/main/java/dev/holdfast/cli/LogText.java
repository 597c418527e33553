package dev.holdfast.cli;

import dev.holdfast.operations.LogEntry;
import java.util.ArrayList;
import java.util.List;

/** A transaction of the log, for people. */
final class LogText {
  /** Characters; --json has all that was told. */
  private static final int STATEMENT_WIDTH = 200;

  private LogText() {}

  static String entry(Terminal terminal, LogEntry entry) {
    Terminal.Colour colour =
        switch (entry.severity()) {
          case "critical", "high" -> Terminal.Colour.RED;
          case "medium" -> Terminal.Colour.YELLOW;
          default -> Terminal.Colour.DIM;
        };
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.BOLD, "transaction " + entry.xid()))
        .append("  ")
        .append(terminal.paint(colour, entry.severity()))
        .append("  ")
        .append(Texts.time(entry.committedAt()))
        .append("  before ")
        .append(entry.commitLsn())
        .append(entry.database() == null ? "" : "  in " + entry.database())
        .append('\n');
    text.append("  by ")
        .append(entry.user() == null ? "unknown user" : Texts.oneLine(entry.user()))
        .append(
            entry.application() == null
                ? ""
                : ", application " + Texts.oneLine(entry.application()))
        .append(entry.address() == null ? "" : ", from " + Texts.oneLine(entry.address()))
        .append(entry.permit() == null ? "" : ", with permit " + entry.permit())
        .append('\n');
    if (entry.statement() != null) {
      String statement = Texts.oneLine(entry.statement());
      text.append("  statement: ")
          .append(
              statement.length() <= STATEMENT_WIDTH
                  ? statement
                  : statement.substring(0, STATEMENT_WIDTH) + "…")
          .append(
              entry.moreStatements() == 0
                  ? ""
                  : "  and " + Texts.plural(entry.moreStatements(), "more statement"))
          .append('\n');
    }
    for (String note : entry.notes()) {
      text.append("  ")
          .append(terminal.paint(Terminal.Colour.RED, "! " + Texts.oneLine(note)))
          .append('\n');
    }
    for (String setting : entry.guardSettings()) {
      text.append("  ").append(Texts.oneLine(setting)).append('\n');
    }
    TextTable table = new TextTable("table", "action", "rows");
    for (LogEntry.Table touched : entry.tables()) {
      table.row(touched.schema() + "." + touched.table(), touched.action(), rows(touched));
    }
    text.append(table.isEmpty() ? "" : table.format("    "));
    for (LogEntry.Table touched : entry.tables()) {
      for (LogEntry.JsonLoss loss : touched.jsonLosses()) {
        text.append("    ")
            .append(terminal.paint(Terminal.Colour.RED, lost(touched, loss)))
            .append('\n');
      }
    }
    return text.append('\n').toString();
  }

  private static String lost(LogEntry.Table table, LogEntry.JsonLoss loss) {
    return "%s.%s.%s lost %d of %d JSON keys in %s%s: %s"
        .formatted(
            table.schema(),
            table.table(),
            Texts.oneLine(loss.column()),
            loss.keys().size(),
            Math.max(loss.keysBefore(), loss.keys().size()),
            loss.rowsExact() ? "" : "at least ",
            Texts.plural(loss.rows(), "row"),
            Texts.oneLine(String.join(", ", loss.keys())));
  }

  private static String columns(List<String> dropped) {
    return (dropped.size() == 1 ? "column " : "columns ") + String.join(", ", dropped);
  }

  private static String rows(LogEntry.Table touched) {
    List<String> parts = new ArrayList<>();
    if (touched.rowsBefore() != null) {
      parts.add("held about " + Texts.count(touched.rowsBefore()));
    }
    if (touched.rowsInserted() > 0) {
      parts.add(Texts.count(touched.rowsInserted()) + " inserted");
    }
    if (touched.rowsUpdated() > 0) {
      parts.add(Texts.count(touched.rowsUpdated()) + " updated");
    }
    if (touched.rowsDeleted() > 0) {
      parts.add(Texts.count(touched.rowsDeleted()) + " deleted");
    }
    if (!touched.columnsDropped().isEmpty()) {
      parts.add("dropped " + columns(touched.columnsDropped()));
    }
    return String.join(", ", parts);
  }
}
