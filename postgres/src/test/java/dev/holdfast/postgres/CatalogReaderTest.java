package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.sql.Connection;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
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

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void every_row_of_the_catalogs_is_told_with_the_place_it_lies_at(int major) throws Exception {
    try (TestServer server = TestServer.start(major, Map.of("autovacuum", "off"))) {
      server.execute(
          "CREATE EXTENSION pageinspect",
          "CREATE SCHEMA shop",
          "CREATE TABLE shop.before (a int, b text)",
          "GRANT SELECT ON shop.before TO PUBLIC",
          "ALTER TABLE shop.before SET (fillfactor = 50)",
          "CREATE TABLE parted (a int) PARTITION BY LIST (a)",
          "CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)");
      try (Connection running = server.connect();
          Statement statement = running.createStatement()) {
        running.setAutoCommit(false);
        statement.execute("SELECT pg_current_xact_id()");
        server.execute("CREATE TABLE shop.after (a int)");

        Catalog catalog = CatalogReader.read(PostgresUrl.parse(server.url("postgres")));

        Catalog.Database database = database(catalog, "postgres");
        List<String> places = new ArrayList<>();
        for (Catalog.Relation relation : database.relations()) {
          places.add("pg_class " + relation.oid() + " " + place(row(relation).place()));
          for (int index = 0; index < relation.columns().size(); index++) {
            places.add(
                "pg_attribute "
                    + relation.oid()
                    + " "
                    + relation.columns().get(index).number()
                    + " "
                    + place(relation.columnPlaces().get(index)));
          }
        }
        database
            .schemas()
            .forEach(s -> places.add("pg_namespace " + s.oid() + " " + place(s.place())));
        catalog
            .databases()
            .forEach(d ->
                places.add(
                    "pg_database " + d.oid() + " " + place(Objects.requireNonNull(d.place()))));
        assertThat(places)
            .containsExactlyInAnyOrderElementsOf(
                server.query(
                    lying("pg_class", "x.oid::text", "true")
                        + " UNION ALL "
                        + lying("pg_namespace", "x.oid::text", "true")
                        + " UNION ALL "
                        + lying("pg_database", "x.oid::text", "true")
                        + " UNION ALL "
                        + lying(
                            "pg_attribute",
                            "x.attrelid || ' ' || x.attnum",
                            "x.attnum > 0 AND NOT attisdropped AND EXISTS (SELECT FROM pg_class c"
                                + " WHERE c.oid = x.attrelid AND c.oid >= 16384"
                                + " AND relkind IN ('r', 'p', 'm', 'v', 'f'))")));

        Catalog.Relation before = relation(database, "before");
        assertThat(row(before).schema())
            .isEqualTo(Long.parseLong(server.value("SELECT 'shop'::regnamespace::oid")));
        assertThat(row(before).fileNode()).isEqualTo(before.file());
        assertThat(row(before).toast())
            .isEqualTo(
                Long.parseLong(
                    server.value("SELECT reltoastrelid FROM pg_class WHERE relname = 'before'")));
        assertThat(Catalog.Place.parse(row(before).place()).writer()).isZero();
        assertThat(Catalog.Place.parse(row(relation(database, "after")).place()).writer())
            .as("written after a transaction began that is still running")
            .isEqualTo(
                Long.parseLong(server.value("SELECT xmin FROM pg_class WHERE relname = 'after'")));
        assertThat(Lsn.parse(Objects.requireNonNull(catalog.readThrough())))
            .isGreaterThanOrEqualTo(catalog.position());
        running.rollback();
      }
    }
  }

  /** What pageinspect says: catalog, name, ctid and bytes of the columns of every row. */
  private static String lying(String catalog, String name, String which) {
    return "SELECT '"
        + catalog
        + " ' || "
        + name
        + " || ' ' || x.ctid || '/' || length(i.t_data)"
        + " FROM generate_series(0, pg_relation_size('"
        + catalog
        + "') / 8192 - 1) b, heap_page_items(get_raw_page('"
        + catalog
        + "', b::int)) i JOIN "
        + catalog
        + " x ON true WHERE x.ctid = ('(' || b || ',' || i.lp || ')')::tid AND "
        + which;
  }

  private static Catalog.ClassRow row(Catalog.Relation relation) {
    return Objects.requireNonNull(relation.row());
  }

  /** Without the writer. */
  private static String place(String text) {
    Catalog.Place place = Catalog.Place.parse(text);
    assertThat(place).hasToString(text);
    return new Catalog.Place(place.block(), place.offset(), place.length(), 0).toString();
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
