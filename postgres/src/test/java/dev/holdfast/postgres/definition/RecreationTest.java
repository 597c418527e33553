package dev.holdfast.postgres.definition;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A database copied before the drop stands in for a fork: objects in the copy keep their OIDs.
 *
 * <p>The catalogs, column by column with names for OIDs, must be the same on every version; where
 * Debian's 15 is installed, so must what its {@code pg_dump} says of 14 and 15.
 */
@ParameterizedClass(name = "{0}")
@MethodSource("servers")
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecreationTest {
  private static @Nullable TestServer started;

  private static final List<String> CHANGES =
      List.of(
          "ALTER TABLE \"Shop\".users REPLICA IDENTITY DEFAULT",
          "ALTER TABLE \"Shop\".users SET WITHOUT CLUSTER",
          "ALTER TABLE \"Shop\".users NO FORCE ROW LEVEL SECURITY",
          "ALTER TABLE \"Shop\".users ALTER COLUMN name SET STATISTICS -1",
          "ALTER TABLE \"Shop\".users ALTER COLUMN big SET STORAGE EXTENDED",
          "ALTER TABLE \"Shop\".users ALTER COLUMN id RESET (n_distinct)",
          "ALTER TABLE \"Shop\".users RESET (toast.autovacuum_enabled)",
          "ALTER TABLE \"Shop\".users ENABLE TRIGGER always",
          "ALTER TABLE \"Shop\".users OWNER TO postgres",
          "ALTER TABLE \"Shop\".orders ENABLE RULE logs",
          "ALTER TABLE \"Shop\".events_a1 ENABLE TRIGGER each_event",
          "ALTER TABLE \"Shop\".users DROP CONSTRAINT doubtful",
          "ALTER INDEX \"Shop\".\"users by \"\"name\"\"\" ALTER COLUMN 1 SET STATISTICS -1",
          "ALTER STATISTICS \"Shop\".\"users stats\" SET STATISTICS -1",
          "ALTER SEQUENCE \"Shop\".\"lines of orders\" INCREMENT BY 1",
          "ALTER SEQUENCE \"Shop\".users_id_seq OWNED BY NONE",
          "ALTER DEFAULT PRIVILEGES FOR ROLE \"Shop Owner\" IN SCHEMA \"Shop\" REVOKE SELECT ON TABLES FROM app_writer",
          "REVOKE SELECT (id) ON \"Shop\".users FROM \"reader \"\"x\"\"\"",
          "COMMENT ON COLUMN \"Shop\".active.\"Name\" IS NULL",
          "COMMENT ON CONSTRAINT small ON DOMAIN \"Shop\".price IS NULL",
          "ALTER PUBLICATION changes DROP TABLE \"Shop\".users",
          "DROP POLICY \"see own\" ON \"Shop\".users",
          "ALTER TABLE kept.payments DROP CONSTRAINT payer",
          "INSERT INTO \"Shop\".hashed VALUES (1000, 'x')",
          "INSERT INTO \"Shop\".puppy (name) VALUES ('y')");

  private final PostgresBinaries binaries;

  @SuppressWarnings("NullAway.Init") // by prepare
  private TestServer server;

  RecreationTest(PostgresBinaries binaries) {
    this.binaries = binaries;
  }

  static Stream<PostgresBinaries> servers() {
    List<PostgresBinaries> servers = new ArrayList<>();
    PostgresBinaries.installed(15).ifPresent(servers::add);
    for (int major = 14; major <= 18; major++) {
      servers.add(PostgresBinaries.embedded(major));
    }
    return servers.stream();
  }

  @BeforeEach
  void prepare() {
    if (started == null || !started.server().binaries().equals(binaries)) {
      stop();
      started = start(binaries);
    }
    server = started;
    server.execute("DROP DATABASE IF EXISTS production WITH (FORCE)");
    server.execute("DROP DATABASE IF EXISTS fork WITH (FORCE)");
    server.execute("CREATE DATABASE production TEMPLATE shop");
    server.execute("CREATE DATABASE fork TEMPLATE shop");
  }

  private static TestServer start(PostgresBinaries binaries) {
    TestServer server = TestServer.start(binaries, Map.of("wal_level", "logical"), List.of());
    server.execute("CREATE DATABASE shop", "CREATE DATABASE empty");
    load(server, "roles.sql");
    load(server, "shop.sql");
    if (binaries.major() >= 15) {
      load(server, "shop15.sql");
    }
    if (binaries.major() >= 18) {
      load(server, "shop18.sql");
    }
    return server;
  }

  @AfterAll
  static void stop() {
    if (started != null) {
      started.close();
      started = null;
    }
  }

  @Test
  void a_dropped_schema_comes_back_as_it_was() throws SQLException {
    server.executeIn("production", "DROP SCHEMA \"Shop\" CASCADE");

    RecreationPlan plan = recreate(Set.of());

    assertThat(plan.unrecoverable())
        .containsExactly("rows of table \"Shop\".cache: it is unlogged, no log has them");
    assertSameAsFork();
  }

  @Test
  void dropped_tables_come_back_with_everything_that_cascaded() throws SQLException {
    Set<Long> oids = Set.of(oid("\"Shop\".users"), oid("\"Shop\".orders"), oid("\"Shop\".events"));
    server.executeIn(
        "production", "DROP TABLE \"Shop\".users, \"Shop\".orders, \"Shop\".events CASCADE");

    recreate(oids);

    assertSameAsFork();
  }

  /** Each change to the database must show, else equal pictures would prove nothing. */
  void assertThatTheComparisonNoticesEveryChange() throws SQLException {
    Picture previous = pictureOf("production");
    for (String change : CHANGES) {
      server.executeIn("production", change);
      Picture now = pictureOf("production");
      assertThat(now.definitions() + now.rows())
          .as(change)
          .isNotEqualTo(previous.definitions() + previous.rows());
      assertThat(now.dump()).as("pg_dump after %s", change).isNotEqualTo(previous.dump());
      previous = now;
    }
  }

  private long oid(String table) {
    return Long.parseLong(
        server.queryIn("fork", "SELECT '" + table + "'::regclass::oid").getFirst());
  }

  /** Lets the fork go as soon as it may. */
  private record Leaving(Connection fork) implements RecreationProgress {
    @Override
    public void copying(TableCopy copy, long bytes) {}

    @Override
    public void executing(String statement) {}

    @Override
    public void copied() {
      try {
        fork.close();
      } catch (SQLException e) {
        throw new AssertionError(e);
      }
    }
  }

  private RecreationPlan recreate(Set<Long> oids) throws SQLException {
    try (Connection fork = server.connect("fork");
        Connection production = server.connect("production")) {
      production.setAutoCommit(false);
      RecreationPlan plan = DroppedObjects.find(fork, production, oids);
      assertThat(plan.conflicts()).isEmpty();
      Recreation.apply(production, fork, plan, true, new Leaving(fork));
      production.commit();
      return plan;
    }
  }

  /**
   * All there is to see of a database.
   *
   * @param definitions its catalogs, and what recreating all of it would do
   * @param rows a checksum of the rows of each table
   * @param dump null where pg_dump cannot read this server
   */
  private record Picture(String definitions, String rows, DumpOracle.@Nullable Dump dump) {}

  private void assertSameAsFork() throws SQLException {
    Picture production = pictureOf("production");
    Picture fork = pictureOf("fork");
    assertThat(differing(production.definitions(), fork.definitions())).isEmpty();
    assertThat(production.definitions()).isEqualTo(fork.definitions());
    assertThat(production.rows()).isEqualTo(fork.rows());
    if (production.dump() != null && fork.dump() != null) {
      assertThat(String.join("\n\n", production.dump().statements()))
          .isEqualTo(String.join("\n\n", fork.dump().statements()));
      assertThat(production.dump().sequences()).isEqualTo(fork.dump().sequences());
    }
  }

  /** Lines of one and not of the other: short enough to read. */
  private static List<String> differing(String production, String fork) {
    Set<String> left = new TreeSet<>(List.of(production.split("\n")));
    Set<String> right = new TreeSet<>(List.of(fork.split("\n")));
    return Stream.concat(
            left.stream().filter(line -> !right.contains(line)).map(line -> "production: " + line),
            right.stream().filter(line -> !left.contains(line)).map(line -> "fork: " + line))
        .toList();
  }

  private Picture pictureOf(String database) throws SQLException {
    try (Connection whole = server.connect(database);
        Connection empty = server.connect("empty")) {
      RecreationPlan plan = DroppedObjects.find(whole, empty, Set.of());
      assertThat(plan.copies()).isNotEmpty();
      String definitions =
          String.join("\n", server.queryIn(database, resource("picture.sql")))
              + plan.statements().stream().sorted().collect(Collectors.joining("\n\n"))
              + plan.unrecoverable();
      String rows =
          plan.copies().stream()
              .map(copy ->
                  copy.table()
                      + " "
                      + server.queryIn(
                          database,
                          "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM ONLY "
                              + copy.table().quoted()
                              + " t"))
              .sorted()
              .collect(Collectors.joining("\n"));
      return new Picture(
          definitions,
          rows,
          binaries.major() <= 15 && DumpOracle.isInstalled()
              ? DumpOracle.dump(server.server().port(), database)
              : null);
    }
  }

  private static void load(TestServer server, String name) {
    // The server splits the statements: pgjdbc would cut bodies written as BEGIN ATOMIC … END.
    String url =
        "jdbc:postgresql://127.0.0.1:" + server.server().port() + "/shop?preferQueryMode=simple";
    try (Connection connection = DriverManager.getConnection(url, "postgres", "");
        Statement statement = connection.createStatement()) {
      statement.execute(resource(name));
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  static String resource(String name) {
    try (InputStream in = RecreationTest.class.getResourceAsStream(name)) {
      return new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
