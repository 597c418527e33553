package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
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
import java.util.Properties;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ForkTest {
  @SuppressWarnings("NullAway.Init")
  private Path parent;

  @SuppressWarnings("NullAway.Init")
  private ForkOptions options;

  @BeforeEach
  void makeParent() throws IOException {
    parent = Files.createTempDirectory("holdfast-forks");
    Files.setPosixFilePermissions(parent, PosixFilePermissions.fromString("rwxr-xr-x"));
    options = ForkOptions.defaults().in(parent).withEmbeddedBinaries();
  }

  @AfterEach
  void nothing_is_left_behind() throws IOException {
    try (Stream<Path> left = Files.list(parent)) {
      assertThat(left).isEmpty();
    }
    Files.delete(parent);
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void a_fork_holds_the_whole_cluster_just_before_and_just_after_a_commit(int major)
      throws Exception {
    try (RecordedServer recorded =
        RecordedServer.start(major, Map.of("max_prepared_transactions", "20"))) {
      var server = recorded.server();
      Path tablespace = recorded.tablespaceFolder();
      server.execute(
          "CREATE TABLESPACE elsewhere LOCATION '" + tablespace + "'",
          "CREATE TABLE spaced (id int) TABLESPACE elsewhere",
          "INSERT INTO spaced SELECT generate_series(1, 500)",
          "CREATE TABLE users (id int PRIMARY KEY, name text)",
          "INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 1000) i",
          "CREATE TABLE held AS SELECT generate_series(1, 10) AS id",
          "CREATE TABLE nested (id int)",
          "CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS id",
          "CREATE SEQUENCE orders START 100",
          "CREATE DATABASE \"other one\"");
      server.executeIn("other one", "CREATE TABLE notes AS SELECT generate_series(1, 7) AS id");
      recorded.backUp();
      server.execute(
          "INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1001, 1100) i",
          "INSERT INTO spaced SELECT generate_series(501, 600)",
          "SELECT nextval('orders') FROM generate_series(1, 50)");
      server.executeIn("other one", "INSERT INTO notes VALUES (8)");
      try (Connection preparing = server.connect();
          Connection nesting = server.connect()) {
        // Prepared and left: it keeps an exclusive lock on a table across the target.
        execute(preparing, "BEGIN", "TRUNCATE held", "PREPARE TRANSACTION 'it''s open'");
        nesting.setAutoCommit(false);
        for (int level = 1; level <= 100; level++) {
          execute(nesting, "SAVEPOINT s" + level, "INSERT INTO nested VALUES (" + level + ")");
        }
        Lsn commit = recorded.commit("INSERT INTO users VALUES (0, 'late')", "DROP TABLE users");
        Lsn later = recorded.commit("CREATE TABLE later (id int)");
        server.execute("CREATE TABLE last (id int)"); // so that later's commit is not the end
        recorded.recordWal();

        try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.before(commit), options)) {
          assertThat(query(fork, "postgres", "SELECT count(*), min(id), max(id) FROM users"))
              .containsExactly("1100|1|1100");
          assertThat(query(fork, "postgres", "SELECT count(*) FROM spaced")).containsExactly("600");
          assertThat(query(fork, "postgres", "SELECT count(*) FROM held")).containsExactly("10");
          assertThat(query(fork, "postgres", "SELECT count(*) FROM nested")).containsExactly("0");
          assertThat(query(fork, "postgres", "SELECT count(*) FROM fleeting")).containsExactly("0");
          assertThat(Long.parseLong(query(fork, "postgres", "SELECT nextval('orders')").getFirst()))
              .isBetween(150L, 150L + 32);
          assertThat(query(fork, "postgres", "SELECT count(*) FROM pg_prepared_xacts"))
              .containsExactly("0");
          assertThat(query(fork, "postgres", "SHOW max_prepared_transactions"))
              .containsExactly("20");
          assertThat(query(fork, "other one", "SELECT count(*) FROM notes")).containsExactly("8");
          assertThat(fork.databases()).containsExactly("other one", "postgres", "template1");
          assertThat(fork.rolledBack()).containsExactly("it's open");
          assertThat(fork.reached()).isEqualTo(commit);
          assertThat(fork.walBytes()).isPositive();
          // Its tablespace is its own: production's files would have been overwritten otherwise.
          assertThat(
                  Path.of(
                      query(
                              fork,
                              "postgres",
                              "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname ="
                                  + " 'elsewhere'")
                          .getFirst()))
              .startsWith(parent);
          assertNobodyElseGetsIn(fork);
        }
        try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.after(commit), options)) {
          assertThat(query(fork, "postgres", "SELECT to_regclass('users'), to_regclass('later')"))
              .containsExactly("null|null");
        }
        try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.after(later), options)) {
          assertThat(query(fork, "postgres", "SELECT to_regclass('users'), to_regclass('later')"))
              .containsExactly("null|later");
        }
      }
      // Forks changed nothing here.
      assertThat(server.value("SELECT count(*) FROM spaced")).isEqualTo("600");
    }
  }

  private static void assertNobodyElseGetsIn(Fork fork) {
    for (String password : List.of("", "postgres")) {
      assertThatThrownBy(() ->
              DriverManager.getConnection(
                      "jdbc:postgresql://127.0.0.1:" + fork.server().port() + "/postgres",
                      "postgres",
                      password)
                  .close())
          .isInstanceOf(SQLException.class)
          .hasMessageContaining("no pg_hba.conf entry");
    }
    assertThatThrownBy(() ->
            DriverManager.getConnection(
                    "jdbc:postgresql://127.0.0.1:" + fork.server().port() + "/postgres",
                    fork.user(),
                    "wrong")
                .close())
        .isInstanceOf(SQLException.class)
        .hasMessageContaining("password authentication failed");
    assertSocketIsShut(fork);
  }

  /** It was made through that, and its folder is nobody's but ours. */
  private static void assertSocketIsShut(Fork fork) {
    Path socket = fork.server().data().resolveSibling("socket");
    assertThat(socket.resolve(".s.PGSQL." + fork.server().port())).exists();
    assertThatCode(() ->
            assertThat(Files.getPosixFilePermissions(socket))
                .isEqualTo(PosixFilePermissions.fromString("rwx------")))
        .doesNotThrowAnyException();
    for (String user : List.of("postgres", fork.user())) {
      Properties properties = new Properties();
      properties.setProperty("user", user);
      UnixSocketFactory.use(
          properties, socket.resolve(".s.PGSQL." + fork.server().port()).toString());
      assertThatThrownBy(() ->
              DriverManager.getConnection("jdbc:postgresql://localhost/postgres", properties)
                  .close())
          .isInstanceOf(SQLException.class)
          .hasMessageContaining("no pg_hba.conf entry");
    }
  }

  @Test
  void the_end_of_what_is_recorded_can_be_forked_where_no_record_starts() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      recorded.server().execute("CREATE TABLE t (id int)");
      recorded.backUp();
      recorded.server().execute("INSERT INTO t SELECT generate_series(1, 300)");
      recorded.recordWal();
      Lsn end = recorded.recordedEnd();
      try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.before(end), options)) {
        assertThat(query(fork, "postgres", "SELECT count(*) FROM t")).containsExactly("300");
        assertThat(fork.reached()).isEqualTo(end);
      }
      assertThatThrownBy(() -> Fork.start(recorded.cluster(), RecoveryTarget.after(end), options))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED));
    }
  }

  @Test
  void a_target_that_cannot_be_reached_is_refused_before_anything_is_written() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      recorded.backUp();
      recorded.recordWal();
      Path untouched = parent.resolve("never made");
      RecoveryTarget tooLate = RecoveryTarget.before(recorded.recordedEnd().plus(1));
      assertThatThrownBy(() -> Fork.start(recorded.cluster(), tooLate, options.in(untouched)))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
          .hasMessageContaining("only through " + recorded.recordedEnd());
      assertThat(untouched).doesNotExist();
    }
  }

  @Test
  void a_record_that_is_recorded_in_part_is_no_target() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      recorded.backUp();
      Lsn big = recorded.insertLsn();
      recorded
          .server()
          .execute(
              "SELECT pg_logical_emit_message(false, 'test', repeat('x', 20000))",
              "CREATE TABLE flushed (id int)");
      recorded.recordWal(big.plus(9000));
      assertThatThrownBy(() -> Fork.start(recorded.cluster(), RecoveryTarget.after(big), options))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
          .hasMessageContaining("the record at " + big + " is not recorded to its end");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void a_tablespace_created_since_is_never_replayed_over_productions_own(int major)
      throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      var server = recorded.server();
      Path tablespace = recorded.tablespaceFolder();
      recorded.backUp();
      server.execute("CREATE TABLE earlier (id int)");
      Lsn creation = recorded.insertLsn();
      server.execute(
          "CREATE TABLESPACE since LOCATION '" + tablespace + "'",
          "CREATE TABLE t TABLESPACE since AS SELECT generate_series(1, 100) AS id");
      Lsn target = recorded.insertLsn();
      server.execute("CREATE TABLE flushed (id int)", "CHECKPOINT");
      List<Path> files = filesBelow(tablespace);
      recorded.recordWal();
      assertThatThrownBy(
              () -> Fork.start(recorded.cluster(), RecoveryTarget.before(target), options))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
          .hasMessageContaining("a tablespace is created");
      assertThat(filesBelow(tablespace)).isEqualTo(files).isNotEmpty();
      try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.before(creation), options)) {
        assertThat(query(fork, "postgres", "SELECT to_regclass('earlier'), to_regclass('t')"))
            .containsExactly("earlier|null");
      }
    }
  }

  private static List<Path> filesBelow(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).sorted().toList();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void a_target_after_a_promotion_of_production_is_reached_over_both_timelines(int major)
      throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      var server = recorded.server();
      server.execute("CREATE TABLE t (timeline int)");
      recorded.backUp();
      Lsn first = recorded.commit("INSERT INTO t VALUES (1)");
      server.execute("INSERT INTO t VALUES (1)");
      recorded.recordWal();
      server.stop(PostgresServer.Stop.FAST);
      Files.createFile(server.server().data().resolve("standby.signal"));
      server.startAgain();
      server.execute("SELECT pg_promote()", "INSERT INTO t VALUES (2)");
      Lsn second = recorded.commit("DROP TABLE t");
      server.execute("SELECT pg_switch_wal()", "CREATE TABLE flushed (id int)");
      recorded.recordWal();

      try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.before(second), options)) {
        assertThat(
                query(fork, "postgres", "SELECT timeline, count(*) FROM t GROUP BY 1 ORDER BY 1"))
            .containsExactly("1|2", "2|1");
      }
      try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.after(first), options)) {
        assertThat(
                query(fork, "postgres", "SELECT timeline, count(*) FROM t GROUP BY 1 ORDER BY 1"))
            .containsExactly("1|1");
      }
    }
  }

  @Test
  void progress_goes_from_the_first_byte_to_the_target() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      long bytes = recorded.backUp().bytes();
      recorded.server().execute("CREATE TABLE t AS SELECT generate_series(1, 600000) AS id");
      recorded.recordWal();
      List<Long> fetched = new ArrayList<>();
      List<Lsn> replayed = Collections.synchronizedList(new ArrayList<>());
      RecoveryProgress listener =
          new RecoveryProgress() {
            @Override
            public void fetched(long sofar, long total) {
              assertThat(total).isEqualTo(bytes);
              fetched.add(sofar);
            }

            @Override
            public void replayed(Lsn through, Lsn target) {
              replayed.add(through);
            }
          };
      RecoveryTarget end = RecoveryTarget.before(recorded.recordedEnd());
      Fork.start(recorded.cluster(), end, options.telling(listener)).close();
      assertThat(fetched).isSorted().endsWith(bytes);
      assertThat(replayed).hasSizeGreaterThan(2).isSorted();
      assertThat(replayed.getLast().isAfter(end.lsn())).isFalse();
    }
  }

  @Test
  void a_compression_these_binaries_lack_is_named_and_the_full_ones_are_used_where_installed()
      throws Exception {
    var installed = PostgresBinaries.installed(15);
    assertThat(installed).as("binaries with lz4: apt-get install postgresql-15").isPresent();
    try (RecordedServer recorded =
        RecordedServer.start(installed.get(), Map.of("wal_compression", "lz4"), List.of())) {
      recorded
          .server()
          .execute(
              "CREATE TABLE t AS SELECT i AS id, repeat('x', 200) AS text FROM generate_series(1, 5000)"
                  + " i");
      recorded.backUp();
      recorded.server().execute("UPDATE t SET id = -id");
      recorded.recordWal();
      RecoveryTarget end = RecoveryTarget.before(recorded.recordedEnd());
      assertThatThrownBy(() -> Fork.start(recorded.cluster(), end, options))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("compressed with LZ4 not supported by build")
          .hasMessageContaining("apt-get install postgresql-15");
      ForkOptions ownBinaries = ForkOptions.defaults().in(parent);
      try (Fork fork = Fork.start(recorded.cluster(), end, ownBinaries)) {
        assertThat(fork.server().binaries().source()).isEqualTo(PostgresBinaries.Source.INSTALLED);
        assertThat(query(fork, "postgres", "SELECT max(id) FROM t")).containsExactly("-1");
      }
    }
  }

  @Test
  void damage_in_the_log_before_the_target_is_named_with_its_position() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      recorded.backUp();
      recorded.server().execute("CREATE TABLE t AS SELECT generate_series(1, 10000) AS id");
      Lsn damaged = recorded.insertLsn();
      recorded.server().execute("DELETE FROM t");
      Lsn target = recorded.commit("DROP TABLE t");
      recorded.server().execute("CREATE TABLE flushed (id int)");
      recorded.recordWalDamagedAt(damaged);
      assertThatThrownBy(
              () -> Fork.start(recorded.cluster(), RecoveryTarget.before(target), options))
          .isInstanceOfSatisfying(
              OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DAMAGED_DATA))
          .hasMessageContaining(damaged.toString());
    }
  }

  @Test
  void settings_that_production_raised_after_the_backup_are_raised_here_too() throws Exception {
    try (RecordedServer recorded =
        RecordedServer.start(16, Map.of("max_prepared_transactions", "100"))) {
      recorded.server().execute("CREATE TABLE t (id int)");
      recorded.backUp("max_prepared_transactions", "1");
      try (Connection connection = recorded.server().connect()) {
        for (int number = 1; number <= 70; number++) {
          execute(
              connection,
              "BEGIN",
              "INSERT INTO t VALUES (" + number + ")",
              "PREPARE TRANSACTION 'p" + number + "'");
        }
      }
      Lsn commit = recorded.commit("DROP TABLE IF EXISTS nothing", "CREATE TABLE u (id int)");
      recorded.recordWal();
      try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.before(commit), options)) {
        assertThat(fork.rolledBack()).hasSize(70);
        assertThat(query(fork, "postgres", "SELECT count(*) FROM t")).containsExactly("0");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void production_settings_roles_and_triggers_do_not_keep_us_out(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      recorded.server().execute("CREATE TABLE t AS SELECT 1 AS id", "CREATE DATABASE spare");
      if (major >= 17) {
        recorded
            .server()
            .execute(
                "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS"
                    + " 'BEGIN IF current_user <> ''postgres'' THEN RAISE ''not you''; END IF; END'",
                "CREATE EVENT TRIGGER no ON login EXECUTE FUNCTION no()");
      }
      recorded.backUp();
      recorded
          .server()
          .execute(
              "ALTER DATABASE postgres SET default_transaction_read_only = on",
              "ALTER DATABASE postgres SET statement_timeout = '1ms'",
              "ALTER DATABASE template1 SET default_transaction_read_only = on");
      recorded
          .server()
          .executeIn(
              "spare",
              "ALTER DATABASE postgres SET session_preload_libraries = 'library_of_production'",
              "UPDATE pg_authid SET rolname = 'root_of_production' WHERE rolname = 'postgres'");
      // Nobody can connect to that server now: its log is all there is, as after an incident.
      recorded.recordWal(recorded.writtenEnd());
      try (Fork fork =
          Fork.start(recorded.cluster(), RecoveryTarget.before(recorded.recordedEnd()), options)) {
        assertThat(query(fork, "postgres", "SELECT id FROM t, pg_sleep(0.1)")).containsExactly("1");
        assertThat(
                query(
                    fork,
                    "postgres",
                    "SELECT count(*) FROM pg_roles WHERE rolname = 'root_of_production'"))
            .containsExactly("1");
      }
    }
  }

  @Test
  void a_locale_this_machine_lacks_is_made_for_the_fork_alone() throws Exception {
    assertThat(Path.of("/usr/share/i18n/locales/de_DE"))
        .as("sources of locales: apt-get install locales")
        .exists();
    try (RecordedServer recorded = RecordedServer.start(15, Map.of())) {
      recorded.server().execute("CREATE DATABASE umlaut TEMPLATE template0");
      recorded.backUp();
      // As if created elsewhere; template1 too, which single-user mode runs in.
      recorded
          .server()
          .execute(
              "UPDATE pg_database SET datcollate = 'de_DE.UTF-8', datctype = 'de_DE.UTF-8' WHERE"
                  + " datname = 'umlaut'",
              "UPDATE pg_database SET datcollate = 'sv_SE.UTF-8', datctype = 'sv_SE.UTF-8' WHERE"
                  + " datname = 'template1'");
      recorded.recordWal();
      RecoveryTarget end = RecoveryTarget.before(recorded.recordedEnd());
      try (Fork fork = Fork.start(recorded.cluster(), end, options)) {
        assertThat(
                query(fork, "umlaut", "SELECT x FROM (VALUES ('z'), ('\u00e4')) v(x) ORDER BY x"))
            .containsExactly("\u00e4", "z");
        assertThat(
                query(
                    fork, "template1", "SELECT x FROM (VALUES ('z'), ('\u00e4')) v(x) ORDER BY x"))
            .containsExactly("z", "\u00e4");
      }
    }
  }

  @Test
  void a_locale_that_cannot_be_made_is_named_with_what_to_do() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(15, Map.of())) {
      recorded.backUp();
      recorded
          .server()
          .execute(
              "CREATE DATABASE odd TEMPLATE template0",
              "UPDATE pg_database SET datcollate = 'xx_XX.UTF-8', datctype = 'xx_XX.UTF-8' WHERE"
                  + " datname = 'odd'");
      recorded.recordWal();
      RecoveryTarget end = RecoveryTarget.before(recorded.recordedEnd());
      assertThatThrownBy(() -> Fork.start(recorded.cluster(), end, options))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("this machine has no locale \"xx_XX.UTF-8\"")
          .hasMessageContaining("localedef -i xx_XX -f UTF-8 xx_XX.UTF-8");
    }
  }

  @Test
  void a_killed_owner_leaves_no_server_and_no_folder() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      recorded.backUp();
      recorded.recordWal();
      for (boolean ready : new boolean[] {false, true}) {
        Process owner =
            new ProcessBuilder(
                    ProcessHandle.current().info().command().orElseThrow(),
                    "-cp",
                    System.getProperty("java.class.path"),
                    OrphanedFork.class.getName(),
                    recorded.server().folder().resolve("repository").toString(),
                    recorded.recordedEnd().toString(),
                    parent.toString(),
                    Boolean.toString(ready))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (var lines = owner.inputReader()) {
          assertThat(lines.readLine()).isEqualTo("now");
          assertThat(folders()).hasSize(1);
          owner.destroyForcibly().waitFor();
        }
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while ((!folders().isEmpty() || anyProcessUses(parent)) && System.nanoTime() < deadline) {
          Thread.sleep(50); // the watchdog is another process: there is nothing to wait on
        }
        assertThat(folders()).isEmpty();
        assertThat(anyProcessUses(parent)).isFalse();
      }
    }
  }

  private static boolean anyProcessUses(Path folder) {
    return ProcessHandle.allProcesses()
        .anyMatch(process -> process.info().commandLine().orElse("").contains(folder.toString()));
  }

  /** Makes a fork and waits to be killed, in the middle of the restore or with the fork ready. */
  static final class OrphanedFork {
    public static void main(String[] arguments) throws Exception {
      boolean ready = Boolean.parseBoolean(arguments[3]);
      RecoveryProgress stopInTheMiddle =
          new RecoveryProgress() {
            @Override
            public void fetched(long bytes, long total) {
              if (!ready && bytes > total / 2) {
                waitToBeKilled();
              }
            }
          };
      Fork.start(
          Repository.open(arguments[0]).cluster("acme"),
          RecoveryTarget.before(Lsn.parse(arguments[1])),
          ForkOptions.defaults()
              .in(Path.of(arguments[2]))
              .withEmbeddedBinaries()
              .telling(stopInTheMiddle));
      waitToBeKilled();
    }

    private static synchronized void waitToBeKilled() {
      System.out.println("now");
      try {
        Thread.sleep(Duration.ofMinutes(5));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private List<Path> folders() throws IOException {
    try (Stream<Path> files = Files.list(parent)) {
      return files.toList();
    }
  }

  private static List<String> query(Fork fork, String database, String sql) throws SQLException {
    try (Connection connection = fork.connect(database);
        Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(20); // a lock that was kept must fail the test, not hang it
      try (ResultSet rows = statement.executeQuery(sql)) {
        int columns = rows.getMetaData().getColumnCount();
        List<String> lines = new ArrayList<>();
        while (rows.next()) {
          List<String> texts = new ArrayList<>();
          for (int column = 1; column <= columns; column++) {
            texts.add(String.valueOf(rows.getString(column)));
          }
          lines.add(String.join("|", texts));
        }
        return lines;
      }
    }
  }

  private static void execute(Connection connection, String... statements) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      for (String sql : statements) {
        statement.execute(sql);
      }
    }
  }
}
