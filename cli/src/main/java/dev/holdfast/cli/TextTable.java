package dev.holdfast.cli;

import java.util.ArrayList;
import java.util.List;

/** Columns of text under headings, as wide as they need to be; numbers to the right. */
final class TextTable {
  private final List<String> headings;
  private final List<List<String>> rows = new ArrayList<>();

  TextTable(String... headings) {
    this.headings = List.of(headings);
  }

  TextTable row(String... cells) {
    if (cells.length != headings.size()) {
      throw new IllegalArgumentException("a row has " + headings.size() + " cells");
    }
    rows.add(List.of(cells));
    return this;
  }

  boolean isEmpty() {
    return rows.isEmpty();
  }

  /** The table, each line beginning with {@code indent} and ending with a line break. */
  String format(String indent) {
    int[] widths = new int[headings.size()];
    boolean[] numeric = new boolean[headings.size()];
    for (int column = 0; column < widths.length; column++) {
      widths[column] = headings.get(column).length();
      numeric[column] = !rows.isEmpty();
      for (List<String> row : rows) {
        String cell = row.get(column);
        widths[column] = Math.max(widths[column], cell.length());
        numeric[column] &= cell.isEmpty() || cell.matches("-|[~+-]?[0-9][0-9,.]*( ?[A-Za-z%/]+)?");
      }
    }
    StringBuilder text = new StringBuilder();
    line(text, indent, headings, widths, numeric);
    for (List<String> row : rows) {
      line(text, indent, row, widths, numeric);
    }
    return text.toString();
  }

  private static void line(
      StringBuilder text, String indent, List<String> cells, int[] widths, boolean[] numeric) {
    StringBuilder line = new StringBuilder(indent);
    for (int column = 0; column < widths.length; column++) {
      String cell = cells.get(column);
      String padding = " ".repeat(widths[column] - cell.length());
      line.append(column == 0 ? "" : "  ");
      line.append(numeric[column] ? padding + cell : cell + padding);
    }
    text.append(line.toString().stripTrailing()).append('\n');
  }
}
