package dev.holdfast.testkit;

import dev.holdfast.server.Processes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A server that what is tested has started and left running; stopped when this is closed. */
public final class RunningServer implements AutoCloseable {
  private final long pid;
  private final int port;

  /** The one in this data directory. */
  public RunningServer(Path data) {
    try {
      List<String> lines = Files.readAllLines(data.resolve("postmaster.pid"));
      this.pid = Long.parseLong(lines.get(0).strip());
      this.port = Integer.parseInt(lines.get(3).strip());
    } catch (IOException e) {
      throw new UncheckedIOException("no server runs in " + data, e);
    }
  }

  /** The TCP port. */
  public int port() {
    return port;
  }

  /** A connection as the superuser {@code postgres}, who needs no password here. */
  public Connection connect(String database) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + port + "/" + database.replace(" ", "%20"), "postgres", "");
  }

  /** The first column of the first row. */
  public String value(String sql) {
    return queryIn("postgres", sql).getFirst();
  }

  /** Every row of a query's result, each as its columns' texts joined by {@code |}. */
  public List<String> queryIn(String database, String sql) {
    try (Connection connection = connect(database);
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      List<String> lines = new ArrayList<>();
      while (rows.next()) {
        List<String> texts = new ArrayList<>();
        for (int column = 1; column <= rows.getMetaData().getColumnCount(); column++) {
          texts.add(String.valueOf(rows.getString(column)));
        }
        lines.add(String.join("|", texts));
      }
      return lines;
    } catch (SQLException e) {
      throw new IllegalStateException(sql, e);
    }
  }

  /** Runs statements one by one in autocommit mode on database {@code postgres}. */
  public void execute(String... statements) {
    try (Connection connection = connect("postgres");
        Statement statement = connection.createStatement()) {
      for (String sql : statements) {
        statement.execute(sql);
      }
    } catch (SQLException e) {
      throw new IllegalStateException(String.join("; ", statements), e);
    }
  }

  @Override
  public void close() {
    Processes.run(List.of("kill", "-QUIT", Long.toString(pid)));
    ProcessHandle.of(pid)
        .ifPresent(process -> process.onExit().orTimeout(60, TimeUnit.SECONDS).join());
  }
}
