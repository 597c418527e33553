package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.damage.RowHistories.Left;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Step;
import dev.holdfast.server.PostgresServer.Stop;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.Tid;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RowHistoriesTest {
  private static final long TABLE = 4711;

  /** Rows by their places, as the server has them. */
  private static Map<Integer, Tid> places(TestServer server) {
    Map<Integer, Tid> places = new HashMap<>();
    for (String line :
        server.query(
            "SELECT id, (ctid::text::point)[0]::int8, (ctid::text::point)[1]::int FROM r")) {
      String[] parts = line.split("\\|", -1);
      places.put(
          Integer.parseInt(parts[0]),
          new Tid(Long.parseLong(parts[1]), Integer.parseInt(parts[2])));
    }
    return places;
  }

  private static RelFile file(TestServer server) {
    return RelFileOf.query(
        server,
        "SELECT d.dattablespace, d.oid, pg_relation_filenode('r') FROM pg_database d"
            + " WHERE datname = 'postgres'");
  }

  private static long xid(TestServer server, String... statements) throws SQLException {
    String[] all = new String[statements.length + 3];
    all[0] = "BEGIN";
    System.arraycopy(statements, 0, all, 1, statements.length);
    all[statements.length + 1] = "INSERT INTO bad VALUES (txid_current())";
    all[statements.length + 2] = "COMMIT";
    server.execute(String.join("; ", all));
    return Long.parseLong(server.query("SELECT x FROM bad ORDER BY x DESC LIMIT 1").getFirst());
  }

  private static RowHistories read(
      TestServer server, RecordedNames names, Lsn start, Set<Long> bad, RelFile... files)
      throws Exception {
    List<TransactionDamage> set = new ArrayList<>();
    DamageScan scan =
        new DamageScan(
            names,
            damage -> {
              if (bad.contains(damage.xid())) {
                set.add(damage);
              }
            });
    ServerLog.read(server, start, scan::accept);
    assertThat(set).hasSameSizeAs(bad);
    RowHistories histories =
        new RowHistories(set, file -> Set.of(files).contains(file) ? TABLE : 0, _ -> 0);
    ServerLog.read(server, start, histories::accept);
    return histories;
  }

  private static List<RowHistory> all(RowHistories histories, RelFile file) {
    List<RowHistory> all = new ArrayList<>();
    for (int number = 0; number < histories.count(file); number++) {
      RowHistory history = histories.history(file, number);
      if (history != null) {
        all.add(history);
      }
    }
    return all;
  }

  private static TestServer started(int major) throws Exception {
    TestServer server =
        TestServer.start(major, Map.of("max_prepared_transactions", "5", "autovacuum", "off"));
    server.execute(
        "CREATE TABLE bad (x int8)",
        "CREATE TABLE other (a int)",
        "CREATE TABLE r (id int PRIMARY KEY, v int, filler text)",
        "INSERT INTO r SELECT g, 0, repeat('x', 200) FROM generate_series(1, 100) g");
    return server;
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void one_transaction_is_one_step_of_each_row_and_others_follow(int major) throws Exception {
    try (TestServer server = started(major)) {
      RelFile file = file(server);
      RecordedNames names = new RecordedNames();
      Lsn start = ServerLog.begin(server);
      names.record(server);
      Map<Integer, Tid> before = places(server);
      long bad =
          xid(
              server,
              "INSERT INTO r SELECT g, 1, '' FROM generate_series(101, 105) g",
              "UPDATE r SET v = 1 WHERE id <= 10",
              "UPDATE r SET v = 2 WHERE id <= 5",
              "DELETE FROM r WHERE id IN (9, 10, 11, 12)",
              "INSERT INTO r VALUES (200, 1, ''), (201, 1, '')",
              "UPDATE r SET v = 2 WHERE id = 200",
              "DELETE FROM r WHERE id = 201",
              "INSERT INTO other VALUES (1)",
              "SAVEPOINT a",
              "DELETE FROM r WHERE id = 50",
              "UPDATE r SET v = 7 WHERE id = 1",
              "ROLLBACK TO a",
              "SAVEPOINT b",
              "UPDATE r SET v = 3 WHERE id = 60",
              "UPDATE r SET v = 3 WHERE id = 2",
              "RELEASE b");
      Map<Integer, Tid> after = places(server);
      touch(server);

      RowHistories histories = read(server, names, start, Set.of(bad), file);

      List<String> expected = new ArrayList<>();
      for (int id = 1; id <= 201; id++) {
        Tid was = before.get(id);
        Tid is = after.get(id);
        if (was == null ? is != null : !was.equals(is)) {
          expected.add(was + " " + is);
        }
      }
      List<RowHistory> found = all(histories, file);
      assertThat(expected).hasSize(8 + 4 + 5 + 1 + 1);
      assertThat(
              found.stream()
                  .map(history -> history.first() + " " + history.steps().getFirst().tid())
                  .toList())
          .containsExactlyInAnyOrderElementsOf(expected);
      Set<Integer> touched = new HashSet<>();
      for (RowHistory history : found) {
        List<Step> later =
            history.steps().stream().skip(1).filter(step -> step.left() != Left.UNKNOWN).toList();
        assertThat(later).noneMatch(step -> step.writer().inSet());
        if (!later.isEmpty()) {
          after.forEach((id, tid) -> {
            if (tid.equals(history.steps().getFirst().tid())) {
              touched.add(id);
            }
          });
        }
        boolean left = history.steps().getLast().left() != Left.NOTHING;
        // VACUUM FULL replaced the file: where rows lie now is not known.
        assertThat(history.last().left()).isEqualTo(left ? Left.UNKNOWN : Left.NOTHING);
      }
      assertThat(touched).containsExactlyInAnyOrder(1, 2, 6, 7, 8, 101, 103);
    }
  }

  private static void touch(TestServer server) throws Exception {
    server.execute(
        "UPDATE r SET v = v WHERE id = 1", // the very same values
        "DELETE FROM r WHERE id = 2",
        "SELECT * FROM r WHERE id = 3 FOR UPDATE",
        "BEGIN; UPDATE r SET v = 9 WHERE id = 4; ROLLBACK",
        "BEGIN; INSERT INTO other VALUES (2); SAVEPOINT s; UPDATE r SET v = 9 WHERE id = 5;"
            + " ROLLBACK TO s; SAVEPOINT t; UPDATE r SET v = 9 WHERE id = 101; RELEASE t; COMMIT",
        "BEGIN; UPDATE r SET v = 9 WHERE id = 6; PREPARE TRANSACTION 'six'",
        "COMMIT PREPARED 'six'",
        "BEGIN; UPDATE r SET v = 9 WHERE id = 7; PREPARE TRANSACTION 'seven'",
        "BEGIN; UPDATE r SET v = 9 WHERE id = 104; PREPARE TRANSACTION 'open'",
        "UPDATE r SET v = 9 WHERE id = 8",
        "UPDATE r SET v = 10 WHERE id = 8",
        "UPDATE r SET v = 9 WHERE id = 70"); // a row the transaction had not changed
    try (Connection connection = server.connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("UPDATE r SET v = 9 WHERE id = 102");
      server.execute("CHECKPOINT");
      server.restart(Stop.IMMEDIATE);
    } catch (SQLException e) {
      // the connection died with its server, and its transaction with it
    }
    server.execute("COMMIT PREPARED 'seven'", "UPDATE r SET v = 9 WHERE id = 103");
    server.execute("ROLLBACK PREPARED 'open'", "VACUUM FULL r");
  }

  @Test
  void writes_of_the_set_and_of_others_stand_in_the_order_of_their_commits() throws Exception {
    try (TestServer server = started(15)) {
      RelFile file = file(server);
      RecordedNames names = new RecordedNames();
      Lsn start = ServerLog.begin(server);
      names.record(server);
      Tid first = places(server).get(1);
      long one = xid(server, "UPDATE r SET v = 1 WHERE id = 1");
      server.execute("UPDATE r SET v = 2 WHERE id = 1", "UPDATE r SET v = 3 WHERE id = 1");
      long two = xid(server, "UPDATE r SET v = 4 WHERE id = 1", "UPDATE r SET v = 5 WHERE id = 1");
      long three = xid(server, "DELETE FROM r WHERE id = 1");

      List<RowHistory> found = all(read(server, names, start, Set.of(one, two, three), file), file);

      assertThat(found).hasSize(1);
      RowHistory history = found.getFirst();
      assertThat(history.first()).isEqualTo(first);
      assertThat(history.since()).isEqualTo(Lsn.NONE);
      assertThat(history.steps().stream().map(step -> step.writer().inSet()).toList())
          .containsExactly(true, false, false, true, true);
      assertThat(history.steps().stream().map(step -> step.writer().xid()).toList())
          .contains(one, two, three)
          .isSorted();
      assertThat(history.steps())
          .isSortedAccordingTo((a, b) -> a.writer().commitLsn().compareTo(b.writer().commitLsn()));
      assertThat(history.last().left()).isEqualTo(Left.NOTHING);
    }
  }

  @Test
  void a_place_used_again_is_another_row_seen_only_once_it_was_put_there() throws Exception {
    try (TestServer server = started(15)) {
      RelFile file = file(server);
      RecordedNames names = new RecordedNames();
      Lsn start = ServerLog.begin(server);
      names.record(server);
      long one = xid(server, "UPDATE r SET v = 1 WHERE id = 1");
      Tid place = Objects.requireNonNull(places(server).get(1));
      server.execute("DELETE FROM r WHERE id = 1", "VACUUM r");
      Lsn vacuumed = ServerLog.end(server);
      for (int id = 300; !place.equals(places(server).get(id - 1)); id++) {
        assertThat(id).as("rows put in before the free place was used").isLessThan(400);
        server.execute("INSERT INTO r VALUES (" + id + ", 0, '')");
      }
      int reborn =
          places(server).entrySet().stream()
              .filter(entry -> entry.getValue().equals(place))
              .findFirst()
              .orElseThrow()
              .getKey();
      long two = xid(server, "DELETE FROM r WHERE id = " + reborn);

      List<RowHistory> found = all(read(server, names, start, Set.of(one, two), file), file);

      assertThat(found).hasSize(2);
      assertThat(found.getFirst().last().writer().inSet()).as("deleted by others").isFalse();
      assertThat(found.getLast().first()).isEqualTo(place);
      assertThat(found.getLast().since()).isGreaterThan(vacuumed);
    }
  }

  @Test
  void a_truncation_ends_every_row_and_says_since_when_the_table_was_locked() throws Exception {
    try (TestServer server = started(15)) {
      RelFile file = file(server);
      long oid = Long.parseLong(server.query("SELECT 'r'::regclass::oid").getFirst());
      RecordedNames names = new RecordedNames();
      Lsn start = ServerLog.begin(server);
      names.record(server);
      long one = xid(server, "UPDATE r SET v = 1 WHERE id <= 3");
      server.execute("UPDATE r SET v = 2 WHERE id = 2");
      Lsn locked = ServerLog.end(server);
      long two = xid(server, "TRUNCATE r", "INSERT INTO r VALUES (1, 5, '')");

      List<TransactionDamage> set = new ArrayList<>();
      DamageScan scan =
          new DamageScan(
              names,
              damage -> {
                if (damage.xid() == one || damage.xid() == two) {
                  set.add(damage);
                }
              });
      ServerLog.read(server, start, scan::accept);
      RelFile after = file(server);
      RowHistories histories =
          new RowHistories(set, each -> each.equals(file) || each.equals(after) ? oid : 0, _ -> 0);
      ServerLog.read(server, start, histories::accept);

      assertThat(histories.truncations()).hasSize(1);
      RowHistories.Truncation truncation = histories.truncations().getFirst();
      assertThat(truncation.file()).isEqualTo(file);
      assertThat(truncation.writer().xid()).isEqualTo(two);
      assertThat(truncation.writer().lastBefore(oid))
          .isGreaterThanOrEqualTo(locked)
          .isLessThan(truncation.writer().commitLsn());
      assertThat(all(histories, file)).hasSize(3);
      assertThat(all(histories, file))
          .allMatch(history -> history.last().left() == Left.NOTHING)
          .allMatch(history -> history.last().writer().xid() == two);
      assertThat(all(histories, after)).hasSize(1);
      assertThat(histories.madeBySet(after)).isTrue();
    }
  }

  @Test
  void the_fewest_stops_hit_every_interval() {
    FewestStops fewest = new FewestStops();
    fewest.add(new Lsn(10), new Lsn(20));
    fewest.add(new Lsn(15), new Lsn(30));
    fewest.add(new Lsn(0), new Lsn(40));
    fewest.add(new Lsn(25), new Lsn(50));
    fewest.add(new Lsn(60), new Lsn(60));
    assertThat(fewest.stops()).containsExactly(new Lsn(20), new Lsn(50), new Lsn(60));
  }
}
