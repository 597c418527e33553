package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.TestServer;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.postgresql.PGConnection;

class FreezeTriggersTest {
  private static final Map<Integer, TestServer> SERVERS = new HashMap<>();
  private static final Instant NOW = Instant.parse("2026-11-21T04:57:00Z");

  static List<Integer> majors() {
    return Majors.of("holdfast.watch.majors", "14,18");
  }

  @AfterAll
  static void stop() {
    SERVERS.values().forEach(TestServer::close);
  }

  private static TestServer server(int major) {
    return SERVERS.computeIfAbsent(
        major,
        m -> {
          TestServer started = TestServer.start(m);
          started.execute(
              "CREATE ROLE own LOGIN",
              "CREATE ROLE app LOGIN",
              "CREATE ROLE repair LOGIN IN ROLE own");
          return started;
        });
  }

  private static String database(TestServer server) {
    String name = "f" + System.nanoTime();
    server.execute("CREATE DATABASE " + name + " OWNER own");
    server.executeIn(
        name,
        "SET ROLE own",
        "CREATE SCHEMA s",
        "CREATE TABLE s.\"t'x \"\"y\" (id int PRIMARY KEY, v int)",
        "INSERT INTO s.\"t'x \"\"y\" VALUES (1, 1)",
        "CREATE TABLE s.part (id int, k int) PARTITION BY LIST (k)",
        "CREATE TABLE s.p1 PARTITION OF s.part FOR VALUES IN (1)",
        "CREATE TABLE s.p2 PARTITION OF s.part FOR VALUES IN (2)",
        "CREATE TABLE s.up (id int PRIMARY KEY)",
        "CREATE TABLE s.down () INHERITS (s.up)",
        "CREATE TABLE s.child (id int, up int REFERENCES s.up ON DELETE CASCADE)",
        "INSERT INTO s.up VALUES (1)",
        "INSERT INTO s.down VALUES (2)",
        "INSERT INTO s.child VALUES (1, 1)",
        "INSERT INTO s.part VALUES (1, 1), (2, 2)",
        "GRANT USAGE ON SCHEMA s TO app",
        "GRANT ALL ON ALL TABLES IN SCHEMA s TO app");
    return name;
  }

  private static FreezeTriggers.State state(
      @Nullable String application,
      @Nullable String role,
      @Nullable String exceptRole,
      String... tables) {
    return new FreezeTriggers.State(
        NOW, "ann as own", "it's \"why\" \\ 100%", application, role, exceptRole, List.of(tables));
  }

  private static FreezeTriggers.Coverage freeze(
      Connection connection, String database, FreezeTriggers.State state) {
    FreezeTriggers triggers = new FreezeTriggers(connection);
    return triggers.cover(triggers.begin(state, database), 5, _ -> {});
  }

  private static void refused(Connection client, String... statements) {
    for (String sql : statements) {
      assertThat(Sessions.failure(client, sql)).as(sql).startsWith(FreezeTriggers.REFUSED);
    }
  }

