package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.Guard;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** Incident A: an application on the wrong database, and what each of them is called. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CheckTest {
  private static final Expectation PRODUCTION = Expectation.to("acme/production");
  private static final int TABLES = 8;

  /** pg_dump is Debian's. */
  private final PostgresBinaries binaries =
      PostgresBinaries.installed(15)
          .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));

  private ProtectedServer acme;
  private TestServer elsewhere;

  @BeforeAll
  void start() throws Exception {
    String[] statements = new String[2 * TABLES + 4];
    for (int i = 0; i < TABLES; i++) {
      statements[2 * i] =
          "CREATE TABLE t%d (id serial PRIMARY KEY, name text, data jsonb)".formatted(i);
      statements[2 * i + 1] =
          "INSERT INTO t%d (name) SELECT 'n' FROM generate_series(1, 3000)".formatted(i);
    }
    statements[2 * TABLES] = "CREATE INDEX t0_name ON t0 (name)";
    statements[2 * TABLES + 1] = "CREATE SEQUENCE invoices";
    statements[2 * TABLES + 2] = "CREATE TABLE last_one (id int PRIMARY KEY)";
    statements[2 * TABLES + 3] = "ANALYZE";
    acme = ProtectedServer.start(binaries, statements);
    try (Connection connection = acme.server.connect()) {
      Guard.install(connection, new Guard.Installation(ProtectedServer.NAME, "production"));
    }
    acme.awaitRecorded("identity");
    elsewhere = TestServer.start(binaries, Map.of(), List.of());
  }

  @AfterAll
  void stop() throws Exception {
    elsewhere.close();
    acme.close();
  }

  private CheckResult check(String url) {
    return check(url, PRODUCTION, acme.repository);
  }

  private static CheckResult check(
      String url, Expectation expectation, @Nullable String repository) {
    return new Check(repository, null).of(url, null, expectation);
  }

  @Test
  void the_database_itself_is_told_under_each_of_its_names() {
    for (String host : List.of("127.0.0.1", "localhost")) {
      CheckResult result = check(acme.server.url("postgres").replace("127.0.0.1", host));
      assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.SAME);
      assertThat(result.expected()).isTrue();
      assertThat(result.headline()).isEqualTo("this is acme/production itself");
    }
    assertThat(check(acme.server.url("postgres"), Expectation.to("acme/staging"), acme.repository))
        .satisfies(result -> {
          assertThat(result.expected()).isFalse();
          assertThat(result.headline())
              .isEqualTo("this is acme/production itself, and acme/staging was expected");
        });
    assertThat(
            check(acme.server.url("postgres"), Expectation.not("production"), acme.repository)
                .expected())
        .isFalse();
    assertThat(
            check(acme.server.url("postgres"), Expectation.not("staging"), acme.repository)
                .expected())
        .isTrue();
  }

  @Test
  void somebody_without_rights_is_told_the_same() {
    acme.server.execute("CREATE ROLE visitor LOGIN");
    CheckResult result = check(acme.server.url("postgres").replace("postgres@", "visitor@"));
    assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.SAME);
  }

  @Test
  void without_a_repository_it_is_what_it_says_and_that_is_said() {
    CheckResult result = check(acme.server.url("postgres"), PRODUCTION, null);
    assertThat(result.verdict()).isEqualTo(Verdict.UNPROVEN);
    assertThat(result.expected()).isTrue();
    assertThat(result.headline()).contains("a copy of its files would look the same");
  }

  @Test
  void a_snapshot_of_its_disks_that_runs_beside_it_is_a_copy() throws Exception {
    acme.server.execute("CHECKPOINT");
    Path copy = acme.server.folder().resolve("snapshot");
    ProcessResult copied =
        Processes.run(List.of("cp", "-a", acme.server.server().data().toString(), copy.toString()));
    assertThat(copied.exitCode()).as(copied.output()).isZero();
    Files.deleteIfExists(copy.resolve("postmaster.pid"));
    PostgresServer snapshot =
        PostgresServer.start(
            binaries, copy, Map.of("fsync", "off", "shared_buffers", "32MB"), List.of());
    try {
      awaitAnswer(snapshot.url("postgres"));
      acme.server.execute("INSERT INTO t1 (name) SELECT 'later' FROM generate_series(1, 100)");
      acme.caughtUp();
      CheckResult result = check(snapshot.url("postgres"));
      assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.PHYSICAL_COPY);
      assertThat(result.expected()).isFalse();
      assertThat(result.headline()).contains("this is a copy of acme's files");
      assertThat(
              check(snapshot.url("postgres"), Expectation.not("production"), acme.repository)
                  .expected())
          .isTrue();
    } finally {
      snapshot.stop(PostgresServer.Stop.FAST);
    }
    assertThat(check(acme.server.url("postgres")).verdict()).isEqualTo(Verdict.SAME);
  }

  private static void awaitAnswer(String url) throws Exception {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (check(url, PRODUCTION, null).verdict() == Verdict.UNREACHABLE) {
      assertThat(System.nanoTime()).as("it recovers and answers").isLessThan(deadline);
      Thread.sleep(50); // a server that recovers tells nobody when it is done
    }
  }

  @Test
  void a_client_is_told_of_in_the_status_since_when_it_is_elsewhere() {
    Asker billing = new Asker("billing", "web-1", "abc123");
    Asker deploy = new Asker("deploy", "ci-7", null);
    elsewhere.execute("CREATE DATABASE moved");
    Check asking = new Check(acme.repository, billing);
    assertThat(asking.of(acme.server.url("postgres"), null, PRODUCTION).notedIn())
        .containsExactly("database", "repository");
    assertThat(asking.of(elsewhere.url("moved"), null, PRODUCTION).notedIn())
        .containsExactly("repository");
    RecordedCheck first = recorded();
    asking.of(elsewhere.url("moved"), null, PRODUCTION);
    RecordedCheck again = recorded();
    assertThat(again.wrongSince()).isEqualTo(first.wrongSince()).isBefore(again.wrongAt());
    new Check(null, deploy).of(acme.server.url("postgres"), null, Expectation.to("acme/staging"));

    ClusterStatus status = new Status(acme.repository).of(ProtectedServer.NAME).getFirst();
    assertThat(status.asked())
        .extracting(one -> one.application() + " " + one.keptIn() + " " + one.isElsewhere())
        .containsExactlyInAnyOrder(
            "billing database postgres false",
            "billing repository true",
            "deploy database postgres true");
    assertThat(status.advice())
        .extracting(Advice::what)
        .anyMatch(what ->
            what.startsWith(
                    "billing on web-1 is not at acme since "
                        + Objects.requireNonNull(first.wrongSince())
                            .truncatedTo(ChronoUnit.SECONDS))
                && what.contains("this database is empty")
                && what.contains("/moved"))
        .anyMatch(what ->
            what.startsWith("deploy on ci-7 was about to use database postgres of acme at ")
                && what.endsWith("and meant acme/staging"));

    // Back again, nothing is left to say of it.
    asking.of(acme.server.url("postgres"), null, PRODUCTION);
    assertThat(new Status(acme.repository).of(ProtectedServer.NAME).getFirst().advice())
        .extracting(Advice::what)
        .noneMatch(what -> what.startsWith("billing"));
  }

  /** What the repository keeps of whoever asked last. */
  private RecordedCheck recorded() {
    return new RecordedChecks(Repository.open(acme.repository).cluster(ProtectedServer.NAME))
        .list()
        .getFirst();
  }

  @Test
  void a_dump_restored_elsewhere_is_a_copy() {
    elsewhere.execute("CREATE DATABASE dumped");
    ProcessResult done =
        Processes.run(
            List.of(
                "sh",
                "-c",
                "\"$0\" --dbname=\"$1\" | \"$2\" --no-psqlrc --quiet --output=/dev/null --dbname=\"$3\"",
                binaries.program("pg_dump").toString(),
                acme.server.url("postgres"),
                binaries.program("psql").toString(),
                elsewhere.url("dumped")));
    assertThat(done.exitCode()).as(done.output()).isZero();
    CheckResult result = check(elsewhere.url("dumped"));
    assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.DUMP_COPY);
    assertThat(result.expected()).isFalse();
    assertThat(result.missing().any()).isFalse();

    // It may be production itself, moved: a test suite must not begin.
    assertThat(
            check(elsewhere.url("dumped"), Expectation.not("production"), acme.repository)
                .expected())
        .isFalse();
    elsewhere.executeIn("dumped", "SELECT holdfast.adopt('development')");
    CheckResult adopted = check(elsewhere.url("dumped"));
    assertThat(adopted.verdict()).isEqualTo(Verdict.DUMP_COPY);
    assertThat(adopted.headline()).contains("adopted as acme/development");
    assertThat(
            check(elsewhere.url("dumped"), Expectation.not("production"), acme.repository)
                .expected())
        .isTrue();
  }

  @Test
  void a_copy_made_by_hand_is_told_what_it_lacks() {
    elsewhere.execute("CREATE DATABASE clone");
    for (int i = 0; i < TABLES - 2; i++) {
      elsewhere.executeIn(
          "clone",
          "CREATE TABLE t%d (id serial PRIMARY KEY, name text%s)"
              .formatted(i, i == 1 ? "" : ", data jsonb"),
          "INSERT INTO t%d (name) SELECT 'n' FROM generate_series(1, %d)"
              .formatted(i, i == 2 ? 12 : 3000));
    }
    elsewhere.executeIn("clone", "CREATE TABLE last_one (id int PRIMARY KEY)", "ANALYZE");
    CheckResult result = check(elsewhere.url("clone"));
    assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.PARTIAL_COPY);
    assertThat(result.expected()).isFalse();
    assertThat(result.headline())
        .isEqualTo("this is a clone of acme, made by copying: 2 of 9 tables are missing");
    assertThat(result.missing().missingTables()).containsExactly("public.t6", "public.t7");
    assertThat(result.missing().missingColumns()).containsExactly("public.t1.data");
    assertThat(result.missing().missingIndexes())
        .containsExactly("public.t0_name", "public.t6_pkey", "public.t7_pkey");
    assertThat(result.missing().missingSequences())
        .containsExactly("public.invoices", "public.t6_id_seq", "public.t7_id_seq");
    assertThat(result.fallen()).containsExactly(new CheckResult.Fallen("public.t2", 3000, 12));
  }

  @Test
  void an_empty_replacement_and_another_application_are_neither() {
    elsewhere.execute("CREATE DATABASE fresh", "CREATE DATABASE books");
    CheckResult empty = check(elsewhere.url("fresh"));
    assertThat(empty.verdict()).isEqualTo(Verdict.EMPTY);
    assertThat(empty.headline())
        .isEqualTo("this database is empty: it has none of the 9 tables of acme");
    elsewhere.executeIn("books", "CREATE TABLE shelves (id int)", "CREATE TABLE t1 (id int)");
    CheckResult books = check(elsewhere.url("books"));
    assertThat(books.verdict()).isEqualTo(Verdict.OTHER);
    assertThat(books.expected()).isFalse();
    assertThat(check(elsewhere.url("books"), PRODUCTION, null).verdict())
        .isEqualTo(Verdict.UNPROTECTED);
  }

  @Test
  void the_right_server_and_the_wrong_database_on_it_are_told_apart() {
    acme.server.execute("CREATE DATABASE fresh");
    assertThat(check(acme.server.url("fresh")).headline())
        .isEqualTo(
            "this database on acme's server is empty: it is called \"fresh\", acme's is \"postgres\"");
  }

  @Test
  void a_repository_that_cannot_be_read_leaves_what_the_database_says() throws Exception {
    Path repository = acme.server.folder().resolve("unreadable");
    Processes.run(List.of("cp", "-a", acme.repository, repository.toString()));
    for (String name : List.of("holdfast.json", "holdfast.copy.json")) {
      Files.writeString(repository.resolve(name), "not a repository");
    }
    CheckResult result = check(acme.server.url("postgres"), PRODUCTION, repository.toString());
    assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.UNPROVEN);
    assertThat(result.expected()).isTrue();
    assertThat(result.reasons())
        .anyMatch(reason -> reason.startsWith("the repository could not be asked: "));
  }

  @Test
  void what_is_wrong_with_another_cluster_is_not_in_the_way() throws Exception {
    Path repository = acme.server.folder().resolve("damaged");
    Processes.run(List.of("cp", "-a", acme.repository, repository.toString()));
    Path other = repository.resolve("clusters/aaa");
    Files.createDirectories(other);
    Files.writeString(other.resolve("cluster.json"), "not a cluster");
    CheckResult result = check(acme.server.url("postgres"), PRODUCTION, repository.toString());
    assertThat(result.verdict()).as(result.toString()).isIn(Verdict.SAME, Verdict.UNPROVEN);
    assertThat(result.expected()).isTrue();
  }

  @Test
  void who_accepts_and_says_nothing_is_not_waited_for_long() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 10, InetAddress.getLoopbackAddress())) {
      long begun = System.nanoTime();
      CheckResult result =
          check("postgresql://postgres@127.0.0.1:" + silent.getLocalPort() + "/postgres");
      assertThat(result.verdict()).isEqualTo(Verdict.UNREACHABLE);
      // Not a measure: what a driver does by itself is half a minute, or for ever.
      assertThat(Duration.ofNanos(System.nanoTime() - begun)).isLessThan(Duration.ofSeconds(25));
    }
  }

  @Test
  void a_repository_that_accepts_and_says_nothing_does_not_keep_a_deploy_waiting()
      throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
        S3Server.Environment _ =
            S3Server.environment(URI.create("http://127.0.0.1:" + silent.getLocalPort()))) {
      CheckResult result = check(acme.server.url("postgres"), PRODUCTION, "s3://acme-backups/here");
      assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.UNPROVEN);
      assertThat(result.expected()).isTrue();
      assertThat(result.reasons()).contains("the repository did not answer within 15 s");
      assertThat(result.next()).startsWith("see that the repository can be reached");
    }
  }

  @Test
  void the_recorders_of_several_clusters_are_waited_for_together() throws Exception {
    String place = acme.server.folder().resolve("twins").toString();
    Repository repository = Repository.create(place);
    ClusterDocument original = Repository.open(acme.repository).cluster("acme").document();
    List<Lease> recorders = new ArrayList<>();
    try {
      for (String name : List.of("twin1", "twin2", "twin3", "twin4")) {
        ClusterStore twin =
            repository.register(
                new ClusterDocument(
                    name,
                    original.engine(),
                    original.systemIdentifier(),
                    original.major(),
                    original.environment(),
                    original.walSegmentSize(),
                    original.url(),
                    null,
                    original.protectedAt(),
                    Map.of()));
        recorders.add(
            twin.candidate(RecorderPlace.ROLE, "a test", Duration.ofMinutes(5)).ask().lease());
      }
      // 6 s for each of them would be more than the repository may take.
      CheckResult result = check(acme.server.url("postgres"), Expectation.to("twin1"), place);
      assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.DOUBTFUL);
      assertThat(result.expected()).isFalse();
      assertThat(result.reasons())
          .anyMatch(
              reason -> reason.startsWith("twin1 is being recorded, and not from this server"));
    } finally {
      recorders.forEach(Lease::close);
    }
  }

  @Test
  void nobody_at_home_is_neither_right_nor_wrong() {
    CheckResult result =
        check("postgresql://postgres@127.0.0.1:" + PostgresServer.freePort() + "/postgres");
    assertThat(result.verdict()).isEqualTo(Verdict.UNREACHABLE);
    assertThat(result.expected()).isFalse();
  }
}
