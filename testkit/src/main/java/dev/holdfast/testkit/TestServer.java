package dev.holdfast.testkit;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A real PostgreSQL server in a temporary folder, for one test or one test class. Starts in about a
 * second; gone, with its folder, when closed or when the test process dies.
 */
public final class TestServer implements AutoCloseable {
  private static final int STARTS_MAX = 100;
  private static final String STILL_IN_USE = "shared memory block";
  private static final Duration STARTING_MAX = Duration.ofSeconds(60);

  private final Map<String, String> settings;
  private final Path folder;
  private PostgresServer server;

  private TestServer(PostgresServer server, Path folder, Map<String, String> settings) {
    this.server = server;
    this.folder = folder;
    this.settings = settings;
  }

  /** A server of this major version from the embedded binaries, {@code wal_level=replica}. */
  public static TestServer start(int major) {
    return start(PostgresBinaries.embedded(major), Map.of(), List.of());
  }

  /** As {@link #start(int)} with settings of the test's own. */
  public static TestServer start(int major, Map<String, String> settings) {
    return start(PostgresBinaries.embedded(major), settings, List.of());
  }

  /** A server from these binaries, with settings and initdb arguments of the test's own. */
  public static TestServer start(
      PostgresBinaries binaries, Map<String, String> settings, List<String> initdb) {
    try {
      Path folder = Files.createTempDirectory("holdfast-test");
      // 0755, so that a server running as another user can reach its data inside.
      Files.setPosixFilePermissions(
          folder, java.nio.file.attribute.PosixFilePermissions.fromString("rwxr-xr-x"));
      Path data = folder.resolve("data");
      PostgresServer.initialise(binaries, data, initdb);
      Map<String, String> all = new TreeMap<>(settings);
      all.putIfAbsent("fsync", "off");
      all.putIfAbsent("shared_buffers", "64MB");
      all.putIfAbsent("max_wal_senders", "10");
      all.putIfAbsent("max_slot_wal_keep_size", "2GB");
      all.putIfAbsent("wal_level", "replica");
      PostgresServer server = PostgresServer.start(binaries, data, all, List.of(folder));
      TestServer started = new TestServer(server, folder, all);
      started.awaitReady();
      return started;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The server process. */
  public PostgresServer server() {
    return server;
  }

  /** A folder of the test's own, removed with the server. */
  public Path folder() {
    return folder;
  }

  /** A libpq URL of the superuser {@code postgres}. */
  public String url(String database) {
    return server.url(database);
  }

  /** A connection as superuser to database {@code postgres}. */
  public Connection connect() {
    return connect("postgres");
  }

  /** A connection as superuser. */
  public Connection connect(String database) {
    try {
      return open(database);
    } catch (SQLException e) {
      throw new IllegalStateException("cannot connect to " + url(database), e);
    }
  }

  /** Runs statements one by one in autocommit mode on database {@code postgres}. */
  public void execute(String... statements) {
    executeIn("postgres", statements);
  }

  /** Runs statements one by one in autocommit mode on another database. */
  public void executeIn(String database, String... statements) {
    try (Connection connection = open(database);
        Statement statement = connection.createStatement()) {
      for (String sql : statements) {
        statement.execute(sql);
      }
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Every row of a query's result, each as its columns' texts joined by {@code |}. */
  public List<String> query(String sql) {
    return queryIn("postgres", sql);
  }

  /** As {@link #query} in another database. */
  public List<String> queryIn(String database, String sql) {
    try (Connection connection = open(database);
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
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
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The first column of the first row. */
  public String value(String sql) {
    return query(sql).getFirst();
  }

  /** Stops the server and starts it again on the same port and data. */
  public void restart(PostgresServer.Stop how) {
    stop(how);
    startAgain();
  }

  /** Stops the server; {@link #startAgain} brings it back. */
  public void stop(PostgresServer.Stop how) {
    server.stop(how);
  }

  /** Starts a stopped server on the same port and data. */
  public void startAgain() {
    // Backends of a killed server outlive it for a moment and keep its shared memory.
    for (int attempt = 1; ; attempt++) {
      server =
          PostgresServer.startOn(
              server.port(), server.binaries(), server.data(), settings, List.of(folder));
      try {
        awaitReady();
        return;
      } catch (IllegalStateException e) {
        if (attempt == STARTS_MAX || !String.valueOf(e.getMessage()).contains(STILL_IN_USE)) {
          throw e;
        }
        pause();
      }
    }
  }

  @Override
  public void close() {
    server.close();
  }

  private Connection open(String database) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + server.port() + "/" + database, "postgres", "");
  }

  private void awaitReady() {
    long deadline = System.nanoTime() + STARTING_MAX.toNanos();
    while (true) {
      try (Connection _ = open("postgres")) {
        return;
      } catch (SQLException e) {
        if (!server.isAlive() || System.nanoTime() > deadline) {
          throw new IllegalStateException("server did not start:\n" + server.logTail(40), e);
        }
        pause();
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(20); // polling a server that starts or ends: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}
