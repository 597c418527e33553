package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole clusters brought back from the repository alone, by real servers. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RestoreTest {
  @SuppressWarnings("NullAway.Init")
  private Path folder;

  @BeforeEach
  void makeFolder() throws Exception {
    folder = Files.createTempDirectory("holdfast-restores");
    Files.setPosixFilePermissions(
        folder, java.nio.file.attribute.PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @AfterEach
  void removeFolder() {
    Processes.run(List.of("rm", "-rf", folder.toString()));
  }

  private record Restored(RestoreResult result, RunningServer server) implements AutoCloseable {
    String value(String sql) {
      return server.value(sql);
    }

    @Override
    public void close() {
      server.close();
    }
  }

  private Restored restore(String repository, String to, Target target, String... mapping) {
    Path data = folder.resolve(to);
    RestoreResult result =
        new Restore(repository, "acme")
            .run(
                new Restore.Request(
                    target,
                    data,
                    mapping.length == 0 ? Map.of() : Map.of(mapping[0], mapping[1]),
                    null,
                    true,
                    PostgresServer.freePort(),
                    null),
                Progress.SILENT);
    return new Restored(result, new RunningServer(data));
  }

  private static RecoveryTarget resolved(ProtectedServer production, Target target) {
    return RecoveryTargets.resolve(
        Repository.open(production.repository).cluster(ProtectedServer.NAME),
        "restore",
        target,
        Progress.SILENT);
  }

  private static Target before(String xid) {
    return new Target(xid, null, null, null, null, null);
  }

  private static Target after(String xid) {
    return new Target(null, xid, null, null, null, null);
  }

  private static Target at(Instant time) {
    return new Target(null, null, time, null, null, null);
  }

  private static Target lsn(String lsn, @Nullable Integer timeline) {
    return new Target(null, null, null, lsn, null, timeline);
  }

  private static Target point(String name) {
    return new Target(null, null, null, null, name, null);
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void a_cluster_comes_back_whole_at_every_kind_of_target(int major) throws Exception {
    Path space = Files.createDirectory(folder.resolve("production space"));
    Processes.run(List.of("chmod", "777", space.toString()));
    try (ProtectedServer production =
        ProtectedServer.start(
            major,
            "CREATE TABLESPACE elsewhere LOCATION '" + space + "'",
            "CREATE TABLE spaced (id int) TABLESPACE elsewhere",
            "INSERT INTO spaced SELECT generate_series(1, 500)",
            "CREATE TABLE users (id int PRIMARY KEY, name text)",
            "INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 1000) i",
            "CREATE TABLE rewritten AS SELECT generate_series(1, 100) AS id",
            "CREATE TABLE held (id int)",
            "CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS id",
            "CREATE SEQUENCE orders",
            "CREATE DATABASE doomed")) {
      var server = production.server;
      server.execute(
          "INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1001, 1100) i",
          "INSERT INTO spaced SELECT generate_series(501, 600)",
          "SELECT nextval('orders') FROM generate_series(1, 50)",
          "TRUNCATE rewritten",
          "INSERT INTO rewritten SELECT generate_series(1, 5)",
          "SELECT pg_create_restore_point('nightly')",
          "VACUUM FULL rewritten",
          "CREATE DATABASE copied" + (major >= 15 ? " STRATEGY file_copy" : ""),
          "CREATE DATABASE logged" + (major >= 15 ? " STRATEGY wal_log" : ""));
      server.executeIn("copied", "CREATE TABLE notes AS SELECT generate_series(1, 3) AS id");
      server.executeIn("logged", "CREATE TABLE notes AS SELECT generate_series(1, 4) AS id");
      server.executeIn("doomed", "CREATE TABLE notes AS SELECT generate_series(1, 7) AS id");
      try (Connection preparing = server.connect();
          Statement statement = preparing.createStatement()) {
        statement.execute("BEGIN");
        statement.execute("INSERT INTO held VALUES (1)");
        statement.execute("PREPARE TRANSACTION 'it''s open'");
      }
      String drop;
      try (Connection dropping = server.connect();
          Statement statement = dropping.createStatement()) {
        dropping.setAutoCommit(false);
        statement.execute("INSERT INTO users VALUES (0, 'late')");
        statement.execute("DROP TABLE users");
        try (var row = statement.executeQuery("SELECT txid_current()")) {
          row.next();
          drop = row.getString(1);
        }
        Thread.sleep(20); // so that no other commit is of the same microsecond
        dropping.commit();
      }
      String beforeDoom = server.value("SELECT pg_current_wal_insert_lsn()");
      server.execute(
          "DROP DATABASE doomed",
          "TRUNCATE rewritten",
          "COMMIT PREPARED 'it''s open'",
          "CREATE TABLE last AS SELECT 1 AS id");
      production.caughtUp();
      String moved = folder.resolve("moved space").toString();

      assertThatThrownBy(() -> restore(production.repository, "refused", before(drop)).close())
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
          .hasMessageContaining(space + " is not empty: it holds PG_")
          .hasMessageContaining("--tablespace-mapping " + space + "=NEW");
      assertThat(folder.resolve("refused")).doesNotExist();

      try (Restored restored =
          restore(production.repository, "before", before(drop), space.toString(), moved)) {
        assertThat(restored.value("SELECT count(*), min(id), max(id) FROM users"))
            .isEqualTo("1100|1|1100");
        assertThat(restored.value("SELECT count(*) FROM spaced")).isEqualTo("600");
        assertThat(
                restored.value(
                    "SELECT pg_tablespace_location(oid) FROM pg_tablespace"
                        + " WHERE spcname = 'elsewhere'"))
            .isEqualTo(moved);
        assertThat(restored.value("SELECT count(*) FROM rewritten")).isEqualTo("5");
        assertThat(restored.value("SELECT count(*) FROM fleeting")).isEqualTo("0");
        assertThat(restored.value("SELECT nextval('orders')::int BETWEEN 51 AND 83"))
            .isEqualTo("t");
        assertThat(restored.server.queryIn("copied", "SELECT count(*) FROM notes"))
            .containsExactly("3");
        assertThat(restored.server.queryIn("logged", "SELECT count(*) FROM notes"))
            .containsExactly("4");
        assertThat(restored.server.queryIn("doomed", "SELECT count(*) FROM notes"))
            .containsExactly("7");
        // What was promised to a coordinator is kept.
        assertThat(restored.value("SELECT gid FROM pg_prepared_xacts")).isEqualTo("it's open");
        assertThat(restored.value("SELECT count(*) FROM held")).isEqualTo("0");
        restored.server.execute("COMMIT PREPARED 'it''s open'");
        assertThat(restored.value("SELECT count(*) FROM held")).isEqualTo("1");
        assertThat(restored.value("SELECT count(*) FROM pg_replication_slots")).isEqualTo("0");
        assertThat(restored.value("SHOW archive_mode")).isEqualTo("off");
        assertThat(restored.value("SELECT pg_is_in_recovery()")).isEqualTo("f");
        restored.server.execute("CREATE TABLE writes AS SELECT 1 AS id");
        assertThat(folder.resolve("before/holdfast.restoring")).doesNotExist();
      }
      // Production's own tablespace was left alone.
      assertThat(server.value("SELECT count(*) FROM spaced")).isEqualTo("600");

      // A time is inclusive, as PostgreSQL has it by itself: what committed then is part of it.
      Instant committed =
          production.log(Log.Filter.ALL).stream()
              .filter(entry -> entry.xid().equals(drop))
              .findFirst()
              .orElseThrow()
              .committedAt();
      assertThat(resolved(production, at(committed)).lsn())
          .isGreaterThan(resolved(production, after(drop)).lsn());
      Instant before = committed.minus(1, ChronoUnit.MICROS);
      assertThat(resolved(production, at(before))).isEqualTo(resolved(production, before(drop)));
      try (Restored restored =
          restore(production.repository, "time", at(before), space.toString(), moved + "3")) {
        assertThat(restored.value("SELECT count(*) FROM users")).isEqualTo("1100");
      }
      try (Restored restored =
          restore(
              production.repository, "point", point("nightly"), space.toString(), moved + "4")) {
        assertThat(restored.value("SELECT count(*) FROM rewritten")).isEqualTo("5");
        assertThat(restored.value("SELECT count(*) FROM pg_database WHERE datname = 'copied'"))
            .isEqualTo("0");
      }
      try (Restored restored =
          restore(production.repository, "latest", Target.LATEST, space.toString(), moved + "6")) {
        assertThat(restored.value("SELECT count(*) FROM pg_database WHERE datname = 'doomed'"))
            .isEqualTo("0");
        assertThat(restored.value("SELECT count(*) FROM rewritten")).isEqualTo("0");
        assertThat(restored.value("SELECT count(*) FROM held")).isEqualTo("1");
        assertThat(restored.value("SELECT count(*) FROM last")).isEqualTo("1");
      }
      if (!majors().contains(major)) {
        return; // just after a record, and a bare position: postgres.RestoreTest, on each major
      }
      try (Restored restored =
          restore(production.repository, "after", after(drop), space.toString(), moved + "2")) {
        assertThat(restored.value("SELECT to_regclass('users')")).isEqualTo("null");
        assertThat(restored.value("SELECT count(*) FROM rewritten")).isEqualTo("5");
      }
      try (Restored restored =
          restore(
              production.repository, "lsn", lsn(beforeDoom, null), space.toString(), moved + "5")) {
        assertThat(restored.server.queryIn("doomed", "SELECT count(*) FROM notes"))
            .containsExactly("7");
        assertThat(restored.value("SELECT to_regclass('users')")).isEqualTo("null");
      }
    }
  }

  static List<Integer> majors() {
    return Majors.of("holdfast.recovery.majors", "14,18");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_target_three_promotions_deep_or_on_a_timeline_left_behind_is_reached(int major)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member server = family.first();
      server.execute("CREATE TABLE told (t text)");
      new Backup(family.repository(), "acme", server.url(), 2, Backup.Wanted.AUTOMATIC)
          .run(Progress.SILENT);
      String shared = "";
      for (int timeline = 1; timeline <= 4; timeline++) {
        server.execute("INSERT INTO told VALUES ('on " + timeline + "')");
        if (timeline == 2) {
          shared = server.query("SELECT pg_current_wal_insert_lsn()").getFirst();
          server.execute("INSERT INTO told VALUES ('past the target')");
        }
        server.record(server.mark("shared"));
        if (timeline == 4) {
          break;
        }
        ServerFamily.Member next = server.standby("timeline " + (timeline + 1), Map.of());
        next.awaitReplayed(server.mark("followed"));
        next.promote();
        // What the old server goes on to write is recorded, and no part of the new timeline.
        server.execute("INSERT INTO told VALUES ('left behind on " + timeline + "')");
        server.record(server.mark("left behind"));
        server = next;
      }

      assertThat(told(family, "newest", Target.LATEST))
          .isEqualTo("on 1,on 2,past the target,on 3,on 4");
      assertThat(told(family, "first", new Target(null, null, null, null, null, 1)))
          .isEqualTo("on 1,left behind on 1");
      assertThat(told(family, "second", new Target(null, null, null, null, null, 2)))
          .isEqualTo("on 1,on 2,past the target,left behind on 2");
      assertThat(told(family, "third", new Target(null, null, null, null, null, 3)))
          .isEqualTo("on 1,on 2,past the target,on 3,left behind on 3");
      assertThat(told(family, "shared", lsn(shared, null))).isEqualTo("on 1,on 2");
      assertThatThrownBy(() -> told(family, "none", new Target(null, null, null, null, null, 9)))
          .hasMessage(
              "cannot read timeline 9 of acme: recorded are the timelines 1, 2, 3, 4; next: choose"
                  + " one of these, or none for the newest");
    }
  }

  private String told(ServerFamily family, String to, Target target) {
    try (Restored restored = restore(family.repository(), to, target)) {
      // Its own timeline is one that nobody has.
      assertThat(restored.value("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"))
          .isEqualTo("00000005");
      return restored.value("SELECT string_agg(t, ',' ORDER BY ctid) FROM told");
    }
  }

  @Test
  void what_cannot_be_a_target_is_refused_with_what_can() throws Exception {
    Instant ages = Instant.now().minusSeconds(3600);
    try (ProtectedServer production =
        ProtectedServer.start(17, "CREATE TABLE t AS SELECT generate_series(1, 3) AS id")) {
      var server = production.server;
      String xid = server.value("INSERT INTO t VALUES (4) RETURNING txid_current()");
      String harmless =
          server.value(
              "WITH x AS (SELECT pg_logical_emit_message(true, 'test', '')) SELECT txid_current()"
                  + " FROM x");
      String rolledBack;
      try (Connection connection = server.connect();
          Statement statement = connection.createStatement()) {
        connection.setAutoCommit(false);
        statement.execute("INSERT INTO t VALUES (5)");
        try (var row = statement.executeQuery("SELECT txid_current()")) {
          row.next();
          rolledBack = row.getString(1);
        }
        connection.rollback();
      }
      server.execute(
          "SELECT pg_create_restore_point('one')",
          "SELECT pg_create_restore_point('two')",
          "SELECT pg_create_restore_point('two')",
          "INSERT INTO t VALUES (6)");
      production.caughtUp();

      refused(production, before("0/3000148"), Kind.USAGE, "looks like an LSN", "--lsn 0/3000148");
      refused(production, lsn(xid, null), Kind.USAGE, "is not an LSN", "--before " + xid);
      refused(production, before("4000000000"), Kind.USAGE, "is not in the recorded WAL", "");
      refused(production, before(rolledBack), Kind.REFUSED, "it was rolled back at", "");
      refused(
          production,
          point("three"),
          Kind.USAGE,
          "no restore point of that name is recorded",
          "recorded are \"one\" (");
      refused(
          production, point("two"), Kind.USAGE, "2 restore points have that name", "with --lsn: ");
      refused(
          production,
          at(Instant.now().plusSeconds(600)),
          Kind.REFUSED,
          "that is in the future",
          "check the offset");
      refused(
          production,
          at(Instant.now()),
          Kind.REFUSED,
          "nothing that committed after it is recorded",
          "leave --at out");
      refused(production, at(ages), Kind.REFUSED, "", "choose a t");
      refused(
          production,
          lsn("FF/0", null),
          Kind.REFUSED,
          "WAL is recorded without a gap only through",
          "choose a target from");
      refused(
          production,
          lsn("0/1000028", null),
          Kind.REFUSED,
          "every base backup that can be used is newer",
          "choose a target from");
      assertThat(folder).isEmptyDirectory();

      // One that destroyed nothing can be a target all the same.
      try (Restored restored = restore(production.repository, "harmless", before(harmless))) {
        assertThat(restored.value("SELECT count(*) FROM t")).isEqualTo("4");
      }
    }
  }

  @Test
  void a_time_of_which_commits_may_be_missing_is_refused_though_a_later_commit_is_recorded()
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(18), 1)) {
      ServerFamily.Member server = family.first();
      Instant unrecorded = Instant.now();
      server.execute("CREATE TABLE told (t text)", "SELECT pg_switch_wal()");
      new Backup(family.repository(), "acme", server.url(), 2, Backup.Wanted.AUTOMATIC)
          .run(Progress.SILENT);
      server.record(server.mark("first"));
      Lsn recorded = Lsn.parse(server.query("SELECT pg_current_wal_lsn()").getFirst());
      server.write(3);
      server.execute("SELECT pg_switch_wal()");
      server.record(server.mark("lost"));
      Instant lost = Instant.now();
      server.execute("SELECT pg_switch_wal()");
      Thread.sleep(1100); // base backups' times have seconds
      BackupResult second =
          new Backup(family.repository(), "acme", server.url(), 2, Backup.Wanted.AUTOMATIC)
              .run(Progress.SILENT);
      server.execute("INSERT INTO told VALUES ('kept')");
      server.record(server.mark("end"));
      String from = SegmentName.containing(recorded, 1, 1 << 20).toString();
      String to = SegmentName.containing(Lsn.parse(second.startLsn()), 1, 1 << 20).toString();
      Path segments = Path.of(family.repository(), "clusters/acme/wal/00000001");
      try (var names = Files.list(segments)) {
        for (Path segment : names.toList()) {
          String name = segment.getFileName().toString();
          if (name.compareTo(from) > 0 && name.compareTo(to) < 0) {
            Files.delete(segment);
          }
        }
      }

      assertThatThrownBy(() -> told(family, "unrecorded", at(unrecorded)))
          .hasMessageContaining("recording began after that: the oldest base backup, ")
          .hasMessageContaining("choose a time from ");
      assertThatThrownBy(() -> told(family, "lost", at(lost)))
          .hasMessageContaining("that is in a gap of the recorded WAL")
          .hasMessageContaining(", or with --lsn a position up to ");
      try (Restored restored = restore(family.repository(), "kept", Target.LATEST)) {
        assertThat(restored.value("SELECT t FROM told")).isEqualTo("kept");
      }
    }
  }

  private void refused(
      ProtectedServer production, Target target, Kind kind, String why, String next) {
    assertThatThrownBy(() -> restore(production.repository, "refused", target).close())
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).as(e.getMessage()).isEqualTo(kind);
              assertThat(e.what()).contains("cannot restore acme");
              assertThat(e.why()).contains(why);
              assertThat(e.next()).contains(next);
            });
  }
}
