package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Finding.Severity;
import dev.holdfast.testkit.TestServer;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PreflightTest {
  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void a_recorder_role_without_superuser_passes_on_every_version(int major) throws Exception {
    try (Recorded recorded = new Recorded(TestServer.start(major, Map.of("fsync", "on")))) {
      List<Finding> findings = Preflight.check(recorded.recorder, true);
      assertThat(findings).noneMatch(f -> f.severity() == Severity.REFUSED);
      ServerFacts facts = ServerFacts.read(recorded.recorder);
      assertThat(facts.major()).isEqualTo(major);
      assertThat(facts.timeline()).isEqualTo(1);
      assertThat(facts.walSegmentSize()).isEqualTo(16 << 20);
      assertThat(facts.role().superuser()).isFalse();
      assertThat(facts.setting("data_directory"))
          .isEqualTo(recorded.server.server().data().toString());
      assertThatThrownBy(
              () -> {
                recorded.server.execute("CREATE TABLE rows AS SELECT 1");
                try (var connection = recorded.recorder.open()) {
                  ServerFacts.value(connection, "SELECT * FROM rows");
                }
              })
          .isInstanceOf(SQLException.class)
          .hasMessageContaining("permission denied for table rows");
    }
  }

  @Test
  void a_role_made_twice_has_the_new_password_and_nothing_in_the_servers_log() throws Exception {
    try (Recorded recorded = new Recorded(TestServer.start(18, Map.of("log_statement", "all")))) {
      recorded.server.execute("SELECT 'this is logged'");
      PostgresUrl again =
          RecorderRole.create(
              PostgresUrl.parse(recorded.server.url("postgres")), "holdfast", "newpassword123");
      again.open().close();
      assertThat(recorded.server.server().logTail(1000))
          .contains("this is logged")
          .doesNotContain("newpassword123");
      assertThat(
              recorded.server.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'holdfast'"))
          .startsWith("SCRAM-SHA-256$");
      assertThatThrownBy(() ->
              RecorderRole.create(
                  PostgresUrl.parse(recorded.server.url("postgres")), "postgres", "x"))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("it would lose its rights");
      for (String statement : RecorderRole.removal("holdfast")) {
        recorded.server.execute(statement);
      }
    }
  }

  @Test
  void what_is_printed_holds_no_password() {
    assertThat(RecorderRole.statements(15, "hold fast", "shop", RecorderRole.PASSWORD_PLACEHOLDER))
        .contains(
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_backup_start(text, boolean) TO \"hold fast\"",
            "GRANT CONNECT ON DATABASE shop TO \"hold fast\"")
        .anyMatch(s -> s.endsWith("PASSWORD '********'"));
    assertThat(RecorderRole.statements(14, "r", "d", "*"))
        .contains(
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_start_backup(text, boolean, boolean) TO r");
  }

  @Test
  void a_server_set_up_unsuitably_is_refused_with_the_statement_that_helps() {
    try (TestServer server =
        TestServer.start(
            15,
            Map.of(
                "wal_level", "minimal",
                "max_wal_senders", "0",
                "max_slot_wal_keep_size", "-1",
                "full_page_writes", "off"))) {
      server.execute("CREATE UNLOGGED TABLE fleeting (id int)");
      List<Finding> findings = Preflight.check(PostgresUrl.parse(server.url("postgres")), true);
      assertThat(findings)
          .filteredOn(f -> f.severity() == Severity.REFUSED)
          .extracting(Finding::next)
          .containsExactlyInAnyOrder(
              "ALTER SYSTEM SET wal_level = 'replica'; then restart the server",
              "ALTER SYSTEM SET max_wal_senders = 10; then restart the server",
              "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(); or"
                  + " protect it --without-slot");
      assertThat(findings)
          .extracting(Finding::what)
          .contains(
              "unlogged tables are in no log and no backup, and come back empty: postgres:"
                  + " public.fleeting",
              "fsync is off: a crash of the machine can destroy the whole cluster",
              "full_page_writes is off: a crash of the machine can tear pages");
      assertThat(Preflight.check(PostgresUrl.parse(server.url("postgres")), false))
          .noneMatch(f -> f.what().startsWith("max_slot_wal_keep_size"));
    }
  }

  @Test
  void a_role_without_rights_is_refused_with_the_grants_that_are_missing() {
    try (TestServer server = TestServer.start(18)) {
      server.execute("CREATE ROLE app LOGIN");
      List<Finding> findings =
          Preflight.check(PostgresUrl.parse(server.url("postgres")).withUser("app", null), false);
      assertThat(findings)
          .contains(
              new Finding(
                  Severity.REFUSED,
                  "role app may not stream the log",
                  "as a superuser: ALTER ROLE app REPLICATION"),
              new Finding(
                  Severity.WARNING,
                  "role app cannot see the settings and sessions of others",
                  "as a superuser: GRANT pg_monitor TO app"))
          .anyMatch(f ->
              f.severity() == Severity.REFUSED
                  && f.next()
                      .contains(
                          "GRANT EXECUTE ON FUNCTION pg_catalog.pg_backup_stop(boolean) TO"
                              + " app; GRANT"));
    }
  }

  @Test
  void what_a_fork_on_this_machine_would_miss_is_named_with_the_package() {
    ServerFacts facts =
        new ServerFacts(
            17,
            "17.1",
            "1",
            1,
            false,
            Map.of(
                "block_size", "8192",
                "wal_block_size", "8192",
                "wal_compression", "zstd",
                "default_toast_compression", "lz4",
                "wal_keep_size", "100",
                "data_checksums", "on",
                "shared_preload_libraries", "pg_stat_statements, auto_explain"),
            List.of(
                new ServerFacts.Database("a", true, "libc", "de_DE.UTF-8", "de_AT.UTF-8", ""),
                new ServerFacts.Database("b", true, "libc", "en_US.UTF-8", "C", ""),
                new ServerFacts.Database("c", true, "icu", "fr_FR.UTF-8", "sv_SE.utf8@euro", "de")),
            Set.of(),
            List.of(),
            new ServerFacts.Role("postgres", true, true, true, List.of()));
    List<Finding> findings =
        Preflight.judge(
            facts,
            new Preflight.Contents(
                List.of(), false, Set.of("plpgsql", "postgis", "vector", "of_our_own")),
            new Preflight.Machine(
                Optional.empty(),
                Set.of("c", "en_us.utf8"),
                Set.of("fr_FR", "fr_FR@euro"),
                Set.of("plpgsql", "amcheck")),
            false);
    assertThat(findings)
        .contains(
            new Finding(
                Severity.WARNING,
                "this machine lacks the locale de_AT.UTF-8, de_DE.UTF-8, sv_SE.utf8@euro: databases"
                    + " that use it cannot be opened in a fork here",
                "install it here (Debian: apt-get install locales; forks then make what they need)"),
            new Finding(
                Severity.WARNING,
                "this machine lacks extensions of the server: of_our_own, postgis, vector; in a"
                    + " fork, what uses their functions or types cannot be read",
                "install PostgreSQL 17 with them here (Debian: apt-get install"
                    + " postgresql-17-pgvector postgresql-17-postgis-3; the packages that hold"
                    + " of_our_own.control)"),
            new Finding(
                Severity.WARNING,
                "wal_compression is zstd, columns are compressed with lz4, databases use ICU"
                    + " collations: the PostgreSQL that ships with Holdfast cannot do that, so forks"
                    + " fail",
                "install PostgreSQL 17 here (Debian: apt-get install postgresql-17)"))
        .anyMatch(f -> f.what().startsWith("the server preloads pg_stat_statements, auto_explain"));
  }
}
