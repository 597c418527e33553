package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.sql.Connection;
import java.sql.Statement;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CatalogReaderTest {
  private static final String ODD_IN_URL = "odd%20name%2F%25";

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void every_file_of_every_database_is_named_as_the_server_names_it(int major) {
    try (TestServer server = TestServer.start(major)) {
      server.execute("CREATE DATABASE \"odd name/%\"");
      server.executeIn(
          ODD_IN_URL,
          "CREATE SCHEMA \"Sch ema\"",
          "CREATE TABLE \"Sch ema\".\"Ta\"\"ble\" (id serial PRIMARY KEY, gone int, doc jsonb NOT"
              + " NULL)",
          "ALTER TABLE \"Sch ema\".\"Ta\"\"ble\" DROP COLUMN gone",
          "INSERT INTO \"Sch ema\".\"Ta\"\"ble\" (doc) SELECT '{}' FROM generate_series(1, 1000)",
          "CREATE TABLE parted (a int, b text) PARTITION BY LIST (a)",
          "CREATE TABLE part1 PARTITION OF parted FOR VALUES IN (1)",
          "CREATE UNLOGGED TABLE fleeting (x int NOT NULL UNIQUE)",
          "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM parted",
          "VACUUM FULL \"Sch ema\".\"Ta\"\"ble\"",
          "VACUUM FULL pg_class",
          "ANALYZE");
      Lsn before = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));

      Catalog catalog = CatalogReader.read(PostgresUrl.parse(server.url("postgres")));

      assertThat(catalog.position()).isGreaterThanOrEqualTo(before);
      assertThat(catalog.major()).isEqualTo(major);
      assertThat(catalog.databases())
          .extracting(Catalog.Database::name)
          .containsExactlyInAnyOrder("postgres", "template0", "template1", "odd name/%");
      Catalog.Database database = database(catalog, "odd name/%");
      assertThat(database(catalog, "template0").readable()).isFalse();
      assertThat(database.readable()).isTrue();

      List<String> paths =
          database.relations().stream()
              .filter(r -> r.file() != 0)
              .map(r -> r.oid() + "|" + path(r, database.oid()))
              .sorted()
              .toList();
      assertThat(paths)
          .containsExactlyInAnyOrderElementsOf(
              server
                  .queryIn(
                      ODD_IN_URL,
                      "SELECT oid, pg_relation_filepath(oid) FROM pg_class"
                          + " WHERE pg_relation_filepath(oid) IS NOT NULL")
                  .stream()
                  .sorted()
                  .toList());

      Catalog.Relation table = relation(database, "Ta\"ble");
      assertThat(table.schema()).isEqualTo("Sch ema");
      assertThat(table.kind()).isEqualTo("r");
      assertThat(table.file()).isNotEqualTo(table.oid());
      assertThat(table.estimatedRows()).isEqualTo(1000);
      assertThat(table.key()).containsExactly("id");
      assertThat(table.columns())
          .containsExactly(
              new Catalog.Column(1, "id", "integer", true),
              new Catalog.Column(3, "doc", "jsonb", true));
      assertThat(table.bytes())
          .isEqualTo(
              Long.parseLong(
                  server
                      .queryIn(ODD_IN_URL, "SELECT pg_relation_size('\"Sch ema\".\"Ta\"\"ble\"')")
                      .getFirst()));
      assertThat(database.relations())
          .filteredOn(r -> r.owner() == table.oid())
          .extracting(Catalog.Relation::kind)
          .containsExactlyInAnyOrder("i", "t", "i");
      assertThat(relation(database, "parted").file()).isZero();
      assertThat(relation(database, "parted").columns()).hasSize(2);
      assertThat(relation(database, "fleeting").persistence()).isEqualTo("u");
      assertThat(relation(database, "fleeting").key()).containsExactly("x");
      assertThat(relation(database, "counted").kind()).isEqualTo("m");
      assertThat(relation(database, "pg_class").file()).isNotEqualTo(1259).isPositive();
      assertThat(relation(database, "pg_database").fileIn(database.oid()).tablespace())
          .isEqualTo(1664);
      assertThat(relation(database, "pg_database").fileIn(database.oid()).database()).isZero();
    }
  }

  @Test
  void a_table_locked_by_ddl_is_read_without_waiting() throws Exception {
    try (TestServer server = TestServer.start(18)) {
      server.execute("CREATE TABLE busy (id int PRIMARY KEY)");
      try (Connection connection = server.connect();
          Statement statement = connection.createStatement()) {
        connection.setAutoCommit(false);
        statement.execute("TRUNCATE busy");

        Catalog catalog =
            CatalogReader.read(
                PostgresUrl.parse(server.url("postgres") + "?options=-cstatement_timeout%3D5s"));

        Catalog.Relation busy = relation(database(catalog, "postgres"), "busy");
        assertThat(busy.file()).isEqualTo(busy.oid()); // as committed, not as truncated
        connection.rollback();
      }
    }
  }

  private static Catalog.Database database(Catalog catalog, String name) {
    return catalog.databases().stream()
        .filter(d -> d.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static Catalog.Relation relation(Catalog.Database database, String name) {
    return database.relations().stream()
        .filter(r -> r.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static String path(Catalog.Relation relation, long database) {
    return relation.tablespace() == Catalog.GLOBAL_TABLESPACE
        ? "global/" + relation.file()
        : "base/" + database + "/" + relation.file();
  }
}
