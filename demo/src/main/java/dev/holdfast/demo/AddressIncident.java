package dev.holdfast.demo;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Check;
import dev.holdfast.operations.CheckResult;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.operations.Expectation;
import dev.holdfast.operations.Stamps;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;

/**
 * A: the application that was given the address of another database, five times: each time it is
 * told which one that is, and does not start.
 */
final class AddressIncident implements Incident {
  static final String ENVIRONMENT = "production";
  private static final long STARTING_MAX_NANOS = 60_000_000_000L;
  private static final double SECONDS_MAX = 10;
  private static final List<String> NOT_CLONED =
      List.of("sessions", "invitations", "suppressions", "feature_flags", "payments", "invoices");
  private static final Expectation EXPECTED = Expectation.to(Demo.CLUSTER + "/" + ENVIRONMENT);

  private final String repository;
  private final Demo.Production production;
  private final Path folder;
  private final Consumer<String> say;

  AddressIncident(
      String repository, Demo.Production production, Path folder, Consumer<String> say) {
    this.repository = repository;
    this.production = production;
    this.folder = folder;
    this.say = say;
  }

  /** Where an application may be led to. */
  private record Address(String what, String url, String jdbc, Verdict verdict, boolean starts) {}

  @Override
  public void run(List<DemoResult.Figure> figures) throws SQLException {
    say.accept(
        "\nA. A deploy swaps the file with the database's address: the application runs, and shows every customer an empty page:");
    PostgresBinaries binaries = production.server().binaries();
    try (PostgresServer snapshot = start(binaries, snapshot(), "snapshot");
        PostgresServer elsewhere = initialised(binaries)) {
      Demo.Production other = new Demo.Production(elsewhere);
      other.awaitReady(STARTING_MAX_NANOS);
      copies(other);
      Demo.Production beside = new Demo.Production(snapshot);
      beside.awaitReady(STARTING_MAX_NANOS);
      for (Address address :
          List.of(
              new Address("the right one", production.url(), production.jdbc(), Verdict.SAME, true),
              new Address(
                  "the right one, by another name",
                  production.url().replace("127.0.0.1", "localhost"),
                  production.jdbc().replace("127.0.0.1", "localhost"),
                  Verdict.SAME,
                  true),
              // Its stamp fits, as SQL sees it: what tells it is the log, in the entrypoint.
              new Address(
                  "a snapshot of its disks, running beside it",
                  beside.url(),
                  beside.jdbc(),
                  Verdict.PHYSICAL_COPY,
                  false),
              elsewhere(other, "a dump, restored elsewhere", "dumped", Verdict.DUMP_COPY),
              elsewhere(other, "a clone made by hand", "clone", Verdict.PARTIAL_COPY),
              elsewhere(other, "an empty replacement", "fresh", Verdict.EMPTY))) {
        figures.add(lead(address));
      }
    }
    new Failover(folder, say).run(figures);
  }

  private static Address elsewhere(
      Demo.Production server, String what, String database, Verdict verdict) {
    return new Address(
        what,
        server.server().url(database),
        server.jdbc().replace("/postgres?", "/" + database + "?"),
        verdict,
        false);
  }

  /** The container's entrypoint, and then the application itself. */
  private DemoResult.Figure lead(Address address) {
    long begun = System.nanoTime();
    CheckResult result = new Check(repository, null).of(address.url(), null, EXPECTED);
    double seconds = (System.nanoTime() - begun) / 1e9;
    say.accept("$ holdfast check %s --expect %s".formatted(address.url(), EXPECTED));
    say.accept("   " + result.headline());
    ProcessResult application = application(address.jdbc());
    boolean itself = application.exitCode() == 0 && application.output().contains("listening on");
    boolean refuses =
        application.exitCode() == 1 && application.output().contains("does not start");
    boolean files = address.verdict() == Verdict.PHYSICAL_COPY;
    say.accept(
        "   "
            + application.output().strip()
            + (files
                ? " (without the check in its entrypoint: SQL alone cannot tell a copy of all files)"
                : ""));
    boolean right =
        result.verdict() == address.verdict()
            && result.expected() == address.starts()
            && seconds < SECONDS_MAX
            && ((address.starts() || files) ? itself : refuses);
    String done =
        address.starts() ? "it starts" : files ? "its entrypoint ends with 4" : "it does not start";
    return new DemoResult.Figure(
        "A: led to " + address.what(),
        address.starts() ? "" : "two days of search",
        "%s in %.1f s; %s"
            .formatted(
                named(result.verdict()), seconds, right ? done : "it starts, or not, wrongly"),
        right);
  }

