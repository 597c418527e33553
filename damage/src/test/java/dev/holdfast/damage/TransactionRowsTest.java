package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer.Stop;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.Tid;
import dev.holdfast.wal.WalRecord;
import java.sql.Connection;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class TransactionRowsTest {
  private static final Pattern CTID = Pattern.compile("(\\d+)\\|\\((\\d+),(\\d+)\\)");

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void the_net_change_of_every_row_and_whether_it_was_touched_since(int major) throws Exception {
    try (TestServer server =
        TestServer.start(major, Map.of("max_prepared_transactions", "5", "autovacuum", "off"))) {
      server.execute(
          "CREATE TABLE r (id int PRIMARY KEY, v int, filler text)",
          "INSERT INTO r SELECT g, 0, repeat('x', 200) FROM generate_series(1, 100) g",
          "CREATE TABLE other (a int)");
      RelFile file =
          RelFileOf.query(
              server,
              "SELECT d.dattablespace, d.oid, pg_relation_filenode('r') FROM pg_database d"
                  + " WHERE datname = 'postgres'");
      Lsn start = ServerLog.end(server);
      Map<Integer, Tid> before = tids(server);
      server.execute(
          "BEGIN; INSERT INTO r SELECT g, 1, '' FROM generate_series(101, 105) g;"
              + " UPDATE r SET v = 1 WHERE id <= 10; UPDATE r SET v = 2 WHERE id <= 5;"
              + " DELETE FROM r WHERE id IN (9, 10, 11, 12);"
              + " INSERT INTO r VALUES (200, 1, ''), (201, 1, '');"
              + " UPDATE r SET v = 2 WHERE id = 200; DELETE FROM r WHERE id = 201;"
              + " INSERT INTO other VALUES (1);"
              + " SAVEPOINT a; DELETE FROM r WHERE id = 50; ROLLBACK TO a;"
              + " SAVEPOINT b; UPDATE r SET v = 3 WHERE id = 60; RELEASE b; COMMIT");
      Map<Integer, Tid> after = tids(server);
      Lsn committed = ServerLog.end(server);
      touch(server);
      List<WalRecord.Commit> commits = new ArrayList<>();
      ServerLog.read(
          server,
          start,
          record -> {
            if (record.decode() instanceof WalRecord.Commit one) {
              commits.add(one);
            }
          });

      WalRecord.Commit commit = commits.getFirst();
      TransactionRows rows =
          new TransactionRows(commit.transaction(), commit.subtransactions(), file::equals);
      ServerLog.read(
          server,
          start,
          record -> {
            if (record.lsn() < commit.lsn().position()) {
              rows.accept(record);
            }
          });

      List<TransactionRows.Change> expected = new ArrayList<>();
      for (int id = 1; id <= 201; id++) {
        Tid was = before.get(id);
        Tid is = after.get(id);
        boolean changed = was == null ? is != null : !was.equals(is);
        if (changed) {
          expected.add(new TransactionRows.Change(was, is));
        }
      }
      assertThat(expected).hasSize(8 + 4 + 5 + 1 + 1);
      assertThat(rows.changes(file)).containsExactlyInAnyOrderElementsOf(expected);
      assertThat(rows.changedFiles()).containsExactly(file);

      TouchedSince touched = new TouchedSince(rows);
      ServerLog.read(server, committed, touched::accept);

      List<Integer> ids = new ArrayList<>();
      after.forEach((id, tid) -> {
        if (touched.isTouched(file, tid)) {
          ids.add(id);
        }
      });
      assertThat(ids).containsExactlyInAnyOrder(1, 2, 6, 7, 8, 101, 103);
      assertThat(touched.count(file)).isEqualTo(7);
      assertThat(touched.filesGone()).containsExactly(file);
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
    } catch (java.sql.SQLException e) {
      // the connection died with its server, and its transaction with it
    }
    server.execute("COMMIT PREPARED 'seven'", "UPDATE r SET v = 9 WHERE id = 103");
    server.execute("ROLLBACK PREPARED 'open'", "VACUUM FULL r");
  }

  private static Map<Integer, Tid> tids(TestServer server) {
    Map<Integer, Tid> tids = new HashMap<>();
    for (String line : server.query("SELECT id, ctid::text FROM r")) {
      Matcher matcher = CTID.matcher(line);
      assertThat(matcher.matches()).as(line).isTrue();
      tids.put(
          Integer.parseInt(matcher.group(1)),
          new Tid(Long.parseLong(matcher.group(2)), Integer.parseInt(matcher.group(3))));
    }
    return tids;
  }
}
