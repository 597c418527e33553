package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The watch as the owner of a database, who is no superuser, unless a test says otherwise. */
class WatchSchemaTest {
  private static final Map<Integer, TestServer> SERVERS = new HashMap<>();
  private int databases;

  static List<Integer> majors() {
    return Majors.of("holdfast.watch.majors", "14,18");
  }

  @AfterAll
  static void stop() {
    SERVERS.values().forEach(TestServer::close);
  }

  @BeforeEach
  void none() {
    databases = 0;
  }

  private TestServer server(int major) {
    return SERVERS.computeIfAbsent(
        major,
        m -> {
          TestServer started = TestServer.start(m);
          started.execute("CREATE ROLE own LOGIN", "CREATE ROLE app LOGIN");
          return started;
        });
  }

  private String database(TestServer server) {
    String name = "w" + System.nanoTime() + "_" + databases++;
    server.execute("CREATE DATABASE " + name + " OWNER own");
    return name;
  }

  private static List<String> drain(WatchSchema schema) {
    List<String> told = new ArrayList<>();
    for (List<String> more = schema.take(0); !more.isEmpty(); more = schema.take(0)) {
      told.addAll(more);
    }
    return told;
  }

  /** One client's work, with the boxes emptied meanwhile as the watcher does. */
  private static List<String> told(WatchSchema schema, Runnable work) {
    List<String> told = new ArrayList<>();
    Thread client = Thread.startVirtualThread(work);
    while (client.isAlive()) {
      told.addAll(schema.take(10));
    }
    told.addAll(drain(schema));
    return told;
  }

  private static String field(String message, String name) {
    Matcher matcher =
        Pattern.compile("\"" + name + "\": (\"(?:[^\"\\\\]|\\\\.)*\"|[^,}]*)").matcher(message);
    return matcher.find() ? matcher.group(1) : "";
  }

