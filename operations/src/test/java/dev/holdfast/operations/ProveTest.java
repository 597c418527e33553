package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Restores that are tried: what is whole is proven, and what is damaged is found. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ProveTest {
  @SuppressWarnings("NullAway.Init")
  private Path scratch;

  /** 15 and 18; others with {@code -Dholdfast.prove.majors=14,15,16,17,18}. */
  static List<Integer> majors() {
    return Majors.of("holdfast.prove.majors", "15,18");
  }

  @BeforeEach
  void makeFolder() throws IOException {
    scratch = Files.createTempDirectory("holdfast-proofs");
    Files.setPosixFilePermissions(
        scratch, java.nio.file.attribute.PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  /** Whatever a proof came to, it leaves nothing behind. */
  @AfterEach
  void nothingIsLeft() throws IOException {
    try (Stream<Path> left = Files.list(scratch)) {
      assertThat(left).isEmpty();
    } finally {
      Processes.run(List.of("rm", "-rf", scratch.toString()));
    }
  }

  private Prove.Request request(
      Target target, @Nullable Long seed, @Nullable String tables, @Nullable String url) {
    return new Prove.Request(target, seed, tables, url, scratch, 2, 0, "test");
  }

  private Prove.Outcome prove(String repository) {
    return new Prove(repository, "acme")
        .run(request(Target.LATEST, null, null, null), Progress.SILENT);
  }

  private static ProofDocument.Check check(Prove.Outcome outcome, String name) {
    return outcome.proof().checks().stream()
        .filter(check -> check.name().equals(name))
        .findFirst()
        .orElseThrow(() -> new AssertionError(name + " in " + outcome));
  }

  /** Damages a file of a server or a repository. */
  private interface Damage {
    void to(RandomAccessFile file) throws IOException;
  }

  private static void damage(Path file, Damage damage) throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      damage.to(open);
    }
  }

  /** Turns every bit around in a stretch. */
  private static Damage flip(long at, int length) {
    return file -> {
      byte[] bytes = new byte[length];
      file.seek(at);
      file.readFully(bytes);
      for (int i = 0; i < length; i++) {
        bytes[i] = (byte) ~bytes[i];
      }
      file.seek(at);
      file.write(bytes);
    };
  }

  private static String found(ProofDocument.Check check) {
    return String.join(
        "\n",
        check.found().stream()
            .map(one -> (one.damaged() ? "damaged " : "not told ") + one.what() + ": " + one.why())
            .toList());
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_cluster_that_comes_back_whole_is_proven_and_harms_nobody_on_the_way(int major)
      throws Exception {
    Path archived = scratch.resolveSibling(scratch.getFileName() + "-archived");
    Path space = Files.createTempDirectory("holdfast-space");
    Processes.run(List.of("chmod", "777", space.toString()));
    try (ProtectedServer production =
        ProtectedServer.start(
            major,
            "CREATE TABLESPACE elsewhere LOCATION '" + space + "'",
            "CREATE TABLE spaced AS SELECT 1 AS id",
            "ALTER TABLE spaced SET TABLESPACE elsewhere",
            "CREATE TABLE users (id int PRIMARY KEY, name text UNIQUE, about text)",
            "INSERT INTO users SELECT i, 'user ' || i, repeat(md5(i::text), 200)"
                + " FROM generate_series(1, 500) i",
            "CREATE INDEX about ON users (lower(name)) WHERE id > 10",
            "CREATE INDEX words ON users USING gin (to_tsvector('simple', name))",
            "CREATE MATERIALIZED VIEW names AS SELECT name FROM users",
            "CREATE MATERIALIZED VIEW unread AS SELECT name FROM users WITH NO DATA",
            "CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS id",
            "CREATE TABLE parted (id int) PARTITION BY RANGE (id)",
            "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)",
            "INSERT INTO parted SELECT generate_series(0, 9)",
            "SELECT lo_from_bytea(0, '\\x0102')",
            "CREATE SEQUENCE \"odd \"\"name\"",
            "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql"
                + " AS 'BEGIN RAISE EXCEPTION ''guarded''; END'",
            "CREATE EVENT TRIGGER guard ON ddl_command_start"
                + " WHEN TAG IN ('CREATE SCHEMA', 'CREATE EXTENSION') EXECUTE FUNCTION no()",
            "ALTER EVENT TRIGGER guard ENABLE ALWAYS",
            // Of these the running server takes no notice; the restored one would.
            "ALTER SYSTEM SET shared_preload_libraries = 'no_such_library'",
            "ALTER SYSTEM SET shared_buffers = '400GB'",
            "ALTER SYSTEM SET huge_pages = 'on'",
            "ALTER SYSTEM SET archive_mode = 'always'",
            "ALTER SYSTEM SET archive_command = 'touch " + archived + "'",
            "ALTER SYSTEM SET ssl = on",
            "ALTER SYSTEM SET unix_socket_group = 'no_such_group'",
            "ALTER SYSTEM SET log_statement = 'all'")) {
      production.server.execute("INSERT INTO users VALUES (0, 'late', 'x')");
      production.caughtUp();

      Prove.Outcome outcome = prove(production.repository);

      ProofDocument proof = outcome.proof();
      assertThat(proof.result()).as(outcome.toString()).isEqualTo("proven");
      assertThat(outcome.exitCode()).isZero();
      assertThat(proof.checks())
          .extracting(ProofDocument.Check::name, ProofDocument.Check::outcome)
          .containsExactly(
              tuple("recording", "passed"),
              tuple("tables", "skipped"),
              tuple("databases", "passed"),
              tuple("catalogs", "passed"),
              tuple("heaps", "passed"),
              tuple("indexes", "passed"),
              tuple("rows", "passed"));
      assertThat(check(outcome, "indexes").notes())
          .containsExactly("database postgres: indexes that are no B-trees are not checked: 1 gin");
      ProofDocument.Recovery recovery = Objects.requireNonNull(proof.recovery());
      assertThat(recovery.totalSeconds()).isPositive();
      assertThat(recovery.replaySeconds()).isPositive();
      assertThat(proof.walBytes()).isPositive();
      assertThat(proof.target().lastCommitAt()).isNotNull();
      assertThat(archived).doesNotExist();
      assertThat(space).isNotEmptyDirectory();

      ClusterStore cluster = Repository.open(production.repository).cluster("acme");
      assertThat(new Proofs(cluster).latest()).contains(proof);
      ClusterStatus status = new Status(production.repository).of("acme").getFirst();
      assertThat(status.lastProof()).isEqualTo(proof.finishedAt());
      assertThat(status.outlook().recoverySeconds()).isEqualTo(recovery.totalSeconds());
      assertThat(status.outlook().lossSeconds()).isNotNull().isLessThan(3);
      assertThat(status.advice())
          .extracting(Advice::what)
          .noneMatch(what -> what.contains("proven"));

      Prove.Outcome drawn =
          new Prove(production.repository, "acme")
              .run(request(Target.LATEST, 7L, null, null), Progress.SILENT);
      assertThat(drawn.proof().result()).as(drawn.toString()).isEqualTo("proven");
      assertThat(drawn.proof().target().seed()).isEqualTo(7);
    } finally {
      Processes.run(List.of("rm", "-rf", space.toString()));
    }
  }

  /** Writers whose transactions overlap, some of which do not wait for the disk. */
  private static List<CompletableFuture<Void>> writers(
      TestServer server, AtomicBoolean stop, AtomicLong commits) {
    List<CompletableFuture<Void>> writers = new ArrayList<>();
    for (int writer = 0; writer < 4; writer++) {
      int number = writer;
      writers.add(
          CompletableFuture.runAsync(
              () -> {
                Random random = new Random(number);
                try (Connection connection = server.connect();
                    Statement statement = connection.createStatement()) {
                  statement.execute("SET synchronous_commit = " + (number == 3 ? "off" : "on"));
                  while (!stop.get()) {
                    statement.execute("BEGIN");
                    statement.execute(
                        "UPDATE accounts SET balance = balance + 1 WHERE id = "
                            + (number * 100 + random.nextInt(100)));
                    statement.execute("INSERT INTO history VALUES (DEFAULT, " + number + ")");
                    if (random.nextInt(4) == 0) {
                      statement.execute(
                          "DELETE FROM history WHERE id = (SELECT min(id) FROM history"
                              + " WHERE writer = "
                              + number
                              + ")");
                    }
                    statement.execute(random.nextInt(10) == 0 ? "ROLLBACK" : "COMMIT");
                    commits.incrementAndGet();
                  }
                } catch (SQLException e) {
                  throw new IllegalStateException(e);
                }
              },
              Thread::startVirtualThread));
    }
    return writers;
  }

  @ParameterizedTest
  @MethodSource("majors")
  void tables_equal_production_at_its_snapshot_while_others_write(int major) throws Exception {
    try (ProtectedServer production =
        ProtectedServer.start(
            major,
            "CREATE TABLE accounts (id int PRIMARY KEY, balance int, filler text)",
            "INSERT INTO accounts SELECT i, 0, repeat('x', 50) FROM generate_series(0, 399) i",
            "CREATE TABLE history (id serial PRIMARY KEY, writer int) ")) {
      AtomicBoolean stop = new AtomicBoolean();
      AtomicLong commits = new AtomicLong();
      List<CompletableFuture<Void>> writers = writers(production.server, stop, commits);
      Prove.Outcome outcome;
      try {
        while (commits.get() < 50) {
          Thread.sleep(10); // the writers tell nothing else
        }
        outcome =
            new Prove(production.repository, "acme")
                .run(
                    request(
                        Target.LATEST,
                        null,
                        "accounts, public.history",
                        production.server.url("postgres")),
                    Progress.SILENT);
      } finally {
        stop.set(true);
        CompletableFuture.allOf(writers.toArray(CompletableFuture[]::new)).join();
      }
      assertThat(outcome.proof().result()).as(outcome.toString()).isEqualTo("proven");
      assertThat(check(outcome, "tables").outcome()).isEqualTo("passed");
      assertThat(check(outcome, "tables").looked()).isGreaterThanOrEqualTo(400);
      assertThat(outcome.proof().target().wanted()).isEqualTo("tables");
    }
  }

  private static Path file(ProtectedServer production, String relation) {
    return production
        .server
        .server()
        .data()
        .resolve(production.server.value("SELECT pg_relation_filepath('" + relation + "')"));
  }

  @ParameterizedTest
  @MethodSource("majors")
  void what_was_bad_in_production_already_when_it_was_copied_is_found(int major) throws Exception {
    try (ProtectedServer production =
        ProtectedServer.start(
            PostgresBinaries.embedded(major),
            false,
            "ALTER SYSTEM SET autovacuum = off",
            "SELECT pg_reload_conf()",
            "CREATE TABLE bad_heap AS SELECT i AS id FROM generate_series(1, 1000) i",
            "CREATE TABLE bad_order (id int PRIMARY KEY)",
            "INSERT INTO bad_order SELECT generate_series(1, 300)",
            "CREATE TABLE lost_entry (id int PRIMARY KEY)",
            "INSERT INTO lost_entry SELECT generate_series(1, 300)",
            "CREATE TABLE no_file AS SELECT 1 AS id",
            "CREATE TABLE bad_value (id int, about text)",
            "INSERT INTO bad_value SELECT 1, string_agg(md5((i % 50)::text), '')"
                + " FROM generate_series(1, 20000) i", // compressed, and still too long for its row
            "CREATE TABLE changed AS SELECT i AS id, 'xxxxxxxx'::text AS about"
                + " FROM generate_series(1, 10) i",
            "CREATE TABLE sound AS SELECT generate_series(1, 10) AS id")) {
      production.caughtUp();
      production.stopRecording();
      TestServer server = production.server;
      // The index does not hear of one row.
      server.execute(
          "UPDATE pg_index SET indisready = false WHERE indexrelid = 'lost_entry_pkey'::regclass",
          "INSERT INTO lost_entry VALUES (1000)",
          "UPDATE pg_index SET indisready = true WHERE indexrelid = 'lost_entry_pkey'::regclass",
          "CHECKPOINT");
      Path heap = file(production, "bad_heap");
      Path order = file(production, "bad_order_pkey");
      Path none = file(production, "no_file");
      Path value =
          server
              .server()
              .data()
              .resolve(
                  server.value(
                      "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class"
                          + " WHERE oid = 'bad_value'::regclass"));
      Path changed = file(production, "changed");
      server.stop(PostgresServer.Stop.FAST);
      damage(heap, flip(8192 + 24 + 4 * 5, 4)); // a line pointer of its second page
      damage(order, flip(2 * 8192 - 16 - 16 * 100 + 8, 4)); // the key of an entry of its first leaf
      damage(value, flip(8192 - 1000, 400)); // in a compressed value
      Files.delete(none);
      server.startAgain();
      new Backup(production.repository, "acme", null, 2, Backup.Wanted.FULL).run(Progress.SILENT);
      production.record();
      production.caughtUp();

      Prove.Outcome outcome = prove(production.repository);

      assertThat(outcome.proof().result()).isEqualTo("failed");
      assertThat(outcome.exitCode()).isEqualTo(4);
      assertThat(outcome.stopped()).isNull();
      assertThat(found(check(outcome, "catalogs")))
          .contains("damaged postgres.public.no_file: its file base/")
          .doesNotContain("sound");
      assertThat(found(check(outcome, "heaps")))
          .contains("damaged postgres.public.bad_heap: block 1, line 6: ")
          .contains("damaged postgres.public.no_file: ")
          .doesNotContain("sound");
      assertThat(found(check(outcome, "indexes")))
          .contains("damaged postgres.public.bad_order_pkey: ")
          .contains("damaged postgres.public.lost_entry_pkey: heap tuple")
          .doesNotContain("not told");
      assertThat(found(check(outcome, "rows")))
          .contains("damaged postgres.public.bad_value: ")
          .contains("damaged postgres.public.no_file: ")
          .doesNotContain("sound");
      ClusterStatus status = new Status(production.repository).of("acme").getFirst();
      assertThat(status.lastProof()).isNull();
      assertThat(status.advice())
          .extracting(Advice::level, Advice::what)
          .anySatisfy(advice ->
              assertThat(advice.toString())
                  .contains("danger")
                  .contains("failed: postgres.public.no_file: its file base/"));

      // What production reads now is not what its log and its base backup say.
      production.stopRecording();
      server.stop(PostgresServer.Stop.FAST);
      byte[] bytes = Files.readAllBytes(changed);
      bytes[new String(bytes, StandardCharsets.ISO_8859_1).lastIndexOf("xxxx")] = 'y';
      Files.write(changed, bytes);
      server.startAgain();
      production.record();
      Prove.Outcome compared =
          new Prove(production.repository, "acme")
              .run(
                  request(Target.LATEST, null, "changed,sound", server.url("postgres")),
                  Progress.SILENT);
      assertThat(found(check(compared, "tables")))
          .isEqualTo(
              "damaged postgres.public.changed: 10 rows as in production, with other content");
    }
  }

  @Test
  void an_index_that_is_sorted_otherwise_here_is_not_called_damaged() throws Exception {
    try (ProtectedServer production =
        ProtectedServer.start(
            18,
            "CREATE COLLATION other (provider = icu, locale = 'de', version = '0.old')",
            "CREATE TABLE users (id int PRIMARY KEY, name text COLLATE other)",
            "CREATE INDEX by_name ON users (name)",
            "INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 100) i")) {
      production.caughtUp();
      Prove.Outcome outcome = prove(production.repository);
      assertThat(outcome.proof().result()).as(outcome.toString()).isEqualTo("inconclusive");
      assertThat(outcome.exitCode()).isEqualTo(4);
      assertThat(found(check(outcome, "indexes")))
          .startsWith(
              "not told postgres.public.by_name: not checked: collation version differs (other: 0.old in"
                  + " production, ")
          .doesNotContain("\n");
      assertThat(new Status(production.repository).of("acme").getFirst().advice())
          .extracting(Advice::what)
          .anyMatch(what -> what.startsWith("never proven: no restore of acme that was tried"));
    }
  }

  private Prove.Outcome proveDamaged(Path repository, String copy, String object, Damage damage)
      throws IOException {
    Path damaged = copied(repository, copy);
    try (Stream<Path> all = Files.walk(damaged)) {
      Path file = all.filter(path -> path.toString().endsWith(object)).findFirst().orElseThrow();
      damage(file, damage);
    }
    return prove(damaged.toString());
  }

  private static Path copied(Path repository, String copy) {
    Path damaged = repository.resolveSibling(copy);
    Processes.run(List.of("cp", "-r", repository.toString(), damaged.toString()));
    return damaged;
  }

  @Test
  void what_is_damaged_in_the_repository_is_found_and_kept_as_a_failed_proof() throws Exception {
    try (ProtectedServer production =
        ProtectedServer.start(
            15, "CREATE TABLE bulk AS SELECT md5(i::text) AS t FROM generate_series(1, 20000) i")) {
      List<String> segments = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        segments.add(production.server.value("SELECT pg_walfile_name(pg_current_wal_lsn())"));
        production.server.execute(
            "INSERT INTO bulk SELECT md5(i::text) FROM generate_series(1, 1000) i",
            "SELECT pg_switch_wal()");
      }
      production.caughtUp();
      production.stopRecording();
      production.server.stop(PostgresServer.Stop.FAST); // else each proof waits for its WAL
      Path repository = Path.of(production.repository);
      String segment = segments.get(1);

      Path gap = copied(repository, "gap");
      try (Stream<Path> all = Files.walk(gap)) {
        for (Path file : all.filter(path -> path.endsWith(segment)).toList()) {
          Files.delete(file);
        }
      }
      Prove.Outcome missing = prove(gap.toString());
      assertThat(missing.exitCode()).isEqualTo(4);
      assertFailed(gap, missing, "segment " + segment + " is not recorded");

      Prove.Outcome part =
          proveDamaged(
              repository, "part", "part-0001", file -> flip(file.length() / 2, 1).to(file));
      assertThat(part.exitCode()).isEqualTo(6);
      assertFailed(repository.resolveSibling("part"), part, "");

      Prove.Outcome truncated =
          proveDamaged(
              repository, "short", "part-0001", file -> file.setLength(file.length() - 500));
      assertThat(truncated.exitCode()).isEqualTo(6);
      assertFailed(repository.resolveSibling("short"), truncated, "");

      Prove.Outcome wal =
          proveDamaged(
              repository,
              "wal",
              "wal/00000001/" + segment,
              file -> flip(file.length() / 2, 1).to(file));
      assertThat(wal.exitCode()).isEqualTo(6);
      assertFailed(repository.resolveSibling("wal"), wal, "");

      Path dropped = copied(repository, "dropped");
      try (Stream<Path> all = Files.walk(dropped)) {
        Files.delete(all.filter(path -> path.endsWith("part-0001")).findFirst().orElseThrow());
      }
      Prove.Outcome lost = prove(dropped.toString());
      assertThat(lost.exitCode()).isEqualTo(6);
      assertFailed(dropped, lost, "");

      // Undamaged, though production does not answer: what is restored is whole.
      Prove.Outcome whole = prove(production.repository);
      assertThat(whole.proof().result()).as(whole.toString()).isEqualTo("proven");
      assertThat(check(whole, "recording").outcome()).isEqualTo("skipped");

      // What an operator asks for and cannot have is no failure of what is kept.
      assertThatThrownBy(() ->
              new Prove(production.repository, "acme")
                  .run(
                      request(new Target(null, null, null, "FF/0", null, null), null, null, null),
                      Progress.SILENT))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED));
      assertThat(Repository.open(production.repository).cluster("acme").documents("proofs"))
          .containsExactly(whole.proof().label());
    }
  }

  private static void assertFailed(Path repository, Prove.Outcome outcome, String why) {
    assertThat(outcome.proof().result()).as(outcome.toString()).isEqualTo("failed");
    assertThat(outcome.proof().reason()).contains(why);
    ClusterStore cluster = Repository.open(repository.toString()).cluster("acme");
    assertThat(new Proofs(cluster).latest()).contains(outcome.proof());
  }

  @Test
  void where_no_recorder_is_connected_what_it_has_not_recorded_is_no_fault_of_the_copy()
      throws Exception {
    try (ProtectedServer production = ProtectedServer.start(17, "CREATE TABLE users (n int)")) {
      production.caughtUp();
      production.stopRecording(); // as nobody sees one that takes WAL from a folder
      production.server.execute("INSERT INTO users VALUES (1)");
      Prove.Outcome outcome = prove(production.repository);
      ProofDocument.Check recording = check(outcome, "recording");
      assertThat(recording.outcome()).isEqualTo("skipped");
      assertThat(recording.notes().toString())
          .contains("no recorder is connected", "are not recorded")
          .doesNotContain("30 s");
      assertThat(outcome.proof().recording()).isNull();
      assertThat(outcome.proof().result()).isEqualTo("proven");
      assertThat(new Status(production.repository).of("acme").getFirst().advice())
          .anySatisfy(advice -> {
            assertThat(advice.level()).isEqualTo(Advice.DANGER);
            assertThat(advice.what()).contains("no recorder is connected to acme");
          });
    }
  }
}
