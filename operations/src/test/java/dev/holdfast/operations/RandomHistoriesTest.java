package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Random histories of good traffic and bad transactions: undoing the bad ones gives what the same
 * history without them would have, up to what the plan reports. {@code
 * -Dholdfast.histories.count=300} runs more, {@code -Dholdfast.histories.seed=N} others, {@code
 * -Dholdfast.histories.majors=14,16} on other servers.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RandomHistoriesTest {
  private static final long SEED = Long.getLong("holdfast.histories.seed", 20_261_121);
  private static final int COUNT = Integer.getInteger("holdfast.histories.count", 30);
  private static final String MAJORS = System.getProperty("holdfast.histories.majors", "15,18");

  private static final int BAD_MAX = Integer.getInteger("holdfast.histories.bad", 8);
  private static final Revert.Options PLAIN = new Revert.Options(false, false, false);

  static List<Integer> majors() {
    return List.of(MAJORS.split(",")).stream().map(Integer::valueOf).toList();
  }

  @ParameterizedTest
  @MethodSource("majors")
  void undoing_the_bad_ones_gives_the_history_without_them(int major) throws Exception {
    List<Integer> majors = majors();
    int place = majors.indexOf(major);
    Map<String, String> failures = new LinkedHashMap<>();
    try (ProtectedServer acme = ProtectedServer.start(major)) {
      for (long n = place; n < COUNT; n += majors.size()) {
        long seed = SEED + n;
        History.Style style = new History.Style(false, BAD_MAX);
        try (History history = new History(acme, "h" + n, seed, style)) {
          List<String> wrong;
          try {
            wrong = undo(acme, history, seed % 3 == 0);
          } catch (Exception | Error e) {
            java.io.StringWriter trace = new java.io.StringWriter();
            e.printStackTrace(new java.io.PrintWriter(trace, true));
            wrong = List.of(trace.toString());
          }
          if (!wrong.isEmpty()) {
            String again =
                "-Dholdfast.histories.seed=%d -Dholdfast.histories.count=1 -Dholdfast.histories.majors=%d"
                    .formatted(seed, major);
            failures.put(again, String.join("\n", wrong));
            Path script = Path.of("target", "histories", seed + "-" + major + ".sql");
            Files.createDirectories(script.getParent());
            Files.write(script, history.script);
            System.out.println(again + "\n" + String.join("\n", wrong));
          }
        }
      }
    }
    assertThat(failures).as(failures.size() + " of " + COUNT + " histories").isEmpty();
  }

  private static List<String> undo(ProtectedServer acme, History history, boolean further)
      throws Exception {
    long t0 = System.nanoTime();
    history.run();
    long t1 = System.nanoTime();
    Map<HistoryTable, List<HistoryRow>> damaged = new HashMap<>();
    for (HistoryTable table : history.tables) {
      List<HistoryRow> rows = history.read(table);
      assertThat(rows)
          .as("the generator's books")
          .containsExactlyInAnyOrderElementsOf(
              table.live().stream().map(line -> line.now).toList());
      damaged.put(table, rows);
    }
    acme.caughtUp();
    long t2 = System.nanoTime();
    List<String> xids = history.badXids();
    RevertPlan plan;
    long written;
    try (Revert.Planned planned = plan(acme, xids, PLAIN)) {
      plan = planned.plan();
      written = planned.apply(plan.digest(), Progress.SILENT).rowsRestored();
    }
    long t3 = System.nanoTime();
    List<String> wrong = new ArrayList<>();
    for (HistoryTable table : history.tables) {
      wrong.addAll(HistoryVerdict.of(table, plan, history.read(table)));
    }
    System.out.printf("TIME run %d caught %d revert %d check %d %s statements %d rows %s%n", (t1-t0)/1000000,(t2-t1)/1000000,(t3-t2)/1000000,(System.nanoTime()-t3)/1000000, plan.counts(), history.script.size(), history.tables.stream().map(t -> t.lines.size()).toList());
    if (further && wrong.isEmpty()) {
      wrong.addAll(again(acme, history, xids));
      if (written > 0 && wrong.isEmpty()) {
        wrong.addAll(back(acme, history, plan, damaged));
      }
    }
    return wrong;
  }

  /** Undoing twice changes nothing. */
  private static List<String> again(ProtectedServer acme, History history, List<String> xids)
      throws Exception {
    acme.caughtUp();
    try (Revert.Planned planned = plan(acme, xids, PLAIN)) {
      RevertPlan plan = planned.plan();
      return plan.rowsToRestore() == 0
          ? List.of()
          : List.of("undone again, it would write " + plan.tables() + " " + history.tables.size());
    }
  }

  /** Undoing the undoing gives the damaged state back. */
  private static List<String> back(
      ProtectedServer acme,
      History history,
      RevertPlan first,
      Map<HistoryTable, List<HistoryRow>> damaged)
      throws Exception {
    acme.caughtUp();
    LogEntry undoing =
        acme.log(Log.Filter.ALL).stream()
            .filter(entry ->
                entry.tables().stream()
                    .anyMatch(told ->
                        history.tables.stream()
                            .anyMatch(t -> t.holds(told.schema(), told.table()))))
            .reduce((_, last) -> last)
            .orElseThrow();
    List<String> wrong = new ArrayList<>();
    try (Revert.Planned planned = plan(acme, List.of(undoing.xid()), PLAIN)) {
      RevertPlan plan = planned.plan();
      if (!plan.conflicts().isEmpty()) {
        wrong.add(
            "the undoing was followed by nothing, its undoing is in conflict: " + plan.conflicts());
      }
      planned.apply(plan.digest(), Progress.SILENT);
    }
    for (HistoryTable table : history.tables) {
      try {
        assertThat(history.read(table))
            .containsExactlyInAnyOrderElementsOf(damaged.getOrDefault(table, List.of()));
      } catch (AssertionError e) {
        wrong.add(
            "the undoing's undoing of "
                + table.name
                + " ("
                + first.counts()
                + "): "
                + e.getMessage());
      }
    }
    return wrong;
  }

  private static Revert.Planned plan(
      ProtectedServer acme, List<String> xids, Revert.Options options) {
    return acme.revert(options)
        .plan(new Revert.Selection(xids, null, null, List.of()), Progress.SILENT);
  }

  @Test
  void the_good_value_written_between_two_bad_transactions_is_what_comes_back() {
    // X1 hits row 1, a good write changes row 2, X2 hits row 2.
  }
}
