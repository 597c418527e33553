package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(300)
class SteppingForkTest {
  private static final int PAGE = 8192;
  private static final int PAGE_HEADER = 24;

  @SuppressWarnings("NullAway.Init")
  private Path parent;

  @SuppressWarnings("NullAway.Init")
  private ForkOptions options;

  @BeforeEach
  void makeParent() throws IOException {
    parent = Files.createTempDirectory("holdfast-stepping");
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

  /** A position and the rows that had committed in records before it. */
  private record Moment(Lsn lsn, List<String> rows) {}

  @ParameterizedTest
  @CsvSource({"15, 1, 200", "18, 1, 200", "18, 16, 60", "14, 1, 60", "16, 1, 60", "17, 1, 60"})
  void at_each_stop_the_rows_are_those_committed_before_it(
      int major, int segmentMegabytes, int commits) throws Exception {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    Random random = new Random(seed);
    try (RecordedServer recorded =
        RecordedServer.start(
            PostgresBinaries.embedded(major),
            Map.of(),
            List.of("--wal-segsize=" + segmentMegabytes))) {
      recorded.server().execute("CREATE TABLE t (id int PRIMARY KEY, v int)");
      recorded.backUp();
      List<Moment> moments = ledger(recorded, random, commits);
      recorded.recordWal();
      try (SteppingFork fork =
          SteppingFork.start(recorded.cluster(), moments.getFirst().lsn(), options)) {
        try (Connection kept = fork.connect("postgres")) {
          for (int i = 0; i < moments.size(); i += i < 12 ? 1 : 3) {
            Moment moment = moments.get(i);
            fork.moveTo(moment.lsn());
            assertThat(rows(kept))
                .as("stop %d at %s, tests.seed=%d", i, moment.lsn(), seed)
                .isEqualTo(moment.rows());
          }
        }
        assertThat(fork.promotedStops()).isZero();
        assertThat(fork.position()).isGreaterThanOrEqualTo(moments.getFirst().lsn());
        Lsn unrecorded = recorded.recordedEnd().plus(1);
        assertThatThrownBy(() -> fork.moveTo(unrecorded))
            .isInstanceOfSatisfying(
                OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
            .hasMessageContaining("only through " + recorded.recordedEnd());
        assertThatThrownBy(() -> fork.moveTo(moments.getFirst().lsn()))
            .isInstanceOf(IllegalArgumentException.class);
        try (Connection still = fork.connect("postgres")) {
          assertThat(rows(still)).isNotEmpty();
        }
      }
    }
  }

  /** Commits of random changes, with stops before, after and between, at every odd place. */
  private static List<Moment> ledger(RecordedServer recorded, Random random, int commits)
      throws SQLException {
    Map<Integer, Integer> rows = new TreeMap<>();
    List<Moment> moments = new ArrayList<>();
    try (Connection connection = recorded.server().connect();
        Statement statement = connection.createStatement()) {
      for (int i = 0; i < commits; i++) {
        List<String> before = texts(rows);
        connection.setAutoCommit(false);
        for (int change = random.nextInt(3); change >= 0; change--) {
          int id = random.nextInt(40);
          if (rows.containsKey(id) && random.nextInt(3) == 0) {
            rows.remove(id);
            statement.execute("DELETE FROM t WHERE id = " + id);
          } else {
            rows.put(id, i);
            statement.execute(
                "INSERT INTO t VALUES (%d, %d) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
                    .formatted(id, i));
          }
        }
        if (i == 4) {
          fillPage(statement);
        }
        if (i == 8) { // nothing of this segment may come before the commit does
          statement.execute("SELECT pg_switch_wal()");
        }
        Lsn commit = insertLsn(statement);
        if (commit.position() % PAGE == PAGE_HEADER) {
          moments.add(new Moment(commit.plus(-PAGE_HEADER), before));
        }
        moments.add(new Moment(commit, before));
        connection.commit();
        connection.setAutoCommit(true);
        if (i == 6) {
          fillPage(statement);
          moments.add(new Moment(insertLsn(statement).plus(-PAGE_HEADER), texts(rows)));
        }
        if (random.nextInt(3) == 0) {
          // Records over many pages, and over segments of 1 MB.
          message(statement, random.nextInt(200_000));
        }
        if (random.nextInt(40) == 0) {
          moments.add(new Moment(insertLsn(statement), texts(rows)));
          statement.execute("SELECT pg_switch_wal()");
          moments.add(new Moment(insertLsn(statement), texts(rows)));
          statement.execute("CHECKPOINT");
        }
      }
      moments.add(new Moment(insertLsn(statement), texts(rows)));
      statement.execute("CREATE TABLE flushed (id int)");
    }
    return moments;
  }

  private static List<String> texts(Map<Integer, Integer> rows) {
    return rows.entrySet().stream().map(row -> row.getKey() + "=" + row.getValue()).toList();
  }

  /** Writes one record that ends exactly where a page does. */
  private static void fillPage(Statement statement) throws SQLException {
    for (int attempt = 0; attempt < 20; attempt++) {
      long start = insertLsn(statement).position();
      message(statement, 1000);
      long end = insertLsn(statement).position();
      long overhead = end - start - 1000;
      long left = PAGE - end % PAGE;
      if (start / PAGE != end / PAGE || left < 300 + overhead) {
        continue; // the page's own header came between
      }
      message(statement, (int) (left - overhead)); // lengths are rounded up, alike in both
      if (insertLsn(statement).position() % PAGE == PAGE_HEADER) {
        return;
      }
    }
    throw new IllegalStateException("no page could be filled");
  }

  private static void message(Statement statement, int bytes) throws SQLException {
    statement.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', " + bytes + "))");
  }

  private static Lsn insertLsn(Statement statement) throws SQLException {
    try (ResultSet row = statement.executeQuery("SELECT pg_current_wal_insert_lsn()")) {
      row.next();
      return Lsn.parse(row.getString(1));
    }
  }

  private static List<String> rows(Connection connection) throws SQLException {
    return query(connection, "SELECT id || '=' || v FROM t ORDER BY id");
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void open_and_prepared_transactions_are_not_seen_and_their_locks_time_out(int major)
      throws Exception {
    try (RecordedServer recorded =
        RecordedServer.start(major, Map.of("max_prepared_transactions", "20"))) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v int)",
          "INSERT INTO t VALUES (1, 1)",
          "CREATE TABLE emptied AS SELECT generate_series(1, 10) AS id");
      recorded.backUp();
      try (Connection preparing = server.connect();
          Connection truncating = server.connect()) {
        execute(preparing, "BEGIN", "INSERT INTO t VALUES (2, 2)", "PREPARE TRANSACTION 'open'");
        execute(truncating, "BEGIN", "TRUNCATE emptied");
        Lsn held = recorded.commit("INSERT INTO t VALUES (3, 3)");
        Lsn after = recorded.commit("INSERT INTO t VALUES (4, 4)");
        execute(truncating, "COMMIT");
        execute(preparing, "COMMIT PREPARED 'open'");
        Lsn end = recorded.insertLsn();
        server.execute("CREATE TABLE flushed (id int)");
        recorded.recordWal();
        try (SteppingFork fork = SteppingFork.start(recorded.cluster(), held, options)) {
          try (Connection reading = fork.connect("postgres")) {
            assertThat(rows(reading)).containsExactly("1=1");
            execute(reading, "SET lock_timeout = '200ms'");
            assertThatThrownBy(() -> query(reading, "SELECT * FROM emptied"))
                .isInstanceOfSatisfying(
                    SQLException.class, e -> assertThat(e.getSQLState()).isEqualTo("55P03"));
            fork.moveTo(after);
            assertThat(rows(reading)).containsExactly("1=1", "3=3");
            fork.moveTo(end);
            assertThat(rows(reading)).containsExactly("1=1", "2=2", "3=3", "4=4");
            assertThat(query(reading, "SELECT count(*) FROM emptied")).containsExactly("0");
          }
          assertThat(fork.promotedStops()).isZero();
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void where_a_standby_lets_nobody_in_a_fork_answers_until_it_does(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      TestServer server = recorded.server();
      server.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "CREATE TABLE nested (id int)");
      try (Connection nesting = server.connect()) {
        nesting.setAutoCommit(false);
        for (int level = 1; level <= 70; level++) {
          execute(nesting, "SAVEPOINT s" + level, "INSERT INTO nested VALUES (" + level + ")");
        }
        recorded.backUp();
        Lsn first = recorded.commit("INSERT INTO t VALUES (1, 1)");
        Lsn second = recorded.commit("INSERT INTO t VALUES (2, 2)");
        nesting.commit();
        server.execute("CHECKPOINT"); // says which transactions run: none
        Lsn third = recorded.commit("INSERT INTO t VALUES (3, 3)");
        Lsn fourth = recorded.commit("INSERT INTO t VALUES (4, 4)");
        server.execute("CREATE TABLE flushed (id int)");
        recorded.recordWal();
        try (SteppingFork fork = SteppingFork.start(recorded.cluster(), first, options)) {
          assertThat(query(fork, "SELECT count(*) FROM t")).containsExactly("0");
          fork.moveTo(second);
          assertThat(query(fork, "SELECT id FROM t")).containsExactly("1");
          assertThat(query(fork, "SELECT count(*) FROM nested")).containsExactly("0");
          assertThat(fork.promotedStops()).isEqualTo(2);
          fork.moveTo(third);
          assertThat(query(fork, "SELECT id FROM t ORDER BY 1")).containsExactly("1", "2");
          assertThat(query(fork, "SELECT count(*) FROM nested")).containsExactly("70");
          fork.moveTo(fourth);
          assertThat(query(fork, "SELECT id FROM t ORDER BY 1")).containsExactly("1", "2", "3");
          assertThat(fork.promotedStops()).isEqualTo(2);
          assertThat(fork.stops()).isEqualTo(4);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void settings_that_production_raised_on_the_way_are_raised_too(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      TestServer server = recorded.server();
      server.execute("CREATE TABLE t (id int PRIMARY KEY, v int)");
      recorded.backUp();
      Lsn first = recorded.commit("INSERT INTO t VALUES (1, 1)");
      server.execute("ALTER SYSTEM SET max_connections = 300");
      server.restart(PostgresServer.Stop.FAST);
      server.execute("INSERT INTO t VALUES (2, 2)");
      Lsn second = recorded.commit("INSERT INTO t VALUES (3, 3)");
      server.execute("CREATE TABLE flushed (id int)");
      recorded.recordWal();
      try (SteppingFork fork = SteppingFork.start(recorded.cluster(), first, options)) {
        assertThat(query(fork, "SELECT count(*) FROM t")).containsExactly("0");
        fork.moveTo(second);
        assertThat(query(fork, "SELECT id FROM t ORDER BY 1")).containsExactly("1", "2");
        assertThat(fork.promotedStops()).isZero();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void nothing_set_for_a_role_or_a_database_runs_at_our_connections(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v int)",
          "CREATE DATABASE \"odd, 'one'\"",
          "ALTER ROLE postgres IN DATABASE \"odd, 'one'\" SET statement_timeout = 1",
          "ALTER ROLE postgres IN DATABASE \"odd, 'one'\" SET default_transaction_read_only = on",
          "ALTER ROLE postgres IN DATABASE \"odd, 'one'\" SET local_preload_libraries = 'missing'",
          "ALTER DATABASE \"odd, 'one'\" SET lock_timeout = 1");
      recorded.backUp();
      server.execute("ALTER DATABASE \"odd, 'one'\" SET session_preload_libraries = 'missing_too'");
      Lsn first = recorded.insertLsn();
      server.execute("CREATE TABLE flushed (id int)");
      recorded.recordWal();
      // Too long a path for a socket.
      Path deep = parent.resolve("x".repeat(100));
      try (SteppingFork fork = SteppingFork.start(recorded.cluster(), first, options.in(deep));
          Connection connection = fork.connect("odd, 'one'")) {
        assertThat(query(connection, "SHOW statement_timeout")).containsExactly("0");
        assertThat(query(connection, "SHOW lock_timeout")).containsExactly("0");
        assertThat(query(connection, "SHOW default_transaction_read_only")).containsExactly("off");
        assertThat(query(connection, "SHOW session_preload_libraries")).containsExactly("");
        assertThat(query(connection, "SELECT usesuper FROM pg_user WHERE usename = current_user"))
            .containsExactly("t");
        assertThat(fork.promotedStops()).isZero();
      }
      Files.delete(deep);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void stops_lie_on_both_sides_of_a_promotion_of_production(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      TestServer server = recorded.server();
      server.execute("CREATE TABLE t (id int PRIMARY KEY, v int)");
      recorded.backUp();
      server.execute("INSERT INTO t VALUES (1, 1)");
      Lsn first = recorded.commit("INSERT INTO t VALUES (2, 1)");
      recorded.recordWal();
      server.stop(PostgresServer.Stop.FAST);
      Files.createFile(server.server().data().resolve("standby.signal"));
      server.startAgain();
      server.execute("SELECT pg_promote()", "INSERT INTO t VALUES (3, 2)");
      Lsn second = recorded.insertLsn();
      server.execute("DROP TABLE t");
      Lsn third = recorded.insertLsn();
      server.execute("SELECT pg_switch_wal()", "CREATE TABLE flushed (id int)");
      recorded.recordWal();
      try (SteppingFork fork = SteppingFork.start(recorded.cluster(), first, options)) {
        assertThat(query(fork, "SELECT id FROM t ORDER BY 1")).containsExactly("1");
        fork.moveTo(second);
        assertThat(query(fork, "SELECT id FROM t ORDER BY 1")).containsExactly("1", "2", "3");
        fork.moveTo(third);
        assertThat(query(fork, "SELECT to_regclass('t')")).containsExactly("null");
        assertThat(fork.promotedStops()).isZero();
      }
    }
  }

  @Test
  void a_transaction_left_open_by_a_reader_does_not_hold_the_move_up() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      TestServer server = recorded.server();
      server.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)");
      recorded.backUp();
      Lsn first = recorded.insertLsn();
      server.execute("DROP TABLE t");
      Lsn second = recorded.insertLsn();
      server.execute("CREATE TABLE flushed (id int)");
      recorded.recordWal();
      try (SteppingFork fork = SteppingFork.start(recorded.cluster(), first, options);
          Connection open = fork.connect("postgres")) {
        execute(open, "BEGIN", "LOCK TABLE t IN ACCESS SHARE MODE");
        fork.moveTo(second);
        assertThat(query(fork, "SELECT to_regclass('t')")).containsExactly("null");
        assertThatThrownBy(() -> rows(open)).isInstanceOf(SQLException.class);
      }
    }
  }

  @Test
  void a_hazard_past_the_stop_does_not_matter_until_the_fork_would_pass_it() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      TestServer server = recorded.server();
      Path tablespace = recorded.tablespaceFolder();
      server.execute("CREATE TABLE t (id int PRIMARY KEY, v int)");
      recorded.backUp();
      Lsn first = recorded.commit("INSERT INTO t VALUES (1, 1)");
      Lsn second = recorded.insertLsn();
      server.execute("CREATE TABLESPACE since LOCATION '" + tablespace + "'");
      Lsn third = recorded.insertLsn();
      server.execute("CREATE TABLE flushed (id int)");
      recorded.recordWal();
      try (SteppingFork fork = SteppingFork.start(recorded.cluster(), first, options)) {
        fork.moveTo(second);
        assertThat(query(fork, "SELECT id FROM t")).containsExactly("1");
        assertThat(fork.promotedStops()).isZero();
        assertThatThrownBy(() -> fork.moveTo(third))
            .isInstanceOfSatisfying(
                OperatorException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
            .hasMessageContaining("a tablespace is created");
      }
    }
  }

  @Test
  void a_killed_owner_leaves_no_server_and_no_folder() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      recorded.backUp();
      recorded.recordWal();
      Process owner =
          new ProcessBuilder(
                  ProcessHandle.current().info().command().orElseThrow(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  Orphaned.class.getName(),
                  recorded.server().folder().resolve("repository").toString(),
                  recorded.recordedEnd().toString(),
                  parent.toString())
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

  private static boolean anyProcessUses(Path folder) {
    return ProcessHandle.allProcesses()
        .anyMatch(process -> process.info().commandLine().orElse("").contains(folder.toString()));
  }

  /** Makes a fork and waits to be killed. */
  static final class Orphaned {
    public static void main(String[] arguments) throws Exception {
      SteppingFork.start(
          Repository.open(arguments[0]).cluster("acme"),
          Lsn.parse(arguments[1]),
          ForkOptions.defaults().in(Path.of(arguments[2])).withEmbeddedBinaries());
      System.out.println("now");
      Thread.sleep(Duration.ofMinutes(5));
    }
  }

  private List<Path> folders() throws IOException {
    try (Stream<Path> files = Files.list(parent)) {
      return files.toList();
    }
  }

  private static List<String> query(SteppingFork fork, String sql) throws SQLException {
    try (Connection connection = fork.connect("postgres")) {
      return query(connection, sql);
    }
  }

  private static List<String> query(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(20); // a lock that was kept must fail the test, not hang it
      try (ResultSet rows = statement.executeQuery(sql)) {
        List<String> texts = new ArrayList<>();
        while (rows.next()) {
          texts.add(String.valueOf(rows.getString(1)));
        }
        return texts;
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
