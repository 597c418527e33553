package dev.holdfast.bench;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The server that plays production: Debian's PostgreSQL 15 in a temporary folder, which is gone
 * when this is closed and when this process dies.
 *
 * <p>Autovacuum is off, so that rounds are alike.
 */
final class Production implements AutoCloseable {
  static final String DATABASE = "postgres";

  private static final int STARTING_ATTEMPTS = 300;

  /** Rows of one filler table: about 0.1 GB. */
  private static final int FILLER_ROWS = 113_000;

  private final PostgresBinaries binaries;
  private final Path folder;
  private final PostgresServer server;
  private int fillers;

  private Production(PostgresBinaries binaries, Path folder, PostgresServer server) {
    this.binaries = binaries;
    this.folder = folder;
    this.server = server;
  }

  /**
   * @param settings over ours, which are those of a server with 2 GB of memory to spare
   */
  static Production start(Map<String, String> settings) throws Exception {
    PostgresBinaries binaries =
        PostgresBinaries.installed(15)
            .filter(found -> Files.isExecutable(found.program("pgbench")))
            .orElseThrow(() ->
                new IllegalStateException(
                    "needs PostgreSQL 15 with pgbench (Debian: apt-get install postgresql-15)"));
    Path folder = Files.createTempDirectory("holdfast-bench");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    Path data = folder.resolve("production");
    PostgresServer.initialise(binaries, data, List.of());
    Map<String, String> all = new HashMap<>();
    all.put("shared_buffers", "512MB");
    all.put("max_wal_size", "1GB");
    all.put("max_slot_wal_keep_size", "20GB");
    all.put("wal_keep_size", "1GB");
    all.put("wal_compression", "off");
    all.put("autovacuum", "off");
    all.put("unix_socket_directories", folder.toString());
    all.putAll(settings);
    Production production =
        new Production(
            binaries, folder, PostgresServer.start(binaries, data, all, List.of(folder)));
    try {
      awaitReady(production.server);
      return production;
    } catch (IllegalStateException | InterruptedException e) {
      production.close();
      throw e;
    }
  }

  static void awaitReady(PostgresServer server) throws InterruptedException {
    for (int attempt = 0; attempt < STARTING_ATTEMPTS && server.isAlive(); attempt++) {
      try (Connection _ = connect(server)) {
        return;
      } catch (SQLException e) {
        Thread.sleep(100); // still starting: there is nothing to wait on
      }
    }
    throw new IllegalStateException("the server did not start:\n" + server.logTail(20));
  }

  static Connection connect(PostgresServer server) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + server.port() + "/" + DATABASE, "postgres", "");
  }

  Connection connect() throws SQLException {
    return connect(server);
  }

  PostgresBinaries binaries() {
    return binaries;
  }

  PostgresServer server() {
    return server;
  }

  /** For what else belongs to this run; reachable for the server's operating system user. */
  Path folder() {
    return folder;
  }

  /** As superuser. */
  String url() {
    return server.url(DATABASE);
  }

  /** Runs statements, each in a transaction of its own. */
  void run(String... statements) throws SQLException {
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      for (String sql : statements) {
        statement.execute(sql);
      }
    }
  }

  /** The first column of the first row. */
  String ask(String sql) throws SQLException {
    try (Connection connection = connect()) {
      return ask(connection, sql);
    }
  }

  static String ask(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return String.valueOf(rows.getString(1));
    }
  }

  /** Runs statements in one transaction and returns its number. */
  String transaction(String... statements) throws SQLException {
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      for (String sql : statements) {
        statement.execute(sql);
      }
      String xid = ask(connection, "SELECT pg_current_xact_id()");
      connection.commit();
      return xid;
    }
  }

  /** Rows and a sum over them, whatever their order: the same for the same contents. */
  static String contents(String table) {
    return "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM "
        + table
        + " t";
  }

  Lsn position() throws SQLException {
    return Lsn.parse(ask("SELECT pg_current_wal_insert_lsn()"));
  }

  /**
   * Adds tables that nobody will ask for until all databases together have this size; to a quarter
   * of it compressible, as texts are.
   */
  void fill(double gigabytes) throws SQLException {
    run(
        "CREATE TABLE IF NOT EXISTS filler_source AS SELECT i AS id, repeat(md5(i::text) ||"
            + " md5((-i)::text) || md5((i * 3)::text) || md5((i * 7)::text), 6) AS body FROM"
            + " generate_series(1, "
            + FILLER_ROWS
            + ") i");
    while (size() < gigabytes * 1e9) {
      fillers++;
      run("CREATE TABLE filler_" + fillers + " AS SELECT * FROM filler_source");
    }
    run("CHECKPOINT");
  }

  /** Bytes of all databases. */
  long size() throws SQLException {
    return Long.parseLong(ask("SELECT sum(pg_database_size(oid)) FROM pg_database"));
  }

  /**
   * pgbench as fast as it goes, until so much WAL is written. After each 10,000 transactions comes
   * a checkpoint: where the log is much it is page images for the most part, as on a server that is
   * left with the default max_wal_size.
   */
  void writeWal(double gigabytes) throws SQLException {
    Lsn from = position();
    while (true) {
      program("pgbench", "-n", "-c", "4", "-j", "2", "-M", "prepared", "-t", "2500", url());
      if (position().minus(from) >= gigabytes * (1L << 30)) {
        return;
      }
      run("CHECKPOINT");
    }
  }

  /** Runs one of PostgreSQL's own programs; what it printed. */
  String program(String name, String... arguments) {
    List<String> command = new ArrayList<>(List.of(binaries.program(name).toString()));
    command.addAll(List.of(arguments));
    ProcessResult result = Processes.run(command);
    if (result.exitCode() != 0) {
      throw new IllegalStateException(name + ": " + result.output());
    }
    return result.output();
  }

  /** What it is and what it runs on, for who reads the figures. */
  static void printMachine() throws IOException {
    System.out.printf(
        Locale.ROOT,
        "machine: %s, %d processors, %.0f GiB; JDK %s%n",
        System.getProperty("os.name") + " " + System.getProperty("os.version"),
        Runtime.getRuntime().availableProcessors(),
        memory() / (double) (1L << 30),
        System.getProperty("java.version"));
  }

  private static long memory() throws IOException {
    return ((com.sun.management.OperatingSystemMXBean)
            java.lang.management.ManagementFactory.getOperatingSystemMXBean())
        .getTotalMemorySize();
  }

  @Override
  public void close() {
    server.close();
  }
}
