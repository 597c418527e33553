package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BaseBackupTest {
  private static final String CHECKSUM =
      """
      SELECT (SELECT md5(string_agg(a::text, ',' ORDER BY aid)) FROM pgbench_accounts a)
          || (SELECT md5(string_agg(b::text, ',' ORDER BY bid)) FROM pgbench_branches b)
          || (SELECT md5(string_agg(t::text, ',' ORDER BY tid)) FROM pgbench_tellers t)
          || (SELECT md5(string_agg(h::text, ',' ORDER BY h::text)) FROM pgbench_history h)
      """;

  @ParameterizedTest
  @CsvSource({"14, true", "15, false", "16, true", "17, false", "18, false", "18, true"})
  void a_backup_taken_under_traffic_comes_back_with_every_committed_row(
      int major, boolean throughServer) throws Exception {
    try (Recorded recorded = new Recorded(started(major))) {
      TestServer server = recorded.server;
      pgbench(server, "--initialize", "--scale=2", "--quiet");
      server.execute(
          "CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 1000) AS id",
          "CREATE TABLE \"Docu ment\" AS SELECT i, repeat(md5(i::text), 500) AS body"
              + " FROM generate_series(1, 500) AS i");
      BaseManifest manifest;
      List<String> expected;
      Told told = new Told();
      try (Recorded.Recording recording =
          new Recorded.Recording(recorded.recorder, recorded.store())) {
        Process traffic = pgbenchProcess(server, "--client=2", "--time=4", "--rate=400");
        Thread.sleep(500); // so that the backup begins in the middle of the traffic
        manifest =
            BaseBackup.take(
                recorded.recorder,
                recorded.store(),
                2,
                throughServer,
                BaseBackup.LayerChoice.FULL,
                (_, _, stop) -> recording.await(stop),
                told);
        assertThat(traffic.isAlive()).as("the backup ended while there was traffic").isTrue();
        assertThat(traffic.waitFor()).isZero();
        expected = server.query(CHECKSUM);
        recording.await(recorded.written());
      }
      assertThat(told.damaged).isEmpty();
      assertThat(told.readFrom)
          .isEqualTo(throughServer ? List.of() : List.of(server.server().data()));
      assertThat(manifest.bytes()).isGreaterThan(30_000_000);
      assertThat(recorded.store().bases().list()).containsExactly(manifest);

      PostgresServer restored = recorded.restore(manifest.label());
      try (Connection connection = awaitPromoted(restored)) {
        assertThat(query(connection, CHECKSUM)).isEqualTo(expected.getFirst());
        assertThat(query(connection, "SELECT count(*) FROM fleeting")).isEqualTo("0");
        assertThat(query(connection, "SELECT sum(length(body)) FROM \"Docu ment\""))
            .isEqualTo("8000000");
        assertThat(query(connection, "SELECT count(*) FROM pgbench_history")).isNotEqualTo("0");
      } finally {
        restored.stop(PostgresServer.Stop.FAST);
      }
      if (major == 15) {
        ProcessResult checked =
            Processes.run(
                List.of(tool("pg_checksums"), "--check", "-D", restored.data().toString()));
        assertThat(checked.output()).contains("Bad checksums:  0");
      }
    }
  }

  @Test
  void backups_right_after_one_another_get_labels_of_their_own() {
    try (Recorded recorded = new Recorded(started(18))) {
      List<String> labels = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        labels.add(
            BaseBackup.take(recorded.recorder, recorded.store(), 2, (_, _, _) -> {}, _ -> {})
                .label());
      }
      assertThat(labels).doesNotHaveDuplicates();
      assertThat(recorded.store().bases().list()).hasSize(3);
    }
  }

  @Test
  void what_is_not_the_copys_business_is_left_out() throws Exception {
    try (Recorded recorded = new Recorded(started(18));
        Recorded.Recording recording =
            new Recorded.Recording(recorded.recorder, recorded.store())) {
      recorded.server.execute("CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY)");
      try (Connection connection = recorded.server.connect();
          Statement statement = connection.createStatement()) {
        statement.execute("CREATE TEMP TABLE passing AS SELECT generate_series(1, 10000) AS id");
        BaseManifest manifest = recorded.backUp(recording);
        Path copy = recorded.server.folder().resolve("copy");
        recorded.store().bases().open(manifest.label()).restore(copy, 1, _ -> {});

        List<String> paths;
        try (Stream<Path> files = Files.walk(copy)) {
          paths = files.map(p -> copy.relativize(p).toString()).toList();
        }
        assertThat(paths)
            .contains("PG_VERSION", "global/pg_control", "pg_wal", "pg_wal/archive_status")
            .contains("pg_replslot", "pg_notify", "pg_xact/0000", "base/5/pg_filenode.map")
            .doesNotContain("postmaster.pid", "postmaster.opts", "backup_label")
            .noneMatch(p -> p.matches("pg_wal/[0-9A-F]{24}"))
            .noneMatch(p -> p.matches("base/\\d+/t\\d+_\\d+.*"))
            .noneMatch(p -> p.contains("pg_internal.init"));
        String fleeting = recorded.server.value("SELECT pg_relation_filepath('fleeting')");
        assertThat(paths).contains(fleeting + "_init").doesNotContain(fleeting);
        assertThat(manifest.settings().keySet())
            .containsExactlyInAnyOrderElementsOf(ServerFacts.MINIMUMS);
      }
    }
  }

  private static final class Told implements BaseBackup.Progress {
    private final List<String> damaged = Collections.synchronizedList(new ArrayList<>());
    private final List<Path> readFrom = new ArrayList<>();

    @Override
    public void copied(long bytes) {}

    @Override
    public void readsItself(Path dataDirectory) {
      readFrom.add(dataDirectory);
    }

    @Override
    public void damagedPage(String path, long block) {
      damaged.add(path + ":" + block);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a_damaged_page_on_the_server_is_named(boolean throughServer) throws Exception {
    try (Recorded recorded = new Recorded(started(18))) {
      TestServer server = recorded.server;
      server.execute("CREATE TABLE victim AS SELECT generate_series(1, 10000) AS id", "CHECKPOINT");
      Path file =
          server.server().data().resolve(server.value("SELECT pg_relation_filepath('victim')"));
      server.stop(PostgresServer.Stop.FAST);
      byte[] content = Files.readAllBytes(file);
      content[3 * 8192 + 5000] ^= 1;
      Files.write(file, content);
      server.startAgain();
      Told told = new Told();
      try (Recorded.Recording recording =
          new Recorded.Recording(recorded.recorder, recorded.store())) {
        BaseBackup.take(
            recorded.recorder,
            recorded.store(),
            1,
            throughServer,
            BaseBackup.LayerChoice.FULL,
            (_, _, stop) -> recording.await(stop),
            told);
      }
      assertThat(told.damaged)
          .containsExactly(server.value("SELECT pg_relation_filepath('victim')") + ":3");
    }
  }

  @Test
  void nothing_is_published_and_backup_mode_ends_when_the_wal_does_not_arrive() {
    try (Recorded recorded = new Recorded(started(15))) {
      assertThatThrownBy(() ->
              BaseBackup.take(
                  recorded.recorder,
                  recorded.store(),
                  2,
                  (_, _, lsn) -> {
                    throw new OperatorException(
                        Kind.FAILED, "no WAL", "none before " + lsn, "record it");
                  },
                  _ -> {}))
          .isInstanceOf(OperatorException.class)
          .hasMessageStartingWith("no WAL");
      assertThat(recorded.store().bases().list()).isEmpty();
      assertThat(
              recorded.server.query(
                  "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast backup'"))
          .isEmpty();
    }
  }

  @Test
  void a_role_without_the_rights_is_told_which_right_is_missing() {
    try (Recorded recorded = new Recorded(started(18))) {
      recorded.server.execute(
          "REVOKE EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) FROM"
              + " holdfast");
      assertThat(ServerFacts.read(recorded.recorder).role().missing())
          .containsExactly("pg_read_binary_file(text, bigint, bigint, boolean)");
      assertThatThrownBy(() ->
              BaseBackup.take(recorded.recorder, recorded.store(), 2, (_, _, _) -> {}, _ -> {}))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.why())
                    .isEqualTo(
                        "role holdfast lacks a right: permission denied for function"
                            + " pg_read_binary_file");
              });
      assertThat(recorded.store().bases().list()).isEmpty();
    }
  }

  @Test
  void another_cluster_under_the_same_url_is_refused() {
    try (Recorded recorded = new Recorded(started(18));
        TestServer other = TestServer.start(18)) {
      assertThatThrownBy(() ->
              BaseBackup.take(
                  PostgresUrl.parse(other.url("postgres")),
                  recorded.store(),
                  1,
                  (_, _, _) -> {},
                  _ -> {}))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.why()).contains("is another cluster");
              });
    }
  }

  private static TestServer started(int major) {
    return TestServer.start(
        PostgresBinaries.of(major),
        Map.of("wal_keep_size", "1GB"),
        major == 18 ? List.of() : List.of("--data-checksums"));
  }

  private static String tool(String name) {
    return PostgresBinaries.installed(15).orElseThrow().program(name).toString();
  }

  private static void pgbench(TestServer server, String... arguments) throws Exception {
    assertThat(pgbenchProcess(server, arguments).waitFor()).isZero();
  }

  private static Process pgbenchProcess(TestServer server, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(tool("pgbench")));
    command.addAll(List.of(arguments));
    command.add(server.url("postgres"));
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .start();
  }

  private static Connection awaitPromoted(PostgresServer server) throws Exception {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (true) {
      try {
        Connection connection =
            DriverManager.getConnection(
                "jdbc:postgresql://127.0.0.1:" + server.port() + "/postgres", "postgres", "");
        if (query(connection, "SELECT pg_is_in_recovery()").equals("f")) {
          return connection;
        }
        connection.close();
      } catch (SQLException e) {
        if (!server.isAlive() || System.nanoTime() > deadline) {
          throw new IllegalStateException(server.logTail(30), e);
        }
      }
      Thread.sleep(50); // a starting server: there is nothing to wait on
    }
  }

  private static String query(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }

  @Test
  void stop_lsn_of_the_manifest_is_after_its_start() throws Exception {
    try (Recorded recorded = new Recorded(started(16));
        Recorded.Recording recording =
            new Recorded.Recording(recorded.recorder, recorded.store())) {
      Lsn before = recorded.written();
      BaseManifest manifest = recorded.backUp(recording);
      assertThat(new Lsn(manifest.startLsn())).isGreaterThanOrEqualTo(before);
      assertThat(new Lsn(manifest.stopLsn())).isGreaterThan(new Lsn(manifest.startLsn()));
      assertThat(recording.receiver.storedThrough())
          .isGreaterThanOrEqualTo(new Lsn(manifest.stopLsn()));
      assertThat(manifest.timeline()).isEqualTo(1);
    }
  }
}
