package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Incident D on a server of Debian's PostgreSQL 15, judged by its own pg_dump. */
class RevertDropTest {
  private static final PostgresBinaries DEBIAN =
      PostgresBinaries.installed(15)
          .orElseThrow(() ->
              new IllegalStateException(
                  "these tests compare with PostgreSQL's own tools: apt-get install postgresql-15"));
  private static final Pattern SETVAL =
      Pattern.compile("SELECT pg_catalog\\.setval\\('(.*)', (\\d+), (true|false)\\);");
  private static final int SEQUENCE_AHEAD_MAX = 32;

  @Test
  void dropped_tables_with_everything_that_hung_on_them_come_back_under_traffic() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            DEBIAN,
            "CREATE ROLE reporter",
            "CREATE SCHEMA \"Odd Schema\"",
            "CREATE TABLE customers (id serial PRIMARY KEY, name text COLLATE \"C\" NOT NULL, data"
                + " jsonb DEFAULT '{}', CONSTRAINT \"named \"\"check\"\"\" CHECK (name <> ''))",
            "CREATE TABLE \"Odd Schema\".\"Order \"\"Lines\"\"\" (\"Id\" bigint GENERATED ALWAYS AS"
                + " IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE"
                + " CASCADE DEFERRABLE, \"Amount €\" numeric(12,4), total numeric GENERATED ALWAYS"
                + " AS (\"Amount €\" * 2) STORED)",
            "CREATE TABLE notes (id int PRIMARY KEY, line bigint REFERENCES \"Odd"
                + " Schema\".\"Order \"\"Lines\"\"\", body text)",
            "CREATE INDEX \"odd index\" ON \"Odd Schema\".\"Order \"\"Lines\"\"\" (lower(customer::text))"
                + " WHERE \"Amount €\" > 1",
            "ALTER TABLE customers ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY seen ON customers FOR SELECT TO reporter USING (name LIKE 'a%')",
            "GRANT SELECT (id, name) ON customers TO reporter",
            "CREATE VIEW rich AS SELECT c.name, sum(l.total) FROM customers c JOIN \"Odd"
                + " Schema\".\"Order \"\"Lines\"\"\" l ON l.customer = c.id GROUP BY 1",
            "COMMENT ON COLUMN customers.name IS 'it''s the name'",
            "INSERT INTO customers (name) SELECT 'name\t\\ ' || n FROM generate_series(1, 5000) n",
            "INSERT INTO \"Odd Schema\".\"Order \"\"Lines\"\"\" (customer, \"Amount €\") SELECT 1 + n %"
                + " 5000, n / 7.0 FROM generate_series(1, 20000) n",
            "INSERT INTO notes SELECT n, n, repeat('x', 3000) FROM generate_series(1, 200) n")) {
      run(acme, "pgbench", "-i", "-q", "-s", "2");
      String before = dump(acme);
      CompletableFuture<ProcessResult> pgbench =
          CompletableFuture.supplyAsync(
              () -> Processes.run(command(acme, "pgbench", "-n", "-c", "2", "-T", "30")),
              Thread::startVirtualThread);
      acme.server.execute("DROP TABLE customers, \"Odd Schema\".\"Order \"\"Lines\"\"\" CASCADE");
      acme.caughtUp();
      LogEntry bad =
          acme.log(new Log.Filter(true, null, null, null, null, null)).stream()
              .filter(e -> e.tables().stream().anyMatch(t -> t.action().equals("dropped")))
              .findFirst()
              .orElseThrow();
      assertThat(bad.severity()).isEqualTo("critical");
      assertThat(bad.user()).as("unknown without a guard, and said so").isNull();
      assertThat(bad.tables().stream().map(LogEntry.Table::table))
          .contains("customers", "Order \"Lines\"");
      RevertResult result = acme.undo(bad.xid(), new Revert.Options(false, false, false));
      assertThat(result.rowsRestored()).isEqualTo(25_000);
      assertThat(pgbench.isDone()).as("traffic went on all the while").isFalse();
      ProcessResult traffic = pgbench.get(120, TimeUnit.SECONDS);
      assertThat(traffic.exitCode()).as(traffic.output()).isZero();
      assertThat(traffic.output()).contains("number of failed transactions: 0 (0.000%)");
      assertSameDump(before, dump(acme));
      assertThat(acme.alarms.stream().map(LogEntry::xid)).contains(bad.xid());
    }
  }

  @Test
  void what_only_dropped_is_undone_without_what_the_recorder_has_not_received() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            DEBIAN,
            "CREATE TABLE customers (id int PRIMARY KEY)",
            "INSERT INTO customers SELECT generate_series(1, 100)",
            "CREATE TABLE notes (id int PRIMARY KEY, body text)",
            "INSERT INTO notes SELECT n, 'x' FROM generate_series(1, 100) n")) {
      String dropped = commit(acme, "DROP TABLE customers");
      String deleted = commit(acme, "DELETE FROM notes WHERE id > 50");
      acme.caughtUp();
      acme.stopRecording();
      acme.server.execute("INSERT INTO notes SELECT n, 'new' FROM generate_series(101, 200) n");
      Revert revert = acme.revert(new Revert.Options(false, false, false));
      try (Revert.Planned planned = revert.plan(Revert.Selection.of(dropped), Progress.SILENT)) {
        assertThat(planned.plan().warnings()).isEmpty();
        assertThat(planned.plan().rowsToRestore()).isEqualTo(100);
      }
      for (Revert.Selection rows :
          List.of(
              Revert.Selection.of(deleted),
              new Revert.Selection(List.of(dropped, deleted), null, null, List.of()),
              new Revert.Selection(List.of(dropped), Instant.EPOCH, null, List.of()))) {
        try (Revert.Planned planned = revert.plan(rows, Progress.SILENT)) {
          assertThat(planned.plan().warnings())
              .as(rows.toString())
              .singleElement()
              .asString()
              .contains("are not recorded");
        }
      }
    }
  }

  private static String commit(ProtectedServer acme, String statement) throws Exception {
    try (Connection connection = acme.server.connect();
        Statement sql = connection.createStatement()) {
      connection.setAutoCommit(false);
      sql.execute(statement);
      try (ResultSet row = sql.executeQuery("SELECT pg_current_xact_id()")) {
        row.next();
        String xid = row.getString(1);
        connection.commit();
        return xid;
      }
    }
  }

  private static List<String> command(ProtectedServer acme, String program, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(DEBIAN.program(program).toString());
    command.addAll(
        List.of(
            "-h",
            "127.0.0.1",
            "-p",
            Integer.toString(acme.server.server().port()),
            "-U",
            "postgres"));
    command.addAll(List.of(arguments));
    command.add("postgres");
    return command;
  }

  private static String run(ProtectedServer acme, String program, String... arguments) {
    ProcessResult result = Processes.run(command(acme, program, arguments));
    assertThat(result.exitCode()).as(result.output()).isZero();
    return result.output();
  }

  /** Everything but pgbench's own tables, whose contents go on changing. */
  private static String dump(ProtectedServer acme) {
    return run(acme, "pg_dump", "-T", "pgbench_*");
  }

  /** Equal but for the order of lines and for sequences, which may be a little ahead. */
  static void assertSameDump(String before, String after) {
    assertThat(lines(after)).isEqualTo(lines(before));
    Map<String, Long> sequencesAfter = sequences(after);
    sequences(before)
        .forEach((name, value) ->
            assertThat(sequencesAfter.get(name))
                .as(name)
                .isBetween(value, value + SEQUENCE_AHEAD_MAX));
  }

  private static List<String> lines(String dump) {
    return dump.lines()
        .filter(line -> !line.isBlank() && !line.startsWith("--"))
        .filter(line -> !SETVAL.matcher(line).matches())
        .filter(line -> !line.startsWith("\\restrict") && !line.startsWith("\\unrestrict"))
        .sorted()
        .toList();
  }

  private static Map<String, Long> sequences(String dump) {
    Map<String, Long> values = new TreeMap<>();
    Matcher matcher = SETVAL.matcher(dump);
    while (matcher.find()) {
      values.put(matcher.group(1), Long.parseLong(matcher.group(2)));
    }
    return values;
  }
}
