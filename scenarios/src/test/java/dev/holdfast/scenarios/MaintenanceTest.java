package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.RetentionJob;
import dev.holdfast.scenarios.GuardedDatabase.Guarded;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/**
 * What production does at night: tables built anew by pg_repack, old partitions dropped by
 * pg_partman. Debian's packages of both, on Debian's PostgreSQL 15.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class MaintenanceTest {
  private static final String NIGHT = "CALL partman.run_maintenance_proc()";
  private static final String PARTITIONS =
      "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass";

  private final PostgresBinaries binaries =
      PostgresBinaries.installed(15)
          .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
  private TestServer server;
  private int databases;

  @BeforeAll
  void start() {
    server = TestServer.start(binaries, Map.of(), List.of());
  }

  @AfterAll
  void stop() {
    server.close();
  }

  @Test
  void pg_repack_builds_a_guarded_table_anew_and_the_guard_stays() {
    GuardedDatabase database = database(Guarded.PRODUCTION);
    database.execute(
        "CREATE EXTENSION pg_repack",
        "CREATE TABLE users (id int PRIMARY KEY, name text, data jsonb)",
        "INSERT INTO users SELECT i, 'n' || i, '{\"a\": 1, \"b\": 2, \"c\": 3}' FROM generate_series(1, 20000) i",
        "ANALYZE");
    String file = "SELECT pg_relation_filenode('users')";
    List<List<String>> before = database.query(file);
    Contents contents = database.contents();

    ProcessResult repacked =
        Processes.run(
            List.of(
                binaries.program("pg_repack").toString(),
                "--host=127.0.0.1",
                "--port=" + server.server().port(),
                "--username=postgres",
                "--table=public.users",
                database.address().database()));

    assertThat(repacked.exitCode()).as(repacked.output()).isZero();
    assertThat(database.query(file)).isNotEqualTo(before);
    assertThat(database.contents()).isEqualTo(contents);
    assertThat(database.query("SELECT table_name FROM holdfast.tables() WHERE missing IS NOT NULL"))
        .isEmpty();
    for (String sql :
        List.of("DELETE FROM users", "TRUNCATE users", "UPDATE users SET data = '{}'"))
      assertRefused(database, sql);
    assertThat(database.contents()).isEqualTo(contents);
  }

  @Test
  void pg_partman_makes_partitions_and_drops_old_ones_once_its_exception_is_made() {
    GuardedDatabase database = partitioned(Guarded.PRODUCTION);
    Contents before = database.contents();

    // The refusal is an error of the job's, and the notice says beforehand what to do.
    assertRefused(database, NIGHT);
    assertThat(database.contents()).isEqualTo(before);
    List<RetentionJob> refused = refused(database);
    assertThat(refused)
        .containsExactly(
            new RetentionJob("pg_partman", "public.events", "public.events_p%", "10 days"));

    database.execute(
        "INSERT INTO holdfast.exception (rule, table_like, mode, reason) VALUES ('drop-table', '"
            + refused.getFirst().partitions()
            + "', 'off', 'pg_partman retention')");
    assertThat(refused(database)).isEmpty();
    assertThat(PsqlClient.psql(database.superuser().url(), List.of(NIGHT)))
        .isEqualTo(new Outcome.Done());
    assertThat(database.query(PARTITIONS)).isEqualTo(afterOneNight());
    assertThat(database.query("SELECT min(id), max(id) FROM events"))
        .isEqualTo(List.of(List.of("1", "10")));
  }

  /** What the job's exception is for is its partitions one by one, not the table they are of. */
  @Test
  void the_exception_of_a_retention_job_gives_nobody_the_whole_table() {
    GuardedDatabase database = partitioned(Guarded.PRODUCTION);
    for (String rule : List.of("drop-table", "truncate"))
      database.execute(
          "INSERT INTO holdfast.exception (rule, table_like, mode, reason) VALUES ('"
              + rule
              + "', 'public.events_p%', 'off', 'pg_partman retention')");
    Contents before = database.contents();
    for (String sql : List.of("DROP TABLE events", "TRUNCATE events", "DROP TABLE events, other"))
      assertThat(assertRefused(database, sql).message())
          .containsPattern("it would lose public.events \\(about [0-9]+ rows in its partitions\\)");
    assertThat(database.contents()).isEqualTo(before);
    assertThat(
            PsqlClient.psql(
                database.superuser().url(),
                List.of(
                    "CREATE TABLE parts (i int) PARTITION BY RANGE (i)",
                    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (9)",
                    "TRUNCATE parts",
                    "DROP TABLE parts")))
        .isEqualTo(new Outcome.Done());
  }

  private List<List<String>> afterOneNight() {
    GuardedDatabase free = partitioned(Guarded.NOT);
    List<List<String>> whole = free.query(PARTITIONS);
    assertThat(PsqlClient.psql(free.superuser().url(), List.of(NIGHT)))
        .isEqualTo(new Outcome.Done());
    assertThat(free.query(PARTITIONS)).isNotEqualTo(whole);
    return free.query(PARTITIONS);
  }

  /** Of the last 20 days, to be kept for 10. */
  private GuardedDatabase partitioned(Guarded guarded) {
    GuardedDatabase database = database(guarded);
    database.execute(
        "CREATE SCHEMA partman",
        "CREATE EXTENSION pg_partman SCHEMA partman",
        "CREATE TABLE other (i int)",
        "CREATE TABLE events (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        "SELECT partman.create_parent('public.events', 'at', 'native', 'daily', p_start_partition => (now() - interval '25 days')::text)",
        "INSERT INTO events SELECT i, now() - i * interval '1 day' + interval '1 minute' FROM generate_series(1, 20) i",
        "UPDATE partman.part_config SET retention = '10 days', retention_keep_table = false",
        "ANALYZE");
    return database;
  }

  private GuardedDatabase database(Guarded guarded) {
    return GuardedDatabase.create(server, "night_" + databases++, guarded);
  }

  private static Outcome.Failed assertRefused(GuardedDatabase database, String sql) {
    Outcome outcome = PsqlClient.psql(database.superuser().url(), List.of(sql));
    assertThat(outcome).isInstanceOf(Outcome.Failed.class);
    Outcome.Failed refused = (Outcome.Failed) outcome;
    assertThat(refused.shown()).contains("refused by Holdfast");
    return refused;
  }

  private List<RetentionJob> refused(GuardedDatabase database) {
    try (Connection connection = server.connect(database.address().database())) {
      return RetentionJob.refused(connection);
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }
}
