package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The watch as a process, with real commands: the shell and psql. No repository anywhere. */
class WatchCommandTest {
  @TempDir static Path home;
  private static TestServer server;
  private static int databases;

  @BeforeAll
  static void start() {
    server = TestServer.start(18);
    server.execute("CREATE ROLE own LOGIN");
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static String database() {
    String name = "shop" + databases++;
    server.execute("CREATE DATABASE " + name + " OWNER own");
    server.executeIn(
        name,
        "SET ROLE own",
        "CREATE SCHEMA app",
        "CREATE TABLE app.orders AS SELECT generate_series(1, 30) AS id",
        "RESET ROLE",
        "GRANT ALL ON SCHEMA public TO own",
        "SET ROLE own",
        "CREATE TABLE public.users (id int PRIMARY KEY, data jsonb)",
        "INSERT INTO public.users SELECT g, jsonb_build_object('phone', g, 'address', 'a', 'country',"
            + " 'c', 'postal', 'p') FROM generate_series(1, 25) g");
    return name;
  }

  private static String url(String database) {
    return "postgresql://own@127.0.0.1:" + server.server().port() + "/" + database;
  }

  private static Ended watch(String database, String script, String... options) {
    return start(database, script, options).await();
  }

  private static HoldfastProcess start(String database, String script, String... options) {
    List<String> arguments = new ArrayList<>(List.of("watch", url(database)));
    arguments.addAll(Arrays.asList(options));
    arguments.addAll(List.of("--", "sh", "-c", script));
    return HoldfastProcess.start(home, arguments.toArray(String[]::new));
  }

  private static void nothingIsLeft(String database) {
    assertThat(
            server.queryIn(
                database,
                "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%' UNION ALL"
                    + " SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION ALL"
                    + " SELECT evtname FROM pg_event_trigger"))
        .isEmpty();
  }

  /** Twenty calls of the endpoint, each on the user that the lookup found. */
  private static String calls(String which) {
    return "for i in $(seq 1 20); do echo \"BEGIN; UPDATE users SET data = '{\\\"phone\\\": \\\"$i\\\"}'"
        + " WHERE id = "
        + which
        + "; ROLLBACK;\"; done | psql -qX -v ON_ERROR_STOP=1";
  }

  @Test
  void the_endpoint_that_ate_the_json_is_told_though_its_tests_roll_back() {
    String database = database();
    Ended ended = watch(database, calls("$i"));
    assertThat(ended.exitCode()).as(ended.err()).isEqualTo(4);
    assertThat(ended.out())
        .contains(
            "error: json-keys-lost: 20 updates of users.data, 3 of 4 keys lost in each: address,"
                + " country, postal\n  by: UPDATE users SET data = ? WHERE id = ?\n")
        .doesNotContain("same-row");
    nothingIsLeft(database);
  }

  @Test
  void the_wrong_cure_is_told_to_hit_one_row() {
    String database = database();
    String merge =
        "for i in $(seq 1 20); do echo \"UPDATE users SET data = data || '{\\\"phone\\\": \\\"$i\\\"}' WHERE"
            + " id = (SELECT id FROM users ORDER BY id LIMIT 1);\"; done | psql -qX";
    Ended ended = watch(database, merge);
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    assertThat(ended.out())
        .contains("warning: same-row: 20 calls, 20 updates, 1 distinct row of users");
    assertThat(watch(database, merge, "--strict").exitCode()).isEqualTo(4);
    nothingIsLeft(database);
  }

  @Test
  void ordinary_work_has_no_findings_and_the_report_is_a_value() {
    String database = database();
    Ended ended =
        watch(
            database,
            "for i in $(seq 1 9); do psql -qX -c \"UPDATE users SET data = data || '{\\\"n\\\": $i}' WHERE id ="
                + " $i\" -c \"INSERT INTO app.orders VALUES ($i)\"; done; echo to the terminal",
            "--json");
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    assertThat(ended.err()).as("the command's own output").contains("to the terminal");
    JsonNode report = ended.json();
    assertThat(report.path("findings")).isEmpty();
    assertThat(report.path("complete").asBoolean()).isTrue();
    assertThat(report.path("tables").asInt()).isEqualTo(2);
    JsonNode update =
        report
            .path("statements")
            .valueStream()
            .filter(s -> s.path("operation").asString().equals("update"))
            .findFirst()
            .orElseThrow();
    assertThat(update.path("statement").asString())
        .isEqualTo("UPDATE users SET data = data || ? WHERE id = ?");
    assertThat(update.path("calls").asInt()).isEqualTo(9);
    assertThat(update.path("rows").asInt()).isEqualTo(9);
    assertThat(update.path("distinctRows").asInt()).isEqualTo(9);
    assertThat(report.path("notSeen").path(0).asString())
        .contains("role own may not make event triggers");
  }

  @Test
  void what_destroys_much_at_once_is_a_warning() {
    String database = database();
    Ended ended =
        watch(
            database,
            "psql -qX -c 'DELETE FROM users' -c 'TRUNCATE app.orders' -c 'DROP TABLE app.orders'"
                + " -c 'ALTER TABLE users DROP COLUMN data' -c 'CREATE TABLE mine (i int)' -c 'DROP TABLE mine'");
    assertThat(ended.exitCode()).as(ended.err()).isZero();
    assertThat(ended.out())
        .contains(
            "warning: mass-delete: one delete without WHERE hit 25 of 25 rows of users",
            "warning: truncate: app.orders truncated 1 time, 30 rows in all",
            "warning: drop-table: table app.orders dropped, which was there before",
            "warning: drop-column: column users.data dropped, which was there before")
        .doesNotContain("table mine");
  }

  @Test
  void a_command_that_fails_is_reported_with_its_own_exit_code() {
    String database = database();
    Ended ended = watch(database, "psql -qX -c 'INSERT INTO users VALUES (99)'; exit 23");
    assertThat(ended.exitCode()).isEqualTo(1);
    assertThat(ended.out()).contains("the command failed with exit code 23").contains("insert");
    nothingIsLeft(database);
    Ended none = HoldfastProcess.run(home, "watch", url(database), "--", "/no/such/program");
    assertThat(none.exitCode()).isEqualTo(2);
    assertThat(none.err()).contains("cannot run /no/such/program");
    nothingIsLeft(database);
  }

  @Test
  void the_commands_environment_points_at_the_database_unless_that_is_not_wanted() {
    String database = database();
    Ended ended = watch(database, "echo $DATABASE_URL; echo $PGDATABASE $PGUSER $PGHOST $PGPORT");
    int port = server.server().port();
    assertThat(ended.out())
        .contains(url(database) + "\n" + database + " own 127.0.0.1 " + port + "\n");
    assertThat(watch(database, "echo =$PGDATABASE=$DATABASE_URL=", "--no-environment").out())
        .contains("===");
  }

  @Test
  void killed_it_takes_the_command_with_it_disturbs_nobody_and_is_cleaned_up_by_the_next()
      throws IOException {
    String database = database();
    Path pid = home.resolve("pid" + database);
    try (HoldfastProcess killed =
        start(database, "echo $$ > %s.new; mv %s.new %s; sleep 300".formatted(pid, pid, pid))) {
      HoldfastProcess.until(() -> Files.exists(pid));
      killed.kill();
    }
    long child = Long.parseLong(Files.readString(pid).strip());
    HoldfastProcess.until(() -> ProcessHandle.of(child).filter(ProcessHandle::isAlive).isEmpty());
    server.executeIn(database, "INSERT INTO users SELECT g FROM generate_series(100, 200) g");
    assertThat(
            server.queryIn(
                database, "SELECT count(*) > 0 FROM pg_trigger WHERE tgname LIKE 'holdf%'"))
        .containsExactly("t");
    assertThat(watch(database, "true").exitCode()).isZero();
    nothingIsLeft(database);
  }

  @Test
  void stopped_it_stops_the_command_and_reports_all_the_same() {
    String database = database();
    Path done = home.resolve("done" + database);
    try (HoldfastProcess watching =
        start(database, "psql -qX -c 'DELETE FROM users'; touch %s; sleep 300".formatted(done))) {
      HoldfastProcess.until(() -> Files.exists(done));
      Ended ended = watching.terminate();
      assertThat(ended.exitCode()).isEqualTo(143);
      assertThat(ended.out()).contains("mass-delete: one delete without WHERE hit 25 of 25 rows");
    }
    nothingIsLeft(database);
  }

  @Test
  void a_database_that_is_taken_away_meanwhile_is_no_clean_report() {
    String database = database();
    Ended ended =
        watch(
            database,
            "psql -qX -d postgres -U postgres -c 'DROP DATABASE %s WITH (FORCE)'"
                .formatted(database));
    assertThat(ended.exitCode()).isEqualTo(1);
    assertThat(ended.out())
        .contains("not seen: the watch was cut off before the command ended")
        .contains("nothing found in what was seen");
  }

  @Test
  void programs_get_the_findings_in_their_own_format_and_the_same_exit_code() throws Exception {
    String database = database();
    server.executeIn(
        database,
        "CREATE TABLE public.\"größe ]]> ::error\" (id int PRIMARY KEY, data jsonb)",
        "ALTER TABLE public.\"größe ]]> ::error\" OWNER TO own",
        "INSERT INTO public.\"größe ]]> ::error\" SELECT g, '{\"a\": 1, \"b\": 2, \"c\": 3}' FROM"
            + " generate_series(1, 3) g");
    String call =
        "psql -qX -c \"UPDATE \\\"größe ]]> ::error\\\" SET data = '{}' WHERE id = 1\"; echo from the command";

    Ended junit = watch(database, call, "--format", "junit");
    assertThat(junit.exitCode()).as(junit.err()).isEqualTo(4);
    assertThat(junit.err()).contains("from the command");
    assertThat(
            javax.xml.parsers.DocumentBuilderFactory.newDefaultInstance()
                .newDocumentBuilder()
                .parse(new org.xml.sax.InputSource(new java.io.StringReader(junit.out())))
                .getElementsByTagName("failure")
                .item(0)
                .getTextContent())
        .startsWith("1 update of größe ]]> ::error.data, 3 of 3 keys lost in each: a, b, c\nby: ");

    Ended sarif = watch(database, "true", "--format", "sarif");
    assertThat(sarif.exitCode()).as(sarif.err()).isZero();
    assertThat(sarif.json().path("runs").path(0).path("results")).isEmpty();

    Ended github = watch(database, "exit 7", "--format", "GitHub");
    assertThat(github.exitCode()).isEqualTo(1);
    assertThat(github.out())
        .contains("\n::error title=holdfast watch::the command failed with exit code 7\n");

    assertThat(watch(database, "true", "--format", "json").json().path("complete").asBoolean())
        .isTrue();
    Ended two = watch(database, "true", "--json", "--format", "junit");
    assertThat(two.exitCode()).isEqualTo(2);
    assertThat(two.err()).contains("--json and --format junit are two formats");
    nothingIsLeft(database);
  }

  @Test
  void a_name_instead_of_a_url_is_wrong_usage() {
    Ended ended = HoldfastProcess.run(home, "watch", "acme", "--", "true");
    assertThat(ended.exitCode()).isEqualTo(2);
    assertThat(ended.err()).contains("only throw-away databases are watched");
    assertThat(Map.of("missing", HoldfastProcess.run(home, "watch", url("postgres")).exitCode()))
        .containsEntry("missing", 2);
  }
}
