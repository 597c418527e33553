package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Scripts tried as the owner of a database, who is no superuser. */
class TriedScriptTest {
  private static final Map<Integer, TestServer> SERVERS = new HashMap<>();
  private static final TriedScript.Limits LIMITS = new TriedScript.Limits(1, 10, 5, 60);

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
          started.execute("CREATE ROLE own LOGIN");
          return started;
        });
  }

  private static String database(TestServer server) {
    String name = "r" + System.nanoTime();
    server.execute("CREATE DATABASE " + name + " OWNER own");
    server.executeIn(
        name,
        "SET ROLE own",
        "CREATE SCHEMA s",
        "CREATE TABLE s.users (id int PRIMARY KEY, data jsonb, \"o'dd \"\"n\" json)",
        "INSERT INTO s.users SELECT g, '{\"phone\":1,\"address\":2,\"country\":3,\"postal\":4}', '{\"k\":1}'"
            + " FROM generate_series(1, 30) g",
        "CREATE TABLE s.orders (id int PRIMARY KEY, u int REFERENCES s.users)",
        "CREATE TABLE s.part (id int, k int) PARTITION BY LIST (k)",
        "CREATE TABLE s.p1 PARTITION OF s.part FOR VALUES IN (1)",
        "CREATE TABLE s.p2 PARTITION OF s.part FOR VALUES IN (2)",
        "INSERT INTO s.part SELECT g, 1 + g % 2 FROM generate_series(1, 10) g",
        "CREATE TABLE s.doomed AS SELECT generate_series(1, 9) AS id");
    // In a session of its own: the estimate would else count the rows twice.
    server.executeIn(name, "ANALYZE s.doomed");
    return name;
  }

  /** Tries, shows, and rolls back. */
  private static void tried(
      TestServer server, String script, BiConsumer<TriedScript.Tried, TriedScript> then) {
    String database = database(server);
    try (Connection ours = Sessions.open(server, database, "own", "t");
        Connection other = Sessions.open(server, database, "own", "t");
        TriedScript tried = new TriedScript(ours, other, LIMITS)) {
      then.accept(tried.run(SqlScript.parse(script)), tried);
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  private static TriedScript.TableTried table(TriedScript.Tried tried, String name) {
    return tried.tables().stream().filter(t -> t.table().equals(name)).findFirst().orElseThrow();
  }

  @ParameterizedTest
  @MethodSource("majors")
  void rows_and_keys_are_told_before_anything_lasts(int major) {
    tried(
        server(major),
        """
        UPDATE s.users SET data = '{"phone": 9}' WHERE id <= 3;
        DELETE FROM s.users WHERE id = 30;
        INSERT INTO s.users VALUES (100, '{}', NULL);
        """,
        (tried, _) -> {
          TriedScript.TableTried users = table(tried, "users");
          assertThat(List.of(users.inserted(), users.updated(), users.deleted()))
              .containsExactly(1L, 3L, 1L);
          assertThat(users.keysLost())
              .containsExactly(
                  new TriedScript.KeysTried(
                      "data", 3, 4, 4, 3, 3, List.of("address", "country", "postal")));
          assertThat(users.notLooked()).isNull();
          assertThat(users.samples())
              .hasSize(5)
              .anySatisfy(sample -> {
                assertThat(sample.before()).contains("\"id\": 1,", "\"postal\": 4");
                assertThat(sample.after()).contains("\"id\": 1,", "{\"phone\": 9}");
              })
              .anySatisfy(sample -> {
                assertThat(sample.before()).contains("\"id\": 30");
                assertThat(sample.after()).isNull();
              })
              .anySatisfy(sample -> {
                assertThat(sample.before()).isNull();
                assertThat(sample.after()).contains("\"id\": 100");
              });
        });
  }

  @ParameterizedTest
  @MethodSource("majors")
  void rows_that_a_foreign_key_only_locked_are_not_taken_for_changed(int major) {
    tried(
        server(major),
        "INSERT INTO s.orders VALUES (1, 7); SELECT * FROM s.users FOR UPDATE;"
            + " UPDATE s.users SET data = data WHERE id = 5",
        (tried, _) -> {
          TriedScript.TableTried users = table(tried, "users");
          assertThat(users.looked()).isEqualTo(1);
          assertThat(users.samples()).hasSize(1);
          assertThat(users.samples().getFirst().before()).contains("\"id\": 5,");
          assertThat(users.keysLost()).isEmpty();
        });
  }

  @ParameterizedTest
  @MethodSource("majors")
  void work_within_savepoints_is_looked_at_and_what_was_undone_is_only_counted(int major) {
    tried(
        server(major),
        """
        SAVEPOINT a;
        DELETE FROM s.part;
        ROLLBACK TO a;
        DELETE FROM s.part WHERE k = 1 AND id = 2;
        DO $$ BEGIN UPDATE s.users SET data = '{}' WHERE id = 2; EXCEPTION WHEN others THEN NULL; END $$;
        """,
        (tried, _) -> {
          TriedScript.TableTried leaf = table(tried, "p1");
          assertThat(leaf.partitionOf()).isEqualTo("s.part");
          assertThat(leaf.deleted()).as("an upper bound").isEqualTo(6);
          assertThat(leaf.samples())
              .containsExactly(new TriedScript.Sample("{\"k\": 1, \"id\": 2}", null));
          assertThat(leaf.notLooked()).startsWith("5 changed row versions were not found");
          assertThat(table(tried, "users").keysLost().getFirst().keysLostMax()).isEqualTo(4);
        });
  }

  @ParameterizedTest
  @MethodSource("majors")
  void what_others_do_meanwhile_is_not_counted_as_ours(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    try (Connection ours = Sessions.open(server, database, "own", "t");
        Connection other = Sessions.open(server, database, "own", "t");
        Connection third = Sessions.open(server, database, "own", "t");
        Connection fourth = Sessions.open(server, database, "own", "t");
        TriedScript tried = new TriedScript(ours, other, LIMITS)) {
      Sessions.execute(third, "BEGIN", "UPDATE s.users SET data = '{}' WHERE id = 20");
      Sessions.execute(fourth, "UPDATE s.users SET data = '{}' WHERE id = 21");
      TriedScript.TableTried users =
          table(
              tried.run(SqlScript.parse("UPDATE s.users SET data = '{\"phone\":1}' WHERE id = 1")),
              "users");
      assertThat(users.samples()).hasSize(1);
      assertThat(users.keysLost().getFirst().rows()).isEqualTo(1);
      Sessions.execute(third, "ROLLBACK");
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void ddl_is_told_and_what_it_locks_is_said_not_to_have_been_looked_at(int major) {
    tried(
        server(major),
        """
        DROP TABLE s.doomed;
        ALTER TABLE s.users DROP COLUMN "o'dd ""n";
        UPDATE s.users SET data = '{}';
        CREATE TABLE s.young AS SELECT 1 AS id;
        TRUNCATE s.part;
        ALTER TABLE s.orders RENAME TO renamed;
        """,
        (tried, _) -> {
          assertThat(tried.objects())
              .contains(
                  new TriedScript.ObjectTried("dropped", "table", "s.doomed", null, 9),
                  new TriedScript.ObjectTried(
                      "dropped", "column", "s.users.\"o'dd \"\"n\" json", null, -1),
                  new TriedScript.ObjectTried("created", "table", null, "s.young", -1),
                  new TriedScript.ObjectTried("changed", "table", "s.orders", "s.renamed", -1))
              .hasSize(4);
          assertThat(table(tried, "users").notLooked()).startsWith("the script locks it");
          assertThat(table(tried, "users").updated()).isEqualTo(30);
          assertThat(table(tried, "p1").action()).isEqualTo("truncated");
          assertThat(table(tried, "p1").rowsGone()).isEqualTo(5);
          assertThat(table(tried, "young").samples())
              .containsExactly(new TriedScript.Sample(null, "{\"id\": 1}"));
        });
  }

  @ParameterizedTest
  @MethodSource("majors")
  void nothing_lasts_until_it_is_committed_and_then_all_of_it(int major) throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    for (boolean commit : new boolean[] {false, true}) {
      try (Connection ours = Sessions.open(server, database, "own", "t");
          Connection other = Sessions.open(server, database, "own", "t");
          TriedScript tried = new TriedScript(ours, other, LIMITS)) {
        tried.run(SqlScript.parse("DELETE FROM s.part; DROP TABLE s.doomed"));
        assertThat(Sessions.query(other, "SELECT count(*) FROM s.part")).containsExactly("10");
        if (commit) {
          tried.commit();
        } else {
          tried.rollBack();
        }
        assertThat(Sessions.query(other, "SELECT count(*) FROM s.part"))
            .containsExactly(commit ? "0" : "10");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_statement_that_fails_is_named_by_its_line_and_nothing_is_left(int major)
      throws SQLException {
    TestServer server = server(major);
    String database = database(server);
    Map<String, String> failures =
        Map.of(
            "DELETE FROM s.part;\nSELECT 1,\n  nope;",
            "the statement at line 3 failed",
            "DELETE FROM s.part;\nVACUUM;",
            "it cannot run in a transaction",
            "DELETE FROM s.part;\nSELECT pg_sleep(60);",
            "--statement-timeout",
            "DELETE FROM s.part;\nALTER TABLE s.orders ADD CONSTRAINT c CHECK (id > 0);",
            "others hold the lock",
            "ALTER TABLE s.users ADD CONSTRAINT d UNIQUE (data) DEFERRABLE INITIALLY DEFERRED;\n"
                + "DELETE FROM s.part;",
            "failed");
    try (Connection locks = Sessions.open(server, database, "own", "t")) {
      Sessions.execute(locks, "BEGIN", "LOCK TABLE s.orders");
      failures.forEach((script, told) -> {
        try (Connection ours = Sessions.open(server, database, "own", "t");
            Connection other = Sessions.open(server, database, "own", "t");
            TriedScript tried =
                new TriedScript(ours, other, new TriedScript.Limits(0.3, 1, 1, 60))) {
          assertThatThrownBy(() -> tried.run(SqlScript.parse(script)))
              .as(script)
              .isInstanceOf(OperatorException.class)
              .hasMessageContaining(told);
          assertThat(Sessions.query(other, "SELECT count(*) FROM s.part")).containsExactly("10");
        } catch (SQLException e) {
          throw new IllegalStateException(e);
        }
      });
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_deferred_constraint_is_checked_before_anybody_is_asked(int major) {
    assertThatThrownBy(() ->
            tried(
                server(major),
                "ALTER TABLE s.orders ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES s.users"
                    + " DEFERRABLE INITIALLY DEFERRED; INSERT INTO s.orders VALUES (77, 1)",
                (_, _) -> {}))
        .isInstanceOf(OperatorException.class)
        .hasMessageContaining("a deferred constraint does not hold");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_script_may_choose_its_isolation_role_and_search_path(int major) {
    tried(
        server(major),
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SET search_path = s; SET ROLE own;"
            + " UPDATE users SET data = '{}' WHERE id = 1",
        (tried, transaction) -> {
          assertThat(table(tried, "users").looked()).isEqualTo(1);
          transaction.commit();
        });
  }
}
