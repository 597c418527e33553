package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.damage.CatalogTrace;
import dev.holdfast.damage.DroppedColumn;
import dev.holdfast.damage.Relation;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.postgres.CatalogReader;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import dev.holdfast.wal.WalRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class RecordedNamesTest {
  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void what_changes_after_a_recorded_catalog_is_followed_through_the_log(int major)
      throws Exception {
    try (TestServer server = TestServer.start(major, Map.of("autovacuum", "off"))) {
      server.execute(
          "CREATE SCHEMA shop",
          "CREATE TABLE shop.orders (id int PRIMARY KEY, note text, price int)",
          "CREATE MATERIALIZED VIEW shop.totals AS SELECT sum(price) AS total FROM shop.orders",
          "CREATE TABLE shop.gone (id int)",
          "CREATE DATABASE other");
      Catalog catalog = CatalogReader.read(PostgresUrl.parse(server.url("postgres")));
      RecordedNames names = RecordedNames.none();
      names.add(catalog);
      long database =
          Long.parseLong(
              server.value("SELECT oid FROM pg_database WHERE datname = current_database()"));
      long orders = Long.parseLong(server.value("SELECT 'shop.orders'::regclass::oid"));
      long other =
          Long.parseLong(server.value("SELECT oid FROM pg_database WHERE datname = 'other'"));
      server.execute(
          "ALTER TABLE shop.orders RENAME TO purchases",
          "ALTER SCHEMA shop RENAME TO store",
          "TRUNCATE store.purchases",
          "ALTER DATABASE other RENAME TO another",
          "ALTER TABLE store.purchases DROP COLUMN note",
          "DROP TABLE store.gone");
      Lsn at = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      long file = Long.parseLong(server.value("SELECT pg_relation_filenode('store.purchases')"));
      List<DroppedColumn> dropped = new ArrayList<>();

      CatalogTrace trace = new CatalogTrace(names, catalog.position());
      feed(server, catalog.position(), trace, dropped);

      Relation table = trace.byFile(new RelFile(1663, database, file), at);
      assertThat(Objects.requireNonNull(table).name()).hasToString("store.purchases");
      assertThat(table.oid()).isEqualTo(orders);
      assertThat(trace.database(other, at)).isEqualTo("another");
      assertThat(dropped)
          .extracting(column -> column.column() + " " + column.number())
          .containsExactly("note 2");
      assertThat(trace.tablesOf(database, at))
          .filteredOn(one -> one.name().schema().equals("store"))
          .extracting(one -> one.name().toString())
          .containsExactlyInAnyOrder("store.purchases", "store.totals");
      assertThat(trace.tablesOf(database, catalog.position()))
          .filteredOn(one -> one.name().schema().equals("shop"))
          .extracting(one -> one.name().toString())
          .containsExactlyInAnyOrder("shop.orders", "shop.totals", "shop.gone");
    }
  }

  @Test
  void a_catalog_recorded_before_places_were_is_read_as_it_is() throws Exception {
    try (ProtectedServer server = ProtectedServer.start(18)) {
      ClusterStore cluster = Repository.open(server.repository).cluster(ProtectedServer.NAME);
      Map<String, Object> relation =
          Map.ofEntries(
              Map.entry("oid", 16384),
              Map.entry("schema", "public"),
              Map.entry("name", "old"),
              Map.entry("kind", "r"),
              Map.entry("file", 16384),
              Map.entry("tablespace", 1663),
              Map.entry("persistence", "p"),
              Map.entry("owner", 0),
              Map.entry("estimatedRows", -1),
              Map.entry("bytes", 0),
              Map.entry(
                  "columns",
                  List.of(Map.of("number", 1, "name", "a", "type", "integer", "notNull", false))),
              Map.entry("key", List.of()));
      cluster.putCatalog(
          "00000F0001000000",
          Map.of(
              "lsn",
              "F00/1000000",
              "takenAt",
              "2026-11-01T00:00:00Z",
              "major",
              18,
              "databases",
              List.of(
                  Map.of(
                      "oid",
                      5,
                      "name",
                      "postgres",
                      "tablespace",
                      1663,
                      "readable",
                      true,
                      "relations",
                      List.of(relation)))));

      RecordedNames names = RecordedNames.of(cluster);

      Lsn at = Lsn.parse("F00/2000000");
      Relation old = names.byFile(new RelFile(1663, 5, 16384), at);
      assertThat(Objects.requireNonNull(old).name()).hasToString("public.old");
      assertThat(names.snapshot(at)).isNotNull().isSameAs(names.snapshot(at));
      CatalogTrace trace = new CatalogTrace(names, at);
      assertThat(trace.byOid(5, 16384, at)).isEqualTo(old);
    }
  }

  private static void feed(
      TestServer server, Lsn from, CatalogTrace trace, List<DroppedColumn> dropped)
      throws IOException {
    server.execute("CHECKPOINT");
    Lsn end = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
    SegmentName segment = SegmentName.containing(from, 1, SegmentName.DEFAULT_SIZE);
    WalReader reader = new WalReader(segment.start());
    for (; segment.start().isBefore(end); segment = segment.next()) {
      byte[] bytes =
          Files.readAllBytes(server.server().data().resolve("pg_wal").resolve(segment.toString()));
      reader.feed(bytes, 0, bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        if (Long.compareUnsigned(record.lsn(), from.position()) < 0) {
          continue;
        }
        if (trace.isOfInterest(record)) {
          trace.accept(record);
        } else if (record.rmgr() == ResourceManager.TRANSACTION
            && record.decode() instanceof WalRecord.Commit commit) {
          dropped.addAll(trace.droppedColumns(commit.transaction(), commit.subtransactions()));
          trace.committed(commit.transaction(), commit.subtransactions(), commit.lsn());
        }
      }
    }
  }
}
