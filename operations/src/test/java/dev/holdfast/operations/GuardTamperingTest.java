package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.Guard;
import dev.holdfast.guard.Rules;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a superuser does to the guard cannot be refused: it is told, with its time. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class GuardTamperingTest {
  private static final Log.Filter DESTRUCTIVE = new Log.Filter(true, null, null, null, null, null);

  /** A deed, what the log says of it, and between which times it was committed. */
  private record Deed(String told, Instant from, Instant to) {}

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void every_way_around_the_triggers_is_told_with_its_time(int major) throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      List<Deed> deeds = new ArrayList<>();
      deeds.add(
          done(
              acme,
              "the guard was weakened: trigger holdfast_update on public.users in database postgres was disabled",
              "SET allow_system_table_mods = on",
              "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'users'::regclass AND tgname = 'holdfast_update'"));
      deeds.add(
          done(
              acme,
              "the guard was weakened: triggers holdfast_delete, holdfast_delete_begin on public.users in database postgres were dropped",
              "SET allow_system_table_mods = on",
              "DELETE FROM pg_trigger WHERE tgrelid = 'users'::regclass AND tgname LIKE 'holdfast_delete%'"));
      // Every row is in another place then: what the triggers are is known again once the catalog
      // has been read anew.
      acme.server.execute("VACUUM FULL pg_trigger", "CREATE TABLE after_vacuum (id int)");
      acme.awaitRecorded("after_vacuum");
      if (major >= 17) {
        deeds.add(
            done(
                acme,
                "the guard was weakened: trigger holdfast_truncate on public.orders in database postgres was disabled",
                "SET event_triggers = off",
                "ALTER TABLE orders DISABLE TRIGGER holdfast_truncate"));
      }
      deeds.add(
          done(
              acme,
              "event triggers of database postgres were changed",
              "ALTER EVENT TRIGGER holdfast_defined DISABLE"));
      deeds.add(
          done(
              acme,
              "the guard was weakened: trigger holdfast_delete on public.orders in database postgres was made to fire for replicas only",
              "ALTER TABLE orders ENABLE REPLICA TRIGGER holdfast_delete"));
      deeds.add(
          done(
              acme,
              "the guard was weakened: trigger holdfast_json on public.orders in database postgres was renamed to other",
              "ALTER TRIGGER holdfast_json ON orders RENAME TO other"));
      acme.caughtUp();

      assertTold(acme, deeds);
      ClusterStatus status = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();
      assertThat(status.guard().state()).isEqualTo("weakened");
      assertThat(database(status).wrong())
          .contains(
              "event trigger holdfast_defined is disabled",
              "public.users: holdfast_update is disabled, holdfast_delete is missing, holdfast_delete_begin is missing");
      assertThat(status.advice())
          .filteredOn(advice -> advice.what().startsWith("the guard of postgres is weakened: "))
          .singleElement()
          .satisfies(advice -> {
            assertThat(advice.level()).isEqualTo("warning");
            assertThat(advice.what())
                .contains(
                    "last done: "
                        + status.guard().tampering().getFirst().at()
                        + " by transaction ");
            assertThat(advice.next()).contains("holdfast guard install acme");
          });

      summarised(acme);
      assertTold(acme, deeds);

      guard(acme); // puts it right
      acme.caughtUp();
      ClusterStatus right = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();
      assertThat(database(right).wrong()).isEmpty();
      assertThat(right.guard().state()).isEqualTo("armed");
      assertThat(right.guard().tampering()).hasSize(deeds.size());
      assertThat(right.advice())
          .filteredOn(advice -> advice.what().startsWith("a guard was tampered with: "))
          .singleElement()
          .satisfies(advice -> assertThat(advice.level()).isEqualTo("note"));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void rules_changed_by_hand_are_told_and_those_set_through_holdfast_are_no_alarm(int major)
      throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      Instant from = Instant.now();
      try (Connection connection = acme.server.connect()) {
        Rules.setMode(connection, List.of("truncate"), "observe");
        long id =
            Rules.except(
                connection,
                new Rules.RuleOverride(
                    null, "mass-delete", "public.users", null, null, null, 50L, null, "tried"),
                new Guard.Installation("", "development"),
                (_, _, _) -> {});
        Rules.removeException(connection, id);
      }
      acme.server.execute("SELECT holdfast.alive()");
      acme.caughtUp();
      assertThat(acme.log(DESTRUCTIVE)).as("set through Holdfast").isEmpty();
      assertThat(acme.log(new Log.Filter(false, null, from, null, null, null)))
          .extracting(LogEntry::guardSettings)
          .contains(
              List.of("the guard's rule truncate was set to observe in database postgres"),
              List.of("an exception of the guard's rule mass-delete was made in database postgres"),
              List.of(
                  "an exception of the guard's rule mass-delete was taken away in database postgres"))
          .doesNotContain(List.of());
      ClusterStatus set = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();
      assertThat(set.guard().state()).isEqualTo("armed");
      assertThat(set.guard().tampering()).isEmpty();
      assertThat(database(set).rules())
          .filteredOn(rule -> rule.name().equals("truncate"))
          .singleElement()
          .satisfies(rule -> {
            assertThat(rule.mode()).isEqualTo("observe");
            assertThat(rule.since()).isBetween(from, Instant.now());
          });

      List<Deed> deeds = new ArrayList<>();
      deeds.add(
          done(
              acme,
              "the guard was changed by hand: holdfast.rule in database postgres: 1 row changed",
              "UPDATE holdfast.rule SET mode = 'off' WHERE name = 'drop-table'"));
      deeds.add(
          done(
              acme,
              "the guard was changed by hand: holdfast.exception in database postgres: 1 row added",
              "INSERT INTO holdfast.exception (rule, table_like, mode, reason) VALUES ('truncate', '%.%', 'off', 'x')"));
      deeds.add(
          done(
              acme,
              "the guard was changed by hand: holdfast.identity in database postgres: 1 row changed",
              "UPDATE holdfast.identity SET environment = 'development'"));
      deeds.add(
          done(
              acme,
              "the guard was changed by hand: holdfast.rule in database postgres: 1 row deleted",
              "DELETE FROM holdfast.rule WHERE name = 'drop-schema'"));
      deeds.add(
          done(
              acme,
              "the guard was changed by hand: holdfast.exception in database postgres: the table was truncated",
              "TRUNCATE holdfast.exception"));
      acme.caughtUp();

      assertTold(acme, deeds);
      assertThat(acme.alarms)
          .as("at once")
          .flatExtracting(LogEntry::notes)
          .containsAll(deeds.stream().map(Deed::told).toList());
      ClusterStatus status = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();
      assertThat(database(status).state()).isEqualTo("weakened");
      assertThat(database(status).wrong()).containsExactly("rule drop-schema is gone");
      summarised(acme);
      assertTold(acme, deeds);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void ordinary_work_and_taking_the_guard_out_are_no_tampering(int major) throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      acme.server.execute(
          "CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
          "CREATE TRIGGER holdfast_own AFTER UPDATE ON users EXECUTE FUNCTION own()",
          "ALTER TABLE users DISABLE TRIGGER holdfast_own",
          "DROP TRIGGER holdfast_own ON users",
          "ALTER TABLE orders DROP CONSTRAINT orders_users_id_fkey",
          "ALTER TABLE orders ADD COLUMN more jsonb",
          "INSERT INTO holdfast.permit (code_sha256, rules, reason, expires_at)"
              + " VALUES (sha256('code'), '{drop-column}', 'tried', now() + interval '1 hour'),"
              + " (sha256('other'), '{drop-table}', 'tried', now() + interval '1 hour')");
      try (Connection connection = acme.server.connect();
          Statement sql = connection.createStatement()) {
        connection.setAutoCommit(false);
        sql.execute("SET LOCAL holdfast.permit = 'code'");
        sql.execute("ALTER TABLE orders DROP COLUMN data, DROP COLUMN more");
        connection.commit();
        sql.execute("SET LOCAL holdfast.permit = 'other'");
        sql.execute("DROP TABLE users");
        connection.commit();
      }
      acme.caughtUp();
      assertThat(acme.log(DESTRUCTIVE)).isNotEmpty().allMatch(entry -> entry.notes().isEmpty());

      try (Connection connection = acme.server.connect()) {
        Guard.uninstall(
            connection, new Guard.Installation("", "development"), false, (_, _, _) -> {});
      }
      acme.caughtUp();
      ClusterStatus status = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();
      assertThat(status.guard().state()).isEqualTo("none");
      assertThat(status.guard().tampering()).isEmpty();
      assertThat(acme.log(Log.Filter.ALL))
          .extracting(LogEntry::guardSettings)
          .contains(
              List.of(
                  "the guard was being taken out in database postgres",
                  "the guard's rule drop-database was set to off in database postgres"));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = 18)
  void a_server_that_does_not_answer_is_not_called_safe(int major) throws Exception {
    try (ProtectedServer acme = guarded(major)) {
      done(acme, "", "UPDATE holdfast.rule SET mode = 'off' WHERE name = 'drop-table'");
      acme.caughtUp();
      acme.stopRecording();
      acme.server.stop(PostgresServer.Stop.IMMEDIATE);

      ClusterStatus status = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();

      assertThat(status.guard().state()).isEqualTo("unknown");
      assertThat(status.guard().databases()).isEmpty();
      assertThat(status.guard().tampering()).as("the log is there").hasSize(1);
      assertThat(status.advice())
          .anySatisfy(advice -> {
            assertThat(advice.level()).isEqualTo("warning");
            assertThat(advice.what())
                .startsWith("a guard was tampered with: ")
                .endsWith("whether it was put right is not known");
          });
      acme.server.startAgain();
    }
  }

  private static void assertTold(ProtectedServer acme, List<Deed> deeds) {
    List<LogEntry> told = acme.log(DESTRUCTIVE);
    assertThat(told)
        .extracting(entry -> String.join(", ", entry.notes()))
        .containsExactlyElementsOf(deeds.stream().map(Deed::told).toList());
    assertThat(told).extracting(LogEntry::severity).containsOnly("high");
    List<ClusterGuard.Tampering> seen =
        new Status(acme.repository).of(ProtectedServer.NAME).getFirst().guard().tampering();
    assertThat(seen.reversed())
        .extracting(tampering -> String.join(", ", tampering.what()))
        .containsExactlyElementsOf(deeds.stream().map(Deed::told).toList());
    for (int index = 0; index < deeds.size(); index++) {
      assertThat(seen.reversed().get(index).at())
          .isBetween(deeds.get(index).from, deeds.get(index).to);
      assertThat(seen.reversed().get(index).xid()).isEqualTo(told.get(index).xid());
    }
  }

  /** Until everything that was done is in a summary. */
  private static void summarised(ProtectedServer acme) throws Exception {
    acme.server.execute("SELECT pg_switch_wal()");
    acme.caughtUp();
    ClusterStore cluster = Repository.open(acme.repository).cluster(ProtectedServer.NAME);
    for (int attempt = 0; attempt < 600; attempt++) {
      List<String> complete =
          cluster.wal().list().stream()
              .filter(segment -> segment.complete())
              .map(segment -> segment.name())
              .toList();
      if (!complete.isEmpty() && cluster.summaries().list().containsAll(complete)) {
        return;
      }
      Thread.sleep(100); // the recorder works in its own time
    }
    throw new AssertionError("segments without a summary: " + cluster.summaries().list());
  }

  private static Deed done(ProtectedServer acme, String told, String... statements)
      throws Exception {
    try (Connection connection = acme.server.connect();
        Statement sql = connection.createStatement()) {
      Instant from = Instant.now();
      for (String statement : statements) {
        sql.execute(statement);
      }
      return new Deed(told, from, Instant.now());
    }
  }

  private static ClusterGuard.Database database(ClusterStatus status) {
    return status.guard().databases().stream()
        .filter(one -> one.database().equals("postgres"))
        .findFirst()
        .orElseThrow();
  }

  /** Guarded, with the guard in the recorded catalog, and nothing said of it yet. */
  private static ProtectedServer guarded(int major) throws Exception {
    ProtectedServer acme =
        ProtectedServer.start(
            major,
            "CREATE TABLE users (id int PRIMARY KEY, name text, data jsonb)",
            "CREATE TABLE orders (id int PRIMARY KEY, users_id int REFERENCES users, data jsonb)",
            "INSERT INTO users SELECT i, 'u', '{}' FROM generate_series(1, 100) i",
            "ANALYZE");
    try {
      guard(acme);
      acme.server.execute("CREATE TABLE unrelated (id int)");
      acme.awaitRecorded("unrelated");
      ClusterStatus status = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();
      assertThat(status.guard().state()).isEqualTo("armed");
      assertThat(database(status).environment()).isEqualTo("production");
      assertThat(database(status).tables()).isEqualTo(3);
      assertThat(status.guard().tampering()).isEmpty();
      assertThat(status.guard().lookedBackTo()).isNotNull();
      assertThat(acme.log(DESTRUCTIVE)).as("installing is no alarm").isEmpty();
      assertThat(modes(database(status))).containsEntry("drop-table", "enforce");
      return acme;
    } catch (RuntimeException | Error e) {
      acme.close();
      throw e;
    }
  }

  private static Map<String, String> modes(ClusterGuard.Database database) {
    return database.rules().stream()
        .collect(java.util.stream.Collectors.toMap(GuardRule::name, GuardRule::mode));
  }

  private static void guard(ProtectedServer acme) throws Exception {
    try (Connection connection = acme.server.connect()) {
      Guard.install(connection, new Guard.Installation(ProtectedServer.NAME, "production"));
    }
  }
}