  private static void allowed(Connection client, String... statements) {
    for (String sql : statements) {
      assertThat(Sessions.failure(client, sql)).as(sql).isEmpty();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void every_way_to_write_is_refused_with_who_when_why_and_what_ends_it(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection app = Sessions.open(server, database, "app", "api")) {
      FreezeTriggers.Coverage coverage = freeze(owner, database, state(null, null, null));
      assertThat(coverage.missing()).isEmpty();
      assertThat(coverage.frozen()).hasSize(7);
      assertThat(coverage.ddlRefused()).isFalse();
      String table = "s.\"t'x \"\"y\"";
      refused(
          app,
          "INSERT INTO %s VALUES (2, 2)".formatted(table),
          "UPDATE %s SET v = 2 WHERE false".formatted(table),
          "DELETE FROM " + table,
          "TRUNCATE " + table,
          "WITH gone AS (DELETE FROM s.part RETURNING *) SELECT * FROM gone",
          "INSERT INTO %s VALUES (1, 1) ON CONFLICT DO NOTHING".formatted(table),
          "DO $$ BEGIN DELETE FROM s.child; END $$",
          "INSERT INTO s.part VALUES (1, 1)",
          "INSERT INTO s.p1 VALUES (1, 1)",
          "DELETE FROM s.up",
          "DELETE FROM s.down");
      if (major >= 15) {
        refused(
            app,
            "MERGE INTO s.part USING (SELECT 1) AS x ON false WHEN NOT MATCHED THEN DO NOTHING"
                .replace("DO NOTHING", "INSERT VALUES (1, 1)"));
      }
      refused(owner, "DELETE FROM s.child");
      assertThatThrownBy(() ->
              app.unwrap(PGConnection.class)
                  .getCopyAPI()
                  .copyIn("COPY s.part FROM STDIN", new StringReader("1\t1\n")))
          .hasMessageContaining("writes to s.part in database");
      FreezeTriggers.Refusal told =
          FreezeTriggers.refusal(state(null, null, null), database, table);
      assertThat(Sessions.failure(app, "DELETE FROM " + table))
          .contains(told.message(), told.detail(), told.hint())
          .contains("since 2026-11-21T04:57:00Z by ann as own: it's \"why\" \\ 100%");
      allowed(
          app, "SELECT * FROM s.part", "CREATE TEMP TABLE t (id int)", "INSERT INTO t VALUES (1)");
      assertThat(new FreezeTriggers(owner).remove(5)).isEmpty();
      allowed(app, "DELETE FROM s.part");
      assertThat(Sessions.query(owner, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"))
          .isEmpty();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_replica_role_and_a_snapshot_older_than_the_freeze_are_refused_too(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection superuser = Sessions.open(server, database, "postgres", "t");
        Connection old = Sessions.open(server, database, "app", "t")) {
      Sessions.execute(old, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM pg_class");
      freeze(owner, database, state(null, null, null));
      refused(old, "DELETE FROM s.part");
      Sessions.execute(superuser, "SET session_replication_role = replica");
      refused(superuser, "DELETE FROM s.part", "INSERT INTO s.part VALUES (1, 1)");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void one_table_is_frozen_against_what_comes_through_its_parents(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection app = Sessions.open(server, database, "app", "t")) {
      FreezeTriggers triggers = new FreezeTriggers(owner);
      List<String> names = triggers.resolve(List.of("s.p1", "s.down"));
      assertThat(names).containsExactly("s.down", "s.p1");
      freeze(owner, database, state(null, null, null, "s.down", "s.p1"));
      refused(
          app,
          "INSERT INTO s.part VALUES (1, 1)",
          "UPDATE s.part SET k = 1 WHERE k = 2",
          "DELETE FROM s.part WHERE k = 1",
          "TRUNCATE s.part",
          "DELETE FROM s.up WHERE id = 2");
      allowed(
          app,
          "INSERT INTO s.part VALUES (3, 2)",
          "UPDATE s.part SET id = 4 WHERE k = 2",
          "DELETE FROM s.up WHERE id = 1");
      triggers.remove(5);
      freeze(owner, database, state(null, null, null, "s.part"));
      refused(app, "INSERT INTO s.p2 VALUES (1, 2)", "TRUNCATE s.p1");
      allowed(app, "INSERT INTO s.up VALUES (9)");
      assertThatThrownBy(() -> triggers.resolve(List.of("s.nope")))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("there is no table s.nope");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_cascade_from_a_table_that_is_not_frozen_is_refused(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection app = Sessions.open(server, database, "app", "t")) {
      freeze(owner, database, state(null, null, null, "s.child"));
      refused(app, "DELETE FROM s.up WHERE id = 1");
      allowed(app, "DELETE FROM s.up WHERE id = 2");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void only_the_named_application_or_role_is_refused_and_the_excepted_role_writes(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection api = Sessions.open(server, database, "app", "api");
        Connection repair = Sessions.open(server, database, "repair", "api")) {
      FreezeTriggers triggers = new FreezeTriggers(owner);
      freeze(owner, database, state("api", null, null));
      refused(api, "DELETE FROM s.p1");
      allowed(owner, "INSERT INTO s.part VALUES (1, 1)");
      triggers.remove(5);
      freeze(owner, database, state(null, "app", null));
      refused(api, "DELETE FROM s.p1");
      allowed(
          repair,
          "INSERT INTO s.part VALUES (1, 1)",
          "SET ROLE own",
          "DELETE FROM s.p1",
          "RESET ROLE");
      triggers.remove(5);
      freeze(owner, database, state(null, null, "repair"));
      refused(api, "DELETE FROM s.p1");
      // Whoever may become the role later is not the role that logged in.
      refused(owner, "DELETE FROM s.p1");
      allowed(repair, "INSERT INTO s.part VALUES (1, 1)");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_table_that_somebody_locks_is_told_and_done_by_the_next_run(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection busy = Sessions.open(server, database, "app", "t");
        Connection app = Sessions.open(server, database, "app", "t")) {
      Sessions.execute(busy, "BEGIN", "INSERT INTO s.up VALUES (5)");
      FreezeTriggers triggers = new FreezeTriggers(owner);
      FreezeTriggers.State begun = triggers.begin(state(null, null, null), database);
      FreezeTriggers.Coverage half = triggers.cover(begun, 0.5, _ -> {});
      assertThat(half.missing()).containsOnlyKeys("s.up");
      assertThat(half.missing().get("s.up"))
          .isEqualTo(
              "others hold locks on it (sessions %s)"
                  .formatted(Sessions.query(busy, "SELECT pg_backend_pid()").getFirst()));
      refused(app, "INSERT INTO s.part VALUES (1, 1)");
      allowed(app, "INSERT INTO s.up VALUES (6)");
      Sessions.execute(busy, "COMMIT");
      FreezeTriggers.State later =
          new FreezeTriggers.State(
              NOW.plusSeconds(60), "bob as own", null, null, null, null, List.of());
      assertThat(triggers.begin(later, database))
          .as("goes on with what was begun")
          .isEqualTo(begun);
      assertThat(triggers.cover(begun, 5, _ -> {}).missing()).isEmpty();
      refused(app, "INSERT INTO s.up VALUES (7)");
      assertThatThrownBy(() -> triggers.begin(state("api", null, null), database))
          .hasMessageContaining("it is frozen already, otherwise");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_superusers_freeze_refuses_ddl_and_the_statement_in_the_hint_ends_it(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection superuser = Sessions.open(server, database, "postgres", "t");
        Connection owner = Sessions.open(server, database, "own", "t")) {
      assertThat(freeze(superuser, database, state(null, null, null)).ddlRefused()).isTrue();
      refused(
          owner,
          "DROP TABLE s.part",
          "ALTER TABLE s.up ADD COLUMN x int",
          "CREATE TABLE s.n (id int)",
          "DROP SCHEMA s CASCADE",
          "DROP TRIGGER holdfast_freeze_write ON s.up");
      allowed(
          owner,
          "CREATE TEMP TABLE t (id int)",
          "INSERT INTO t VALUES (1)",
          "ALTER TABLE t ADD COLUMN b int",
          "DROP TABLE t");
      Sessions.execute(superuser, FreezeTriggers.REMOVAL);
      allowed(owner, "DELETE FROM s.part", "DROP TABLE s.child");
      assertThat(Sessions.query(owner, "SELECT evtname FROM pg_event_trigger")).isEmpty();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void unfreezing_lets_write_at_once_though_triggers_cannot_be_taken_away_yet(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t");
        Connection busy = Sessions.open(server, database, "app", "t");
        Connection app = Sessions.open(server, database, "app", "t")) {
      freeze(owner, database, state(null, null, null));
      refused(app, "INSERT INTO s.up VALUES (7)");
      Sessions.execute(busy, "BEGIN", "SELECT * FROM s.up");
      FreezeTriggers triggers = new FreezeTriggers(owner);
      assertThat(triggers.remove(0.3)).contains("s.up");
      allowed(app, "INSERT INTO s.up VALUES (7)");
      Sessions.execute(busy, "COMMIT");
      assertThat(triggers.remove(5)).isEmpty();
      assertThat(triggers.state()).isNull();
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void it_lasts_when_the_server_restarts_and_a_disabled_trigger_shows(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection owner = Sessions.open(server, database, "own", "t")) {
      freeze(owner, database, state(null, null, null));
    }
    server.restart(PostgresServer.Stop.IMMEDIATE);
    try (Connection owner = Sessions.open(server, database, "own", "t")) {
      refused(owner, "INSERT INTO s.up VALUES (7)");
      FreezeTriggers triggers = new FreezeTriggers(owner);
      FreezeTriggers.State state = triggers.state();
      assertThat(state).isEqualTo(state(null, null, null));
      Sessions.execute(owner, "ALTER TABLE s.up DISABLE TRIGGER holdfast_freeze_write");
      assertThat(triggers.coverage(state(null, null, null)).missing()).containsOnlyKeys("s.up");
    }
  }
}
