package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.scenarios.GuardedDatabase.Guarded;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.server.ServerUser;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A guard that a copy of its database has brought along: restored from a dump it says itself how it
 * is released; where production itself has moved, to a standby or through pg_upgrade, nothing
 * releases it. With the programs of Debian's PostgreSQL 15.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CopiesTest {
  private static final String RELEASE = "SELECT holdfast.adopt('development');";
  private static final String COPY = "This database may be a copy of shop:";
  private static final String NO_SUPERUSER = "newcomer";
  private static final String ANYBODY = "visitor";
  private static final int EVENT_TRIGGERS = 6;

  private static final List<String> TABLES =
      List.of(
          "CREATE TABLE users (id int PRIMARY KEY, name text, data jsonb, settings json)",
          "INSERT INTO users SELECT i, 'person ' || i, jsonb_build_object('phone', i, 'address', 'a',"
              + " 'country', 'c', 'postal', 'p'), json_build_object('a', i, 'b', 2, 'c', 3)"
              + " FROM generate_series(1, 2000) i",
          "CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE"
              + " CASCADE, meta json)",
          "INSERT INTO orders SELECT i, i, '{\"a\": 1, \"b\": 2, \"c\": 3}' FROM generate_series(1, 500) i",
          "CREATE TABLE visits (id int, day int) PARTITION BY RANGE (day)",
          "CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10)",
          "INSERT INTO visits SELECT i, i % 10 FROM generate_series(1, 100) i");

  /** Nobody needs a permit for these, and no copy has to be released for them. */
  private static final List<String> ORDINARY =
      List.of(
          "INSERT INTO users VALUES (5000, 'somebody', '{\"a\": 1, \"b\": 2, \"c\": 3}', '{}')",
          "UPDATE users SET data = data || '{\"phone\": \"new\"}' WHERE id = 3",
          "UPDATE visits SET day = 5 WHERE id = 1",
          "DELETE FROM users WHERE id = 5000",
          "CREATE TABLE fresh (id int, data jsonb)",
          "INSERT INTO fresh VALUES (1, '{\"a\": 1}')",
          "UPDATE fresh SET data = '{\"a\": 2}'",
          "ALTER TABLE users RENAME COLUMN data TO document",
          "UPDATE users SET document = document || '{\"phone\": \"newer\"}', name = 'x' WHERE id = 3",
          "ALTER TABLE orders RENAME TO purchases",
          "UPDATE purchases SET meta = '{\"a\": 2, \"b\": 2, \"c\": 3}' WHERE id = 1",
          "ALTER TABLE purchases RENAME TO orders",
          "ALTER TABLE users RENAME COLUMN document TO data");

  /** What development does all day. */
  private static final List<String> FREELY =
      List.of(
          "UPDATE users SET data = '{}'",
          "TRUNCATE visits",
          "DELETE FROM orders",
          "DROP TABLE orders",
          "ALTER TABLE users DROP COLUMN data",
          "TRUNCATE users",
          "DROP SCHEMA public CASCADE");

  private final PostgresBinaries binaries =
      PostgresBinaries.installed(15)
          .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
  private final ServerUser user = ServerUser.of(null, "cannot copy a database");
  private TestServer production;
  private TestServer elsewhere;
  private int databases;

  @BeforeAll
  void start() {
    production = TestServer.start(binaries, Map.of(), List.of());
    elsewhere = TestServer.start(binaries, Map.of(), List.of());
    for (String role : List.of("shop", NO_SUPERUSER, ANYBODY)) {
      elsewhere.execute("CREATE ROLE " + role + " LOGIN");
    }
  }

  @AfterAll
  void stop() {
    production.close();
    elsewhere.close();
  }

  /** The ways of a dump. */
  enum Dump {
    CUSTOM,
    PLAIN
  }

  @ParameterizedTest
  @EnumSource
  void restored_by_a_superuser_the_first_refusal_names_what_releases_it(Dump dump) {
    GuardedDatabase original = original();
    // The recorder is at work there: its mark in the dump is not one of the copy's.
    production.executeIn(original.address().database(), "SELECT holdfast.alive()");

    GuardedDatabase copy = empty(elsewhere, "shop");
    ProcessResult restored = restore(dump, original, copy.superuser(), List.of());

    assertThat(restored.exitCode()).as(restored.output()).isZero();
    assertThat(copy.contents()).isEqualTo(original.contents());
    assertRefusedAsACopy(copy, "DROP TABLE orders");
    assertRefusedAsACopy(copy, "TRUNCATE orders");
    assertThat(sql(copy.address(), ORDINARY)).isEqualTo(new Outcome.Done());
    assertThat(copy.contents().rows("public.orders")).isEqualTo(500);
    assertReleases(copy, copy.address());
    assertArmed(original);
  }

  @ParameterizedTest
  @EnumSource
  void restored_by_no_superuser_ordinary_work_goes_on_and_the_first_refusal_names_it(Dump dump) {
    GuardedDatabase original = original();
    GuardedDatabase copy = empty(elsewhere, NO_SUPERUSER);

    ProcessResult restored = restore(dump, original, copy.as(NO_SUPERUSER), List.of("--no-owner"));

    assertThat(restored.output().lines().filter(line -> line.contains("permission denied")))
        .hasSize(EVENT_TRIGGERS)
        .allMatch(line -> line.contains("permission denied to create event trigger"));
    if (dump == Dump.CUSTOM) {
      assertThat(restored.exitCode()).isEqualTo(1);
      assertThat(restored.output()).contains("errors ignored on restore: " + EVENT_TRIGGERS);
    }
    assertThat(copy.contents()).isEqualTo(original.contents());
    Address newcomer = copy.as(NO_SUPERUSER);
    assertRefusedAsACopy(copy, newcomer, "UPDATE users SET data = '{\"phone\": 1}' WHERE id = 5");
    assertThat(sql(newcomer, ORDINARY)).isEqualTo(new Outcome.Done());
    assertRefusedAsACopy(copy, newcomer, "TRUNCATE orders");
    assertReleases(copy, newcomer);
  }

  /** As developers do who have no other server. */
  @Test
  void a_copy_beside_production_on_its_server_is_released_and_production_is_not() {
    GuardedDatabase original = original();
    production.executeIn(original.address().database(), "SELECT holdfast.alive()");
    production.execute("CREATE ROLE " + ANYBODY + " LOGIN");
    GuardedDatabase copy = empty(production, "shop");

    assertThat(restore(Dump.CUSTOM, original, copy.superuser(), List.of()).exitCode()).isZero();

    assertRefusedAsACopy(copy, "DROP TABLE orders");
    // Renamed, production would look the same: it takes the database's owner.
    assertThat(refused(copy.as(ANYBODY), RELEASE).sqlState()).isEqualTo("42501");
    assertReleases(copy, copy.address(), copy.address());
    assertArmed(original);
  }

  @Test
  void on_production_itself_the_same_statement_is_refused_without_a_permit() {
    GuardedDatabase original = original();

    Outcome.Failed fits = refused(original.address(), RELEASE);
    assertThat(fits.message()).contains("is shop/production itself and no copy: the stamp fits");
    assertThat(fits.hint()).contains("holdfast guard permit shop --allow guard-tampering");

    // As pg_upgrade leaves it; the recorder has found it since.
    production.executeIn(
        original.address().database(),
        "UPDATE holdfast.identity SET system_identifier = system_identifier + 1",
        "SELECT holdfast.alive()");
    Outcome.Failed alive = refused(original.address(), RELEASE);
    assertThat(alive.message()).contains("no copy: its recorder was here at");
    assertThat(refused(original.superuser(), RELEASE).sqlState()).isEqualTo("HF001");
    assertRefusedAsACopy(original, "TRUNCATE orders");

    String permit = original.permit(false, "guard-tampering");
    assertThat(
            sql(
                original.address(),
                List.of(
                    "BEGIN; SET LOCAL holdfast.permit = '" + permit + "'; " + RELEASE + " COMMIT")))
        .isEqualTo(new Outcome.Done());
  }

  @Test
  void a_promoted_standby_is_production_and_armed() throws IOException {
    GuardedDatabase original = original();
    Contents before = original.contents();
    Path standby = production.folder().resolve("standby");
    run(
        List.of(
            binaries.program("pg_basebackup").toString(),
            "--dbname=" + original.superuser().url(),
            "--pgdata=" + standby,
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync"));

    // It takes the place of the first one, its address as well.
    production.stop(PostgresServer.Stop.FAST);
    Path first = production.folder().resolve("first");
    Files.move(production.server().data(), first);
    Files.move(standby, production.server().data());
    production.startAgain();
    assertThat(production.value("SELECT pg_is_in_recovery()")).isEqualTo("t");
    assertThat(production.value("SELECT pg_promote()")).isEqualTo("t");

    assertThat(original.contents()).isEqualTo(before);
    assertArmed(original);
  }

  @Test
  void after_pg_upgrade_it_stays_armed_and_its_owner_adopts_it() throws IOException {
    GuardedDatabase original = original();
    Contents before = original.contents();
    String rules = "SELECT name, mode FROM holdfast.rule ORDER BY name";
    List<List<String>> modes = original.query(rules);
    upgrade();

    assertThat(original.contents()).isEqualTo(before);
    assertThat(original.query(rules)).isEqualTo(modes);
    assertRefusedAsACopy(original, "DROP TABLE orders");
    assertRefusedAsACopy(original, "TRUNCATE orders");
    assertRefusedAsACopy(original, "UPDATE users SET data = '{}' WHERE id = 5");
    assertRefusedAsACopy(original, "ALTER TABLE users ALTER name TYPE int USING length(name)");
    assertRefusedAsACopy(original, "DELETE FROM users WHERE id <= 1500");
    assertThat(refused(original.superuser(), "DROP SCHEMA holdfast CASCADE").hint())
        .contains(RELEASE);
    production.executeIn(original.address().database(), "SELECT holdfast.alive()");
    assertThat(refused(original.address(), RELEASE).message()).contains("its recorder was here at");

    String adopt = "SELECT holdfast.adopt('production')";
    assertThat(refused(original.address(), adopt).sqlState()).isEqualTo("42501");
    assertThat(sql(original.superuser(), List.of(adopt))).isEqualTo(new Outcome.Done());

    assertThat(
            original.query("SELECT holdfast.identity_fits(), environment FROM holdfast.identity"))
        .containsExactly(List.of("t", "production"));
    assertThat(original.query(rules)).isEqualTo(modes);
    assertThat(original.query("SELECT table_name FROM holdfast.tables() WHERE missing IS NOT NULL"))
        .isEmpty();
    assertArmed(original);
    assertThat(sql(original.address(), ORDINARY)).isEqualTo(new Outcome.Done());
  }

  /** To a new cluster of the same major version, which takes the old one's place. */
  private void upgrade() throws IOException {
    production.stop(PostgresServer.Stop.FAST);
    Path data = production.server().data();
    Path old = production.folder().resolve("old");
    Files.move(data, old);
    PostgresServer.initialise(binaries, data, List.of());
    Path work = Files.createDirectory(production.folder().resolve("upgrade"));
    List.of(old, data, work).forEach(user::own); // pg_upgrade refuses to run as root
    run(
        user.command(
            List.of(
                "sh",
                "-c",
                "cd \"$1\" && shift && exec \"$@\"", // it writes where it is
                "upgrade",
                work.toString(),
                binaries.program("pg_upgrade").toString(),
                "--old-bindir=" + binaries.bin(),
                "--new-bindir=" + binaries.bin(),
                "--old-datadir=" + old,
                "--new-datadir=" + data,
                "--old-port=" + PostgresServer.freePort(),
                "--new-port=" + PostgresServer.freePort(),
                "--username=postgres",
                "--no-sync")));
    run(List.of("chown", "-R", "--reference=" + production.folder(), data.toString()));
    production.startAgain();
  }

  /** And nothing in a refusal says that it may be a copy. */
  private void assertArmed(GuardedDatabase database) {
    Contents before = database.contents();
    assertThat(refused(database.superuser(), "DROP SCHEMA holdfast CASCADE").sqlState())
        .isEqualTo("HF001");
    for (String sql : List.of("DROP TABLE orders", "TRUNCATE orders")) {
      Outcome.Failed refused = refused(database.address(), sql);
      assertThat(refused.sqlState()).as(refused.shown()).isEqualTo("HF001");
      assertThat(refused.hint()).doesNotContain("may be a copy");
    }
    assertThat(refused(database.address(), RELEASE).message())
        .contains("the stamp fits this server");
    assertThat(database.contents()).isEqualTo(before);
  }

  private void assertRefusedAsACopy(GuardedDatabase copy, String sql) {
    assertRefusedAsACopy(copy, copy.superuser(), sql);
  }

  private void assertRefusedAsACopy(GuardedDatabase copy, Address as, String sql) {
    Contents before = copy.contents();
    Outcome.Failed refused = refused(as, sql);
    assertThat(refused.sqlState()).as(refused.shown()).isEqualTo("HF001");
    assertThat(refused.hint()).startsWith(COPY).contains(RELEASE);
    assertThat(copy.contents()).isEqualTo(before);
  }

  private void assertReleases(GuardedDatabase copy, Address owner) {
    assertReleases(copy, copy.as(ANYBODY), owner);
  }

  private void assertReleases(GuardedDatabase copy, Address releasing, Address owner) {
    assertThat(sql(releasing, List.of(RELEASE))).isEqualTo(new Outcome.Done());
    assertThat(sql(owner, ORDINARY.subList(0, 4))).isEqualTo(new Outcome.Done());
    assertThat(sql(owner, FREELY)).isEqualTo(new Outcome.Done());
    assertThat(copy.contents().tables()).isEmpty();
  }

  private GuardedDatabase original() {
    GuardedDatabase database =
        GuardedDatabase.create(production, "shop_" + databases++, Guarded.PRODUCTION);
    assertThat(sql(database.address(), TABLES)).isEqualTo(new Outcome.Done());
    database.analyze();
    return database;
  }

  private GuardedDatabase empty(TestServer server, String owner) {
    String name = "copy_" + databases++;
    server.execute("CREATE DATABASE " + name + " OWNER " + owner);
    return GuardedDatabase.existing(server, name);
  }

  private ProcessResult restore(Dump dump, GuardedDatabase from, Address to, List<String> options) {
    Path file = production.folder().resolve("dump-" + databases++);
    List<String> dumping =
        new ArrayList<>(
            List.of(
                binaries.program("pg_dump").toString(),
                "--dbname=" + from.superuser().url(),
                "--file=" + file));
    if (dump == Dump.CUSTOM) {
      dumping.add("--format=custom");
    } else {
      dumping.addAll(options);
    }
    ProcessResult dumped = Processes.run(dumping);
    assertThat(dumped.exitCode()).as(dumped.output()).isZero();
    List<String> restoring = new ArrayList<>();
    if (dump == Dump.CUSTOM) {
      restoring.addAll(List.of(binaries.program("pg_restore").toString(), "--dbname=" + to.url()));
      restoring.addAll(options);
      restoring.add(file.toString());
    } else {
      restoring.addAll(
          List.of(
              binaries.program("psql").toString(),
              "--no-psqlrc",
              "--quiet",
              "--output=/dev/null",
              "--dbname=" + to.url(),
              "--file=" + file));
      if (options.isEmpty()) {
        restoring.add("--set=ON_ERROR_STOP=1");
      }
    }
    return Processes.run(restoring);
  }

  private static void run(List<String> command) {
    ProcessResult result = Processes.run(command);
    assertThat(result.exitCode()).as(result.output()).isZero();
  }

  private static Outcome sql(Address as, List<String> statements) {
    return PsqlClient.psql(as.url(), statements);
  }

  private static Outcome.Failed refused(Address as, String statement) {
    Outcome outcome = sql(as, List.of(statement));
    assertThat(outcome).as(statement).isInstanceOf(Outcome.Failed.class);
    return (Outcome.Failed) outcome;
  }
}