  /** In no order: a client that finds its box occupied takes another one. */
  private static List<String> brief(List<String> messages) {
    return messages.stream()
        .map(m ->
            (field(m, "operation") + " " + field(m, "table") + " " + field(m, "rows"))
                .replace("\"", ""))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("majors")
  void what_is_rolled_back_is_told_all_the_same(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection client = Sessions.open(server, database, "own", "t")) {
      Sessions.execute(
          owner,
          "CREATE TABLE users (id int PRIMARY KEY, data jsonb)",
          "INSERT INTO users SELECT g, '{\"phone\":1,\"a\":2,\"b\":3,\"c\":4}' FROM generate_series(1, 5) g");
      WatchSchema schema = new WatchSchema(owner);
      schema.install();
      List<String> told =
          told(
              schema,
              () ->
                  Sessions.execute(
                      client,
                      "BEGIN",
                      "UPDATE users SET data = '{\"phone\":9}' WHERE id <= 2",
                      "SAVEPOINT a",
                      "DELETE FROM users",
                      "ROLLBACK TO a",
                      "ROLLBACK"));
      assertThat(brief(told)).containsExactlyInAnyOrder("update users 2", "delete users 5");
      assertThat(told.getFirst())
          .contains("\"keys\": [\"a\", \"b\", \"c\"]")
          .contains("\"shapes\": [[4, 3, 2]]");
      String xid = field(told.getFirst(), "xid").replace("\"", "");
      assertThat(schema.rolledBack(java.util.Set.of(xid))).containsExactly(xid);
      assertThat(schema.unseen()).isEqualTo(new WatchSchema.Unseen(0, 0));
      schema.remove();
      assertThat(Sessions.query(owner, "SELECT count(*) FROM users")).containsExactly("5");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void hostile_names_partitions_inheritance_and_odd_columns_are_told_and_harm_nobody(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection client = Sessions.open(server, database, "own", "t")) {
      Sessions.execute(
          owner,
          "CREATE SCHEMA \"S; DROP \"\"x\"",
          "CREATE TABLE \"S; DROP \"\"x\".\"t'a$$b\" (\"i d\" int, \"o\"\"ne\" int, \"j'son\" json, n int"
              + " GENERATED ALWAYS AS (\"o\"\"ne\" * 2) STORED, PRIMARY KEY (\"o\"\"ne\", \"i d\"))",
          "CREATE DOMAIN doc AS jsonb",
          "CREATE TABLE nokey (a int, d doc)",
          "CREATE TABLE part (id int, k int) PARTITION BY LIST (k)",
          "CREATE TABLE p1 PARTITION OF part FOR VALUES IN (1)",
          "CREATE TABLE p2 PARTITION OF part FOR VALUES IN (2)",
          "CREATE TABLE loose (id int, k int)",
          "CREATE TABLE up (id int)",
          "CREATE TABLE down () INHERITS (up)");
      WatchSchema schema = new WatchSchema(owner);
      schema.install();
      assertThat(schema.refused()).isEmpty();
      List<String> told =
          told(
              schema,
              () ->
                  Sessions.execute(
                      client,
                      "INSERT INTO \"S; DROP \"\"x\".\"t'a$$b\" VALUES (1, 1, '{\"a\":1,\"b\":{\"c\":2},\"d\":3}')",
                      "UPDATE \"S; DROP \"\"x\".\"t'a$$b\" SET \"j'son\" = '[]'",
                      "INSERT INTO nokey VALUES (1, '{\"x\":1}')",
                      "UPDATE nokey SET d = NULL, a = 2",
                      "ALTER TABLE part ATTACH PARTITION loose FOR VALUES IN (3)",
                      "INSERT INTO part VALUES (1, 1), (2, 3)",
                      "UPDATE part SET k = 2 WHERE k = 1",
                      "DELETE FROM p2",
                      "INSERT INTO down VALUES (7)",
                      "DELETE FROM up",
                      "TRUNCATE part"));
      assertThat(brief(told))
          .containsExactlyInAnyOrder(
              "insert t'a$$b 1",
              "update t'a$$b 1",
              "insert nokey 1",
              "update nokey 1",
              "insert part 2",
              "update part 1",
              "delete p2 1",
              "insert down 1",
              "delete up 1",
              "truncate part 0",
              "truncate p1 0",
              "truncate p2 0",
              "truncate loose 1");
      assertThat(told.get(1)).contains("\"keys\": [\"a\", \"b\", \"d\"]", "\"column\": \"j'son\"");
      assertThat(told.get(3)).contains("\"keys\": [\"x\"]", "\"column\": \"d\"");
      assertThat(schema.unseen()).isEqualTo(new WatchSchema.Unseen(0, 0));
      schema.remove();
      assertThat(Sessions.query(owner, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"))
          .isEmpty();
      assertThat(
              Sessions.query(owner, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdf%'"))
          .isEmpty();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_role_that_may_not_see_the_schema_is_watched_and_not_disturbed(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection app = Sessions.open(server, database, "app", "api")) {
      Sessions.execute(owner, "CREATE TABLE t (id int PRIMARY KEY)", "GRANT ALL ON t TO app");
      WatchSchema schema = new WatchSchema(owner);
      schema.install();
      List<String> told =
          told(
              schema,
              () ->
                  Sessions.execute(
                      app,
                      "SET default_transaction_isolation = 'serializable'",
                      "INSERT INTO t SELECT generate_series(1, 2000)",
                      "UPDATE t SET id = -id"));
      assertThat(brief(told)).containsExactlyInAnyOrder("insert t 2000", "update t 2000");
      assertThat(field(told.get(1), "application")).isEqualTo("\"api\"");
      schema.remove();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void many_clients_at_once_are_told_each_and_every_call(int major) throws Exception {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t")) {
      Sessions.execute(owner, "CREATE TABLE t (id int PRIMARY KEY, v int)");
      WatchSchema schema = new WatchSchema(owner);
      schema.install();
      List<Thread> clients =
          IntStream.range(0, 6)
              .mapToObj(i ->
                  Thread.startVirtualThread(() -> {
                    try (Connection client = Sessions.open(server, database, "own", "c" + i)) {
                      for (int n = 0; n < 50; n++) {
                        Sessions.execute(
                            client,
                            "BEGIN; INSERT INTO t VALUES (%d, 0); ROLLBACK".formatted(i * 100 + n));
                      }
                    } catch (SQLException e) {
                      throw new IllegalStateException(e);
                    }
                  }))
              .toList();
      List<String> told = new ArrayList<>();
      while (clients.stream().anyMatch(Thread::isAlive)) {
        told.addAll(schema.take(10));
      }
      told.addAll(drain(schema));
      assertThat(told).hasSize(300);
      assertThat(told.stream().map(m -> field(m, "statement"))).doesNotHaveDuplicates();
      schema.remove();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void nobody_waits_for_a_watcher_that_is_gone_and_the_next_one_cleans_up(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection client = Sessions.open(server, database, "own", "t")) {
      Sessions.execute(client, "CREATE TABLE t (id int PRIMARY KEY)");
      try (Connection killed = Sessions.open(server, database, "own", "t")) {
        new WatchSchema(killed).install();
        assertThatThrownBy(() -> new WatchSchema(client).install())
            .isInstanceOf(OperatorException.class)
            .hasMessageContaining("another `holdfast watch` is at work");
      }
      // Its session ends a moment after its connection; asking is all that can be done.
      String watching =
          "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
              + " (SELECT oid FROM pg_database WHERE datname = current_database())";
      while (!Sessions.query(client, watching).equals(List.of("0"))) {
        Thread.onSpinWait();
      }
      // More than all boxes hold: with a wait for each, this would take minutes.
      for (int n = 0; n < 100; n++) {
        Sessions.execute(client, "INSERT INTO t VALUES (%d)".formatted(n));
      }
      assertThat(Sessions.query(client, "SELECT count(*) FROM t")).containsExactly("100");
      assertThat(
              Sessions.query(
                  client,
                  "SELECT is_called FROM holdfast_watch.number UNION ALL SELECT is_called FROM"
                      + " holdfast_watch.lost"))
          .as("nothing was even begun to be told")
          .containsExactly("f", "f");
      try (Connection next = Sessions.open(server, database, "own", "t")) {
        WatchSchema schema = new WatchSchema(next);
        schema.install();
        assertThat(schema.take(0)).isEmpty();
        schema.remove();
      }
      assertThat(Sessions.query(client, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"))
          .isEmpty();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void the_statement_in_the_help_takes_everything_away_by_hand(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection client = Sessions.open(server, database, "postgres", "t");
        Connection watcher = Sessions.open(server, database, "postgres", "t")) {
      Sessions.execute(client, "CREATE TABLE t (id int)");
      new WatchSchema(watcher).install();
      Sessions.execute(client, WatchSchema.REMOVAL);
      assertThat(Sessions.query(client, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"))
          .isEmpty();
      assertThat(Sessions.query(client, "SELECT evtname FROM pg_event_trigger")).isEmpty();
      Sessions.execute(client, "INSERT INTO t VALUES (1)");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_superuser_sees_tables_from_their_birth_and_what_drops_them(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "postgres", "t");
        Connection client = Sessions.open(server, database, "own", "t")) {
      Sessions.execute(client, "CREATE TABLE old (id int, c int)");
      WatchSchema schema = new WatchSchema(owner);
      schema.install();
      assertThat(schema.hasEventTriggers()).isTrue();
      List<String> told =
          told(
              schema,
              () ->
                  Sessions.execute(
                      client,
                      "BEGIN",
                      "CREATE TABLE young AS SELECT 1 AS id",
                      "INSERT INTO young VALUES (2)",
                      "ALTER TABLE old DROP COLUMN c",
                      "DROP TABLE old",
                      "ROLLBACK",
                      "CREATE TEMP TABLE t (id int)",
                      "DROP TABLE t"));
      assertThat(brief(told)).startsWith("insert young 1").hasSize(3);
      assertThat(told.get(1)).contains("\"kind\": \"column\"", "\"column\": \"c\"");
      assertThat(told.get(2)).contains("\"kind\": \"table\"", "DROP TABLE old");
      assertThat(schema.unseen()).isEqualTo(new WatchSchema.Unseen(0, 0));
      schema.remove();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void the_owner_sees_tables_and_drops_once_they_are_committed(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection client = Sessions.open(server, database, "own", "t")) {
      Sessions.execute(client, "CREATE TABLE old (id int, c int)", "CREATE TABLE gone (id int)");
      WatchSchema schema = new WatchSchema(owner);
      schema.install();
      assertThat(schema.hasEventTriggers()).isFalse();
      Sessions.execute(
          client,
          "CREATE TABLE young (id int)",
          "ALTER TABLE old DROP COLUMN c",
          "DROP TABLE gone");
      assertThat(schema.look())
          .extracting(gone -> gone.kind() + " " + gone.name() + " " + gone.column())
          .containsExactlyInAnyOrder("column old c", "table gone null");
      assertThat(
              brief(told(schema, () -> Sessions.execute(client, "INSERT INTO young VALUES (1)"))))
          .containsExactly("insert young 1");
      schema.remove();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_failure_inside_a_trigger_is_counted_and_the_command_goes_on(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection client = Sessions.open(server, database, "own", "t")) {
      // A document that json takes and jsonb does not.
      Sessions.execute(
          client,
          "CREATE TABLE t (id int PRIMARY KEY, d json)",
          "INSERT INTO t VALUES (1, '{\"a\":\"\\u0000\"}')");
      WatchSchema schema = new WatchSchema(owner);
      schema.install();
      List<String> told = told(schema, () -> Sessions.execute(client, "UPDATE t SET d = '{}'"));
      assertThat(brief(told)).containsExactlyInAnyOrder("update t 1");
      assertThat(schema.unseen().failures()).isEqualTo(1);
      schema.remove();
    }
  }
}
