package dev.holdfast.cli;

import dev.holdfast.operations.WalEntry;
import dev.holdfast.operations.WalStatistics;
import java.util.Locale;

/** WAL for people: the columns of pg_waldump, which they know. */
final class WalText {
  private static final int LSN_LOW_DIGITS = 8;

  private WalText() {}

  /** A record on one line, without the line break. */
  static String entry(Terminal terminal, WalEntry entry) {
    StringBuilder line = new StringBuilder(200);
    line.append("rmgr: ");
    left(line, entry.rmgr(), 11);
    line.append(" len (rec/tot): ");
    right(line, Integer.toString(entry.length() - entry.imageLength()), 6);
    line.append('/');
    right(line, Integer.toString(entry.length()), 6);
    line.append(", tx: ");
    right(line, entry.xid(), 10);
    line.append(", lsn: ");
    lsn(line, entry.lsn());
    line.append(", prev ");
    lsn(line, entry.prev());
    line.append(", desc: ").append(terminal.paint(Terminal.Colour.BOLD, entry.info()));
    for (WalEntry.Block block : entry.blocks()) {
      line.append(", blkref #")
          .append(block.id())
          .append(": rel ")
          .append(block.tablespace())
          .append('/')
          .append(block.database())
          .append('/')
          .append(block.relation());
      if (!block.fork().equals("main")) {
        line.append(" fork ").append(block.fork());
      }
      line.append(" blk ").append(block.block());
      if (block.image()) {
        line.append(block.imageApplied() ? " FPW" : " FPW for WAL verification");
      }
      if (block.table() != null) {
        line.append(' ').append(terminal.paint(Terminal.Colour.GREEN, name(block)));
      }
    }
    return line.toString();
  }

  private static String name(WalEntry.Block block) {
    String kind = String.valueOf(block.kind());
    return switch (kind) {
      case "index", "toast" -> "(" + kind + " of " + block.table() + ")";
      default -> "(" + block.table() + ")";
    };
  }

  /** The table of {@code pg_waldump --stats}. */
  static String statistics(Terminal terminal, WalStatistics statistics) {
    if (statistics.from() == null) {
      return "no records\n";
    }
    TextTable table =
        new TextTable(
            "type", "records", "%", "record size", "%", "FPI size", "%", "combined size", "%");
    for (WalStatistics.Row row : statistics.rows()) {
      table.row(
          row.info() == null ? row.rmgr() : row.rmgr() + "/" + row.info(),
          Texts.count(row.records()),
          percent(row.recordsPercent()),
          Texts.count(row.recordBytes()),
          percent(row.recordBytesPercent()),
          Texts.count(row.imageBytes()),
          percent(row.imageBytesPercent()),
          Texts.count(row.combinedBytes()),
          percent(row.combinedBytesPercent()));
    }
    WalStatistics.Total total = statistics.total();
    table.row(
        "Total",
        Texts.count(total.records()),
        "",
        Texts.count(total.recordBytes()),
        percent(total.recordBytesPercent()) + " %",
        Texts.count(total.imageBytes()),
        percent(total.imageBytesPercent()) + " %",
        Texts.count(total.combinedBytes()),
        "100 %");
    return terminal.paint(
            Terminal.Colour.BOLD,
            "WAL statistics from %s to %s, sizes in bytes"
                .formatted(statistics.from(), statistics.to()))
        + "\n"
        + table.format("");
  }

  private static String percent(double percent) {
    return String.format(Locale.ROOT, "%.2f", percent);
  }

  /** With all digits of its lower half, so that columns stay columns. */
  private static void lsn(StringBuilder line, String lsn) {
    int slash = lsn.indexOf('/') + 1;
    line.append(lsn, 0, slash)
        .append("0".repeat(Math.max(0, LSN_LOW_DIGITS - (lsn.length() - slash))))
        .append(lsn, slash, lsn.length());
  }

  private static void left(StringBuilder line, String text, int width) {
    line.append(text).append(" ".repeat(Math.max(0, width - text.length())));
  }

  private static void right(StringBuilder line, String text, int width) {
    line.append(" ".repeat(Math.max(0, width - text.length()))).append(text);
  }
}
