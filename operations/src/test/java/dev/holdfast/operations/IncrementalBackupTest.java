package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Incremental base backups of real servers. More of the random ones: {@code
 * -Dholdfast.incremental.rounds=20}, from {@code -Dholdfast.incremental.seed=N} on.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class IncrementalBackupTest {
  private static final AtomicInteger BACKUPS = new AtomicInteger();

  private static final int PAGE = 8192;
  private static final long SEED = Long.getLong("holdfast.incremental.seed", 1);
  private static final int ROUNDS = Integer.getInteger("holdfast.incremental.rounds", 1);

  @TempDir private Path temporary;

  static Stream<List<Long>> rounds() {
    return IntStream.rangeClosed(14, 18)
        .boxed()
        .flatMap(major ->
            IntStream.range(0, ROUNDS).mapToObj(round -> List.of((long) major, SEED + round)));
  }

  /** Without checksums on 14 and 16, and on others in every second round. */
  private static boolean checksums(int major, long seed) {
    return (major + seed) % 2 == 0;
  }

  @ParameterizedTest
  @MethodSource("rounds")
  void a_chain_equals_a_full_backup_of_the_same_moment_page_by_page(List<Long> round)
      throws Exception {
    int major = Math.toIntExact(round.get(0));
    long seed = round.get(1);
    boolean checksums = checksums(major, seed);
    String what = "PostgreSQL " + major + ", -Dholdfast.incremental.seed=" + seed;
    try (ProtectedServer acme =
        ProtectedServer.start(
            PostgresBinaries.embedded(major),
            Map.of("autovacuum", "off", "max_wal_size", "256MB"),
            checksums ? List.of("--data-checksums") : noChecksums(major))) {
      try (var workload = new ChainWorkload(acme.server, 100 * seed + major, tablespace(acme))) {
        var kinds = new ArrayList<String>();
        kinds.add(backUp(acme, Backup.Wanted.FULL).kind());
        workload.run(30);
        kinds.add(backUp(acme, Backup.Wanted.INCREMENTAL).kind());
        BackupResult between;
        try (AutoCloseable _ = workload.running()) {
          between = backUp(acme, Backup.Wanted.INCREMENTAL);
        }
        workload.run(30);
        kinds.add(between.kind());
        // A second one in a row: reading the catalogs for the first one set hints in them.
        kinds.add(backUp(acme, Backup.Wanted.INCREMENTAL).kind());
        BackupResult chained = backUp(acme, Backup.Wanted.INCREMENTAL);
        kinds.add(chained.kind());
        BackupResult full = backUp(acme, Backup.Wanted.FULL);
        assertThat(kinds).as(what).containsExactly("full", "incr", "incr", "incr", "incr");
        assertThat(chained.bytes()).as(what).isEqualTo(full.bytes());

        Path ofChain = restored(acme, chained.label());
        Map<String, byte[]> files = read(ofChain);
        assertSame(what, files, read(restored(acme, full.label())), checksums);

        RollupResult rolledUp =
            new Rollup(acme.repository, ProtectedServer.NAME, 2)
                .run(chained.label(), Progress.SILENT);
        assertThat(rolledUp.made()).isTrue();
        assertThat(rolledUp.layers()).isEqualTo(5);
        Map<String, byte[]> again = read(restored(acme, rolledUp.label()));
        assertThat(again.keySet()).isEqualTo(files.keySet());
        files.forEach((path, content) -> assertThat(again.get(path)).as(path).isEqualTo(content));

        assertThat(verify(acme)).as(what).isEmpty();
        workload.run(10);
        assertRowsAreProductions(what, acme, between.label());
      }
    }
  }

  private static List<String> noChecksums(int major) {
    return major >= 18 ? List.of("--no-data-checksums") : List.of();
  }

  private static String tablespace(ProtectedServer acme) throws IOException {
    Path folder = Files.createDirectory(acme.server.folder().resolve("elsewhere"));
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
    Files.setOwner(folder, Files.getOwner(acme.server.server().data()));
    return folder.toString();
  }

  /** Every other one reads through the server, as from another machine. */
  private static BackupResult backUp(ProtectedServer acme, Backup.Wanted wanted) {
    Backup backup = new Backup(acme.repository, ProtectedServer.NAME, null, 2, wanted);
    boolean throughServer = BACKUPS.getAndIncrement() % 2 == 1;
    BackupResult result = (throughServer ? backup.throughServer() : backup).run(Progress.SILENT);
    assertThat(result.filesReadFrom() == null).isEqualTo(throughServer);
    assertThat(result.damagedPageCount()).isZero();
    return result;
  }

  private static ClusterStore cluster(ProtectedServer acme) {
    return Repository.open(acme.repository).cluster(ProtectedServer.NAME);
  }

  private Path restored(ProtectedServer acme, String label) throws IOException {
    Path folder = Files.createTempDirectory(temporary, label).resolve("data");
    cluster(acme).bases().open(label).restore(folder, 2, _ -> {});
    return folder;
  }

  private static Map<String, byte[]> read(Path folder) {
    try (Stream<Path> paths = Files.walk(folder)) {
      var files = new TreeMap<String, byte[]>();
      for (Path path : paths.filter(Files::isRegularFile).toList()) {
        files.put(folder.relativize(path).toString(), Files.readAllBytes(path));
      }
      return files;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Nothing was written between the two, so that they are the same to the byte; but without page
   * checksums hints are set in pages without a record of it, and the chain has them as they were
   * when the page was last changed.
   */
  private static void assertSame(
      String what, Map<String, byte[]> chain, Map<String, byte[]> full, boolean exact) {
    assertThat(chain.keySet()).as(what).isEqualTo(full.keySet());
    var different = new ArrayList<String>();
    int maps = 0;
    for (Map.Entry<String, byte[]> file : full.entrySet()) {
      String path = file.getKey();
      byte[] expected = file.getValue();
      byte[] found = Objects.requireNonNull(chain.get(path));
      maps += path.endsWith("_vm") ? 1 : 0;
      if (path.equals("global/pg_control") || Arrays.equals(found, expected)) {
        continue;
      }
      if (exact
          || found.length != expected.length
          || !path.matches("(base|pg_tblspc|global)/.*\\d")) {
        different.add(path);
        continue;
      }
      for (int at = 0; at < expected.length; at += PAGE) {
        byte[] theirs = Arrays.copyOfRange(expected, at, at + PAGE);
        byte[] ours = Arrays.copyOfRange(found, at, at + PAGE);
        if (!Arrays.equals(Hints.masked(ours), Hints.masked(theirs))) {
          different.add(path + " block " + at / PAGE);
        }
      }
    }
    assertThat(different).as(what).isEmpty();
    assertThat(maps).as("visibility maps compared").isGreaterThan(3);
  }

  /** What was committed up to a moment, from a chain, is what production had at that moment. */
  private static void assertRowsAreProductions(String what, ProtectedServer acme, String base)
      throws Exception {
    Map<String, String> expected = new TreeMap<>();
    acme.caughtUp();
    String lsn = acme.server.value("SELECT pg_current_wal_flush_lsn()");
    for (String database : databases(sql -> acme.server.query(sql))) {
      try (Connection connection = acme.server.connect(database)) {
        checksums(database, connection, expected);
      }
    }
    assertThat(expected).hasSizeGreaterThan(3);
    acme.server.execute("CREATE TABLE after_the_target (a int)");
    acme.caughtUp();
    ClusterStore cluster = cluster(acme);
    for (BaseManifest newer : cluster.bases().list().reversed()) { // children first
      if (newer.label().compareTo(base) > 0) {
        Files.delete(
            Path.of(acme.repository, "clusters/acme/bases", newer.label(), "manifest.json"));
      }
    }
    try (Fork.Running fork =
        new Fork(acme.repository, ProtectedServer.NAME, null)
            .start(
                new Target(null, null, null, lsn, null, null), Fork.Wanted.ALL, Progress.SILENT)) {
      assertThat(fork.ready().base()).isEqualTo(base);
      PostgresUrl url = PostgresUrl.parse(fork.ready().url());
      Map<String, String> found = new TreeMap<>();
      for (String database : databases(sql -> query(url, sql))) {
        try (Connection connection = url.withDatabase(database).open()) {
          amcheck(what + " " + database, connection);
          checksums(database, connection, found);
        }
      }
      assertThat(found).as(what).isEqualTo(expected);
    }
  }

  private interface Query {
    List<String> rows(String sql) throws SQLException;
  }

  private static List<String> databases(Query query) throws SQLException {
    return query.rows("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1");
  }

  private static List<String> query(PostgresUrl url, String sql) throws SQLException {
    try (Connection connection = url.open()) {
      return rows(connection, sql);
    }
  }

  private static List<String> rows(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      var found = new ArrayList<String>();
      while (rows.next()) {
        found.add(String.valueOf(rows.getString(1)));
      }
      return found;
    }
  }

  private static void checksums(
      String database, Connection connection, Map<String, String> checksums) throws SQLException {
    for (String table :
        rows(
            connection,
            "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relpersistence = 'p' AND oid >="
                + " 16384 ORDER BY 1")) {
      checksums.put(
          database + "." + table,
          rows(
                  connection,
                  "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)"
                      + " FROM %s t".formatted(table))
              .getFirst());
    }
  }

  private static void amcheck(String what, Connection connection) throws SQLException {
    rows(connection, "SELECT 1");
    try (Statement statement = connection.createStatement()) {
      statement.execute("CREATE EXTENSION IF NOT EXISTS amcheck");
      statement.execute(
          """
          SELECT bt_index_check(c.oid, i.indisunique)
          FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
          WHERE a.amname = 'btree' AND c.relpersistence = 'p' AND i.indisvalid
          """);
    }
    assertThat(
            rows(
                connection,
                """
                SELECT c.oid::regclass || ' ' || v.blkno || ' ' || v.msg
                FROM pg_class c, LATERAL verify_heapam(c.oid) v
                WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p'
                """))
        .as(what)
        .isEmpty();
  }

  private static List<VerifyProblem> verify(ProtectedServer acme) {
    return new Verify(acme.repository)
        .run(new Verify.Request(null, 100, 1), Progress.SILENT).problems().stream()
            .filter(problem -> !problem.level().equals("note"))
            .toList();
  }

  @Test
  void what_is_read_and_stored_is_what_changed() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            17,
            "CREATE TABLE big (id int PRIMARY KEY, pad text) WITH (fillfactor = 50)",
            // One row to a page, of bytes that do not compress: 4000 pages, 31 MiB.
            "ALTER TABLE big ALTER pad SET STORAGE PLAIN",
            "INSERT INTO big SELECT g, (SELECT string_agg(md5(random()::text || g || j), '')"
                + " FROM generate_series(1, 110) j) FROM generate_series(1, 4000) g",
            "VACUUM (FREEZE) big")) {
      BackupResult first = backUp(acme, Backup.Wanted.FULL);
      BackupResult quiet = backUp(acme, Backup.Wanted.AUTOMATIC);
      assertThat(quiet.kind()).isEqualTo("incr");
      acme.server.execute("UPDATE big SET pad = md5(pad) WHERE id % 100 = 0");
      BackupResult changed = backUp(acme, Backup.Wanted.AUTOMATIC);
      assertThat(changed.parent()).isEqualTo(quiet.label());
      assertThat(changed.bytes()).isBetween(first.bytes(), first.bytes() + (4L << 20));
      long pages = (changed.heldBytes() - quiet.heldBytes()) / PAGE;
      // 40 pages of rows; the new versions fit beside the old; besides, what is always whole.
      assertThat(pages).isBetween(40L, 120L);
      assertThat(changed.storedBytes() - quiet.storedBytes()).isLessThan(120L * PAGE);
      assertThat(quiet.storedBytes()).isLessThan(first.storedBytes() / 10);

      // A part of a fork, out of a chain.
      acme.caughtUp();
      try (Fork.Running fork =
          new Fork(acme.repository, ProtectedServer.NAME, null)
              .start(
                  Target.LATEST,
                  new Fork.Wanted("public.big", "postgres", false, false),
                  Progress.SILENT)) {
        assertThat(fork.ready().base()).isEqualTo(changed.label());
        assertThat(
                query(
                    PostgresUrl.parse(fork.ready().url()),
                    "SELECT count(*) || ' ' || count(*) FILTER (WHERE length(pad) = 32) FROM big"))
            .containsExactly("4000 40");
      }
    }
  }

  @Test
  void what_changed_is_read_from_the_log_where_nothing_stored_tells_it() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            16,
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT g, 'old' FROM generate_series(1, 20000) g")) {
      for (int i = 0; i < 6; i++) {
        acme.server.execute(
            "UPDATE t SET v = 'new' WHERE id % 1000 = " + i, "SELECT pg_switch_wal()");
      }
      acme.caughtUp();
      ClusterStore cluster = cluster(acme);
      List<String> segments = awaitSummaries(cluster);
      acme.stopRecording();
      cluster.summaries().delete(segments.get(segments.size() - 2));
      Path blocks =
          Path.of(
              acme.repository, "clusters/acme/summaries/00000001", segments.getLast() + ".blocks");
      byte[] damaged = Files.readAllBytes(blocks);
      damaged[damaged.length - 1] ^= 1;
      Files.write(blocks, damaged);

      BackupResult incremental = backUp(acme, Backup.Wanted.INCREMENTAL);
      assertThat(incremental.kind()).isEqualTo("incr");
      Map<String, byte[]> files = read(restored(acme, incremental.label()));
      assertSame("t", files, read(restored(acme, backUp(acme, Backup.Wanted.FULL).label())), true);

      // With the segment gone as well, nobody knows.
      acme.server.execute("UPDATE t SET v = 'newer' WHERE id = 1", "SELECT pg_switch_wal()");
      acme.record();
      acme.caughtUp();
      acme.stopRecording();
      BackupResult last = backUp(acme, Backup.Wanted.INCREMENTAL);
      assertThat(last.kind()).isEqualTo("incr");
      acme.server.execute("UPDATE t SET v = 'newest'", "SELECT pg_switch_wal()");
      backUp(acme, Backup.Wanted.FULL); // records it
      for (BaseManifest newest : List.of(cluster.bases().list().getLast())) {
        Files.delete(
            Path.of(acme.repository, "clusters/acme/bases", newest.label(), "manifest.json"));
      }
      List<String> names = cluster.wal().list().stream().map(segment -> segment.name()).toList();
      String lost = names.get(names.size() - 2);
      cluster.summaries().delete(lost);
      Files.delete(Path.of(acme.repository, "clusters/acme/wal/00000001", lost));
      BackupResult forced = backUp(acme, Backup.Wanted.INCREMENTAL);
      assertThat(forced.kind()).isEqualTo("full");
      assertThat(forced.fullBecause())
          .startsWith("what changed in WAL from ")
          .contains("is not known: neither are its changed blocks stored nor all of the WAL");
    }
  }

  private static List<String> awaitSummaries(ClusterStore cluster) throws InterruptedException {
    long complete = cluster.wal().list().stream().filter(segment -> segment.complete()).count();
    for (int attempt = 0; attempt < 1200; attempt++) {
      if (cluster.summaries().list().size() >= complete) {
        return cluster.summaries().list();
      }
      Thread.sleep(50); // they are made behind the recorder, which tells nobody
    }
    throw new IllegalStateException("no summaries of " + complete + " segments");
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void what_was_written_at_wal_level_minimal_forces_a_full_one(int major) throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            PostgresBinaries.embedded(major),
            Map.of("wal_keep_size", "256MB"),
            List.of(),
            "CREATE TABLE t (a int)")) {
      acme.stopRecording();
      backUp(acme, Backup.Wanted.FULL);
      acme.server.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
      acme.server.stop(PostgresServer.Stop.FAST);
      try (PostgresServer minimal =
          PostgresServer.start(
              acme.server.server().binaries(),
              acme.server.server().data(),
              Map.of("wal_level", "minimal", "max_wal_senders", "0", "wal_keep_size", "256MB"),
              List.of())) {
        PostgresUrl url =
            PostgresUrl.parse("postgresql://postgres@127.0.0.1:" + minimal.port() + "/postgres");
        awaitReady(url);
        try (Connection connection = url.open();
            Statement statement = connection.createStatement()) {
          statement.execute("BEGIN; CREATE TABLE unlogged_in_effect (a int)");
          statement.execute("INSERT INTO unlogged_in_effect SELECT generate_series(1, 1000)");
          statement.execute("COMMIT");
        }
        minimal.stop(PostgresServer.Stop.FAST);
      }
      acme.server.startAgain();
      acme.server.execute("SELECT pg_create_physical_replication_slot('holdfast_acme', true)");
      BackupResult forced = backUp(acme, Backup.Wanted.INCREMENTAL);
      assertThat(forced.kind()).isEqualTo("full");
      assertThat(forced.fullBecause()).startsWith("wal_level was minimal before ");
      assertThat(backUp(acme, Backup.Wanted.INCREMENTAL).parent()).isEqualTo(forced.label());
    }
  }

  private static void awaitReady(PostgresUrl url) throws InterruptedException {
    for (int attempt = 1; ; attempt++) {
      try (Connection _ = url.open()) {
        return;
      } catch (OperatorException | SQLException e) {
        if (attempt == 600) {
          throw new IllegalStateException(e);
        }
        Thread.sleep(50); // a server that starts tells nobody when it is up
      }
    }
  }

  @Test
  void a_chain_goes_on_after_a_promotion_and_not_on_what_was_left_behind() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(17), 1)) {
      ServerFamily.Member server = family.first();
      server.execute("CREATE TABLE told (t text)");
      BackupResult shared = take(family, server);
      assertThat(shared.kind()).isEqualTo("full");
      server.execute("INSERT INTO told SELECT 'shared' FROM generate_series(1, 1000)");
      server.record(server.mark("shared"));
      ServerFamily.Member next = server.standby("next", Map.of());
      next.awaitReplayed(server.mark("followed"));
      next.promote();
      // More than a segment and more than a record to a segment: what is left behind.
      server.execute(
          "INSERT INTO told SELECT repeat(md5(g::text), 50) FROM generate_series(1, 3000) g");
      server.record(server.mark("dead"));
      BackupResult dead = take(family, server);
      assertThat(dead.parent()).isEqualTo(shared.label());
      next.execute("INSERT INTO told SELECT 'on 2' FROM generate_series(1, 500)");
      next.record(next.mark("alive"));
      BackupResult alive = take(family, next);
      assertThat(alive.parent()).as("not " + dead.label()).isEqualTo(shared.label());
      next.execute("DELETE FROM told WHERE t = 'shared'");
      next.record(next.mark("end"));
      BackupResult newest = take(family, next);
      assertThat(newest.parent()).isEqualTo(alive.label());
      next.execute("INSERT INTO told VALUES ('last')");
      next.record(next.mark("last"));
      try (Fork.Running fork =
          new Fork(family.repository(), "acme", null)
              .start(Target.LATEST, Fork.Wanted.ALL, Progress.SILENT)) {
        assertThat(fork.ready().base()).isEqualTo(newest.label());
        PostgresUrl url = PostgresUrl.parse(fork.ready().url());
        assertThat(query(url, "SELECT t || count(*) FROM told GROUP BY t ORDER BY 1"))
            .containsExactly("last1", "on 2500");
        try (Connection connection = url.open()) {
          amcheck("promoted", connection);
        }
      }
    }
  }

  private static BackupResult take(ServerFamily family, ServerFamily.Member server) {
    return new Backup(family.repository(), "acme", server.url(), 2, Backup.Wanted.INCREMENTAL)
        .run(Progress.SILENT);
  }
}
