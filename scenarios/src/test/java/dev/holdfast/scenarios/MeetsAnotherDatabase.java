package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.Guard;
import dev.holdfast.guard.Identity;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What the examples promise, each as a process of its own: it starts before the database that it is
 * written for, however that is reached, and before no other. With the programs of Debian's
 * PostgreSQL 15.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class MeetsAnotherDatabase {
  private static final String ROLE = "shop";
  private static final int USERS = 7;
  private static final String ITS_PAGE = USERS + " users\n";
  private static final Duration NOTICING_MAX = Duration.ofMinutes(3);
  private static final Duration CLOSING_MAX = Duration.ofSeconds(30);
  private static final Duration STARTING_MAX = Duration.ofMinutes(1);

  /** Of a stack trace, where a framework prints one: a reader must find the sentence in it. */
  private static final int TRACE_LINES_MAX = 15;

  private final PostgresBinaries binaries =
      PostgresBinaries.installed(15)
          .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
  private TestServer production;
  private TestServer elsewhere;
  private PostgresServer copy;
  private PgBouncer pooler;

  /** The applications, which are all tried alike. */
  abstract List<Application> applications();

  /** Ways to the database that the applications are written for. */
  enum Way {
    DIRECTLY,
    THROUGH_PGBOUNCER,
    UNDER_ANOTHER_NAME
  }

  /** Other databases, and what an application has to say of them. */
  enum Other {
    STAGING(
        "staging", "acme/production was expected, and this database, \"staging\", is acme/staging"),
    RESTORED_FROM_A_DUMP(
        "shop",
        "acme/production was expected, and this database, \"shop\", is a copy of acme/production:"
            + " it was restored from a dump, moved to another server or renamed"),
    MADE_BY_HAND(
        "clone",
        "acme/production was expected, and this database was never protected: it may be a new, empty or hand-made one"),
    EMPTY(
        "nothing",
        "acme/production was expected, and this database was never protected: it may be a new, empty or hand-made one");

    private final String database;
    private final String sentence;

    Other(String database, String sentence) {
      this.database = database;
      this.sentence = sentence;
    }
  }

  record Started(Application application, Way way) {
    @Override
    public String toString() {
      return application + " " + way;
    }
  }

  record Refused(Application application, Other other) {
    @Override
    public String toString() {
      return application + " at " + other;
    }
  }

  Stream<Started> started() {
    return applications().stream()
        .flatMap(application -> Stream.of(Way.values()).map(way -> new Started(application, way)));
  }

  Stream<Refused> refused() {
    return applications().stream()
        .flatMap(
            application -> Stream.of(Other.values()).map(other -> new Refused(application, other)));
  }

  @BeforeAll
  void startServers() throws SQLException {
    production = server();
    makeShop(production, "shop");
    try (Connection connection = production.connect("shop")) {
      Guard.install(connection, new Guard.Installation("acme", "production"));
    }
    production.executeIn("shop", "SELECT holdfast.alive()"); // as its recorder does
    copy = copyOfTheFiles();
    pooler = PgBouncer.before(production.server().port(), ROLE);

    elsewhere = server();
    makeShop(elsewhere, Other.STAGING.database);
    try (Connection connection = elsewhere.connect(Other.STAGING.database)) {
      Identity.stamp(connection, "acme", "staging");
    }
    makeShop(elsewhere, Other.MADE_BY_HAND.database);
    elsewhere.execute("CREATE DATABASE " + Other.EMPTY.database);
    elsewhere.execute("CREATE DATABASE " + Other.RESTORED_FROM_A_DUMP.database);
    restore(Other.RESTORED_FROM_A_DUMP.database);
  }

  private TestServer server() {
    TestServer server = TestServer.start(binaries, Map.of(), List.of());
    server.execute("CREATE ROLE " + ROLE + " LOGIN");
    return server;
  }

  private static void makeShop(TestServer server, String name) {
    server.execute("CREATE DATABASE " + name);
    server.executeIn(
        name,
        "CREATE TABLE users (id int PRIMARY KEY, name text)",
        "INSERT INTO users SELECT i, 'person ' || i FROM generate_series(1, " + USERS + ") i",
        "GRANT SELECT ON users TO " + ROLE);
  }

  /** As a snapshot of its disks would be, started beside it. */
  private PostgresServer copyOfTheFiles() throws SQLException {
    Path data = production.folder().resolve("copy");
    run(
        List.of(
            binaries.program("pg_basebackup").toString(),
            "--dbname=" + production.url("postgres"),
            "--pgdata=" + data,
            "--checkpoint=fast",
            "--no-sync"));
    PostgresServer started =
        PostgresServer.start(binaries, data, Map.of("fsync", "off"), List.of());
    long deadline = System.nanoTime() + STARTING_MAX.toNanos();
    while (true) {
      try (Connection _ = superuser(started)) {
        return started;
      } catch (SQLException e) {
        if (!started.isAlive() || System.nanoTime() > deadline) {
          throw new IllegalStateException("the copy did not start:\n" + started.logTail(40), e);
        }
        pause();
      }
    }
  }

  private static Connection superuser(PostgresServer server) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + server.port() + "/shop", "postgres", "");
  }

  private void restore(String name) {
    Path dump = production.folder().resolve("dump");
    run(
        List.of(
            binaries.program("pg_dump").toString(),
            "--dbname=" + production.url("shop"),
            "--format=custom",
            "--file=" + dump));
    run(
        List.of(
            binaries.program("pg_restore").toString(),
            "--dbname=" + elsewhere.url(name),
            dump.toString()));
  }

  private static void run(List<String> command) {
    ProcessResult result = Processes.run(command);
    assertThat(result.exitCode()).as(result.output()).isZero();
  }

  @AfterAll
  void stopServers() {
    pooler.close();
    copy.close();
    production.close();
    elsewhere.close();
  }

  @ParameterizedTest
  @MethodSource("started")
  void it_starts_before_the_database_it_is_written_for(Started started) {
    Address direct = new Address(production.server().port(), "shop", ROLE);
    Address address = started.way == Way.THROUGH_PGBOUNCER ? direct.behind(pooler.port()) : direct;
    String url = url(started.application, address);
    if (started.way == Way.UNDER_ANOTHER_NAME) {
      url = url.replace("127.0.0.1", "localhost");
    }
    production.executeIn("shop", "DELETE FROM holdfast.identity_check");

    try (RunningApplication running =
        RunningApplication.start(started.application.command(), url)) {
      assertThat(running.listens()).as(running.said()).isTrue();
      HttpResponse<String> page = running.get();
      assertThat(page.statusCode()).as(running.said()).isEqualTo(200);
      assertThat(page.body()).isEqualTo(ITS_PAGE);
    }
    assertThat(
            production.queryIn(
                "shop",
                "SELECT application, role, right_at IS NOT NULL, wrong FROM holdfast.identity_check"))
        .as("who has asked")
        .containsExactly("shop|shop|t|null");
  }

  @ParameterizedTest
  @MethodSource("refused")
  void before_another_database_it_ends_and_says_in_a_sentence_why(Refused refused) {
    Address address = new Address(elsewhere.server().port(), refused.other.database, ROLE);

    assertRefused(
        refused.application.command(), url(refused.application, address), refused.other.sentence);
  }

  /** Which is what it cannot see alone: docs/applications.md says so. */
  @ParameterizedTest
  @MethodSource("applications")
  void before_a_copy_of_the_files_it_starts_unless_the_mark_is_asked_for(Application application)
      throws SQLException {
    String url = url(application, new Address(copy.port(), "shop", ROLE));
    try (Connection connection = superuser(copy);
        var statement = connection.createStatement()) {
      // An hour later; nobody records the copy.
      statement.execute("UPDATE holdfast.identity SET alive_at = now() - interval '1 hour'");
    }
    try (RunningApplication running = RunningApplication.start(application.command(), url)) {
      assertThat(running.listens()).as(running.said()).isTrue();
    }

    assertRefused(
        application.commandWithMark(),
        url,
        "acme/production was expected, and this database, \"shop\", may be a copy of its files:"
            + " Holdfast has not recorded it since \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ");

    production.executeIn("shop", "SELECT holdfast.alive()");
    Address original = new Address(production.server().port(), "shop", ROLE);
    try (RunningApplication running =
        RunningApplication.start(application.commandWithMark(), url(application, original))) {
      assertThat(running.listens()).as(running.said()).isTrue();
    }
  }

  @ParameterizedTest
  @MethodSource("applications")
  void when_its_address_leads_elsewhere_in_the_middle_it_answers_nobody_until_it_leads_back(
      Application application) {
    try (MovingAddress moving = MovingAddress.to(production.server().port());
        RunningApplication running =
            RunningApplication.start(
                application.command(),
                url(application, new Address(moving.port(), "shop", ROLE)))) {
      assertThat(running.get().body()).as(running.said()).isEqualTo(ITS_PAGE);

      moving.moveTo(elsewhere.server().port());

      long deadline = System.nanoTime() + NOTICING_MAX.toNanos();
      int asked = 0;
      // Twice at least: a connection that was refused must not be there for the next one.
      while (asked++ < 3 || !running.said().contains(Other.RESTORED_FROM_A_DUMP.sentence)) {
        assertThat(running.get().statusCode()).as(running.said()).isGreaterThanOrEqualTo(500);
        assertThat(System.nanoTime()).as(running.said()).isLessThan(deadline);
      }
      assertThat(running.hasEnded()).isFalse();
      awaitNobodyConnected();

      moving.moveTo(production.server().port());

      HttpResponse<String> page = running.get();
      while (page.statusCode() != 200) {
        assertThat(System.nanoTime()).as(running.said()).isLessThan(deadline);
        page = running.get();
      }
      assertThat(page.body()).isEqualTo(ITS_PAGE);
    }
  }

  /** Whoever is refused all night, and leaves connections open, fills the server with them. */
  private void awaitNobodyConnected() {
    String connected = "SELECT count(*) FROM pg_stat_activity WHERE usename = '" + ROLE + "'";
    long deadline = System.nanoTime() + CLOSING_MAX.toNanos();
    while (!elsewhere.value(connected).equals("0")) {
      assertThat(System.nanoTime()).as("connections are left open").isLessThan(deadline);
      pause();
    }
  }

  private static String url(Application application, Address address) {
    return application.jdbc() ? address.jdbcUrl() : address.url();
  }

  private static void assertRefused(List<String> command, String url, String sentence) {
    try (RunningApplication running = RunningApplication.start(command, url)) {
      assertThat(running.listens()).as(running.said()).isFalse();
      assertThat(running.exitCode()).as(running.said()).isEqualTo(1);
      assertThat(running.said().lines())
          .anySatisfy(line -> assertThat(line).matches("(.*: )?" + sentence));
      assertThat(running.said().lines().filter(line -> line.matches("\\s+(at|File) .*")))
          .hasSizeLessThan(TRACE_LINES_MAX);
    }
  }

  private static void pause() {
    try {
      Thread.sleep(20); // polling what a server says: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}
