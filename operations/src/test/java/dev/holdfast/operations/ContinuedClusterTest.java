package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Guard;
import dev.holdfast.guard.Identity;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.Repository;
import dev.holdfast.store.Succession;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** After pg_upgrade the server is another one to PostgreSQL, and the same to everybody else. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ContinuedClusterTest {
  private static final Expectation PRODUCTION = Expectation.to("acme/production");
  private static final Asker BILLING = new Asker("billing", "web-1", null);
  private static final Map<String, String> SETTINGS =
      Map.of(
          "fsync",
          "off",
          "shared_buffers",
          "32MB",
          "max_prepared_transactions",
          "10",
          "max_slot_wal_keep_size",
          "2GB",
          "wal_level",
          "replica");

  /** pg_upgrade is Debian's; it goes from a version to the same one, too. */
  private final PostgresBinaries binaries =
      PostgresBinaries.installed(15)
          .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));

  @Test
  void an_upgraded_server_takes_the_place_of_the_cluster_that_it_was() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            binaries,
            "CREATE TABLE users (id int PRIMARY KEY)",
            "INSERT INTO users SELECT generate_series(1, 1000)")) {
      guard(acme.server);
      acme.awaitRecorded("users");
      String deleted =
          acme.server.value(
              "WITH gone AS (DELETE FROM users WHERE id > 998 RETURNING id) SELECT pg_current_xact_id() FROM gone LIMIT 1");
      acme.caughtUp();
      acme.stopRecording();
      acme.server.stop(PostgresServer.Stop.FAST);
      PostgresServer upgraded =
          PostgresServer.start(binaries, upgrade(acme.server), SETTINGS, List.of());
      HeardRecorder recorder = null;
      try {
        String url = upgraded.url("postgres");
        awaitAnswer(url);

        CheckResult before = check(acme.repository, url, PRODUCTION);
        assertThat(before.verdict()).as(before.toString()).isEqualTo(Verdict.DUMP_COPY);
        assertThat(before.expected()).isFalse();
        assertThat(before.next())
            .contains("holdfast protect NEW_NAME URL --environment production --continues acme");
        assertThatThrownBy(() -> asApplication(url)).hasMessageContaining("acme/production was");

        // A backup that somebody scheduled for the old one leaves no slot that keeps WAL.
        assertThatThrownBy(() ->
                new Backup(acme.repository, "acme", url, 1, Backup.Wanted.AUTOMATIC)
                    .run(Progress.SILENT))
            .hasMessageContaining("another cluster");
        assertThat(value(url, "SELECT count(*) FROM pg_replication_slots")).isEqualTo("0");

        Protect.Request request = request("acme_2", url, url, true, "acme");
        assertThat(Protect.statements(request, acme.repository))
            .anyMatch(statement -> statement.contains("SELECT 'acme', 'production'"));
        ProtectResult result = new Protect(acme.repository).run(request, Progress.SILENT);
        assertThat(result.identity()).isEqualTo("acme");
        assertThat(result.continues()).isEqualTo("acme");
        assertThat(result.stamped()).contains("postgres");
        assertThat(result.assertStatement()).contains("acme/production");
        asApplication(url);
        recorder =
            new HeardRecorder(
                acme.repository, "acme_2", RecordOptions.DEFAULT.withFlushSeconds(0.2));
        awaitVerdict(acme.repository, url, Verdict.SAME);
        CheckResult after = check(acme.repository, url, PRODUCTION);
        assertThat(after.headline()).isEqualTo("this is acme/production itself");
        assertThat(after.expected()).isTrue();
        assertThat(check(acme.repository, url, Expectation.not("production")).expected()).isFalse();

        acme.server.startAgain(); // somebody forgot it, and an application has its address
        CheckResult old = check(acme.repository, acme.server.url("postgres"), PRODUCTION);
        assertThat(old.verdict()).as(old.toString()).isEqualTo(Verdict.FORMER);
        assertThat(old.expected()).isFalse();
        assertThat(old.headline())
            .startsWith("this is an old server of acme/production, or a copy of one: since ")
            .endsWith(" acme_2 has its place, " + url);
        assertThat(
                check(acme.repository, acme.server.url("postgres"), Expectation.not("production"))
                    .expected())
            .isFalse();

        ClusterStatus past = new Status(acme.repository).of("acme").getFirst();
        assertThat(past.continuedBy()).isEqualTo("acme_2");
        assertThat(past.advice())
            .singleElement()
            .satisfies(advice -> assertThat(advice.level()).isEqualTo("note"));
        ClusterStatus present = new Status(acme.repository).of("acme_2").getFirst();
        assertThat(present.continues()).isEqualTo("acme");
        assertThat(present.identity()).isEqualTo("acme");
        assertThat(present.continuedBy()).isNull();
        assertThat(present.asked())
            .anyMatch(asked -> asked.keptIn().equals("repository") && asked.isElsewhere());
        assertThat(present.guard().state()).isEqualTo("armed");

        // Its name leads to the server of today, and its past is still there.
        GuardAccess access = GuardAccess.of("acme", url, () -> acme.repository);
        assertThat(access.name()).isEqualTo("acme");
        assertThatThrownBy(
                () -> GuardAccess.of("acme", acme.server.url("postgres"), () -> acme.repository))
            .hasMessageContaining("that is not acme_2");
        assertThatThrownBy(() ->
                new Protect(acme.repository)
                    .run(
                        new Protect.Request(
                            "acme",
                            acme.server.url("postgres"),
                            "production",
                            acme.server.url("postgres"),
                            true,
                            true,
                            2),
                        Progress.SILENT))
            .hasMessageContaining("acme_2 took its place at ")
            .hasMessageContaining("--continues acme_2");
        CheckResult byItsOwnName = check(acme.repository, url, Expectation.to("acme_2/production"));
        assertThat(byItsOwnName.expected()).isFalse();
        assertThat(byItsOwnName.next())
            .isEqualTo("its databases are called acme: say --expect acme/production");
        assertThat(acme.log(Log.Filter.ALL)).anyMatch(entry -> entry.xid().equals(deleted));

        // Protected again it keeps its place.
        ProtectResult again =
            new Protect(acme.repository)
                .run(request("acme_2", url, url, true, null), Progress.SILENT);
        assertThat(again.identity()).isEqualTo("acme");

        // What cannot be read of the new one does not make the old one production again.
        Path document = Path.of(acme.repository).resolve("clusters/acme_2/cluster.json");
        byte[] bytes = Files.readAllBytes(document);
        Files.writeString(document, "not a cluster");
        assertThat(check(acme.repository, acme.server.url("postgres"), PRODUCTION).verdict())
            .isEqualTo(Verdict.FORMER);
        assertThat(new Status(acme.repository).of("acme").getFirst().continuedBy())
            .isEqualTo("acme_2");
        Files.write(document, bytes);
      } finally {
        if (recorder != null) {
          recorder.close();
        }
        upgraded.stop(PostgresServer.Stop.FAST);
      }
    }
  }

  @Test
  void what_cannot_be_continued_is_refused_and_leaves_nothing_behind() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE TABLE users (id int)");
        TestServer other = TestServer.start(18)) {
      String url = other.url("postgres");
      refused(
          acme.repository, "acme", url, "production", "acme", Kind.USAGE, "cannot continue itself");
      refused(
          acme.repository, "acme_2", url, "production", "shop", Kind.USAGE, "there is no cluster");
      refused(
          acme.repository,
          "acme_2",
          acme.server.url("postgres"),
          "production",
          "acme",
          Kind.USAGE,
          "own server: nothing is to be continued");
      refused(
          acme.repository, "acme_2", url, "staging", "acme", Kind.USAGE, "cannot continue acme");
      assertThat(Repository.open(acme.repository).clusterNames()).containsExactly("acme");

      new Protect(acme.repository)
          .run(
              new Protect.Request("shop", url, "production", url, false, false, 2),
              Progress.SILENT);
      refused(
          acme.repository,
          "shop",
          url,
          "production",
          "acme",
          Kind.REFUSED,
          "cannot begin to continue");

      Path none = other.folder().resolve("none");
      refused(
          none.toString(),
          "acme_2",
          url,
          "production",
          "acme",
          Kind.REPOSITORY_UNREACHABLE,
          "none");
      assertThat(none).doesNotExist();
    }
  }

  @Test
  void who_cannot_be_recorded_takes_nobodys_place_and_of_two_only_one_does() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE TABLE users (id int)");
        TestServer second = TestServer.start(18);
        TestServer third = TestServer.start(17)) {
      assertThatThrownBy(() ->
              new Protect(acme.repository)
                  .run(
                      request(
                          "acme_2",
                          second.url("postgres"),
                          second.url("postgres").replace("postgres@", "nobody@"),
                          true,
                          "acme"),
                      Progress.SILENT))
          .hasMessageContaining("nobody");
      String old = acme.server.url("postgres");
      assertThat(check(acme.repository, old, PRODUCTION).expected()).isTrue();
      assertThat(new Status(acme.repository).of("acme").getFirst().continuedBy()).isNull();

      // Neither without a slot, nor where the recorder would be at another server.
      for (String recorder :
          List.of(second.url("postgres").replace("postgres@", "nobody@"), third.url("postgres"))) {
        assertThatThrownBy(() ->
                new Protect(acme.repository)
                    .run(
                        request("acme_2", second.url("postgres"), recorder, false, "acme"),
                        Progress.SILENT))
            .isInstanceOf(OperatorException.class);
        assertThat(new Status(acme.repository).of("acme").getFirst().continuedBy()).isNull();
      }

      Protect.Request right =
          request("acme_2", second.url("postgres"), second.url("postgres"), true, "acme");
      new Protect(acme.repository).run(right, Progress.SILENT); // the same again, put right
      new Protect(acme.repository).run(right, Progress.SILENT); // and once more does no harm
      Repository opened = Repository.open(acme.repository);
      ClusterDocument done = opened.cluster("acme_2").document();
      opened.update(done.aboutToContinue("acme")); // as if it was killed in between
      Protect.Request plain =
          request("acme_2", second.url("postgres"), second.url("postgres"), true, null);
      assertThat(new Protect(acme.repository).run(plain, Progress.SILENT).identity())
          .isEqualTo("acme");
      assertThat(check(acme.repository, old, PRODUCTION).verdict()).isEqualTo(Verdict.FORMER);
      refused(
          acme.repository,
          "acme_3",
          third.url("postgres"),
          "production",
          "acme",
          Kind.REFUSED,
          "--continues acme_2");
      // Two that looked at the same time: the place is given once.
      assertThatThrownBy(() ->
              Repository.open(acme.repository)
                  .cluster("acme")
                  .succeeded(new Succession("acme_3", Instant.now())))
          .isInstanceOfSatisfying(
              OperatorException.class,
              refusal -> assertThat(refusal.kind()).isEqualTo(Kind.REFUSED));

      new Protect(acme.repository)
          .run(request("acme_back", old, old, true, "acme_2"), Progress.SILENT);
      assertThat(check(acme.repository, old, PRODUCTION).expected()).isTrue();
      CheckResult left = check(acme.repository, second.url("postgres"), PRODUCTION);
      assertThat(left.verdict()).isEqualTo(Verdict.FORMER);
      assertThat(left.headline()).contains("acme_back has its place");
      assertThat(new Status(acme.repository).of("acme").getFirst().advice().getFirst().next())
          .isEqualTo("holdfast status acme_back");
    }
  }

  private static Protect.Request request(
      String name, String url, String recorder, boolean slot, @Nullable String continues) {
    return new Protect.Request(name, url, "production", recorder, slot, true, 2, continues);
  }

  private static void refused(
      String repository,
      String name,
      String url,
      String environment,
      String continues,
      Kind kind,
      String said) {
    assertThatThrownBy(() ->
            new Protect(repository)
                .run(
                    new Protect.Request(name, url, environment, url, false, true, 2, continues),
                    Progress.SILENT))
        .isInstanceOfSatisfying(
            OperatorException.class, refusal -> assertThat(refusal.kind()).isEqualTo(kind))
        .hasMessageContaining(said);
  }

  private static void guard(TestServer server) throws SQLException {
    try (Connection connection = server.connect()) {
      Guard.install(connection, new Guard.Installation("acme", "production"));
    }
  }

  /** As an operator does it: a new data directory, and everything copied there. */
  private Path upgrade(TestServer old) throws Exception {
    Path data = old.folder().resolve("upgraded");
    PostgresServer.initialise(binaries, data, List.of("--data-checksums"));
    Path work = Files.createDirectory(old.folder().resolve("work"));
    List<String> command = new ArrayList<>();
    if ("root".equals(System.getProperty("user.name"))) {
      command.addAll(List.of("unshare", "-U")); // it refuses to be root
    }
    command.addAll(List.of("sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", work.toString()));
    command.addAll(
        List.of(
            binaries.program("pg_upgrade").toString(),
            "--old-bindir=" + binaries.bin(),
            "--new-bindir=" + binaries.bin(),
            "--old-datadir=" + old.server().data(),
            "--new-datadir=" + data,
            "--old-port=" + PostgresServer.freePort(),
            "--new-port=" + PostgresServer.freePort(),
            "--old-options=-c max_prepared_transactions=0",
            "--socketdir=" + work,
            "--username=postgres"));
    ProcessResult upgraded = Processes.run(command);
    assertThat(upgraded.exitCode()).as(upgraded.output()).isZero();
    return data;
  }

  private static String value(String url, String sql) throws SQLException {
    try (Connection connection =
            DriverManager.getConnection(
                "jdbc:" + url.replaceFirst("postgres@", ""), "postgres", "");
        Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }

  private static void asApplication(String url) throws SQLException {
    try (Connection connection =
            DriverManager.getConnection(
                "jdbc:" + url.replaceFirst("postgres@", ""), "postgres", "");
        Statement statement = connection.createStatement()) {
      statement.execute(Identity.assertStatement("acme", "production"));
    }
  }

  private static CheckResult check(String repository, String url, Expectation expectation) {
    return new Check(repository, BILLING).of(url, null, expectation);
  }

  private static void awaitAnswer(String url) throws Exception {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (new Check(null, null).of(url, null, PRODUCTION).verdict() == Verdict.UNREACHABLE) {
      assertThat(System.nanoTime()).as("it starts").isLessThan(deadline);
      Thread.sleep(50); // a server that starts tells nobody when it is done
    }
  }

  private static void awaitVerdict(String repository, String url, Verdict verdict)
      throws Exception {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    CheckResult seen = check(repository, url, PRODUCTION);
    while (seen.verdict() != verdict) {
      assertThat(System.nanoTime()).as(seen.toString()).isLessThan(deadline);
      Thread.sleep(100); // the recorder tells the server that it is connected, and only that
      seen = check(repository, url, PRODUCTION);
    }
  }
}
