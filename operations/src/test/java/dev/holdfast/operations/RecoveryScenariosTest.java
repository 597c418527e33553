package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.RunningServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What PostgreSQL's own recovery tests ask of a recovery, asked of ours ("src/test/recovery"). What
 * takes long is asked of some major versions, and of each with {@code
 * -Dholdfast.recovery.majors=14,15,16,17,18}; more of it is in {@link RestoreTest} and {@link
 * FailoverTest}, with the same.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecoveryScenariosTest {
  private static final String CONTENTS =
      "SELECT count(*) || ' ' || coalesce(string_agg(DISTINCT t, ','), '') FROM told";

  @SuppressWarnings("NullAway.Init")
  private Path folder;

  @BeforeEach
  void makeFolder() throws Exception {
    folder = Files.createTempDirectory("holdfast-scenarios");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @AfterEach
  void removeFolder() {
    Processes.run(List.of("rm", "-rf", folder.toString()));
  }

  static List<Integer> majorsThatChooseOids() {
    return Majors.of("holdfast.recovery.majors", "15,18").stream()
        .filter(major -> major >= 15)
        .toList();
  }

  /** As "032_relfilenode_reuse.pl". Before 15 nobody chooses the OID of a database. */
  @ParameterizedTest
  @MethodSource("majorsThatChooseOids")
  void files_that_another_database_had_under_the_same_numbers_are_told_apart(int major)
      throws Exception {
    try (ProtectedServer production =
        ProtectedServer.start(major, "CREATE DATABASE pattern", "CREATE DATABASE bystander")) {
      var server = production.server;
      server.executeIn(
          "pattern",
          "CREATE TABLE told AS SELECT i, 'pattern' AS t FROM generate_series(1, 1000) i",
          "CREATE TABLE other AS SELECT i FROM generate_series(1, 1000) i");
      Map<String, String> expected = new LinkedHashMap<>(); // by the position just before its end
      List<String> files = new ArrayList<>();
      for (String life : List.of("file_copy", "wal_log", "file_copy")) {
        int number = expected.size() + 1;
        server.execute("CREATE DATABASE reborn TEMPLATE pattern OID = 50000 STRATEGY = " + life);
        files.addAll(server.queryIn("reborn", "SELECT pg_relation_filepath('told')"));
        if (number == 1) { // the base backup knows the files of the first life alone
          production.caughtUp();
          new Backup(production.repository, ProtectedServer.NAME, null, 2, Backup.Wanted.FULL)
              .run(Progress.SILENT);
        }
        server.executeIn(
            "reborn",
            "UPDATE told SET t = 'life " + number + "' WHERE i % 2 = 0",
            "DELETE FROM told WHERE i <= " + 100 * number,
            "VACUUM told",
            "CREATE TABLE marker_" + number + " ()");
        production.awaitRecorded(
            "marker_" + number); // names of a life that no catalog saw are lost
        expected.put(
            server.value("SELECT pg_current_wal_insert_lsn()"),
            server.queryIn("reborn", CONTENTS).getFirst());
        server.execute("DROP DATABASE reborn");
      }
      assertThat(files).as("numbers used again").hasSize(3).containsOnly(files.getFirst());
      assertThat(expected.values()).doesNotHaveDuplicates();
      production.caughtUp();

      for (Map.Entry<String, String> life : expected.entrySet()) {
        Target target = new Target(null, null, null, life.getKey(), null, null);
        Path data = folder.resolve(life.getKey().replace('/', '_'));
        new Restore(production.repository, ProtectedServer.NAME)
            .run(
                new Restore.Request(
                    target, data, Map.of(), null, true, PostgresServer.freePort(), null),
                Progress.SILENT);
        try (RunningServer restored = new RunningServer(data)) {
          assertThat(restored.queryIn("reborn", CONTENTS)).containsExactly(life.getValue());
          assertThat(restored.queryIn("pattern", CONTENTS)).containsExactly("1000 pattern");
        }
        try (Fork.Running fork =
            new Fork(production.repository, ProtectedServer.NAME, folder)
                .start(
                    target,
                    new Fork.Wanted("public.told", "reborn", false, false),
                    Progress.SILENT)) {
          assertThat(value(fork.ready().url(), CONTENTS)).isEqualTo(life.getValue());
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void a_server_that_is_killed_while_it_is_backed_up_comes_back_and_the_next_backup_is_whole(
      int major) throws Exception {
    try (ProtectedServer production =
        ProtectedServer.start(
            major, "CREATE TABLE told AS SELECT i, 'one' AS t FROM generate_series(1, 50000) i")) {
      var server = production.server;
      ClusterStore cluster = Repository.open(production.repository).cluster(ProtectedServer.NAME);
      List<String> before = labels(cluster);
      AtomicBoolean killed = new AtomicBoolean();
      Progress killing =
          new Progress() {
            @Override
            public Phase begin(String name, long total, Unit unit) {
              return new Phase() {
                @Override
                public void advance(long amount) {
                  if (killed.compareAndSet(false, true)) {
                    server.stop(PostgresServer.Stop.KILL);
                  }
                }

                @Override
                public void close() {}
              };
            }

            @Override
            public void say(String line) {}
          };

      assertThatThrownBy(() ->
              new Backup(production.repository, ProtectedServer.NAME, null, 2, Backup.Wanted.FULL)
                  .run(killing))
          .isInstanceOf(OperatorException.class)
          .satisfies(e -> assertThat(killed).as(e.getMessage()).isTrue());

      assertThat(labels(cluster)).isEqualTo(before);
      server.startAgain();
      assertThat(Files.exists(server.server().data().resolve("backup_label"))).isFalse();
      server.execute("INSERT INTO told SELECT i, 'two' FROM generate_series(1, 1000) i");
      production.caughtUp();
      BackupResult next =
          new Backup(production.repository, ProtectedServer.NAME, null, 2, Backup.Wanted.FULL)
              .run(Progress.SILENT);
      assertThat(labels(cluster)).contains(next.label()).hasSize(before.size() + 1);
      server.execute("INSERT INTO told VALUES (0, 'three')");
      production.caughtUp();

      Path data = folder.resolve("restored");
      RestoreResult result =
          new Restore(production.repository, ProtectedServer.NAME)
              .run(
                  new Restore.Request(
                      Target.LATEST, data, Map.of(), null, true, PostgresServer.freePort(), null),
                  Progress.SILENT);
      assertThat(result.base()).isEqualTo(next.label());
      try (RunningServer restored = new RunningServer(data)) {
        assertThat(restored.value(CONTENTS)).isEqualTo("51001 one,three,two");
      }
    }
  }

  /** A slot has one user: whoever comes second must see that it is being recorded. */
  @Test
  void a_recorder_that_begins_with_a_backup_does_not_hinder_it() throws Exception {
    try (ProtectedServer production = ProtectedServer.start(16)) {
      ClusterStore cluster = Repository.open(production.repository).cluster(ProtectedServer.NAME);
      for (int round = 0; round < 4; round++) {
        production.stopRecording();
        int had = labels(cluster).size();
        production.record();
        Thread.sleep(20L * round); // so that each round meets it at another point of its beginning

        new Backup(production.repository, ProtectedServer.NAME, null, 2, Backup.Wanted.INCREMENTAL)
            .run(Progress.SILENT);

        assertThat(labels(cluster)).hasSize(had + 1);
      }
    }
  }

  private static List<String> labels(ClusterStore cluster) {
    return cluster.bases().list().stream().map(base -> base.label()).toList();
  }

  private static String value(String url, String sql) throws Exception {
    try (Connection connection = PostgresUrl.parse(url).open();
        Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }
}
