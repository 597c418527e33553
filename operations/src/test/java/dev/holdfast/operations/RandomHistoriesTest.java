package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.testkit.Majors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Random histories of good traffic and bad transactions: undoing the bad ones gives what the same
 * history without them would have, up to what the plan reports. {@code
 * -Dholdfast.histories.count=300} runs more, {@code -Dholdfast.histories.seed=N} others (or several
 * ranges: {@code N,M}, each of so many), {@code -Dholdfast.histories.majors=14,16} on other
 * servers.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RandomHistoriesTest {
  private static final String SEED = System.getProperty("holdfast.histories.seed", "20261121");
  private static final int COUNT = Integer.getInteger("holdfast.histories.count", 30);

  private static final int FRAMES_MAX = 8;
  private static final int BAD_MAX = Integer.getInteger("holdfast.histories.bad", 8);
  private static final int TOGETHER = Integer.getInteger("holdfast.histories.together", 5);
  private static final Revert.Options LOST_KEYS = new Revert.Options(true, false, false);
  private static final Revert.Options PLAIN = new Revert.Options(false, false, false);

  static List<Integer> majors() {
    return Majors.of("holdfast.histories.majors", "15,18");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void undoing_the_bad_ones_gives_the_history_without_them(int major) throws Exception {
    run(major, false);
  }

  @ParameterizedTest
  @MethodSource("majors")
  void lost_keys_come_back_unless_they_were_set_again(int major) throws Exception {
    run(major, true);
  }

  /** Histories of one server, some at a time: their bad transactions are undone together. */
  private static void run(int major, boolean lostKeys) throws Exception {
    List<Integer> majors = majors();
    List<Long> seeds = new ArrayList<>();
    for (String first : List.of(SEED.split(","))) {
      for (long n = majors.indexOf(major);
          n < (lostKeys ? (COUNT + 2) / 3 : COUNT);
          n += majors.size()) {
        seeds.add(Long.parseLong(first) + n);
      }
    }
    Map<Long, String> failures = new TreeMap<>();
    try (ProtectedServer acme = ProtectedServer.start(major)) {
      for (int from = 0; from < seeds.size(); from += TOGETHER) {
        List<Long> some = seeds.subList(from, Math.min(from + TOGETHER, seeds.size()));
        together(acme, some, lostKeys, from / TOGETHER % 2 == 0, failures);
      }
    }
    failures.replaceAll((seed, wrong) ->
        "-Dholdfast.histories.seed=%d -Dholdfast.histories.count=1 -Dholdfast.histories.majors=%d%n%s"
            .formatted(seed, major, wrong));
    assertThat(failures.values())
        .as(failures.size() + " of " + seeds.size() + " histories; statements in target/histories")
        .isEmpty();
  }

  private static void together(
      ProtectedServer acme,
      List<Long> seeds,
      boolean lostKeys,
      boolean further,
      Map<Long, String> failures)
      throws Exception {
    Map<Long, History> histories = new LinkedHashMap<>();
    try {
      for (long seed : seeds) {
        History.Style style = new History.Style(lostKeys, BAD_MAX);
        History history = new History(acme, "h" + seed, seed, style);
        histories.put(seed, history);
        history.run();
        for (HistoryTable table : history.tables) {
          assertThat(history.read(table))
              .as("the generator's own books, seed " + seed)
              .containsExactlyInAnyOrderElementsOf(
                  table.live().stream().map(line -> line.now).toList());
        }
      }
      Map<Long, String> wrong = new TreeMap<>();
      try {
        boolean wrote = undo(acme, histories, lostKeys, wrong);
        if (further && wrong.isEmpty()) {
          again(acme, histories, lostKeys, wrote, wrong);
        }
      } catch (Refused refused) {
        RuntimeException e = refused.reason;
        histories.forEach(
            (seed, history) -> alone(acme, seed, history, lostKeys, wrong)); // which one is it?
        boolean explained =
            histories.size() == 1
                || histories.values().stream()
                    .flatMap(history -> history.tables.stream())
                    .anyMatch(HistoryVerdict::valuesTaken);
        if (wrong.isEmpty() && !explained) {
          throw e;
        }
      }
      for (Map.Entry<Long, String> each : wrong.entrySet()) {
        failures.put(each.getKey(), each.getValue());
        System.out.println("seed " + each.getKey() + ": " + each.getValue());
        Path script = Path.of("target", "histories", each.getKey() + ".sql");
        Files.createDirectories(script.getParent());
        Files.write(script, Objects.requireNonNull(histories.get(each.getKey())).script);
      }
    } catch (Exception | AssertionError e) {
      throw new AssertionError("seeds " + seeds, e);
    } finally {
      histories.values().forEach(History::close);
    }
  }

  private static void alone(
      ProtectedServer acme, long seed, History history, boolean lostKeys, Map<Long, String> wrong) {
    try {
      undo(acme, Map.of(seed, history), lostKeys, wrong);
    } catch (Refused refused) {
      boolean taken =
          String.valueOf(refused.reason.getMessage()).contains("duplicate key value")
              && history.tables.stream().anyMatch(HistoryVerdict::valuesTaken);
      if (!taken) { // else one row's value stands in the way of all: refused, nothing written
        wrong.put(seed, trace(refused.reason));
      }
    } catch (Exception e) {
      wrong.put(seed, trace(e));
    }
  }

  /** The plan was not made, or not applied. */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;

    private final RuntimeException reason;

    private Refused(RuntimeException reason) {
      super(reason);
      this.reason = reason;
    }
  }

  /** The reason and where it was found, short: a report may keep its last lines only. */
  private static String trace(Exception e) {
    StringBuilder trace = new StringBuilder();
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      trace.append(cause).append('\n');
      Stream.of(cause.getStackTrace())
          .filter(frame -> frame.getClassName().startsWith("dev.holdfast"))
          .limit(FRAMES_MAX)
          .forEach(frame -> trace.append("    ").append(frame).append('\n'));
    }
    return trace.toString();
  }

  /** Whether it wrote any row. */
  private static boolean undo(
      ProtectedServer acme, Map<Long, History> histories, boolean lostKeys, Map<Long, String> wrong)
      throws Exception {
    acme.caughtUp();
    RevertPlan plan;
    RevertResult done;
    try (Revert.Planned planned = plan(acme, xids(histories), options(lostKeys))) {
      plan = planned.plan();
      done = planned.apply(plan.digest(), Progress.SILENT);
    } catch (OperatorException | IllegalStateException | NullPointerException e) {
      throw new Refused(e);
    }
    histories.forEach((seed, history) -> {
      List<String> found = new ArrayList<>();
      for (HistoryTable table : history.tables) {
        List<HistoryRow> rows = history.read(table);
        found.addAll(
            lostKeys
                ? HistoryLostKeys.of(table, plan, rows)
                : HistoryVerdict.of(table, plan, rows, row -> history.partition(table, row)));
      }
      if (!found.isEmpty()) {
        wrong.put(seed, String.join("\n", found));
      }
    });
    return done.rowsRestored() > 0;
  }

  private static List<String> xids(Map<Long, History> histories) {
    return histories.values().stream().flatMap(history -> history.badXids().stream()).toList();
  }

  private static Revert.Options options(boolean lostKeys) {
    return lostKeys ? LOST_KEYS : PLAIN;
  }

  /** Undoing what was undone writes nothing, and undoing the undoing gives back what was undone. */
  private static void again(
      ProtectedServer acme,
      Map<Long, History> histories,
      boolean lostKeys,
      boolean wrote,
      Map<Long, String> wrong)
      throws Exception {
    acme.caughtUp();
    try (Revert.Planned again = plan(acme, xids(histories), options(lostKeys))) {
      // Of equal rows without a key, nobody can say which of them came since.
      List<RevertPlan.TablePlan> writes =
          again.plan().tables().stream()
              .filter(told ->
                  told.restored() != 0
                      && histories.values().stream()
                          .flatMap(history -> history.tables.stream())
                          .noneMatch(
                              table -> !table.keyed() && table.holds(told.schema(), told.table())))
              .toList();
      if (!writes.isEmpty()) {
        wrong.put(
            histories.keySet().iterator().next(),
            "of " + histories.keySet() + ", undone again, it would write " + writes);
      }
    }
    if (wrong.isEmpty() && wrote) {
      back(acme, histories, wrong);
    }
  }

  /** Undoing the undoing gives the damaged state back. */
  private static void back(
      ProtectedServer acme, Map<Long, History> histories, Map<Long, String> wrong)
      throws Exception {
    LogEntry undoing =
        acme.log(Log.Filter.ALL).stream()
            .filter(
                entry -> entry.tables().stream().anyMatch(told -> !told.schema().startsWith("pg_")))
            .reduce((_, last) -> last)
            .orElseThrow();
    String conflicts;
    try (Revert.Planned planned = plan(acme, List.of(undoing.xid()), PLAIN)) {
      conflicts = String.join("; ", planned.plan().conflicts());
      planned.apply(planned.plan().digest(), Progress.SILENT);
    }
    histories.forEach((seed, history) -> {
      for (HistoryTable table : history.tables) {
        List<HistoryRow> now = history.read(table);
        List<@Nullable HistoryRow> damaged = new ArrayList<>();
        table.live().forEach(line -> damaged.add(line.now));
        now.forEach(damaged::remove);
        if (!damaged.isEmpty() || now.size() != table.live().size() || !conflicts.isEmpty()) {
          wrong.merge(
              seed,
              "undoing the undoing of %s lacks %s; in conflict: %s"
                  .formatted(table.name, damaged, conflicts),
              (one, other) -> one + "\n" + other);
        }
      }
    });
  }

  private static Revert.Planned plan(
      ProtectedServer acme, List<String> xids, Revert.Options options) {
    return acme.revert(options)
        .plan(new Revert.Selection(xids, null, null, List.of()), Progress.SILENT);
  }

  @Test
  void a_row_gets_the_good_value_that_was_written_between_two_bad_transactions() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE users (id int PRIMARY KEY, phone text)",
            "INSERT INTO users VALUES (1, 'one'), (2, 'two'), (3, 'three')")) {
      List<String> bad = new ArrayList<>();
      try (Connection connection = acme.server.connect()) {
        bad.add(write(connection, "UPDATE users SET phone = 'bad' WHERE id = 1"));
        write(connection, "UPDATE users SET phone = 'good' WHERE id = 2");
        bad.add(write(connection, "UPDATE users SET phone = 'bad' WHERE id = 2"));
        write(connection, "UPDATE users SET phone = 'good' WHERE id = 3");
      }
      acme.caughtUp();
      try (Revert.Planned planned = plan(acme, bad, PLAIN)) {
        planned.apply(planned.plan().digest(), Progress.SILENT);
      }
      assertThat(acme.server.query("SELECT id, phone FROM users ORDER BY id"))
          .containsExactly("1|one", "2|good", "3|good");
    }
  }

  @Test
  void what_random_histories_found() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18)) {
      List<String> bad = new ArrayList<>();
      try (Connection connection = acme.server.connect()) {
        write(connection, "CREATE TABLE twice (id int PRIMARY KEY)");
        write(connection, "INSERT INTO twice VALUES (1)");
        bad.add(write(connection, "TRUNCATE twice"));
        write(connection, "INSERT INTO twice VALUES (2)");
        bad.add(write(connection, "TRUNCATE twice"));
        // Its first file came and went before anybody recorded the catalog.
        write(connection, "CREATE TABLE quick (id int PRIMARY KEY)");
        write(connection, "INSERT INTO quick VALUES (1), (2)");
        bad.add(write(connection, "DELETE FROM quick WHERE id = 2"));
        write(connection, "TRUNCATE quick");
        write(connection, "CREATE TABLE gone (id int PRIMARY KEY)");
        write(connection, "INSERT INTO gone VALUES (1)");
        bad.add(write(connection, "DELETE FROM gone WHERE id = 1"));
        bad.add(write(connection, "INSERT INTO gone VALUES (2)"));
        bad.add(write(connection, "DELETE FROM gone WHERE id = 2"));
      }
      acme.caughtUp();
      try (Revert.Planned planned = plan(acme, bad, PLAIN)) {
        planned.apply(planned.plan().digest(), Progress.SILENT);
      }
      assertThat(acme.server.query("SELECT id FROM twice ORDER BY id")).containsExactly("1", "2");
      assertThat(acme.server.query("SELECT id FROM quick ORDER BY id")).containsExactly("2");
      assertThat(acme.server.query("SELECT id FROM gone ORDER BY id")).containsExactly("1");
    }
  }

  /** Nobody recorded its first file: it was made by then, and not committed. */
  @Test
  void a_table_that_was_being_made_when_the_catalog_was_recorded() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18);
        Connection connection = acme.server.connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("CREATE TABLE late (id int PRIMARY KEY)");
      acme.server.execute("CREATE TABLE other (id int)");
      acme.awaitRecorded("other");
      statement.execute("COMMIT; BEGIN; INSERT INTO late VALUES (1), (2); COMMIT; BEGIN");
      statement.execute(
          "DELETE FROM late WHERE id = 2; TRUNCATE late; INSERT INTO late VALUES (3)");
      String bad;
      try (ResultSet xid = statement.executeQuery("SELECT pg_current_xact_id()::text")) {
        xid.next();
        bad = xid.getString(1);
      }
      connection.commit();
      acme.caughtUp();
      acme.undo(bad, PLAIN);
      assertThat(acme.server.query("SELECT id FROM late ORDER BY id")).containsExactly("1", "2");
    }
  }

  /** In a transaction of its own; says its number. */
  private static String write(Connection connection, String sql) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
      try (ResultSet xid = statement.executeQuery("SELECT pg_current_xact_id()::text")) {
        xid.next();
        return xid.getString(1);
      }
    } finally {
      connection.commit();
    }
  }
}