  static String named(Verdict verdict) {
    return switch (verdict) {
      case SAME -> "\"itself\"";
      case PHYSICAL_COPY -> "\"a copy of its files\"";
      case DUMP_COPY -> "\"a copy by dump\"";
      case PARTIAL_COPY -> "\"a clone\", what it lacks";
      case EMPTY -> "\"empty\"";
      default -> "\"" + verdict.name().toLowerCase(Locale.ROOT) + "\"";
    };
  }

  /** A process of its own, as an application is. */
  private static ProcessResult application(String jdbc) {
    return Processes.run(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            Application.class.getName(),
            jdbc));
  }

  // ---- the copies ------------------------------------------------------------------------------

  /** The disks as they are at one moment of a running server. */
  private Path snapshot() throws SQLException {
    Path data = folder.resolve("snapshot");
    try (Connection connection = production.connect();
        Statement statement = connection.createStatement()) {
      statement.execute("SELECT pg_backup_start('snapshot', true)");
      copy(production.server().data(), data);
      try (ResultSet row = statement.executeQuery("SELECT labelfile FROM pg_backup_stop(false)")) {
        row.next();
        Files.writeString(data.resolve("backup_label"), row.getString(1));
      }
      // What was written until then is in these, too.
      copy(production.server().data().resolve("pg_wal"), data.resolve("pg_wal"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return data;
  }

  static void copy(Path from, Path to) {
    ProcessResult copied = Processes.run(List.of("cp", "-a", "-T", from.toString(), to.toString()));
    if (copied.exitCode() != 0) {
      throw new OperatorException(
          Kind.FAILED,
          "the demo could not go on",
          copied.output().strip(),
          "free the disk of the temporary folder and run it again");
    }
  }

  private PostgresServer start(PostgresBinaries binaries, Path data, String name) {
    return PostgresServer.start(
        binaries,
        data,
        Map.of(
            "shared_buffers", "32MB", "fsync", "off", "max_wal_size", "2GB", "cluster_name", name),
        List.of());
  }

  private PostgresServer initialised(PostgresBinaries binaries) {
    Path data = folder.resolve("elsewhere");
    PostgresServer.initialise(binaries, data, List.of());
    return start(binaries, data, "elsewhere");
  }

  private void copies(Demo.Production other) throws SQLException {
    try (Connection connection = other.connect();
        Statement statement = connection.createStatement()) {
      Company.found(connection);
      statement.execute("CREATE DATABASE fresh");
    }
    try (Connection connection = connect(other, "fresh");
        Statement statement = connection.createStatement()) {
      for (String database : List.of("dumped", "clone")) {
        statement.execute("CREATE DATABASE " + database + " TEMPLATE postgres");
      }
    }
    try (Connection connection = connect(other, "clone");
        Statement statement = connection.createStatement()) {
      statement.execute("DROP TABLE " + String.join(", ", NOT_CLONED) + " CASCADE");
    }
    try (Connection copied = connect(other, "dumped");
        Statement statement = copied.createStatement();
        Connection original = production.connect()) {
      for (String sql : Stamps.statements("dumped", Demo.CLUSTER, ENVIRONMENT)) {
        statement.execute(sql);
      }
      // The row as a dump takes it along.
      String stamp;
      try (Statement asking = original.createStatement();
          ResultSet row = asking.executeQuery("SELECT to_jsonb(i) FROM holdfast.identity i")) {
        row.next();
        stamp = row.getString(1);
      }
      statement.execute("DELETE FROM holdfast.identity");
      try (PreparedStatement insert =
          copied.prepareStatement(
              "INSERT INTO holdfast.identity SELECT (jsonb_populate_record(NULL::holdfast.identity, ?::jsonb)).*")) {
        insert.setString(1, stamp);
        insert.executeUpdate();
      }
    }
  }

  private static Connection connect(Demo.Production server, String database) throws SQLException {
    return DriverManager.getConnection(server.jdbc().replace("/postgres?", "/" + database + "?"));
  }
}
