package dev.holdfast.cli;

import dev.holdfast.operations.LogEntry;
import java.util.ArrayList;
import java.util.List;

/** A transaction of the log, for people. */
final class LogText {
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
        .append(entry.user() == null ? "unknown user" : entry.user())
        .append(entry.application() == null ? "" : ", application " + entry.application())
        .append(entry.address() == null ? "" : ", from " + entry.address())
        .append('\n');
    TextTable table = new TextTable("table", "action", "rows");
    for (LogEntry.Table touched : entry.tables()) {
      table.row(touched.schema() + "." + touched.table(), touched.action(), rows(touched));
    }
    return text.append(table.isEmpty() ? "" : table.format("    ")).append('\n').toString();
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
