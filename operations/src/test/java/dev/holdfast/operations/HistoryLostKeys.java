package dev.holdfast.operations;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Holds a table whose lost JSON keys were brought back against what its rows' lives say: each key
 * that a bad transaction took out has its last value from before, unless anybody set it since, or
 * good traffic an object around it; all else is as it was.
 */
final class HistoryLostKeys {
  private static final int TOLD_MAX = 5;

  private HistoryLostKeys() {}

  /** What is wrong; empty when nothing is. */
  static List<String> of(HistoryTable table, RevertPlan plan, List<HistoryRow> result) {
    Map<List<@Nullable String>, HistoryRow> rows = new HashMap<>();
    result.forEach(row -> rows.put(table.keyOf(row), row));
    Map<List<@Nullable String>, Integer> lives = new HashMap<>();
    for (HistoryLine line : table.lines) {
      line.writes.stream()
          .flatMap(
              write -> write.after() == null ? null : java.util.stream.Stream.of(write.after()))
          .map(table::keyOf)
          .distinct()
          .forEach(key -> lives.merge(key, 1, Integer::sum));
    }
    List<String> wrong = new ArrayList<>();
    long living = table.live().size();
    if (living != result.size()) {
      wrong.add("%s has %d rows, should have %d".formatted(table.name, result.size(), living));
    }
    boolean gone = !plan.conflicts().isEmpty();
    for (HistoryLine line : table.live()) {
      HistoryRow now = Objects.requireNonNull(line.now);
      HistoryRow is = rows.get(table.keyOf(now));
      Map<String, String> was = table.cells(now);
      Map<String, String> should = wanted(table, line);
      Map<String, String> cells = is == null ? null : table.cells(is);
      if (should.equals(cells)) {
        continue;
      }
      boolean moved =
          line.writes.stream()
              .anyMatch(w -> w.after() != null && !table.keyOf(w.after()).equals(table.keyOf(now)));
      boolean again = lives.getOrDefault(table.keyOf(now), 0) > 1;
      if (!(was.equals(cells) && moved && gone) && !(again && cells != null)) {
        wrong.add("%s: %s is %s, should be %s".formatted(table.name, now, cells, should));
      }
    }
    return wrong.stream().limit(TOLD_MAX).toList();
  }

  private static Map<String, String> wanted(HistoryTable table, HistoryLine line) {
    Map<String, String> lost = new TreeMap<>();
    for (HistoryLine.Write write : byTransaction(line)) {
      if (write.before() == null || write.after() == null) {
        continue;
      }
      Map<String, String> was = table.cells(write.before());
      Map<String, String> became = table.cells(write.after());
      lost.keySet().removeAll(became.keySet());
      if (!write.bad()) {
        lost.keySet().removeIf(path -> changedAround(path, was, became));
      } else {
        was.forEach((path, value) -> {
          int column = column(path);
          if (!became.containsKey(path) && table.columns.get(column).type().document()) {
            lost.put(path, value);
          }
        });
      }
    }
    Map<String, String> wanted = table.cells(line.now);
    lost.forEach(wanted::putIfAbsent);
    HistoryDocument.dropOrphans(wanted);
    return wanted;
  }

  /**
   * Whether an object that held the path came, went or was replaced; NULL that became one holds
   * none.
   */
  private static boolean changedAround(
      String path, Map<String, String> was, Map<String, String> became) {
    for (int end = path.indexOf(HistoryDocument.SEPARATOR);
        end >= 0;
        end = path.indexOf(HistoryDocument.SEPARATOR, end + 1)) {
      String around = path.substring(0, end);
      boolean isColumn = around.indexOf(HistoryDocument.SEPARATOR) < 0;
      if (!Objects.equals(was.get(around), became.get(around))
          && !(isColumn && !was.containsKey(around))) {
        return true;
      }
    }
    return false;
  }

  /** What each transaction did to the row in all: what came and went within one was never there. */
  private static List<HistoryLine.Write> byTransaction(HistoryLine line) {
    List<HistoryLine.Write> net = new ArrayList<>();
    for (HistoryLine.Write write : line.writes) {
      boolean same = !net.isEmpty() && net.getLast().by().equals(write.by());
      HistoryRow before = same ? net.removeLast().before() : write.before();
      net.add(new HistoryLine.Write(write.by(), line, before, write.after()));
    }
    return net;
  }

  private static int column(String path) {
    int end = path.indexOf(HistoryDocument.SEPARATOR);
    return Integer.parseInt(end < 0 ? path : path.substring(0, end));
  }
}
